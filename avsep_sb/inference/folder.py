"""Write a pretrained folder, the form in which a trained model is given away.

The folder holds ``hyperparams.yaml``, one ``.ckpt`` per module and a model
card, and ``AVSeparation.from_hparams(source=folder)`` loads it. It appears
whole or not at all.

Authors
 * avsep_sb contributors
"""

import os
import shutil
from pathlib import Path

import torch
import yaml

from avsep_sb.errors import ConfigError

FORMAT_VERSION = 1
#: modules that a folder may hold the weights of
MODULE_NAMES = ("separator", "visual_frontend", "sync_net")
FOLDER_FILES = (
    "hyperparams.yaml",
    "README.md",
    *(f"{name}.ckpt" for name in MODULE_NAMES),
    # of a recogniser
    "encoder.ckpt",
    "tokenizer.ckpt",
)

HEADER = """\
# Pretrained audio-visual speech separation model of avsep_sb. Load with
#   from avsep_sb.inference.separation import AVSeparation
#   AVSeparation.from_hparams(source="<this folder>")
"""


def yaml_object(target, arguments=None):
    """Write a HyperPyYAML object: a class and its arguments.

    Arguments
    ---------
    target : str
        Importable name of the class.
    arguments : dict, optional
        Keyword arguments: numbers, strings, booleans, None, lists, dicts.

    Returns
    -------
    str
        The value of a YAML key, with an indent of 4 and no line break at
        its end.

    Example
    -------
    >>> print("size: " + yaml_object("torch.Size", {"a": [1, 2]}))
    size: !new:torch.Size
        a: [1, 2]
    """
    lines = [f"!new:{target}"]
    for name, value in (arguments or {}).items():
        if isinstance(value, tuple):
            value = list(value)
        # In a list, as a lone number would end in a document mark.
        text = yaml.safe_dump([value], default_flow_style=True, width=10**6)
        lines.append(f"    {name}: {text.strip()[1:-1]}")
    return "\n".join(lines)


def hyperparams_text(
    separator_yaml,
    frontend_yaml=None,
    sample_rate=16000,
    video_fps=25,
    num_spks=2,
    consistency_yaml=None,
):
    """Write the ``hyperparams.yaml`` of a pretrained folder.

    Arguments
    ---------
    separator_yaml : str
        YAML value that builds the separator, as of :func:`yaml_object`.
    frontend_yaml : str, optional
        YAML value that builds the visual front end; None for an audio-only
        model.
    sample_rate : int
        Samples per second that the model works at.
    video_fps : float
        Mouth ROIs per second that the model works at.
    num_spks : int
        Speakers in the mixtures the model was trained on.
    consistency_yaml : str, optional
        YAML value of a
        :class:`~avsep_sb.lobes.mixture_consistency.MixtureConsistency` that
        the model was trained with.

    Returns
    -------
    str
        The file's text.

    Example
    -------
    >>> text = hyperparams_text("!new:torch.nn.Identity")
    >>> "separator: !new:torch.nn.Identity" in text
    True
    """
    names = ["separator"]
    hold = ""
    if consistency_yaml is not None:
        hold = f"mixture_consistency: {consistency_yaml}\n\n"
    objects = f"separator: {separator_yaml}\n"
    if frontend_yaml is not None:
        names.insert(0, "visual_frontend")
        objects = f"visual_frontend: {frontend_yaml}\n\n{objects}"
    return (
        f"{HEADER}format_version: {FORMAT_VERSION}\n"
        f"sample_rate: {sample_rate}\n"
        f"video_fps: {video_fps}\n"
        f"num_spks: {num_spks}\n\n"
        f"{objects}\n{hold}"
        + loading_text(names, ["mixture_consistency"] if hold else [])
    )


def loading_text(names, others=()):
    """Write the end of a ``hyperparams.yaml``: what is loaded, and how.

    Arguments
    ---------
    names : list of str
        Modules with weights.
    others : list of str
        Modules without.

    Returns
    -------
    str
        The keys ``modules``, ``audio_normalizer`` and ``pretrainer``.

    Example
    -------
    >>> loading_text(["separator"]).splitlines()[1]
    '    separator: !ref <separator>'
    """
    loadables = "".join(f"        {n}: !ref <{n}>\n" for n in names)
    modules = "".join(f"    {n}: !ref <{n}>\n" for n in [*names, *others])
    strict = "!name:avsep_sb.inference.load.strict_load"
    hooks = "".join(f"        {n}: {strict}\n" for n in names)
    return (
        f"modules:\n{modules}\n"
        "audio_normalizer: "
        "!new:speechbrain.dataio.preprocess.AudioNormalizer\n"
        "    sample_rate: !ref <sample_rate>\n\n"
        "pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer\n"
        f"    loadables:\n{loadables}"
        f"    custom_hooks:\n{hooks}"
    )


def write_pretrained_folder(
    dest,
    separator,
    visual_frontend,
    separator_yaml,
    frontend_yaml,
    card,
    sample_rate=16000,
    video_fps=25,
    num_spks=2,
    overwrite=False,
    consistency_yaml=None,
):
    """Write a pretrained folder, whole or not at all.

    Arguments
    ---------
    dest : str or pathlib.Path
        The folder; made if missing, with its parents.
    separator : torch.nn.Module
        The trained separator.
    visual_frontend : torch.nn.Module or None
        The visual front end; None for an audio-only model.
    separator_yaml : str
        YAML value that builds the separator, as of :func:`yaml_object`.
    frontend_yaml : str or None
        YAML value that builds the front end.
    card : str
        Text of the model card, in Markdown.
    sample_rate : int
        Samples per second.
    video_fps : float
        Mouth ROIs per second.
    num_spks : int
        Speakers in a mixture.
    overwrite : bool
        Replace a pretrained folder which is there already.
    consistency_yaml : str, optional
        YAML value of a
        :class:`~avsep_sb.lobes.mixture_consistency.MixtureConsistency` that
        the model was trained with.

    Returns
    -------
    pathlib.Path
        ``dest``. A ConfigError is raised when something is there already
        and may not be replaced.

    Example
    -------
    >>> import tempfile
    >>> tmp = tempfile.TemporaryDirectory()
    >>> net = torch.nn.Linear(1, 1)
    >>> folder = write_pretrained_folder(
    ...     tmp.name + "/model", net, None,
    ...     yaml_object("torch.nn.Linear"), None, "# A line",
    ... )
    >>> sorted(p.name for p in folder.iterdir())
    ['README.md', 'hyperparams.yaml', 'separator.ckpt']
    >>> tmp.cleanup()
    """
    text = hyperparams_text(
        separator_yaml,
        frontend_yaml,
        sample_rate,
        video_fps,
        num_spks,
        consistency_yaml,
    )
    modules = {"separator": separator, "visual_frontend": visual_frontend}
    return write_folder(dest, modules, text, card, overwrite)


def write_folder(dest, modules, text, card, overwrite=False, files=None):
    """Write weights, YAML and card to a folder, whole or not at all.

    Arguments
    ---------
    dest : str or pathlib.Path
        The folder; made if missing, with its parents.
    modules : dict
        Names, such as those of ``MODULE_NAMES``, to trained modules; those
        that are None are left out.
    text : str
        Of ``hyperparams.yaml``.
    card : str
        Text of the model card, in Markdown.
    overwrite : bool
        Replace a pretrained folder which is there already.
    files : dict, optional
        Names out of ``FOLDER_FILES`` to bytes, to be written as they are.

    Returns
    -------
    pathlib.Path
        ``dest``. A ConfigError is raised as by
        :func:`write_pretrained_folder`.

    Example
    -------
    >>> dest = getfixture("tmp_path") / "model"
    >>> folder = write_folder(dest, {"separator": None}, "a: 1", "# A card")
    >>> sorted(p.name for p in folder.iterdir())
    ['README.md', 'hyperparams.yaml']
    """
    dest = Path(dest)
    check_destination(dest, overwrite)
    dest.parent.mkdir(parents=True, exist_ok=True)
    # Beside the destination, as only there a rename is one step.
    unfinished = dest.parent / f".{dest.name}.{os.getpid()}.unfinished"
    replaced = dest.parent / f".{dest.name}.{os.getpid()}.replaced"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        for name, module in modules.items():
            if module is not None:
                torch.save(cpu_state(module), unfinished / f"{name}.ckpt")
        for name, content in (files or {}).items():
            (unfinished / name).write_bytes(content)
        (unfinished / "hyperparams.yaml").write_text(text, encoding="utf-8")
        (unfinished / "README.md").write_text(card, encoding="utf-8")
        if dest.exists():
            os.replace(dest, replaced)
        try:
            os.replace(unfinished, dest)
        except OSError:
            if replaced.exists():
                os.replace(replaced, dest)
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)
    return dest


def check_destination(dest, overwrite=False):
    """Refuse a destination where something of the user's would be lost.

    Arguments
    ---------
    dest : str or pathlib.Path
        Folder to be written.
    overwrite : bool
        Whether a pretrained folder may be replaced. A folder that holds
        anything else is refused even so.

    Example
    -------
    >>> check_destination("a_new_folder")
    """
    dest = Path(dest)
    if not dest.exists():
        return
    if not dest.is_dir():
        raise ConfigError(f"{dest} is a file: name a folder to write to.")
    names = sorted(p.name for p in dest.iterdir())
    foreign = [name for name in names if name not in FOLDER_FILES]
    if foreign:
        raise ConfigError(
            f"{dest} holds files that are not of a pretrained folder "
            f"({', '.join(foreign[:3])}): name another folder."
        )
    if names and not overwrite:
        raise ConfigError(
            f"{dest} holds a pretrained model already: name another folder "
            "or ask for it to be overwritten."
        )


def cpu_state(module):
    """Collect a module's state on the CPU, so that it loads anywhere.

    Arguments
    ---------
    module : torch.nn.Module
        On any device.

    Returns
    -------
    dict
        Names to tensors.

    Example
    -------
    >>> sorted(cpu_state(torch.nn.Linear(1, 1)))
    ['bias', 'weight']
    """
    state = module.state_dict()
    return {k: v.detach().cpu().clone() for k, v in state.items()}

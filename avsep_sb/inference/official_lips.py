"""Fill a lip reader from weights in any of their layouts.

Authors
 * avsep_sb contributors
"""

from avsep_sb.errors import CheckpointError
from avsep_sb.inference.fit import check_fit
from avsep_sb.inference.lip_keys import (
    MARKS,
    SLOPES,
    kind_of,
    ours_to_official,
    refuse_another,
    without_classifier,
    without_tcn,
)
from avsep_sb.inference.load import strict_load
from avsep_sb.inference.official_file import (
    find_state,
    load_content,
    read_official_file,
)
from avsep_sb.lobes.lip_dctcn import LipDCTCN
from avsep_sb.lobes.lip_mstcn import LipMSTCN
from avsep_sb.lobes.lip_resnet import LipResNet

LIP_READERS = {
    "lip_resnet": LipResNet,
    "lip_mstcn": LipMSTCN,
    "lip_dctcn": LipDCTCN,
}


def lip_reader_of(net):
    """Name the lip reader that a front end is.

    Arguments
    ---------
    net : torch.nn.Module
        A visual front end.

    Returns
    -------
    str or None
        One of ``LIP_READERS``; None for other front ends.

    Example
    -------
    >>> lip_reader_of(LipDCTCN())
    'lip_dctcn'
    """
    for name, kind in LIP_READERS.items():
        if type(net) is kind:
            return name
    return None


def fill_lips(net, state):
    """Fill a lip reader from a state dict, whole or not at all.

    Arguments
    ---------
    net : torch.nn.Module
        One of the classes of ``LIP_READERS``, filled in place. Where it has
        no temporal network, that of the weights is left out.
    state : dict
        Published names or ours to tensors. A CheckpointError is raised when
        they are of another lip reader or do not fit, with the names.

    Example
    -------
    >>> net = LipMSTCN()
    >>> fill_lips(net, LipMSTCN("tcn", 6, 1).state_dict())
    >>> fill_lips(net, LipDCTCN("tcn", (1,), 3, 5).state_dict())
    Traceback (most recent call last):
    ...
    avsep_sb.errors.CheckpointError: The checkpoint is a lip_dctcn and not a...
    """
    model = lip_reader_of(net)
    state = without_classifier(state)
    if model != "lip_resnet":
        refuse_another(state, model)
    if getattr(net, "tcn", None) is None:
        state = without_tcn(state)
    own = net.state_dict()
    marks = tuple(mark[1] for mark in MARKS.values())
    expected = ours_to_official({name: name for name in own})
    if any(name.startswith(marks) for name in state):
        expected = {name: name for name in own}
    _check_activation(state, own)
    check_fit(state, {k: own[name] for k, name in expected.items()}, model)
    net.load_state_dict({name: state[k] for k, name in expected.items()})


def fill_front_end(net, path):
    """Fill a visual front end from a file, ours or a published one.

    Arguments
    ---------
    net : torch.nn.Module
        The front end, filled in place.
    path : str or pathlib.Path
        The ``visual_frontend.ckpt`` of a training or of a pretrained folder,
        or, for the lip readers of ``LIP_READERS``, a published checkpoint. A
        CheckpointError names what is missing or does not fit.

    Example
    -------
    >>> import torch
    >>> path = getfixture("tmpdir") / "lips.pth"
    >>> torch.save({"model_state_dict": LipResNet().state_dict()}, path)
    >>> fill_front_end(LipResNet(), path)
    """
    try:
        strict_load(net, path)
        return
    except CheckpointError as err:
        ours = err
    model = lip_reader_of(net)
    if model is None:
        raise ours
    content = load_content(path)
    try:
        fill_lips(net, read_official_file(path, model))
    except CheckpointError as theirs:
        # Told in the names of the layout that the file has.
        nested = any(isinstance(part, dict) for part in content.values())
        has_tcn = kind_of(content) != "lip_resnet"
        raise (theirs if nested or has_tcn else ours) from None


def has_swish(path):
    """Tell whether a published lip reader has swish activations.

    Arguments
    ---------
    path : str or pathlib.Path
        Its checkpoint, or a Lightning checkpoint that holds it.

    Returns
    -------
    bool
        True for an MS-TCN or DC-TCN without the slopes of PReLU: those
        published have one or the other. Without a temporal network nothing
        is known, which gives False.

    Example
    -------
    >>> import torch
    >>> path = getfixture("tmpdir") / "lips.pth"
    >>> torch.save({"tcn.tcn_trunk.features.a": torch.ones(1)}, path)
    >>> has_swish(path)
    True
    """
    names = list(find_state(load_content(path), "lip_dctcn"))
    slopes = any(SLOPES in name for name in names)
    return kind_of(names) != "lip_resnet" and not slopes


def _check_activation(state, own):
    """The commonest misfit, told by what to do about it."""
    has, wants = (any(SLOPES in name for name in s) for s in (state, own))
    # Only where the rest is there: a part of a file is told by its names.
    if has == wants or not any(name.startswith("trunk.") for name in state):
        return
    if has:
        what, relu_type = "unexpected", "prelu"
    else:
        what, relu_type = "missing", "swish"
    names = [name for name in (*own, *state) if SLOPES in name]
    raise CheckpointError(
        f"The activations differ - {what} keys: the slopes of PReLU, such as "
        f"{names[0]}; set relu_type to {relu_type} (--relu_type), or train "
        "with the hparams made for that lip reader, hparams/iianet_mstcn.yaml "
        "or hparams/iianet_dctcn.yaml."
    )

"""Names of IIANet's weights in official checkpoints and in ours.

Ours follow the paper; the official ones are those of the public release. Only
names change: every tensor has the same shape and meaning on both sides.

Authors
 * avsep_sb contributors
"""

import re

from avsep_sb.errors import CheckpointError

# (official, ours): the first rule whose official part starts a key is used.
MODULES = (
    ("encoder", "codec.encoder"),
    ("decoder", "codec.decoder"),
    ("ln", "encoder_norm"),
    ("bottleneck", "bottleneck"),
    ("pre_v", "visual_projection"),
    ("mask_net.0", "mask_act"),
    ("mask_net.1", "mask_conv"),
    ("sm.audio_blocks.0.proj_1x1", "audio_bottom_up.project"),
    ("sm.audio_blocks.0.spp_dw", "audio_bottom_up.scales"),
    ("sm.audio_blocks.1.loc_glo_fus", "audio_top_down.from_top"),
    ("sm.audio_blocks.1.last_layer", "audio_top_down.between"),
    ("sm.audio_blocks.1.res_conv", "audio_top_down.project"),
    ("sm.video_blocks.0.proj_1x1", "video_bottom_up.project"),
    ("sm.video_blocks.0.spp_dw", "video_bottom_up.scales"),
    ("sm.video_blocks.1.loc_glo_fus", "video_top_down.from_top"),
    ("sm.video_blocks.1.last_layer", "video_top_down.between"),
    ("sm.video_blocks.1.res_conv", "video_top_down.project"),
    ("sm.video_blocks.1.video_res", "middle.scales"),
    ("sm.InterA_T.W_wav", "top.fusion.to_audio"),
    ("sm.InterA_T.W_video", "top.fusion.to_video"),
    ("sm.InterA_T.M_wav", "top.fusion.audio_gate"),
    ("sm.InterA_T.M_video", "top.fusion.video_gate"),
    ("sm.InterA_T.amlp.attn", "top.audio.first"),
    ("sm.InterA_T.amlp.mlp.fc1", "top.audio.second.widen"),
    ("sm.InterA_T.amlp.mlp.dwconv", "top.audio.second.filter"),
    ("sm.InterA_T.amlp.mlp.fc2", "top.audio.second.narrow"),
    ("sm.InterA_T.vmlp.attn", "top.video.first"),
    ("sm.InterA_T.vmlp.mlp", "top.video.second"),
    ("sm.InterA_B_A.0", "audio_gate.scale"),
    ("sm.InterA_B_A.1", "audio_gate.act"),
    ("sm.InterA_B_V.0", "video_gate.scale"),
)

# Branches of an intra-attention, inside ``from_top`` and ``between``.
BRANCHES = (
    ("local_embedding", "local"),
    ("global_act", "gate"),
    ("global_embedding", "value"),
)

# Names that the release had before its files were converted.
OLD_NAMES = (
    ("mlp_avfusion", "InterA_T"),
    ("concat_block", "InterA_B_A"),
    ("video_concat", "InterA_B_V"),
)

LIGHTNING_PREFIX = "audio_model."


def normalise_official(state_dict):
    """Bring all known official layouts to that of the released files.

    Arguments
    ---------
    state_dict : dict
        From names to tensors: bare, from a training checkpoint (prefix
        ``audio_model.``, then anything without it is left out), or with the
        names of older files.

    Returns
    -------
    dict
        The same tensors under the released names.

    Example
    -------
    >>> normalise_official({"audio_model.sm.concat_block.1.weight": 0})
    {'sm.InterA_B_A.1.weight': 0}
    """
    prefixed = any(key.startswith(LIGHTNING_PREFIX) for key in state_dict)
    found = {}
    for key, value in state_dict.items():
        if prefixed:
            if not key.startswith(LIGHTNING_PREFIX):
                continue
            key = key[len(LIGHTNING_PREFIX) :]
        parts = [dict(OLD_NAMES).get(part, part) for part in key.split(".")]
        found[".".join(parts)] = value
    return found


def rename(key, modules, branches):
    """Apply the first rule that fits a key.

    Arguments
    ---------
    key : str
        Name of a tensor.
    modules : list
        Pairs (from, to) of the start of a key.
    branches : list
        Pairs (from, to) of one part inside an intra-attention.

    Returns
    -------
    str or None
        The new name; None if no rule knows the key.

    Example
    -------
    >>> rename("ln.bias", MODULES, BRANCHES)
    'encoder_norm.bias'
    """
    for old, new in modules:
        if key.startswith(old + "."):
            parts = key[len(old) + 1 :].split(".")
            parts = [dict(branches).get(part, part) for part in parts]
            return ".".join([new, *parts])
    return None


def official_to_ours(state_dict):
    """Rename the tensors of an official checkpoint.

    Arguments
    ---------
    state_dict : dict
        From official names to tensors, in any layout that
        :func:`normalise_official` knows.

    Returns
    -------
    dict
        From our names to the same tensors. Raises CheckpointError if a name
        belongs to no part of IIANet.

    Example
    -------
    >>> official_to_ours({"sm.audio_blocks.1.last_layer.0.global_act.conv"
    ...     ".weight": 0})
    {'audio_top_down.between.0.gate.conv.weight': 0}
    """
    found = normalise_official(state_dict)
    names = {key: rename(key, MODULES, BRANCHES) for key in found}
    unknown = [key for key, name in names.items() if name is None]
    if unknown:
        raise CheckpointError(
            "The checkpoint is not one of the official IIANet: it holds "
            f"{len(unknown)} unknown names such as {unknown[0]!r}."
        )
    return {names[key]: value for key, value in found.items()}


def ours_to_official(state_dict):
    """Rename our tensors as in the released files.

    Arguments
    ---------
    state_dict : dict
        Of an :class:`avsep_sb.lobes.iianet.IIANet` of form "release".

    Returns
    -------
    dict
        From official names to the same tensors. Raises CheckpointError if a
        tensor has no official name (InterA-B of form "paper").

    Example
    -------
    >>> ours_to_official({"encoder_norm.bias": 0})
    {'ln.bias': 0}
    """
    modules = [(new, old) for old, new in MODULES]
    branches = [(new, old) for old, new in BRANCHES]
    found = {}
    for key, value in state_dict.items():
        inside = re.search(r"\.(from_top|between)\.", key)
        name = rename(key, modules, branches if inside else ())
        if name is None:
            raise CheckpointError(
                f"{key!r} has no name in the official IIANet: only models of "
                "form 'release' can be written in its layout."
            )
        found[name] = value
    return found


def infer_model_args(state_dict):
    """Read the arguments of IIANet from the shapes in a checkpoint.

    Arguments
    ---------
    state_dict : dict
        From official names to tensors.

    Returns
    -------
    dict
        Arguments of :class:`avsep_sb.lobes.iianet.IIANet`. The number of
        cycles leaves no trace in the weights, and is not among them. Raises
        CheckpointError, naming what is missing, if the file is partial.

    Example
    -------
    >>> import torch
    >>> from avsep_sb.lobes.iianet import IIANet
    >>> net = IIANet(form="release", in_channels=32, depth=3)
    >>> args = infer_model_args(ours_to_official(net.state_dict()))
    >>> args["in_channels"], args["depth"], args["kernel_size"]
    (32, 3, 16)
    """
    found = normalise_official(state_dict)
    needed = {
        "bottleneck": "bottleneck.weight",
        "encoder": "encoder.weight",
        "decoder": "decoder.weight",
        "project": "sm.audio_blocks.0.proj_1x1.conv.weight",
        "visual": "pre_v.weight",
    }
    missing = [key for key in needed.values() if key not in found]
    if missing:
        raise CheckpointError(
            "The checkpoint is not a whole official IIANet: it lacks "
            f"{', '.join(missing)}."
        )
    shapes = {name: tuple(found[key].shape) for name, key in needed.items()}
    levels = {
        key.split(".")[4]
        for key in found
        if key.startswith("sm.audio_blocks.0.spp_dw.")
    }
    kernel_size = shapes["encoder"][2]
    num_sources = shapes["decoder"][1]
    return {
        "form": "release",
        "out_channels": shapes["bottleneck"][0],
        "in_channels": shapes["project"][0],
        "vpre_channels": shapes["visual"][1],
        "vin_channels": shapes["visual"][0],
        "depth": len(levels),
        "kernel_size": kernel_size,
        "stride": kernel_size // 4,
        "num_filters": shapes["encoder"][0],
        "num_sources": num_sources,
        "official_decoder": num_sources > 1,
    }

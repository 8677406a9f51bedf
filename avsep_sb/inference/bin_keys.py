"""Names of the weights of BIN and AVLiT in reference checkpoints and in ours.

Ours say what a layer is for; the others are those of the reference code. Only
names change: every tensor has the same shape and meaning on both sides. No
weights were published, so these are files that somebody trained with it.

Authors
 * avsep_sb contributors
"""

import re

from avsep_sb.errors import CheckpointError

FRONTEND = "video_encoder."
ENCODER = "audio_encoder.weight"
PROJECT = "afrcnn_block.proj_1x1"

# (reference, ours) of the start of a key.
MODULES = (
    ("audio_token", "audio_token"),
    ("video_token", "video_token"),
    ("audio_encoder", "codec.encoder"),
    ("audio_decoder", "codec.decoder"),
    ("audio_norm", "encoder_norm"),
    ("audio_bottleneck", "audio_bottleneck"),
    ("video_bottleneck", "video_bottleneck"),
    ("mask_net.0", "mask_act"),
    ("mask_net.1", "mask_conv"),
    ("audio_branch", "audio_branch"),
    ("video_branch", "video_branch"),
    ("fusion_branch", "fusion_branch"),
)

# The same of the start of what follows inside a branch.
BRANCH = (
    # Called so in the video branch as well.
    ("adapt_audio", "adapt_features"),
    ("adapt_fusion", "adapt_fusion"),
    (PROJECT, "block.project"),
    ("afrcnn_block.spp_dw", "block.scales"),
    # The finest scale has no finer one: their list starts with an empty
    # entry, ours with the second scale. Depths above 9 are not in use.
    *(
        (f"afrcnn_block.fuse_layers.{i + 1}.0", f"block.from_finer.{i}")
        for i in range(8)
    ),
    ("afrcnn_block.concat_layer", "block.neighbours"),
    ("afrcnn_block.last_layer.0", "block.merge"),
    ("afrcnn_block.res_conv", "block.output"),
)


def swap_start(key, rules):
    """Apply the first rule whose first part starts a key.

    Arguments
    ---------
    key : str
        Dotted name.
    rules : iterable
        Pairs (from, to).

    Returns
    -------
    tuple or None
        The new start and what is left of the key; None if no rule fits.

    Example
    -------
    >>> swap_start("mask_net.1.bias", MODULES)
    ('mask_conv', '.bias')
    """
    for old, new in rules:
        if key == old or key.startswith(f"{old}."):
            return new, key[len(old) :]
    return None


def rename(key, modules, branch):
    """Rename a key outside its last part.

    Arguments
    ---------
    key : str
        Dotted name.
    modules, branch : iterable
        Pairs (from, to): of the start of a key, and of what follows in a
        branch.

    Returns
    -------
    str or None
        The new name; None if no rule knows the key.

    Example
    -------
    >>> rename("audio_branch.afrcnn_block.res_conv.bias", MODULES, BRANCH)
    'audio_branch.block.output.bias'
    """
    found = swap_start(key, modules)
    if found is None or not found[0].endswith("_branch"):
        return found and "".join(found)
    inside = swap_start(found[1].lstrip("."), branch)
    return inside and f"{found[0]}.{''.join(inside)}"


def to_ours(key):
    """Rename one key of the reference.

    Arguments
    ---------
    key : str
        Its name there.

    Returns
    -------
    str or None
        Our name; None for a key of another model.

    Example
    -------
    >>> to_ours("audio_norm.gamma")
    'encoder_norm.weight'
    >>> to_ours("video_branch.afrcnn_block.fuse_layers.2.0.norm.beta")
    'video_branch.block.from_finer.1.norm.bias'
    """
    key = re.sub(r"norm\.gamma$", "norm.weight", key)
    return rename(re.sub(r"norm\.beta$", "norm.bias", key), MODULES, BRANCH)


def to_official(key):
    """Rename one of our keys as in the reference.

    Arguments
    ---------
    key : str
        Of a BIN or an AVLiT.

    Returns
    -------
    str or None
        The reference's name; None for a key of another model.

    Example
    -------
    >>> to_official("audio_branch.block.merge.conv.bias")
    'audio_branch.afrcnn_block.last_layer.0.conv.bias'
    """
    modules = [(new, old) for old, new in MODULES]
    branch = [(new, old) for old, new in BRANCH]
    key = rename(key, modules, branch)
    if key is None:
        return None
    key = re.sub(r"norm\.weight$", "norm.gamma", key)
    return re.sub(r"norm\.bias$", "norm.beta", key)


def split_frontend(state_dict):
    """Take the frame autoencoder of the original AVLiT out of a checkpoint.

    Arguments
    ---------
    state_dict : dict
        From reference names to tensors.

    Returns
    -------
    tuple
        The tensors of the separator, and those of the autoencoder under their
        names inside it; empty where there is none.

    Example
    -------
    >>> split_frontend({"video_encoder.encoder.layers.0.conv.bias": 0})
    ({}, {'encoder.layers.0.conv.bias': 0})
    """
    separator, frontend = {}, {}
    for key, value in state_dict.items():
        if key.startswith(FRONTEND):
            frontend[key[len(FRONTEND) :]] = value
        else:
            separator[key] = value
    return separator, frontend


def official_to_ours(state_dict):
    """Rename the tensors of a reference checkpoint.

    Arguments
    ---------
    state_dict : dict
        From reference names to tensors, without a frame autoencoder.

    Returns
    -------
    dict
        From our names to the same tensors. Raises CheckpointError if a name
        belongs to no part of BIN or AVLiT.

    Example
    -------
    >>> official_to_ours({"audio_token": 0})
    {'audio_token': 0}
    """
    names = {key: to_ours(key) for key in state_dict}
    unknown = [key for key, name in names.items() if name is None]
    if unknown:
        raise CheckpointError(
            "The checkpoint is not one of BIN or AVLiT: it holds "
            f"{len(unknown)} unknown names such as {unknown[0]!r}."
        )
    return {names[key]: value for key, value in state_dict.items()}


def ours_to_official(state_dict):
    """Rename our tensors as in the reference.

    Arguments
    ---------
    state_dict : dict
        Of a :class:`avsep_sb.lobes.bin.BIN` or an
        :class:`avsep_sb.lobes.avlit.AVLiT`.

    Returns
    -------
    dict
        From reference names to the same tensors. Raises CheckpointError if a
        tensor has no name there.

    Example
    -------
    >>> ours_to_official({"encoder_norm.bias": 0})
    {'audio_norm.beta': 0}
    """
    names = {key: to_official(key) for key in state_dict}
    unknown = [key for key, name in names.items() if name is None]
    if unknown:
        raise CheckpointError(
            f"{unknown[0]!r} has no name in the reference's BIN or AVLiT."
        )
    return {names[key]: value for key, value in state_dict.items()}


def infer_model_args(state_dict, model="bin"):
    """Read the arguments of BIN or AVLiT from the shapes in a checkpoint.

    Arguments
    ---------
    state_dict : dict
        From reference names to tensors, without a frame autoencoder.
    model : str
        ``"bin"`` or ``"avlit"``: their names are the same for a BIN without
        tokens.

    Returns
    -------
    dict
        Arguments of :class:`avsep_sb.lobes.bin.BIN` or
        :class:`avsep_sb.lobes.avlit.AVLiT`. What leaves no trace is not among
        them: the number of iterations, which of the policies with tokens was
        trained ("mean" is BIN), AVLiT's ``residual`` and
        ``fusion_positions``. Raises CheckpointError, naming what is missing,
        if the file is partial.

    Example
    -------
    >>> from avsep_sb.lobes.bin import BIN
    >>> net = BIN(token_length=7, audio_channels=8, num_filters=16, depth=3)
    >>> args = infer_model_args(ours_to_official(net.state_dict()))
    >>> args["token_length"], args["audio_channels"], args["depth"]
    (7, 8, 3)
    """
    early = model == "bin" and any(
        key.startswith("fusion_branch.") for key in state_dict
    )
    branches = ["fusion"] if early else ["audio", "video"]
    needed = [
        ENCODER,
        "audio_bottleneck.weight",
        "video_bottleneck.weight",
        "mask_net.1.weight",
        *(f"{name}_branch.{PROJECT}.conv.weight" for name in branches),
    ]
    missing = [key for key in needed if key not in state_dict]
    if missing:
        raise CheckpointError(
            f"The checkpoint is not a whole {model}: it lacks "
            f"{', '.join(missing)}."
        )
    shapes = [tuple(state_dict[key].shape) for key in needed]
    encoder, audio, video, masks, *hidden = shapes
    num_sources = masks[0] // encoder[0]
    scales = f"{branches[0]}_branch.afrcnn_block.spp_dw."
    levels = {
        key[len(scales) :].split(".")[0]
        for key in state_dict
        if key.startswith(scales)
    }
    args = {
        "embedding_dim": video[1] // max(num_sources, 1),
        "num_sources": num_sources,
        "bottleneck_channels": audio[0],
        "audio_channels": hidden[0][0],
        "video_channels": hidden[-1][0],
        "depth": len(levels),
        "kernel_size": encoder[2],
        "num_filters": encoder[0],
    }
    if model == "avlit":
        return args
    if early:
        # The one branch has the channels of both, and only their sum counts.
        args["video_channels"] = hidden[0][0] // 5
        args["audio_channels"] -= args["video_channels"]
        args["token_policy"] = "early"
    elif "audio_token" in state_dict:
        args["fusion_channels"], args["token_length"] = state_dict[
            "audio_token"
        ].shape
    else:
        args["token_policy"] = "none"
    return args

"""What the checkpoints of BIN, AVLiT and their autoencoder tell of a model.

The reference saves ``{"fusion_model": weights, "epoch": ..., ...}`` and none
of the arguments, so these are read from names and shapes, and what leaves no
trace there has to be given.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.errors import CheckpointError
from avsep_sb.inference.bin_keys import FRONTEND, split_frontend
from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN

# As in the launch files of the reference.
BIN_ITERATIONS = 20
AUDIO_BLOCKS = 8
FIRST_LAYER = "encoder.layers.0.conv.weight"
# Height and width of the frames that give an embedding of 1024.
FRAME_SIZES = {3: (32, 64), 4: (64, 64)}


def find_bin_state(content):
    """Find the weights of a BIN or an AVLiT in what a file holds.

    Arguments
    ---------
    content : dict
        As of :func:`avsep_sb.inference.official_file.load_content`, or a bare
        state dict.

    Returns
    -------
    dict
        Names of the reference to tensors; those of the original AVLiT with
        its autoencoder under ``video_encoder.``.

    Example
    -------
    >>> state = {"module.audio_token": torch.ones(1)}
    >>> list(find_bin_state({"epoch": 3, "fusion_model": state}))
    ['audio_token']
    """
    for key in ("fusion_model", "state_dict", "model_state_dict"):
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    return {
        name.removeprefix("module."): value
        for name, value in content.items()
        if isinstance(value, torch.Tensor)
    }


def find_autoencoder_state(content):
    """Find the weights of a frame autoencoder in what a file holds.

    Arguments
    ---------
    content : dict
        A state dict of the autoencoder, a dictionary that has one as a value,
        or a checkpoint of the original AVLiT.

    Returns
    -------
    dict
        Names to tensors; empty if there is none.

    Example
    -------
    >>> state = {f"video_encoder.{FIRST_LAYER}": torch.ones(8, 1, 2, 2)}
    >>> list(find_autoencoder_state({"fusion_model": state}))
    ['encoder.layers.0.conv.weight']
    """
    for part in (content, *content.values()):
        if not isinstance(part, dict):
            continue
        state = find_bin_state({"state_dict": part})
        if any(name.startswith(FRONTEND) for name in state):
            state = split_frontend(state)[1]
        if FIRST_LAYER in state:
            return state
    return {}


def bin_args(args, given):
    """Complete the arguments of a BIN.

    Arguments
    ---------
    args : dict
        Of :func:`avsep_sb.inference.bin_keys.infer_model_args`.
    given : dict
        Arguments that win over what the weights tell. ``num_iterations`` is
        20 if not given, ``token_policy`` "mean" where there are tokens.

    Returns
    -------
    dict
        Arguments of :class:`avsep_sb.lobes.bin.BIN`. A CheckpointError is
        raised for weights without tokens unless ``token_policy`` says that
        there are none: they may be of an AVLiT.

    Example
    -------
    >>> bin_args({"token_policy": "none"}, {})
    Traceback (most recent call last):
        ...
    avsep_sb.errors.CheckpointError: The checkpoint holds no audio_token: it...
    """
    if args.get("token_policy") == "none" and "token_policy" not in given:
        raise CheckpointError(
            "The checkpoint holds no audio_token: it is "
            "of AVLiT, or of a BIN without tokens; give the model 'avlit', "
            "or the token policy 'none'."
        )
    told = {"num_iterations": BIN_ITERATIONS, "token_policy": "mean"}
    return {**told, **args, **given}


def avlit_args(args, given, original=False):
    """Complete the arguments of an AVLiT.

    Arguments
    ---------
    args : dict
        Of :func:`avsep_sb.inference.bin_keys.infer_model_args`.
    given : dict
        Arguments that win over what the weights tell. ``audio_blocks`` is 8
        if not given, ``video_blocks`` half as many.
    original : bool
        Whether the file holds an autoencoder too, as those of the original
        AVLiT do and those of the BIN repository do not; ``residual`` is so.

    Returns
    -------
    dict
        Arguments of :class:`avsep_sb.lobes.avlit.AVLiT`.

    Example
    -------
    >>> avlit_args({}, {"audio_blocks": 4})
    {'audio_blocks': 4, 'video_blocks': 2, 'residual': False}
    """
    blocks = given.get("audio_blocks", AUDIO_BLOCKS)
    return {
        "audio_blocks": blocks,
        "video_blocks": max(1, blocks // 2),
        "residual": original,
        **args,
        **given,
    }


def autoencoder_args(state, given):
    """Find the arguments of a frame autoencoder.

    Arguments
    ---------
    state : dict
        Of :func:`find_autoencoder_state`.
    given : dict
        Arguments that win over what the weights tell. ``size`` is 64 x 64
        pixels if not given, 32 x 64 with 3 layers: the embedding is 1024.

    Returns
    -------
    dict
        Arguments of
        :class:`avsep_sb.lobes.frame_autoencoder.FrameAutoencoder`.

    Example
    -------
    >>> autoencoder_args({FIRST_LAYER: torch.ones(8, 1, 2, 2)}, {})
    {'num_layers': 1, 'base_channels': 8, 'size': (64, 64)}
    """
    layers = {
        name.split(".")[2]
        for name in state
        if name.startswith("encoder.layers.")
    }
    if FIRST_LAYER not in state:
        raise CheckpointError(
            f"The checkpoint is not a whole frame_autoencoder: it lacks "
            f"{FIRST_LAYER}; give the complete file of that model."
        )
    return {
        "num_layers": len(layers),
        "base_channels": state[FIRST_LAYER].shape[0],
        "size": FRAME_SIZES.get(len(layers), FRAME_SIZES[4]),
        **given,
    }


def reference_state(model):
    """Give the names and shapes of the reference's configuration.

    Arguments
    ---------
    model : str
        ``"bin"`` or ``"avlit"``.

    Returns
    -------
    dict
        Our names to tensors without values.

    Example
    -------
    >>> reference_state("bin")["audio_token"].shape
    torch.Size([256, 1601])
    """
    with torch.device("meta"):
        return (BIN() if model == "bin" else AVLiT()).state_dict()

"""Make our modules from the weights that other projects published.

A checkpoint that does not fit whole is refused, with the names that differ:
weights that load in part separate like random ones, and nobody is told.

Authors
 * avsep_sb contributors
"""

import torch

from avsep_sb.errors import CheckpointError
from avsep_sb.inference import bin_keys, iianet_keys, official_bin
from avsep_sb.inference.fit import check_fit
from avsep_sb.inference.lip_keys import infer_lip_args
from avsep_sb.inference.official_file import find_state, read_official_file
from avsep_sb.inference.official_lips import LIP_READERS, fill_lips
from avsep_sb.lobes.avlit import AVLiT
from avsep_sb.lobes.bin import BIN
from avsep_sb.lobes.frame_autoencoder import FrameAutoencoder
from avsep_sb.lobes.iianet import IIANet

__all__ = [
    "MODELS",
    "cycles_of",
    "infer_args",
    "load_official",
    "read_official_file",
]

#: what a published file may hold, and our class for it
MODELS = {
    "iianet": IIANet,
    **LIP_READERS,
    "bin": BIN,
    "avlit": AVLiT,
    "frame_autoencoder": FrameAutoencoder,
}
# Whose weights have other names there, lip readers aside.
KEY_MAPS = {"iianet": iianet_keys, "bin": bin_keys, "avlit": bin_keys}

# Audio-visual cycles of the release, which no argument of it changes.
AV_CYCLES = 4
RELEASE_BLOCKS = 16


def load_official(state_dict, model_args=None, model="iianet"):
    """Make one of our modules from a published state dict.

    Arguments
    ---------
    state_dict : dict
        Names of the release (or older, or with the prefixes of a Lightning
        checkpoint) to tensors; see :func:`read_official_file`.
    model_args : dict, optional
        Arguments of our module that the weights do not tell or that are to
        differ: ``num_blocks`` (all cycles together, 16 if not given) for
        IIANet; ``relu_type``, ``crop``, ``frozen`` for the lip nets and
        ``embedding`` for MS-TCN and DC-TCN;
        ``num_iterations`` (20) and ``token_policy`` for BIN;
        ``audio_blocks`` (8), ``fusion_positions``, ``residual`` for AVLiT;
        ``crop``, ``size``, ``frozen`` for the autoencoder.
    model : str
        One of ``MODELS``.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, filled. A CheckpointError names what is missing,
        unexpected or of another shape; a ValueError is raised for an
        unknown ``model``.

    Example
    -------
    >>> net = IIANet(form="release", out_channels=8, in_channels=16,
    ...     vpre_channels=12, vin_channels=4, num_av_cycles=2,
    ...     num_audio_cycles=0, depth=3)
    >>> state = iianet_keys.ours_to_official(net.state_dict())
    >>> copy = load_official(state, {"num_blocks": 2})
    >>> torch.equal(copy.mask_conv.weight, net.mask_conv.weight)
    True
    """
    if model not in MODELS:
        raise ValueError(
            f"model is {model!r}: choose {', '.join(map(repr, MODELS))}."
        )
    state = find_state(state_dict, model)
    module = build(infer_args(state, model_args, model), model)
    if model == "avlit":
        # Its autoencoder is a module of its own here.
        state = bin_keys.split_frontend(state)[0]
    if model in LIP_READERS:
        fill_lips(module, state)
        return module.eval()
    keys = KEY_MAPS.get(model)
    expected = module.state_dict()
    check_fit(
        state, keys.ours_to_official(expected) if keys else expected, model
    )
    module.load_state_dict(keys.official_to_ours(state) if keys else state)
    return module.eval()


def infer_args(state, model_args=None, model="iianet"):
    """Find the arguments of our module that fit a state dict.

    Arguments
    ---------
    state : dict
        Names of the release to tensors.
    model_args : dict, optional
        As in :func:`load_official`; they win over what the weights tell.
    model : str
        One of ``MODELS``.

    Returns
    -------
    dict
        Keyword arguments of our class.

    Example
    -------
    >>> infer_args({}, {"crop": "release"}, "lip_resnet")
    {'relu_type': 'relu', 'crop': 'release'}
    """
    given = dict(model_args or {})
    if model == "lip_resnet":
        # Only PReLU has weights; ReLU and swish cannot be told apart.
        slopes = any(".relu1." in name for name in state)
        return {"relu_type": "prelu" if slopes else "relu", **given}
    if model in LIP_READERS:
        return infer_lip_args(state, given, model)
    if model == "frame_autoencoder":
        return official_bin.autoencoder_args(state, given)
    weights, autoencoder = bin_keys.split_frontend(state)
    keys = KEY_MAPS[model]
    try:
        shapes = (weights,) if model == "iianet" else (weights, model)
        args = keys.infer_model_args(*shapes)
    except CheckpointError:
        # Too little is there to tell the size: measured against the release
        # itself, so that the names which are missing can be listed.
        expected = keys.ours_to_official(release_state(model))
        check_fit(weights, expected, model)
        raise
    if model == "bin":
        return official_bin.bin_args(args, given)
    if model == "avlit":
        return official_bin.avlit_args(args, given, bool(autoencoder))
    num_blocks = given.pop("num_blocks", RELEASE_BLOCKS)
    return {**args, **cycles_of(num_blocks), **given}


def cycles_of(num_blocks):
    """Split the release's number of cycles into ours.

    Arguments
    ---------
    num_blocks : int
        All cycles, as the release counts them.

    Returns
    -------
    dict
        ``num_av_cycles`` (the first 4, or all if there are fewer) and
        ``num_audio_cycles``. A CheckpointError is raised below 1.

    Example
    -------
    >>> cycles_of(10)
    {'num_av_cycles': 4, 'num_audio_cycles': 6}
    """
    if num_blocks < 1:
        raise CheckpointError(
            f"num_blocks is {num_blocks}: give the number of cycles that the "
            "checkpoint was trained with, 1 or more."
        )
    av_cycles = min(AV_CYCLES, num_blocks)
    return {
        "num_av_cycles": av_cycles,
        "num_audio_cycles": num_blocks - av_cycles,
    }


def build(args, model):
    """Make an unfilled module, leaving the random state as it was.

    Arguments
    ---------
    args : dict
        Keyword arguments of the class.
    model : str
        One of ``MODELS``.

    Returns
    -------
    torch.nn.Module
        Our module. A CheckpointError is raised when the weights' shapes
        belong to no model that the class can be.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            return MODELS[model](**args)
        except (ValueError, ZeroDivisionError) as err:
            raise CheckpointError(
                f"No {model} has the arguments that the checkpoint's shapes "
                f"tell: {err}"
            ) from err


def release_state(model="iianet"):
    """Give the names and shapes of the release's configuration.

    Arguments
    ---------
    model : str
        ``"iianet"``, ``"bin"`` or ``"avlit"``.

    Returns
    -------
    dict
        Our names to tensors without values.
    """
    if model != "iianet":
        return official_bin.reference_state(model)
    with torch.device("meta"):
        return IIANet(form="release").state_dict()

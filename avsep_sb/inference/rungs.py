"""What the ladders of :mod:`avsep_sb.inference.fallback` have in common.

Authors
 * avsep_sb contributors
"""

from enum import Enum
from typing import NamedTuple

import numpy as np
import torch

from avsep_sb.errors import ConfigError


class Rung(str, Enum):
    """How a voice was separated in a window; see the module."""

    LIPS = "lips"
    AUDIO = "audio"
    HELD = "held"
    ABSENT = "absent"
    NO_VOICE = "no voice"


class WindowNote(NamedTuple):
    """What was done in a window.

    Arguments
    ---------
    first, count : int
        Its samples.
    rungs : tuple of Rung
        For each voice.
    confidences : tuple of float
        For each voice, how sure its face is
        (:class:`avsep_sb.inference.face_labels.FaceLabels`); empty where
        voices were separated by faces.
    """

    first: int
    count: int
    rungs: tuple
    confidences: tuple = ()


def check_rates(*models):
    """The rates that all models have.

    Arguments
    ---------
    *models
        With ``hparams``; None is left out.

    Returns
    -------
    (int, int, int)
        Samples per second, frames per second and samples per frame.
        ``ConfigError`` is raised if models differ, or if a frame is no whole
        number of samples.
    """
    rates = {
        (int(model.hparams.sample_rate), float(model.hparams.video_fps))
        for model in models
        if model is not None
    }
    if len(rates) != 1:
        raise ConfigError(
            "The audio-visual model and the one beside it work at different "
            f"rates, {sorted(rates)}; give two of one sample rate and frame "
            "rate."
        )
    rate, fps = rates.pop()
    if fps != int(fps) or rate % int(fps):
        raise ConfigError(
            f"A frame at {fps:g} per second is no whole number of samples at "
            f"{rate} Hz; use a model with other rates."
        )
    return rate, int(fps), rate // int(fps)


def unchanged(voices, mixture):
    """Leaves voices as loud as they are, in place of ``LevelMatch``.

    Arguments
    ---------
    voices, mixture : np.ndarray
        [t, P] and [t].

    Returns
    -------
    np.ndarray
        The voices.

    Example
    -------
    >>> unchanged([1.0], [2.0])
    [1.0]
    """
    return voices


def as_batch(mix):
    """A mixture [t] as a batch [1, t] of float32.

    Arguments
    ---------
    mix : np.ndarray
        [t]

    Returns
    -------
    torch.Tensor
    """
    return torch.from_numpy(np.ascontiguousarray(mix, np.float32))[None]


def to_array(sources):
    """The voices of a batch of one, as an array.

    Arguments
    ---------
    sources : torch.Tensor
        [1, t, S]

    Returns
    -------
    np.ndarray
        float32 [t, S]
    """
    return sources[0].detach().float().cpu().numpy()

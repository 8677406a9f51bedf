"""Speech and mouths on which an exported graph is compared with the model.

Noise would not do: where all masks are 0, what makes the voices add up to the
mixture deals by rounding errors, and a model makes nothing but zeros of it.

Authors
 * avsep_sb contributors
"""

import functools
import math

import numpy as np
import torch

from avsep_sb.dataio.lips import convert_fps
from avsep_sb.errors import ConfigError

#: largest difference between the samples of an export and those of the model
TOLERANCE = 1e-4
#: faces and samples, as a share of a second, of what is compared
CASES = ((1, 0.61), (2, 1.0043), (3, 0.83))
#: mixtures, faces and seconds of what is traced: all sizes differ
EXAMPLE = (2, 3, 1.2507)


class Speech:
    """Three synthetic speakers, as long as wanted.

    Arguments
    ---------
    sample_rate : int
        Hz.
    video_fps : float
        Frames per second.
    roi_size : tuple
        Height and width of the mouths.

    Example
    -------
    >>> mix, lips, seen = Speech(16000, 25)(1, 2, 0.5)
    >>> mix.shape, lips.shape, seen.shape
    (torch.Size([1, 8000]), torch.Size([1, 2, 13, 96, 96]),
     torch.Size([1, 2, 13]))
    """

    def __init__(self, sample_rate, video_fps, roi_size=(96, 96)):
        self.rate, self.fps = sample_rate, video_fps
        self.voices, self.mouths = [], []
        for voice, frames, rate, fps in _speakers():
            own = np.arange(len(voice)) / rate
            times = np.arange(int(len(voice) / rate * sample_rate))
            self.voices.append(np.interp(times / sample_rate, own, voice))
            rows, columns = (
                np.arange(want) * have // want
                for want, have in zip(roi_size, frames.shape[1:], strict=True)
            )
            frames = convert_fps(frames, fps, video_fps)
            self.mouths.append(frames[:, rows][:, :, columns])

    def __call__(self, batch, faces, seconds):
        """Gives a batch: mixtures, mouths, and which of them are seen.

        Arguments
        ---------
        batch : int
            Mixtures; each begins a little later than the last.
        faces : int
            Speakers in each, at most three.
        seconds : float
            Length, at most two.

        Returns
        -------
        tuple of torch.Tensor
            [B, T] float32, [B, S, Tv, H, W] uint8 and [B, S, Tv] bool.
        """
        length = round(seconds * self.rate)
        frames = math.ceil(length * self.fps / self.rate)
        mix = np.zeros((batch, length), np.float32)
        lips = []
        for b in range(batch):
            # Whole frames, so that sound and lips stay together.
            begin = 8 + b
            first = round(begin * self.rate / self.fps)
            for voice in self.voices[:faces]:
                mix[b] += voice[first : first + length]
            lips.append(
                [m[begin : begin + frames] for m in self.mouths[:faces]]
            )
        lips = torch.from_numpy(np.array(lips))
        seen = torch.ones(lips.shape[:3], dtype=torch.bool)
        seen[:, -1, frames // 2 : frames // 2 + 3] = False
        return torch.from_numpy(mix), lips, seen


@functools.cache
def _speakers():
    """Voice, mouths and their rates, of each of three."""
    from avsep_sb.synth.look import draw_look
    from avsep_sb.synth.mouth import FPS, MouthRenderer
    from avsep_sb.synth.speech import SAMPLE_RATE
    from avsep_sb.synth.utterance import make_utterance
    from avsep_sb.synth.voices import speakers_of

    made = []
    for number, speaker in enumerate(speakers_of("test")[:3]):
        said = make_utterance(0, speaker, number)
        rng = np.random.default_rng(number)
        frames = MouthRenderer(draw_look(number)).render(said.tracks, rng)
        made.append((said.audio, frames, SAMPLE_RATE, FPS))
    return made


def largest_difference(run, model, speech):
    """Compares a graph with the model, at sizes it was not traced with.

    Arguments
    ---------
    run : callable
        The graph: tensors in, sources [B, T, S] out.
    model : AVSeparation
        What it stands for.
    speech : Speech
        What both are given.

    Returns
    -------
    float
        Of all samples; sources above full scale are brought to it.
        ``ConfigError`` is raised if it is above ``TOLERANCE``.
    """
    worst = 0.0
    for faces, seconds in CASES:
        mix, lips, seen = speech(1, faces, seconds)
        if model.sees:
            wanted = model.separate_batch(mix, lips, lips_mask=seen)
            found = run(mix, lips, seen)
        else:
            wanted, found = model.separate_batch(mix), run(mix)
        if found.shape != wanted.shape:
            worst = math.inf
            break
        scale = max(1.0, float(wanted.abs().max()))
        difference = float((found - wanted).abs().max()) / scale
        worst = max(worst, difference if math.isfinite(difference) else 1e9)
    if worst > TOLERANCE:
        raise ConfigError(
            f"The exported model differs from the original by {worst:.1e}, so "
            "nothing was written: export with the versions of torch and "
            "onnxruntime that avsep_sb is tested with."
        )
    return worst

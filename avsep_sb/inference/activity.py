"""When a separated voice speaks, and the RTTM file that tells it.

A frame of a voice is speech where its energy is near the level at which this
voice is active, and where that of the half second around it is near that of
the mixture: breath and reverberation fail the first, what leaks in from
others the second. The active level is that of ITU-T P.56 (method B): the
energy of the voice over the time in which it is less than 15.9 dB below that
level, so pauses of any length do not count. Files are read block by block,
and 100 numbers per second are kept.

Authors
 * avsep_sb contributors
"""

import os
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d

from avsep_sb.errors import DataError
from avsep_sb.inference.wav_blocks import sound_size, wav_blocks

#: seconds of one value of the energy
FRAME_S = 0.01
#: seconds over which the energy is averaged before it is compared with the
#: level of the voice; words begin and end that sharply
SMOOTH_S = 0.05
#: the same for the mixture: a syllable or two, as the soft sounds of a voice
#: may well be far below the loud ones of another
SMOOTH_MIXTURE_S = 0.5
#: margin of P.56 between the active level and its threshold, in dB
P56_MARGIN_DB = 15.9
# What follows is the best for speakers of SynthAV's validation set
# (benchmarks/diarization_tuning.py).
#: a voice that is further below the mixture is what leaked into it, in dB
BELOW_MIXTURE_DB = 12.0
#: what is further below the active level is no speech, in dB
BELOW_ACTIVE_DB = 20.0
#: a shorter gap is part of the speech, in seconds (as in NIST's RT-09)
BRIDGE_S = 0.3
#: shorter sounds are no speech, in seconds
SHORTEST_S = 0.2


class FrameMeans:
    """Means per frame of 10 ms of values that come in blocks.

    Arguments
    ---------
    sample_rate : int
        Hz.
    columns : tuple of int
        Shape of the values of one sample; empty for a single one.

    Example
    -------
    >>> means = FrameMeans(1000)
    >>> means.feed(np.full(15, 4.0))
    >>> means.feed(np.full(10, 4.0))
    >>> means.values().tolist()
    [4.0, 4.0, 4.0]
    """

    def __init__(self, sample_rate, columns=()):
        self.size = max(1, round(FRAME_S * sample_rate))
        self._rest, self._parts = np.zeros((0, *columns)), []

    def feed(self, values):
        """Takes the values of the next samples, [t, ...]."""
        values = np.concatenate([self._rest, values])
        whole = len(values) // self.size * self.size
        frames = values[:whole].reshape(-1, self.size, *values.shape[1:])
        self._parts.append(frames.mean(axis=1).astype(np.float32))
        self._rest = values[whole:]

    def values(self):
        """Means so far, float32 [frames, ...]; the last may be of less."""
        rest = []
        if len(self._rest):
            rest = [self._rest.mean(axis=0, keepdims=True, dtype=np.float32)]
        empty = np.zeros((0, *self._rest.shape[1:]), np.float32)
        return np.concatenate([empty, *self._parts, *rest])


class FrameEnergy(FrameMeans):
    """Mean energy per frame of 10 ms of a signal that comes in blocks.

    Arguments
    ---------
    sample_rate : int
        Hz.

    Example
    -------
    >>> energy = FrameEnergy(1000)
    >>> energy.feed(np.full(15, 2.0))
    >>> energy.values().tolist()
    [4.0, 4.0]
    """

    def feed(self, samples):
        """Takes the next samples, [t]."""
        super().feed(np.square(samples, dtype=np.float64))


def active_level(energy):
    """Level at which a voice is active, after ITU-T P.56, method B.

    Arguments
    ---------
    energy : np.ndarray
        Mean energy per frame, [frames].

    Returns
    -------
    float
        The energy of all frames over the number of those that are less than
        15.9 dB below the result; 0 for silence.

    Example
    -------
    >>> round(active_level(np.r_[np.ones(10), np.full(990, 1e-4)]), 4)
    1.0099
    """
    ordered = np.sort(np.asarray(energy, np.float64))[::-1]
    total = ordered.sum()
    if total <= 0.0:
        return 0.0
    # With the n loudest frames active the level is total / n. As thresholds
    # rise, P.56 takes the first that is within the margin: the largest n
    # whose softest frame is. There is one for any shorter than 10^16 frames.
    levels = total / np.arange(1, len(ordered) + 1)
    fits = ordered >= levels * 10 ** (-P56_MARGIN_DB / 10)
    return float(levels[np.flatnonzero(fits)[-1]])


def spans_of_energy(
    voice,
    mixture=None,
    below_mixture_db=BELOW_MIXTURE_DB,
    below_active_db=BELOW_ACTIVE_DB,
    least_db=-75.0,
    bridge_s=BRIDGE_S,
    shortest_s=SHORTEST_S,
):
    """Where a voice speaks, from energies per frame.

    Arguments
    ---------
    voice : np.ndarray
        Energy per frame of :class:`FrameEnergy`, [frames].
    mixture : np.ndarray or None
        The same of the mixture; None leaves it out of account.
    below_mixture_db : float
        A voice further below the mixture is what leaked into it.
    below_active_db : float
        What is further below its own active level is no speech.
    least_db : float
        What is below that level relative to full scale is no speech.
    bridge_s : float
        A gap of less than so many seconds is part of a span.
    shortest_s : float
        A span of less than so many seconds, once gaps are bridged, does not
        count.

    Returns
    -------
    list of (float, float)
        Start and stop of each span in seconds, in the order of time, apart
        from each other.

    Example
    -------
    >>> voice = np.r_[np.zeros(100), np.ones(100), np.zeros(100)]
    >>> spans_of_energy(voice)
    [(0.98, 2.02)]
    >>> spans_of_energy(voice, mixture=voice + 100)
    []
    """
    level = _smooth(voice, SMOOTH_S)
    floor = max(
        active_level(level) * 10 ** (-below_active_db / 10),
        10 ** (least_db / 10),
    )
    speaks = level > floor
    if mixture is not None:
        if len(mixture) != len(voice):
            raise DataError(
                f"The voice has {len(voice)} frames and the mixture "
                f"{len(mixture)}: give those of one recording."
            )
        heard = _smooth(mixture, SMOOTH_MIXTURE_S)
        near = 10 ** (-below_mixture_db / 10)
        speaks &= _smooth(voice, SMOOTH_MIXTURE_S) > heard * near
    edges = np.flatnonzero(np.diff(np.r_[False, speaks, False].astype(np.int8)))
    spans = []
    for first, stop in edges.reshape(-1, 2).tolist():
        if spans and (first - spans[-1][1]) * FRAME_S < bridge_s:
            first = spans.pop()[0]
        spans.append((first, stop))
    return [
        (round(a * FRAME_S, 3), round(b * FRAME_S, 3))
        for a, b in spans
        if (b - a) * FRAME_S >= shortest_s
    ]


def _smooth(energy, seconds):
    # An odd number of frames, or the mean would lie half a frame beside.
    width = 2 * round(seconds / FRAME_S / 2) + 1
    energy = np.asarray(energy, np.float64)
    return uniform_filter1d(energy, width, mode="constant")


def speech_spans(path, mixture=None, **options):
    """Where a separated voice speaks.

    Arguments
    ---------
    path : str or Path
        The wav of the voice, of any length.
    mixture : str, Path, list of them, or None
        The wav of the mixture, or wavs whose sum it is, such as those of all
        voices and of the residual. None leaves it out of account, and then a
        voice that holds only what leaked into it counts as one that speaks
        softly.
    **options
        Those of :func:`spans_of_energy`.

    Returns
    -------
    list of (float, float)
        Start and stop of each span in seconds. ``DataError`` is raised for
        a file that cannot be read, or that does not fit the mixture.

    Example
    -------
    >>> import soundfile
    >>> path = getfixture("tmp_path") / "voice.wav"
    >>> voice = np.r_[np.zeros(16000), 0.1 * np.ones(16000)]
    >>> soundfile.write(path, voice, 16000)
    >>> speech_spans(path)
    [(0.98, 2.0)]
    """
    if mixture is None:
        mixture = []
    elif isinstance(mixture, (str, os.PathLike)):
        mixture = [mixture]
    energies, heard = _energies([path], mixture)
    return spans_of_energy(
        energies[0].values(), heard.values() if mixture else None, **options
    )


def _energies(voices, mixture):
    """Energies of each voice, and of the sum of the files of a mixture."""
    paths = [*voices, *mixture]
    _, rate = sound_size(paths)
    energies, heard = [FrameEnergy(rate) for _ in voices], FrameEnergy(rate)
    for block in wav_blocks(paths):
        for energy, samples in zip(energies, block.T, strict=False):
            energy.feed(samples)
        heard.feed(block[:, len(voices) :].sum(axis=1))
    return energies, heard


def write_rttm(path, file_id, spans):
    """Writes who speaks when as NIST Rich Transcription Time Marked (RTTM).

    One SPEAKER line per span, in the order of time: type, file, channel,
    start, duration, and the speaker's name as the eighth field (NIST RT-09
    evaluation plan, appendix A).

    Arguments
    ---------
    path : str or Path
        File to write; one that is there is replaced.
    file_id : str
        Name of the recording. Blanks, which separate the fields, become _,
        here and in the names of speakers.
    spans : dict
        Name of a speaker to list of (start, stop) in seconds.

    Returns
    -------
    Path
        The file. ``DataError`` is raised for names that are empty, or the
        same once blanks are replaced; then nothing is written.

    Example
    -------
    >>> path = getfixture("tmp_path") / "talk.rttm"
    >>> _ = write_rttm(path, "talk", {"face1": [(0.5, 2.25)]})
    >>> path.read_text()
    'SPEAKER talk 1 0.500 1.750 <NA> <NA> face1 <NA> <NA>\\n'
    """
    names = {name: "_".join(str(name).split()) for name in spans}
    file_id = "_".join(str(file_id).split())
    if not file_id or not all(names.values()):
        raise DataError("RTTM needs names of at least one letter: give some.")
    if len(set(names.values())) < len(names):
        raise DataError(
            "Two speakers have one name in RTTM, where blanks become _: "
            f"rename one of {', '.join(map(str, names))}."
        )
    rows = sorted(
        (start, stop - start, names[name])
        for name, own in spans.items()
        for start, stop in own
    )
    text = "".join(
        f"SPEAKER {file_id} 1 {start:.3f} {duration:.3f} <NA> <NA> {name} "
        "<NA> <NA>\n"
        for start, duration, name in rows
    )
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return path

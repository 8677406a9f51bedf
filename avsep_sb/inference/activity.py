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


class FrameEnergy:
    """Mean energy per frame of 10 ms of a signal that comes in blocks.

    Arguments
    ---------
    sample_rate : int
        Hz.

    Example
    -------
    >>> energy = FrameEnergy(1000)
    >>> energy.feed(np.full(15, 2.0))
    >>> energy.feed(np.full(10, 2.0))
    >>> energy.values().tolist()
    [4.0, 4.0, 4.0]
    """

    def __init__(self, sample_rate):
        self.size = max(1, round(FRAME_S * sample_rate))
        self._rest, self._parts = np.zeros(0), []

    def feed(self, samples):
        """Takes the next samples, [t]."""
        power = np.square(samples, dtype=np.float64)
        power = np.concatenate([self._rest, power])
        whole = len(power) // self.size * self.size
        self._parts.append(power[:whole].reshape(-1, self.size).mean(axis=1))
        self._rest = power[whole:]

    def values(self):
        """Energies so far, float64 [frames]; the last frame may be short."""
        rest = [self._rest.mean(keepdims=True)] if len(self._rest) else []
        return np.concatenate([np.zeros(0), *self._parts, *rest])


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
    below_mixture_db=9.0,
    below_active_db=P56_MARGIN_DB,
    least_db=-75.0,
    hangover_s=0.2,
    shortest_s=0.1,
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
    hangover_s : float
        Speech goes on for so many seconds after its last frame.
    shortest_s : float
        Shorter sounds, before the hangover, do not count, nor do shorter
        gaps after it, in seconds.

    Returns
    -------
    list of (float, float)
        Start and stop of each span in seconds, in the order of time, apart
        from each other.

    Example
    -------
    >>> voice = np.r_[np.zeros(100), np.ones(100), np.zeros(100)]
    >>> spans_of_energy(voice)
    [(0.98, 2.22)]
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
        if (stop - first) * FRAME_S < shortest_s:
            continue
        stop = min(stop + round(hangover_s / FRAME_S), len(voice))
        if spans and (first - spans[-1][1]) * FRAME_S < shortest_s:
            first = spans.pop()[0]
        spans.append((first, stop))
    return [(round(a * FRAME_S, 3), round(b * FRAME_S, 3)) for a, b in spans]


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


def speech_of_all(voices, rest=(), **options):
    """Where each of the voices of a recording speaks; reads each file once.

    Arguments
    ---------
    voices : dict
        Name to wav of a voice.
    rest : list of str or Path
        What the voices lack to be the mixture, such as the residual.
    **options
        Those of :func:`spans_of_energy`.

    Returns
    -------
    dict
        Name to spans, as of :func:`speech_spans`.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> loud = np.r_[np.zeros(16000), 0.1 * np.ones(16000)]
    >>> soundfile.write(folder / "a.wav", loud, 16000)
    >>> soundfile.write(folder / "b.wav", 0.1 * loud, 16000)
    >>> speech_of_all({"a": folder / "a.wav", "b": folder / "b.wav"})
    {'a': [(0.98, 2.0)], 'b': []}
    """
    if not voices:
        return {}
    energies, heard = _energies([*voices.values()], rest, add=True)
    return {
        name: spans_of_energy(energy.values(), heard.values(), **options)
        for name, energy in zip(voices, energies, strict=True)
    }


def _energies(voices, rest, add=False):
    """Energies of each voice, and of the sum of the rest (and of them)."""
    paths = [*voices, *rest]
    _, rate = sound_size(paths)
    energies, heard = [FrameEnergy(rate) for _ in voices], FrameEnergy(rate)
    for block in wav_blocks(paths):
        for energy, samples in zip(energies, block.T, strict=False):
            energy.feed(samples)
        heard.feed(block[:, 0 if add else len(voices) :].sum(axis=1))
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

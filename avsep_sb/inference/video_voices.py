"""Writes the voices of a recording as they are separated, block by block.

No gain can be known before the last block, so a first pass keeps what comes
out of the model as float32 on disk, and a second one writes all wavs with one
gain. The wavs are PCM of 16 bits, which every player and recogniser reads:
their rounding lies 96 dB below full scale, where no separation reaches.

Authors
 * avsep_sb contributors
"""

import tempfile
from pathlib import Path

import numpy as np
import soundfile

from avsep_sb.dataio.audio import read_audio

#: samples of a block when files are copied
BLOCK = 1 << 16
#: peak of the loudest wav, where it would clip
PEAK = 0.99
# More bytes of sound than a wav can hold; RF64 is a wav of any size.
_WAV_BYTES = 4_000_000_000


class VoiceWriter:
    """Takes blocks of voices and writes one wav for each, and the residual.

    Arguments
    ---------
    folder : str or Path
        Where a temporary file is kept, 4 bytes for each voice and sample.

    Example
    -------
    >>> from avsep_sb.inference.over_time import VoiceBlock
    >>> folder = getfixture("tmp_path")
    >>> writer = VoiceWriter(folder)
    >>> voices = np.full((640, 1), 1.5, np.float32)
    >>> writer.feed(VoiceBlock(0, voices, np.full(640, 1.0, np.float32)))
    >>> paths = [folder / "face1.wav", folder / "residual.wav"]
    >>> gain = writer.write(paths, 16000, 320)
    >>> [round(float(soundfile.read(p)[0][0]), 2) for p in paths]
    [0.99, -0.33]
    >>> round(gain, 2), len(soundfile.read(paths[0])[0])
    (0.66, 320)
    """

    def __init__(self, folder):
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self.peak, self.columns = 0.0, None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def feed(self, block):
        """Keeps the next :class:`avsep_sb.inference.over_time.VoiceBlock`."""
        rows = np.column_stack([block.voices, block.residual])
        self.columns = rows.shape[1]
        self.peak = max(self.peak, float(np.abs(rows).max(initial=0.0)))
        self.file.write(np.ascontiguousarray(rows, np.float32).tobytes())

    def write(self, paths, sample_rate, length=None):
        """Writes the wavs and forgets the voices.

        Arguments
        ---------
        paths : list of Path
            A file for each voice, and the last one for the residual.
        sample_rate : int
            Hz.
        length : int or None
            Samples to write; None for all.

        Returns
        -------
        float
            The gain of all wavs, 1 unless one of them would clip.
        """
        assert len(paths) == self.columns, "a file for each voice, and one more"
        gain = min(1.0, PEAK / self.peak) if self.peak > 0 else 1.0
        step = 4 * self.columns
        kept = self.file.tell() // step
        left = kept if length is None else min(length, kept)
        kind = "RF64" if 2 * left > _WAV_BYTES else "WAV"
        self.file.seek(0)
        wavs = [
            soundfile.SoundFile(
                path, "w", sample_rate, 1, "PCM_16", format=kind
            )
            for path in paths
        ]
        try:
            while left:
                data = self.file.read(min(BLOCK, left) * step)
                rows = np.frombuffer(data, np.float32)
                rows = rows.reshape(-1, self.columns) * np.float32(gain)
                left -= len(rows)
                for wav, column in zip(wavs, rows.T, strict=True):
                    wav.write(column)
        finally:
            for wav in wavs:
                wav.close()
        self.file.close()
        return gain


class WavSamples:
    """The samples of a wav, read when they are asked for.

    Arguments
    ---------
    path : str or Path
        A wav of one channel.
    late_ms : float
        By how much it is to sound later; below 0, earlier. It keeps its
        length: what is not there is silent.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.full(100, 0.5), 16000)
    >>> samples = WavSamples(path)
    >>> len(samples), samples[98:200].tolist()
    (100, [0.5, 0.5])
    >>> WavSamples(path, late_ms=1)[15:17].tolist()
    [0.0, 0.5]
    """

    def __init__(self, path, late_ms=0.0):
        self.path = Path(path)
        info = soundfile.info(path)
        self.rate, self.length = info.samplerate, info.frames
        self._late = round(late_ms * info.samplerate / 1000)
        self._first, self._held = 0, np.zeros(0, np.float32)

    def __len__(self):
        return self.length

    def __getitem__(self, part):
        start, stop, _ = part.indices(self.length)
        low = start - self._first
        if low < 0 or stop > self._first + len(self._held):
            # Encoders ask for a thousand samples at a time, in order.
            self._first, low = start, 0
            count = max(stop - start, BLOCK)
            begin = start - self._late
            self._held = np.zeros(count, np.float32)
            if begin < self.length and begin + count > 0:
                wave = read_audio(
                    self.path, max(0, begin), begin + count, self.rate
                )
                first = max(0, -begin)
                self._held[first : first + len(wave)] = wave
        return self._held[low : low + max(0, stop - start)]


def counted(blocks, done):
    """Passes blocks on, and tells how many samples they held.

    Arguments
    ---------
    blocks : iterable of np.ndarray
        [t] each.
    done : list of int
        Its one number is raised by the length of each block.

    Yields
    ------
    np.ndarray

    Example
    -------
    >>> done = [0]
    >>> [block.tolist() for block in counted([np.zeros(2)], done)], done
    ([[0.0, 0.0]], [2])
    """
    for block in blocks:
        done[0] += len(block)
        yield block

"""The voices of a video, which lie on disk and are read when asked for.

Authors
 * avsep_sb contributors
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from avsep_sb.dataio.audio import read_audio
from avsep_sb.inference.wav_blocks import wav_blocks


class VideoResult:
    """What was written for a video.

    Arguments
    ---------
    folder : str or Path
        The folder of the result.
    table : dict
        Its ``faces.json``; see :mod:`avsep_sb.inference.video_files`.
    skipped : bool
        Whether the result was there already.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name, level in (("face1", 0.25), ("residual", 0.125)):
    ...     soundfile.write(folder / f"{name}.wav", np.full(9, level), 16000)
    >>> faces = [{"name": "face1", "wav": "face1.wav", "mp4": None}]
    >>> table = {"faces": faces, "sample_rate": 16000, "gain": 0.5}
    >>> result = VideoResult(folder, {**table, "residual": "residual.wav"})
    >>> result.voice(0)[:2], result.mixture[:2]
    (tensor([0.5000, 0.5000]), tensor([0.7500, 0.7500]))
    """

    def __init__(self, folder, table, skipped=False):
        self.folder, self.table = Path(folder), table
        self.skipped = skipped
        #: what deletes a temporary folder together with this object
        self.temporary = None

    @staticmethod
    def temporary_folder():
        """A folder to be made, and the object that deletes it."""
        holder = tempfile.TemporaryDirectory(prefix="avsep-voices-")
        return holder, Path(holder.name) / "voices"

    @property
    def names(self):
        """list of str: ``face1`` and so on, or ``speaker1``."""
        return [face["name"] for face in self.table["faces"]]

    @property
    def sample_rate(self):
        """int: of all voices, in Hz."""
        return self.table["sample_rate"]

    @property
    def wavs(self):
        """list of Path: the voices."""
        return [self.folder / face["wav"] for face in self.table["faces"]]

    @property
    def videos(self):
        """list of Path: the videos with one voice; empty if not written."""
        return [
            self.folder / face["mp4"]
            for face in self.table["faces"]
            if face["mp4"]
        ]

    @property
    def residual_wav(self):
        """Path: what no voice holds."""
        return self.folder / self.table["residual"]

    def blocks(self, seconds=20.0):
        """Reads all voices without holding them.

        Arguments
        ---------
        seconds : float
            Length of a block.

        Yields
        ------
        torch.Tensor
            float32 [t, S + 1] at the level of the mixture: the voices and,
            last, the residual. The sum of a row is the mixture.
        """
        for block in wav_blocks([*self.wavs, self.residual_wav], seconds):
            yield torch.from_numpy(block / np.float32(self.table["gain"]))

    def voice(self, number):
        """One voice at the level of the mixture, float32 [T]."""
        wave = read_audio(self.wavs[number], sample_rate=self.sample_rate)
        return torch.from_numpy(wave / np.float32(self.table["gain"]))

    @property
    def sources(self):
        """torch.Tensor: all voices [T, S], 64 kB for each second and voice.

        Use :meth:`blocks` for a recording of hours.
        """
        voices = [self.voice(number) for number in range(len(self.names))]
        return torch.stack(voices, dim=1)

    @property
    def mixture(self):
        """torch.Tensor: the sum of all voices and the residual, [T]."""
        return torch.cat([block.sum(1) for block in self.blocks()])

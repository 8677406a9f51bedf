"""Writes separated voices as wav files that never clip.

Authors
 * avsep_sb contributors
"""

import os
from pathlib import Path

import soundfile
import torch

from avsep_sb.errors import ConfigError


def save_voices(sources, out_dir, stem, sample_rate, overwrite=False):
    """Writes one wav per voice.

    One common gain keeps the loudest sample below full scale, so the voices
    stay as loud relative to each other as they were; without an overload
    nothing is scaled.

    Arguments
    ---------
    sources : torch.Tensor
        ``[T, S]`` or ``[1, T, S]``.
    out_dir : str or Path
        Folder, made if missing.
    stem : str
        Files are ``<stem>1.wav``, ``<stem>2.wav`` and so on.
    sample_rate : int
        In Hz.
    overwrite : bool
        Whether files that are there may be replaced.

    Returns
    -------
    list of Path
        The files. ``ConfigError`` names one that is there already; then
        nothing is written.

    Example
    -------
    >>> folder = getfixture("tmpdir")
    >>> paths = save_voices(torch.zeros(640, 2), folder, "face", 16000)
    >>> [p.name for p in paths]
    ['face1.wav', 'face2.wav']
    """
    sources = torch.as_tensor(sources).detach().float().cpu()
    if sources.ndim == 3:
        sources = sources.squeeze(0)
    out_dir = Path(out_dir)
    paths = [out_dir / f"{stem}{k + 1}.wav" for k in range(sources.shape[1])]
    for path in paths:
        if path.exists() and not overwrite:
            raise ConfigError(
                f"'{path}' exists; name another folder or ask to overwrite."
            )
    out_dir.mkdir(parents=True, exist_ok=True)
    peak = float(sources.abs().max()) if sources.numel() else 0.0
    gain = min(1.0, 0.99 / peak) if peak > 0 else 1.0
    for path, voice in zip(paths, sources.T, strict=True):
        partial = path.with_name(f".{path.name}.part")
        soundfile.write(
            partial, (voice * gain).numpy(), sample_rate, format="WAV"
        )
        os.replace(partial, path)
    return paths

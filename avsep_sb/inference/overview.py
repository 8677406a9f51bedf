"""One picture of a result: who is in view, who speaks, and how it sounds.

Authors
 * avsep_sb contributors
"""

from pathlib import Path

from avsep_sb.errors import DataError
from avsep_sb.figures import save_figure
from avsep_sb.inference.diarization import speech_of_faces
from avsep_sb.inference.overview_sheet import COLUMNS, OverviewSheet
from avsep_sb.inference.pooled_spectrogram import PooledSpectrogram
from avsep_sb.inference.video_files import OVERVIEW, TABLE, read_table
from avsep_sb.inference.wav_blocks import sound_size, wav_blocks


def draw_overview(folder, out=None):
    """Draws the result of ``avsep separate``.

    On top the mixture, then each voice, then the residual, as spectrograms
    that share one colour scale. Above each voice there are its timelines:
    the face (in view or not, and how well its mouth can be seen), the means
    by which its voice was separated, and when it speaks. However long the
    recording, the picture has as many columns as a screen shows: a column in
    which there is more than one state is divided between them.

    Arguments
    ---------
    folder : str or Path
        Where ``faces.json`` and the wavs are, as told in
        :mod:`avsep_sb.inference.video_files`. Without ``speech`` in it,
        speech is sought in the wavs.
    out : str or Path or None
        The PNG, which is replaced if it is there; None for ``overview.png``
        in the folder.

    Returns
    -------
    Path
        The PNG. ``DataError`` is raised if the folder holds no result, or
        lacks a wav of it; then nothing is written.

    Example
    -------
    >>> import json, soundfile
    >>> import numpy as np
    >>> folder = getfixture("tmp_path")
    >>> for name in ("face1.wav", "residual.wav"):
    ...     soundfile.write(folder / name, np.zeros(8000), 16000)
    >>> face = {"name": "face1", "wav": "face1.wav", "spans": [[0, 0.4]]}
    >>> table = {"faces": [face], "residual": "residual.wav"}
    >>> _ = (folder / "faces.json").write_text(json.dumps(table))
    >>> draw_overview(folder).name
    'overview.png'
    """
    folder = Path(folder)
    table = read_table(folder)
    if table is None:
        raise DataError(
            f"'{folder}' holds no {TABLE} of a result: give a folder that "
            "avsep separate wrote."
        )
    faces = table["faces"]
    try:
        voices = {face["name"]: folder / face["wav"] for face in faces}
        rest = [folder / table["residual"]] if table.get("residual") else []
    except (KeyError, TypeError) as err:
        raise DataError(
            f"{TABLE} in '{folder}' names no wav of some face ({err}): "
            "separate the video again."
        ) from err
    if not voices and not rest:
        raise DataError(f"{TABLE} in '{folder}' names no voices at all.")
    if any("speech" not in face for face in faces):
        found = speech_of_faces(voices, rest)
        faces = [{"speech": found[face["name"]], **face} for face in faces]
    table = {"video": folder.name, **table, "faces": faces}
    levels, extent = _spectra([*voices.values(), *rest])
    total, rate = sound_size([*voices.values(), *rest])
    sheet = OverviewSheet(table, total / rate, folder)
    figure = sheet.draw(levels, extent)
    return save_figure(figure, folder / OVERVIEW if out is None else out)


def _spectra(paths):
    """Spectrograms of the sum and of each file, and their extent."""
    total, rate = sound_size(paths)
    pools = [
        PooledSpectrogram(total, rate, COLUMNS) for _ in range(len(paths) + 1)
    ]
    for block in wav_blocks(paths):
        pools[0].feed(block.sum(axis=1))
        for pool, samples in zip(pools[1:], block.T, strict=True):
            pool.feed(samples)
    extent = (0.0, pools[0].seconds, 0.0, rate / 2000)
    return [pool.levels() for pool in pools], extent

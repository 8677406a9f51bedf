"""The folder of a result: its files, and how it comes to be all or nothing.

A folder ``OUT/<name of the video>/`` holds, for each face (``face1``,
``face2`` ... by the second in which they come, then from left to right)

=====================  ====================================================
``face1.wav``          the voice, PCM of 16 bits at the model's rate, as long
                       as the sound of the video; sample 0 sounds with the
                       first video frame
``face1.mp4``          the video with that voice alone
``face1.png``          who it is
``face1_mouths.png``   what the model saw of the mouth
=====================  ====================================================

and ``residual.wav`` (what no voice holds), ``faces.json``, ``faces.rttm``
(who speaks when) and ``overview.png``. All wavs have one common gain, so that
nothing clips: their sum is the mixture, less a constant offset if it has one,
times ``gain``. Without a face the voices are ``speaker1.wav``,
``speaker2.wav`` ..., and have no pictures.

``faces.json`` is an object; times are in seconds from the first video frame::

    {"version": 2,
     "video": "meeting.mp4",           file name, without its folder
     "bytes": 123456,                  its size, by which it is known again
     "settings": {...},                what the result depends on
     "model": "iianet-synthav",        names of the pretrained folders
     "audio_model": "iianet-synthav-audio",      or null
     "avsep_sb": "0.1.0",              version that made it
     "fps": 25,                        of the faces, not of the video
     "sample_rate": 16000,             of the wavs
     "seconds": 61.44,                 length of the wavs
     "frames": 1536,                   of the faces, from time 0
     "size": [1280, 720],              of the upright picture; null without
     "cuts": [0.0, 12.2],              where shots begin
     "gain": 1.0,                      of all wavs
     "residual": "residual.wav",
     "files": ["face1.wav", ...],      all files that were written
     "faces": [                        one for each voice
       {"name": "face1",
        "wav": "face1.wav",
        "mp4": "face1.mp4",            null with --no-video
        "thumbnail": "face1.png",      null for speakers
        "sheet": "face1_mouths.png",   null for speakers
        "spans": [[0.0, 12.2]],        when the face is in the picture
        "boxes": [[0.0, 10, 20, 64, 80]],    [time, left, top, width, height]
                                       in pixels, each second of a span and
                                       at its ends
        "quality": {"found": 0.9, "missing": 0.1},   parts of the spans
        "quality_spans": [[0.0, 11.0, "found"], [11.0, 12.2, "missing"]],
        "rungs": [[0.0, 12.2, "lips"], [12.2, 61.44, "absent"]],
        "label_confidence": [[0.0, 12.2, 0.98]],     how sure it is that the
                                       voice is this face's; only with
                                       --label-by-lips
        "speech": [[0.4, 3.1], [5.2, 11.7]],     as in faces.rttm
        "offset_ms": 40.0,             lips later than sound; null: not known
        "offset_corrected_ms": 0.0}]}  how much of it the voice allows for

``quality`` has the names of :class:`avsep_sb.vision.quality.Quality` in small
letters, ``rungs`` those of :class:`avsep_sb.inference.fallback.Rung`:
``lips``, ``audio``, ``held``, ``absent`` or, with ``--label-by-lips`` and more
faces than voices, ``no voice``; together from 0 to ``seconds``.

Authors
 * avsep_sb contributors
"""

import json
import os
import shutil
import zlib
from contextlib import contextmanager
from pathlib import Path

from avsep_sb.errors import ConfigError

FORMAT = 2
TABLE = "faces.json"
RTTM = "faces.rttm"
RESIDUAL = "residual.wav"
OVERVIEW = "overview.png"
#: bytes that a file name may have
LONGEST_NAME = 255


def read_table(folder, name=TABLE):
    """Reads the ``faces.json`` of a result.

    Arguments
    ---------
    folder : str or Path
        The folder of a result.
    name : str
        File of the table; results of other kinds have others.

    Returns
    -------
    dict or None
        None if the folder holds no result.

    Example
    -------
    >>> read_table(getfixture("tmp_path")) is None
    True
    """
    try:
        table = json.loads((Path(folder) / name).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(table, dict) and isinstance(table.get("faces"), list)
    return table if known else None


def write_table(folder, table, name=TABLE):
    """Writes ``faces.json``, with the list of all files beside it.

    Arguments
    ---------
    folder : str or Path
        The folder, with all its other files.
    table : dict
        All but ``files``.
    name : str
        File of the table.

    Returns
    -------
    dict
        The table as written.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "face1.wav").touch()
    >>> write_table(folder, {"faces": []})["files"]
    ['face1.wav', 'faces.json']
    """
    folder = Path(folder)
    names = {path.name for path in folder.iterdir()} | {name}
    table = {**table, "files": sorted(names)}
    text = json.dumps(table, ensure_ascii=False)
    (folder / name).write_text(text + "\n", "utf-8")
    return table


def earlier_result(folder, video, settings, overwrite=False):
    """What a folder holds before a video is separated into it.

    Arguments
    ---------
    folder : str or Path
        The folder of the result.
    video : str or Path
        The video.
    settings : dict
        What the result depends on; JSON can hold it.
    overwrite : bool
        Whether an earlier result may be replaced. A folder that no result
        was written to never is.

    Returns
    -------
    dict or None
        The table of the same result, which need not be made again; None if
        it is to be made. ``ConfigError`` is raised if the folder holds
        something else.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> earlier_result(folder, "a.mp4", {}) is None
    True
    >>> (folder / "mine.txt").touch()
    >>> earlier_result(folder, "a.mp4", {}, overwrite=True)
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: '...' holds files that are no result of...
    """
    return earlier_table(folder, result_mark(video, settings), overwrite)


def earlier_table(folder, mark, overwrite=False, name=TABLE):
    """The same as :func:`earlier_result`, for results of any kind.

    Arguments
    ---------
    folder : str or Path
        The folder of the result.
    mark : dict
        What the table of the same result says.
    overwrite : bool
        As there.
    name : str
        File of the table.

    Returns
    -------
    dict or None
        As there.
    """
    folder = Path(folder)
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise ConfigError(f"'{folder}' is a file; name a folder for results.")
    try:
        empty = not any(folder.iterdir())
    except OSError as err:
        raise ConfigError(
            f"'{folder}' cannot be read ({err.strerror}); name another folder."
        ) from err
    table = read_table(folder, name)
    if empty or (table and overwrite):
        return None
    if table is None:
        raise ConfigError(
            f"'{folder}' holds files that are no result of avsep; name "
            "another folder with --out."
        )
    if all(table.get(key) == value for key, value in mark.items()):
        return table
    raise ConfigError(
        f"'{folder}' holds the result of another video, or of other options; "
        "name another folder with --out, or add --overwrite."
    )


def result_mark(video, settings):
    """The part of a table by which the result is known again.

    Arguments
    ---------
    video : str or Path
        The video.
    settings : dict
        What the result depends on.

    Returns
    -------
    dict
    """
    video = Path(video)
    return {
        "version": FORMAT,
        "video": video.name,
        "bytes": video.stat().st_size if video.is_file() else None,
        "settings": json.loads(json.dumps(settings)),
    }


@contextmanager
def all_or_nothing(folder, name=TABLE):
    """Makes a folder under another name, and renames it when it is whole.

    Arguments
    ---------
    folder : str or Path
        The folder wanted; :func:`earlier_result` has agreed. Of an earlier
        result, the files that were added to it are kept.
    name : str
        File of its table.

    Yields
    ------
    Path
        An empty folder beside it, ``.<name>.avsep-part``, to write to. What
        an interrupted run left there is deleted first; it is deleted too if
        an error is raised. ``ConfigError`` is raised if nothing can be
        written there.

    Example
    -------
    >>> folder = getfixture("tmp_path") / "a"
    >>> with all_or_nothing(folder) as part:
    ...     _ = (part / "face1.wav").write_text("sound")
    ...     print(folder.exists())
    False
    >>> [path.name for path in folder.iterdir()]
    ['face1.wav']
    """
    folder = Path(folder)
    part = _beside(folder, ".avsep-part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if _old(folder).is_dir() and not folder.exists():
            # An earlier run ended between two renames.
            os.rename(_old(folder), folder)
        _delete(part)
        part.mkdir()
    except OSError as err:
        raise ConfigError(
            f"nothing can be written to '{folder.parent}' ({err.strerror}); "
            "name another folder with --out."
        ) from err
    try:
        yield part
        _put(part, folder, name)
    except OSError as err:
        raise ConfigError(
            f"'{folder}' cannot be written ({err.strerror}); free some space "
            "or name another folder with --out."
        ) from err
    finally:
        _delete(part)


def _put(part, folder, name):
    if not folder.exists():
        os.rename(part, folder)
        return
    table = read_table(folder, name) or {}
    old = _old(folder)
    _delete(old)
    os.rename(folder, old)
    os.rename(part, folder)
    ours = {*_files_of(table), name}
    for path in sorted(old.iterdir()):
        # What somebody added to a result is not ours to delete.
        if path.name not in ours and not (folder / path.name).exists():
            os.rename(path, folder / path.name)
    _delete(old)


def _old(folder):
    return _beside(folder, ".avsep-old")


def _beside(folder, ending):
    """A hidden name in the same place; systems allow 255 bytes."""
    name = f".{folder.name}{ending}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        whole = os.fsencode(folder.name)
        begin = whole[: LONGEST_NAME // 2].decode("utf-8", "ignore")
        name = f".{begin}.{zlib.crc32(whole):08x}{ending}"
    return folder.with_name(name)


def _files_of(table):
    """All files of a result, of the format before this one as well."""
    yield from table.get("files", [])
    yield from (TABLE, "mouths.png", "spectrogram.png")
    for face in table.get("faces", []):
        if isinstance(face, dict):
            yield from face.get("files", [])


def _delete(folder):
    if folder.is_dir():
        shutil.rmtree(folder)

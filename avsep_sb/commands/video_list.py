"""Which videos a command line names, and where the results of each go.

Authors
 * avsep_sb contributors
"""

import os
from pathlib import Path

from avsep_sb.errors import ConfigError
from avsep_sb.inference.video_files import read_table

#: what counts as a video in a folder; a file that is named is always taken
SUFFIXES = frozenset(
    ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm "
    ".wmv".split()
)


def list_videos(names, out):
    """Lists videos with the folders of their results.

    Arguments
    ---------
    names : list of str or Path
        Files, and folders of which all videos are taken, with those of the
        folders in them. Results and hidden files are passed over.
    out : str or Path
        Results of a file go to ``out/<name without suffix>``; those of a
        file in a folder below the one named to the same folder below
        ``out``.

    Returns
    -------
    list of (Path, Path)
        Video and folder, sorted within each folder. ``ConfigError`` is
        raised for a folder that cannot be read or holds no video, and if two
        videos would be written to one folder.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "day1").mkdir()
    >>> for name in ("b.mp4", "a.mkv", "notes.txt", "day1/b.mp4"):
    ...     (folder / name).touch()
    >>> for video, result in list_videos([folder], "out"):
    ...     print(video.relative_to(folder), result)
    a.mkv out/a
    b.mp4 out/b
    day1/b.mp4 out/day1/b
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"'{out}' is a file; name a folder with --out.")
    jobs, taken = [], {}
    for name in map(Path, names):
        if name.is_dir():
            found = [
                (video, video.relative_to(name)) for video in _walk(name, out)
            ]
            if not found:
                raise ConfigError(
                    f"'{name}' holds no video; name one that does, or a file."
                )
        else:
            found = [(name, Path(name.name))]
        for video, place in found:
            stem = place.stem.strip()
            if not stem.strip("."):  # .. is another folder, not a name
                stem = "video"
            folder = out / place.with_name(stem)
            key = os.path.normcase(folder)
            if key in taken:
                raise ConfigError(
                    f"{taken[key]} and {video} would both be written to "
                    f"'{folder}'; separate them into two folders."
                )
            taken[key] = video
            jobs.append((video, folder))
    return jobs


def _walk(folder, out):
    """Videos of a folder, sorted; those of results are left out."""
    out = out.resolve()
    for here, folders, names in os.walk(folder, onerror=_cannot_read):
        here = Path(here)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and (here / name).resolve() != out
            and read_table(here / name) is None
        )
        for name in sorted(names):
            hidden = name.startswith(".")
            if Path(name).suffix.lower() in SUFFIXES and not hidden:
                yield here / name


def _cannot_read(err):
    raise ConfigError(
        f"'{err.filename}' cannot be read ({err.strerror}); change its "
        "rights, or name the videos one by one."
    ) from err

"""Simulates rooms once, for trainings to draw from.

Image method (Allen and Berkley, "Image method for efficiently simulating
small-room acoustics", JASA 1979) by pyroomacoustics, which
``pip install 'avsep_sb[rooms]'`` brings:

    python -m avsep_sb.dataio.simulate_rooms --out ROOMS --rooms 1000

writes one file per room with one channel per place, as
:class:`avsep_sb.dataio.rooms.RirFolder` reads them.

Authors
 * avsep_sb contributors
"""

import argparse
import csv
import json
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from avsep_sb.dataio.jobs import run_jobs
from avsep_sb.errors import ConfigError, DataError, run_or_explain

SIZE_M = ((3.0, 8.0), (3.0, 6.0), (2.4, 3.5))
"""Bounds of length, width and height of a room, in metres."""

RT60_S = (0.15, 0.6)
"""Bounds of the time in which a sound decays by 60 dB, in seconds."""

DISTANCE_M = (0.5, 3.0)
"""Bounds of the distance of a place from the microphone, in metres."""

_WALL_M = 0.5
# Heights of mouths and microphones above the floor, in metres.
_HEIGHT_M = (1.0, 1.8)
_TRIES = 1000
# What is so far below the direct path ends a response.
_END_DB = 60.0


def draw_room(seed, index, places):
    """Draws a room in the shape of a box, and where people are in it.

    Arguments
    ---------
    seed, index : int
        The same numbers give the same room.
    places : int
        Positions of voices.

    Returns
    -------
    dict
        ``size`` [3] and ``microphone`` [3] in metres, ``voices``
        [places][3], and ``rt60`` in seconds. The reverberation time is one
        that Sabine's formula allows for the size.

    Example
    -------
    >>> room = draw_room(seed=1, index=0, places=2)
    >>> len(room["voices"]), 0.15 <= room["rt60"] <= 0.6
    (2, True)
    """
    rng = np.random.default_rng([seed, index])
    for _ in range(_TRIES):
        size = np.array([rng.uniform(*bounds) for bounds in SIZE_M])
        rt60 = float(rng.uniform(*RT60_S))
        sides = size * np.roll(size, 1)
        # Sabine: the walls can at most take all that hits them
        if 0.161 * size.prod() / (2 * sides.sum()) < 0.9 * rt60:
            break
    else:
        raise ConfigError("no room has the reverberation times of RT60_S.")
    microphone = _place(rng, size)
    voices = []
    for _ in range(_TRIES):
        if len(voices) == places:
            break
        voice = _place(rng, size)
        distance = np.linalg.norm(voice - microphone)
        if DISTANCE_M[0] <= distance <= DISTANCE_M[1]:
            voices.append(voice)
    if len(voices) < places:
        raise ConfigError(
            f"no {places} places fit into a room: ask for fewer places."
        )
    return {
        "size": size.tolist(),
        "rt60": rt60,
        "microphone": microphone.tolist(),
        "voices": [voice.tolist() for voice in voices],
    }


def _place(rng, size):
    flat = rng.uniform(_WALL_M, size[:2] - _WALL_M)
    return np.append(flat, rng.uniform(*_HEIGHT_M))


def simulate_room(room, sample_rate=16000):
    """The impulse responses of a room, by the image method.

    Arguments
    ---------
    room : dict
        As :func:`draw_room` makes it.
    sample_rate : int
        In Hz.

    Returns
    -------
    np.ndarray
        [L, places] float32, to where the last one has decayed by 60 dB.
        ``ConfigError`` is raised if pyroomacoustics is not installed.
    """
    try:
        import pyroomacoustics
    except ImportError as err:
        raise ConfigError(
            "rooms are simulated by pyroomacoustics, which is not installed: "
            "pip install 'avsep_sb[rooms]'."
        ) from err
    absorption, order = pyroomacoustics.inverse_sabine(
        room["rt60"], room["size"]
    )
    box = pyroomacoustics.ShoeBox(
        room["size"],
        fs=sample_rate,
        materials=pyroomacoustics.Material(absorption),
        max_order=order,
    )
    for voice in room["voices"]:
        box.add_source(voice)
    box.add_microphone(room["microphone"])
    box.compute_rir()
    length = max(len(wave) for wave in box.rir[0])
    waves = np.stack(
        [np.pad(wave, (0, length - len(wave))) for wave in box.rir[0]], axis=1
    )
    loud = np.abs(waves).max(1) > np.abs(waves).max() * 10 ** (-_END_DB / 20)
    end = int(np.flatnonzero(loud)[-1]) + 1
    return waves[:end].astype(np.float32)


def simulate_rooms(
    folder, rooms=1000, places=5, seed=1234, sample_rate=16000, workers=None
):
    """Fills a folder with rooms; a run that was stopped goes on.

    Arguments
    ---------
    folder : str or Path
        Gets ``room00000.wav`` and so on, float32, one channel per place;
        ``rooms.csv``, their sizes and reverberation times; ``rooms.json``,
        the settings.
    rooms : int
        How many. Room n is the same for every number.
    places : int
        Positions of voices in each: as many as a mixture has voices, those
        off-screen included.
    seed : int
        From 0 on.
    sample_rate : int
        In Hz.
    workers : int or None
        Processes; None takes one per processor, 0 works in this one.

    Returns
    -------
    int
        How many rooms were missing. ``ConfigError`` is raised for a folder
        of other settings, ``DataError`` for rooms that failed.
    """
    folder = Path(folder)
    for name, value in (("rooms", rooms), ("places", places)):
        if value < 1:
            raise ConfigError(f"{name} is {value} but must be above 0.")
    settings = {"places": places, "seed": seed, "sample_rate": sample_rate}
    record = folder / "rooms.json"
    if record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
        if before != settings:
            raise ConfigError(
                f"{folder} holds rooms of {before}, but {settings} are asked "
                "for: choose another folder or delete this one."
            )
    folder.mkdir(parents=True, exist_ok=True)
    _write(record, json.dumps(settings).encode())
    todo = [n for n in range(rooms) if not _path(folder, n).is_file()]
    work = partial(
        _one, folder=folder, places=places, seed=seed, sample_rate=sample_rate
    )
    failures = run_jobs(work, todo, workers, "rooms")
    if failures:
        first, reason = sorted(failures.items())[0]
        raise DataError(
            f"{len(failures)} of {rooms} rooms failed, first room {first}: "
            f"{reason}"
        )
    lines = [["file", "length_m", "width_m", "height_m", "rt60_s"]]
    for n in range(rooms):
        room = draw_room(seed, n, places)
        figures = [f"{value:.3f}" for value in [*room["size"], room["rt60"]]]
        lines.append([_path(folder, n).name, *figures])
    with open(folder / "rooms.csv", "w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(lines)
    return len(todo)


def _path(folder, index):
    return folder / f"room{index:05d}.wav"


def _one(index, folder, places, seed, sample_rate):
    waves = simulate_room(draw_room(seed, index, places), sample_rate)
    part = folder / f".room{index:05d}.wav"
    soundfile.write(part, waves, sample_rate, subtype="FLOAT")
    os.replace(part, _path(folder, index))


def _write(path, data):
    part = path.with_name(f".{path.name}")
    part.write_bytes(data)
    os.replace(part, path)


def main(argv=None):
    """The command ``python -m avsep_sb.dataio.simulate_rooms``.

    Arguments
    ---------
    argv : list of str, optional
        Arguments; those of the process if not given.

    Returns
    -------
    int
        0; errors are raised.
    """
    parser = argparse.ArgumentParser(
        prog="python -m avsep_sb.dataio.simulate_rooms",
        description=__doc__.split("\n")[0],
    )
    parser.add_argument("--out", required=True, help="folder of the rooms")
    parser.add_argument("--rooms", type=int, default=1000)
    parser.add_argument("--places", type=int, default=5, help="in each room")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--workers", type=int, default=None)
    args = parser.parse_args(argv)
    made = simulate_rooms(
        args.out, args.rooms, args.places, args.seed, workers=args.workers
    )
    print(f"{made} rooms simulated; {args.out} holds {args.rooms}.")
    return 0


if __name__ == "__main__":
    sys.exit(run_or_explain(main))

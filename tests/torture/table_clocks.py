"""Rows about the sound itself, and when sound and picture begin and end."""

import av
import numpy as np

from tests.torture.films import PADDING, RATE, Given, write_film, write_sound
from tests.torture.rows import Refused, Right, Row, film

SPEAKERS = ("--speakers", "2")
PCM = {"codec": "pcm_s16le"}
FLOAT = {"codec": "pcm_f32le"}


def with_sound(value):
    """Puts a value in the middle of the sound."""

    def change(sound):
        sound = sound.copy()
        sound[9000:9010] = value
        return sound

    return change


def tail(seconds):
    """Leaves out the beginning; what follows stays where it was."""
    return lambda sound: sound[round(seconds * RATE) :]


def earlier(seconds):
    """Sound from before the first picture."""

    def change(sound):
        before = 0.1 * np.sin(np.arange(round(seconds * RATE)) * 0.3)
        return np.concatenate([before, sound])

    return change


def hiss(sound):
    """What a recorder writes of a silent room."""
    return np.random.default_rng(0).integers(-1, 2, len(sound)) / 32768


def opposite(sound):
    """The wires of one side are swapped: nothing is left of their mean."""
    return np.stack([sound, -sound])


def gap(scene, folder):
    """0.2 s of sound are missing, as where a recorder dropped packets."""
    given = write_film(folder / "f.mkv", scene.frames, scene.sound, **PCM)
    path = folder / "gap.mkv"
    with av.open(given.paths[0]) as old, av.open(str(path), "w") as new:
        streams = {s: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            sound = packet.stream.type == "audio"
            if sound and 0.5 <= packet.pts * packet.time_base < 0.7:
                continue
            packet.stream = streams[packet.stream]
            new.mux(packet)
    return Given([str(path)], given.seconds, given.slack)


def no_packets(scene, folder):
    """A sound track that is declared, with nothing in it."""
    path = folder / "nothing.mkv"
    write_film(path, scene.frames, np.zeros(0), **PCM)
    return Given([str(path)])


def two_rates(scene, folder):
    """The sampling rate changes on the way."""
    parts = []
    for rate in (16000, 32000):
        path = folder / f"{rate}.ts"
        write_film(path, scene.frames, scene.sound, rate=rate, codec="mp2")
        parts.append(path.read_bytes())
    (folder / "two.ts").write_bytes(b"".join(parts))
    return Given([str(folder / "two.ts")])


def cover(scene, folder):
    """A picture that is not shown in time."""
    path = folder / "cover.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        image = out.add_stream("png")
        image.height, image.width = scene.frames[0].shape[:2]
        image.pix_fmt = "rgb24"
        image.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(scene.frames[0], format="rgb24")
        out.mux(image.encode(frame))
        out.mux(image.encode(None))
        write_sound(out, sound, scene.sound, RATE, "mono", 0.0)
    seconds = len(scene.sound) / RATE
    return Given([str(path)], seconds, PADDING, has_picture=False)


ROWS = [
    Row(
        "steps of the last bit",
        film("f.mov", sound=hiss, **PCM),
        # Nobody's voice: a face may get all of it, or none.
        Right(sound=None, each_heard=False),
    ),
    Row(
        "digital zeros",
        film(sound=np.zeros_like, **PCM, name="f.mov"),
        Right(silent=True),
        overview=True,
    ),
    Row("zeros, coded", film(sound=np.zeros_like), Right(silent=True)),
    Row(
        "clipped",
        film("f.mov", sound=lambda s: np.clip(9 * s, -1, 1), **PCM),
        Right(like=-5, sound=3),
    ),
    Row(
        "beyond full scale",
        film("f.mkv", sound=lambda s: 9 * s, **FLOAT),
        Right(like=10),
    ),
    Row(
        "DC offset",
        film("f.mov", sound=lambda s: s / 2 + 0.3, **PCM),
        Right(like=8),
    ),
    Row(
        "40 dB too quiet",
        film("f.mkv", sound=lambda s: s / 100, **FLOAT),
        Right(like=10),
    ),
    Row(
        "NaN in the sound",
        film("f.mkv", sound=with_sound(np.nan), **FLOAT),
        Refused("NaN or infinite.*export"),
    ),
    Row(
        "infinite samples",
        film("f.mkv", sound=with_sound(np.inf), **FLOAT),
        Refused("NaN or infinite.*export"),
    ),
    Row(
        "sound 0.5 s longer than picture",
        film("f.mov", sound=lambda s: np.concatenate([s, s[:8123]]), **PCM),
        Right(like=0),
        videos=True,
    ),
    Row(
        "picture longer than sound",
        film("f.mov", sound=lambda s: s[:12345], **PCM),
        Right(like=5, span=(0, 0.75)),
        videos=True,
        overview=True,
    ),
    Row(
        "sound starts 0.5 s late",
        film("f.mov", sound=tail(0.5), sound_at=0.5, **PCM),
        Right(span=(0.5, 1.2)),
        videos=True,
    ),
    Row(
        "sound starts 0.5 s late in Matroska",
        film("f.mkv", sound=tail(0.5), sound_at=0.5, **PCM),
        Right(span=(0.5, 1.2)),
    ),
    Row(
        "sound starts before the picture",
        film("f.mkv", sound=earlier(0.3), picture_at=0.3, **PCM),
        Right(like=10),
        videos=True,
    ),
    Row(
        "negative start time",
        film(sound=earlier(0.3), sound_at=-0.3),
        Right(like=8),
        videos=True,
    ),
    Row(
        "negative start time of the picture",
        film("f.mov", sound_at=-0.2, picture_at=-0.2, **PCM),
        Right(like=8, shift=0.2, span=(0, 1)),
        videos=True,
    ),
    Row(
        "start time of 3 hours",
        film("f.mkv", sound_at=10800.0, picture_at=10800.0, **PCM),
        Right(like=10),
        videos=True,
    ),
    Row("0.2 s of sound missing", gap, Right(sound=5)),
    Row(
        "time stamps jump by an hour",
        film("f.mkv", times=[k / 25 + 3600 * (k > 9) for k in range(30)]),
        Refused("time stamps.*re-encode"),
    ),
    Row("two sound tracks", film("f.mkv", tracks=2, **PCM), Right(like=10)),
    Row(
        "sampling rate changes on the way",
        two_rates,
        Refused("sampling rate changes.*re-encode"),
    ),
    Row("no sound", film(sound=None), Refused("no sound track")),
    Row(
        "a sound track without samples",
        no_packets,
        Refused("no sound|no samples"),
    ),
    Row(
        "sound alone",
        film("f.m4a", frames=None),
        Refused("no picture.*--speakers"),
    ),
    Row(
        "sound alone, 2 speakers",
        film("f.m4a", frames=None),
        Right(by_face=False),
        ("--speakers", "2"),
    ),
    Row(
        "a wav, 2 speakers",
        film("f.wav", frames=None, **PCM),
        Right(by_face=False),
        ("--speakers", "2"),
        overview=True,
    ),
]

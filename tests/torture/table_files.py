"""Rows about files, names and folders, whole and torn."""

import os

import cv2

from tests.torture.films import Given, write_film
from tests.torture.rows import Refused, Right, Row, film, raw


def plain(scene, folder, name="plain.mp4"):
    return write_film(folder / name, scene.frames, scene.sound)


def torn(name, part, **options):
    """The first part of a file."""

    def make(scene, folder):
        path = folder / name
        write_film(path, scene.frames, scene.sound, **options)
        data = path.read_bytes()
        path.write_bytes(data[: round(part * len(data))])
        return Given([str(path)])

    return make


def headless(scene, folder):
    """What is left when the first part of a stream was not recorded."""
    path = folder / "late.ts"
    options = {"preset": "ultrafast", "g": "8", "crf": "10"}
    write_film(path, scene.frames, scene.sound, options=options)
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 3 // 188 * 188 :])
    return Given([str(path)])


def damaged(scene, folder):
    """Some bytes are wrong in the middle of each third packet."""
    path = folder / "damaged.ts"
    given = write_film(path, scene.frames, scene.sound)
    data = bytearray(path.read_bytes())
    for begin in range(len(data) // 3, len(data) * 2 // 3, 188 * 40):
        data[begin + 60 : begin + 90] = bytes(30)
    path.write_bytes(data)
    return Given([str(path)], given.seconds, given.slack)


def picture(scene, folder):
    """A PNG under the name of a video."""
    ok, data = cv2.imencode(".png", scene.frames[0][..., ::-1])
    assert ok
    return raw("picture.mp4", data.tobytes())(scene, folder)


def no_head(scene, folder):
    """The index at the end is missing: the recorder was cut off."""
    return torn("cut.mp4", 0.8)(scene, folder)


def no_rights(scene, folder):
    given = plain(scene, folder)
    os.chmod(given.paths[0], 0)
    return given


def locked_out(scene, folder):
    (folder / "locked").mkdir(mode=0o500)
    given = plain(scene, folder)
    given.options = ["--out", str(folder / "locked" / "out")]
    return given


def out_is_a_file(scene, folder):
    (folder / "taken").write_text("mine")
    given = plain(scene, folder)
    given.options = ["--out", str(folder / "taken")]
    return given


def result_is_a_file(scene, folder):
    (folder / "out").mkdir()
    (folder / "out" / "plain").write_text("mine")
    given = plain(scene, folder)
    given.options = ["--out", str(folder / "out")]
    return given


def result_exists(scene, folder):
    (folder / "out" / "plain").mkdir(parents=True)
    (folder / "out" / "plain" / "notes.txt").write_text("mine")
    given = plain(scene, folder)
    given.options = ["--out", str(folder / "out")]
    return given


def same_stem(scene, folder):
    first = plain(scene, folder)
    (folder / "more").mkdir()
    second = plain(scene, folder / "more", "plain.mkv")
    return Given(first.paths + second.paths)


def good_and_bad(scene, folder):
    bad = raw("bad.mp4", b"no video")(scene, folder)
    return Given(bad.paths + plain(scene, folder).paths)


def relative(name, result=None):
    """Named as seen from its folder, where the command runs."""

    def make(scene, folder):
        given = plain(scene, folder, name)
        given.result = result
        given.paths = [name]
        return given

    return make


def linked(scene, folder):
    given = plain(scene, folder)
    os.symlink(given.paths[0], folder / "link.mp4")
    given.paths = [str(folder / "link.mp4")]
    return given


def dead_link(scene, folder):
    os.symlink(folder / "gone.mp4", folder / "link.mp4")
    return Given([str(folder / "link.mp4")])


def missing(scene, folder):
    return Given([str(folder / "missing.mp4")])


def a_folder(scene, folder):
    (folder / "films.mp4").mkdir()
    return Given([str(folder / "films.mp4")])


def is_root():
    return "root may write anywhere" if os.geteuid() == 0 else None


ROWS = [
    Row("blanks and unicode", relative("ein Tag – día 日本 🎬.mp4"), Right()),
    Row("leading dash", relative("-v.mp4"), Right(like=10)),
    Row("colon", relative("talk:one.mp4"), Right(like=10)),
    Row("percent and quotes", relative("100%d 'a' \"b\".mp4"), Right(like=10)),
    Row("a name of 251 bytes", relative("長い" * 41 + "x.mp4"), Right()),
    Row("a name of dots", relative("...mp4", "video"), Right()),
    Row("line break in a name", relative("a\nb.mp4"), Right(), overview=True),
    Row("no ending", film("film", format="mp4"), Right(like=10)),
    Row("wrong ending", film("film.avi", format="mp4"), Right(like=10)),
    Row("a link", linked, Right(like=10)),
    Row("a dead link", dead_link, Refused("no such file")),
    Row("missing file", missing, Refused("no such file")),
    Row("an empty folder", a_folder, Refused("holds no video")),
    Row("zero bytes", raw("zero.mp4", b""), Refused("empty")),
    Row(
        "text named .mp4",
        raw("text.mp4", b"Dear all,\n" * 99),
        Refused("not a video"),
    ),
    Row(
        "noise named .mp4",
        raw("bytes.mp4", bytes(range(256)) * 64),
        Refused("not a video"),
    ),
    Row(
        "a list of streams named .mp4",
        raw("list.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"),
        Refused("not a video"),
    ),
    Row("picture named .mp4", picture, Refused("no sound")),
    Row("truncated mp4", no_head, Refused("cut short")),
    Row("truncated Matroska", torn("cut.mkv", 0.6), Right(sound=None)),
    Row(
        "truncated transport stream",
        torn("cut.ts", 0.6),
        Right(sound=None),
        videos=True,
    ),
    Row(
        "only the head of a file", torn("head.mkv", 0.01), Refused("cut short")
    ),
    Row("begins in the middle", headless, Right(sound=None)),
    Row("damaged in the middle", damaged, Right(sound=None)),
    Row(
        "a file without rights",
        no_rights,
        Refused("rights|permission"),
        skip=is_root,
    ),
    Row(
        "a folder without rights",
        locked_out,
        Refused("written|Permission|permission"),
        skip=is_root,
    ),
    Row("the output is a file", out_is_a_file, Refused("file")),
    Row("the result is a file", result_is_a_file, Refused("is a file")),
    Row("the result exists", result_exists, Refused("--out|--overwrite")),
    Row("two videos of one name", same_stem, Refused("both be written")),
    Row(
        "a good one after a bad one",
        good_and_bad,
        Refused("not a video", leaves="plain"),
    ),
]

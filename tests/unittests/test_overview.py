"""Proves the overview: what is drawn where, for any length and any faces."""

import json

import cv2
import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from avsep_sb.errors import DataError
from avsep_sb.inference import overview
from avsep_sb.inference.lanes import lane, time_share
from avsep_sb.inference.overview_labels import (
    FACE_STATES,
    RUNG_STATES,
    SPEECH_STATES,
    clock,
    time_ticks,
)
from avsep_sb.inference.pooled_spectrogram import PooledSpectrogram

RATE = 8000


def tone(seconds, spans, hz=1000):
    time = np.arange(round(seconds * RATE)) / RATE
    there = sum(((time >= a) & (time < b)) * 1.0 for a, b in spans)
    return 0.25 * np.sin(2 * np.pi * hz * time) * there


def write_result(folder, seconds, faces, **changes):
    """A result; faces are dicts of what differs, with ``said`` spans."""
    folder.mkdir(exist_ok=True)
    table = {"version": 2, "video": "talk.mp4", "faces": []}
    for k, face in enumerate(faces):
        face = {"name": f"face{k + 1}", "thumbnail": f"face{k + 1}.png", **face}
        face["wav"] = f"{face['name']}.wav"
        said = face.pop("said", [(0, seconds)])
        wave = tone(seconds, said, 1000 * (k % 3 + 1))
        soundfile.write(folder / face["wav"], wave, RATE)
        if face["thumbnail"]:
            picture = np.full((160, 120, 3), (10, 200, 250), np.uint8)
            cv2.imwrite(str(folder / face["thumbnail"]), picture)
        table["faces"].append(face)
    rest = 0.01 * tone(seconds, [(0, seconds)], 3500)
    soundfile.write(folder / "residual.wav", rest, RATE)
    table = {**table, "residual": "residual.wav", **changes}
    (folder / "faces.json").write_text(json.dumps(table))
    return folder


TWO = [
    {
        "spans": [[0, 2]],
        "quality_spans": [[0, 1, "found"], [1, 2, "missing"]],
        "rungs": [[0, 1, "lips"], [1, 2, "held"]],
        "said": [(0.5, 1.5)],
    },
    {
        "spans": [[1, 1.5]],
        "quality_spans": [[1, 1.5, "profile"]],
        "rungs": [[0, 1, "absent"], [1, 1.5, "audio"], [1.5, 2, "absent"]],
        "speech": [],
        "said": [],
        "offset_ms": -40.0,
    },
]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = overview.save_figure
    monkeypatch.setattr(
        overview,
        "save_figure",
        lambda figure, path: figures.append(figure) or save(figure, path),
    )
    return figures


def panels_of(figure):
    """Timelines by label in order, and spectrograms."""
    lanes, spectra = [], []
    for panel in figure.axes:
        if not panel.images:
            continue
        image = np.asarray(panel.images[0].get_array())
        if panel.get_ylabel() == "kHz":
            spectra.append(image)
        elif panel.axison:
            label = panel.get_yticklabels()[0].get_text()
            lanes.append((label, image))
    return lanes, spectra


def colour_at(image, part):
    """The colour in the middle of a timeline, as hex; None if empty."""
    red, green, blue, alpha = image[len(image) // 2, int(part * image.shape[1])]
    if not alpha:
        return None
    return "#" + "".join(f"{round(c * 255):02X}" for c in (red, green, blue))


def test_what_is_drawn_where(tmp_path, drawn):
    folder = write_result(tmp_path / "talk", 2, TWO)
    png = overview.draw_overview(folder)
    assert png == folder / "overview.png"
    assert imread(png)[..., :3].std() > 0.1
    lanes, spectra = panels_of(drawn[0])
    assert [label for label, _ in lanes] == 2 * ["face", "voice by", "speaks"]
    pictures = [image for _, image in lanes]

    def at(number, *parts):
        return [colour_at(pictures[number], part) for part in parts]

    found, missing = FACE_STATES["found"][0], FACE_STATES["missing"][0]
    lips, held = RUNG_STATES["lips"][0], RUNG_STATES["held"][0]
    speaks = SPEECH_STATES["speech"][0]
    assert at(0, 0.01, 0.49, 0.51, 0.99) == [found, found, missing, missing]
    assert at(1, 0.49, 0.51) == [lips, held]
    # Sought in the wavs, as the table of a face lacks it.
    assert at(2, 0.1, 0.3, 0.7, 0.95) == [None, speaks, speaks, None]
    profile, audio = FACE_STATES["profile"][0], RUNG_STATES["audio"][0]
    assert at(3, 0.49, 0.51, 0.74, 0.76) == [None, profile, profile, None]
    assert at(4, 0.49, 0.6, 0.76) == [None, audio, None]
    assert at(5, 0.3, 0.6) == [None, None]
    # Mixture, two voices, residual: each tone at its place and level.
    mixture, first, second, rest = spectra
    bins = [round(hz / (RATE / 2) * (len(mixture) - 1)) for hz in (1000, 3500)]
    middle = mixture.shape[1] // 2
    assert first[bins[0], middle] == pytest.approx(-18, abs=0.5)
    assert rest[bins[1], middle] == pytest.approx(-58, abs=0.5)
    assert mixture[bins, middle] == pytest.approx([-18, -58], abs=0.5)
    assert first[:, 5].max() < -130 and second.max() < -130
    texts = " ".join(text.get_text() for text in drawn[0].texts)
    for words in (
        "face2",
        "talk.mp4",
        "never speaks",
        "lips -40 ms",
        "2 faces",
    ):
        assert words in texts, texts


@pytest.mark.parametrize("number", [0, 12])
def test_any_number_of_faces(tmp_path, drawn, number):
    face = {"spans": [[0, 0.2]], "speech": [[0, 0.1]]}
    folder = write_result(tmp_path / "talk", 0.2, number * [face])
    png = overview.draw_overview(folder, tmp_path / "out.png")
    picture = imread(png)
    assert 1500 < picture.shape[1] < 1600 and len(picture) < 3000
    assert len(panels_of(drawn[0])[1]) == number + 2
    assert not (folder / "overview.png").exists()
    # The faces themselves are in it.
    yellow = np.abs(picture[..., :3] - [250 / 255, 200 / 255, 10 / 255])
    assert (yellow.max(-1) < 0.02).sum() / 5000 >= number
    # No panel lies on another.
    boxes = [p.get_position() for p in drawn[0].axes]
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k])


def test_speakers_without_faces(tmp_path, drawn):
    voices = [
        {
            "name": f"speaker{k}",
            "thumbnail": None,
            "spans": [],
            "rungs": [[0, 1, "audio"]],
        }
        for k in (1, 2)
    ]
    overview.draw_overview(write_result(tmp_path / "talk", 1, voices))
    lanes, _ = panels_of(drawn[0])
    assert [label for label, _ in lanes] == 2 * ["voice by", "speaks"]
    assert any("2 voices" in text.get_text() for text in drawn[0].texts)


def test_names_that_are_no_formula_or_have_no_letters(tmp_path, recwarn):
    face = {"name": "名 $1", "spans": [[0, 1]], "thumbnail": None}
    folder = write_result(tmp_path / "talk", 1, [face], video="名$x_{$.mp4")
    overview.draw_overview(folder)
    assert [str(w.message) for w in recwarn if "lyph" in str(w.message)] == []


def test_no_result_or_lost_wavs_are_explained(tmp_path):
    with pytest.raises(DataError, match="holds no faces.json"):
        overview.draw_overview(tmp_path)
    folder = write_result(tmp_path / "talk", 1, TWO)
    (folder / "face2.wav").unlink()
    with pytest.raises(DataError, match=r"face2\.wav is missing"):
        overview.draw_overview(folder)
    for faces in ([{"name": "face1"}], [7]):
        (folder / "faces.json").write_text(json.dumps({"faces": faces}))
        with pytest.raises(DataError, match="separate the video again"):
            overview.draw_overview(folder)
    assert not list(folder.glob("overview*"))


def test_lost_thumbnail_is_left_out(tmp_path):
    folder = write_result(tmp_path / "talk", 1, TWO[:1])
    (folder / "face1.png").write_bytes(b"torn")
    assert overview.draw_overview(folder).is_file()


def test_long_timelines_lose_nothing():
    """One frame in three hours is seen, and shares are true."""
    edges = np.linspace(0, 10800, 1081)
    spans = [(k, k + 0.25) for k in range(5400)]
    share = time_share(spans, edges)
    assert share[:540] == pytest.approx(0.25) and share[540:].max() == 0
    picture = lane([("#0000ff", [(0, 10800)]), ("#ff0000", [(5, 5.04)])], edges)
    assert picture[..., 3].all()
    assert picture[0, 0, 0] == 1.0 and picture[1:, 0, 0].max() == 0.0
    assert picture[:, 1:, 0].max() == 0.0


@pytest.mark.parametrize("seconds", [0.01, 2.0, 21.0, 60.3])
def test_pooled_spectrogram_is_as_wide_as_asked(seconds):
    total = round(seconds * RATE)
    wave = np.random.default_rng(0).standard_normal(total)
    pools = [PooledSpectrogram(total, RATE, columns=200) for _ in range(2)]
    pools[0].feed(wave)
    for block in np.array_split(wave, 13):
        pools[1].feed(block)
    whole, parts = (pool.levels() for pool in pools)
    assert whole.shape[1] <= 200 and np.allclose(whole, parts, atol=1e-3)
    assert 0 <= pools[0].seconds - seconds <= max(0.008, seconds / 100)
    # Every part of the time counts, at its place.
    for part in (0.0, 0.3, 0.999):
        click = np.zeros(total)
        click[int(part * total)] = 1.0
        pool = PooledSpectrogram(total, RATE, columns=200)
        pool.feed(click)
        shown = pool.levels().max(axis=0).argmax() / pool.columns
        near = max(2 / pool.columns, 0.02 / pool.seconds)
        assert abs(shown - part * seconds / pool.seconds) <= near


def test_times_are_readable():
    for seconds in (0.2, 2, 59, 61, 2400, 10800, 90000, 10**7):
        times, labels = time_ticks(seconds)
        assert 1 < len(times) <= 13 and len(set(labels)) == len(labels)
        assert max(map(len, labels)) <= 10
    assert [clock(x) for x in (0, 59.4, 59.6, 3599.9)] == [
        *("0:00", "0:59", "1:00", "1:00:00")
    ]


def test_pyplot_is_not_used(repo):
    files = list((repo / "avsep_sb" / "inference").glob("overview*.py"))
    assert len(files) == 3
    assert not any("pyplot" in file.read_text("utf-8") for file in files)

"""Proves that the page holds everything it shows, and shows what it should."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from PIL import Image

from avsep_sb.evaluation import plots
from avsep_sb.evaluation.page import Case, Report, number, render
from avsep_sb.evaluation.summary import Line, means

RATE = 16000


class Reader(HTMLParser):
    """Collects tags with their attributes, and checks that they close."""

    VOID = {"meta", "img", "br"}

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag, key):
        return [a[key] for t, a in self.tags if t == tag and key in a]


def content(uri, kind):
    start = f"data:{kind};base64,"
    assert uri.startswith(start)
    return io.BytesIO(base64.b64decode(uri[len(start) :]))


def voice(gain, wrong=0.0, **others):
    return {
        "input_snr": 0.5,
        "si-snr_i": gain,
        "wrong_speaker": wrong,
        "orientation": "",
        **others,
    }


@pytest.fixture(scope="module")
def cases():
    rng = np.random.default_rng(0)
    target = rng.standard_normal((RATE, 2)) * [0.5, 2.0]
    mix = target.sum(1)
    picture = plots.spectrograms(mix, target, target, RATE)
    return [
        Case(
            name=name,
            speakers=["p<1>", "p2"],
            voices=[voice(-3.25, wrong), voice(1.0)],
            picture=picture,
            mix=mix,
            estimate=target,
            target=target,
            sample_rate=RATE,
            note="The first 20 s of 31.0 s.",
        )
        for name, wrong in (("worst&one", 1.0), ("next", 0.0))
    ]


@pytest.fixture(scope="module")
def page(cases):
    voices = [voice(float(x), sdr_i=float(x)) for x in range(-2, 8)]
    report = Report(
        title="model on test.csv",
        facts=["10 mixtures."],
        lines=[Line("sdr_i", 8.0, 7.0, 9.0, 10)],
        groups={"frontal": means(voices), "side": means(voices[:3])},
        histograms=plots.histograms(voices),
        gains=plots.gains(voices),
        cases=cases,
        notes=["There is no PESQ: <because>."],
    )
    return render(report)


def test_page_is_whole_and_needs_nothing_else(page):
    reader = Reader(page)
    assert {tag for tag, _ in reader.tags}.isdisjoint({"link", "script"})
    for _, attributes in reader.tags:
        for key in ("src", "href"):
            assert attributes.get(key, "#").startswith(("data:", "#"))
    assert "url(" not in page and "http" not in page
    # Links lead to places that are there.
    places = [x[1:] for x in reader.all("a", "href")]
    assert places == reader.all("section", "id") == ["case1", "case2"]


def test_page_tells_scores_and_what_is_missing(page):
    text = Reader(page).text
    for wanted in (
        *("model on test.csv", "8.00 dB", "7.00 to 9.00"),
        *("frontal (10 voices)", "side (3 voices)"),
        *("The 2 worst mixtures", "1. worst&one", "2. next"),
        *("There is no PESQ: <because>.", "p<1>", "-3.2", "first 20 s"),
    ):
        assert wanted in text, wanted
    assert text.count("voice 1,wrong speaker") == 1


def test_pictures_and_sounds_can_be_opened(page, cases):
    reader = Reader(page)
    pictures = reader.all("img", "src")
    assert len(pictures) == 2 + 2 and all(reader.all("img", "alt"))
    for uri in pictures:
        image = Image.open(content(uri, "image/png"))
        image.load()
        assert min(image.size) > 200
        assert len(image.convert("RGB").getcolors(1 << 20)) > 10
    sounds = reader.all("audio", "src")
    assert len(sounds) == 2 * 5 and all(reader.all("audio", "aria-label"))
    # Mixture, then estimate and target of each voice, all by one gain.
    waves = [soundfile.read(content(x, "audio/flac")) for x in sounds[:5]]
    assert all(rate == RATE for _, rate in waves)
    mix, target = cases[0].mix, cases[0].target
    gain = 0.9 / max(np.abs(mix).max(), np.abs(target).max())
    wanted = [mix, *np.repeat(target.T, 2, axis=0)]
    for (wave, _), signal in zip(waves, wanted, strict=True):
        np.testing.assert_allclose(wave, gain * signal, atol=1e-4)


def test_points_show_their_group():
    """Each kind of voice changes the picture, and none is no picture."""

    def colours(voices):
        image = Image.open(io.BytesIO(plots.gains(voices))).convert("RGB")
        return {colour for _, colour in image.getcolors(1 << 20)}

    def near(colour, found):
        return any(np.abs(np.subtract(colour, c)).max() < 25 for c in found)

    red, orange = (213, 94, 0), (230, 159, 0)
    plain = [voice(float(x)) for x in range(5)]
    wrong = [voice(x, wrong=1.0) for x in (0.0, 3.0)]
    side = [voice(x, orientation="side") for x in (0.0, 0.05, 3.0)]
    assert not near(red, colours(plain)) and near(red, colours(wrong))
    # Points are half clear, and so cover each other where they meet.
    assert not near(orange, colours(plain)) and near(orange, colours(side * 3))
    assert plots.gains([voice(float("nan"))]) is None
    assert plots.histograms([voice(float("nan"))]) is None


def test_numbers_are_rounded_without_a_sign_of_nothing():
    assert number(-0.04, "sdr_i") == "0.0" and number(-0.06, "sdr_i") == "-0.1"
    assert number(0.816, "stoi") == "0.82"


def test_a_page_without_pictures_and_cases():
    reader = Reader(render(Report("t", [], [], {}, None, None)))
    assert not reader.all("img", "src") and "worst" not in reader.text

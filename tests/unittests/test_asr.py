"""Proves that separated voices are transcribed, each as it would be alone."""

import os

import pytest
import torch

from avsep_sb.errors import CheckpointError, DataError
from avsep_sb.inference.asr import transcribe_sources
from avsep_sb.inference.asr_load import load_asr
from tests.asr_folder import make_toy_asr

KINDS = {
    "ctc": "EncoderASR",
    "seq2seq": "EncoderDecoderASR",
    "streaming": "StreamingASR",
    "whisper": "WhisperASR",
}


@pytest.fixture(scope="module")
def recognisers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asr")
    return {
        kind: load_asr(make_toy_asr(folder / kind, kind), device="cpu")
        for kind in KINDS
    }


def noise(*shape, level=0.1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return level * torch.randn(*shape, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_each_voice_reads_as_if_alone(recognisers, kind):
    asr = recognisers[kind]
    assert type(asr).__name__ == KINDS[kind]
    sources = noise(2, 24000, 2)
    lengths = torch.tensor([1.0, 0.5])
    texts = transcribe_sources(asr, sources, 16000, lengths, batch_size=1)
    assert [len(row) for row in texts] == [2, 2]
    for b, length in enumerate((24000, 12000)):
        for s in range(2):
            wave = sources[b : b + 1, :length, s : s + 1]
            alone = transcribe_sources(asr, wave, 16000)[0][0]
            assert texts[b][s] == alone != ""
    if hasattr(asr, "transcribe_batch"):
        plain, _ = asr.transcribe_batch(sources[:1, :, 1], torch.ones(1))
        assert texts[0][1] == plain[0]


def test_lengths_rates_and_what_lies_beyond(recognisers):
    """The toy Whisper writes how many tenths of a second it hears."""
    asr = recognisers["whisper"]
    sources = noise(2, 24000, 1)
    lengths = torch.tensor([1.0, 0.4])
    at = {8000: ["30", "12"], 16000: ["15", "6"], 48000: ["5", "2"]}
    for rate, tenths in at.items():
        texts = transcribe_sources(asr, sources, rate, lengths)
        assert texts == [[f"Tenths, {number}."] for number in tenths]


def test_streaming_hears_all_of_it(recognisers):
    asr = recognisers["streaming"]
    sources = noise(1, 60000, 1)
    whole = transcribe_sources(asr, sources, 16000)[0][0]
    part = transcribe_sources(asr, sources[:, :20000], 16000)[0][0]
    assert len(whole) > 2 * len(part)


def test_silent_sources_give_no_text(recognisers):
    asr = recognisers["whisper"]
    sources = noise(3, 16000, 2)
    sources[0, :, 1] *= 1e-3  # 60 dB below the other voice
    sources[1] = 0.0
    sources[2] *= 1e-3  # both are soft: neither is silent
    words = [[bool(t) for t in row] for row in _read(asr, sources)]
    assert words == [[True, False], [False, False], [True, True]]
    # Beside their mixture the soft ones are what leaked through.
    mix = noise(3, 16000, seed=1)
    words = [[bool(t) for t in row] for row in _read(asr, sources, mix=mix)]
    assert words == [[True, False], [False, False], [False, False]]
    deeper = _read(asr, sources, mix=mix, silence_db=-80.0)
    assert all(deeper[0]) and all(deeper[2])
    # A word in a long silence is no silence, and a click is no word.
    one = torch.zeros(1, 160000, 2)
    one[0, 40000:48000, 0] = noise(8000)
    one[:, :, 1] = noise(160000)
    assert all(_read(asr, one)[0])
    assert _read(asr, noise(1, 1200, 1)) == [[""]]


def _read(asr, sources, **options):
    return transcribe_sources(asr, sources, 16000, **options)


def test_lists_of_words_become_a_text(tmp_path):
    folder = make_toy_asr(tmp_path / "w", "whisper", normalised=True)
    assert _read(load_asr(folder), noise(1, 16000, 1)) == [["tenths 10"]]


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"sources": noise(16000, 2)}, "add the missing dimension"),
        ({"sources": torch.zeros(1, 0, 2)}, "leave out what is empty"),
        ({"sources": torch.full((1, 9, 2), float("nan"))}, "NaN"),
        ({"wav_lens": torch.tensor([16000, 8000])}, "divide numbers of sam"),
        ({"wav_lens": torch.tensor([1.0, 0.0])}, "relative"),
        ({"wav_lens": torch.ones(3)}, "one for each mixture"),
        ({"batch_size": 0}, "at least 1"),
        ({"mix": noise(2, 99)}, "do not belong"),
    ],
)
def test_bad_input_is_one_sentence(recognisers, change, sentence):
    arguments = {"sources": noise(2, 16000, 2), **change}
    with pytest.raises(DataError, match=sentence):
        transcribe_sources(recognisers["ctc"], sample_rate=16000, **arguments)


def test_unusable_recognisers_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no recogniser"):
        load_asr("iianet-synthav")
    with pytest.raises(CheckpointError, match="ships"):
        load_asr("no-such-model")
    folder = make_toy_asr(tmp_path / "asr")
    (folder / "encoder.ckpt").unlink()
    with pytest.raises(CheckpointError, match="cannot be loaded as EncoderA"):
        load_asr(folder)
    (folder / "hyperparams.yaml").write_text("a: [1", encoding="utf-8")
    with pytest.raises(CheckpointError, match="no YAML"):
        load_asr(folder)
    (folder / "hyperparams.yaml").write_text("- 1", encoding="utf-8")
    with pytest.raises(CheckpointError, match="no recogniser"):
        load_asr(folder)


class _Intruder:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_weights_run_no_code(tmp_path):
    folder = make_toy_asr(tmp_path / "asr")
    harm = tmp_path / "harm"
    torch.save({"weight": _Intruder(str(harm))}, folder / "encoder.ckpt")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_asr(folder)
    assert not harm.exists()

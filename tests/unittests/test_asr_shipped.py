"""Proves that the recogniser that ships loads and knows what is said."""

import torch
from speechbrain.inference.ASR import EncoderASR
from speechbrain.utils.metric_stats import ErrorRateStats

from avsep_sb.inference.asr import transcribe_sources
from avsep_sb.inference.asr_load import load_asr
from avsep_sb.inference.shipped import shipped_model
from avsep_sb.inference.text import normalise_text
from avsep_sb.synth.utterance import make_utterance
from avsep_sb.synth.voices import speakers_of


def test_the_shipped_one_knows_what_is_said():
    """New sentences of voices that it was not trained on."""
    folder = shipped_model("asr-synthav")
    assert sum(p.stat().st_size for p in folder.glob("*.ckpt")) < 12e6
    plain = EncoderASR.from_hparams(str(folder))
    asr = load_asr("asr-synthav", device="cpu")
    assert type(asr) is type(plain) is EncoderASR
    words = ErrorRateStats()
    for number, speaker in enumerate(speakers_of("test")):
        one = make_utterance(77, speaker, number)
        wave = torch.from_numpy(one.audio)[None, :, None]
        (found,) = transcribe_sources(asr, wave, 16000)[0]
        assert (
            found == plain.transcribe_batch(wave[..., 0], torch.ones(1))[0][0]
        )
        told = normalise_text(one.text).split()
        words.append([one.name], [normalise_text(found).split()], [told])
    assert words.summarize("WER") < 25

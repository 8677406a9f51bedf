"""Proves that dynamic mixing never mixes an utterance with itself, draws all
partners and levels it may draw, and depends on (seed, epoch, ID) alone.
"""

import copy

import numpy as np
import pytest

from avsep_sb.dataio.mixing import Mixer
from avsep_sb.dataio.scaling import active_rms, mix_sources
from avsep_sb.errors import ConfigError, DataError


def rows(count=12, num_spks=2, voices=4, **changes):
    """Rows over one utterance each, spoken in turns by a few voices."""
    table = []
    for i in range(count):
        row = {"ID": f"m{i}", "mix_wav": ""}
        for k in range(num_spks):
            n = (i + k) % count
            row[f"s{k + 1}_wav"] = f"{n}.wav"
            row[f"s{k + 1}_lips"] = f"{n}.npz"
            row[f"s{k + 1}_gain"] = 1.0
            row[f"s{k + 1}_spk"] = f"p{n % voices}"
        table.append({**row, **changes})
    return table


def drawn(mixer, epoch, count=12):
    mixer.set_epoch(epoch)
    return [mixer.draw(f"m{i}") for i in range(count)]


def names(draws):
    return [[s.wav for s in d.sources] for d in draws]


def test_partners_are_others_and_all_others_occur():
    mixer = Mixer(rows(), seed=1, gain_db=(-5, 5))
    partners = set()
    for epoch in range(100):
        for i, draw in enumerate(drawn(mixer, epoch)):
            first, second = draw.sources
            assert first.wav == f"{i}.wav"
            assert first.spk != second.spk
            if i == 0:
                partners.add(int(second.wav[:-4]))
    assert partners == {n for n in range(12) if n % 4}


@pytest.mark.parametrize("num_spks", [3, 4])
def test_more_voices_are_all_different(num_spks):
    mixer = Mixer(rows(num_spks=num_spks), 1, (0, 0), num_spks=num_spks)
    for draw in drawn(mixer, 1) + drawn(mixer, 2):
        assert len({s.spk for s in draw.sources}) == num_spks


def test_same_voice_is_another_utterance_of_the_speaker():
    mixer = Mixer(rows(), 1, (-5, 5), same_voice_ratio=1.0)
    seen = set()
    for epoch in range(40):
        for draw in drawn(mixer, epoch):
            first, second = draw.sources
            assert first.spk == second.spk and first.wav != second.wav
            seen.add((first.wav, second.wav))
    assert len(seen) == 12 * 2


def test_same_voice_ratio_is_a_ratio():
    mixer = Mixer(rows(), 1, (-5, 5), same_voice_ratio=0.25)
    same = [
        draw.sources[0].spk == draw.sources[1].spk
        for epoch in range(60)
        for draw in drawn(mixer, epoch)
    ]
    assert 0.2 < np.mean(same) < 0.3


def test_lonely_utterance_gets_another_voice():
    mixer = Mixer(rows(voices=12), 1, (-5, 5), same_voice_ratio=1.0)
    for draw in drawn(mixer, 1):
        assert draw.sources[0].spk != draw.sources[1].spk


def test_scaled_copies_of_one_utterance_are_one():
    table = rows(count=4, voices=2)
    for i, row in enumerate(table):
        # as in a folder of ready mixtures: a file per mixture, lips shared
        row["s1_wav"], row["s2_wav"] = f"s1/{i}.wav", f"s2/{i}.wav"
    mixer = Mixer(table, 1, (0, 0), same_voice_ratio=1.0)
    for epoch in range(20):
        for draw in drawn(mixer, epoch, 4):
            assert len({s.lips for s in draw.sources}) == 2


def test_levels_are_uniform_between_the_bounds():
    mixer = Mixer(rows(), 1, (-3, 7))
    levels = np.array(
        [d.level_db for epoch in range(100) for d in drawn(mixer, epoch)]
    )
    over = levels[:, 0] - levels[:, 1]
    assert np.allclose(levels.sum(axis=1), 0)
    assert -3 <= over.min() < -2.9 and 6.9 < over.max() <= 7
    assert abs(over.mean() - 2) < 0.3


def test_epoch_and_seed_change_the_draws_and_order_does_not():
    mixer = Mixer(rows(), 1, (-5, 5))
    first, second = names(drawn(mixer, 1)), names(drawn(mixer, 2))
    assert first != second and first == names(drawn(mixer, 1))
    assert first != names(drawn(Mixer(rows(), 2, (-5, 5)), 1))
    assert first == names(drawn(Mixer(rows()[::-1], 1, (-5, 5)), 1))
    np.random.seed(0)
    assert first == names(drawn(mixer, 1)[::-1])[::-1]


def test_copies_follow_one_clock():
    mixer = Mixer(rows(), 1, (-5, 5))
    twin = copy.deepcopy(mixer)
    mixer.set_epoch(9)
    assert twin.epoch.get() == 9


def test_unusable_settings_are_refused():
    with pytest.raises(DataError, match="2 voices needs as many speakers"):
        Mixer(rows(voices=1), 1, (-5, 5))
    with pytest.raises(DataError, match="names no speaker"):
        Mixer(rows(s1_spk=""), 1, (-5, 5))
    for bad in [(5, -5), 3, [1], [0, float("nan")], None]:
        with pytest.raises(ConfigError, match="mix_gain_db"):
            Mixer(rows(), 1, bad)
    with pytest.raises(ConfigError, match="same_voice_ratio"):
        Mixer(rows(), 1, (0, 0), same_voice_ratio=2)


def test_one_voice_alone_can_be_mixed_with_itself():
    mixer = Mixer(rows(voices=1), 1, (-5, 5), same_voice_ratio=1.0)
    assert len({s.spk for s in drawn(mixer, 1)[0].sources}) == 1


def test_pauses_do_not_lower_the_level():
    speech = np.random.default_rng(0).standard_normal(8000)
    paused = np.concatenate([speech, np.zeros(24000), speech])
    assert np.isclose(active_rms(paused), active_rms(speech), rtol=1e-2)
    assert active_rms(np.zeros(1000)) == 0.0
    assert active_rms(np.ones(3)) == 1.0


def test_mixture_is_the_sum_at_the_drawn_level():
    waves = np.random.default_rng(0).standard_normal((16000, 2))
    waves = (waves * [0.001, 0.5]).astype(np.float32)
    rms = [active_rms(wave) for wave in waves.T]
    mix, sources = mix_sources(waves, rms, [2.0, -2.0])
    assert mix.dtype == sources.dtype == np.float32
    assert np.allclose(mix, sources.sum(axis=1), atol=1e-6)
    level = [20 * np.log10(active_rms(source)) for source in sources.T]
    assert np.isclose(level[0] - level[1], 4.0, atol=1e-3)


def test_loud_mixture_is_lowered_whole_and_silence_stays():
    waves = np.zeros((100, 2), np.float32)
    waves[7, 0] = 1.0
    mix, sources = mix_sources(waves, [0.001, 0.0], [0.0, 0.0])
    assert np.isclose(np.abs(mix).max(), 0.9)
    assert np.allclose(mix, sources[:, 0]) and not sources[:, 1].any()

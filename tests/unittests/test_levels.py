"""Proves that the active speech level measures speech and not its pauses."""

import numpy as np
import pytest

from avsep_sb.dataio.levels import active_speech_level
from avsep_sb.errors import DataError

RATE = 8000


def tone(seconds, amplitude=0.5):
    time = np.arange(int(seconds * RATE)) / RATE
    return amplitude * np.sin(2 * np.pi * 440 * time)


def test_steady_tone_is_its_mean_power():
    level, activity = active_speech_level(tone(4), RATE)
    assert 10 * np.log10(level / 0.125) == pytest.approx(0, abs=0.1)
    assert activity > 0.97


@pytest.mark.parametrize("silence", [2.0, 6.0, 14.0])
def test_long_pause_does_not_lower_the_level(silence):
    """2 s of tone, then silence: active for 2 s and the hangover."""
    signal = np.concatenate([tone(2), np.zeros(int(silence * RATE))])
    level, activity = active_speech_level(signal, RATE)
    expected = (2.0 + 0.2) / (2.0 + silence)
    # The decaying envelope adds up to 0.15 s, the attack takes a little.
    assert expected < activity < (2.0 + 0.4) / (2.0 + silence)
    assert -1.0 < 10 * np.log10(level / 0.125) < 0.0


def test_short_pauses_count_as_speech():
    """Pauses of 0.1 s lie within the hangover, pauses of 1 s do not."""
    for pause, active in ((0.1, True), (1.0, False)):
        part = np.concatenate([tone(0.5), np.zeros(int(pause * RATE))])
        _, activity = active_speech_level(np.tile(part, 6), RATE)
        assert (activity > 0.95) == active


@pytest.mark.parametrize("gain", [1e-3, 0.1, 0.37, 2.0])
def test_scale_law(gain):
    """Scaling the signal scales the power by the square, within the
    interpolation between thresholds."""
    rng = np.random.default_rng(0)
    speech = tone(3) * (0.1 + rng.random(3 * RATE)) ** 2
    speech[RATE : 2 * RATE] *= 0.02
    level, _ = active_speech_level(speech, RATE)
    scaled, _ = active_speech_level(gain * speech, RATE)
    assert 10 * np.log10(scaled / level / gain**2) == pytest.approx(0, abs=0.3)


def test_power_of_two_scale_is_exact():
    level, activity = active_speech_level(tone(2), RATE)
    scaled, same = active_speech_level(0.125 * tone(2), RATE)
    assert scaled == pytest.approx(level / 64, rel=1e-9)
    assert same == pytest.approx(activity, rel=1e-9)


def test_measured_at_8_khz():
    """A component above 4 kHz carries no level."""
    time = np.arange(32000) / 16000
    low = 0.3 * np.sin(2 * np.pi * 500 * time)
    high = 0.6 * np.sin(2 * np.pi * 6500 * time)
    plain, _ = active_speech_level(low, 16000)
    both, _ = active_speech_level(low + high, 16000)
    wide, _ = active_speech_level(low + high, 16000, level_rate=None)
    assert both == pytest.approx(plain, rel=0.01)
    assert wide > 4 * plain


def test_silence_click_and_empty():
    assert active_speech_level(np.zeros(RATE), RATE) == (0.0, 0.0)
    assert active_speech_level(np.zeros(0), RATE) == (0.0, 0.0)
    click = np.zeros(RATE)
    click[10] = 1.0
    level, _ = active_speech_level(click, RATE)
    assert np.isfinite(level) and level > 0


def test_bad_audio_is_refused():
    with pytest.raises(DataError, match="finite"):
        active_speech_level(np.array([0.0, np.nan]), RATE)
    with pytest.raises(DataError, match="one channel"):
        active_speech_level(np.zeros((10, 2)), RATE)

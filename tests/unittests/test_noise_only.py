"""Proves that the noise of a noisy recording is found without the speech,
and that what is no delayed copy plus noise is refused; and norm16."""

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, lfilter

from avsep_sb.dataio.noise_only import noise_only
from avsep_sb.dataio.peak_norm import norm16, read_any_rate
from avsep_sb.errors import DataError
from avsep_sb.vision.fixed_crop import crop_fixed
from avsep_sb.vision.tracks import FaceTrack
from tests.utils.mini_ntcd import syllables

LENGTH = 64000


def speech(seed=0):
    """Low-pass bursts: neighbouring samples resemble each other."""
    wave = lfilter(*butter(1, 0.2), syllables(seed, 4.0))
    return wave / np.sqrt(np.mean(wave**2)) * 0.05


def noise(kind):
    rng = np.random.default_rng(5)
    white = rng.standard_normal(LENGTH)
    made = {
        "white": white,
        "rumble": lfilter(*butter(2, 0.015), white) + 0.003 * white,
        "babble": sum(np.roll(speech(k), 999 * k) for k in range(1, 6)),
        "swelling": white * (1.2 + np.sin(np.arange(LENGTH) / 9000)),
    }[kind]
    return made / np.sqrt(np.mean(made**2)) * 0.05


def delayed(wave, samples):
    """A delay by any number of samples, around the ends."""
    phase = np.exp(-2j * np.pi * np.fft.rfftfreq(LENGTH) * samples)
    return np.fft.irfft(np.fft.rfft(wave) * phase, LENGTH)


def noisy(clean, part, ratio_db, gain=0.5):
    """Both under one gain, with 16 bit."""
    added = gain * part * 10 ** (-ratio_db / 20)
    return np.round((gain * clean + added) * 32768) / 32768, added


def error_db(found, added):
    return 10 * np.log10(np.sum((found - added) ** 2) / np.sum(added**2))


@pytest.mark.parametrize("kind", ["white", "rumble", "babble", "swelling"])
@pytest.mark.parametrize("ratio", [-5, 5, 20])
def test_noise_comes_back(kind, ratio):
    wave, added = noisy(speech(), noise(kind), ratio)
    found = noise_only(wave, speech(), label_db=ratio)
    assert error_db(found.noise, added) < -28
    assert found.lag == 0 and found.left < 0.01
    assert found.gain == pytest.approx(0.5, abs=0.05)
    assert found.ratio_db == pytest.approx(ratio, abs=0.5)


@pytest.mark.parametrize("delay", [-700, 33.4])
def test_delay_gain_and_sign(delay):
    wave, added = noisy(delayed(speech(), delay), noise("white"), 5, gain=-2.0)
    found = noise_only(wave, speech(), label_db=5)
    assert abs(found.lag - delay) < 1 and found.gain < -1.5
    # what went around the ends is no delayed speech
    inside = slice(1000, -1000)
    assert error_db(found.noise[inside], added[inside]) < -25


def test_lengths_may_differ():
    wave, added = noisy(speech(), noise("white"), 10)
    found = noise_only(wave, speech()[:60000])
    # unknown speech stays after the end of the clean recording
    assert len(found.noise) == LENGTH
    assert error_db(found.noise[:60000], added[:60000]) < -25
    short = noise_only(wave[:50000], speech())
    assert error_db(short.noise, added[:50000]) < -25


def test_what_is_no_copy_plus_noise_is_refused():
    clean, part, time = speech(), noise("white"), np.arange(LENGTH)
    changing, _ = noisy(clean * (1 + 0.3 * np.sin(time / 1e4)), part, 20)
    drifting, _ = noisy(np.interp(time * 1.0001, time, clean), part, 20)
    for wave in (changing, drifting):
        with pytest.raises(DataError, match="still follows the speech"):
            noise_only(wave, clean, label_db=20, name="a.wav")
    other, _ = noisy(speech(7), part, -5)
    with pytest.raises(DataError, match="a.wav .* is labelled -5 dB"):
        noise_only(other, clean, label_db=-5, name="a.wav")
    with pytest.raises(DataError, match="nothing but the clean speech"):
        noise_only(0.5 * clean, clean)
    for pair in ((clean, 0 * clean), (0 * clean, clean)):
        with pytest.raises(DataError, match="silent"):
            noise_only(*pair)


def test_norm16_goes_over_22050_hz(tmp_path):
    """A file of 16 kHz loses its uppermost band on the way and back."""
    time = np.arange(16000) / 16000
    tones = np.sin(2 * np.pi * 500 * time) + np.sin(2 * np.pi * 7900 * time)
    path = tmp_path / "a.wav"
    wave = 0.2 * tones + 0.1
    soundfile.write(path, np.stack([wave, 0 * wave], 1), 16000)
    wave = norm16(path)
    assert wave.dtype == np.float32 and wave.shape == (16000,)
    assert np.abs(wave).max() == pytest.approx(1, abs=1e-6)
    assert abs(wave.mean()) < 1e-6
    level = np.abs(np.fft.rfft(wave * np.hanning(16000)))
    assert level[7900] < 0.5 * level[500]


def test_norm16_refuses(tmp_path):
    path = tmp_path / "a.wav"
    for wave, message in (
        (np.zeros(0), "holds no samples"),
        (np.zeros(900), "silent throughout"),
        (np.array([0.1, np.nan]), "NaN or infinite"),
    ):
        soundfile.write(path, wave, 16000, subtype="FLOAT")
        with pytest.raises(DataError, match=f"a.wav .*{message}"):
            norm16(path)
    path.write_bytes(b"RIFF")
    with pytest.raises(DataError, match="a.wav cannot be read"):
        read_any_rate(path)
    with pytest.raises(DataError, match="b.wav is missing"):
        norm16(tmp_path / "b.wav")


def test_fixed_crop_is_one_place():
    """Rows -20 to +40, columns -20 to +20 of the squeezed picture."""
    rows, columns = np.mgrid[:448, :896]
    picture = np.zeros((448, 896, 3), np.uint8)
    # Squeezed by 2 and by 4: the mouth is at row 100, column 60.
    picture[(abs(rows - 200) < 8) & (abs(columns - 240) < 16)] = 200
    points = np.zeros((3, 5, 2), np.float32)
    points[:, 3], points[:, 4] = (200, 200), (280, 200)
    points[0, 3:] += 40
    points[2, 3:] -= 40
    track = FaceTrack(np.zeros((3, 4)), points, np.ones(3, bool))
    rois = crop_fixed([picture] * 3, track)
    assert rois.shape == (3, 67, 67) and rois.dtype == np.uint8
    # A head that moves is not followed.
    assert np.array_equal(rois[0], rois[2])
    bright = np.argwhere(rois[0] > 100).mean(0)
    assert bright == pytest.approx([20 / 60 * 67, 33], abs=1.5)
    spread = np.ptp(np.argwhere(rois[0] > 100), axis=0)
    assert spread == pytest.approx([8 / 60 * 67, 8 / 40 * 67], abs=2)

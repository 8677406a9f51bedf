"""Proves that a room changes what is heard and nothing else: targets and lips
stay in step with the sound, and the draws depend on (seed, epoch, ID) alone.
"""

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import fftconvolve

from avsep_sb.dataio.items import ItemReader
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.dataio.rooms import RirFolder, align_rir
from avsep_sb.dataio.simulate_rooms import draw_room, simulate_rooms
from avsep_sb.errors import ConfigError, DataError
from tests.utils.framed_corpus import hparams, loaded, write_corpus

LATE = 1500  # samples after the direct path, beyond the 800 of 50 ms


def impulses(direct, sign=1.0):
    """A direct path, an early reflection, and a louder late one."""
    wave = np.zeros(6000)
    wave[direct] = sign
    wave[direct + 300] = 0.5
    wave[direct + LATE] = 1.1
    return wave


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five voices; one room of three places, another of four files."""
    path = tmp_path_factory.mktemp("rooms")
    write_corpus(path)
    rooms = path / "rooms"
    (rooms / "hall").mkdir(parents=True)
    waves = np.stack([impulses(700), impulses(90, -1), impulses(1400)], 1)
    soundfile.write(rooms / "box.wav", waves, 16000, subtype="FLOAT")
    for n in range(4):
        wave = impulses(400 * n + 3)
        soundfile.write(rooms / "hall" / f"{n}.wav", wave, 16000, "FLOAT")
    return path


def roomy(folder, **changes):
    return hparams(folder, **{"rir_folder": str(folder / "rooms"), **changes})


def lag(signal, reference):
    """Samples by which a signal is late, by cross-correlation."""
    size = 1 << 17
    spectrum = np.fft.rfft(signal, size) * np.conj(np.fft.rfft(reference, size))
    place = int(np.argmax(np.fft.irfft(spectrum)))
    return place - size if place > size // 2 else place


@pytest.mark.parametrize("direct", [0, 5, 700])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_direct_path_is_found_before_a_louder_reflection(direct, sign):
    rir = align_rir(impulses(direct, sign))
    assert rir.lead == min(direct, 32)
    assert np.argmax(rir.early) == rir.lead and rir.early[rir.lead] > 0
    assert np.flatnonzero(rir.early).tolist() == [rir.lead, rir.lead + 300]
    assert np.sum(rir.early**2) == pytest.approx(1, abs=1e-6)
    with pytest.raises(DataError, match="silent"):
        align_rir(np.zeros(9))


def test_a_window_is_that_of_the_whole_voice_in_the_room():
    wave = np.random.default_rng(0).standard_normal(20000)
    rir = align_rir(impulses(700))
    whole = fftconvolve(wave, rir.full)[rir.lead :]
    begin = 9000 - rir.history
    heard, early = rir.heard(
        wave[begin : 9000 + 4000 + rir.lead], 9000 - begin, 4000
    )
    assert np.allclose(heard, whole[9000:13000], atol=1e-4)
    # what was said before is heard, but not early
    gain = rir.full[rir.lead]
    assert np.allclose(
        early, gain * (wave[9000:13000] + 0.5 * wave[8700:12700]), atol=1e-4
    )


@pytest.mark.parametrize("target", ["clean", "early"])
def test_voices_stay_in_step_with_targets_and_lips(folder, target):
    plain, _, _ = make_datasets(hparams(folder))
    train, _, _ = make_datasets(roomy(folder, reverb_target=target))
    for epoch in range(3):
        plain.set_epoch(epoch)
        train.set_epoch(epoch)
        for i in range(5):
            dry, item = plain[i], train[i]
            assert torch.equal(dry["lips"], item["lips"])
            for k in range(2):
                dry_voice = dry["sources"][:, k].numpy()
                voice = item["sources"][:, k].numpy()
                assert lag(voice, dry_voice) == 0
                assert lag(item["mix_sig"].numpy(), dry_voice) in (0, LATE)
                scale = voice @ dry_voice / (dry_voice @ dry_voice)
                rest = np.abs(voice - scale * dry_voice).max()
                assert (rest < 1e-5) == (target == "clean")
            late = item["mix_sig"] - item["sources"].sum(1)
            assert late.square().mean() > 0.1 * item["mix_sig"].square().mean()


def test_all_voices_are_in_one_room_and_nothing_else_is_drawn(folder):
    rooms = RirFolder(folder / "rooms", seed=1)
    used = set()
    for n in range(80):
        rirs = rooms.draw(f"m{n}", 3)
        assert len({rir.full.tobytes() for rir in rirs}) == 3
        used.add(frozenset(len(rir.full) - rir.lead for rir in rirs))
    # the one room of three places, and threes of four places
    assert len(used) == 5
    assert all(len(rooms.draw(f"m{n}", 4)) == 4 for n in range(5))
    with pytest.raises(DataError, match="places for 5 voices"):
        rooms.draw("m0", 5)


def test_a_share_of_the_mixtures_is_in_a_room(folder):
    plain, _, _ = make_datasets(hparams(folder))
    train, _, _ = make_datasets(roomy(folder, reverb_probability=0.5))
    dry = 0
    for epoch in range(12):
        plain.set_epoch(epoch)
        train.set_epoch(epoch)
        for i in range(5):
            dry += torch.equal(plain[i]["mix_sig"], train[i]["mix_sig"])
    assert 15 < dry < 45


def test_workers_and_restarts_draw_the_same(folder):
    train, _, _ = make_datasets(roomy(folder))
    first, alone = loaded(train, 1, 0), loaded(train, 4, 0)
    again, _, _ = make_datasets(roomy(folder))
    parted = loaded(again, 4, 2)
    for name, parts in alone.items():
        assert all(map(torch.equal, parts, parted[name]))
    assert not all(torch.equal(first[n][0], alone[n][0]) for n in alone)


def test_silent_faces_stay_silent_and_unseen_voices_have_a_place(folder):
    keys = {"silent_target_prob": 1, "offscreen_voice_prob": 1}
    train, _, _ = make_datasets(roomy(folder, **keys))
    for i in range(5):
        item = train[i]
        assert ((item["sources"] == 0).all(0)).sum() == 1
        assert item["mix_sig"].abs().max() > 0.01


def test_listed_mixtures_have_rooms_that_do_not_change(folder):
    settings = hparams(
        folder, valid_rir_folder=str(folder / "rooms"), reverb_target="early"
    )
    train, valid, test = make_datasets(settings)
    dry, _, _ = make_datasets(hparams(folder))
    assert torch.equal(train[0]["mix_sig"], dry[0]["mix_sig"])
    before = [valid[i]["mix_sig"] for i in range(5)]
    valid.set_epoch(3)
    for i, mix in enumerate(before):
        assert torch.equal(valid[i]["mix_sig"], mix)
        assert not torch.equal(test[i]["mix_sig"], mix)
        assert torch.allclose(test[i]["sources"].sum(1), test[i]["mix_sig"])


def test_listed_mixtures_have_noise_that_does_not_change(folder):
    noise = folder / "noise"
    noise.mkdir(exist_ok=True)
    hiss = np.random.default_rng(3).standard_normal(99000) * 0.1
    soundfile.write(noise / "hiss.wav", hiss, 16000)
    settings = hparams(
        folder, test_noise_folder=str(noise), noise_snr_db=[0, 0]
    )
    _, valid, test = make_datasets(settings)
    for i in range(5):
        clean = valid[i]["sources"].sum(1)
        assert torch.allclose(valid[i]["mix_sig"], clean)
        added = test[i]["mix_sig"] - test[i]["sources"].sum(1)
        assert added.square().mean() > 0.1 * clean.square().mean()
        assert torch.equal(test[i]["mix_sig"], test[i]["mix_sig"])


def test_enhancement_is_one_voice_in_noise(tmp_path):
    write_corpus(tmp_path, num_spks=1)
    noise = tmp_path / "noise"
    noise.mkdir()
    hiss = np.random.default_rng(3).standard_normal(99000) * 0.1
    soundfile.write(noise / "hiss.wav", hiss, 16000)
    keys = {
        "num_spks": 1,
        "noise_folder": str(noise),
        "noise_snr_db": [0, 0],
    }
    with pytest.raises(ConfigError, match="set valid_noise_folder"):
        make_datasets(hparams(tmp_path, **keys))
    for split in ("valid", "test"):
        keys[f"{split}_noise_folder"] = str(noise)
    for data in make_datasets(hparams(tmp_path, **keys)):
        item = data[0]
        assert item["sources"].shape[1] == item["lips"].shape[1] == 1
        added = item["mix_sig"] - item["sources"][:, 0]
        assert added.square().mean() > 0.1 * item["sources"].square().mean()


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"reverb_target": "wet"}, "reverb_target is 'wet'"),
        ({"reverb_probability": 2}, "reverb_probability is 2"),
        ({"dynamic_mixing": False}, "dynamic_mixing: True"),
        ({"rir_folder": None, "reverb_target": "early"}, "rir_folder is not"),
        ({"rir_folder": "nowhere"}, "is no folder"),
        ({"sample_rate": 8000, "training_signal_len": 6400}, "16000 Hz"),
    ],
)
def test_unusable_keys_are_named(folder, changes, word):
    with pytest.raises((ConfigError, DataError)) as caught:
        make_datasets(roomy(folder, **changes))
    assert word in str(caught.value) and "\n" not in str(caught.value)


def test_a_silent_response_is_named(folder, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((99, 2)), 16000)
    rooms = RirFolder(tmp_path, seed=0)
    with pytest.raises(DataError, match="a.wav"):
        rooms.draw("m0", 1)


def test_simulated_rooms_are_made_once_and_hold_their_places(tmp_path):
    pytest.importorskip("pyroomacoustics")
    assert simulate_rooms(tmp_path, rooms=2, places=2, workers=0) == 2
    (tmp_path / "room00001.wav").unlink()
    before = (tmp_path / "room00000.wav").read_bytes()
    assert simulate_rooms(tmp_path, rooms=2, places=2, workers=0) == 1
    assert (tmp_path / "room00000.wav").read_bytes() == before
    with pytest.raises(ConfigError, match="holds rooms of"):
        simulate_rooms(tmp_path, rooms=2, places=3, workers=0)
    waves, rate = soundfile.read(tmp_path / "room00000.wav")
    room = draw_room(1234, 0, 2)
    offset = 40  # half of the filter that the library delays by
    for k, voice in enumerate(room["voices"]):
        away = np.linalg.norm(np.subtract(voice, room["microphone"]))
        peak = int(np.argmax(np.abs(waves[:, k])))
        assert abs(peak - offset - away / 343 * rate) <= 1.5
        rir = align_rir(waves[:, k])
        # the direct path is where the voice would be without a room
        signal = np.random.default_rng(k).standard_normal(8000)
        heard, early = rir.heard(signal, 0, 8000 - rir.lead)
        assert abs(lag(early, signal)) <= 1 and abs(lag(heard, signal)) <= 1
    assert rate == 16000
    rows = (tmp_path / "rooms.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[1].startswith("room00000.wav,")


def test_a_reader_without_rooms_needs_no_draw(folder):
    reader = ItemReader(1, use_lips=False)
    row = {
        "mix_wav": "",
        "s1_wav": str(folder / "0.wav"),
        "s1_lips": "",
        "s1_gain": 1.0,
        "s1_spk": "a",
    }
    mix, sources, _ = reader("a", row)
    assert np.array_equal(mix, sources[:, 0])

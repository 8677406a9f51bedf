"""Proves what silent targets and off-screen voices do to a mixture, and that a
network learns silence from them.
"""

import functools

import numpy as np
import pytest
import torch
from speechbrain.core import Stage
from speechbrain.dataio.batch import PaddedBatch

from avsep_sb import losses
from avsep_sb.brain import AVSeparationBrain
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.dataio.silence import (
    quiet_passage,
    resting_frames,
)
from avsep_sb.dataio.visual_augment import VisualAugment
from avsep_sb.errors import ConfigError
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.measures import level_db
from tests.utils.framed_corpus import hparams, number, write_corpus
from tests.utils.framed_corpus import loaded as load_all
from tests.utils.toy_corpus import make_toy_corpus

# Of the pause in frames 20-33, three on each side may show a moving mouth.
REST = set(range(23, 31))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("framed")
    write_corpus(path)
    return path


def pairs(folder, epochs=10, **keys):
    """Items with and without the keys."""
    plain, _, _ = make_datasets(hparams(folder))
    train, _, _ = make_datasets(hparams(folder, **keys))
    for epoch in range(epochs):
        plain.set_epoch(epoch)
        train.set_epoch(epoch)
        for i in range(len(train)):
            yield plain[i], train[i]


def silent_face(item):
    """Index of the silent target, or None."""
    silent = (item["sources"] == 0).all(0)
    assert silent.sum() <= 1
    return int(silent.long().argmax()) if silent.any() else None


def residual(item):
    return item["mix_sig"] - item["sources"].sum(1)


def test_half_of_the_mixtures_have_a_silent_face_at_rest(folder):
    found = []
    for plain, item in pairs(folder, epochs=20, silent_target_prob=0.5):
        silent = silent_face(item)
        found.append(silent)
        if silent is None:
            for key in ("mix_sig", "sources", "lips"):
                assert torch.equal(item[key], plain[key])
            continue
        speaks = 1 - silent
        assert torch.equal(item["lips"][:, speaks], plain["lips"][:, speaks])
        assert torch.allclose(residual(item), torch.zeros(1), atol=1e-7)
        # the other voice as it was, but for the limit of the peak
        both = torch.stack(
            [item["sources"][:, speaks], plain["sources"][:, speaks]]
        )
        assert torch.corrcoef(both)[0, 1] > 0.9999
        rest = number(item["lips"])[:, silent]
        assert set(rest.tolist()) <= REST
        assert (rest.diff().abs() <= 1).all() and rest.diff().any()
    assert set(found) == {None, 0, 1}
    assert 0.35 < np.mean([silent is not None for silent in found]) < 0.65


def test_a_share_of_the_silent_faces_moves(folder):
    moves = []
    for plain, item in pairs(
        folder, silent_target_prob=1, silent_moving_prob=0.5
    ):
        silent = silent_face(item)
        moves.append(torch.equal(item["lips"], plain["lips"]))
        resting = set(number(item["lips"])[:, silent].tolist()) <= REST
        assert moves[-1] or resting
    assert 0.25 < np.mean(moves) < 0.75


def test_off_screen_voice_is_in_the_residual_alone(folder):
    import soundfile

    waves = [soundfile.read(folder / f"{n}.wav")[0] for n in range(5)]

    def voice(signal):
        """Whose window a signal is, by correlation."""
        signal = signal.double().numpy()
        best = {}
        for n, wave in enumerate(waves):
            spectrum = np.fft.rfft(wave, 65536) * np.conj(
                np.fft.rfft(signal, 65536)
            )
            best[n] = np.abs(np.fft.irfft(spectrum)).max()
        return max(best, key=best.get)

    with_voice, levels, unseen = [], [], set()
    for plain, item in pairs(folder, epochs=8, offscreen_voice_prob=0.6):
        assert torch.equal(item["lips"], plain["lips"])
        rest = residual(item)
        with_voice.append(bool(rest.abs().max() > 1e-4))
        if not with_voice[-1]:
            assert torch.equal(item["mix_sig"], plain["mix_sig"])
            continue
        shown = {voice(item["sources"][:, k]) for k in range(2)}
        unseen.add(voice(rest))
        assert voice(rest) not in shown and len(shown) == 2
        # active levels: the level drawn, +-5 dB, over the mean of the others
        rms = [
            x[x.abs() > 1e-6].square().mean().sqrt()
            for x in (rest, *item["sources"].T)
        ]
        level = 20 * torch.log10(torch.stack(rms))
        levels.append(float(level[0] - level[1:].mean()))
    assert 0.45 < np.mean(with_voice) < 0.75
    assert unseen == set(range(5))
    assert min(levels) < -3 and max(levels) > 3
    assert max(map(abs, levels)) < 5.5


def test_both_at_once(folder):
    for _, item in pairs(
        folder, epochs=3, silent_target_prob=1, offscreen_voice_prob=1
    ):
        assert silent_face(item) is not None
        assert residual(item).abs().max() > 1e-3
        assert item["mix_sig"].abs().max() <= 0.9001


def test_one_silent_face_alone_hears_somebody_else(tmp_path):
    write_corpus(tmp_path, voices=3, num_spks=1)
    train, _, _ = make_datasets(
        hparams(tmp_path, num_spks=1, silent_target_prob=1)
    )
    for i in range(3):
        assert not train[i]["sources"].any()
        assert train[i]["mix_sig"].any()


def test_any_number_of_workers_draws_the_same(folder):
    keys = {
        "silent_target_prob": 0.5,
        "silent_moving_prob": 0.3,
        "offscreen_voice_prob": 0.5,
        "visual_augment": VisualAugment(missing_prob=0.5, absent_prob=0.5),
    }
    train, _, _ = make_datasets(hparams(folder, **keys))
    alone = load_all(train, 2, workers=0)
    again, _, _ = make_datasets(hparams(folder, **keys))
    found = load_all(again, 2, workers=2)
    for name, parts in alone.items():
        assert all(map(torch.equal, parts, found[name]))


def test_lips_change_no_sound(folder):
    keys = {"silent_target_prob": 0.5, "offscreen_voice_prob": 0.5}
    seeing, _, _ = make_datasets(hparams(folder, **keys))
    blind, _, _ = make_datasets(hparams(folder, use_lips=False, **keys))
    for i in range(5):
        assert torch.equal(seeing[i]["mix_sig"], blind[i]["mix_sig"])


def test_validation_has_no_silent_target(folder):
    _, valid, test = make_datasets(
        hparams(folder, silent_target_prob=1, offscreen_voice_prob=1)
    )
    for item in (valid[0], test[0]):
        assert item["sources"].any(0).all()
        assert torch.equal(item["mix_sig"], item["sources"].sum(1))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"silent_target_prob": 2}, "silent_target_prob is 2"),
        ({"offscreen_voice_prob": "x"}, "offscreen_voice_prob is 'x'"),
        (
            {"silent_target_prob": 0.1, "dynamic_mixing": False},
            "set dynamic_mixing: True",
        ),
        ({"silent_moving_prob": 0.1}, "set silent_target_prob too"),
        ({"silent_pausing_prob": 0.1}, "set silent_target_prob too"),
        (
            {"silent_pausing_prob": 0.1, "offscreen_voice_prob": 0.1},
            "silent_pausing_prob is a share",
        ),
    ],
)
def test_unusable_settings_are_named(folder, changes, words):
    with pytest.raises(ConfigError) as caught:
        make_datasets(hparams(folder, **changes))
    assert words in str(caught.value) and str(caught.value).endswith(".")


def test_off_screen_voice_needs_one_more_speaker(tmp_path):
    write_corpus(tmp_path, voices=2)
    with pytest.raises(ConfigError, match="needs 3 speakers"):
        make_datasets(hparams(tmp_path, offscreen_voice_prob=0.1))


def test_quiet_passage():
    rng = np.random.default_rng(0)
    speech = 0.1 * rng.standard_normal(10 * 640)
    pause, hiss = np.zeros(8 * 640), 1e-4 * rng.standard_normal(12 * 640)
    join = np.concatenate
    # the longest pause decides; it may have a background
    assert quiet_passage(join([speech, pause, speech, hiss, speech]), 640) == (
        31,
        37,
    )
    # nothing is cut off where the recording begins or ends
    assert quiet_passage(join([pause, speech]), 640) == (0, 5)
    assert quiet_passage(join([speech, pause]), 640) == (13, 18)
    assert quiet_passage(np.zeros(4 * 640), 640) == (0, 4)
    # without a pause: the quietest frame
    speech[3 * 640 : 4 * 640] *= 0.5
    assert quiet_passage(speech[: 9 * 640 + 5], 640)[0] in (3, 9)
    assert quiet_passage(speech, 640) == (3, 4)


@pytest.mark.parametrize("phase", [0.0, 0.4, 0.99])
def test_resting_frames_stay_in_their_passage(phase):
    found = resting_frames(np.arange(20), (7, 12), 60, phase)
    assert set(found) == set(range(7, 12))
    assert (np.abs(np.diff(found)) == 1).all()
    assert (resting_frames(np.arange(20), (7, 8), 5, phase) == 7).all()
    # lips may be a frame or two shorter than the sound
    assert (resting_frames(np.arange(6), (7, 9), 5, phase) == 5).all()


def test_brain_gives_the_mixture_to_losses_that_take_it(folder):
    train, _, _ = make_datasets(hparams(folder, silent_target_prob=1))
    batch = PaddedBatch([train[i] for i in range(4)])
    estimate = 0.3 * batch.mix_sig.data[:, :, None].expand(-1, -1, 2)

    def three_arguments(estimate, target, lengths):
        return (estimate - target).square().mean((1, 2)), estimate

    ours = functools.partial(
        losses.fixed_order,
        measure=losses.snr,
        silent=losses.zero_reference,
    )
    found = []
    for loss in (ours, three_arguments):
        brain = AVSeparationBrain(
            hparams={"loss": loss, "loss_threshold": None},
            run_opts={"device": "cpu"},
        )
        found.append(brain.compute_objectives(estimate, batch, Stage.TRAIN))
    target, lengths = batch.sources
    wanted, _ = ours(estimate, target, lengths, mix=batch.mix_sig.data)
    assert found[0] == wanted.mean()
    assert found[1] == three_arguments(estimate, target, lengths)[0].mean()


# training


def pooled(roi):
    """Mouths [B, S, Tv, 88, 88] as 4 x 4 means: [B, S, Tv, 16]."""
    cells = torch.nn.functional.avg_pool2d(roi.float().flatten(0, 1), 22)
    return (cells.flatten(2) / 51 - 1.5).unflatten(0, roi.shape[:2])


def test_silence_of_a_still_face_is_learnt(tmp_path):
    manifests = make_toy_corpus(tmp_path)
    settings = hparams(
        tmp_path,
        training_signal_len=15 * 640,
        crop_size=[88, 88],
        silent_target_prob=0.3,
        **{f"{n}_data": manifests / f"{n}.csv" for n in ("train", "valid")},
        test_data=manifests / "test.csv",
    )

    def batch_of(epoch, **changes):
        train, _, _ = make_datasets({**settings, **changes})
        train.set_epoch(epoch)
        batch = PaddedBatch([train[i] for i in range(8)])
        visual = pooled(batch.lips.data.transpose(1, 2))
        return batch.mix_sig.data, batch.sources.data, visual

    torch.manual_seed(1)
    net = IIANet(
        out_channels=24,
        in_channels=32,
        vpre_channels=16,
        vin_channels=16,
        num_av_cycles=1,
        num_audio_cycles=0,
        depth=3,
        kernel_size=512,
        stride=128,
        codec="spectral",
        dropout=0.0,
        drop_path=0.0,
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.004)
    batches = [batch_of(epoch) for epoch in range(4)]
    held_out = batch_of(99, silent_target_prob=1)

    def levels():
        """Of silent faces, and SNR of those who speak beside one, in dB."""
        mix, target, visual = held_out
        with torch.no_grad():
            estimate = net(mix, visual)
        silent = ~target.any(1)
        return (
            level_db(estimate, mix[:, :, None])[silent].median().item(),
            losses.snr(estimate, target)[~silent].median().item(),
        )

    assert levels()[0] > -15
    for step in range(60):
        mix, target, visual = batches[step % 4]
        loss, _ = losses.fixed_order(
            net(mix, visual),
            target,
            measure=losses.snr,
            silent=losses.zero_reference,
            mix=mix,
        )
        optimizer.zero_grad()
        loss.mean().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
        optimizer.step()
    level, ratio = levels()
    # silence where nobody speaks, and not by being silent altogether
    assert level < -20 and ratio > 6

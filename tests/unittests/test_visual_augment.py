"""Proves what is done to the faces in training, and that it is marked.

The draws must depend on (seed, epoch, ID) alone and touch nothing else.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.core import Stage
from speechbrain.dataio.batch import PaddedBatch

from avsep_sb.brain import AVSeparationBrain
from avsep_sb.dataio.lips import GREY, hold_missing
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.dataio.visual_augment import VisualAugment
from avsep_sb.errors import ConfigError
from avsep_sb.lobes.iianet import IIANet
from avsep_sb.yaml_keys import refuse_unused_keys
from tests.utils.framed_corpus import (
    WINDOW,
    hparams,
    loaded,
    number,
    write_corpus,
)
from tests.utils.toy_model import SEPARATOR

YAML = """
visual_augment: !new:avsep_sb.dataio.visual_augment.VisualAugment
    missing_prob: 0.5
    missing_frames: [2, 9]
    absent_prob: 0.1
    frozen_prob: 0.3
    frozen_frames: [3, 6]
    covered_prob: 0.3
    desync_prob: 0.5
    desync_ms: 200
"""
ALL = {
    "missing_prob": 0.5,
    "absent_prob": 0.1,
    "frozen_prob": 0.4,
    "covered_prob": 0.4,
    "desync_prob": 0.5,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("framed")
    write_corpus(path)
    return path


def pairs(folder, epochs=12, **options):
    """Items with and without the augmentation."""
    plain, _, _ = make_datasets(hparams(folder))
    augment = VisualAugment(**options)
    train, _, _ = make_datasets(hparams(folder, visual_augment=augment))
    for epoch in range(epochs):
        plain.set_epoch(epoch)
        train.set_epoch(epoch)
        for i in range(len(train)):
            yield plain[i], train[i]


def test_without_the_key_there_is_no_mask(folder):
    for dataset in make_datasets(hparams(folder)):
        assert set(dataset[0]) == {"id", "mix_sig", "sources", "lips"}


def test_nothing_drawn_is_nothing_changed(folder):
    for plain, item in pairs(folder, epochs=2):
        assert item["lips_mask"].dtype == torch.bool
        assert item["lips_mask"].shape == (WINDOW, 2)
        assert item["lips_mask"].all()
        assert torch.equal(item["lips"], plain["lips"])


def test_sound_is_left_alone(folder):
    changed = 0
    for plain, item in pairs(folder, epochs=4, **ALL):
        assert torch.equal(item["mix_sig"], plain["mix_sig"])
        assert torch.equal(item["sources"], plain["sources"])
        changed += not torch.equal(item["lips"], plain["lips"])
    assert changed > 10


def test_missing_frames_are_marked_and_held(folder):
    lengths = []
    for plain, item in pairs(folder, missing_prob=1, missing_frames=[2, 5]):
        for k in range(2):
            seen = item["lips_mask"][:, k].numpy()
            held = hold_missing(plain["lips"][:, k].numpy(), seen)
            assert np.array_equal(item["lips"][:, k].numpy(), held)
            lengths.append(int((~seen).sum()))
    # one or two spans of 2 to 5 frames
    assert set(lengths) == set(range(2, 11))


def test_hold_takes_no_frame_from_the_future_but_the_first():
    frames = np.arange(6, dtype=np.uint8).reshape(6, 1, 1)
    seen = np.array([0, 0, 1, 0, 1, 0], bool)
    assert hold_missing(frames, seen).ravel().tolist() == [2, 2, 2, 2, 4, 4]
    none = hold_missing(frames, np.zeros(6, bool))
    assert none.ravel().tolist() == [GREY] * 6
    assert hold_missing(frames, np.ones(6, bool)) is frames


def test_one_face_at_most_is_absent(folder):
    gone = []
    for plain, item in pairs(folder, absent_prob=0.5):
        absent = ~item["lips_mask"].any(0)
        assert item["lips_mask"].any(0).equal(item["lips_mask"].all(0))
        assert (item["lips"][:, absent] == GREY).all()
        assert torch.equal(item["lips"][:, ~absent], plain["lips"][:, ~absent])
        gone.append(absent.tolist())
    assert 0.3 < np.mean([any(pair) for pair in gone]) < 0.7
    assert {tuple(pair) for pair in gone} == {
        (False, False),
        (True, False),
        (False, True),
    }


def test_frozen_spans_repeat_a_frame_and_are_not_marked(folder):
    for plain, item in pairs(folder, frozen_prob=1, frozen_frames=[4, 4]):
        assert item["lips_mask"].all()
        for k in range(2):
            before, after = number(plain["lips"])[:, k], number(item["lips"])
            change = (before != after[:, k]).nonzero().ravel()
            if len(change):  # none where the window stands still by itself
                first = int(change[0]) - 1
                assert (after[first : first + 4, k] == before[first]).all()
                assert int(change[-1]) < first + 4


def test_a_block_covers_the_mouth_and_is_not_marked(folder):
    levels = set()
    for plain, item in pairs(folder, covered_prob=1, covered_frames=[6, 6]):
        assert item["lips_mask"].all()
        changed = (plain["lips"] != item["lips"]).numpy()
        for k in range(2):
            frames = changed[:, k].any((1, 2)).nonzero()[0]
            assert 5 <= len(frames) <= 6  # one may have the block's grey
            assert frames[-1] - frames[0] <= 5
            hidden = changed[frames[0], k]
            assert hidden[6, 6] and not hidden[0, 0]
            assert 0.15 < hidden.mean() < 0.75
            levels.add(int(item["lips"][frames[0], k, 6, 6]))
    assert len(levels) > 20


def test_desync_moves_one_face_by_whole_frames(folder):
    leads = []
    for plain, item in pairs(folder, epochs=20, desync_prob=0.6):
        before, after = number(plain["lips"]), number(item["lips"])
        moved = [k for k in range(2) if not before[:, k].equal(after[:, k])]
        assert len(moved) <= 1
        if not moved:
            continue
        early = (after - before)[:, moved[0]]
        lead = int(early[early.abs().argmax()])
        # at the ends of the recording the mouth stands still
        want = (before[:, moved[0]] + lead).clamp(0, 39)
        assert torch.equal(after[:, moved[0]], want)
        leads.append(lead)
    assert set(leads) == {-5, -4, -3, -2, -1, 1, 2, 3, 4, 5}  # 200 ms


def test_kinds_are_drawn_apart():
    few = VisualAugment(missing_prob=0.3, frozen_prob=1.0)
    many = VisualAugment(**{**ALL, "missing_prob": 0.9, "frozen_prob": 1.0})
    for seed in range(20):
        one = few.draw(np.random.default_rng(seed), 3, 30)
        two = many.draw(np.random.default_rng(seed), 3, 30)
        for a, b in zip(one, two, strict=True):
            assert a.frozen == b.frozen and a.block == b.block
            assert a.missing in ([], b.missing, [(0, 30)])


def test_a_silent_face_is_never_absent():
    augment = VisualAugment(absent_prob=1.0)
    for seed in range(20):
        faces = augment.draw(np.random.default_rng(seed), 2, 30, silent=1)
        assert faces[1].missing == []


def test_spans_fit_into_short_items():
    augment = VisualAugment(missing_prob=1, frozen_prob=1, covered_prob=1)
    face = augment.draw(np.random.default_rng(0), 1, 2)[0]
    frames, seen = augment.apply(np.zeros((2, 5, 5), np.uint8), face)
    assert frames.shape == (2, 5, 5) and not seen.any()


def test_any_number_of_workers_draws_the_same(folder):
    settings = hparams(folder, visual_augment=VisualAugment(**ALL))
    train, _, _ = make_datasets(settings)
    alone = loaded(train, 3, workers=0)
    again, _, _ = make_datasets(settings)
    for workers in (0, 2):
        found = loaded(again, 3, workers)
        for name, parts in alone.items():
            assert all(map(torch.equal, parts, found[name]))
    later = loaded(again, 4, workers=0)
    assert any(
        not torch.equal(alone[name][3], later[name][3]) for name in alone
    )


def test_validation_sees_whole_faces(folder):
    augment = VisualAugment(missing_prob=1, covered_prob=1)
    _, valid, test = make_datasets(hparams(folder, visual_augment=augment))
    plain, _, _ = make_datasets(hparams(folder, dynamic_mixing=False))
    for dataset in (valid, test):
        assert set(dataset[0]) == {"id", "mix_sig", "sources", "lips"}
        assert number(dataset[0]["lips"])[:, 0].tolist() == list(range(40))
    assert "lips_mask" not in plain[0]


class Pooled(torch.nn.Module):
    """A front end of six means per picture."""

    def forward(self, roi):
        return roi.float().mean((-2, -1))[..., None].expand(-1, -1, -1, 6)


def test_brain_hands_the_mask_to_the_separator(folder):
    augment = VisualAugment(missing_prob=1, missing_frames=[3, 8])
    train, valid, _ = make_datasets(hparams(folder, visual_augment=augment))
    torch.manual_seed(0)
    net = IIANet(**SEPARATOR).eval()
    brain = AVSeparationBrain(
        modules={"visual_frontend": Pooled(), "separator": net},
        hparams={},
        run_opts={"device": "cpu"},
    )
    brain.modules.eval()
    batch = PaddedBatch([train[0], train[1]])
    with torch.no_grad():
        found = brain.compute_forward(batch, Stage.TRAIN)
        visual = Pooled()(batch.lips.data.transpose(1, 2))
        seen = batch.lips_mask.data.transpose(1, 2)
        wanted = net(batch.mix_sig.data, visual * seen[..., None])
        unmasked = net(batch.mix_sig.data, visual)
        assert torch.allclose(found, wanted, atol=1e-6)
        assert not torch.allclose(found, unmasked, atol=1e-6)
        # without a mask a separator is called as ever
        plain = SimpleNamespace(
            to=lambda device: plain,
            mix_sig=batch.mix_sig,
            lips=batch.lips,
        )
        assert torch.equal(brain.compute_forward(plain, Stage.VALID), unmasked)


def test_yaml_is_read_and_its_key_is_known(tmp_path):
    augment = load_hyperpyyaml(YAML)["visual_augment"]
    assert augment.missing_frames == (2, 9) and augment.desync_ms == 200.0
    path = tmp_path / "a.yaml"
    path.write_text(YAML)
    refuse_unused_keys(path)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"missing_prob": 1.1}, "missing_prob is 1.1"),
        ({"absent_prob": True}, "absent_prob is True"),
        ({"frozen_frames": [5, 3]}, "frozen_frames is [5, 3]"),
        ({"covered_frames": 4}, "covered_frames is 4"),
        ({"missing_frames": [0, 2]}, "from 1 on"),
        ({"missing_spans": 0}, "missing_spans is 0"),
        ({"desync_ms": -1}, "desync_ms is -1"),
    ],
)
def test_unusable_values_are_named(options, words):
    with pytest.raises(ConfigError) as caught:
        VisualAugment(**options)
    assert words in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"visual_augment": {"missing_prob": 1}},
            "write 'visual_augment: !new",
        ),
        ({"visual_augment": VisualAugment(), "use_lips": False}, "use_lips"),
        (
            {
                "visual_augment": VisualAugment(
                    frozen_prob=0.1, frozen_frames=[5, 20]
                ),
                "silent_target_prob": 0.1,
            },
            "keep it below 20",
        ),
    ],
)
def test_unusable_settings_are_named(folder, changes, words):
    with pytest.raises(ConfigError) as caught:
        make_datasets(hparams(folder, **changes))
    assert words in str(caught.value) and str(caught.value).endswith(".")

"""Proves that a silent target may be silent for a part of the item: sound and
lips rest there alone, and everything else is as without it.
"""

import numpy as np
import torch

from avsep_sb.dataio.manifest import check_manifest
from avsep_sb.dataio.mixing import Mixer
from avsep_sb.dataio.mouths import Mouths, Rest
from avsep_sb.dataio.pipeline import make_datasets
from avsep_sb.dataio.silence import SilenceDraw, SilentTargets
from tests.utils.framed_corpus import (
    WINDOW,
    hparams,
    loaded,
    number,
    write_corpus,
)

# Of the pause in frames 20-33, three on each side may show a moving mouth.
REST = set(range(23, 31))
KEYS = {"silent_target_prob": 1, "silent_pausing_prob": 0.5}


def test_sound_and_lips_rest_in_the_pause_alone(tmp_path):
    write_corpus(tmp_path)
    plain, _, _ = make_datasets(hparams(tmp_path))
    train, _, _ = make_datasets(hparams(tmp_path, **KEYS))
    rows = check_manifest(tmp_path / "all.csv", tmp_path)
    mixer = Mixer(rows, 7, (-5, 5), epoch=train.epoch)
    silence = SilentTargets(mixer, silent_prob=1, pausing_prob=0.5)
    lengths = []
    for epoch in range(10):
        plain.set_epoch(epoch)
        train.set_epoch(epoch)
        for i, name in enumerate(train.data_ids):
            dry, item = plain[i], train[i]
            draw = silence.draw(name, mixer.draw(name).sources)
            span = draw.span(WINDOW)
            first, last = span or (0, WINDOW)
            lengths.append(None if span is None else last - first)
            voice = item["sources"][:, draw.silent]
            assert not voice[640 * first : 640 * last].any()
            rest = number(item["lips"])[first:last, draw.silent]
            assert set(rest.tolist()) <= REST
            # before, after and beside it all is as it was, but for the peak
            around = np.r_[0:first, last:WINDOW]
            other = 1 - draw.silent
            assert torch.equal(
                item["lips"][around, draw.silent],
                dry["lips"][around, draw.silent],
            )
            assert torch.equal(item["lips"][:, other], dry["lips"][:, other])
            scale = item["sources"][:, other].norm()
            scale = scale / dry["sources"][:, other].norm()
            wanted = scale * dry["sources"]
            wanted[640 * first : 640 * last, draw.silent] = 0
            assert torch.allclose(item["sources"], wanted, atol=1e-6)
            assert torch.allclose(
                item["mix_sig"], item["sources"].sum(1), atol=1e-6
            )
    some = [length for length in lengths if length is not None]
    assert 0.25 < len(some) / len(lengths) < 0.75
    # 30 to 70 % of the item
    assert 5 <= min(some) < 9 and 11 < max(some) <= 15


def test_a_share_of_zero_draws_what_was_drawn_before(tmp_path):
    write_corpus(tmp_path)
    before, _, _ = make_datasets(hparams(tmp_path, silent_target_prob=0.5))
    after, _, _ = make_datasets(
        hparams(tmp_path, silent_target_prob=0.5, silent_pausing_prob=0.0)
    )
    for i in range(5):
        assert torch.equal(before[i]["sources"], after[i]["sources"])
        assert torch.equal(before[i]["lips"], after[i]["lips"])


def test_workers_draw_the_same_pauses(tmp_path):
    write_corpus(tmp_path)
    train, _, _ = make_datasets(hparams(tmp_path, **KEYS))
    alone, parted = loaded(train, 3, 0), loaded(train, 3, 2)
    for name, parts in alone.items():
        assert all(map(torch.equal, parts, parted[name]))


def test_frames_of_a_pause_are_those_of_the_sound():
    draw = SilenceDraw(0, False, None, 0.0, None, (0.25, 0.6))
    assert draw.span(20) == (5, 12) and draw.span(2) == (0, 1)
    assert draw._replace(pause=None).span(20) is None
    pixels = np.arange(40, dtype=np.uint8)
    lips = [np.tile(pixels[:, None, None], (1, 8, 8)) for _ in range(2)]
    rest = Rest(1, (23, 31), 0.0, draw.span(20))
    cut, mask = Mouths()("a", lips, [(0, 20), (10, 30)], rest=rest)
    assert mask is None
    assert cut[:, 0, 0, 0].tolist() == list(range(20))
    wanted = list(range(10, 30))
    wanted[5:12] = range(23, 30)
    assert cut[:, 1, 0, 0].tolist() == wanted
    # a mouth that moves without a voice moves throughout
    moving = Mouths()("a", lips, [(0, 20), (10, 30)], rest=Rest(1))[0]
    assert moving[:, 1, 0, 0].tolist() == list(range(10, 30))

"""Trains SyncNet: which sound and which mouth belong together, and when.

Each sound of a batch, with another one laid over it, is to be told its own
mouth at its own time from all mouths of the batch at all delays (InfoNCE,
van den Oord et al. 2018, in place of the pairs of Chung and Zisserman 2016).

Authors
 * avsep_sb contributors
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from speechbrain.core import Stage
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.data_pipeline import provides, takes

from avsep_sb.dataio.audio import read_audio
from avsep_sb.dataio.draws import SharedEpoch, item_rng
from avsep_sb.dataio.lips import crop_flip
from avsep_sb.dataio.windows import cut_audio, cut_frames
from avsep_sb.errors import DataError
from avsep_sb.lobes.sync_net import agreement_by_delay
from avsep_sb.recovering import RecoveringBrain

TEST_SIR_DB = 0.0


def make_sync_dataset(rows, hparams, training):
    """Builds a dataset of windows of sound and embedded lips of one time.

    The visual front end is frozen, so each recording is embedded once, when
    it is first asked for, and kept: 6 kB a second, so no disk is needed.

    Arguments
    ---------
    rows : dict
        One split of :func:`avsep_sb.lip_reading.read_utterances`; the sound
        is beside the mouths, as flac.
    hparams : dict
        Read are ``visual_frontend``, ``window_frames``, ``crop_size``,
        ``seed``, ``sample_rate`` and ``video_fps``.
    training : bool
        Whether the window is drawn for each epoch; else it is central.

    Returns
    -------
    DynamicItemDataset
        With ``id``, ``sig [T]`` and ``visual [Tv, C]``, and a ``set_epoch``.
        ``DataError`` is raised if no utterance is as long as the window.
    """
    clock = SharedEpoch()
    front_end = hparams["visual_frontend"]
    embedded = {}
    length, fps = hparams["window_frames"], hparams["video_fps"]
    frame = hparams["sample_rate"] // fps
    long = {k: v for k, v in rows.items() if v["duration"] * fps >= length}
    if not long:
        raise DataError(
            f"no utterance lasts {length / fps:g} s; lower window_frames."
        )

    @torch.no_grad()
    def embed(npz):
        if npz not in embedded:
            with np.load(npz) as item:
                lips = crop_flip(item["data"], hparams["crop_size"])
            lips = torch.from_numpy(np.ascontiguousarray(lips))
            front_end.eval()
            device = next(front_end.parameters()).device
            visual = front_end(lips[None, None].to(device))[0, 0]
            embedded[npz] = visual.half().cpu().numpy()
        return embedded[npz]

    @takes("id", "npz")
    @provides("sig", "visual")
    def read(utt_id, npz):
        visual = embed(npz)
        start = max(0, (len(visual) - length) // 2)
        if training:
            rng = item_rng(hparams["seed"], clock.get(), utt_id)
            start = int(rng.integers(max(1, len(visual) - length + 1)))
        stop = start + length
        wave = read_audio(
            Path(npz).with_suffix(".flac"),
            start * frame,
            stop * frame,
            hparams["sample_rate"],
        )
        yield torch.from_numpy(cut_audio(wave, length * frame))
        yield torch.from_numpy(cut_frames(visual, start, stop)).float()

    dataset = DynamicItemDataset(long)
    dataset.add_dynamic_item(read)
    dataset.set_output_keys(["id", "sig", "visual"])
    dataset.set_epoch = clock.set
    return dataset


def overlaid(waves, sir_db):
    """Lays over each sound of a batch the one before it.

    Arguments
    ---------
    waves : torch.Tensor
        [B, T]
    sir_db : torch.Tensor
        By how much the own sound is louder, [B, 1].

    Returns
    -------
    torch.Tensor
        [B, T]

    Example
    -------
    >>> waves = torch.tensor([[1.0, -1.0], [0.5, 0.5]])
    >>> overlaid(waves, torch.zeros(2, 1)).tolist()
    [[2.0, 0.0], [1.0, 0.0]]
    """
    other = waves.roll(1, 0)
    power = waves.square().mean(1, keepdim=True)
    over = other.square().mean(1, keepdim=True).clamp(min=1e-10)
    return waves + other * (power / over).sqrt() * 10 ** (-sir_db / 20)


class SyncBrain(RecoveringBrain):
    """Trains ``modules.sync_net`` on a frozen ``modules.visual_frontend``."""

    train_set = None

    def compute_forward(self, batch, stage):
        """Agreement of each sound with each mouth: [B, B, delays]."""
        batch = batch.to(self.device)
        waves = batch.sig.data
        if stage == Stage.TRAIN:
            low, high = self.hparams.sir_db
            sir_db = low + (high - low) * torch.rand(len(waves), 1)
        else:
            sir_db = torch.full((len(waves), 1), TEST_SIR_DB)
        mix = overlaid(waves, sir_db.to(self.device))
        net = self.modules.sync_net
        net = getattr(net, "module", net)
        return agreement_by_delay(
            net.embed_sound(mix),
            net.embed_lips(batch.visual.data),
            self.max_shift,
        )

    @property
    def max_shift(self):
        """int: delays that are told apart, in frames either way."""
        return int(self.hparams.max_shift)

    def compute_objectives(self, predictions, batch, stage):
        """Cross-entropy of mouth and delay given the sound, and of the sound
        given the mouth."""
        net = self.modules.sync_net
        net = getattr(net, "module", net)
        score = predictions * net.log_scale.exp()
        count, delays = len(score), score.shape[-1]
        own = torch.arange(count, device=score.device)
        if stage != Stage.TRAIN:
            found = predictions[own, own].argmax(-1) - self.max_shift
            self.right += int((found.abs() <= 1).sum())
            self.seen += count
        by_sound = F.cross_entropy(
            score.flatten(1), own * delays + self.max_shift
        )
        return by_sound + F.cross_entropy(score[..., self.max_shift].T, own)

    def on_stage_start(self, stage, epoch=None):
        """Empties the counts and tells the data the epoch."""
        self.right = self.seen = 0
        if stage == Stage.TRAIN and self.train_set is not None:
            self.train_set.set_epoch(epoch)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs loss and how many delays are right, lowers the rate, saves."""
        if stage == Stage.TRAIN:
            self.train_stats = {"loss": stage_loss}
            return
        stats = {"loss": stage_loss, "delays": self.right / max(1, self.seen)}
        if stage == Stage.TEST:
            self.hparams.train_logger.log_stats(
                {"Epoch loaded": self.hparams.epoch_counter.current},
                test_stats=stats,
            )
            return
        old, new = self.hparams.lr_scheduler([self.optimizer], epoch)
        update_learning_rate(self.optimizer, new)
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, "lr": old},
            train_stats=self.train_stats,
            valid_stats=stats,
        )
        self.checkpointer.save_and_keep_only(
            meta={k: float(v) for k, v in stats.items()}, min_keys=["loss"]
        )

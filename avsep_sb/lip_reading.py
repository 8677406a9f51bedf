"""Lip-reading pretraining of a visual front end: which viseme is in a frame.

IIANet's front end is trained on LRW word classification before it is frozen
(ICML 2024, Sec. 4.2). A corpus with phoneme times, such as SynthAV, allows
the same with a label for each frame.

Authors
 * avsep_sb contributors
"""

import csv
from pathlib import Path

import numpy as np
import torch
from speechbrain.core import Stage
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.data_pipeline import provides, takes
from speechbrain.utils.distributed import (
    ddp_broadcast,
)
from speechbrain.utils.logger import get_logger

from avsep_sb.dataio.draws import SharedEpoch, item_rng
from avsep_sb.dataio.lips import crop_flip
from avsep_sb.errors import DataError
from avsep_sb.recovering import RecoveringBrain

logger = get_logger(__name__)


def read_utterances(data_folder):
    """Reads the list of utterances of a corpus with viseme labels.

    Arguments
    ---------
    data_folder : str or Path
        Holds ``utterances.csv`` (columns ID, split, spk, text, duration) and
        ``<split>/<spk>/<ID>.npz`` with ``data [Tv, H, W]`` and
        ``viseme [Tv]``.

    Returns
    -------
    dict
        ``{split: {ID: {"npz": path, "duration": seconds}}}``; ``DataError``
        if the list is missing or empty.
    """
    path = Path(data_folder) / "utterances.csv"
    if not path.is_file():
        raise DataError(
            f"'{path}' is missing; make the corpus first: avsep synth --out "
            f"{data_folder}"
        )
    splits = {}
    with path.open(newline="", encoding="utf-8") as fin:
        for row in csv.DictReader(fin):
            npz = Path(data_folder, row["split"], row["spk"], row["ID"])
            splits.setdefault(row["split"], {})[row["ID"]] = {
                "npz": f"{npz}.npz",
                "duration": float(row["duration"]),
            }
    if not splits:
        raise DataError(f"'{path}' lists no utterance; make the corpus again.")
    return splits


def make_viseme_dataset(rows, hparams, training):
    """Builds a dataset of windows of mouths with a label for each frame.

    Arguments
    ---------
    rows : dict
        One split of :func:`read_utterances`.
    hparams : dict
        Read are ``window_frames``, ``crop_size`` and ``seed``.
    training : bool
        Whether window, crop and flip are drawn for each epoch; else the
        window starts at frame 0 and the crop is central.

    Returns
    -------
    DynamicItemDataset
        With ``id``, ``lips [Tv, 1, H, W]`` uint8, ``viseme [Tv]``, and a
        ``set_epoch``.
    """
    clock = SharedEpoch()
    length = hparams["window_frames"]

    @takes("id", "npz")
    @provides("lips", "viseme")
    def read(utt_id, npz):
        with np.load(npz) as item:
            frames, labels = item["data"], item["viseme"]
        rng = None
        start = max(0, (len(frames) - length) // 2)
        if training:
            rng = item_rng(hparams["seed"], clock.get(), utt_id)
            start = int(rng.integers(max(1, len(frames) - length + 1)))
        window = slice(start, start + length)
        frames = crop_flip(
            frames[window], hparams["crop_size"], rng, training, training
        )
        yield torch.from_numpy(np.ascontiguousarray(frames[:, None]))
        yield torch.from_numpy(labels[window].astype(np.int64))

    dataset = DynamicItemDataset(rows)
    dataset.add_dynamic_item(read)
    dataset.set_output_keys(["id", "lips", "viseme"])
    dataset.set_epoch = clock.set
    return dataset


class LipReadingBrain(RecoveringBrain):
    """Trains ``modules.visual_frontend`` under ``modules.classifier``."""

    train_set = None

    def compute_forward(self, batch, stage):
        """Scores of the visemes, [B, Tv, number of visemes]."""
        batch = batch.to(self.device)
        roi = batch.lips.data.transpose(1, 2)
        return self.modules.classifier(self.modules.visual_frontend(roi)[:, 0])

    def compute_objectives(self, predictions, batch, stage):
        """Cross-entropy over the frames that are not padding."""
        labels, lengths = batch.viseme
        frames = torch.arange(labels.shape[1], device=labels.device)
        kept = frames < (lengths * labels.shape[1]).round().unsqueeze(1)
        predictions, labels = predictions[kept].float(), labels[kept]
        if stage != Stage.TRAIN:
            self.right += int((predictions.argmax(-1) == labels).sum())
            self.seen += len(labels)
        return torch.nn.functional.cross_entropy(predictions, labels)

    def on_stage_start(self, stage, epoch=None):
        """Empties the counts and tells the data the epoch."""
        self.epoch = epoch
        self.right = self.seen = 0
        if stage == Stage.TRAIN and self.train_set is not None:
            self.train_set.set_epoch(epoch)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs loss and frame accuracy, lowers the rate and saves."""
        if stage == Stage.TRAIN:
            self.train_stats = {"loss": float(stage_loss)}
            return
        stats = ddp_broadcast(
            {
                "loss": float(stage_loss),
                "accuracy": self.right / max(1, self.seen),
            }
        )
        if stage == Stage.TEST:
            self.hparams.train_logger.log_stats(
                {"Epoch loaded": self.hparams.epoch_counter.current},
                test_stats=stats,
            )
            return
        old, new = self.rates(epoch)
        update_learning_rate(self.optimizer, new)
        self.hparams.train_logger.log_stats(
            {"epoch": epoch, "lr": old},
            train_stats=self.train_stats,
            valid_stats=stats,
        )
        self.checkpointer.save_and_keep_only(
            meta={k: float(v) for k, v in stats.items()}, min_keys=["loss"]
        )

    def rates(self, epoch):
        """The learning rates of this epoch and of the next."""
        return self.hparams.lr_scheduler(epoch)

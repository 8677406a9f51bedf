"""Training of the frame autoencoder: draw each mouth again from its code.

BIN and AVLiT see the mouths through it. No label is needed, so it trains on
the mouth ROIs of any corpus; the same ``train.py`` that prepares a corpus for
a separator runs it when the YAML names :func:`train_autoencoder`.

Authors
 * avsep_sb contributors
"""

import math
import os

import numpy as np
import torch
from speechbrain.core import Stage
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.data_pipeline import provides, takes
from speechbrain.utils.distributed import (
    ddp_barrier,
    ddp_broadcast,
    if_main_process,
)
from speechbrain.utils.logger import get_logger

from avsep_sb.checkpoints import (
    save_frontend,
)
from avsep_sb.dataio.draws import SharedEpoch, item_rng
from avsep_sb.dataio.lips import read_lips
from avsep_sb.dataio.manifest import read_manifest
from avsep_sb.dataio.windows import cut_frames
from avsep_sb.errors import DataError
from avsep_sb.recovering import RecoveringBrain

logger = get_logger(__name__)


def list_videos(manifest, data_folder):
    """Lists the mouth ROIs that a manifest names, each once.

    Arguments
    ---------
    manifest : str or Path
        CSV of :mod:`avsep_sb.dataio.manifest`.
    data_folder : str or Path
        Put in place of ``$data_root``.

    Returns
    -------
    dict
        ``{ID: {"lips": path}}``, the ID being the path as the manifest has
        it. ``DataError`` is raised if there is none, or if one is missing.

    Example
    -------
    >>> from pathlib import Path
    >>> from avsep_sb.dataio.manifest import write_manifest
    >>> folder = Path(getfixture("tmpdir"))
    >>> (folder / "a.npz").touch()
    >>> row = {"ID": "m", "duration": 1, "s1_wav": "a.wav", "s1_gain": 1,
    ...     "s1_spk": "p", "s1_lips": "$data_root/a.npz"}
    >>> _ = write_manifest(folder / "train.csv", [row], num_spks=1)
    >>> list(list_videos(folder / "train.csv", folder))
    ['$data_root/a.npz']
    """
    names = read_manifest(manifest)
    paths = read_manifest(manifest, data_folder)
    videos = {
        row[key]: {"lips": found[key]}
        for row, found in zip(names, paths, strict=True)
        for key in row
        if key.endswith("_lips") and row[key]
    }
    if not videos:
        raise DataError(
            f"{manifest} names no mouth ROI: prepare the corpus with lips."
        )
    paths = [video["lips"] for video in videos.values()]
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(videos)} mouth ROIs of {manifest} are "
            f"missing, the first is {missing[0]}: check data_folder or run "
            "the preparation again."
        )
    return videos


def make_video_dataset(videos, hparams, training):
    """Builds a dataset of windows of mouths.

    Arguments
    ---------
    videos : dict
        Of :func:`list_videos`.
    hparams : dict
        Read are ``window_frames``, ``video_fps`` and ``seed``.
    training : bool
        Whether the window is drawn for each epoch; else it is the central
        one. A shorter video stays on its last frame.

    Returns
    -------
    DynamicItemDataset
        With ``id``, ``lips [Tv, 1, H, W]`` uint8, and a ``set_epoch``.
    """
    clock = SharedEpoch()
    length = hparams["window_frames"]

    @takes("id", "lips")
    @provides("roi")
    def read(video_id, lips):
        frames = read_lips(lips, hparams["video_fps"])
        room = max(0, len(frames) - length)
        start = room // 2
        if training:
            rng = item_rng(hparams["seed"], clock.get(), video_id)
            start = int(rng.integers(room + 1))
        frames = cut_frames(frames, start, start + length)
        return torch.from_numpy(np.ascontiguousarray(frames[:, None]))

    dataset = DynamicItemDataset(videos)
    dataset.add_dynamic_item(read)
    dataset.set_output_keys(["id", "roi"])
    dataset.set_epoch = clock.set
    return dataset


class FrameReconstructionBrain(RecoveringBrain):
    """Trains ``modules.reconstruction`` to draw what it is shown.

    The hyperparameters it reads are ``pixel_scale`` (the decoder draws grey
    levels divided by it), ``lr_scheduler``, ``epoch_counter`` and
    ``train_logger``.
    """

    train_set = None

    def compute_forward(self, batch, stage):
        """The mouths of a batch drawn and as seen, [B, 1, Tv, h, w]."""
        batch = batch.to(self.device)
        return self.modules.reconstruction(batch.roi.data.transpose(1, 2))

    def compute_objectives(self, predictions, batch, stage):
        """Mean squared error over the pixels."""
        drawn, seen = predictions
        seen = seen / self.hparams.pixel_scale
        return torch.nn.functional.mse_loss(drawn.float(), seen.float())

    def on_stage_start(self, stage, epoch=None):
        """Tells the data the epoch."""
        if stage == Stage.TRAIN and self.train_set is not None:
            self.train_set.set_epoch(epoch)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs, lowers the rate and saves."""
        peak = 255 / self.hparams.pixel_scale
        loss = ddp_broadcast(float(stage_loss))
        # Peak signal-to-noise ratio in dB, whatever the scale.
        psnr = 10 * math.log10(peak**2 / max(loss, 1e-12))
        stats = {"loss": loss, "psnr": psnr}
        if stage == Stage.TRAIN:
            self.train_stats = stats
        elif stage == Stage.TEST:
            self.hparams.train_logger.log_stats(
                {"Epoch loaded": self.hparams.epoch_counter.current},
                test_stats=stats,
            )
        else:
            old, new = self.hparams.lr_scheduler(
                [self.optimizer], epoch, self.train_stats["loss"]
            )
            update_learning_rate(self.optimizer, new)
            self.hparams.train_logger.log_stats(
                {"epoch": epoch, "lr": old},
                train_stats=self.train_stats,
                valid_stats=stats,
            )
            self.checkpointer.save_and_keep_only(meta=stats, min_keys=["loss"])


def train_autoencoder(hparams, run_opts):
    """Trains and tests the autoencoder; leaves its weights.

    They lie in ``<output_folder>/visual_frontend.ckpt``, for the
    ``frontend_weights`` of a separator. The same command goes on with a run
    that was interrupted.

    Arguments
    ---------
    hparams : dict
        A YAML such as ``hparams/frame_autoencoder.yaml``.
    run_opts : RunOptions or dict
        SpeechBrain's run options.

    Returns
    -------
    FrameReconstructionBrain
        After the test, holding the best weights.
    """
    train, valid, test = (
        make_video_dataset(
            list_videos(hparams[f"{name}_data"], hparams["data_folder"]),
            hparams,
            training=name == "train",
        )
        for name in ("train", "valid", "test")
    )
    brain = FrameReconstructionBrain(
        modules=hparams["modules"],
        opt_class=hparams["optimizer"],
        hparams=hparams,
        run_opts=run_opts,
        checkpointer=hparams["checkpointer"],
    )
    brain.train_set = train
    options = hparams["dataloader_opts"]
    brain.fit(
        hparams["epoch_counter"],
        train,
        valid,
        train_loader_kwargs={"shuffle": True, **options},
        valid_loader_kwargs=dict(options),
    )
    brain.evaluate(test, min_key="loss", test_loader_kwargs=dict(options))
    # A trial run leaves the weights of a real one alone.
    trial = brain.debug and not brain.debug_persistently
    if if_main_process() and not trial:
        save_frontend(hparams["visual_frontend"], hparams["output_folder"])
    ddp_barrier()
    return brain

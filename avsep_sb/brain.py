"""The one Brain that trains every separator of avsep_sb.

It knows the batch (mixture, sources, mouth ROI), the loss, the schedule and
the results of a run, and no model: ``modules.separator`` and, for models that
see, ``modules.visual_frontend`` come from the YAML.

Authors
 * avsep_sb contributors
"""

import inspect
import zlib

import torch
from speechbrain.core import Stage
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.distributed import (
    ddp_all_reduce,
    ddp_broadcast,
    get_rank,
    if_main_process,
    is_distributed_initialized,
)

from avsep_sb.dataio.speakers import SameCountBatches
from avsep_sb.errors import ConfigError
from avsep_sb.losses import si_snr, threshold_weights
from avsep_sb.measures import all_there
from avsep_sb.recovering import RecoveringBrain
from avsep_sb.run_results import RunResults


class AVSeparationBrain(RecoveringBrain):
    """Trains, validates and tests a separator under its shape contract.

    The separator maps ``mix [B, T]`` and visual embeddings ``[B, S, Tv, C]``
    to sources ``[B, T, S]``. The hyperparameters it reads are ``loss``,
    ``loss_threshold``, ``lr_scheduler``, ``epoch_counter``, ``train_logger``,
    ``sample_rate``, ``seed`` and, for the test, ``output_folder``,
    ``test_metrics``, ``save_audio`` and ``n_audio_to_save``. With
    ``lr_scheduler_loss: train`` the schedule of the learning rate watches the
    training loss of the epoch (as BIN's does) and not the validation loss.

    Arguments
    ---------
    *args, **kwargs
        Those of :class:`speechbrain.core.Brain`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.max_grad_norm <= 0:
            # SpeechBrain would multiply the gradient by it: training ascends.
            raise ConfigError(
                f"max_grad_norm is {self.max_grad_norm}, but must be above 0; "
                "give a large number to train without clipping."
            )
        self.watched = getattr(self.hparams, "lr_scheduler_loss", "valid")
        if self.watched not in ("train", "valid"):
            raise ConfigError(
                f"lr_scheduler_loss is {self.watched!r}: give 'train' or "
                "'valid', the loss that the learning rate follows."
            )
        self.train_set = None
        self.test_run = None

    def make_dataloader(self, dataset, stage, *args, **options):
        """As in SpeechBrain; batches hold mixtures of one number of speakers.

        Arguments
        ---------
        dataset : MixtureDataset
            With ``count_of`` where its items have different numbers.
        stage : Stage
            Of SpeechBrain.
        *args, **options
            Those of SpeechBrain; ``batch_size`` and ``shuffle`` are read.

        Returns
        -------
        DataLoader
        """
        if getattr(dataset, "count_of", None) is not None:
            size = options.pop("batch_size", 1)
            options["batch_sampler"] = SameCountBatches(
                dataset.data_ids,
                dataset.count_of,
                dataset.counts,
                size,
                self.hparams.seed,
                dataset.epoch,
                options.pop("shuffle", False),
            )
        return super().make_dataloader(dataset, stage, *args, **options)

    def compute_forward(self, batch, stage):
        """Separates the mixtures of a batch.

        Arguments
        ---------
        batch : PaddedBatch
            With ``mix_sig [B, T]`` and, for models with a front end,
            ``lips [B, Tv, S, H, W]`` (uint8) or, from the cache,
            embeddings ``[B, Tv, S, C]``, and with visual augmentation
            ``lips_mask [B, Tv, S]`` (bool, False where a face is missing).
        stage : Stage
            What ``--compile`` compiled is for training alone.

        Returns
        -------
        torch.Tensor
            Estimated sources, ``[B, T, S]``.
        """
        if stage == Stage.TRAIN or not self.compile:
            return self._separate(batch.to(self.device))
        # Whole mixtures have many lengths, for each of which it would be
        # compiled anew; without gradients it is fast as it is.
        with torch.compiler.set_stance("force_eager"):
            return self._separate(batch.to(self.device))

    def _separate(self, batch):
        """As :meth:`compute_forward`."""
        visual = None
        if "visual_frontend" in self.modules:
            # Items put time first so that PaddedBatch can pad it.
            roi = batch.lips.data.transpose(1, 2)
            # Embeddings from the cache come as they are.
            visual = (
                roi.to(batch.mix_sig.data.dtype)
                if roi.dim() == 4
                else self.modules.visual_frontend(roi)
            )
        mix = batch.mix_sig.data
        masked = {}
        if hasattr(batch, "lips_mask"):
            masked["visual_mask"] = batch.lips_mask.data.transpose(1, 2)
        sources = self.modules.separator(mix, visual, **masked)
        if "mixture_consistency" in self.modules:
            # Noise, or someone out of view, belongs to none of the voices.
            complete = all_there(batch.sources.data, mix)
            consistency = self.modules.mixture_consistency
            sources = consistency(sources, mix, complete)
        return sources

    def compute_objectives(self, predictions, batch, stage):
        """Scores the estimates against the targets.

        Arguments
        ---------
        predictions : torch.Tensor
            Estimated sources, ``[B, T, S]``.
        batch : PaddedBatch
            With ``sources [B, T, S]``, ``mix_sig`` and ``id``.
        stage : Stage
            Outside training the improvement over the mixture is collected,
            in the test also a row of results for each utterance.

        Returns
        -------
        torch.Tensor
            The mean loss, a scalar.
        """
        loss, estimate = self.separation_loss(predictions, batch)
        if stage == Stage.TRAIN:
            return self.mean_loss(loss)
        self.collect(loss, estimate, batch, stage)
        return loss.mean()

    def separation_loss(self, predictions, batch):
        """Compares estimates with targets.

        Arguments
        ---------
        predictions : torch.Tensor
            Estimated sources, ``[B, T, S]``.
        batch : PaddedBatch
            As for :meth:`compute_objectives`.

        Returns
        -------
        (torch.Tensor, torch.Tensor)
            The loss of each mixture, ``[B]``, and the estimates in the order
            of the targets, ``[B, T, S]``, float32.
        """
        target, lengths = batch.sources
        # Losses in fp32: 16-bit sums over seconds of audio lose the dB.
        estimate = predictions.float()
        # Only the losses of avsep_sb know what to do with the mixture.
        takes_mix = "mix" in inspect.signature(self.hparams.loss).parameters
        extra = {"mix": batch.mix_sig.data} if takes_mix else {}
        return self.hparams.loss(estimate, target, lengths, **extra)

    def mean_loss(self, loss):
        """Mean over the mixtures that are above ``loss_threshold``.

        Arguments
        ---------
        loss : torch.Tensor
            ``[B]``.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        # Weighting instead of dropping keeps backward on every rank.
        weights = threshold_weights(loss, self.hparams.loss_threshold)
        return (loss * weights).sum() / weights.sum().clamp(min=1.0)

    def collect(self, loss, estimate, batch, stage, scores=None):
        """Keeps the figures of a batch that is not trained on.

        Arguments
        ---------
        loss : torch.Tensor
            ``[B]``.
        estimate : torch.Tensor
            In the order of the targets, ``[B, T, S]``.
        batch : PaddedBatch
            As for :meth:`compute_objectives`.
        stage : Stage
            In the test each mixture has a row of results.
        scores : list of dict, optional
            [B], further columns of that row.
        """
        target, lengths = batch.sources
        mix = batch.mix_sig.data.unsqueeze(-1).expand_as(target)
        gain = si_snr(estimate, target, lengths) - si_snr(mix, target, lengths)
        self.losses.extend(loss.tolist())
        self.gains.extend(gain.mean(-1).tolist())
        self.counts.extend([target.shape[-1]] * len(target))
        if stage == Stage.TEST:
            self.test_run.add_batch(batch, estimate, lengths, scores)

    def on_fit_batch_start(self, batch, should_step):
        """Ties the dropout of a step to (seed, epoch, step, rank).

        A run that is killed and restarted then draws what it would have drawn.
        """
        key = f"{self.hparams.seed}|{self.epoch}|{self.step}|{get_rank() or 0}"
        torch.manual_seed(zlib.crc32(key.encode()))

    def on_stage_start(self, stage, epoch=None):
        """Empties the collected figures; tells the mixer the epoch."""
        self.epoch = epoch
        self.losses, self.gains, self.counts = [], [], []
        if stage == Stage.TRAIN and self.train_set is not None:
            self.train_set.set_epoch(epoch)
        if stage == Stage.TEST:
            self.test_run = RunResults(
                self.hparams.output_folder,
                sample_rate=self.hparams.sample_rate,
                metrics=self.hparams.test_metrics,
                n_audio=self.hparams.n_audio_to_save
                if self.hparams.save_audio
                else 0,
                writes=if_main_process(),
            )

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Schedules, stops, logs and saves after each validation."""
        if stage == Stage.TRAIN:
            self.train_stats = {"loss": self._mean_over_ranks(stage_loss)}
            return
        # Means per utterance, and one number for all ranks: schedules that
        # see slightly different floats would part.
        stats = ddp_broadcast(self.stage_stats())
        if stage == Stage.VALID:
            watched = self.train_stats if self.watched == "train" else stats
            rates = self.schedule(epoch, watched["loss"])
            self.hparams.epoch_counter.update_metric(stats["loss"])
            self.hparams.train_logger.log_stats(
                stats_meta={"epoch": epoch, **rates},
                train_stats=self.train_stats,
                valid_stats=stats,
            )
            # Plain floats: a tensor in the meta makes a folder unreadable.
            self.checkpointer.save_and_keep_only(
                meta={k: float(v) for k, v in stats.items()},
                min_keys=["loss"],
            )
        else:
            self.hparams.train_logger.log_stats(
                stats_meta={"Epoch loaded": self.hparams.epoch_counter.current},
                test_stats=stats,
            )
            self.test_run.finish()

    def stage_stats(self):
        """Means of what was collected in a stage.

        Returns
        -------
        dict
            Names to numbers; ``loss`` is what training watches.
        """
        return {
            "loss": sum(self.losses) / max(len(self.losses), 1),
            "si-snr_i": sum(self.gains) / max(len(self.gains), 1),
            **self._gains_by_count(),
        }

    def schedule(self, epoch, loss):
        """Sets the learning rate of the next epoch.

        Arguments
        ---------
        epoch : int
            The one that has ended.
        loss : float
            What the schedule watches.

        Returns
        -------
        dict
            Rates of the epoch that has ended, for the log.
        """
        old_lr, new_lr = self.hparams.lr_scheduler(
            [self.optimizer], epoch, loss
        )
        update_learning_rate(self.optimizer, new_lr)
        return {"lr": old_lr}

    def _gains_by_count(self):
        """Mean improvement for each number of speakers, where it differs."""
        counts = sorted(set(self.counts))
        if len(counts) < 2:
            return {}
        pairs = list(zip(self.counts, self.gains, strict=True))
        gains = {c: [gain for n, gain in pairs if n == c] for c in counts}
        return {
            f"si-snr_i of {c} voices": sum(gains[c]) / len(gains[c])
            for c in counts
        }

    def _mean_over_ranks(self, value):
        """One number for all ranks, or their schedules would part."""
        if not is_distributed_initialized():
            return float(value)
        total = torch.tensor(float(value), device=self.device)
        ddp_all_reduce(total, torch.distributed.ReduceOp.SUM)
        return float(total) / torch.distributed.get_world_size()

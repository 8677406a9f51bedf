"""Trains separator and recogniser together: what is heard shall be understood.

The separated voices go through a CTC recogniser whose loss is added to that
of the separation. The voices are in the order of their faces, so each one's
text is known.

Authors
 * avsep_sb contributors
"""

import torch
from speechbrain.core import Stage
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.metric_stats import ErrorRateStats
from speechbrain.utils.optimizers import rm_vector_weight_decay

from avsep_sb.brain import AVSeparationBrain
from avsep_sb.errors import ConfigError
from avsep_sb.inference.text import normalise_text

_NETS = ("separator", "recogniser")


class AVSeparationASR(AVSeparationBrain):
    """Separation loss plus CTC loss of the separated voices.

    Beside the hyperparameters of
    :class:`~avsep_sb.brain.AVSeparationBrain` it reads ``recogniser`` (a
    :class:`~avsep_sb.ctc_recogniser.CTCRecogniser`, in ``modules`` too),
    ``sep_weight`` and ``asr_weight``, ``asr_optimizer``,
    ``asr_frozen_epochs`` (null: the recogniser is never trained),
    ``separator_frozen_epochs`` (of the front end too) and, if wanted,
    ``asr_lr_scheduler``. Batches need ``texts`` (``use_texts: True``).

    A frozen network is in evaluation mode, so that neither weights nor
    statistics of batch norms move, while gradients go through it. Voices
    without a text take no part in the CTC loss: silent targets, whose
    separation loss asks for silence already, and voices that a listed
    mixture cuts. ``loss`` of the validation is the weighted sum.

    Arguments
    ---------
    *args, **kwargs
        Those of :class:`speechbrain.core.Brain`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        hparams, self.epoch = self.hparams, None
        weights = (hparams.sep_weight, hparams.asr_weight)
        if min(weights) < 0 or max(weights) == 0:
            raise ConfigError(
                f"sep_weight and asr_weight are {weights[0]} and {weights[1]}, "
                "but must not be below 0, and not both 0."
            )
        if not getattr(hparams, "use_texts", False):
            raise ConfigError(
                "Joint training needs what is said: set use_texts: True."
            )
        self.frozen_epochs = {
            "separator": _epochs("separator", hparams.separator_frozen_epochs),
            "recogniser": _epochs("asr", hparams.asr_frozen_epochs),
        }
        if min(self.frozen_epochs.values()) > 0:
            raise ConfigError(
                "separator_frozen_epochs and asr_frozen_epochs leave nothing "
                "to train in the first epoch: set one of them to 0."
            )
        hparams.recogniser.requires_grad_(self._ever_trains("recogniser"))
        # Some parts stay as they are all along, such as a frozen front end.
        self.trained = {
            net: [
                p
                for part in self._parts(net)
                for p in part.parameters()
                if p.requires_grad
            ]
            for net in _NETS
        }

    def _ever_trains(self, net):
        return self.frozen_epochs[net] < self.hparams.epoch_counter.limit

    def _parts(self, net):
        """The modules that one optimizer trains."""
        names = {"recogniser"} & set(self.modules)
        if net == "separator":
            names = set(self.modules) - names
        return [self.modules[name] for name in sorted(names)]

    def is_frozen(self, net):
        """Whether a network is left as it is in the present epoch.

        Arguments
        ---------
        net : str
            ``separator`` or ``recogniser``.

        Returns
        -------
        bool
        """
        return self.epoch is None or self.epoch <= self.frozen_epochs[net]

    def init_optimizers(self):
        """One optimizer per network: SpeechBrain clips each by itself."""
        makers = {
            "separator": self.opt_class,
            "recogniser": self.hparams.asr_optimizer,
        }
        self.optimizers_dict = {}
        for net in filter(self._ever_trains, _NETS):
            parts = torch.nn.ModuleList(self._parts(net))
            params = parts.parameters()
            if self.remove_vector_weight_decay:
                params = rm_vector_weight_decay(parts)
            self.optimizers_dict[net] = makers[net](params)
            self.checkpointer.add_recoverable(
                f"{net}_optimizer",
                self.optimizers_dict[net],
                optional_load=True,  # a run may go on with more of it trained
            )

    def freeze_optimizers(self, optimizers):
        """Leaves out those of frozen networks.

        Arguments
        ---------
        optimizers : dict
            All of them.

        Returns
        -------
        dict
            Those that step in this epoch.
        """
        return {
            net: optimizer
            for net, optimizer in optimizers.items()
            if not self.is_frozen(net)
        }

    def on_stage_start(self, stage, epoch=None):
        """Freezes and thaws; empties what was collected."""
        super().on_stage_start(stage, epoch)
        self.asr_losses = []
        self.error_stats = ErrorRateStats()
        # Ranks agreed on the gradients to share before the first epoch.
        if stage == Stage.TRAIN and not self.distributed_launch:
            for net in _NETS:
                for parameter in self.trained[net]:
                    parameter.requires_grad_(not self.is_frozen(net))

    def on_fit_batch_start(self, batch, should_step):
        """SpeechBrain turns the training mode on; frozen parts go back."""
        super().on_fit_batch_start(batch, should_step)
        for net in filter(self.is_frozen, _NETS):
            for part in self._parts(net):
                if part.training:
                    part.eval()

    def compute_objectives(self, predictions, batch, stage):
        """Scores the estimates against voices and texts.

        Arguments
        ---------
        predictions : torch.Tensor
            Estimated sources, ``[B, T, S]``.
        batch : PaddedBatch
            With ``sources [B, T, S]``, ``mix_sig``, ``id`` and ``texts``,
            [B] lists of [S] texts or None.
        stage : Stage
            Of SpeechBrain.

        Returns
        -------
        torch.Tensor
            The weighted sum of both losses, a scalar.
        """
        sep_weight = self.hparams.sep_weight
        asr_weight = self.hparams.asr_weight
        # Only now are the estimates in the order of the texts.
        sep_loss, estimate = self.separation_loss(predictions, batch)
        asr_loss, voices, found = self.recognition_loss(estimate, batch)
        total = asr_loss.sum() / voices.sum().clamp(min=1)
        if stage == Stage.TRAIN:
            return sep_weight * self.mean_loss(sep_loss) + asr_weight * total
        told = voices > 0
        self.asr_losses.extend((asr_loss / voices)[told].tolist())
        errors = [
            self._count_errors(name, texts, row)
            for name, texts, row in zip(
                batch.id, batch.texts, found, strict=True
            )
        ]
        self.collect(sep_loss, estimate, batch, stage, errors)
        return sep_weight * sep_loss.mean() + asr_weight * total

    def recognition_loss(self, estimate, batch):
        """Listens to the voices whose texts are known.

        Arguments
        ---------
        estimate : torch.Tensor
            In the order of the texts, ``[B, T, S]``.
        batch : PaddedBatch
            With ``texts`` and the lengths of ``sources``.

        Returns
        -------
        loss : torch.Tensor
            ``[B]``, the sum over the voices, in nats per token.
        voices : torch.Tensor
            ``[B]``, how many there were.
        found : list of dict
            [B], what was heard of each voice s; empty while gradients are on.
        """
        count, length, sources = estimate.shape
        told = [
            (b, s)
            for b, texts in enumerate(batch.texts)
            for s, text in enumerate(texts)
            if text
        ]
        # One at least: the ranks of a distributed run work in step.
        rows = told or [(0, 0)]
        lengths = batch.sources.lengths
        heard = torch.arange(length, device=estimate.device)
        heard = heard < (lengths[:, None] * length).round()
        waves = (estimate * heard.unsqueeze(-1)).transpose(1, 2).flatten(0, 1)
        index = [b * sources + s for b, s in rows]
        lengths = lengths[[b for b, _ in rows]]
        # Encoders expect that the longest of a batch has no padding.
        stop = int((lengths.max() * length).round())
        lengths = lengths / lengths.max()
        log_probs = self.modules.recogniser(waves[index, :stop], lengths)
        texts = [batch.texts[b][s] or "" for b, s in rows]
        recogniser = self.hparams.recogniser
        losses = recogniser.losses(log_probs, texts, lengths)
        if not told:
            losses = losses * 0.0
        owner = torch.tensor([b for b, _ in rows], device=estimate.device)
        loss = losses.new_zeros(count).index_add(0, owner, losses)
        voices = losses.new_zeros(count)
        voices = voices.index_add(0, owner, torch.ones_like(losses))
        found = [{} for _ in range(count)]
        if not torch.is_grad_enabled() and told:
            hypotheses = recogniser.texts(log_probs, lengths)
            for (b, s), text in zip(rows, hypotheses, strict=True):
                found[b][s] = text
        return loss, voices if told else voices * 0.0, found

    def _count_errors(self, name, texts, found):
        """Adds the voices of a mixture to the statistics; its own rate."""
        errors = words = 0
        for s, hypothesis in found.items():
            key = f"{name}_{s + 1}"
            reference = normalise_text(texts[s]).split()
            self.error_stats.append([key], [hypothesis.split()], [reference])
            scores = self.error_stats.scores[-1]
            errors += scores["num_edits"]
            words += scores["num_ref_tokens"]
        return {"wer": 100.0 * errors / words if words else float("nan")}

    def stage_stats(self):
        """Means of a stage; ``loss`` is the weighted sum.

        Returns
        -------
        dict
            Also ``separation`` (dB), ``ctc`` (nats per token) and ``wer``
            (per cent of all words; left out where no text was known).
        """
        stats = super().stage_stats()
        ctc = sum(self.asr_losses) / max(len(self.asr_losses), 1)
        total = self.hparams.sep_weight * stats["loss"]
        total += self.hparams.asr_weight * ctc
        stats.update(loss=total, separation=stats["loss"], ctc=ctc)
        if self.error_stats.scores:
            stats["wer"] = float(self.error_stats.summarize("error_rate"))
        return stats

    def schedule(self, epoch, loss):
        """Sets the learning rates of the next epoch.

        Arguments
        ---------
        epoch : int
            The one that has ended.
        loss : float
            What the schedules watch.

        Returns
        -------
        dict
            Rates of the epoch that has ended, for the log.
        """
        rates = {}
        for net, name, key in (
            ("separator", "lr", "lr_scheduler"),
            ("recogniser", "asr lr", "asr_lr_scheduler"),
        ):
            optimizer = self.optimizers_dict.get(net)
            scheduler = getattr(self.hparams, key, None)
            if optimizer is None or scheduler is None:
                continue
            rates[name], new_rate = scheduler([optimizer], epoch, loss)
            update_learning_rate(optimizer, new_rate)
        return rates


def _epochs(net, value):
    """A number of epochs; None is for ever."""
    if value is None:
        return float("inf")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(
            f"{net}_frozen_epochs is {value!r} but must be a whole number, or "
            "null for all epochs."
        )
    return value

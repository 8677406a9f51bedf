"""When to lower the learning rate and when to stop, told by a number in dB.

Both classes are recoverable by SpeechBrain's Checkpointer. They keep their
settings from the YAML file and only their progress in the checkpoint, so a
resumed run may be given more patience.

Authors
 * avsep_sb contributors
"""

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    mark_as_transfer,
    register_checkpoint_hooks,
)
from speechbrain.utils.epoch_loop import EpochCounterWithStopper
from speechbrain.utils.logger import get_logger

from avsep_sb.errors import ConfigError

logger = get_logger(__name__)


@register_checkpoint_hooks
class EarlyStopper(EpochCounterWithStopper):
    """Epoch counter that ends training when validation stops improving.

    SpeechBrain's own stopper asks for a *relative* improvement, which is the
    wrong way round for negative numbers: at -3, -3, -3 dB every epoch counts
    as better and training never stops. Here the improvement is absolute.

    Arguments
    ---------
    limit : int
        Largest number of epochs.
    patience : int
        Stop after this many epochs in a row without improvement (30 in the
        IIANet paper).
    min_delta : float
        Smallest change that counts as an improvement, in the unit of the
        number that is watched.
    direction : str
        "min" for a loss, "max" for a score.
    warmup : int
        Epochs during which nothing is watched.

    Example
    -------
    >>> epochs = EarlyStopper(limit=100, patience=2)
    >>> losses = iter([-3.0, -3.5, -3.5, -3.4])
    >>> for epoch in epochs:
    ...     best = epochs.update_metric(next(losses))
    >>> epoch, epochs.best_limit, epochs.best_score
    (4, 2, -3.5)
    """

    def __init__(
        self, limit, patience, min_delta=0.0, direction="min", warmup=0
    ):
        if patience < 1 or min_delta < 0 or warmup < 0:
            raise ConfigError(
                "early stopping needs patience >= 1, min_delta >= 0 and "
                f"warmup >= 0, got {patience}, {min_delta} and {warmup}"
            )
        if direction not in ("min", "max"):
            raise ConfigError(
                'the direction of early stopping must be "min" or "max", '
                f"not {direction!r}"
            )
        super().__init__(limit, int(patience), int(warmup), direction)
        self.min_delta = float(min_delta)

    def _waited(self):
        return self.current - max(self.best_limit, self.limit_warmup)

    def update_metric(self, current_metric):
        """Takes the validation number of an epoch, once per epoch.

        Call it before the checkpoint of the epoch is saved.

        Arguments
        ---------
        current_metric : float
            The number watched; NaN counts as no improvement.

        Returns
        -------
        bool
            Whether it is the best so far.

        Example
        -------
        >>> epochs = EarlyStopper(limit=3, patience=1, direction="max")
        >>> next(epochs)
        1
        >>> epochs.update_metric(-2.5)
        True
        """
        if self.current <= self.limit_warmup:
            return False
        # float: a NumPy or torch scalar makes the checkpoint unreadable.
        current_metric = float(current_metric)
        best = self.sign * self.best_score
        improved = self.sign * current_metric < best - self.min_delta
        if improved:
            self.best_limit = self.current
            self.best_score = current_metric
        self.should_stop = self._waited() >= self.limit_to_stop
        if self.should_stop:
            logger.info(
                f"{self._waited()} epochs without improvement over "
                f"{self.best_score:.3f} (epoch {self.best_limit}): stopping."
            )
        return improved

    @mark_as_saver
    def _save(self, path):
        # SpeechBrain registers hooks per class, and not those of its stopper:
        # without this method only the epoch would be saved.
        super()._save(path)

    @mark_as_loader
    @mark_as_transfer
    def _recover(self, path, end_of_epoch=True, device=None):
        super()._recover(path, end_of_epoch)
        # Judged anew, so that more patience lets a stopped run go on.
        self.should_stop = (
            self.current > self.limit_warmup
            and self._waited() >= self.limit_to_stop
        )


@register_checkpoint_hooks
class Plateau:
    """torch's ReduceLROnPlateau, built in YAML and called like SpeechBrain's.

    The decision is made by ``torch.optim.lr_scheduler.ReduceLROnPlateau``
    itself, on a parameter of its own, so it needs no optimizer to be built
    and agrees with torch in every corner (NaN counts as a bad epoch). As in
    SpeechBrain the new rate is returned, not applied: pass it to
    ``speechbrain.nnet.schedulers.update_learning_rate``.

    Arguments
    ---------
    factor : float
        What the learning rate is multiplied with (0.5 in the IIANet paper).
    patience : int
        Bad epochs in a row that are tolerated; the next one lowers the rate
        (torch's reading of the word; 15 in the IIANet paper).
    threshold : float
        Smallest change that counts as an improvement.
    threshold_mode : str
        "rel" (torch's default) or "abs". With a negative loss in dB, "rel"
        lets a loss that is worse by less than ``threshold`` times itself pass
        for better.
    cooldown : int
        Epochs after a reduction during which bad epochs are not counted.
    min_lr : float
        The rate never falls below this.
    mode : str
        "min" for a loss, "max" for a score.

    Example
    -------
    >>> plateau = Plateau(factor=0.5, patience=1)
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    >>> for epoch, loss in enumerate([3.0, 4.0, 4.0], 1):
    ...     old_lr, new_lr = plateau([optimizer], epoch, loss)
    >>> old_lr, new_lr
    (1.0, 0.5)
    """

    _STATE = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")

    def __init__(
        self,
        factor=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=0.0,
        mode="min",
    ):
        self._carrier = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        try:
            self._scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
                self._carrier,
                mode=mode,
                factor=factor,
                patience=patience,
                threshold=threshold,
                threshold_mode=threshold_mode,
                cooldown=cooldown,
                min_lr=min_lr,
            )
        except ValueError as err:
            raise ConfigError(f"the plateau schedule: {err}") from err

    def __call__(self, optim_list, current_epoch, current_loss):
        """Judges one epoch.

        Arguments
        ---------
        optim_list : list
            Optimizers; they share one rate, read from the first.
        current_epoch : int
            Not used: torch counts the calls. SpeechBrain's order is kept.
        current_loss : float
            The number watched, NaN included.

        Returns
        -------
        old_lr : float
            The rate now.
        new_lr : float
            The rate to use from here on.

        Example
        -------
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        >>> Plateau()([optimizer], 1, float("nan"))
        (0.1, 0.1)
        """
        old_lr = float(optim_list[0].param_groups[0]["lr"])
        group = self._carrier.param_groups[0]
        group["lr"] = old_lr
        self._scheduler.step(float(current_loss))
        return old_lr, float(group["lr"])

    @mark_as_saver
    def save(self, path):
        """Writes the progress (not the settings) to a file.

        Arguments
        ---------
        path : str
            Where to.
        """
        state = self._scheduler.state_dict()
        torch.save({key: state[key] for key in self._STATE}, path)

    @mark_as_loader
    @mark_as_transfer
    def load(self, path, end_of_epoch=True, device=None):
        """Reads the progress back.

        Arguments
        ---------
        path : str
            A file written by :meth:`save`.
        end_of_epoch : bool
            Given by the Checkpointer; the state only changes between epochs.
        device : str
            Given by older Checkpointers; the state holds no tensors.
        """
        state = torch.load(path, weights_only=True)
        self._scheduler.load_state_dict({k: state[k] for k in self._STATE})

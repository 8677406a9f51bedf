"""Proves stopping and plateau: in dB, with NaN, after a restart, as torch."""

import math

import numpy as np
import pytest
import torch
from speechbrain.nnet.schedulers import update_learning_rate
from speechbrain.utils.checkpoints import Checkpointer

from avsep_sb.errors import ConfigError
from avsep_sb.schedule import EarlyStopper, Plateau


def run(stopper, numbers):
    """The epochs that a stopper lets through."""
    seen = []
    for epoch in stopper:
        stopper.update_metric(numbers[epoch - 1])
        seen.append(epoch)
    return seen


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("direction", ["min", "max"])
def test_constant_number_stops_whatever_its_sign(sign, direction):
    stopper = EarlyStopper(100, patience=4, direction=direction)
    assert run(stopper, [sign * 3.0] * 100) == [1, 2, 3, 4, 5]
    assert stopper.best_limit == 1


def test_improvement_is_absolute():
    falling = [-10.0 - 0.05 * epoch for epoch in range(30)]
    assert len(run(EarlyStopper(30, 3), falling)) == 30
    # 0.05 dB per epoch: two epochs are needed for a step of 0.08.
    assert len(run(EarlyStopper(30, 3, min_delta=0.08), falling)) == 30
    assert len(run(EarlyStopper(30, 3, min_delta=1.0), falling)) == 4


def test_nan_is_no_improvement_and_does_not_become_the_best():
    nan = math.nan
    stopper = EarlyStopper(20, patience=3)
    assert run(stopper, [nan, -1.0, nan, nan, nan, -5.0]) == [1, 2, 3, 4, 5]
    assert (stopper.best_limit, stopper.best_score) == (2, -1.0)
    assert len(run(EarlyStopper(20, patience=3), [nan] * 20)) == 3


def test_warmup_is_not_counted():
    stopper = EarlyStopper(20, patience=2, warmup=5)
    assert run(stopper, [math.nan] * 20) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_stopper_survives_a_restart(tmp_path, cut):
    numbers = [-1.0, -2.0, -1.5, -1.5, -1.5, -1.5, -9.0, -9.0]
    first = EarlyStopper(50, patience=4)
    for _ in range(cut):
        # NumPy numbers, which a YAML checkpoint could not carry.
        first.update_metric(np.float32(numbers[next(first) - 1]))
    Checkpointer(tmp_path, {"counter": first}).save_checkpoint(
        meta={"loss": first.best_score}
    )
    again = EarlyStopper(50, patience=4)
    Checkpointer(tmp_path, {"counter": again}).recover_if_possible()
    assert run(again, numbers) == list(range(cut + 1, 7))
    assert (again.best_limit, again.best_score) == (2, -2.0)


def test_restart_in_the_middle_of_an_epoch_repeats_it(tmp_path):
    first = EarlyStopper(50, patience=4)
    run_two = [next(first), first.update_metric(-1.0), next(first)]
    assert run_two == [1, True, 2]
    Checkpointer(tmp_path, {"counter": first}).save_checkpoint(
        end_of_epoch=False
    )
    again = EarlyStopper(50, patience=4)
    Checkpointer(tmp_path, {"counter": again}).recover_if_possible()
    assert next(again) == 2 and again.best_score == -1.0


def test_stopped_run_goes_on_when_given_more_patience(tmp_path):
    stopped = EarlyStopper(50, patience=2)
    assert run(stopped, [-1.0] * 50) == [1, 2, 3]
    Checkpointer(tmp_path, {"counter": stopped}).save_checkpoint()
    for patience, epochs in ((2, []), (4, [4, 5])):
        again = EarlyStopper(50, patience=patience)
        Checkpointer(tmp_path, {"counter": again}).recover_if_possible()
        assert run(again, [-1.0] * 50) == epochs


@pytest.mark.parametrize(
    "wrong", [{"patience": 0}, {"min_delta": -1}, {"direction": "up"}]
)
def test_unusable_stopper_is_refused(wrong):
    with pytest.raises(ConfigError):
        EarlyStopper(**{"limit": 10, "patience": 3, **wrong})


def noisy_curve(rng, length=60):
    """Validation losses in dB that fall, wander, and are sometimes NaN."""
    slope = rng.uniform(0, 12)
    curve = -slope * (1 - np.exp(-np.arange(length) / rng.uniform(2, 20)))
    curve += rng.normal(0, rng.choice([0.0, 1e-4, 1e-2, 0.3]), length)
    curve += rng.choice([0.0, 5.0, 40.0])
    curve = np.round(curve, rng.integers(1, 6))
    if rng.random() < 0.3:
        curve[rng.integers(0, length, 5)] = np.nan
    return curve.tolist()


def torch_rates(curve, options):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1e-3)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    rates = []
    for loss in curve:
        schedule.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def our_rates(curve, options, folder=None, cut=None):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1e-3)
    schedule = Plateau(**options)
    rates = []
    for epoch, loss in enumerate(curve, 1):
        if epoch == cut:
            parts = {"schedule": schedule, "optimizer": optimizer}
            Checkpointer(folder, parts).save_checkpoint()
            optimizer = torch.optim.SGD([torch.zeros(1)], lr=77.0)
            schedule = Plateau(**options)
            parts = {"schedule": schedule, "optimizer": optimizer}
            Checkpointer(folder, parts).recover_if_possible()
        old, new = schedule([optimizer], epoch, loss)
        assert old == optimizer.param_groups[0]["lr"]
        update_learning_rate(optimizer, new)
        rates.append(new)
    return rates


def test_plateau_equals_torch_on_300_noisy_curves():
    rng = np.random.default_rng(7)
    reduced = 0
    for _ in range(300):
        options = {
            "factor": float(rng.choice([0.1, 0.5])),
            "patience": int(rng.integers(0, 8)),
            "threshold": float(rng.choice([1e-4, 0.0, 0.05])),
            "threshold_mode": str(rng.choice(["rel", "abs"])),
            "cooldown": int(rng.integers(0, 3)),
            "min_lr": float(rng.choice([0.0, 2e-4])),
            "mode": str(rng.choice(["min", "max"])),
        }
        curve = noisy_curve(rng)
        want = torch_rates(curve, options)
        assert our_rates(curve, options) == want
        reduced += want[-1] < 1e-3
    assert reduced > 150  # the curves do make the schedule act


def test_plateau_defaults_are_those_of_torch():
    rng = np.random.default_rng(11)
    for _ in range(20):
        curve = noisy_curve(rng)
        assert our_rates(curve, {}) == torch_rates(curve, {})


def test_plateau_survives_a_restart(tmp_path):
    rng = np.random.default_rng(3)
    for number in range(10):
        curve, options = noisy_curve(rng), {"factor": 0.5, "patience": 3}
        folder = tmp_path / str(number)
        cut = int(rng.integers(2, 50))
        got = our_rates(curve, options, folder, cut)
        assert got == torch_rates(curve, options)


def test_one_nan_does_not_lower_the_rate_nor_become_the_best():
    options = {"factor": 0.5, "patience": 1}
    rates = our_rates([1.0, math.nan, 0.9, math.nan, 0.8], options)
    assert rates == [1e-3] * 5
    assert our_rates([math.nan] * 3, options)[-1] == 5e-4


def test_checkpoint_carries_progress_and_yaml_the_settings(tmp_path):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    first = Plateau(factor=0.5, patience=1)
    for epoch in (1, 2):
        first([optimizer], epoch, 3.0)
    Checkpointer(tmp_path, {"schedule": first}).save_checkpoint()
    again = Plateau(factor=0.1, patience=2)
    Checkpointer(tmp_path, {"schedule": again}).recover_if_possible()
    rates = [again([optimizer], epoch, 3.0)[1] for epoch in (3, 4)]
    assert rates == [1.0, pytest.approx(0.1)]


def test_unusable_plateau_is_refused():
    with pytest.raises(ConfigError, match="[Ff]actor"):
        Plateau(factor=1.0)

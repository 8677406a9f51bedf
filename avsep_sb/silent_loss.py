"""What a loss asks where the target is silent.

SNR and SI-SNR are ratios to the energy of the target, so they say nothing
about a silent one. Wisdom et al. 2021 ("What's All the FUSS About Free
Universal Sound Separation Data?") train on its energy relative to the mixture
instead, in dB and with a floor, beside SNR for the others: both are
logarithms of an energy, so their gradients are of one size.

    loss: !name:avsep_sb.losses.fixed_order
        measure: !name:avsep_sb.losses.snr
        silent: !name:avsep_sb.losses.zero_reference
            floor_db: -40

Authors
 * avsep_sb contributors
"""

import functools

import torch

from avsep_sb.errors import ConfigError
from avsep_sb.measures import audible, level_db, si_snr


def zero_reference(
    estimate, target, mix, lengths=None, floor_db=-40.0, weight=1.0
):
    """How far below the mixture the error lies where the target is silent.

    Minus 10 log10((|e - t|^2 + tau |x|^2) / |x|^2), x the mixture, times a
    weight; see :func:`avsep_sb.measures.level_db`. A target below the floor
    counts as silent too: no more is asked of it than of digital silence.

    Arguments
    ---------
    estimate : torch.Tensor
        Estimated sources, [B, T, S].
    target : torch.Tensor
        Target sources, [B, T, S].
    mix : torch.Tensor
        Mixtures, [B, T].
    lengths : torch.Tensor
        Valid part of each item relative to T, [B]; None for all of it.
    floor_db : float
        Below the mixture by this much nothing more is asked, in dB.
    weight : float
        A silent target is worth up to ``-floor_db * weight``. Where many
        targets are silent (a third and more), a network that begins from
        nothing may find it best to mute all voices, which a mask that ends in
        a ReLU never unlearns: lower the weight then, or begin from a trained
        network.

    Returns
    -------
    value : torch.Tensor
        dB per item and source (higher is better), [B, S]; 0 without a
        gradient where the mixture is silent.
    silent : torch.Tensor
        Whether the target is silent, [B, S]: there ``value`` holds.

    Example
    -------
    >>> mix = torch.randn(1, 800)
    >>> target = torch.stack([mix, 0 * mix], 2)
    >>> value, silent = zero_reference(0.1 * target.flip(-1), target, mix)
    >>> silent.tolist(), round(value[0, 1].item())
    ([[False, True]], 20)
    """
    if mix is None:
        raise ConfigError(
            "the loss of silent targets is relative to the mixture: pass mix "
            "[B, T] to the loss."
        )
    if not -100.0 <= floor_db < 0.0:
        raise ConfigError(
            f"floor_db is {floor_db} but must be below 0 and at least -100."
        )
    if not 0.0 < weight < float("inf"):
        raise ConfigError(f"weight is {weight} but must be above 0.")
    mix = mix.unsqueeze(-1)
    with torch.no_grad():
        # as loud as the floor is 3 dB above it: both energies add up
        below = level_db(target, mix, lengths, floor_db) < floor_db + 3.0
        silent = below | ~audible(target, lengths)
    value = level_db(estimate - target, mix, lengths, floor_db)
    return -weight * value, silent


def check_measure(measure):
    """Refuses a measure that is blind to levels, beside silent targets.

    A network would turn all its voices down to please the silent ones, and
    such a measure would not mind.

    Arguments
    ---------
    measure : callable
        ``ConfigError`` is raised for :func:`avsep_sb.measures.si_snr`.

    Example
    -------
    >>> from avsep_sb.measures import snr
    >>> check_measure(snr)
    """
    while isinstance(measure, functools.partial):
        measure = measure.func
    if measure is si_snr:
        raise ConfigError(
            "silent targets are trained by level, and si_snr knows none: a "
            "network would turn all voices down. Set the loss's measure to "
            "!name:avsep_sb.losses.snr."
        )

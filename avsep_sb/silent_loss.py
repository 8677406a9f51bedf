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
from torch.nn import functional as F

from avsep_sb.errors import ConfigError
from avsep_sb.measures import audible, level_db, si_snr

_FRAME_S = 0.025


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


def quiet_pauses(
    estimate,
    target,
    mix,
    lengths=None,
    sample_rate=16000,
    range_db=40.0,
    shortest_s=0.2,
    floor_db=-40.0,
    weight=0.2,
):
    """How far below the mixture an output lies in the pauses of its voice.

    What leaks into a pause hardly changes the SNR of the whole, and is what a
    listener hears. A pause is a run of frames of 25 ms that are far below the
    loudest frame of the target, less a frame at both ends, as in
    :func:`avsep_sb.silent_spans.silent_spans`.

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
    sample_rate : int
        In Hz.
    range_db : float
        Below the loudest frame of a voice by this much, it pauses, in dB.
    shortest_s : float
        Shorter pauses do not count, in seconds.
    floor_db : float
        Below the mixture by this much nothing more is asked, in dB.
    weight : float
        A voice with pauses is worth up to ``-floor_db * weight`` more.

    Returns
    -------
    torch.Tensor
        dB per item and source (higher is better), [B, S]; 0 without a
        gradient where the voice does not pause or nothing is heard in its
        pauses.

    Example
    -------
    >>> mix, target = torch.randn(1, 16000), torch.ones(1, 16000, 1)
    >>> target[:, 8000:] = 0
    >>> estimate = torch.cat([mix[:, :8000], 0.1 * mix[:, 8000:]], 1)
    >>> quiet_pauses(estimate[..., None], target, mix, weight=1).round().item()
    20.0
    """
    if not 0.0 < weight < float("inf"):
        raise ConfigError(f"weight is {weight} but must be above 0.")
    valid = _valid(target, lengths)
    spans = _pauses(target, valid, sample_rate, range_db, shortest_s)
    heard = mix.unsqueeze(-1).float()
    # where, not a product: what lies in the padding may be NaN.
    left = torch.where(spans, estimate.float(), 0.0).square().sum(1)
    base = torch.where(spans, heard, 0.0).square().sum(1)
    # A pause of everybody says nothing about leaks.
    loud = torch.where(valid, heard, 0.0).square().sum(1) * 1e-4
    counts = base > loud.clamp(min=1e-10)
    ratio = left / torch.where(counts, base, 1.0)
    value = 10.0 * torch.log10(ratio + 10.0 ** (floor_db / 10.0))
    return -weight * torch.where(counts, value, 0.0)


def _valid(target, lengths):
    """False in the padding, [B or 1, T, 1]."""
    place = torch.arange(target.shape[1], device=target.device)
    if lengths is None:
        return torch.ones_like(place, dtype=torch.bool)[None, :, None]
    count = (lengths.to(target.device) * target.shape[1]).round()
    return (place < count[:, None])[..., None]


@torch.no_grad()
def _pauses(target, valid, sample_rate, range_db, shortest_s):
    """True in the pauses of each target, [B, T, S]."""
    num_samples = target.shape[1]
    size = max(1, round(_FRAME_S * sample_rate))
    least = max(3, round(shortest_s / _FRAME_S))
    wave = torch.where(valid, target.float(), 0.0).transpose(1, 2)
    power = F.pad(wave.square(), (0, -num_samples % size))
    # Frames that begin in the padding are none.
    real = valid[:, ::size, 0].unsqueeze(1)
    power = power.unflatten(-1, (-1, size)).mean(-1)
    quiet = power <= power.amax(-1, keepdim=True) * 10 ** (-range_db / 10)
    quiet = (quiet & real).float()
    if quiet.shape[-1] < least:
        return torch.zeros_like(target, dtype=torch.bool)
    # Opening: what is left are the runs of at least that many frames.
    begins = -F.max_pool1d(-quiet, least, 1)
    runs = F.max_pool1d(F.pad(begins, (least - 1, least - 1)), least, 1)
    runs = torch.where(real, runs, 1.0)
    # Codecs smear over the ends that adjoin speech.
    runs = -F.max_pool1d(F.pad(-runs, (1, 1), value=-1.0), 3, 1)
    spans = runs.repeat_interleave(size, -1)[..., :num_samples]
    return (spans.transpose(1, 2) > 0) & valid


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

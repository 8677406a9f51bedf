"""Normalise a stream: the statistics are of what was heard so far.

Cumulative layer norm (Luo and Mesgarani, Conv-TasNet, 2019), here with an
older past that is forgotten, which is not theirs: a stream may last for hours,
and levels change. The gradient is written down, as that of the plain formula
takes three times as long.

Authors
 * avsep_sb contributors
"""

from functools import lru_cache

import torch
from torch import nn

from avsep_sb.lobes.norms import EPS

#: frames up to which a piece counts as short
SHORT = 32
#: frames that are summed by one product with a matrix
BLOCK = 128


def forgetting_sum(x, decay, before=None):
    """Sum over time in which older frames count less and less.

    Arguments
    ---------
    x : torch.Tensor
        [..., T]
    decay : float
        What a frame counts one frame later, in (0, 1]; 1 forgets nothing.
    before : torch.Tensor, optional
        [...], the sum up to the frame before.

    Returns
    -------
    torch.Tensor
        [..., T]

    Example
    -------
    >>> forgetting_sum(torch.ones(3), 0.5).tolist()
    [1.0, 1.5, 1.75]
    """
    if decay == 1.0:
        sums = x.cumsum(-1)
        return sums if before is None else sums + before.unsqueeze(-1)
    done = []
    for piece in x.split(BLOCK, -1):
        length = piece.shape[-1]
        weights, left = _powers(length, decay, x.dtype, x.device)
        sums = piece @ weights
        if before is not None:
            sums = torch.addcmul(sums, before.unsqueeze(-1), left)
        before = sums[..., -1]
        done.append(sums)
    return done[0] if len(done) == 1 else torch.cat(done, -1)


@lru_cache(maxsize=64)
def _powers(length, decay, dtype, device):
    """What frames count in later sums, [T, T], and what is left of a sum."""
    steps = torch.arange(length, device=device, dtype=dtype)
    ages = steps - steps.unsqueeze(1)
    weights = (decay ** ages.clamp(min=0)) * (ages >= 0)
    return weights, decay ** (steps + 1)


class CumulativeNorm(nn.Module):
    """Mean 0 and variance 1 over channels and the time up to each frame.

    Arguments
    ---------
    channels : int
        Channels of the input.
    decay : float
        What a frame counts in the statistics one frame later; 1 is the
        cumulative layer norm as published.
    eps : float
        Added to the variance.

    Example
    -------
    >>> from avsep_sb.lobes.causal_memory import Memory
    >>> norm, x = CumulativeNorm(4, decay=0.99), torch.rand(2, 4, 9)
    >>> whole, memory = norm(x, Memory()), Memory()
    >>> pieces = [norm(piece, memory) for piece in x.split(4, -1)]
    >>> torch.allclose(whole, torch.cat(pieces, -1), atol=1e-5)
    True
    """

    def __init__(self, channels, decay=1.0, eps=EPS):
        super().__init__()
        self.decay, self.eps = decay, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x, memory):
        """Normalise the next frames.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, T]
        memory : Memory
            The sums so far.

        Returns
        -------
        torch.Tensor
            [N, C, T]
        """
        return normalise(x, memory, [self])


def normalise(x, memory, norms):
    """Run norms side by side, each on its share of the channels.

    Arguments
    ---------
    x : torch.Tensor
        [N, G * C, T] for G norms.
    memory : Memory
        The sums so far.
    norms : list of CumulativeNorm
        Of one decay.

    Returns
    -------
    torch.Tensor
        [N, G * C, T]
    """
    length = x.shape[-1]
    if length == 0:
        return x
    if x.dtype in (torch.float16, torch.bfloat16):
        # As in the global layer norm: sums of 16 bits are not worth much.
        with torch.autocast(x.device.type, enabled=False):
            return normalise(x.float(), memory, norms).to(x.dtype)
    owner, groups = norms[0], len(norms)
    if groups == 1:
        weight, bias = owner.weight, owner.bias
    else:
        weight = torch.cat([norm.weight for norm in norms])
        bias = torch.cat([norm.bias for norm in norms])
    before, count = memory.get(owner, (None, 0))
    run = _Normalise.apply if torch.is_grad_enabled() else _forward
    y, sums = run(
        x.unflatten(1, (groups, -1)),
        weight.unflatten(0, (groups, -1)),
        bias.unflatten(0, (groups, -1)),
        before,
        count,
        owner.decay,
        owner.eps,
    )
    memory[owner] = sums, count + length
    return y.flatten(1, 2)


def _statistics(x, before, count, decay, eps):
    """Mean and scale of each frame [N, G, T], what they are of, the sums."""
    if x.shape[-1] <= SHORT:
        stats = torch.stack([x.mean(2), (x * x).mean(2)], 1)
    else:  # a product with a row takes less than a mean over the channels
        share = x.new_full((1, x.shape[2]), 1.0 / x.shape[2])
        stats = torch.cat([share @ x, share @ (x * x)], 2).transpose(1, 2)
    # Hours of frames are summed: in 64 bits.
    stats = stats.double()
    sums = forgetting_sum(stats, decay, before)
    total = range(count + 1, count + x.shape[-1] + 1)
    if decay != 1.0:
        total = [(1 - decay**number) / (1 - decay) for number in total]
    total = torch.tensor(total, dtype=sums.dtype, device=x.device)
    mean, power = (sums / total).unbind(1)
    variance = torch.addcmul(power, mean, mean, value=-1).clamp_(min=0)
    return mean, variance.add_(eps).rsqrt_(), total, sums


def _scaled(x, weight, bias, mean, scale):
    """(x - mean) * scale * weight + bias."""
    y = (x - mean.to(x.dtype).unsqueeze(2)).mul_(scale.to(x.dtype).unsqueeze(2))
    return torch.addcmul(bias[..., None], y, weight[..., None])


def _forward(x, weight, bias, before, count, decay, eps):
    """Without what only the gradient needs."""
    mean, scale, _, sums = _statistics(x, before, count, decay, eps)
    return _scaled(x, weight, bias, mean, scale), sums[..., -1]


class _Normalise(torch.autograd.Function):
    """x [N, G, C, T], weight and bias [G, C], sums before [N, 2, G]."""

    @staticmethod
    def forward(ctx, x, weight, bias, before, count, decay, eps):
        mean, scale, total, sums = _statistics(x, before, count, decay, eps)
        ctx.save_for_backward(x, weight, mean, scale, total)
        ctx.decay = decay
        sums = sums[..., -1]
        ctx.mark_non_differentiable(sums)
        return _scaled(x, weight, bias, mean, scale), sums

    @staticmethod
    def backward(ctx, grad, _):
        x, weight, mean, scale, total = ctx.saved_tensors
        product = grad * x
        row = weight.to(x.dtype).unsqueeze(1)  # [G, 1, C]
        # What each frame's mean and scale get, from y = (x - m) s w + b.
        plain = (row @ grad).squeeze(2).double()
        heard = (row @ product).squeeze(2).double() - mean * plain
        to_power = -0.5 * scale**3 * heard
        to_mean = -scale * plain - 2 * mean * to_power
        # A frame counts in the statistics of all that follow it.
        later = torch.stack([to_mean, to_power], 1) / total
        later = forgetting_sum(later.flip(-1), ctx.decay).flip(-1)
        later = (later / x.shape[2]).to(x.dtype)
        to_mean, to_power = later[:, 0].unsqueeze(2), later[:, 1].unsqueeze(2)
        column = scale.to(x.dtype).unsqueeze(-1)  # [N, G, T, 1]
        shift = (scale * mean).to(x.dtype).unsqueeze(-1)
        to_weight = (product @ column - grad @ shift).sum(0).squeeze(-1)
        to_bias = grad.sum((0, 3))
        to_x = (grad * scale.to(x.dtype).unsqueeze(2)).mul_(weight[..., None])
        to_x = to_x.addcmul_(x, to_power, value=2).add_(to_mean)
        return to_x, to_weight, to_bias, None, None, None, None

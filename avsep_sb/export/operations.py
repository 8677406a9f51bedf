"""Operations that a traced graph can keep for any length and any faces.

Tracing records what torch is called with. Some calls cannot be recorded for
sizes that are only known when the graph runs, others have no counterpart in
ONNX, or one that rounds differently. While :class:`ExportableOperations` is
active they are replaced by arithmetic on indices that gives the same numbers.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from avsep_sb.export.reductions import group_norm, sum_by_turns


def size_of(x, dim):
    """Give a size as a tensor, which a trace records and does not fix.

    Arguments
    ---------
    x : torch.Tensor
        Any shape.
    dim : int
        Which size.

    Returns
    -------
    torch.Tensor
        int64, without dimensions.

    Example
    -------
    >>> size_of(torch.zeros(2, 7), 1)
    tensor(7)
    """
    return torch.as_tensor(x.shape[dim])


def nearest(x, new_length):
    """Repeat or leave out frames by the rule of torch's "nearest".

    ONNX has an operation of that name, which rounds in another way at some
    lengths; see :func:`avsep_sb.lobes.resize.nearest_frames`.

    Arguments
    ---------
    x : torch.Tensor
        [..., T]
    new_length : int or torch.Tensor
        Frames wanted.

    Returns
    -------
    torch.Tensor
        [..., new_length]

    Example
    -------
    >>> nearest(torch.tensor([[1.0, 2.0]]), 5).tolist()
    [[1.0, 1.0, 1.0, 2.0, 2.0]]
    """
    length, new_length = size_of(x, -1), torch.as_tensor(new_length)
    step = length.float() / new_length.float()
    places = torch.arange(new_length, device=x.device).float() * step
    last = length - 1
    return x.index_select(-1, torch.minimum(places.floor().long(), last))


def average(x, new_length):
    """Average pooling to any number of frames, as adaptive_avg_pool1d.

    Each frame of the result is the mean of the frames that it overlaps.
    These are gathered side by side, which is exact where running sums are
    not.

    Arguments
    ---------
    x : torch.Tensor
        [..., T]
    new_length : int or torch.Tensor
        Frames wanted.

    Returns
    -------
    torch.Tensor
        [..., new_length]

    Example
    -------
    >>> average(torch.arange(5.0)[None], 2).tolist()
    [[1.0, 3.0]]
    """
    length, new_length = size_of(x, -1), torch.as_tensor(new_length)
    frames = torch.arange(new_length, device=x.device)
    starts = frames * length // new_length
    stops = ((frames + 1) * length + new_length - 1) // new_length
    # Two frames of the result may share one at either end.
    widest = (length + new_length - 1) // new_length + 1
    places = starts[:, None] + torch.arange(widest, device=x.device)
    inside = (places < stops[:, None]).to(x.dtype)
    share = inside / inside.sum(1, keepdim=True)
    places = torch.minimum(places, length - 1)
    parts = x.index_select(-1, places.flatten())
    parts = unflatten(parts, -1, (new_length, widest))
    return (parts * share).sum(-1)


def average_2d(x, size):
    """Average pooling of pictures to any size.

    Arguments
    ---------
    x : torch.Tensor
        [..., H, W]
    size : int or tuple
        Height and width wanted.

    Returns
    -------
    torch.Tensor
        [..., h, w]

    Example
    -------
    >>> average_2d(torch.ones(1, 5, 4), (3, 2)).shape
    torch.Size([1, 3, 2])
    """
    height, width = (size, size) if isinstance(size, int) else size
    rows = average(x.transpose(-1, -2), height).transpose(-1, -2)
    return average(rows, width)


def interpolate(x, size=None, scale_factor=None, mode="nearest", **options):
    """Replacement of ``F.interpolate``.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T] for "nearest", [N, C, H, W] for "area".
    size : int or tuple
        Size wanted.
    scale_factor : None
        Not supported.
    mode : str
        "nearest" or "area".
    **options
        Not supported, except for what means nothing in these modes.

    Returns
    -------
    torch.Tensor
        [N, C, size]
    """
    if mode == "nearest" and x.dim() == 3 and size is not None:
        size = size[0] if isinstance(size, (tuple, list)) else size
        return nearest(x, size)
    if mode == "area" and x.dim() == 4 and size is not None:
        return average_2d(x, size)
    return F.interpolate(x, size, scale_factor, mode, **options)


def repeat_interleave(x, repeats, dim):
    """Repeat each item of a batch; the copies stand side by side.

    Arguments
    ---------
    x : torch.Tensor
        [N, ...]
    repeats : int or torch.Tensor
        How often, one number for all.
    dim : int
        0.

    Returns
    -------
    torch.Tensor
        [N * repeats, ...]

    Example
    -------
    >>> repeat_interleave(torch.tensor([[1], [2]]), 2, 0)[:, 0].tolist()
    [1, 1, 2, 2]
    """
    assert dim == 0, "only the batch is repeated"
    sizes = [-1] * x.dim()
    return x.unsqueeze(1).expand(-1, repeats, *sizes[1:]).flatten(0, 1)


def index_add_(x, dim, index, source):
    """Add to places that may occur several times, which ONNX can for these.

    Arguments
    ---------
    x : torch.Tensor
        [T], changed in place.
    dim : int
        0.
    index : torch.Tensor
        [L], int64
    source : torch.Tensor
        [L]

    Returns
    -------
    torch.Tensor
        ``x``

    Example
    -------
    >>> index_add_(torch.zeros(2), 0, torch.tensor([1, 1]), torch.ones(2))
    tensor([0., 2.])
    """
    return x.scatter_add_(dim, index, source)


def unflatten(x, dim, sizes):
    """Split a dimension; the exporter loses track of it otherwise.

    Arguments
    ---------
    x : torch.Tensor
        Any shape.
    dim : int
        Which to split.
    sizes : tuple
        Its parts, as in ``Tensor.unflatten``.

    Returns
    -------
    torch.Tensor

    Example
    -------
    >>> unflatten(torch.zeros(2, 6, 5), 1, (3, -1)).shape
    torch.Size([2, 3, 2, 5])
    """
    before = list(x.shape)
    dim = dim % len(before)
    return x.reshape(*before[:dim], *sizes, *before[dim + 1 :])


def masked_fill(x, mask, value):
    """Silence masked values by a product, whose shape the exporter knows.

    Arguments
    ---------
    x : torch.Tensor
        Any shape, finite.
    mask : torch.Tensor
        Of a shape that fits, bool.
    value : float
        0.

    Returns
    -------
    torch.Tensor
        Shaped as ``x``.

    Example
    -------
    >>> masked_fill(torch.ones(2), torch.tensor([True, False]), 0.0)
    tensor([0., 1.])
    """
    assert value == 0.0, "only silence is filled in"
    return x * (~mask).to(x.dtype)


REPLACEMENTS = {
    F.group_norm: group_norm,
    torch.Tensor.sum: sum_by_turns,
    F.interpolate: interpolate,
    F.adaptive_avg_pool1d: average,
    F.adaptive_avg_pool2d: average_2d,
    torch.Tensor.repeat_interleave: repeat_interleave,
    torch.Tensor.index_add_: index_add_,
    torch.Tensor.unflatten: unflatten,
    torch.Tensor.masked_fill: masked_fill,
}


class ExportableOperations(TorchFunctionMode):
    """While active, calls of torch go to their replacements.

    Example
    -------
    >>> with ExportableOperations():
    ...     F.adaptive_avg_pool1d(torch.ones(1, 1, 5), 2)
    tensor([[[1., 1.]]])
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Call a replacement where there is one."""
        return REPLACEMENTS.get(func, func)(*args, **(kwargs or {}))

"""Sums and norms that keep their digits in onnxruntime.

It adds up the numbers of a long signal one by one, over several dimensions as
over one: the millionth is added to a sum a million times as large. Sums of
sums stay short.

Authors
 * avsep_sb contributors
"""


def group_norm(x, num_groups, weight, bias, eps):
    """Normalise over channels and time with means over time first.

    With 512 channels onnxruntime's own norm is off by 3e-3 after 3 s.

    Arguments
    ---------
    x : torch.Tensor
        [N, C, T]
    num_groups : int
        1.
    weight, bias : torch.Tensor
        [C]
    eps : float
        Added to the variance.

    Returns
    -------
    torch.Tensor
        [N, C, T]

    Example
    -------
    >>> import torch
    >>> x = torch.tensor([[[1.0, 3.0], [1.0, 3.0]]])
    >>> group_norm(x, 1, torch.ones(2), torch.zeros(2), 0.0).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """
    assert num_groups == 1 and x.dim() == 3, "only whole utterances"
    centred = x - x.mean(2, keepdim=True).mean(1, keepdim=True)
    variance = centred.square().mean(2, keepdim=True).mean(1, keepdim=True)
    scale = weight[:, None] * (variance + eps).rsqrt()
    return centred * scale + bias[:, None]


def sum_by_turns(x, dim=None, keepdim=False, **options):
    """Add up over one dimension after the other, the last one first.

    Over two at once onnxruntime is off by 1e-3, as its norm is.

    Arguments
    ---------
    x : torch.Tensor
        Any shape.
    dim : int or tuple, optional
        Over which dimensions; all if not given.
    keepdim : bool
        Keep them with size 1.
    **options
        Those of ``Tensor.sum``.

    Returns
    -------
    torch.Tensor

    Example
    -------
    >>> import torch
    >>> sum_by_turns(torch.ones(2, 3, 4), dim=(1, 2)).tolist()
    [12.0, 12.0]
    """
    if not isinstance(dim, (tuple, list)):
        where = {} if dim is None else {"dim": dim, "keepdim": keepdim}
        return x.sum(**where, **options)
    # From the last one on, the others keep their places.
    for place in sorted((d % x.dim() for d in dim), reverse=True):
        x = x.sum(place, keepdim, **options)
    return x

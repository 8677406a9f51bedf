"""Sounds that lie in a page.

Authors
 * avsep_sb contributors
"""

import base64
import io

import numpy as np
import soundfile


def data_uri(data, kind):
    """Bytes as an address that needs no other file.

    Arguments
    ---------
    data : bytes
        A whole file.
    kind : str
        Its media type.

    Returns
    -------
    str

    Example
    -------
    >>> data_uri(b"abc", "text/plain")
    'data:text/plain;base64,YWJj'
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def flac(signal, sample_rate):
    """A sound as the bytes of a FLAC file, which browsers play.

    Arguments
    ---------
    signal : np.ndarray
        [T], within -1 and 1.
    sample_rate : int
        In Hz.

    Returns
    -------
    bytes

    Example
    -------
    >>> flac(np.zeros(100), 16000)[:4]
    b'fLaC'
    """
    data = io.BytesIO()
    soundfile.write(data, signal, sample_rate, format="FLAC", subtype="PCM_16")
    return data.getvalue()


def one_gain(*signals):
    """Scales sounds that are compared: none clips, and all keep their ratio.

    Arguments
    ---------
    *signals : np.ndarray
        Of any shape.

    Returns
    -------
    list of np.ndarray
        The loudest sample of all is 0.9.

    Example
    -------
    >>> [x.tolist() for x in one_gain(np.array([2.0]), np.array([-1.0]))]
    [[0.9], [-0.45]]
    """
    peak = max((float(np.abs(x).max()) for x in signals if x.size), default=0)
    gain = 0.9 / peak if peak > 0 else 1.0
    return [gain * x for x in signals]

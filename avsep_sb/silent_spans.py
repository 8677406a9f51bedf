"""How loud an output is while its speaker is silent.

Authors
 * avsep_sb contributors
"""

import numpy as np

_FRAME_S = 0.025
# Limit of levels, as for the ratios of avsep_sb.measures.
_LIMIT_DB = -100.0


def silent_spans(
    target, sample_rate, range_db=40.0, shortest_s=0.2, margin_s=0.05
):
    """Where a voice is silent: its pauses, or all of a silent target.

    Frames of 25 ms that are ``range_db`` below the loudest one, in runs that
    are long enough. The ends of a run that adjoin speech are left out, as
    spectral codecs smear over them.

    Arguments
    ---------
    target : np.ndarray
        [T] samples of the voice alone.
    sample_rate : int
        In Hz.
    range_db : float
        Below the loudest frame, in dB; the background of the recording must
        be lower.
    shortest_s : float
        Shorter pauses do not count, in seconds.
    margin_s : float
        Left out beside speech, in seconds.

    Returns
    -------
    np.ndarray
        [T] bool, True in silent spans.

    Example
    -------
    >>> voice = np.concatenate([np.ones(4000), np.zeros(8000)])
    >>> spans = silent_spans(voice, 16000)
    >>> int(spans.sum()), int(spans.argmax())
    (7200, 4800)
    """
    target = np.asarray(target, dtype=np.float64)
    size = max(1, round(_FRAME_S * sample_rate))
    padded = np.pad(target, (0, -len(target) % size))
    power = np.mean(padded.reshape(-1, size) ** 2, axis=1)
    speaks = power > power.max(initial=0.0) * 10 ** (-range_db / 10)
    edges = np.flatnonzero(np.diff(np.r_[True, speaks, True].astype(int)))
    spans = np.zeros(len(target), dtype=bool)
    margin = round(margin_s * sample_rate)
    for first, stop in edges.reshape(-1, 2):
        if (stop - first) * size < round(shortest_s * sample_rate):
            continue
        begin = first * size + margin * (first > 0)
        end = stop * size - margin * (stop < len(power))
        spans[begin:end] = True
    return spans


def silent_span_db(mix, estimate, target, sample_rate, **options):
    """Energy of an output relative to the mixture while its speaker is silent.

    One ratio over all silent spans: where the mixture is silent as well,
    neither energy counts for much.

    Arguments
    ---------
    mix, estimate, target : np.ndarray
        [T] samples each.
    sample_rate : int
        In Hz.
    **options
        Those of :func:`silent_spans`.

    Returns
    -------
    float
        dB, at least -100; NaN if the voice has no silent span, or nothing is
        heard in them.

    Example
    -------
    >>> mix = np.ones(8000)
    >>> round(silent_span_db(mix, 0.01 * mix, 0 * mix, 16000), 3)
    -40.0
    """
    spans = silent_spans(target, sample_rate, **options)
    heard = float(np.sum(np.square(mix, dtype=np.float64)[spans]))
    left = float(np.sum(np.square(estimate, dtype=np.float64)[spans]))
    if heard == 0.0:
        return float("nan")
    return 10 * float(np.log10(left / heard + 10 ** (_LIMIT_DB / 10)))

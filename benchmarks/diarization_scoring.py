"""Diarization error rate by ``pyannote.metrics``.

``pip install pyannote.metrics``: it brings pandas and scikit-learn, and no
torch. Overlapping speech is scored.

Authors
 * avsep_sb contributors
"""

import warnings
from pathlib import Path

from avsep_sb.errors import DataError


def read_rttm(path):
    """Reads the speaker lines of an RTTM file of one recording.

    Arguments
    ---------
    path : str or Path
        Such as :func:`avsep_sb.inference.activity.write_rttm` writes.

    Returns
    -------
    dict
        Name to list of (start, stop) in seconds, as in the file.
    """
    found = {}
    for line in Path(path).read_text("utf-8").splitlines():
        fields = line.split()
        if fields and fields[0] == "SPEAKER":
            start, length = float(fields[3]), float(fields[4])
            spans = found.setdefault(fields[7], [])
            spans.append((start, round(start + length, 3)))
    return found


def score_speech(truth, found, collar=0.0):
    """Scores who speaks when.

    Arguments
    ---------
    truth, found : dict
        Name to list of (start, stop) in seconds.
    collar : float
        Seconds before and after each true boundary that are not scored, as
        in NIST's evaluations (pyannote counts both together).

    Returns
    -------
    dict
        ``der``, by the best mapping of names; ``by_face``, with the names as
        they are (pyannote's identification error rate); and in seconds
        ``total``, ``missed``, ``false alarm`` and ``confusion`` of the first.
    """
    try:
        from pyannote.core import Timeline
        from pyannote.metrics.diarization import DiarizationErrorRate
        from pyannote.metrics.identification import IdentificationErrorRate
    except ImportError as err:
        raise DataError(
            "the scorer is missing: install it with `pip install "
            "pyannote.metrics`."
        ) from err
    reference, hypothesis = _annotation(truth), _annotation(found)
    uem = Timeline(
        [reference.get_timeline().union(hypothesis.get_timeline()).extent()]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rates = [
            kind(collar=2 * collar)(
                reference, hypothesis, uem=uem, detailed=True
            )
            for kind in (DiarizationErrorRate, IdentificationErrorRate)
        ]
    mapped, named = rates
    return {
        "der": mapped["diarization error rate"],
        "by_face": named["identification error rate"],
        "total": mapped["total"],
        "missed": mapped["missed detection"],
        "false alarm": mapped["false alarm"],
        "confusion": mapped["confusion"],
    }


def _annotation(speech):
    from pyannote.core import Annotation, Segment

    found = Annotation()
    for name, spans in speech.items():
        for track, (start, stop) in enumerate(spans):
            found[Segment(start, stop), f"{name} {track}"] = name
    return found

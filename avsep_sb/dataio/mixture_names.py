"""Names of utterances, speakers and mixtures in the published data sets.

Authors
 * avsep_sb contributors
"""

import re
from pathlib import Path


def utterance_of(path):
    """Name of an utterance: the file name without folders and suffix.

    Arguments
    ---------
    path : str
        A path as a list names it.

    Returns
    -------
    str

    Example
    -------
    >>> utterance_of("../raw_audio/test/6360322579951237696_00004.wav")
    '6360322579951237696_00004'
    """
    return Path(path.replace("\\", "/")).stem


def speaker_of(utterance):
    """Speaker label of an utterance: the part before the first underscore.

    Arguments
    ---------
    utterance : str
        Name of the utterance. In LRS2 the label is that of the programme,
        the closest thing to a speaker that the corpus gives.

    Returns
    -------
    str

    Example
    -------
    >>> speaker_of("6360322579951237696_00004")
    '6360322579951237696'
    """
    return utterance.split("_", 1)[0]


def mixture_name(mixture):
    """File name and ID of a mixture in the published data sets.

    Arguments
    ---------
    mixture : ListedMixture
        Utterance names and levels in dB.

    Returns
    -------
    str
        ``<utt1>_<g1>_<utt2>_<g2>``, levels with 5 significant digits.

    Example
    -------
    >>> from avsep_sb.dataio.mixture_lists import ListedMixture
    >>> mixture_name(ListedMixture(("a_1", "b_2"), (2.80091, -2.80091)))
    'a_1_2.8009_b_2_-2.8009'
    """
    return "_".join(
        f"{name}_{gain:.5g}" for name, gain in zip(*mixture, strict=True)
    )


def parse_mixture_name(name, utterances):
    """Utterances of a ready mixture, from its file name.

    Names are told apart by the utterances there are, not by counting
    underscores, so utterance names may contain any number of them.

    Arguments
    ---------
    name : str
        ``<utt1>_<g1>_<utt2>_<g2>...`` without suffix.
    utterances : collection of str
        Known utterance names.

    Returns
    -------
    tuple of str or None
        None when the name cannot be read with these utterances.

    Example
    -------
    >>> parse_mixture_name("a_1_2.8_b_2_-2.8", {"a_1", "b_2"})
    ('a_1', 'b_2')
    """
    fields = name.split("_")

    def read(start):
        if start == len(fields):
            return ()
        for stop in range(start + 1, len(fields)):
            utterance = "_".join(fields[start:stop])
            is_gain = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", fields[stop])
            if is_gain and utterance in utterances:
                rest = read(stop + 1)
                if rest is not None:
                    return (utterance, *rest)
        return None

    return read(0) or None

"""Texts of recognisers and of corpora, made comparable.

Authors
 * avsep_sb contributors
"""

import re
import unicodedata

#: marks that stand for an apostrophe inside a word
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": "'"})


def normalise_text(text):
    """Leaves of a text what a word error rate is to compare.

    Arguments
    ---------
    text : str
        As a recogniser or a transcript gives it.

    Returns
    -------
    str
        Lower case; letters, digits and apostrophes within words, with single
        spaces between the words. Marks such as ``<unk>`` or a hyphen part
        words, so "well-known" is two.

    Example
    -------
    >>> normalise_text("  It’s 'WELL-known',  isn't it? ")
    "it's well known isn't it"
    >>> normalise_text("Café")
    'café'
    """
    text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES).lower()
    # \w without the underscore: letters and digits of any script.
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text)
    return " ".join(words)

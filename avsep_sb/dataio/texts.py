"""What the voices of a mixture say, for losses that listen to words.

Manifests may have a column ``s{k}_text`` per speaker. A window of a recording
has no text that one knows, so ``use_texts`` asks for whole utterances.

Authors
 * avsep_sb contributors
"""

from avsep_sb.errors import ConfigError, DataError

_LENGTHS = ("training_signal_len", "valid_signal_len")


def text_columns(num_spks):
    """The columns of the texts.

    Arguments
    ---------
    num_spks : int
        Speakers in each mixture, at most.

    Returns
    -------
    list of str

    Example
    -------
    >>> text_columns(2)
    ['s1_text', 's2_text']
    """
    return [f"s{k}_text" for k in range(1, num_spks + 1)]


def check_whole(hparams):
    """Reads ``use_texts``; refuses to cut utterances whose text is wanted.

    Arguments
    ---------
    hparams : dict
        ``use_texts`` (False if absent), ``training_signal_len`` and
        ``valid_signal_len``.

    Returns
    -------
    bool
        Whether texts are wanted. ``ConfigError`` names the length that is
        set all the same.

    Example
    -------
    >>> check_whole({"use_texts": True, "training_signal_len": 32000})
    Traceback (most recent call last):
    ...
    avsep_sb.errors.ConfigError: training_signal_len cuts utterances, whose \
texts are then unknown: set it to null, or use_texts: False.
    """
    if not hparams.get("use_texts"):
        return False
    for key in _LENGTHS:
        if hparams.get(key):
            raise ConfigError(
                f"{key} cuts utterances, whose texts are then unknown: set it "
                "to null, or use_texts: False."
            )
    return True


def fill_texts(rows, num_spks, path):
    """Gives every row its texts; refuses a manifest that has none.

    A voice without a text is allowed: it takes no part in the loss.

    Arguments
    ---------
    rows : iterable of dict
        Of the manifest; those that lack a column get an empty one.
    num_spks : int
        Speakers in each mixture, at most.
    path : str or Path
        The manifest, for the message.

    Example
    -------
    >>> rows = [{"ID": "a", "s1_text": "bin blue"}]
    >>> fill_texts(rows, 2, "train.csv")
    >>> rows[0]["s2_text"]
    ''
    >>> fill_texts([{"ID": "a"}], 1, "train.csv")
    Traceback (most recent call last):
    ...
    avsep_sb.errors.DataError: the manifest train.csv has no s*_text: ...
    """
    names, known = text_columns(num_spks), False
    for row in rows:
        for name in names:
            known |= bool(row.setdefault(name, ""))
    if not known:
        raise DataError(
            f"the manifest {path} has no s*_text: prepare the data again with "
            "transcripts, or set use_texts: False."
        )

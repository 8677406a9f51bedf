"""Names of GRID's utterances, which code what is said in them.

Cooke, Barker, Cunningham and Shao, "An audio-visual corpus for speech
perception and automatic speech recognition", JASA 2006.

Authors
 * avsep_sb contributors
"""

#: the words that may stand at each place of a sentence
GRID = (
    "bin lay place set".split(),
    "blue green red white".split(),
    "at by in with".split(),
    list("abcdefghijklmnopqrstuvxyz"),
    "zero one two three four five six seven eight nine".split(),
    "again now please soon".split(),
)


def coded_sentence(name):
    """The sentence that a name of GRID codes.

    Arguments
    ---------
    name : str
        Five letters and a digit or "z": the first letters of the verb, the
        colour and the preposition, the letter, the digit, and the first
        letter of the adverb. Something may stand before it, and "_".

    Returns
    -------
    str or None
        In lower case; None for a name of another kind.

    Example
    -------
    >>> coded_sentence("s1_bbafzn")
    'bin blue at f zero now'
    >>> coded_sentence("swiz3n"), coded_sentence("clip01")
    ('set white in z three now', None)
    """
    code = name.rpartition("_")[2].lower()
    if len(code) != len(GRID):
        return None
    words = []
    for place, (sign, choices) in enumerate(zip(code, GRID, strict=True)):
        if sign.isdigit():
            # Only the digit is written as one; zero is "z".
            fits = [choices[int(sign)]] if place == 4 and sign != "0" else []
        else:
            fits = [w for w in choices if w[0] == sign]
            if place == 4 and sign != "z":
                fits = []
        if not fits:
            return None
        words.append(fits[0])
    return " ".join(words)

"""Sentences to speak: the GRID grammar, and open text from word lists.

Authors
 * avsep_sb contributors
"""

GRID = (
    "bin lay place set".split(),
    "blue green red white".split(),
    "at by in with".split(),
    list("ABCDEFGHIJKLMNOPQRSTUVXYZ"),
    "zero one two three four five six seven eight nine".split(),
    "again now please soon".split(),
)
_PEOPLE = (
    (
        "teacher farmer neighbour brother sister doctor baker driver captain "
        "painter mother uncle student waiter lawyer child woman old man pilot "
        "shepherd judge tailor queen"
    )
    .replace("old man", "grandfather")
    .split()
)
_THINGS = (
    "apple basket blanket bottle bridge bucket butter camera candle carpet "
    "chimney cookie curtain dinner feather flower garden guitar hammer helmet "
    "island jacket kettle ladder lemon letter magazine mirror mountain "
    "necklace oven paper pencil pepper picture pillow potato puzzle ribbon "
    "river saddle shovel silver spoon sugar table ticket tower umbrella "
    "vegetable violin wagon wallet window yellow zebra"
).split()
_VERBS = (
    "carries paints wants finds buys forgot borrowed washes brings follows "
    "shows moves sold touched chose threw visits watches fixed keeps loves "
    "makes opens pushes"
).split()
_QUALITIES = (
    "small purple heavy broken shiny warm famous empty thick sharp yellow "
    "beautiful quiet foreign wooden cheap giant muddy lovely rough smooth "
    "fresh whole huge"
).split()
_PLACES = (
    "the harbour|my house|the museum|a village|the station|our school|the "
    "forest|the beach|a coffee shop|the office|Paris|the old church|the "
    "market|her room|the valley|the football field"
).split("|")
_PREPOSITIONS = "near behind from beside outside above towards by".split()
_TIMES = (
    "this morning|every Thursday|before lunch|at five|last week|in August|"
    "after the show|twice a year|right now|when it rains|on Wednesday|"
    "for a while|much too often|tomorrow evening"
).split("|")


def grid_sentence(rng):
    """Draws a sentence of the GRID grammar (Cooke et al., 2006).

    Arguments
    ---------
    rng : numpy.random.Generator
        The source of chance.

    Returns
    -------
    str
        Six words: command, colour, preposition, letter, digit, adverb.

    Example
    -------
    >>> import numpy as np
    >>> len(grid_sentence(np.random.default_rng(0)).split())
    6
    """
    return " ".join(str(rng.choice(words)) for words in GRID)


def open_sentence(rng):
    """Draws a sentence of about ten words from open word lists.

    Arguments
    ---------
    rng : numpy.random.Generator
        The source of chance.

    Returns
    -------
    str
        A sentence without punctuation.

    Example
    -------
    >>> import numpy as np
    >>> sentence = open_sentence(np.random.default_rng(0))
    >>> 6 <= len(sentence.split()) <= 16
    True
    """

    def pick(words):
        return str(rng.choice(words))

    subject = f"{pick(['the', 'my', 'our', 'that', 'every'])} {pick(_PEOPLE)}"
    what = f"{pick(_QUALITIES)} {pick(_THINGS)}"
    where = f"{pick(_PREPOSITIONS)} {pick(_PLACES)}"
    thing = f"{pick(['the', 'one', 'this', 'his', 'her'])} {what}"
    parts = [subject, pick(_VERBS), thing, where]
    if rng.random() < 0.5:
        parts.insert(rng.choice([0, len(parts)]), pick(_TIMES))
    return " ".join(parts)

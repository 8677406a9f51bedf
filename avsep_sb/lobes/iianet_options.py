"""Which combinations of IIANet's arguments make a model, and which do not.

Authors
 * avsep_sb contributors
"""

from dataclasses import dataclass

FORMS = ("paper", "release", "strict")


@dataclass(frozen=True)
class Options:
    """Arguments after the defaults that depend on others are filled in.

    Arguments
    ---------
    stride : int
        Hop in samples.
    num_filters : int
        Encoder filters.
    num_av_cycles : int
        Audio-visual cycles; 0 for an audio-only model.
    inter_top, inter_middle, inter_bottom : bool
        Which links between the modalities exist.

    Example
    -------
    >>> Options(4, 9, 4, True, True, False).stride
    4
    """

    stride: int
    num_filters: int
    num_av_cycles: int
    inter_top: bool
    inter_middle: bool
    inter_bottom: bool


def resolve_options(
    form="paper",
    num_av_cycles=4,
    num_audio_cycles=12,
    depth=5,
    kernel_size=16,
    stride=None,
    num_filters=None,
    num_sources=1,
    audio_only=False,
    official_decoder=False,
    phi_prime=False,
    inter_top=True,
    inter_middle=True,
    inter_bottom=None,
    control=None,
    fusion=None,
    cross_face=None,
    solo_prob=0.0,
):
    """Check the arguments of IIANet and fill in what follows from others.

    Arguments
    ---------
    form, num_av_cycles, num_audio_cycles, depth, kernel_size, stride,
    num_filters, num_sources, audio_only, official_decoder, phi_prime,
    inter_top, inter_middle, inter_bottom, control, fusion,
    cross_face, solo_prob
        See :class:`avsep_sb.lobes.iianet.IIANet`.

    Returns
    -------
    Options
        Raises ValueError, with one sentence, for what is not a model.

    Example
    -------
    >>> resolve_options(form="release").inter_bottom
    False
    >>> resolve_options(kernel_size=15)
    Traceback (most recent call last):
    ValueError: kernel_size must be even and at least 2, not 15.
    """

    def refuse_if(wrong, sentence):
        if wrong:
            raise ValueError(sentence)

    refuse_if(form not in FORMS, f"form must be one of {FORMS}, not {form!r}.")
    refuse_if(
        kernel_size < 2 or kernel_size % 2,
        f"kernel_size must be even and at least 2, not {kernel_size}.",
    )
    stride = max(kernel_size // 4, 1) if stride is None else stride
    refuse_if(
        stride < 1 or kernel_size % stride,
        f"stride must divide kernel_size ({kernel_size}), but is {stride}.",
    )
    num_filters = kernel_size // 2 + 1 if num_filters is None else num_filters
    refuse_if(
        num_filters < 1, f"num_filters must be at least 1, not {num_filters}."
    )
    refuse_if(depth < 2, f"depth must be at least 2 scales, not {depth}.")
    refuse_if(
        num_sources < 1, f"num_sources must be at least 1, not {num_sources}."
    )
    refuse_if(
        num_av_cycles < 0
        or num_audio_cycles < 0
        or num_av_cycles + num_audio_cycles < 1,
        "num_av_cycles and num_audio_cycles must not be negative and must "
        f"sum to at least 1, not {num_av_cycles} and {num_audio_cycles}.",
    )
    refuse_if(
        official_decoder and num_sources == 1,
        "official_decoder mixes several sources: set num_sources above 1 or "
        "leave it out.",
    )
    refuse_if(
        control not in (None, 1, 2),
        f"control must be 1, 2 or none, not {control!r}.",
    )
    refuse_if(
        fusion is not None and control != 2,
        "A fusion by attention takes the place of InterA-B in control 2 "
        "(Table 6): set control to 2, or leave fusion out.",
    )
    refuse_if(
        cross_face is not None and (audio_only or cross_face < 1),
        "cross_face is a number of channels, at least 1, in a model that "
        f"sees faces; it cannot be {cross_face!r} here.",
    )
    refuse_if(
        cross_face is None and solo_prob != 0,
        "solo_prob leaves out what cross_face adds: set cross_face too, or "
        "leave solo_prob out.",
    )
    ablated = not (inter_top and inter_middle) or inter_bottom is not None
    if audio_only:
        refuse_if(
            ablated or control is not None,
            "An audio-only model has no link to the lips: leave out "
            "inter_top, inter_middle, inter_bottom and control.",
        )
        return Options(stride, num_filters, 0, False, False, False)
    refuse_if(
        num_av_cycles < 1,
        "num_av_cycles must be at least 1; for a model without lips set "
        "audio_only.",
    )
    refuse_if(
        phi_prime and (form == "strict" or control == 1),
        "phi_prime replaces the global intra-attention of the paper and "
        "release forms, which form 'strict' and control 1 do not have.",
    )
    if control is not None:
        refuse_if(
            form != "paper" or ablated,
            "control keeps InterA-B of form 'paper' and drops InterA-T and "
            "InterA-M by itself: use form 'paper' and leave out inter_top, "
            "inter_middle and inter_bottom.",
        )
        inter_top = inter_middle = False
    refuse_if(
        form == "release" and inter_bottom,
        "The release has no InterA-B: use form 'paper' with inter_bottom.",
    )
    if inter_bottom is None:
        inter_bottom = form != "release"
    refuse_if(
        not (inter_top or inter_middle or inter_bottom),
        "Without InterA-T, InterA-M and InterA-B no lip reaches the sound: "
        "keep one of them, or set audio_only.",
    )
    return Options(
        stride,
        num_filters,
        num_av_cycles,
        bool(inter_top),
        bool(inter_middle),
        bool(inter_bottom),
    )

"""What IIANet takes for the lips of a batch, and what it refuses.

Authors
 * avsep_sb contributors
"""

from avsep_sb.lobes.bin_faces import check_faces


def check_lips(visual, visual_mask, num_batch, channels, num_sources=1):
    """Refuse lips that do not fit; silence the frames that show none.

    Arguments
    ---------
    visual : torch.Tensor or None
        [B, S, Tv, C]
    visual_mask : torch.Tensor or None
        [B, S, Tv], False where no lips were seen.
    num_batch : int
        Mixtures, B.
    channels : int
        C that the model takes.
    num_sources : int
        Outputs for each face; a model with several takes one face.

    Returns
    -------
    torch.Tensor
        [B, S, Tv, C], zero where no lips were seen. Raises ValueError, with
        one sentence, for what does not fit.

    Example
    -------
    >>> check_lips(None, None, 1, 512)
    Traceback (most recent call last):
    ValueError: This model needs the visual embedding of each face; to ...
    """
    if visual is None:
        raise ValueError(
            "This model needs the visual embedding of each face; to "
            "separate without lips, use the audio-only form."
        )
    visual = check_faces(visual, visual_mask, num_batch, channels)
    if num_sources > 1 and visual.shape[1] > 1:
        raise ValueError(
            f"A model with {num_sources} outputs per face takes one face per "
            f"mixture, but {visual.shape[1]} were given."
        )
    return visual

"""Bring any number of faces into a model that was built for a fixed number.

BIN and AVLiT look at all faces at once: each has a slot of its own, with its
own weights, and the voices come out in the order of the slots.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F


def check_faces(visual, visual_mask, num_batch, embedding_dim):
    """Refuse embeddings that do not fit; silence the frames without lips.

    A wrong embedding size must not pass: a model that only reshapes would
    take the values of one frame for several frames.

    Arguments
    ---------
    visual : torch.Tensor or None
        [B, S, Tv, C]
    visual_mask : torch.Tensor or None
        [B, S, Tv], False where no lips were seen.
    num_batch : int
        Mixtures.
    embedding_dim : int
        C that the model takes.

    Returns
    -------
    torch.Tensor
        [B, S, Tv, C], zero where no lips were seen: as an empty slot, and as
        in IIANet. Raises ValueError, with one sentence, for what does not fit.

    Example
    -------
    >>> import torch
    >>> check_faces(torch.rand(1, 2, 5, 512), None, 1, 1024)
    Traceback (most recent call last):
    ValueError: The visual embedding must be [batch, faces, frames, 1024] ...
    """
    if visual is None:
        raise ValueError(
            "This model has no audio-only form: give the visual embedding of "
            "each face."
        )
    shape = tuple(visual.shape)
    if (
        len(shape) != 4
        or 0 in shape
        or shape[0] != num_batch
        or shape[3] != embedding_dim
    ):
        raise ValueError(
            f"The visual embedding must be [batch, faces, frames, "
            f"{embedding_dim}] for {num_batch} mixtures, but has shape "
            f"{shape}; set embedding_dim to what the visual front end gives."
        )
    if visual_mask is None:
        return visual
    if tuple(visual_mask.shape) != shape[:3]:
        raise ValueError(
            f"The visual mask must have shape {shape[:3]} as the embedding, "
            f"but has {tuple(visual_mask.shape)}."
        )
    return visual.masked_fill(~visual_mask.bool().unsqueeze(-1), 0.0)


def share_of_slots(num_faces, num_slots):
    """Tell which face goes into which slot, pass by pass.

    Arguments
    ---------
    num_faces : int
        Faces in the picture.
    num_slots : int
        Faces that the model was built for.

    Returns
    -------
    torch.Tensor
        [P, num_slots, num_faces]: how much of each face a slot holds in each
        pass. With slots enough one pass: face i in slot i, the other slots
        empty. Otherwise one pass per face, which is in slot 1; the others are
        dealt to the other slots and averaged there, so that the model still
        sees when any of them speaks.

    Example
    -------
    >>> share_of_slots(1, 2).tolist()
    [[[1.0], [0.0]]]
    >>> share_of_slots(3, 2)[1].tolist()
    [[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]
    """
    if num_faces <= num_slots:
        return torch.eye(num_slots, num_faces).unsqueeze(0)
    share = torch.zeros(num_faces, num_slots, num_faces)
    for face in range(num_faces):
        share[face, 0, face] = 1.0
        others = [other for other in range(num_faces) if other != face]
        for slot in range(1, num_slots):
            members = others[slot - 1 :: num_slots - 1]
            share[face, slot, members] = 1.0 / len(members)
    return share


def place_faces(visual, num_slots):
    """Put the faces into slots.

    Arguments
    ---------
    visual : torch.Tensor
        [B, S, Tv, C], any S.
    num_slots : int
        Faces that the model was built for.

    Returns
    -------
    torch.Tensor
        [B * P, num_slots, Tv, C] with P passes, 1 or S; see
        :func:`share_of_slots`.

    Example
    -------
    >>> import torch
    >>> place_faces(torch.rand(5, 3, 8, 4), 2).shape
    torch.Size([15, 2, 8, 4])
    """
    num_faces = visual.shape[1]
    if num_faces <= num_slots:
        return F.pad(visual, (0, 0, 0, 0, 0, num_slots - num_faces))
    share = share_of_slots(num_faces, num_slots).to(visual)
    return torch.einsum("psf,bftc->bpstc", share, visual).flatten(0, 1)

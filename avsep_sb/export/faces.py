"""Parts that look at the number of faces, without a branch on it.

A trace takes the branch of the example that it was made with. Here the
number of faces is part of the arithmetic.

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

from avsep_sb.lobes.bin_faces import check_faces


class AnyCrossFace(nn.Module):
    """Twin of :class:`avsep_sb.lobes.cross_face.CrossFace` in evaluation.

    Arguments
    ---------
    cross_face : CrossFace
        What it stands for.

    Example
    -------
    >>> from avsep_sb.lobes.cross_face import CrossFace
    >>> lobe, streams = CrossFace(8, 4), torch.rand(6, 8, 5)
    >>> _ = nn.init.ones_(lobe.out.weight)
    >>> twin = AnyCrossFace(lobe)
    >>> torch.allclose(twin(streams, 3), lobe(streams, 3))
    True
    >>> bool((twin(streams, 1) == streams).all())
    True
    """

    def __init__(self, cross_face):
        super().__init__()
        self.lobe = cross_face

    def draw_solo(self):
        """As in the lobe, where only training draws."""
        return False

    def forward(self, streams, faces, solo=False):
        """Pass messages; arguments as in the lobe."""
        lobe, faces = self.lobe, torch.as_tensor(faces)
        own = lobe.act(lobe.own(streams)).unflatten(0, (-1, faces))
        told = lobe.act(lobe.others(streams)).unflatten(0, (-1, faces))
        mean = told.sum(1, keepdim=True) - told
        mean = mean / (faces - 1).clamp(min=1)
        message = lobe.out(torch.cat([own, mean], 2).flatten(0, 1))
        return streams + message * (faces > 1).to(message.dtype)


def share_of_any_slots(num_faces, num_slots):
    """Tell which face goes into which slot, for a number known later.

    Arguments
    ---------
    num_faces : torch.Tensor
        Faces in the picture, int64.
    num_slots : int
        Faces that the model was built for.

    Returns
    -------
    torch.Tensor
        As :func:`avsep_sb.lobes.bin_faces.share_of_slots`.

    Example
    -------
    >>> from avsep_sb.lobes.bin_faces import share_of_slots
    >>> all(
    ...     torch.equal(
    ...         share_of_any_slots(torch.tensor(faces), slots),
    ...         share_of_slots(faces, slots),
    ...     )
    ...     for faces in (1, 2, 3, 5) for slots in (1, 2, 3)
    ... )
    True
    """
    many = num_faces > num_slots
    passes = torch.where(many, num_faces, torch.ones_like(num_faces))
    own = torch.arange(passes)[:, None]
    face = torch.arange(num_faces)[None]
    # The first slot is that of the face itself; others are dealt in turn.
    place = face - (face > own).long()
    dealt = torch.where(face == own, 0, 1 + place % max(1, num_slots - 1))
    slot = torch.where(many, dealt, face)[:, None]
    share = (slot == torch.arange(num_slots)[:, None]).float()
    return share / share.sum(-1, keepdim=True).clamp(min=1.0)


class AnyFacesMasking(nn.Module):
    """Twin of :class:`avsep_sb.lobes.bin_base.MaskingSeparator`.

    Arguments
    ---------
    separator : MaskingSeparator
        A BIN or an AVLiT, whose weights it uses.

    Example
    -------
    >>> from avsep_sb.lobes.bin import BIN
    >>> net = BIN(num_iterations=2, fusion_channels=3, token_length=1,
    ...     embedding_dim=12, bottleneck_channels=4, audio_channels=8,
    ...     video_channels=6, num_filters=10).eval()
    >>> mix, lips = torch.rand(2, 1001), torch.rand(2, 3, 2, 12)
    >>> seen = torch.ones(2, 3, 2, dtype=torch.bool)
    >>> twin = AnyFacesMasking(net)
    >>> torch.allclose(twin(mix, lips, seen), net(mix, lips), atol=1e-6)
    True
    """

    def __init__(self, separator):
        super().__init__()
        self.lobe = separator

    def forward(self, mix, visual, visual_mask):
        """Separate a batch of mixtures; arguments as in the lobe."""
        lobe = self.lobe
        num_batch, num_samples = mix.shape
        visual = check_faces(visual, visual_mask, num_batch, lobe.vpre_channels)
        num_faces = torch.as_tensor(visual.shape[1])
        slots = lobe.num_sources
        share = share_of_any_slots(num_faces, slots).to(visual)
        num_passes = share.shape[0]
        # [B, P, slots, Tv, C], as a product of matrices
        placed = (share.flatten(0, 1) @ visual.flatten(2)).unflatten(
            1, (-1, slots)
        )
        placed = placed.unflatten(3, visual.shape[2:]).flatten(0, 1)
        video = lobe.video_bottleneck(placed.transpose(2, 3).flatten(1, 2))

        encoded = lobe.codec.encode(mix)
        features = lobe.encoder_norm(lobe.codec.features(encoded))
        audio = lobe.audio_bottleneck(features)
        audio = audio.repeat_interleave(num_passes, 0)
        joint = lobe.separate(audio, video)
        mask = torch.relu(lobe.mask_conv(lobe.mask_act(joint)))
        mask = mask.unflatten(0, (num_batch, -1)).unflatten(2, (slots, -1))
        # One pass gives all voices; of several each gives its first.
        step = torch.where(num_faces > slots, slots, 1)
        voices = torch.arange(num_faces) * step
        mask = mask.flatten(1, 2).index_select(1, voices)
        waves = lobe.codec.decode(lobe.codec.mask(encoded, mask), num_samples)
        return waves.transpose(1, 2)

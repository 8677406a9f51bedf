"""The frame autoencoder, which is the visual front end of BIN and AVLiT.

Each grey frame becomes a small map by itself, without its neighbours, and
the map read row by row is the embedding (Martel, Richter, Li, Hu, Gerkmann,
"Audio-Visual Speech Separation in Noisy Environments with a Lightweight
Iterative Model", Interspeech 2023; with one more layer in BIN,
arXiv:2507.07270). It is trained to draw the frame again, on no label.

Names and shapes of the weights are those of the reference.

Authors
 * avsep_sb contributors
"""

import torch
import torch.nn.functional as F
from torch import nn

from avsep_sb.lobes.frozen import FreezableFrontEnd
from avsep_sb.lobes.lip_input import LipInput

NEGATIVE_SLOPE = 0.3


class FrameInput(LipInput):
    """Crop mouth ROIs and bring them to one size, in grey levels 0..255.

    The net was trained on grey levels as they are. A floating-point ROI is
    taken as already cropped, of that size and in 0..255.

    Arguments
    ---------
    crop : tuple, str or None
        Window kept of the ROI; see
        :func:`avsep_sb.lobes.lip_input.parse_crop`.
    size : tuple
        Height and width of the result; each pixel is the mean of the area
        that it covers.

    Example
    -------
    >>> roi = torch.full((1, 2, 3, 96, 96), 200, dtype=torch.uint8)
    >>> frames = FrameInput((80, 80), (64, 64))(roi)
    >>> frames.shape, float(frames.max())
    (torch.Size([2, 1, 3, 64, 64]), 200.0)
    """

    def __init__(self, crop=(80, 80), size=(64, 64)):
        super().__init__(crop)
        self.size = tuple(int(side) for side in size)

    def normalise(self, pixels):
        """Resize frames and leave their grey levels.

        Arguments
        ---------
        pixels : torch.Tensor
            [B, S, Tv, H, W], integer.

        Returns
        -------
        torch.Tensor
            [B, S, Tv, h, w] in the default floating-point type.
        """
        frames = pixels.to(torch.get_default_dtype())
        if frames.shape[-2:] == self.size:
            return frames
        resized = F.interpolate(frames.flatten(0, 1), self.size, mode="area")
        return resized.unflatten(0, frames.shape[:2])


class FrameLayer(nn.Module):
    """2 x 2 convolution with step 2, instance norm, leaky ReLU.

    Arguments
    ---------
    in_channels : int
        Channels in.
    out_channels : int
        Channels out.
    up : bool
        Double height and width (a transposed convolution) instead of
        halving them.

    Example
    -------
    >>> FrameLayer(1, 8)(torch.rand(2, 1, 6, 4)).shape
    torch.Size([2, 8, 3, 2])
    """

    def __init__(self, in_channels, out_channels, up=False):
        super().__init__()
        conv = nn.ConvTranspose2d if up else nn.Conv2d
        self.conv = conv(in_channels, out_channels, 2, stride=2)
        self.norm = nn.InstanceNorm2d(out_channels, affine=True)

    def forward(self, x):
        """Filter frames.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, h, w]

        Returns
        -------
        torch.Tensor
            [N, C', h / 2, w / 2], or twice the sides with ``up``.
        """
        return F.leaky_relu(self.norm(self.conv(x)), NEGATIVE_SLOPE)


class FrameStack(nn.Module):
    """Layers in a row: the encoder or the decoder.

    Arguments
    ---------
    channels : list
        Channels before, between and after the layers.
    up : bool
        As in :class:`FrameLayer`.

    Example
    -------
    >>> FrameStack([16, 8, 1], up=True)(torch.rand(2, 16, 4, 4)).shape
    torch.Size([2, 1, 16, 16])
    """

    def __init__(self, channels, up=False):
        super().__init__()
        self.layers = nn.ModuleList(
            FrameLayer(before, after, up)
            for before, after in zip(channels[:-1], channels[1:], strict=True)
        )

    def forward(self, x):
        """Run the layers one after the other.

        Arguments
        ---------
        x : torch.Tensor
            [N, C, h, w]

        Returns
        -------
        torch.Tensor
            [N, C', h', w']
        """
        for layer in self.layers:
            x = layer(x)
        return x


class FrameAutoencoder(FreezableFrontEnd):
    """Embedding of single frames, and the frames drawn again from it.

    The instance norm of the first layer takes out brightness and contrast of
    each frame, so the embedding is that of any range of grey levels.

    The cameras and crops of the reference differ from ours. Its crop is
    narrower than our 96 x 96 ROI (a mouth is 45 pixels wide there), so the
    80 x 80 pixels of the centre are kept by default.

    Arguments
    ---------
    num_layers : int
        Layers of the encoder, and of the decoder: 4 in BIN and the AVLiT of
        its repository, 3 in the original AVLiT.
    base_channels : int
        Channels of the first layer; each further one has twice as many.
    crop : tuple, str or None
        Window of the ROI that the net sees, in pixels; see
        :func:`avsep_sb.lobes.lip_input.parse_crop`.
    size : tuple
        Height and width to which the window is brought, multiples of
        ``2 ** num_layers``.
    frozen : bool
        Keep the weights as they are. If they train with a separator, the
        decoder has no part in it.

    Example
    -------
    >>> net = FrameAutoencoder()
    >>> roi = torch.randint(0, 256, (1, 2, 3, 96, 96), dtype=torch.uint8)
    >>> net(roi).shape, net.out_channels
    (torch.Size([1, 2, 3, 1024]), 1024)
    >>> net.reconstruct(roi).shape
    torch.Size([1, 2, 3, 64, 64])
    """

    def __init__(
        self,
        num_layers=4,
        base_channels=8,
        crop=(80, 80),
        size=(64, 64),
        frozen=False,
    ):
        super().__init__(frozen)
        unit = 2**num_layers
        fits = num_layers > 0 and all(s > 0 and s % unit == 0 for s in size)
        # A map of one pixel has no variance to be normalised by.
        if not fits or max(size) == unit:
            raise ValueError(
                f"size is {tuple(size)}, but {num_layers} layers halve each "
                f"side as often: give multiples of {unit}, not both {unit}."
            )
        self.input = FrameInput(crop, size)
        widths = [base_channels * 2**i for i in range(num_layers)]
        self.map_shape = (widths[-1], *(s // unit for s in self.input.size))
        self.out_channels = (
            self.map_shape[0] * self.map_shape[1] * self.map_shape[2]
        )
        self.encoder = FrameStack([1, *widths])
        self.decoder = FrameStack([*widths[::-1], 1], up=True)
        self.apply_frozen()

    def embed(self, x):
        """Embed frames.

        Arguments
        ---------
        x : torch.Tensor
            [N, 1, Tv, h, w], grey levels.

        Returns
        -------
        torch.Tensor
            [N, Tv, out_channels]: channels, then rows, then columns of the
            map. A ValueError is raised for frames of another size.
        """
        if tuple(x.shape[-2:]) != self.input.size:
            raise ValueError(
                f"The frames are {x.shape[-2]} x {x.shape[-1]} pixels, but "
                f"the net takes {self.input.size[0]} x {self.input.size[1]}: "
                "give uint8 ROIs, which are cropped and resized."
            )
        frames = x.transpose(1, 2).flatten(0, 1)
        maps = self.encoder(frames).flatten(1)
        return maps.unflatten(0, (x.shape[0], x.shape[2]))

    def decode(self, embedding):
        """Draw frames from their embedding.

        Arguments
        ---------
        embedding : torch.Tensor
            [B, S, Tv, out_channels]

        Returns
        -------
        torch.Tensor
            [B, S, Tv, h, w]
        """
        maps = embedding.flatten(0, 2).unflatten(1, self.map_shape)
        return self.decoder(maps)[:, 0].unflatten(0, embedding.shape[:3])

    def reconstruct(self, frames):
        """Embed frames and draw them again.

        Arguments
        ---------
        frames : torch.Tensor
            [B, S, Tv, H, W], as :meth:`forward` takes them.

        Returns
        -------
        torch.Tensor
            [B, S, Tv, h, w]
        """
        return self.decode(self(frames))


class FrameReconstruction(nn.Module):
    """The training task of a frame autoencoder, as a module.

    Several GPUs exchange the gradients of what is called as a module, so
    this and not a method is what a Brain trains.

    Arguments
    ---------
    net : FrameAutoencoder
        What is trained.

    Example
    -------
    >>> task = FrameReconstruction(FrameAutoencoder())
    >>> roi = torch.randint(0, 256, (1, 2, 3, 96, 96), dtype=torch.uint8)
    >>> drawn, seen = task(roi)
    >>> drawn.shape == seen.shape, float(seen.max()) > 1
    (True, True)
    """

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, roi):
        """Draw mouths again.

        Arguments
        ---------
        roi : torch.Tensor
            [B, S, Tv, H, W], as :class:`FrameAutoencoder` takes them.

        Returns
        -------
        drawn : torch.Tensor
            [B, S, Tv, h, w]
        seen : torch.Tensor
            The frames as the encoder gets them, same shape.
        """
        seen = self.net.input(roi)[:, 0].unflatten(0, roi.shape[:2])
        return self.net.reconstruct(seen), seen

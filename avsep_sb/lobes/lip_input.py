"""Turn mouth ROIs as they are stored into what a lip-reading net takes.

Both visual front ends go through here, so that the grey levels, the crop and
the normalisation are written down once. The figures are those of the lip
reading front end that CTCNet and IIANet use (pixel mean 0.421, standard
deviation 0.165 after division by 255).

Authors
 * avsep_sb contributors
"""

import torch
from torch import nn

PIXEL_MEAN = 0.421
PIXEL_STD = 0.165


def crop_offset(size, crop):
    """Give the first row (or column) of a centre crop.

    Arguments
    ---------
    size : int
        Rows (or columns) of the picture, in pixels.
    crop : int
        Rows (or columns) to keep, in pixels.

    Returns
    -------
    int
        Half of the difference, rounded towards zero.

    Example
    -------
    >>> crop_offset(96, 88)
    4
    """
    return int(round(size - crop) / 2)


def parse_crop(crop):
    """Read the ``crop`` option of a front end.

    Arguments
    ---------
    crop : tuple, list, str or None
        ``(height, width)`` in pixels, kept from the centre; ``"release"``
        for the 50 x 88 window which the code released with IIANet feeds to
        the net (the top 50 rows of the 88 x 88 centre crop); None for the
        whole picture.

    Returns
    -------
    tuple
        ``(centre, rows)``: the centre crop (height, width) or None, and the
        number of rows kept of it.

    Example
    -------
    >>> parse_crop((88, 88))
    ((88, 88), 88)
    >>> parse_crop("release")
    ((88, 88), 50)
    """
    if crop is None:
        return None, None
    if crop == "release":
        return (88, 88), 50
    if isinstance(crop, str) or len(crop) != 2 or min(crop) < 1:
        raise ValueError(
            f"crop is {crop!r}: give (height, width) in pixels, 'release' "
            "or None."
        )
    height, width = int(crop[0]), int(crop[1])
    return (height, width), height


class LipInput(nn.Module):
    """Crop and normalise mouth ROIs.

    Pixels stored as uint8 are cropped, divided by 255 and normalised.
    A floating-point ROI is taken as already cropped and normalised (that is
    what augmentation in a data pipeline hands over) and goes through as is.

    Arguments
    ---------
    crop : tuple, str or None
        See :func:`parse_crop`.

    Returns
    -------
    torch.Tensor
        [B * S, 1, Tv, h, w], floating point.

    Example
    -------
    >>> roi = torch.zeros(1, 2, 3, 96, 96, dtype=torch.uint8)
    >>> LipInput((88, 88))(roi).shape
    torch.Size([2, 1, 3, 88, 88])
    """

    def __init__(self, crop=(88, 88)):
        super().__init__()
        self.centre, self.rows = parse_crop(crop)

    def forward(self, roi):
        """Make the net's input.

        Arguments
        ---------
        roi : torch.Tensor
            [B, S, Tv, H, W], uint8 or floating point.

        Returns
        -------
        torch.Tensor
            [B * S, 1, Tv, h, w]. A ValueError is raised when the ROI has
            other than 5 dimensions or is smaller than the crop.
        """
        if roi.dim() != 5:
            raise ValueError(
                f"The mouth ROI has shape {tuple(roi.shape)}: give "
                "[batch, speakers, frames, height, width]."
            )
        if not torch.is_floating_point(roi):
            roi = self.normalise(self.crop(roi))
        return roi.flatten(0, 1).unsqueeze(1)

    def crop(self, roi):
        """Keep the window that the net looks at.

        Arguments
        ---------
        roi : torch.Tensor
            [..., H, W]

        Returns
        -------
        torch.Tensor
            [..., h, w], a view.
        """
        if self.centre is None:
            return roi
        height, width = self.centre
        if roi.shape[-2] < height or roi.shape[-1] < width:
            raise ValueError(
                f"The mouth ROI is {roi.shape[-2]} x {roi.shape[-1]} pixels, "
                f"smaller than the crop of {height} x {width}: give larger "
                "ROIs (96 x 96) or set a smaller crop."
            )
        top = crop_offset(roi.shape[-2], height)
        left = crop_offset(roi.shape[-1], width)
        return roi[..., top : top + self.rows, left : left + width]

    @staticmethod
    def normalise(pixels):
        """Scale grey levels 0..255 to zero mean and unit deviation.

        Arguments
        ---------
        pixels : torch.Tensor
            Any shape, integer.

        Returns
        -------
        torch.Tensor
            Same shape, in the default floating-point type.
        """
        pixels = pixels.to(torch.get_default_dtype())
        return (pixels / 255.0 - PIXEL_MEAN) / PIXEL_STD

"""Augmentation: a random change that should not change the cluster, applied to a whole mini-batch on its own device."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from dclib.checks import check_widths, one_of


@dataclass(frozen=True)
class RandomAffine:
    """Rotate, shift and zoom every image of a mini-batch by its own small random amount (after Guo et al. 2018).

    Parameters
    ----------
    shape
        Height and width of an image, or channels, height and width. A point is the image, or the image read row by
        row, channel after channel.
    degrees
        Largest rotation to either side.
    shift
        Largest shift in each direction, as a share of the image.
    zoom
        Largest change of size, as a share of it.
    padding_mode
        What comes in from beyond the border: ``"zeros"``, ``"border"`` (the nearest pixel) or ``"reflection"``. Zeros
        suit images with a dark border. Where strokes touch it, as in USPS, they get cut off.
    contrast
        Largest change of all values of an image, measured from the background, as a share of them. Without it, how much
        ink there is for the size of what is drawn hardly changes, and a loss that asks two views to agree may be
        content with that.

    Notes
    -----
    Derived in :doc:`/notebooks/today/augmentation`.
    """

    shape: tuple[int, ...]
    degrees: float = 15.0
    shift: float = 0.1
    zoom: float = 0.1
    padding_mode: str = "zeros"
    contrast: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a shape or a padding that there is not."""
        check_widths(self.shape, "shape", (2, 3))
        one_of(self.padding_mode, ("zeros", "border", "reflection"), "padding_mode")

    def check(self, n_values: int) -> None:
        """Refuse points of ``n_values`` values if they can't be images of this shape.

        Raises
        ------
        ValueError
            Naming both.
        """
        if n_values != math.prod(self.shape):
            shape = " × ".join(map(str, self.shape))
            raise ValueError(f"RandomAffine is set up for images of {shape}, and a point has {n_values} values.")

    def __call__(self, x: Tensor) -> Tensor:
        """Return an altered copy of the images ``x``, (m, values) or (m, …), in its shape."""
        self.check(x[0].numel() if len(x) else math.prod(self.shape))
        height, width = self.shape[-2:]
        images = x.reshape(len(x), -1, height, width)
        grid = (self.maps(x).view(-1, 3) @ self.places(x)).view(-1, 2, height, width).permute(0, 2, 3, 1)
        moved = grid_sample(images, grid, padding_mode=self.padding_mode, align_corners=False)
        if self.contrast:
            moved = moved * (1 + self.contrast * (2 * torch.rand(len(x), 1, 1, 1, device=x.device, dtype=x.dtype) - 1))
        return moved.view_as(x)

    def places(self, x: Tensor) -> Tensor:
        """Return (right, down, 1) of every pixel's centre, (3, height · width), in coordinates from −1 to 1."""
        kind = {"device": x.device, "dtype": x.dtype}
        down, right = ((2 * torch.arange(size, **kind) + 1) / size - 1 for size in self.shape[-2:])
        down, right = torch.meshgrid(down, right, indexing="ij")
        return torch.stack([right.flatten(), down.flatten(), torch.ones_like(down).flatten()])

    def maps(self, x: Tensor) -> Tensor:
        """Draw one affine map (m, 2, 3) for each image of ``x``, in coordinates that run from −1 to 1."""
        draw = 2 * torch.rand(len(x), 4, device=x.device, dtype=x.dtype) - 1
        reach = math.radians(self.degrees), 2 * self.shift, 2 * self.shift, self.zoom
        angle, right, down, zoom = (column * most for column, most in zip(draw.T, reach, strict=True))
        cos, sin = (1 + zoom) * angle.cos(), (1 + zoom) * angle.sin()
        return torch.stack([torch.stack([cos, -sin, right], 1), torch.stack([sin, cos, down], 1)], 1)

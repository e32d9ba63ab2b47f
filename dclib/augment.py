"""Augmentation: a random change that should not change the cluster, applied to a whole mini-batch on its own device."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


@dataclass(frozen=True)
class RandomAffine:
    """Rotate, shift and zoom every image of a mini-batch by its own small random amount (after Guo et al. 2018).

    Parameters
    ----------
    shape
        Height and width of an image; a point is the image read row by row.
    degrees
        Largest rotation to either side.
    shift
        Largest shift in each direction, as a share of the image.
    zoom
        Largest change of size, as a share of it.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """

    shape: tuple[int, int]
    degrees: float = 15.0
    shift: float = 0.1
    zoom: float = 0.1

    def __call__(self, x: Tensor) -> Tensor:
        """Return an altered copy of the images ``x`` (m, height · width)."""
        images = x.view(-1, 1, *self.shape)
        grid = (self.maps(x).view(-1, 3) @ self.places(x)).view(-1, 2, *self.shape)
        return grid_sample(images, grid.permute(0, 2, 3, 1), align_corners=False).view_as(x)

    def places(self, x: Tensor) -> Tensor:
        """Return (right, down, 1) of every pixel's centre, (3, height · width), in coordinates from −1 to 1."""
        kind = {"device": x.device, "dtype": x.dtype}
        down, right = ((2 * torch.arange(size, **kind) + 1) / size - 1 for size in self.shape)
        down, right = torch.meshgrid(down, right, indexing="ij")
        return torch.stack([right.flatten(), down.flatten(), torch.ones_like(down).flatten()])

    def maps(self, x: Tensor) -> Tensor:
        """Draw one affine map (m, 2, 3) for each image of ``x``, in coordinates that run from −1 to 1."""
        draw = 2 * torch.rand(len(x), 4, device=x.device, dtype=x.dtype) - 1
        reach = math.radians(self.degrees), 2 * self.shift, 2 * self.shift, self.zoom
        angle, right, down, zoom = (column * most for column, most in zip(draw.T, reach, strict=True))
        cos, sin = (1 + zoom) * angle.cos(), (1 + zoom) * angle.sin()
        return torch.stack([torch.stack([cos, -sin, right], 1), torch.stack([sin, cos, down], 1)], 1)

"""Networks of two players: a critic that looks at points, and a generator that draws them."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from dclib.networks import strided_pair

SLOPE = 0.2  # of the leaky ReLU, as in Radford et al. 2016


def mlp_critic(
    n_features: int,
    hidden: Sequence[int],
    width: int,
    norm: bool = False,
) -> nn.Sequential:
    """Return linear layers with a leaky ReLU after each: no unit may go blind.

    Parameters
    ----------
    n_features
        D, the width of a data point.
    hidden
        Widths of the hidden layers.
    width
        Features that come out.
    norm
        Whether each layer but the first has batch normalisation.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/gan_features`.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise((n_features, *hidden, width)):
        normed = [nn.BatchNorm1d(n_out)] if norm and layers else []
        layers += [nn.Linear(n_in, n_out), *normed, nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


def mlp_generator(
    n_latent: int,
    hidden: Sequence[int],
    n_features: int,
) -> nn.Sequential:
    """Return linear layers with batch norm and a ReLU between, and a linear end.

    Parameters
    ----------
    n_latent
        Width of a latent point.
    hidden
        Widths of the hidden layers, in the order of the critic's: the generator mirrors it.
    n_features
        D, the width of a data point.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/gan_features`.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise((n_latent, *hidden[::-1])):
        layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU()]
    last = nn.Linear(hidden[0] if hidden else n_latent, n_features)
    return nn.Sequential(*layers, last)


def conv_critic(
    shape: Sequence[int],
    channels: Sequence[int],
    width: int,
    norm: bool = False,
) -> nn.Sequential:
    """Return strided convolutions and a linear layer, leaky (Radford et al. 2016).

    Parameters
    ----------
    shape
        Height and width of an image, or channels, height and width. Images come as rows of pixels.
    channels
        Channels of the convolutions.
    width
        Features that come out.
    norm
        Whether each layer but the first has batch normalisation.
    """
    colours, pairs, last = _strides(shape, channels)
    layers: list[nn.Module] = [nn.Unflatten(1, (colours, *shape[-2:]))]
    for (narrow, _), n_out in zip(pairs, channels, strict=True):
        normed = [nn.BatchNorm2d(n_out)] if norm and len(layers) > 1 else []
        layers += [narrow, *normed, nn.LeakyReLU(SLOPE)]
    normed = [nn.BatchNorm1d(width)] if norm else []
    layers += [nn.Flatten(), nn.Linear(math.prod(last), width), *normed, nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


def conv_generator(n_latent: int, shape: Sequence[int], channels: Sequence[int]) -> nn.Sequential:
    """Return a linear layer and transposed convolutions (Radford et al. 2016).

    Parameters
    ----------
    n_latent
        Width of a latent point.
    shape
        Height and width of an image, or channels, height and width. Images go as rows of pixels.
    channels
        Channels of the convolutions, in the order of the critic's: the generator mirrors it, with batch norm and ReLU
        between each two.
    """
    _, pairs, last = _strides(shape, channels)
    layers: list[nn.Module] = [nn.Linear(n_latent, math.prod(last)), nn.Unflatten(1, last)]
    for (_, widen), n_in in zip(pairs[::-1], channels[::-1], strict=True):
        layers += [nn.BatchNorm2d(n_in), nn.ReLU(), widen]
    return nn.Sequential(*layers, nn.Flatten())


def _strides(
    shape: Sequence[int], channels: Sequence[int]
) -> tuple[int, list[tuple[nn.Module, nn.Module]], tuple[int, ...]]:
    """Return the colours, a pair of convolutions there and back for each stride, and the shape behind the last."""
    colours, *size = shape if len(shape) == 3 else (1, *shape)
    pairs = []
    for n_in, n_out in pairwise((colours, *channels)):
        pairs.append(strided_pair(n_in, n_out, 5, size))
        size = [-(-side // 2) for side in size]
    return colours, pairs, (channels[-1] if channels else colours, *size)

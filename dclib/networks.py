"""Networks: plain modules with an encoder f and a decoder g, on which every method builds."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import dropout


class Autoencoder(nn.Module):
    """An encoder f: R^D → R^d and a decoder g: R^d → R^D, called one after the other.

    Parameters
    ----------
    encoder
        Maps ``x`` (n, D) to the code ``z`` (n, d).
    decoder
        Maps ``z`` (n, d) to the reconstruction ``x_hat`` (n, D).
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, x: Tensor) -> Tensor:
        """Return the reconstruction ``x_hat`` (n, D) of ``x`` (n, D)."""
        return self.decoder(self.encoder(x))


def mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Stack linear layers with a ReLU between each two and none after the last.

    Parameters
    ----------
    sizes
        Width of the input, of each hidden layer and of the output, e.g. ``(784, 500, 10)``.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def mlp_autoencoder(
    n_features: int,
    hidden: Sequence[int] = (500, 500, 2000),
    latent_dim: int = 10,
) -> Autoencoder:
    """Build a fully connected autoencoder whose decoder mirrors its encoder.

    Code and reconstruction are linear. A ReLU on the code would cut off half of every axis.

    Parameters
    ----------
    n_features
        D, the width of a data point.
    hidden
        Widths of the encoder's hidden layers. The default is DEC's (Xie et al. 2016, section 4.3).
    latent_dim
        d, the width of the code.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """
    sizes = (n_features, *hidden, latent_dim)
    return Autoencoder(encoder=mlp(sizes), decoder=mlp(sizes[::-1]))


def conv_autoencoder(
    shape: Sequence[int],
    channels: Sequence[int] = (16, 32, 64),
    latent_dim: int = 10,
    kernel: int = 3,
    batch_norm: bool = False,
) -> Autoencoder:
    """Build a convolutional autoencoder whose decoder mirrors its encoder.

    Images come and go as rows of pixels, channel by channel. Each convolution halves height and width by its stride,
    as in Guo et al. 2018. Code and reconstruction are linear.

    Parameters
    ----------
    shape
        Height and width of an image, or channels, height and width.
    channels
        Channels of the encoder's convolutions.
    latent_dim
        d, the width of the code.
    kernel
        Height and width of every filter, an odd number.
    batch_norm
        Normalise each channel before each ReLU (as Li et al. 2017).

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dbc`.
    """
    n_colours, *size = shape if len(shape) == 3 else (1, *shape)
    widths, sizes = (n_colours, *channels), [tuple(size)]
    down, up = [nn.Unflatten(1, (n_colours, *size))], [nn.Flatten()]
    for n_in, n_out in pairwise(widths):
        narrow, widen = strided_pair(n_in, n_out, kernel, sizes[-1])
        down = [*down, narrow, *bend(n_out, batch_norm)]
        up = [*bend(n_out, batch_norm), widen, *up]  # built from its end
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))  # half, rounded up
    last = (widths[-1], *sizes[-1])
    down = [*down, nn.Flatten(), nn.Linear(math.prod(last), latent_dim)]
    up = [nn.Linear(latent_dim, math.prod(last)), nn.Unflatten(1, last), *up]
    return Autoencoder(nn.Sequential(*down), nn.Sequential(*up))


def strided_pair(
    n_in: int,
    n_out: int,
    kernel: int,
    size: Sequence[int],
) -> tuple[nn.Module, nn.Module]:
    """Return a convolution of stride two, and the transposed one that leads back.

    A single pixel can't be halved: there the stride is one, which gives the same.

    Parameters
    ----------
    n_in, n_out
        Channels before and behind the convolution.
    kernel
        Height and width of its filters, an odd number.
    size
        Height and width before it.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dbc`.
    """
    pad = kernel // 2
    even = tuple(1 - side % 2 for side in size)  # two sizes have one half: say which
    stride = 2 if max(size) > 1 else 1
    narrow = nn.Conv2d(n_in, n_out, kernel, stride, pad)
    wide = nn.ConvTranspose2d(n_out, n_in, kernel, stride, pad, output_padding=even)
    return narrow, wide


def bend(width: int, batch_norm: bool) -> list[nn.Module]:
    """Return what follows a convolution: batch norm, if wanted, and a ReLU.

    Parameters
    ----------
    width
        Channels of the convolution.
    batch_norm
        Whether to normalise.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dbc`.
    """
    return [nn.BatchNorm2d(width), nn.ReLU()] if batch_norm else [nn.ReLU()]


def leaves(network: nn.Module) -> Iterator[nn.Module]:
    """Return the layers of nested ``Sequential`` modules in order."""
    if not isinstance(network, nn.Sequential):
        yield network
    else:
        for part in network:
            yield from leaves(part)


def activations(network: nn.Module, x: Tensor, noise: float = 0.0) -> list[Tensor]:
    """Return what each ReLU of a network answers, and after them its output.

    Parameters
    ----------
    network
        Nested ``Sequential`` modules, such as an encoder or a decoder of this module.
    x
        Its input (m, ...).
    noise
        Share of the input and of each answer that is set to zero on its way to the next layer (dropout; the rest is
        scaled up). What is returned is not thinned.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/depict`.
    """
    found, h = [], dropout(x, noise)
    for layer in leaves(network):
        h = layer(h)
        if isinstance(layer, nn.ReLU):
            found.append(h)
            h = dropout(h, noise)
    return [*found, h]


def mlp_features(
    n_features: int,
    hidden: Sequence[int],
    width: int,
) -> nn.Sequential:
    """Return linear layers, each with batch norm and a ReLU behind it.

    Parameters
    ----------
    n_features
        D, the width of a data point.
    hidden
        Widths of the hidden layers.
    width
        Features that come out.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/imsat`.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise((n_features, *hidden, width)):
        layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.ReLU()]
    return nn.Sequential(*layers)


def conv_features(
    shape: Sequence[int],
    channels: Sequence[int],
    width: int,
) -> nn.Sequential:
    """Return strided convolutions and a linear layer, all with batch norm and ReLU.

    Parameters
    ----------
    shape
        Height and width of an image, or channels, height and width. Images come as rows of pixels.
    channels
        Channels of the convolutions, each of which halves height and width.
    width
        Features that come out.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/iic`.
    """
    n_colours, *size = shape if len(shape) == 3 else (1, *shape)
    layers: list[nn.Module] = [nn.Unflatten(1, (n_colours, *size))]
    for n_in, n_out in pairwise((n_colours, *channels)):
        stride = 2 if max(size) > 1 else 1  # a single pixel can't be halved
        layers += [nn.Conv2d(n_in, n_out, 5, stride, 2), *bend(n_out, True)]
        size = [-(-side // 2) for side in size]  # half, rounded up
    last = (channels[-1] if channels else n_colours) * math.prod(size)
    return nn.Sequential(*layers, nn.Flatten(), *mlp_features(last, (), width))

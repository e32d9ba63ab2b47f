"""Networks: plain modules with an encoder f and a decoder g, on which every method builds."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


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

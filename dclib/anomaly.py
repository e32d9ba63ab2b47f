"""Anomaly scores: Deep SVDD, DAGMM and reconstruction as short functions, thresholds, and p-values with a guarantee."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, count, islice, pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from dclib.base import DeepClusterer
from dclib.networks import Autoencoder, mlp_autoencoder
from dclib.points import Rows
from dclib.training import batches, descend, in_parts


def train_network(
    loss: Callable[[Tensor], Tensor],
    parameters: Iterable[nn.Parameter],
    x: Tensor,
    steps: int,
    weight_decay: float = 0.0,
) -> list[float]:
    """Take steps of Adam down a loss of mini-batches of 128; return the losses.

    Parameters
    ----------
    loss
        Of the points (m, …) of a mini-batch.
    parameters
        What moves.
    x
        Points (n, …).
    steps
        Mini-batches.
    weight_decay
        Factor of half the squared weights.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    optimizer = torch.optim.Adam(parameters, 1e-3, weight_decay=weight_decay)
    epochs = (batches(len(x), 128) for _ in count())
    order = islice(chain.from_iterable(epochs), steps)
    return [float(descend(loss(x[index]), optimizer)) for index in order]


# -- Deep SVDD --------------------------------------------------------------------------------------------------------


def one_class_network(sizes: Sequence[int], bias: bool = False) -> nn.Sequential:
    """Stack linear layers without bias, and leaky ReLUs (Deep SVDD, section 3.3).

    Parameters
    ----------
    sizes
        Width of the input, of each hidden layer and of the output.
    bias
        True: with biases, so that the network can be constant.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out, bias=bias), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers[:-1])


def centre_of(z: Tensor, least: float = 0.1) -> Tensor:
    """Return the mean (d,) of codes (n, d), each value at least ``least`` from 0.

    The distance from zero is that of the authors' code: a value near zero is easily met by weights near zero.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    centre = z.detach().mean(dim=0)
    far = centre.abs().clamp(min=least)
    return torch.where(centre < 0, -far, far)


def squared_distance(z: Tensor, centre: Tensor) -> Tensor:
    """Return the squared distance (n,) of codes (n, d) from the centre (d,).

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    return (z - centre).square().sum(dim=1)


def soft_boundary(distance: Tensor, radius: Tensor, nu: float) -> Tensor:
    """Return R² and the mean excess over it, divided by ν (Deep SVDD, eq. 3).

    Parameters
    ----------
    distance
        Squared distances (n,) from the centre.
    radius
        R, a scalar.
    nu
        ν, at most the share of points that end outside.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    excess = (distance - radius.square()).clamp(min=0)
    return radius.square() + excess.mean() / nu


def fit_svdd(
    x: Tensor,
    sizes: Sequence[int],
    pretrain_steps: int,
    steps: int,
) -> tuple[nn.Sequential, Tensor]:
    """Pretrain without biases, fix the centre, and draw the codes towards it.

    Parameters
    ----------
    x
        Points (n, D).
    sizes
        Widths of the encoder, from D to d.
    pretrain_steps, steps
        Mini-batches before and after the centre is fixed.

    Returns
    -------
    network, centre
        The encoder, and c (d,).

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    network, decoder = one_class_network(sizes), one_class_network(sizes[::-1])
    both = Autoencoder(network, decoder)

    def error(b: Tensor) -> Tensor:
        return (both(b) - b).square().mean()

    def distance(b: Tensor) -> Tensor:
        return squared_distance(network(b), centre).mean()

    train_network(error, both.parameters(), x, pretrain_steps)
    centre = centre_of(network(x))
    train_network(distance, network.parameters(), x, steps, weight_decay=1e-6)
    return network, centre


# -- DAGMM ------------------------------------------------------------------------------------------------------------


def residuals(x: Tensor, x_hat: Tensor) -> Tensor:
    """Return relative distance and cosine (n, 2) of reconstructions (DAGMM, 3.2).

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    relative = (x - x_hat).norm(dim=1) / x.norm(dim=1).clamp(min=1e-10)
    return torch.stack([relative, torch.cosine_similarity(x, x_hat, dim=1)], dim=1)


def mixture_of(z: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return shares, means and covariances of soft memberships (DAGMM, eq. 5).

    Parameters
    ----------
    z
        Codes (n, d).
    gamma
        Memberships (n, K); each row sums to one.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    size = gamma.sum(dim=0)
    mean = gamma.T @ z / size[:, None]
    apart = z[:, None] - mean  # (n, K, d)
    covariance = torch.einsum("nk,nki,nkj->kij", gamma, apart, apart)
    covariance = covariance / size[:, None, None] + 1e-6 * torch.eye(z.shape[1])
    return size / len(z), mean, covariance


def energy(z: Tensor, share: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Return −log Σ φ_k N(z; μ_k, Σ_k) (n,) of codes (n, d) (DAGMM, eq. 6).

    Parameters
    ----------
    z
        Codes (n, d).
    share, mean, covariance
        φ (K,), μ (K, d), Σ (K, d, d).

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    root = torch.linalg.cholesky(covariance)  # L, with L Lᵀ = Σ
    apart = (z[:, None] - mean).permute(1, 2, 0)  # (K, d, n)
    white = torch.linalg.solve_triangular(root, apart, upper=False)
    form = white.square().sum(dim=1)  # (K, n)
    log_root = root.diagonal(dim1=1, dim2=2).log().sum(dim=1)  # ½ log det Σ
    log_density = -(form + z.shape[1] * math.log(2 * math.pi)) / 2 - log_root[:, None]
    return -(share.log()[:, None] + log_density).logsumexp(dim=0)


class DAGMM(nn.Module):
    """Compression network, estimation network, and the mixture of their codes (Zong et al. 2018).

    Parameters
    ----------
    sizes
        Widths of the encoder, from D to the width of the code.
    n_clusters
        K, the Gaussians.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """

    def __init__(self, sizes: Sequence[int], n_clusters: int = 4) -> None:
        super().__init__()
        self.compression = mlp_autoencoder(sizes[0], sizes[1:-1], sizes[-1])
        layers = (
            nn.Linear(sizes[-1] + 2, 10),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(10, n_clusters),
        )
        self.estimation = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return codes with residuals (n, d + 2), memberships (n, K) and reconstructions (n, D)."""
        code = self.compression.encoder(x)
        x_hat = self.compression.decoder(code)
        z = torch.cat([code, residuals(x, x_hat)], dim=1)
        return z, self.estimation(z).softmax(dim=1), x_hat

    def loss(self, x: Tensor, energy_weight: float = 0.1, penalty: float = 0.005) -> Tensor:
        """Return reconstruction error, mean energy and penalty on small variances (DAGMM, eq. 7)."""
        z, gamma, x_hat = self(x)
        share, mean, covariance = mixture_of(z, gamma)
        error = (x - x_hat).square().sum(dim=1).mean()
        thin = (1 / covariance.diagonal(dim1=1, dim2=2)).sum()
        return error + energy_weight * energy(z, share, mean, covariance).mean() + penalty * thin


def fit_dagmm(x: Tensor, sizes: Sequence[int], steps: int) -> Callable[[Tensor], Tensor]:
    """Train DAGMM on points (n, D), and return its score: the energy under the mixture of all of them."""
    network = DAGMM(sizes)
    train_network(network.loss, network.parameters(), x, steps)
    network.eval()
    with torch.no_grad():
        mixture = mixture_of(*network(x)[:2])
    return lambda points: energy(network(points)[0], *mixture)


# -- the book's methods as scores -------------------------------------------------------------------------------------


@torch.no_grad()
def reconstruction_error(model: DeepClusterer, X: ArrayLike) -> NDArray[np.float64]:
    """Return the mean squared reconstruction error (n,) of points (n, D), in the unit of ``X``.

    Parameters
    ----------
    model
        A fitted method whose network has a decoder, e.g. ``AutoencoderKMeans``.
    X
        Points (n, D).
    """
    x = Rows(np.asarray(X), model.scale_, torch.device("cpu"), np.float32, model.offset_)
    network = model.network_
    found = in_parts(lambda b: (network.decoder(network.encoder(b)) - b).square().mean(dim=1), x)
    return found.double().cpu().numpy() * model.scale_**2


# -- how good a score is, and where to cut ----------------------------------------------------------------------------


def average_precision_at(rate: float, y: ArrayLike, score: ArrayLike) -> float:
    """Return the average precision of a score at a rate of anomalies.

    Parameters
    ----------
    rate
        Between 0 and 1.
    y
        1 for an anomaly, 0 for a normal point (n,); both are weighted to the rate.
    score
        (n,); the higher, the more anomalous.

    Raises
    ------
    ValueError
        If the rate is not between 0 and 1, or a kind is missing.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    y = np.asarray(y, dtype=bool)
    if not 0 < rate < 1 or y.all() or not y.any():
        raise ValueError(f"rate={rate} should lie between 0 and 1, with both kinds.")
    weight = np.where(y, rate / y.mean(), (1 - rate) / (1 - y.mean()))
    return float(average_precision_score(y, score, sample_weight=weight))


def conformal_p(
    calibration: ArrayLike,
    score: ArrayLike,
) -> NDArray[np.float64]:
    """Return (1 + calibration scores at or above) / (m + 1) for each score.

    If a point and the calibration points are exchangeable, the chance of a value of at most α is at most α.

    Parameters
    ----------
    calibration
        Scores (m,) of normal points that the detector was not trained on.
    score
        Scores (n,) to judge; the higher, the more anomalous.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/anomalies`.
    """
    ranked = np.sort(np.asarray(calibration, dtype=np.float64))
    above = len(ranked) - np.searchsorted(ranked, score, side="left")
    return (1 + above) / (len(ranked) + 1)

"""VAE, variational autoencoder: a code that is a distribution, held to a Gaussian; clusters are found afterwards.

Source: Kingma, Welling, "Auto-Encoding Variational Bayes", ICLR 2014.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.mixture import GaussianMixture
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn
from torch.distributions import MultivariateNormal
from torch.nn.functional import binary_cross_entropy_with_logits

from dclib import parallel
from dclib.base import POSITIVE, WEIGHT
from dclib.generating import GeneratingClusterer
from dclib.networks import Autoencoder, conv_autoencoder, mlp
from dclib.phases import Batch, Points
from dclib.points import Rows
from dclib.training import at_least_single, gaussian_mixture, in_batches, in_parts, pick_device, seeded


def reparametrised(mean: Tensor, log_var: Tensor, epsilon: Tensor) -> Tensor:
    """Return z = μ̃ + σ̃ ε, through which gradients flow (VAE, section 2.4).

    Parameters
    ----------
    mean, log_var
        μ̃ and log σ̃² (m, d) of q(z | x).
    epsilon
        ε, drawn from N(0, I) (m, d).

    Notes
    -----
    Derived in :doc:`/notebooks/generative/vae`.
    """
    return mean + (log_var / 2).exp() * epsilon


def kl_to_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """Return KL(q(z | x) ‖ N(0, I)) by point and dimension (VAE, appendix B).

    Parameters
    ----------
    mean, log_var
        μ̃ and log σ̃² (m, d) of q(z | x).

    Returns
    -------
    Tensor
        (m, d), in nats; summed over dimensions it is the divergence of a point.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/vae`.
    """
    return (mean.square() + log_var.exp() - 1 - log_var) / 2


def bernoulli_error(logits: Tensor, x: Tensor) -> Tensor:
    """Return −log p(x | z) of points whose values are coins (VAE, appendix C.1).

    Parameters
    ----------
    logits
        What the decoder says of each value, before the sigmoid (m, …).
    x
        Values from 0 to 1 (m, …). Those in between count as the share of ones.

    Returns
    -------
    Tensor
        (m,), a sum over the values of a point.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/vae`.
    """
    each = binary_cross_entropy_with_logits(logits, x, reduction="none")
    return each.flatten(1).sum(dim=1)


def gaussian_error(drawn: Tensor, x: Tensor, log_noise: Tensor) -> Tensor:
    """Return −log p(x | z) of points with Gaussian noise (VAE, appendix C.2).

    Parameters
    ----------
    drawn
        The decoder's mean (m, …).
    x
        Points (m, …).
    log_noise
        log σ_x, one number: half the log of the noise's variance.

    Returns
    -------
    Tensor
        (m,), a sum over the values of a point.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/vae`.
    """
    squares = ((x - drawn) / log_noise.exp()).square() + 2 * log_noise
    return (squares + math.log(2 * math.pi)).flatten(1).sum(dim=1) / 2


class VAE(GeneratingClusterer):
    """Variational autoencoder (Kingma and Welling 2014), and a mixture of Gaussians on its mean code.

    The encoder says of a point where its code lies and how sure it is: q(z | x) = N(μ̃, diag σ̃²). Encoder and decoder
    maximise the ELBO, E_q log p(x | z) − KL(q(z | x) ‖ N(0, I)), a lower bound of log p(x). Nothing in it knows of
    clusters; they are found on μ̃ when it is trained.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    likelihood
        ``"gaussian"``: p(x | z) is the decoder's mean with Gaussian noise. ``"bernoulli"``: each value, from the data's
        least to its largest, is the share of ones of a coin; the paper's for images.
    noise
        σ_x, the standard deviation of the Gaussian noise, on data of unit mean square. ``None``: learned, one number.
        The less noise, the more the reconstruction counts against the divergence.
    beta
        Factor of the divergence (Higgins et al. 2017); 1: the ELBO.
    start
        Which clusters are found on the mean code: ``"mixture"``, of Gaussians with covariances of their own;
        ``"kmeans"``; ``"spectral"``, on the neighbour graph. The last two assign by the nearest centroid.
    pretrain_epochs
        Passes over the points: more than an autoencoder's, since few steps leave q(z | x) at the prior.
    **shared
        The parameters of :class:`~dclib.base.DeepClusterer`.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/vae`.

    Examples
    --------
    >>> from dclib import VAE, load
    >>> digits = load("digits")
    >>> model = VAE(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.sample(5).shape
    (5, 64)
    """

    wiring: ClassVar[str] = "ReLU; mean and log variance of the code, linear"
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {
            "hidden": (500,),
            "pretrain_epochs": 100,
            "pretrain_optimizer": "adam",
            "pretrain_lr": 1e-3,
            "batch_size": 100,
        },
    }
    for_images: ClassVar[dict[str, Any]] = {"likelihood": "bernoulli"}
    first_phase: ClassVar[tuple[str, ...]] = ("likelihood", "noise", "beta")
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "likelihood": [StrOptions({"gaussian", "bernoulli"})],
        "noise": [POSITIVE, None],
        "beta": [WEIGHT],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        likelihood: str = "gaussian",
        noise: float | None = None,
        beta: float = 1.0,
        start: str = "mixture",
        pretrain_epochs: int = 100,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, start=start, pretrain_epochs=pretrain_epochs, **shared)
        self.likelihood = likelihood
        self.noise = noise
        self.beta = beta

    # -- the network --------------------------------------------------------------------------------------------------

    def build(self, n_features: int) -> nn.Module:
        """Return a network whose encoder gives mean and log variance side by side (m, 2d)."""
        network = super().build(n_features) if self.network is not None else self._mirrored(n_features, self._widths)
        learned = self.noise is None
        if self.likelihood == "gaussian" and not (learned and hasattr(network, "log_noise")):  # a trained one stays
            known = torch.tensor(0.0 if learned else math.log(self.noise))
            network.log_noise = nn.Parameter(known, requires_grad=learned)
        return network

    def _mirrored(self, n_features: int, widths: Sequence[int]) -> Autoencoder:
        """Return an encoder of 2d outputs and a decoder of d inputs that mirrors it."""
        d = self.latent_dim
        if self._image_shape is not None:
            encoder = conv_autoencoder(self._image_shape, widths, 2 * d).encoder
            return Autoencoder(encoder, conv_autoencoder(self._image_shape, widths, d).decoder)
        return Autoencoder(mlp((n_features, *widths, 2 * d)), mlp((d, *widths[::-1], n_features)))

    def needs_decoder(self) -> bool:
        """Return whether anything is drawn: always."""
        return True

    def code(self, output: Tensor) -> Tensor:
        """Return the mean code μ̃ (m, d) from what the encoder returns (m, 2d)."""
        if output.ndim == 2 and output.shape[1] % 2:
            raise ValueError(f"it gives {output.shape[1]} values a point; mean and log variance need an even number")
        return output[:, : output.shape[1] // 2] if output.ndim == 2 else output

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ̃ and log σ̃² (m, d) of q(z | x) for points ``x`` (m, …)."""
        mean, log_var = at_least_single(self.network_.encoder(x)).chunk(2, dim=1)
        return mean, log_var

    # -- the loss -----------------------------------------------------------------------------------------------------

    def error(self, drawn: Tensor, x: Tensor) -> Tensor:
        """Return −log p(x | z) (m,) of points ``x`` (m, …) and what the decoder draws of z (m, …)."""
        if self.likelihood == "bernoulli":
            return bernoulli_error(at_least_single(drawn), self.in_unit(x))
        return gaussian_error(at_least_single(drawn), x, self.network_.log_noise)

    def divergence(self, mean: Tensor, log_var: Tensor, z: Tensor) -> Tensor:
        """Return KL(q(z | x) ‖ p(z)) of each point (m,); ``z`` is the draw that is decoded."""
        return kl_to_standard_normal(mean, log_var).sum(dim=1)

    def negative_elbo(self, batch: Batch) -> Tensor:
        """Return −E_q log p(x | z) + β KL of a mini-batch, with one draw a point (VAE, eq. 10)."""
        mean, log_var = self.posterior(batch.view)
        epsilon = batch.drawn(lambda n: torch.randn(n, mean.shape[1], device=mean.device))
        z = reparametrised(mean, log_var, epsilon)
        wanted = batch.view if self.reconstruct == "view" else batch.x
        error = batch.note("L_R", self.error(self.network_.decoder(z), wanted).mean())
        return error + self.beta * batch.note("KL", self.divergence(mean, log_var, z).mean())

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return the negative ELBO of a mini-batch."""
        return self.negative_elbo(batch)

    @torch.no_grad()
    def score_samples(self, X: ArrayLike, draws: int = 1) -> NDArray[np.float64]:
        """Return the ELBO of each point, a lower bound of log p(x) in nats, on average over draws of z.

        Parameters
        ----------
        X
            Points (n, …).
        draws
            How many z are drawn, the same ε for every point; the ELBO is averaged over them.

        Returns
        -------
        ndarray (n,)
            With the Gaussian likelihood, of the density in the unit of ``X``; with the Bernoulli one, of the coins.
        """
        points = self._validated(X)
        device = pick_device(self.device)
        x = Rows(points, self.scale_, device, np.float64, self.offset_, self.point_shape_)
        with seeded(self.seed_, device):
            drawn = torch.randn(draws, self.width_, device=device)  # alike for all points, whichever come along

        def elbo(part: Tensor) -> Tensor:
            mean, log_var = self.posterior(part)
            found = []
            for epsilon in drawn:
                z = reparametrised(mean, log_var, epsilon)
                found.append(-self.error(self.network_.decoder(z), part) - self.divergence(mean, log_var, z))
            return torch.stack(found).double().mean(dim=0)

        single, self.network_ = self.network_, copy.deepcopy(self.network_).double()
        try:
            found = in_parts(elbo, x)
        finally:
            self.network_ = single
        unit = points.shape[1] * math.log(self.scale_) if self.likelihood == "gaussian" else 0.0
        return found.cpu().numpy() - unit

    # -- the clusters -------------------------------------------------------------------------------------------------

    def start_clusters(self, x: Points, n_clusters: int, n_init: int) -> None:
        """Find Gaussians on the mean codes of ``x`` (n, …): a mixture, or equal spheres about the centroids."""
        network = self.network_
        if self.start == "mixture":
            z = in_batches(self.encode, x)
            found = self._mixture_of(z, n_clusters, n_init, "full")
            values = found.means_, found.weights_, found.covariances_
            means, shares, covariances = (parallel.from_first(torch.as_tensor(value)) for value in values)
            factors = torch.linalg.cholesky(covariances)
            self.labels_ = found.predict(z.double().cpu().numpy())
        else:
            super().start_clusters(x, n_clusters, n_init)
            means = network.centroids.detach()
            sphere = self._spread(x) * torch.eye(self.width_)
            shares, factors = torch.ones(n_clusters), sphere.expand(n_clusters, -1, -1)
        for name, value in {"centroids": means, "logits": shares.log(), "factors": factors}.items():
            setattr(network, name, nn.Parameter(value.float().to(x.device).contiguous(), requires_grad=False))

    def _mixture_of(self, z: Tensor, n_clusters: int, n_init: int, covariance: str) -> GaussianMixture:
        """Return a Gaussian mixture on the codes ``z`` (n, d) of all processes."""
        z = parallel.all_rows(z)
        with parallel.together(split=False):
            return gaussian_mixture(z, n_clusters, n_init, self.seed_, covariance)

    def _spread(self, x: Points) -> float:
        """Return the root mean square of a code from its centroid, in one dimension; 1 if all lie on theirs."""
        z, labels = in_batches(self.encode, x), torch.as_tensor(self.labels_, device=x.device)
        squares = (z - self.network_.centroids.detach()[labels]).double().square()
        sums = torch.stack([squares.sum().cpu(), torch.tensor(float(squares.numel()), dtype=torch.float64)])
        total, count = parallel.over_points(sums).tolist()
        return (total / count) ** 0.5 or 1.0

    def log_joint(self, z: Tensor) -> Tensor:
        """Return log π_c + log N(z; μ_c, Σ_c), (m, K), of codes ``z`` (m, d)."""
        network = self.network_
        means, factors = network.centroids.to(z), network.factors.to(z)
        gaussians = MultivariateNormal(means, scale_tril=factors, validate_args=False)
        return network.logits.to(z).log_softmax(dim=0) + gaussians.log_prob(z[:, None])

    def assign(self, z: Tensor) -> Tensor:
        """Return the cluster (n,) that is most probable of each code ``z`` (n, d)."""
        return in_parts(lambda part: self.log_joint(part).argmax(dim=1), z)

    @torch.no_grad()
    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return p(c | z) (n, K) at the mean codes of the points ``X`` (n, …)."""
        return in_parts(lambda z: self.log_joint(z).softmax(dim=1), self._codes(self._validated(X))).cpu().numpy()

    # -- new points ---------------------------------------------------------------------------------------------------

    def draw_latents(self, n: int, cluster: int | None) -> Tensor:
        """Return ``n`` draws (n, d) of the prior N(0, I), or of the Gaussian of a cluster."""
        z = torch.randn(n, self.width_, device=self._network_device())
        if cluster is None:
            return z
        return self.network_.centroids[cluster] + z @ self.network_.factors[cluster].T

    def generate(self, latents: Tensor) -> Tensor:
        """Return the decoder's mean (m, …) of latent points (m, d), in the network's unit."""
        drawn = self.network_.decoder(latents)
        return self.from_unit(drawn.sigmoid()) if self.likelihood == "bernoulli" else drawn

"""VaDE, variational deep embedding: a variational autoencoder whose prior is a mixture of Gaussians.

Source: Jiang, Zheng, Tan, Tang, Zhou, "Variational Deep Embedding: An Unsupervised and Generative Approach to
Clustering", IJCAI 2017.
"""

import math
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn

from dclib import parallel
from dclib.base import POSITIVE
from dclib.methods.vae import VAE
from dclib.phases import OPTIMIZERS, SCHEDULES, Batch, Descent, Points, Update
from dclib.refining import RefiningClusterer
from dclib.training import in_batches

MIXTURE = ("centroids", "log_vars", "logits")
FIRST_SHARE = 0.1  # of the components' variance: what the encoder's first σ̃² are about
LOG_2PI = math.log(2 * math.pi)


def log_joint(
    z: Tensor,
    logits: Tensor,
    means: Tensor,
    log_vars: Tensor,
) -> Tensor:
    """Return log p(z, c) = log π_c + log N(z; μ_c, diag σ_c²) (VaDE, eq. 3 and 4).

    Parameters
    ----------
    z
        Latent points (m, d).
    logits
        Unnormalised log π (K,).
    means, log_vars
        μ and log σ² of the components (K, d).

    Returns
    -------
    Tensor
        (m, K). Its softmax over components is γ, p(c | z).

    Notes
    -----
    Derived in :doc:`/notebooks/generative/vade`.
    """
    squared = (z[:, None] - means).square() / log_vars.exp()  # (m, K, d)
    log_normal = -(LOG_2PI + log_vars + squared).sum(dim=2) / 2
    return logits.log_softmax(dim=0) + log_normal


def kl_to_mixture(
    mean: Tensor,
    log_var: Tensor,
    log_gamma: Tensor,
    logits: Tensor,
    means: Tensor,
    log_vars: Tensor,
) -> Tensor:
    """Return KL(q(z, c | x) ‖ p(z, c)): VaDE, eq. 12, without its first term.

    Here q(z, c | x) = N(z; μ̃, diag σ̃²) γ_c.

    Parameters
    ----------
    mean, log_var
        μ̃ and log σ̃² (m, d) of q(z | x).
    log_gamma
        log γ (m, K).
    logits, means, log_vars
        The mixture, as in :func:`log_joint`.

    Returns
    -------
    Tensor
        (m,), in nats.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/vade`.
    """
    gamma = log_gamma.exp()
    squares = log_var.exp()[:, None] + (mean[:, None] - means).square()  # (m, K, d)
    each = (log_vars + squares / log_vars.exp()).sum(dim=2) / 2  # −E log N less log 2π
    entropy = (1 + log_var).sum(dim=1) / 2
    labels = (gamma * (log_gamma - logits.log_softmax(dim=0))).sum(dim=1)
    return (gamma * each).sum(dim=1) - entropy + labels


class VaDE(VAE, RefiningClusterer):
    """Variational deep embedding (Jiang et al. 2017).

    A component c is drawn, a code z of its Gaussian, and a point x of z. The first phase trains an autoencoder, whose
    encoder becomes the mean; a Gaussian mixture on its codes is the first prior. The second phase maximises the ELBO
    over network and mixture together, with q(c | x) = γ, the posterior of the components at a draw of z.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    mixture_lr
        Learning rate of the mixture's weights, means and variances in the second phase.
    start
        ``"mixture"``, of diagonal Gaussians, the paper's; ``"kmeans"`` or ``"spectral"``: means and variances of those
        clusters. The weights π start equal.
    **shared
        The parameters of :class:`~dclib.methods.vae.VAE`, :class:`~dclib.refining.RefiningClusterer` and
        :class:`~dclib.base.DeepClusterer`.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/vade`.

    The profile ``"paper"`` deviates in the second phase: both learning rates stay at 0.002, and Adam has its usual ε of
    1e-8. The released code multiplies the rates by 0.9 every ten epochs, down to 2e-4, and has ε = 1e-4. The
    autoencoder of the start was released as weights only; 50 epochs of Adam are ours.

    Examples
    --------
    >>> from dclib import VaDE, load
    >>> digits = load("digits")
    >>> model = VaDE(10, hidden=(64,), pretrain_epochs=2, epochs=2, random_state=0).fit(digits.x)
    >>> model.sample(3, cluster=0).shape
    (3, 64)
    """

    renewed: ClassVar[str] = ""  # the bound has no target
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "full": {"refine_steps": 40_000, "lr": 2e-3, "mixture_lr": 2e-3},
        "paper": {
            "hidden": (500, 500, 2000),
            "pretrain_epochs": 50,
            "pretrain_optimizer": "adam",
            "pretrain_lr": 1e-3,
            "optimizer": "adam",
            "batch_size": 100,
            "refine_steps": 2_100_000,
            "lr": 2e-3,
            "mixture_lr": 2e-3,
            "update_interval": None,
        },
    }
    first_phase: ClassVar[tuple[str, ...]] = ("likelihood", "noise")
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "mixture_lr": [POSITIVE],
        "start": [StrOptions({"mixture", "kmeans", "spectral"})],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        mixture_lr: float = 1e-3,
        tol: float = 0.0,
        pretrain_epochs: int = 20,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, tol=tol, pretrain_epochs=pretrain_epochs, **shared)
        self.mixture_lr = mixture_lr

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return −log p(x | z) at the mean code: the first phase trains an autoencoder, without noise or prior."""
        wanted = batch.view if self.reconstruct == "view" else batch.x
        return batch.note("L_R", self.error(self.network_.decoder(batch.z), wanted).mean())

    def start_clusters(self, x: Points, n_clusters: int, n_init: int) -> None:
        """Start the mixture on the codes of ``x`` (n, …), with equal weights."""
        z = in_batches(self.encode, x)
        if self.start == "mixture":
            found = self._mixture_of(z, n_clusters, n_init, "diag")
            self.labels_ = found.predict(z.double().cpu().numpy())
            means, variances = (
                parallel.from_first(torch.as_tensor(value)) for value in (found.means_, found.covariances_)
            )
        else:
            super(VAE, self).start_clusters(x, n_clusters, n_init)
            means, variances = self.network_.centroids.detach(), self._variances(z)
        parts = {"centroids": means, "log_vars": variances.log(), "logits": torch.zeros(n_clusters)}
        for name, value in parts.items():
            setattr(self.network_, name, nn.Parameter(value.float().to(x.device).contiguous()))
        unit = self.network_.log_vars.detach().mean(dim=0) + math.log(FIRST_SHARE)
        self.network_.log_unit = nn.Parameter(unit, requires_grad=False)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return μ̃ and log σ̃² (m, d) of q(z | x) for points ``x`` (m, …).

        What the encoder says of σ̃² is a factor. It counts from a tenth of the variance that the components start with,
        whatever the unit of the codes: the encoder's first answers are about log 1 = 0.
        """
        mean, log_var = super().posterior(x)
        return mean, log_var + self.network_.log_unit

    def _variances(self, z: Tensor) -> Tensor:
        """Return the variance of each cluster in each dimension (K, d); of one of fewer than two codes, that of all."""
        labels = torch.as_tensor(self.labels_, device=z.device)
        squares = (z - self.network_.centroids.detach()[labels]).double().square()
        sums = torch.zeros_like(self.network_.centroids, dtype=torch.float64).index_add_(0, labels, squares)
        counts = torch.bincount(labels, minlength=len(sums))[:, None]
        sums, counts = parallel.over_points(sums), parallel.over_points(counts)
        pooled = sums.sum(dim=0) / counts.sum()
        return torch.where(counts > 1, sums / counts.clamp_min(1), pooled) + 1e-6 * pooled.mean()

    def loss(self, batch: Batch) -> Tensor:
        """Return the negative ELBO of a mini-batch (VaDE, eq. 12)."""
        return self.negative_elbo(batch)

    def descent(self) -> Update:
        """Return the update of the second phase: one loss, a learning rate for the network, one for the mixture."""
        how = {"optimizer": OPTIMIZERS[self.optimizer], "schedule": SCHEDULES[self.schedule]}
        parts = dict.fromkeys(name.split(".")[0] for name, _ in self.network_.named_parameters())
        network = Descent(self.lr, tuple(name for name in parts if name not in (*MIXTURE, "log_unit")), **how)
        return Update(self.loss, (network, Descent(self.mixture_lr, MIXTURE, **how)))

    def log_joint(self, z: Tensor) -> Tensor:
        """Return log π_c + log N(z; μ_c, diag σ_c²), (m, K), of codes ``z`` (m, d)."""
        network = self.network_
        return log_joint(z, network.logits.to(z), network.centroids.to(z), network.log_vars.to(z))

    def divergence(self, mean: Tensor, log_var: Tensor, z: Tensor) -> Tensor:
        """Return KL(q(z, c | x) ‖ p(z, c)) of each point (m,), with γ at the draw ``z``."""
        network = self.network_
        log_gamma = self.log_joint(z).log_softmax(dim=1)
        return kl_to_mixture(mean, log_var, log_gamma, network.logits, network.centroids, network.log_vars)

    def draw_latents(self, n: int, cluster: int | None) -> Tensor:
        """Return ``n`` draws (n, d) of the mixture, or of one of its components."""
        network = self.network_
        shares = network.logits.softmax(dim=0)
        drawn = torch.multinomial(shares, n, replacement=True)
        c = drawn if cluster is None else torch.full_like(drawn, cluster)
        spread = (network.log_vars[c] / 2).exp()
        return network.centroids[c] + spread * torch.randn(n, self.width_, device=spread.device)

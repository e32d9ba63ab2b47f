"""ClusterGAN: a generator whose latent points form clusters, and an encoder that leads back to them.

Source: Mukherjee, Asnani, Lin, Kannan, "ClusterGAN: Latent Space Clustering in Generative Adversarial Networks",
AAAI 2019; the critic: Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from dclib.adversarial import AdversarialClusterer
from dclib.base import COUNT, POSITIVE, WEIGHT
from dclib.phases import Batch


def gradient_penalty(
    score: Callable[[Tensor], Tensor],
    real: Tensor,
    drawn: Tensor,
) -> Tensor:
    """Return E (‖∇ score(x̂)‖ − 1)², x̂ in between (Gulrajani et al. 2017, eq. 3).

    Parameters
    ----------
    score
        The critic: from points (m, …) to scores (m,), each of its own point alone.
    real, drawn
        Points (m, …).

    Notes
    -----
    Derived in :doc:`/notebooks/generative/clustergan`.
    """
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    between = (share * real + (1 - share) * drawn).detach().requires_grad_()
    slope = torch.autograd.grad(score(between).sum(), between, create_graph=True)[0]
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


class ClusterGAN(AdversarialClusterer):
    """Generative adversarial network with a clustered latent space (Mukherjee et al. 2019).

    A latent point is a one-hot z_c beside Gaussian z_n so narrow that the K groups do not touch. A Wasserstein critic
    with a gradient penalty teaches the generator; an encoder has to find z_n and z_c of what was drawn. Of the data, it
    is k-means on the encoder's answers, z_n beside the softmax of z_c, that finds the clusters.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    latent_dim
        Width of z_n.
    spread
        σ, the standard deviation of z_n; the paper's 0.1. A large one lets the groups flow together.
    weight_n, weight_c
        β_n and β_c, the weights of the encoder's errors in z_n and in z_c; the paper has 10 for both on MNIST.
    penalty
        Weight of the gradient penalty.
    **shared
        The parameters of :class:`~dclib.adversarial.AdversarialClusterer` and :class:`~dclib.base.DeepClusterer`.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/clustergan`.

    The profile ``"paper"`` has the authors' channels, rates and mini-batch, and a tenth of their budget: 250,000 steps
    of the critic, so 50,000 of the generator, where their code has 500,000 by default, each after five of the critic.
    On MNIST ``"full"`` has 60,000, half an hour of one core: at 30,000 the accuracy of a reported seed still rose.

    Examples
    --------
    >>> from dclib import ClusterGAN, load
    >>> digits = load("digits")
    >>> model = ClusterGAN(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.sample(3, cluster=0).shape
    (3, 64)
    """

    critic: ClassVar[tuple[str, ...]] = ("judge",)
    drawing: ClassVar[tuple[str, ...]] = ("generator", "encoder")
    every: ClassVar[int] = 5
    first_phase: ClassVar[tuple[str, ...]] = (
        "generator_lr", "n_clusters", "spread", "weight_n", "weight_c", "penalty",
    )  # fmt: skip
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "spread": [POSITIVE],
        "weight_n": [WEIGHT],
        "weight_c": [WEIGHT],
        "penalty": [WEIGHT],
        "latent_dim": [COUNT],
    }
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"latent_dim": 4},
        "book": {"pretrain_steps": 4_000},
        "full": {"pretrain_steps": 30_000, "batch_size": 64, "pretrain_lr": 5e-4, "generator_lr": 1e-3},
        "paper": {
            "latent_dim": 30,
            "pretrain_steps": 250_000,
            "pretrain_lr": 1e-4,
            "pretrain_optimizer": "adam_short",
            "batch_size": 64,
        },
        "full, mnist": {"pretrain_steps": 60_000},
        **{f"{size}, pendigits": {"latent_dim": 5} for size in ("full", "paper")},
    }
    features: ClassVar[int] = 256  # of encoder and critic before their last layer

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        latent_dim: int = 30,
        spread: float = 0.1,
        weight_n: float = 10.0,
        weight_c: float = 10.0,
        penalty: float = 10.0,
        pretrain_lr: float = 1e-4,
        generator_lr: float = 1e-4,
        pretrain_optimizer: str = "adam_short",
        **shared: Any,
    ) -> None:
        how = {"pretrain_lr": pretrain_lr, "generator_lr": generator_lr, "pretrain_optimizer": pretrain_optimizer}
        super().__init__(n_clusters, latent_dim=latent_dim, **how, **shared)
        self.spread = spread
        self.weight_n = weight_n
        self.weight_c = weight_c
        self.penalty = penalty

    # -- the players --------------------------------------------------------------------------------------------------

    def build(self, n_features: int) -> nn.Module:
        """Return a network that has an encoder: from points to z_n and the logits of z_c, side by side."""
        network = super().build(n_features)
        if self.network is None:
            last = nn.Linear(self.features, self.latent_dim + self.n_clusters)
            network.encoder = nn.Sequential(*self.looking(self.features), last)
        return network

    def new_judge(self) -> nn.Module:
        """Return the critic: layers that look, and one score."""
        return nn.Sequential(*self.looking(self.features), nn.Linear(self.features, 1))

    def seat(self) -> None:
        """Make the generator and the critic."""
        self.install("generator", "new_generator", self.width_)
        self.install("judge", "new_judge")

    def parts(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return z_n (m, width − K) and the logits of z_c (m, K) from what the encoder returns."""
        narrow = output.shape[1] - self.n_clusters
        if narrow < 1:
            raise ValueError(f"it gives {output.shape[1]} values a point, and K = {self.n_clusters} are for z_c alone")
        return output[:, :narrow], output[:, narrow:]

    def code(self, output: Tensor) -> Tensor:
        """Return z_n and the softmax of z_c, side by side (m, width), from what the encoder returns."""
        z_n, logits = self.parts(output)
        return torch.cat([z_n, logits.softmax(dim=1)], dim=1)

    # -- the game -----------------------------------------------------------------------------------------------------

    def draw_latents(self, n: int, cluster: int | None) -> Tensor:
        """Return ``n`` latent points (n, width), of all z_c or of the one that is largest at a cluster's centroid."""
        device, narrow = self._network_device(), self.width_ - self.n_clusters
        c = torch.randint(self.n_clusters, (n,), device=device)
        if cluster is not None:
            c = torch.full_like(c, int(self.network_.centroids[cluster, narrow:].argmax()))
        z_n = self.spread * torch.randn(n, narrow, device=device)
        return torch.cat([z_n, one_hot(c, self.n_clusters).float()], dim=1)

    def verdict(self, x: Tensor) -> Tensor:
        """Return the critic's score (m,) of points ``x`` (m, …)."""
        return self.network_.judge(x.flatten(1)).float()[:, 0]

    def critic_loss(self, batch: Batch) -> Tensor:
        """Return the critic's loss: drawn less real scores, and the gradient penalty."""
        with torch.no_grad():
            drawn = self.generate(self.latents_for(batch))
        gap = batch.note("L_D", self.verdict(drawn).mean() - self.verdict(batch.view).mean())
        with torch.autocast(batch.x.device.type, enabled=False):  # a slope of a slope, in full precision
            return gap + self.penalty * gradient_penalty(self.verdict, batch.view, drawn)

    def generator_loss(self, batch: Batch) -> Tensor:
        """Return the loss of generator and encoder: −score of what is drawn, and the errors in z_n and z_c."""
        latents = self.latents_for(batch)
        drawn = self.generate(latents)
        z_n, logits = self.parts(self.network_.encoder(drawn).float())
        aim_n, aim_c = latents[:, : z_n.shape[1]], latents[:, z_n.shape[1] :].argmax(dim=1)
        errors = batch.note("L_n", mse_loss(z_n, aim_n)), batch.note("L_c", cross_entropy(logits, aim_c))
        game = batch.note("L_G", -self.verdict(drawn).mean())
        return game + self.weight_n * errors[0] + self.weight_c * errors[1]

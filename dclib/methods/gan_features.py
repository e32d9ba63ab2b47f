"""GAN features: what a discriminator has to know to tell drawn points from data, clustered with k-means.

Source: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014; features of a discriminator: Radford, Metz,
Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks", ICLR 2016.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dclib.adversarial import AdversarialClusterer
from dclib.base import COUNT
from dclib.phases import Batch


def discriminator_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Return −E log D(x) − E log(1 − D(G(z))), D a score's sigmoid (GAN, eq. 1).

    Parameters
    ----------
    real, drawn
        The scores (m,) of data and of drawn points.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/gan_features`.
    """
    return softplus(-real).mean() + softplus(drawn).mean()


def non_saturating_loss(drawn: Tensor) -> Tensor:
    """Return −E log D(G(z)), where D is the sigmoid of a score (GAN, section 3).

    Parameters
    ----------
    drawn
        The scores (m,) of drawn points.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/gan_features`.
    """
    return softplus(-drawn).mean()


class GANFeatures(AdversarialClusterer):
    """k-means on the features of a discriminator (Goodfellow et al. 2014, Radford et al. 2016).

    A generator draws points from noise, a discriminator tells them from data, and each learns from the other. What is
    kept of it are the discriminator's features, the layer before its answer. Nothing in the game knows of clusters.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    latent_dim
        Width of the features.
    noise_dim
        Width of the generator's noise, uniform between −1 and 1.
    critic_norm
        Whether the discriminator has batch normalisation, as the generator has, in each layer but the first. ``None``:
        with images, as in Radford et al. 2016, and not with other points.
    **shared
        The parameters of :class:`~dclib.adversarial.AdversarialClusterer` and :class:`~dclib.base.DeepClusterer`.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/gan_features`.

    The profile ``"paper"`` has the rates and the noise of Radford et al. 2016: 2e-4 for both players, 100 numbers.
    ``"book"`` and ``"full"`` have the defaults, which are InfoGAN's: 1e-3 for the generator, and 62 numbers.

    Examples
    --------
    >>> from dclib import GANFeatures, load
    >>> digits = load("digits")
    >>> model = GANFeatures(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.sample(5).shape
    (5, 64)
    """

    wiring: ClassVar[str] = "leaky ReLU, batch norm; the generator mirrors it"
    profiles: ClassVar[dict[str, dict[str, Any]]] = {"paper": {"generator_lr": 2e-4, "noise_dim": 100}}
    first_phase: ClassVar[tuple[str, ...]] = ("generator_lr", "critic_norm", "noise_dim")
    _parameter_constraints: ClassVar[dict[str, list]] = {"noise_dim": [COUNT], "critic_norm": ["boolean", None]}

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        latent_dim: int = 128,
        noise_dim: int = 62,
        critic_norm: bool | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, latent_dim=latent_dim, **shared)
        self.noise_dim = noise_dim
        self.critic_norm = critic_norm

    def seat(self) -> None:
        """Make the generator and the layer that answers."""
        self.install("generator", "new_generator", self.noise_dim)
        self.install("head", "new_head", self.width_, 1)

    def critic_loss(self, batch: Batch) -> Tensor:
        """Return the discriminator's loss on a mini-batch of data and as many drawn points."""
        with torch.no_grad():
            drawn = self.generate(self.latents_for(batch))
        return batch.note("L_D", discriminator_loss(self.verdict(batch.view), self.verdict(drawn)))

    def generator_loss(self, batch: Batch) -> Tensor:
        """Return the generator's non-saturating loss."""
        drawn = self.generate(self.latents_for(batch))
        return batch.note("L_G", non_saturating_loss(self.verdict(drawn)))

    def draw_latents(self, n: int, cluster: int | None) -> Tensor:
        """Return ``n`` latent points (n, noise_dim), of all or, by trial, of those that are drawn into a cluster."""
        device = self._network_device()
        if cluster is None:
            return torch.rand(n, self.noise_dim, device=device) * 2 - 1
        kept, found = [], 0
        for _ in range(100):
            latents = self.draw_latents(max(n, 256), None)
            kept.append(latents[self.assign(self.encode(self.generate(latents))) == cluster])
            found += len(kept[-1])
            if found >= n:
                return torch.cat(kept)[:n]
        raise ValueError(f"the generator draws too few points of cluster {cluster}: {found} of {100 * max(n, 256):,}.")

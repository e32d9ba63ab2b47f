"""InfoGAN: a generator that is given a cluster, and a critic that has to say which one it was given.

Source: Chen, Duan, Houthooft, Schulman, Sutskever, Abbeel, "InfoGAN: Interpretable Representation Learning by
Information Maximizing Generative Adversarial Nets", NeurIPS 2016.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from dclib.adversarial import AdversarialClusterer
from dclib.answers import Answers
from dclib.base import COUNT, COUNT_OR_NONE, WEIGHT
from dclib.methods.gan_features import GANFeatures, discriminator_loss, non_saturating_loss
from dclib.phases import Batch
from dclib.players import SLOPE


def information_bound(logits: Tensor, c: Tensor) -> Tensor:
    """Return L_I = E log Q(c | x) + H(c) ≤ I(c; x), in nats (InfoGAN, eq. 5).

    Parameters
    ----------
    logits
        Q(c | x) of each drawn point before the softmax (m, K).
    c
        The value (m,) that each was drawn with, uniform over K.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/infogan`.
    """
    return math.log(logits.shape[1]) - cross_entropy(logits, c)


class InfoGAN(Answers, AdversarialClusterer):
    """Information maximising generative adversarial nets (Chen et al. 2016).

    The generator gets noise and a code: a cluster c, uniform over K, and a few numbers between −1 and 1. A head Q on
    the discriminator's features has to read the code off the drawn point, and both players are paid for it: they
    minimise their losses of the game less λ L_I, where L_I is a lower bound of the mutual information between code and
    point. Of a point of the data, argmax Q(c | x) is the cluster.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    latent_dim
        Width of the discriminator's features.
    noise_dim
        Width of the generator's noise, uniform between −1 and 1.
    n_codes
        Numbers of the code beside the cluster.
    weight
        λ, the weight of L_I; the paper's 1. At 0 nobody reads the code.
    critic_norm
        Whether the discriminator has batch normalisation, as the generator has, in each layer but the first. ``None``:
        with images, as in the paper, and not with other points.
    **shared
        The parameters of :class:`~dclib.adversarial.AdversarialClusterer` and :class:`~dclib.base.DeepClusterer`;
        ``start`` and ``n_init`` play no part, since no clusters are sought.

    Attributes
    ----------
    history_ : list of dict
        Of each epoch also ``used``: exp of the entropy of the clusters of the data. Far below K: codes have died.

    Notes
    -----
    Derived in :doc:`/notebooks/generative/infogan`.

    Examples
    --------
    >>> from dclib import InfoGAN, load
    >>> digits = load("digits")
    >>> model = InfoGAN(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.sample(3, cluster=0).shape
    (3, 64)
    """

    seeks: ClassVar[bool] = False
    wiring: ClassVar[str] = GANFeatures.wiring
    critic: ClassVar[tuple[str, ...]] = ("encoder", "head", "reader")
    first_phase: ClassVar[tuple[str, ...]] = (
        "generator_lr", "critic_norm", "n_clusters", "noise_dim", "n_codes", "weight",
    )  # fmt: skip
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "noise_dim": [COUNT],
        "n_codes": [COUNT_OR_NONE],
        "weight": [WEIGHT],
        "critic_norm": ["boolean", None],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        latent_dim: int = 128,
        noise_dim: int = 62,
        n_codes: int = 2,
        weight: float = 1.0,
        critic_norm: bool | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, latent_dim=latent_dim, **shared)
        self.noise_dim = noise_dim
        self.n_codes = n_codes
        self.weight = weight
        self.critic_norm = critic_norm

    def seat(self) -> None:
        """Make the generator, the layer that answers, and the layers that read the code."""
        self.install("generator", "new_generator", self.noise_dim + self.n_clusters + self.n_codes)
        self.install("head", "new_head", self.width_, 1)
        self.install("reader", "new_reader", self.width_)

    def new_reader(self, width: int) -> nn.Module:
        """Return Q: layers from features to the logits of c and the means of the numbers.

        The released code has batch normalisation in the first of them; here there is none.
        """
        n_out = self.n_clusters + self.n_codes
        return nn.Sequential(nn.Linear(width, 128), nn.LeakyReLU(SLOPE), nn.Linear(128, n_out))

    def phases(self, n: int) -> list:
        """Return the one phase there is: the clusters are read, not sought afterwards."""
        return [self.pretraining()]

    # -- the game -----------------------------------------------------------------------------------------------------

    def draw_latents(self, n: int, cluster: int | None) -> Tensor:
        """Return ``n`` latent points: noise, a one-hot c and numbers between −1 and 1, side by side."""
        device = self._network_device()
        c = torch.randint(self.n_clusters, (n,), device=device)
        c = c if cluster is None else torch.full_like(c, cluster)
        noise, codes = (torch.rand(n, width, device=device) * 2 - 1 for width in (self.noise_dim, self.n_codes))
        return torch.cat([noise, one_hot(c, self.n_clusters).float(), codes], dim=1)

    def misread(self, h: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return L_I, and −E log Q of the numbers, a Gaussian of variance 1, but for a constant."""
        _, c, codes = latents.split((self.noise_dim, self.n_clusters, self.n_codes), dim=1)
        logits, means = self.network_.reader(h).float().split((self.n_clusters, self.n_codes), dim=1)
        return information_bound(logits, c.argmax(dim=1)), (codes - means).square().sum(dim=1).mean() / 2

    def critic_loss(self, batch: Batch) -> Tensor:
        """Return the discriminator's loss less λ L_I, on a mini-batch of data and as many drawn points."""
        latents = self.latents_for(batch)
        with torch.no_grad():
            drawn = self.generate(latents)
        h = self.network_.encoder(drawn)
        loss = discriminator_loss(self.verdict(batch.view), self.network_.head(h).float()[:, 0])
        read, error = self.misread(h, latents)
        return batch.note("L_D", loss) + self.weight * (error - read)

    def generator_loss(self, batch: Batch) -> Tensor:
        """Return the generator's non-saturating loss less λ L_I."""
        latents = self.latents_for(batch)
        h = self.network_.encoder(self.generate(latents))
        read, error = self.misread(h, latents)
        loss = batch.note("L_G", non_saturating_loss(self.network_.head(h).float()[:, 0]))
        return loss + self.weight * (error - batch.note("L_I", read))

    # -- the clusters -------------------------------------------------------------------------------------------------

    def logits(self, z: Tensor) -> Tensor:
        """Return Q(c | x) before the softmax (m, K) of features ``z`` (m, width)."""
        return self.network_.reader(z.to(next(self.network_.reader.parameters()).dtype))[:, : self.n_clusters]

"""DEC, deep embedded clustering: sharpen soft assignments towards a target made from themselves.

Source: Xie, Girshick, Farhadi, "Unsupervised Deep Embedding for Clustering Analysis", ICML 2016.
"""

from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from dclib import parallel
from dclib.base import POSITIVE
from dclib.phases import Batch, Points
from dclib.refining import RefiningClusterer
from dclib.training import in_batches, in_parts


def soft_assignment(z: Tensor, centroids: Tensor, alpha: float = 1.0) -> Tensor:
    """Return q, the Student-t similarity of codes to centroids (DEC, eq. 1).

    Parameters
    ----------
    z
        Codes (n, d).
    centroids
        Cluster centres (K, d).
    alpha
        Degrees of freedom of the Student t; the paper keeps 1.

    Returns
    -------
    Tensor
        q (n, K); each row sums to one.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """
    distance = (z[:, None] - centroids).square().sum(dim=2)  # (n, K), squared
    q = (1 + distance / alpha).pow(-(alpha + 1) / 2)
    return q / q.sum(dim=1, keepdim=True)


def target_distribution(q: Tensor, size: Tensor | None = None) -> Tensor:
    """Return p: q squared, over cluster size, normalised (DEC, eq. 3).

    Parameters
    ----------
    q
        Soft assignments (n, K) of *all* points, since the cluster size f_j sums over them.
    size
        f (K,), if ``q`` holds a part of the points only.

    Returns
    -------
    Tensor
        p (n, K); each row sums to one.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """
    f = q.sum(dim=0) if size is None else size  # (K,)
    weight = q.square() / f  # (n, K)
    return weight / weight.sum(dim=1, keepdim=True)


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return KL(P‖Q), a sum over clusters, a mean over points (DEC, eq. 2).

    Parameters
    ----------
    p
        Targets (n, K); zeros are allowed and count as 0 log 0 = 0.
    q
        Soft assignments (n, K), positive.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """
    return (torch.xlogy(p, p) - p * q.log()).sum(dim=1).mean()


class DEC(RefiningClusterer):
    """Deep embedded clustering (Xie et al. 2016).

    Phase one trains an autoencoder and starts the centroids with k-means on its codes. Phase two drops the decoder
    and minimises KL(P‖Q) over encoder and centroids, where Q is soft and P is Q sharpened. P is recomputed before
    each epoch and held fixed within it. ``augment`` and another ``start`` than k-means are additions to the paper: off.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    alpha
        Degrees of freedom of the Student t in q.
    **shared
        The parameters of :class:`~dclib.refining.RefiningClusterer` and :class:`~dclib.base.DeepClusterer`.

    The profile ``"paper"`` has the authors' network, mini-batch and second phase; but a new target every 140 steps, as
    DEC-keras has it, in the place of 160, and 20,000 steps at most. The autoencoder is trained as a whole, 300 epochs
    of SGD at 0.1 throughout, in the place of 50,000 steps a layer with dropout, 100,000 together and a rate that falls.
    USPS, which the paper has not, is as in DEC-keras: 50 epochs of Adam, and a new target every 30 steps.

    Examples
    --------
    >>> from dclib import DEC, load
    >>> digits = load("digits")
    >>> model = DEC(10, hidden=(64,), pretrain_epochs=2, epochs=2, random_state=0).fit(digits.x)
    >>> model.predict_proba(digits.x).shape
    (1797, 10)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {"alpha": [POSITIVE]}

    def __init__(self, n_clusters: int = 10, *, alpha: float = 1.0, **shared: Any) -> None:
        super().__init__(n_clusters, **shared)
        self.alpha = alpha

    def soft_assign(self, z: Tensor) -> Tensor:
        """Return q (n, K) of codes ``z`` (n, d)."""
        return soft_assignment(z, self.network_.centroids.to(z.dtype), self.alpha)

    def needs_decoder(self) -> bool:
        """Return whether anything is reconstructed: in the first phase."""
        return self.pretrain_epochs > 0

    @torch.no_grad()
    def refresh(self, x: Points) -> Tensor:
        """Recompute q and the target p over all points ``x`` (n, …); return the clusters (n,)."""
        q = in_batches(lambda part: self.soft_assign(self.encode(part)), x)
        self._target = self.target(q, parallel.over_points(q.sum(dim=0)))
        return q.argmax(dim=1)

    def target(self, q: Tensor, size: Tensor) -> Tensor:
        """Return p (n, K) of the soft assignments ``q`` (n, K) and the cluster sizes (K,) over all points."""
        return target_distribution(q, size)

    def clustering_loss(self, batch: Batch) -> Tensor:
        """Return KL(P‖Q) of a mini-batch: P from the points as they are and held fixed, Q from their views."""
        return kl_divergence(self._target[batch.index], self.soft_assign(batch.z))

    def loss(self, batch: Batch) -> Tensor:
        """Return L = L_C: the reconstruction plays no part in phase two."""
        return batch.note("L_C", self.clustering_loss(batch))

    def assign(self, z: Tensor) -> Tensor:
        """Return the cluster (n,) with the largest q."""
        return in_parts(lambda part: self.soft_assign(part).argmax(dim=1), z)

    @torch.no_grad()
    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Return the soft assignments q (n, K) of the points ``X`` (n, D)."""
        return in_parts(self.soft_assign, self._codes(self._validated(X))).cpu().numpy()

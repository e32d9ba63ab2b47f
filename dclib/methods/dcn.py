"""DCN, deep clustering network: k-means and the autoencoder it runs on, trained in turns.

Source: Yang, Fu, Sidiropoulos, Hong, "Towards K-means-friendly Spaces: Simultaneous Deep Learning and Clustering",
ICML 2017.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dclib import parallel
from dclib.base import COUNT, WEIGHT
from dclib.phases import Batch, Points
from dclib.refining import RefiningClusterer


def kmeans_loss(z: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
    """Return half the mean squared distance of codes to centroids (DCN, eq. 5).

    Parameters
    ----------
    z
        Codes (m, d).
    centroids
        M, cluster centres (K, d), held fixed.
    labels
        s, the cluster (m,) of each code, held fixed.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dcn`.
    """
    return (z - centroids.detach()[labels]).square().sum(dim=1).mean() / 2


def running_means(
    centroids: Tensor,
    counts: Tensor,
    z: Tensor,
    labels: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return centroids and counts after a mini-batch (DCN, eq. 8, in one go).

    The paper takes one point after the other and moves its centroid by 1/c_k of the way, where c_k counts the points
    that the centroid has seen. That is a running mean, so a mini-batch can be added in one go.

    Parameters
    ----------
    centroids
        M, cluster centres (K, d).
    counts
        c, points that each centroid has seen (K,).
    z
        Codes (m, d).
    labels
        s, the cluster (m,) of each code.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dcn`.
    """
    sums = parallel.summed(torch.zeros_like(centroids).index_add_(0, labels, z))
    new = torch.zeros_like(counts).index_add_(0, labels, torch.ones_like(z[:, 0]))
    total = counts + parallel.summed(new)
    return (counts[:, None] * centroids + sums) / total[:, None], total


class DCN(RefiningClusterer):
    """Deep clustering network (Yang et al. 2017).

    Minimises L = L_R + (λ/2) Σ‖z_i − μ_{s_i}‖² in turns: the network by gradient steps, the assignments s by the
    nearest centroid, the centroids by running means. No gradient reaches the centroids.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    weight
        λ, the weight of the clustering loss, beside the *mean* squared error of the reconstruction. The authors' code
        sums the error over the values of a point; its setting is about 0.001 in this unit. A weight of 1 raises NMI,
        and accuracy on USPS; with augmented digits it may starve clusters, and then harms the accuracy.
    start_count
        Points that a centroid counts as seen at the start. The paper starts at none, so that the first points would
        throw the centroids about; the authors' code starts at 100. The more, the slower the centroids follow;
        at a million they all but stand still, which on ten thousand digits was better on every seed.
    **shared
        The parameters of :class:`~dclib.refining.RefiningClusterer` and :class:`~dclib.base.DeepClusterer`.

    The profile ``"paper"`` has the authors' λ, widths and mini-batch; but no tied weights, 20 restarts of k-means for
    10, and no k-means anew every ten epochs, nor on the final codes. The first phase is 300 epochs of SGD at
    0.1 (USPS: 50 of Adam) in the place of 250 layer by layer and 250 together at 1e-4. The second is 20,000 steps of
    Adam, 73 epochs of MNIST, in the place of 50 epochs of SGD, both at 1e-4.

    Examples
    --------
    >>> from dclib import DCN, load
    >>> digits = load("digits")
    >>> model = DCN(10, hidden=(64,), pretrain_epochs=2, epochs=2, random_state=0).fit(digits.x)
    >>> model.centroids_.shape
    (10, 10)
    """

    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"optimizer": "adam", "lr": 1e-4, "update_interval": None, "tol": 0.0, "weight": 0.001}
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {"weight": [WEIGHT], "start_count": [COUNT]}

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        weight: float = 1.0,
        start_count: int = 100,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, **shared)
        self.weight = weight
        self.start_count = start_count

    def start_clusters(self, x: Points, n_clusters: int, n_init: int) -> None:
        """Put ``n_clusters`` centroids where k-means finds them; each counts as having seen ``start_count`` points."""
        super().start_clusters(x, n_clusters, n_init)
        self.network_.centroids.requires_grad_(False)
        counts = torch.full((n_clusters,), float(self.start_count), device=x.device)
        self.network_.counts = nn.Parameter(counts, requires_grad=False)

    def refresh(self, x: Points) -> Tensor:
        """Return the nearest centroid (n,) of each point; it stays the point's cluster for one epoch."""
        self._assigned = super().refresh(x)
        return self._assigned

    def clustering_loss(self, batch: Batch) -> Tensor:
        """Return the loss of k-means on a mini-batch, with centroids and assignments held fixed."""
        return kmeans_loss(batch.z, self.network_.centroids, self._assigned[batch.index])

    def after_step(self, batch: Batch) -> None:
        """Assign the mini-batch anew, with the network it has just trained, and let its centroids follow."""
        self.network_.eval()
        z = self.encode(batch.x)
        centroids, counts = self.network_.centroids, self.network_.counts
        moved, seen = running_means(centroids, counts, z, self.assign(z))
        centroids.copy_(moved), counts.copy_(seen)

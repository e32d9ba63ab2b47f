"""Autoencoder + k-means: learn a code first, then cluster it; the baseline that every joint method must beat."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dclib.base import DeepClusterer, Points
from dclib.training import fit_kmeans, in_batches


class AutoencoderKMeans(DeepClusterer):
    """Train an autoencoder to reconstruct, then run k-means on its codes.

    Nothing in the first step knows that the second will come: L = L_R, and L_C is absent. This is also the start of
    :class:`~dclib.methods.dec.DEC`, so with the same settings and ``random_state`` the two share their network up to
    that point.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    directions
        Cluster the directions of the codes, z / ‖z‖, instead of the codes: k-means on the unit sphere. (Spherical
        k-means would scale the centroids to length one, too; here they stay means.) The length of a white code tells
        how far a point is from the mean point, which says more of its style than of its cluster.
    **shared
        The parameters of :class:`~dclib.base.DeepClusterer`.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/autoencoder_kmeans`.

    Examples
    --------
    >>> from dclib import AutoencoderKMeans, load
    >>> digits = load("digits")
    >>> model = AutoencoderKMeans(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.labels_.shape
    (1797,)
    """

    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "full": {"directions": True, "pretrain_epochs": 30, "reconstruct": "clean"}
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {"directions": ["boolean"]}

    def __init__(self, n_clusters: int = 10, *, directions: bool = False, **shared: Any) -> None:
        super().__init__(n_clusters, **shared)
        self.directions = directions

    def start_clusters(self, x: Points, n_clusters: int, n_init: int) -> None:
        """Put ``n_clusters`` centroids where k-means finds them."""
        z = self._placed(in_batches(self.network_.encoder, x))
        self._start_at(fit_kmeans(z, n_clusters, n_init, self.seed_))

    def assign(self, z: Tensor) -> Tensor:
        """Return the cluster (n,) of each code ``z`` (n, d): that of the nearest centroid."""
        return super().assign(self._placed(z))

    def _placed(self, z: Tensor) -> Tensor:
        return normalize(z, eps=torch.finfo(z.dtype).tiny) if self.directions else z

"""What a deep method has to beat: clusterings without a network, each set up as its users set it up."""

from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

KMEANS = "k-means"


class Mixture(ClusterMixin, BaseEstimator):
    """A Gaussian mixture on the leading principal components.

    Parameters
    ----------
    n_clusters
        K, the number of components of the mixture, each with a covariance of its own.
    n_components
        Principal components that are kept: in all dimensions of an image most covariances are singular.
    n_init
        Restarts; the likeliest is kept.
    random_state
        Seed.
    """

    def __init__(self, n_clusters: int = 10, *, n_components: int = 50, n_init: int = 3, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.n_components = n_components
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Find ``labels_`` (n,) of the points ``X`` (n, D)."""
        z = np.asarray(X, dtype=np.float64)
        if self.n_components < min(z.shape):
            z = PCA(self.n_components, random_state=self.random_state).fit_transform(z)
        mixture = GaussianMixture(self.n_clusters, n_init=self.n_init, reg_covar=1e-4, random_state=self.random_state)
        self.labels_: NDArray[np.int64] = mixture.fit_predict(z)
        return self


class OnUMAP(ClusterMixin, BaseEstimator):
    """UMAP, and a clustering of its map (McInnes et al. 2018; with a mixture, as N2D has it on codes).

    Parameters
    ----------
    n_clusters
        K, for a mixture; ``None``: HDBSCAN, which finds their number. Points that it calls noise go to the cluster of
        the nearest point that it does not.
    n_components
        Dimensions of the map.
    n_neighbors
        Neighbours of a point in the graph that UMAP draws.
    smallest
        Fewest points of a cluster for HDBSCAN, as a share of all. UMAP's documentation has 500 of 70,000.
    random_state
        Seed of both.

    Raises
    ------
    ImportError
        In ``fit``, if umap-learn is not there: ``pip install "dclib[umap]"``.
    """

    def __init__(
        self,
        n_clusters: int | None = 10,
        *,
        n_components: int = 10,
        n_neighbors: int = 30,
        smallest: float = 1 / 140,
        random_state: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.smallest = smallest
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Find ``labels_`` (n,) of the points ``X`` (n, D)."""
        from umap import UMAP

        how = {"n_neighbors": self.n_neighbors, "min_dist": 0.0, "n_components": self.n_components}
        z = UMAP(**how, random_state=self.random_state, n_jobs=1).fit_transform(np.asarray(X))
        self.labels_: NDArray[np.int64] = self._clusters(z.astype(np.float64))
        return self

    def _clusters(self, z: NDArray) -> NDArray[np.int64]:
        if self.n_clusters is not None:
            return GaussianMixture(self.n_clusters, n_init=5, random_state=self.random_state).fit_predict(z)
        labels = HDBSCAN(min_cluster_size=max(5, round(self.smallest * len(z))), min_samples=10, copy=True).fit_predict(
            z
        )
        known = labels >= 0
        if known.any() and not known.all():
            labels[~known] = KNeighborsClassifier(1).fit(z[known], labels[known]).predict(z[~known])
        return labels - labels.min()


# From K and a seed to an estimator.
BASELINES: dict[str, Callable[..., ClusterMixin]] = {
    KMEANS: lambda k, **how: KMeans(k, **{"n_init": 20} | how),
    "gmm": Mixture,
    "umap-gmm": OnUMAP,
    "umap-hdbscan": lambda k, **how: OnUMAP(None, **{"n_components": 2} | how),
}

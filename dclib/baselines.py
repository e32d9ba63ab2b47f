"""What a deep method has to beat: clusterings without a network, each set up as its users set it up."""

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_memory

from dclib.checks import one_of
from dclib.features import PretrainedFeatures
from dclib.sequences import padded, resampled, standardised
from dclib.shapes import k_shape
from dclib.training import fit_kmeans, fit_mixture, fit_spectral

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


class OnFeatures(ClusterMixin, BaseEstimator):
    """Features of a pretrained network, and a clustering of them.

    Parameters
    ----------
    n_clusters
        K.
    shape
        Height and width of the images that the rows of ``X`` are, or channels, height and width.
    clusterer
        ``"kmeans"``, ``"mixture"`` (of the leading 50 principal components, as in :class:`Mixture`) or ``"spectral"``.
    backbone, layer, size, pool, unit
        As in :class:`~dclib.features.PretrainedFeatures`.
    whiten
        Principal components that are kept, each at variance one; ``None``: features stay as they are.
    memory
        A folder that keeps features for the next run on the same images.
    random_state
        Seed of the clustering; features have none.

    Attributes
    ----------
    seconds_ : float
        Of the clustering and of the features, when they were made.
    weights_ : int
        Of the network.
    """

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        shape: Sequence[int] | None = None,
        clusterer: str = "kmeans",
        backbone: str = "efficientnet-lite0",
        layer: int = -1,
        size: int = 96,
        pool: str = "mean",
        unit: bool = True,
        whiten: int | None = None,
        memory: str | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.shape = shape
        self.clusterer = clusterer
        self.backbone = backbone
        self.layer = layer
        self.size = size
        self.pool = pool
        self.unit = unit
        self.whiten = whiten
        self.memory = memory
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Find ``labels_`` (n,) of the images ``X``."""
        start = time.perf_counter()
        how = {name: getattr(self, name) for name in ("backbone", "layer", "size", "pool", "unit", "shape")}
        z, self.weights_, seconds = check_memory(self.memory).cache(_features)(np.asarray(X), **how)
        made = time.perf_counter() - start
        if self.whiten is not None:
            z = normalize(PCA(self.whiten, whiten=True, random_state=self.random_state).fit_transform(z))
        z = torch.as_tensor(z).float()
        find = {"kmeans": lambda *args: fit_kmeans(*args).labels_, "mixture": _mixture, "spectral": fit_spectral}
        self.labels_: NDArray[np.int64] = np.asarray(
            find[one_of(self.clusterer, find, "clusterer")](z, self.n_clusters, 20, self.random_state)
        )
        self.seconds_ = time.perf_counter() - start - made + seconds
        return self


def _mixture(z: torch.Tensor, n_clusters: int, n_init: int, random_state: int) -> NDArray[np.int64]:
    """Return clusters (n,) of a mixture in 50 dimensions: a covariance of 1,280 has more numbers than data points."""
    kept = min(50, *z.shape)
    leading = PCA(kept, random_state=random_state).fit_transform(z) if kept < z.shape[1] else z
    return fit_mixture(torch.as_tensor(leading), n_clusters, n_init, random_state)


def _features(x: NDArray, **how: Any) -> tuple[NDArray, int, float]:
    """Return features of images, the numbers of weights that make them, and the seconds that they took."""
    start = time.perf_counter()
    features = PretrainedFeatures(**how).fit(x)
    z, weights = features.transform(x), sum(value.numel() for value in features.network_.parameters())
    return z, weights, time.perf_counter() - start


class LinearRIM(ClusterMixin, BaseEstimator):
    """Regularised information maximisation with a linear classifier (Krause, Perona and Gomes 2010).

    It maximises I(X; Y) − λ‖W‖², the information that the answer softmax(Wᵀx + b) carries on the point less a price on
    its weights, by L-BFGS on all points.

    Parameters
    ----------
    n_clusters
        K.
    weight
        λ, as a share of λ₁ / 2K, with λ₁ the largest eigenvalue of the points' covariance: above it W = 0 with b = 0,
        all points in one cluster, is a local maximum, and small weights don't grow.
    n_init
        Random starts; the one with the best objective is kept.
    max_iter
        Most iterations of one start.
    random_state
        Seed.

    Attributes
    ----------
    coef_, intercept_
        W (D, K) and b (K,), on points over their root mean square.
    objective_ : float
        I(X; Y) − λ‖W‖², in nats.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/text`.
    """

    def __init__(
        self, n_clusters: int = 10, *, weight: float = 0.3, n_init: int = 3, max_iter: int = 100, random_state: int = 0
    ) -> None:
        self.n_clusters = n_clusters
        self.weight = weight
        self.n_init = n_init
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Find ``labels_`` (n,) of the points ``X`` (n, D)."""
        x = torch.as_tensor(np.asarray(X, dtype=np.float32))
        x = x / x.square().mean().sqrt()
        draw = torch.Generator().manual_seed(self.random_state)
        price = self.weight * spread_of(x) / (2 * self.n_clusters)
        starts = (0.1 * torch.randn(x.shape[1], self.n_clusters, generator=draw) for _ in range(self.n_init))
        self.objective_, w, b = max((self._climb(x, w, price) for w in starts), key=lambda found: found[0])
        self.coef_, self.intercept_ = w.numpy(), b.numpy()
        self.labels_: NDArray[np.int64] = (x @ w + b).argmax(dim=1).numpy()
        return self

    def _climb(self, x: torch.Tensor, w: torch.Tensor, price: float) -> tuple[float, torch.Tensor, torch.Tensor]:
        """Return the objective, the weights and the offsets at the end of one start."""
        w, b = w.requires_grad_(), torch.zeros(self.n_clusters, requires_grad=True)
        optimizer = torch.optim.LBFGS([w, b], max_iter=self.max_iter, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = price * w.square().sum() - answer_information((x @ w + b).log_softmax(dim=1))
            value.backward()
            return value

        optimizer.step(loss)
        return -loss().item(), w.detach(), b.detach()


def answer_information(log_p: torch.Tensor) -> torch.Tensor:
    """Return I(X; Y) = H(Y) − H(Y | X) in nats, from log probabilities (n, K).

    Notes
    -----
    Derived in :doc:`/notebooks/applications/text`.
    """
    p = log_p.exp()
    return torch.special.entr(p.mean(dim=0)).sum() + (p * log_p).sum(dim=1).mean()


def spread_of(x: torch.Tensor, n_steps: int = 30) -> float:
    """Return the largest eigenvalue of the covariance of ``x`` (n, D), by the power method."""
    x = x - x.mean(dim=0)
    v = torch.ones(x.shape[1]) / x.shape[1] ** 0.5 + x[0] / x.norm()
    for _ in range(n_steps):
        v = x.T @ (x @ (v / v.norm())) / len(x)
    return v.norm().item()


class OnSequences(ClusterMixin, BaseEstimator):
    """What the two baselines for time series share: sequences in, clusters out.

    Parameters
    ----------
    n_clusters
        K.
    n_init
        Restarts; the one with the least sum of distances is kept.
    max_iter
        Most rounds of one start.
    random_state
        Seed.
    """

    keeps_shape: ClassVar[bool] = True
    ragged: ClassVar[bool] = False

    def __init__(self, n_clusters: int = 10, *, n_init: int = 3, max_iter: int = 50, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Find ``labels_`` (n,) of the sequences ``X`` (n, T), (n, T, C) or a list of them."""
        x = padded(X) if isinstance(X, list | tuple) else np.asarray(X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what tslearn would like to have beside it
            self.labels_: NDArray[np.int64] = self._labels(x if x.ndim == 3 else x[..., None]).astype(np.int64)
        return self


class KShape(OnSequences):
    """k-Shape (Paparrizos and Gravano 2015): k-means by shapes, whatever their place, height and level.

    Sequences have mean 0 and variance 1 each, channel by channel; those of unequal length are stretched to the longest.
    See :mod:`dclib.shapes`.
    """

    def _labels(self, x: NDArray) -> NDArray:
        x = standardised((resampled(x, x.shape[1]) if np.isnan(x).any() else x).astype(np.float64))
        draw = np.random.default_rng(self.random_state)
        starts = (k_shape(x, self.n_clusters, draw, self.max_iter) for _ in range(self.n_init))
        return min(starts, key=lambda found: found[0])[1]


class DTWKMeans(OnSequences):
    """k-means by dynamic time warping, with centroids by barycentre averaging (Petitjean et al. 2011).

    Sequences are taken as they come, also those of unequal length. The package tslearn does the work.

    Parameters
    ----------
    n_clusters, n_init, max_iter, random_state
        As in :class:`OnSequences`.
    max_averaging
        Most steps of an averaging.

    Raises
    ------
    ImportError
        In ``fit``, if tslearn is not there: ``pip install "dclib[series]"``.
    """

    ragged: ClassVar[bool] = True

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        n_init: int = 1,
        max_iter: int = 30,
        max_averaging: int = 10,
        random_state: int = 0,
    ) -> None:
        super().__init__(n_clusters, n_init=n_init, max_iter=max_iter, random_state=random_state)
        self.max_averaging = max_averaging

    def _labels(self, x: NDArray) -> NDArray:
        from tslearn.clustering import TimeSeriesKMeans

        own = {name: getattr(self, name) for name in ("n_clusters", "n_init", "max_iter", "random_state")}
        peer = TimeSeriesKMeans(**own, metric="dtw", max_iter_barycenter=self.max_averaging)
        return peer.fit_predict(x.astype(np.float64))


# From K and a seed to an estimator.
BASELINES: dict[str, Callable[..., ClusterMixin]] = {
    KMEANS: lambda k, **how: KMeans(k, **{"n_init": 20} | how),
    "gmm": Mixture,
    "umap-gmm": OnUMAP,
    "rim": LinearRIM,
    "k-shape": KShape,
    "dtw-kmeans": DTWKMeans,
    "features-kmeans": OnFeatures,
    "features-gmm": lambda k, **how: OnFeatures(k, **{"clusterer": "mixture"} | how),
    "features-spectral": lambda k, **how: OnFeatures(k, **{"clusterer": "spectral"} | how),
    "umap-hdbscan": lambda k, **how: OnUMAP(None, **{"n_components": 2} | how),
}
ON_FEATURES = {name for name in BASELINES if name.startswith("features-")}  # they know ImageNet and its labels

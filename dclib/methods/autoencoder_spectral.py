"""Autoencoder + spectral clustering: the same code, cut where its neighbour graph is thin."""

from typing import Any, ClassVar

import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from dclib import parallel
from dclib.base import COUNT, COUNT_OR_NONE
from dclib.graphs import neighbour_graph, spectral_map
from dclib.methods.autoencoder_kmeans import AutoencoderKMeans
from dclib.phases import Points
from dclib.training import fit_kmeans, in_batches


class AutoencoderSpectral(AutoencoderKMeans):
    """Train an autoencoder on the reconstruction error, then cut the neighbour graph of its codes.

    Spectral clustering on the graph that joins each code to its nearest ones: the leading eigenvectors of the
    normalised graph, and k-means on their rows. Ng et al. (2001) take K of them. Then a small island of codes takes one
    for itself, and two clusters have to share another. With more vectors than clusters an island no longer costs a
    cluster its own, and the later vectors are weighed by what is left of them after some steps of a random walk. The
    graph is sparse, so memory grows with the number of points and not with its square. A new point gets the cluster of
    the nearest training code.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    n_neighbors
        k, the codes to which each is joined.
    vectors
        Eigenvectors, as a multiple of K. 1 is the method of Ng et al.; more help where small islands of codes would
        take vectors for themselves.
    steps
        Steps of the random walk; 0: all eigenvectors count alike, as in Ng et al. Take some with more ``vectors``: they
        fade the later ones.
    **shared
        The parameters of :class:`~dclib.methods.autoencoder_kmeans.AutoencoderKMeans`.

    The profile ``"full"`` has three times K vectors and 16 steps, found by accuracy on other seeds of MNIST; the other
    profiles are the method of Ng et al.

    Examples
    --------
    >>> from dclib import AutoencoderSpectral, load
    >>> digits = load("digits")
    >>> model = AutoencoderSpectral(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.labels_.shape
    (1797,)
    """

    profiles: ClassVar[dict[str, dict[str, Any]]] = {"full": {"vectors": 3, "steps": 16}}
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_neighbors": [COUNT],
        "vectors": [COUNT],
        "steps": [COUNT_OR_NONE],
    }

    def __init__(
        self, n_clusters: int = 10, *, n_neighbors: int = 10, vectors: int = 1, steps: int = 0, **shared: Any
    ) -> None:
        super().__init__(n_clusters, **shared)
        self.n_neighbors = n_neighbors
        self.vectors = vectors
        self.steps = steps

    def start_clusters(self, x: Points, n_clusters: int, n_init: int) -> None:
        """Cut the neighbour graph of the codes of ``x`` (n, D) into ``n_clusters``, and keep the codes."""
        z = parallel.all_rows(in_batches(self.encode, x))  # of all processes: a graph is in one place
        graph = neighbour_graph(z.cpu().numpy(), self.n_neighbors)
        n_dims = min(self.vectors * n_clusters, len(z))
        rows = torch.as_tensor(spectral_map(graph, n_dims, self.steps, self.seed_))
        with parallel.together(split=False):
            labels = torch.as_tensor(fit_kmeans(rows, n_clusters, n_init, self.seed_).labels_)
        self.network_.codes = nn.Parameter(z, requires_grad=False)
        self.network_.register_buffer("code_labels", labels.to(z.device))
        self.labels_ = parallel.own_rows(labels, len(x)).numpy()

    def assign(self, z: Tensor) -> Tensor:
        """Return the cluster (n,) of each code ``z`` (n, d): that of the nearest training code."""
        known = self.network_.codes.detach().cpu().numpy()
        nearest = KNeighborsClassifier(1).fit(known, self.network_.code_labels.cpu().numpy())
        found = parallel.agreed(torch.as_tensor(nearest.predict(z.cpu().numpy())))
        return found.to(z.device)

"""DeepCluster: k-means on the features says what to predict, and predicting it makes the features.

Source: Caron, Bojanowski, Joulin, Douze, "Deep Clustering for Unsupervised Learning of Visual Features", ECCV 2018.
"""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from dclib import parallel
from dclib.base import COUNT
from dclib.direct import DirectClusterer
from dclib.linkage import GraphDegreeLinkage, directed_affinity
from dclib.metrics import nmi
from dclib.phases import Batch, Phase, Points, constant
from dclib.training import at_least_single, effective_number, in_batches, in_parts

PER_CLUSTER = 10  # groups, the paper's ratio for ImageNet: 10,000 of 1,000 classes
N_ITER = 20  # of k-means, the paper's
NUDGE = 1 / 1024  # what moves the two halves of a group that is cut, as in faiss
FLAT = 1e-6  # a direction with less than this share of the largest variance is left out
NEIGHBORS = 20  # of a point in the graph on which groups are merged, as in JULE


def whitening_map(
    z: Tensor,
    n_components: int,
    whiten: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return the mean (d,) of features and the map (d, p) that whitens them.

    It leads to principal components, each of variance one.

    Parameters
    ----------
    z
        Features (n, d).
    n_components
        p, at most d.
    whiten
        Whether the components are divided by their standard deviations. ``False``: they are only turned.

    Notes
    -----
    Derived in :doc:`/notebooks/features/deepcluster`.
    """
    mean = z.mean(dim=0)
    centred = (z - mean).double()
    variance, axes = torch.linalg.eigh(centred.T @ centred / len(z))  # ascending
    variance, axes = variance[-n_components:], axes[:, -n_components:]
    kept = torch.where(variance > FLAT * variance[-1], variance, torch.inf)
    scale = kept.rsqrt()
    return mean, (axes * scale if whiten else axes).to(z)


def nearest_group(v: Tensor, centroids: Tensor) -> Tensor:
    """Return the nearest of ``centroids`` (k, p) to each point of ``v`` (n, p)."""
    return in_parts(lambda part: torch.cdist(part, centroids).argmin(dim=1), v)


def kmeans_pass(v: Tensor, centroids: Tensor, reseed: bool = True) -> Tensor:
    """Return the centroids (k, p) after one step of Lloyd's algorithm.

    Parameters
    ----------
    v
        Points (n, p).
    centroids
        Where the groups' centres are now (k, p).
    reseed
        Whether a group without a point takes half of the largest one: see :func:`reseeded`. Otherwise it stays.

    Notes
    -----
    Derived in :doc:`/notebooks/features/deepcluster`.
    """
    labels = nearest_group(v, centroids)
    sizes = torch.bincount(labels, minlength=len(centroids))
    sums = torch.zeros_like(centroids).index_add_(0, labels, v)
    means = sums / sizes.clamp_min(1)[:, None]
    found = torch.where(sizes[:, None] > 0, means, centroids)
    return reseeded(found, sizes) if reseed else found


def reseeded(centroids: Tensor, sizes: Tensor) -> Tensor:
    """Return centroids (k, p); a group without a point takes half of the largest.

    Both go on from almost the same place.

    Parameters
    ----------
    centroids
        Means of the groups (k, p).
    sizes
        Their points (k,).

    Notes
    -----
    Derived in :doc:`/notebooks/features/deepcluster`.
    """
    centroids, sizes = centroids.clone(), sizes.clone()
    for empty in torch.nonzero(sizes == 0).flatten():
        largest = sizes.argmax()
        centroids[empty] = centroids[largest] * (1 + NUDGE)
        centroids[largest] *= 1 - NUDGE
        sizes[empty] = sizes[largest] // 2
        sizes[largest] -= sizes[empty]
    return centroids


def evenly(labels: Tensor, n: int) -> Tensor:
    """Return ``n`` places in ``labels`` (n,), in random order, all groups alike.

    Each group that has a point is visited n / k times; its points are drawn with replacement only where it has fewer.

    Notes
    -----
    Derived in :doc:`/notebooks/features/deepcluster`.
    """
    shuffled = torch.randperm(len(labels))
    shuffled = shuffled[labels[shuffled].argsort(stable=True)]  # group after group
    _, sizes = labels[shuffled].unique_consecutive(return_counts=True)
    first, turn = sizes.cumsum(0) - sizes, torch.arange(n)
    group, visit = turn % len(sizes), turn // len(sizes)
    places = shuffled[first[group] + visit % sizes[group]]
    return places[torch.randperm(n)]


def merged_by_paths(v: Tensor, groups: NDArray, n_clusters: int) -> NDArray[np.int64]:
    """Return the cluster of each group after merging by the affinity of graph-degree linkage.

    Parameters
    ----------
    v
        Points (n, p).
    groups
        Their groups (n,), 0 … k − 1.
    n_clusters
        K, how many clusters should be left.

    Notes
    -----
    The affinity is derived in :doc:`/notebooks/direct/jule`.
    """
    linkage = GraphDegreeLinkage(directed_affinity(v, min(NEIGHBORS, len(v) - 1)), groups, v.numpy())
    linkage.cut(n_clusters)
    return np.unique([linkage.current(g) for g in range(len(linkage.parent))], return_inverse=True)[1]


def merged_by_ward(v: Tensor, groups: NDArray, n_clusters: int) -> NDArray[np.int64]:
    """Return the cluster of each group; the pair of least growth is always merged.

    What grows are the squared distances of points to the mean of their own. Joining groups of n_a and n_b points, whose
    means are m_a and m_b, raises them by n_a n_b / (n_a + n_b) · ‖m_a − m_b‖².

    Parameters
    ----------
    v
        Points (n, p).
    groups
        Their groups (n,), 0 … k − 1.
    n_clusters
        K, how many clusters should be left.

    Notes
    -----
    Derived in :doc:`/notebooks/features/deepcluster`.
    """
    member = one_hot(torch.as_tensor(groups)).T.double()
    size, cluster = member.sum(dim=1), np.arange(len(member))
    mean = member @ v.double() / size[:, None]
    for _ in range(len(member) - n_clusters):
        a, b = divmod(int(ward_growth(mean, size).argmin()), len(member))
        mean[a] = (size[a] * mean[a] + size[b] * mean[b]) / (size[a] + size[b])
        size[a], size[b] = size[a] + size[b], 0
        cluster[cluster == b] = a
    return np.unique(cluster, return_inverse=True)[1]


def ward_growth(mean: Tensor, size: Tensor) -> Tensor:
    """Return by how much joining two groups raises the squared distances (k, k).

    Parameters
    ----------
    mean
        Means of the groups (k, p).
    size
        Their points (k,); none: the group is part of another by now.

    Notes
    -----
    Derived in :doc:`/notebooks/features/deepcluster`.
    """
    both = size[:, None] * size
    growth = both / (size[:, None] + size) * torch.cdist(mean, mean).square()
    return torch.where(both > 0, growth, torch.inf).fill_diagonal_(torch.inf)


MERGES = {"paths": merged_by_paths, "ward": merged_by_ward}


class Groups(nn.Module):
    """Where features are compared, the centres of the groups there, and the cluster of each group.

    Parameters
    ----------
    width
        d, of the features.
    n_components
        p, of the places.
    n_groups
        k.
    unit
        Whether places have length one.
    """

    def __init__(self, width: int, n_components: int, n_groups: int, unit: bool) -> None:
        super().__init__()
        self.unit = unit
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("axes", torch.zeros(width, n_components))
        self.register_buffer("centroids", torch.zeros(n_groups, n_components))
        self.register_buffer("cluster", torch.zeros(n_groups, dtype=torch.long))

    def place(self, z: Tensor) -> Tensor:
        """Return where features ``z`` (m, d) are compared (m, p)."""
        v = (z - self.mean.to(z)) @ self.axes.to(z)
        return normalize(v, dim=1) if self.unit else v


class DeepCluster(DirectClusterer):
    """Deep clustering of visual features (Caron et al. 2018).

    Before every epoch, k-means parts the features into k groups, many more than there are clusters. The network then
    learns to say of an image, altered, which group it is in, and a new last layer is made each time, since the groups
    have no lasting names. The paper ends there, with features. Here the groups are merged at the end until K are left.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    latent_dim
        d, the width of the features.
    n_groups
        k, the groups of k-means; ``None``: ten for each cluster, the paper's ratio for ImageNet. With k = K nothing is
        merged.
    n_components
        p, principal components of the features on which k-means runs; the paper's 256, or d if that is less.
    whiten
        Whether these components have variance one, the paper's.
    unit
        Whether they have length one, the paper's.
    sampler
        ``"groups"``: an epoch visits all groups alike, the paper's; ``"points"``: each point once.
    new_head
        Whether the last layer is made anew with each parting, the paper's.
    reseed
        Whether a group without a point takes half of the largest. The paper takes a group at random.
    merge
        How k groups become K clusters: ``"paths"``, by the affinity of JULE on the neighbour graph of the features;
        ``"ward"``, by the least growth of the squared distances to the means.
    **shared
        The parameters of :class:`~dclib.direct.DirectClusterer` and :class:`~dclib.base.DeepClusterer`. ``augment``
        alters the images in training; groups are sought on the images as they are.

    An epoch visits all groups alike, and k-means makes groups of about the same size: clusters much smaller than n / k
    points are mixed with others.

    Attributes
    ----------
    groups_ : ndarray (n,)
        The group of each point at the end.
    history_ : list of dict
        Of each epoch also ``groups``: exp of the entropy of the groups' sizes, and ``kept``: NMI of the groups now and
        an epoch ago.

    Notes
    -----
    Derived in :doc:`/notebooks/features/deepcluster`.
    """

    viewed: ClassVar[bool] = True
    wiring: ClassVar[str] = "batch norm and ReLU on every layer but the last"
    linear_code: ClassVar[bool] = True
    begins: ClassVar[str] = "random weights; k-means on what they make of the data"
    profiles: ClassVar[dict[str, dict[str, Any]]] = {"full": {"pretrain_steps": 6_000, "batch_size": 128}}
    of_points: ClassVar[tuple[str, ...]] = ("labels_", "groups_")
    first_phase: ClassVar[tuple[str, ...]] = (
        "n_groups", "n_components", "whiten", "unit", "sampler", "new_head", "reseed",
    )  # fmt: skip
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_groups": [COUNT, None],
        "n_components": [COUNT],
        "whiten": ["boolean"],
        "unit": ["boolean"],
        "sampler": [StrOptions({"groups", "points"})],
        "new_head": ["boolean"],
        "reseed": ["boolean"],
        "merge": [StrOptions(set(MERGES))],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        latent_dim: int = 128,
        n_groups: int | None = None,
        n_components: int = 256,
        whiten: bool = True,
        unit: bool = True,
        sampler: str = "groups",
        new_head: bool = True,
        reseed: bool = True,
        merge: str = "paths",
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, latent_dim=latent_dim, **shared)
        self.n_groups = n_groups
        self.n_components = n_components
        self.whiten = whiten
        self.unit = unit
        self.sampler = sampler
        self.new_head = new_head
        self.reseed = reseed
        self.merge = merge

    def seat(self) -> None:
        """Make the last layer, and room for the groups."""
        self.install("groups", "new_groups", self.width_, min(self.n_components, self.width_), self._n_groups())
        self.install("head", "new_layer", self.width_, self._n_groups())
        self.groups_ = np.zeros(self._n_own, dtype=np.int64)

    def new_groups(self, width: int, n_components: int, n_groups: int) -> nn.Module:
        """Return groups that are still to be found."""
        return Groups(width, n_components, n_groups, self.unit)

    def new_layer(self, width: int, n_groups: int) -> nn.Module:
        """Return a last layer that has no opinion yet: weights of standard deviation 0.01, as the paper has it."""
        layer = nn.Linear(width, n_groups)
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.zeros_(layer.bias)
        return nn.Sequential(nn.ReLU(), layer)

    def _n_groups(self) -> int:
        """Return k."""
        return min(self.n_groups or PER_CLUSTER * self.n_clusters, self._n)

    # -- one half: the features are parted ----------------------------------------------------------------------------

    def prepare(self, x: Points) -> None:
        """Count the points, of which there have to be as many as groups."""
        self._n_own, self._n = len(x), int(parallel.over_points(torch.tensor(len(x))))
        if self.n_groups is not None and not self.n_clusters <= self.n_groups <= self._n:
            raise ValueError(
                f"n_groups={self.n_groups} should be n_clusters={self.n_clusters} or more,"
                f" and at most the number of points, {self._n}."
            )

    def pretraining(self) -> Phase:
        """Return the one phase: before each epoch the features are parted anew, and at the end groups are merged."""
        phase = super().pretraining()
        (learn,) = phase.updates
        (how,) = learn.descents
        head = dataclasses.replace(how, parts=("head",), schedule=constant)  # it starts anew each time
        learn = dataclasses.replace(learn, descents=(dataclasses.replace(how, parts=("encoder",)), head))
        return dataclasses.replace(phase, updates=(learn,), order=self.order, end=self.settle)

    def look(self, x: Points) -> dict[str, float]:
        """Part the features into groups, make the last layer anew, and return how even and how new the groups are."""
        before = self.groups_
        self.part(x)
        if self.new_head and self._at[1] > 1:
            self.install("head", "new_layer", self.width_, self._n_groups())
        self._targets = torch.as_tensor(self.groups_, device=x.device)
        sizes = self._sizes(self.groups_, self._n_groups())
        kept = nmi(*(parallel.all_rows(torch.as_tensor(groups)).numpy() for groups in (before, self.groups_)))
        return {"groups": effective_number(sizes), "kept": kept}

    def part(self, x: Points) -> Tensor:
        """Find groups by k-means on the whitened features of ``x`` (n, …); return those places (n, p) of all points."""
        groups, z = self.network_.groups, parallel.all_rows(in_batches(self.encode, x))
        groups.mean, groups.axes = whitening_map(z, groups.axes.shape[1], self.whiten)
        v = in_parts(groups.place, z)
        centroids = v[torch.randperm(len(v))[: self._n_groups()].to(v.device)]
        for _ in range(N_ITER):
            centroids = kmeans_pass(v, centroids, self.reseed)
        groups.centroids = parallel.from_first(centroids)
        self.groups_ = parallel.own_rows(nearest_group(v, groups.centroids), len(x)).cpu().numpy()
        return v

    # -- the other half: the groups are learned -----------------------------------------------------------------------

    def order(self, n: int) -> Tensor:
        """Return the places (n,) that an epoch visits."""
        return evenly(self._targets.cpu(), n) if self.sampler == "groups" else torch.randperm(n)

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return the cross entropy of the groups, of images that were altered."""
        logits = at_least_single(self.network_.head(batch.z))
        return batch.note("L_C", cross_entropy(logits, self._targets[batch.index]))

    # -- at the end: K clusters ---------------------------------------------------------------------------------------

    def settle(self, x: Points) -> None:
        """Part the features once more, and merge the groups into K clusters."""
        v = self.part(x).cpu()
        everyones = parallel.all_rows(torch.as_tensor(self.groups_)).numpy()
        used, compact = np.unique(everyones, return_inverse=True)
        merged = MERGES[self.merge](v, compact, min(self.n_clusters, len(used)))
        centroids = self.network_.groups.centroids
        nearest = nearest_group(centroids, centroids[used]).cpu().numpy()  # of a group without a point, too
        self.network_.groups.cluster = parallel.from_first(torch.as_tensor(merged[nearest])).to(v.device)

    def assign(self, z: Tensor) -> Tensor:
        """Return the cluster (n,) of features ``z`` (n, d): that of their nearest group."""
        groups = self.network_.groups
        return groups.cluster[nearest_group(in_parts(groups.place, z), groups.centroids.to(z))]

"""JULE, joint unsupervised learning: clusters merged two by two, and features trained on what has been merged so far.

Source: Yang, Parikh, Batra, "Joint Unsupervised Learning of Deep Representations and Image Clusters", CVPR 2016.
"""

import dataclasses
import math
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from torch import Tensor
from torch.nn.functional import normalize, relu

from dclib import parallel
from dclib.base import COUNT, COUNT_OR_NONE, POSITIVE, WEIGHT
from dclib.direct import DirectClusterer
from dclib.linkage import GraphDegreeLinkage, chains, directed_affinity
from dclib.methods.iic import joint_of_views, mutual_information
from dclib.phases import OPTIMIZERS, SCHEDULES, Batch, Phase, Points, update
from dclib.training import in_batches, product, start_at_labels

MANY = 20  # clusters for each of K: while there are more, the released code too absorbs those without a path
GROUP = 4  # points of one cluster that stand side by side in the order of an epoch
SHARPNESS = 10.0  # what a cosine is multiplied by before the softmax: an answer may be certain to e⁻²⁰
NOT_MERGED = -1  # the cluster of a point that was not drawn to be merged


def triplet_loss(
    z: Tensor,
    labels: Tensor,
    margin: float,
    weight: float = 1.0,
) -> Tensor:
    """Return the mean of [γ ‖z_i − z_j‖² − ‖z_i − z_k‖² + margin]₊ over triplets.

    i and j are two points of one cluster in a mini-batch, and k is one of another. Without such a triplet it is zero.

    Parameters
    ----------
    z
        Codes of length one (m, d).
    labels
        Their clusters (m,).
    margin
        By how much the third point should be farther.
    weight
        γ, of the pairs.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/jule`.
    """
    squared = (2 - 2 * product(z, z.T)).clamp_min(0)
    same = labels[:, None] == labels
    i, j = torch.nonzero(same.triu(diagonal=1), as_tuple=True)
    apart = ~same[i]
    hinge = relu(weight * squared[i, j][:, None] - squared[i] + margin) * apart
    return hinge.sum() / apart.sum().clamp_min(1)


def periods(n_clusters: int, wanted: int, rate: float) -> list[int]:
    """Return how many clusters each period leaves if it merges a share ``rate``.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/jule`.
    """
    left = []
    while n_clusters > wanted:
        n_clusters = max(wanted, n_clusters - math.ceil(rate * n_clusters))
        left.append(n_clusters)
    return left


def soft_cosine(
    z: Tensor,
    centroids: Tensor,
    sharpness: float = SHARPNESS,
) -> Tensor:
    """Return softmax_k(τ cos(z, μ_k)), the answers (m, K) of centroids to codes.

    Parameters
    ----------
    z
        Codes of length one (m, d).
    centroids
        μ (K, d), of any length.
    sharpness
        τ.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/iic`.
    """
    return (sharpness * product(z, normalize(centroids, dim=1).T)).softmax(dim=1)


class JULE(DirectClusterer):
    """Joint unsupervised learning of representations and clusters (Yang et al. 2016).

    It begins with many small clusters, chains of nearest neighbours, and alternates. Backward: the network
    learns to put points of one cluster nearer to each other than to those of another, by a margin. Forward: most of the
    clusters are merged, two by two, on the neighbour graph of what the network now sees. When K are left, the network
    learns them once more.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    latent_dim
        d, the width of the code, which has length one; the paper's 160.
    unroll_rate
        η, the share of the clusters that a period merges; the paper's 0.9, for faces 0.2.
    n_neighbors
        K_s, neighbours of a point in the graph; the paper's 20.
    n_near
        K_c, neighbouring clusters that a merge is weighed against; the paper's 5.
    margin
        By how much points of other clusters should be farther, in squared distance; the paper's 0.2.
    positive_weight
        γ, the weight of the pairs of one cluster in the triplets; 1 in the released code.
    count_small
        Whether every cluster counts towards K, as in the paper. ``False``, a rule of this book: clusters that no path
        joins to another are absorbed in every period, and in the last merges clusters with at most K_s points do not
        count and are absorbed. It helps where points far out would take a place for themselves, and it harms where
        groups are that small.
    n_merged
        How many points, drawn at random, are merged and learned; the others get the cluster of the nearest centroid at
        the end. ``None``: all, as in the paper.
    information_epochs
        Passes over all points of a second phase; 0, the paper's: there is none. The centroids answer for two views of
        each point, and network and centroids learn to let the two answers share information: the loss of IIC, from
        JULE's clusters. It asks for clusters of equal size, and does not promise to part what was joined wrongly. It
        needs ``augment``.
    **shared
        The parameters of :class:`~dclib.direct.DirectClusterer` and :class:`~dclib.base.DeepClusterer`;
        ``pretrain_epochs`` is shared evenly among the periods, and ``pretrain_lr`` and its like hold in both phases.

    The profile ``"paper"`` has two convolutions of stride 2 in the place of pooling, and a constant learning rate. In
    all profiles an epoch visits the points of a cluster in groups of four, and a mini-batch has all its triplets.

    Attributes
    ----------
    merged_ : ndarray (n,)
        The cluster of each point after the last merge; −1 for one that was not drawn to be merged.
    merges_ : list of [int, int]
        The merges of all periods, in order: which two of the first clusters were joined, by their numbers.
    first_ : ndarray (n,)
        The clusters that all began with, −1 as above; ``merges_`` joins them.
    history_ : list of dict
        Of each epoch also ``clusters``: how many there are.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/jule`.

    Examples
    --------
    >>> from dclib import JULE, load
    >>> digits = load("digits")
    >>> model = JULE(10, hidden=(64,), pretrain_epochs=4, random_state=0).fit(digits.x)
    >>> model.labels_.shape
    (1797,)
    """

    wiring: ClassVar[str] = "batch norm and ReLU on every layer but the last; code of length one"
    linear_code: ClassVar[bool] = True
    begins: ClassVar[str] = "chains of nearest neighbours in the data, merged as training goes on"
    of_points: ClassVar[tuple[str, ...]] = ("labels_", "merged_", "first_")
    first_phase: ClassVar[tuple[str, ...]] = (
        "unroll_rate", "n_neighbors", "n_near", "margin", "positive_weight", "count_small", "n_merged",
    )  # fmt: skip
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "full": {"pretrain_steps": 4_000, "batch_size": 128},
        "paper": {
            "hidden": (50, 50),
            "latent_dim": 160,
            "pretrain_epochs": 80,
            "pretrain_lr": 0.01,
            "pretrain_optimizer": "sgd",
            "batch_size": 100,
        },
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "unroll_rate": [Interval(Real, 0, 1, closed="right")],
        "n_neighbors": [COUNT],
        "n_near": [COUNT],
        "margin": [WEIGHT],
        "positive_weight": [POSITIVE],
        "count_small": ["boolean"],
        "n_merged": [COUNT, None],
        "information_epochs": [COUNT_OR_NONE],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        latent_dim: int = 160,
        unroll_rate: float = 0.9,
        n_neighbors: int = 20,
        n_near: int = 5,
        margin: float = 0.2,
        positive_weight: float = 1.0,
        count_small: bool = True,
        n_merged: int | None = None,
        information_epochs: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, latent_dim=latent_dim, **shared)
        self.unroll_rate = unroll_rate
        self.n_neighbors = n_neighbors
        self.n_near = n_near
        self.margin = margin
        self.positive_weight = positive_weight
        self.count_small = count_small
        self.n_merged = n_merged
        self.information_epochs = information_epochs

    def code(self, output: Any) -> Tensor:
        """Return the code (m, d) at length one."""
        return normalize(output, dim=1)

    @classmethod
    def _in_epochs(cls, chosen: dict[str, Any], n: int) -> dict[str, Any]:
        """Return settings with epochs in place of steps; an epoch visits the points that are merged."""
        return super()._in_epochs(chosen, min(n, chosen.get("n_merged") or n))

    def prepare(self, x: Points) -> None:
        """Draw the points that are merged, and refuse a second phase without a second view."""
        if self.information_epochs and self.augment is None:
            raise ValueError("information_epochs needs augment: it compares two views of a point.")
        if self.n_merged is not None and self.n_merged < self.n_clusters:
            raise ValueError(f"n_merged={self.n_merged} points make no n_clusters={self.n_clusters} clusters.")
        n = int(parallel.over_points(torch.tensor(len(x))))
        order = torch.randperm(n, generator=torch.Generator().manual_seed(self.seed_))
        self._drawn = parallel.own_rows(order < (self.n_merged or n), len(x))
        if parallel.largest(int(not self._drawn.any())):
            raise ValueError(f"n_merged={self.n_merged}: no point of one of the processes was drawn.")

    def drawn(self, x: Points) -> Points:
        """Return the points of ``x`` (n, …) that are merged."""
        return x if self._drawn.all() else x[self._drawn.nonzero()[:, 0].to(x.device)]

    # -- forward: clusters are merged ---------------------------------------------------------------------------------

    def phases(self, n: int) -> list[Phase]:
        """Return the phase of merging and learning, and if wanted the one that lets two views agree."""
        how = {"optimizer": OPTIMIZERS[self.pretrain_optimizer], "schedule": SCHEDULES[self.pretrain_schedule]}
        learn = update(self.information_loss, self.pretrain_lr, **how)
        agree = Phase("agree", self.information_epochs, (learn,), end=self.level, views=2)
        return [self.pretraining(), *([agree] if self.information_epochs else [])]

    def pretraining(self) -> Phase:
        """Return the first phase: in each of its periods, clusters are merged and then learned."""
        how = {"begin": self.begin, "order": self.order, "end": self.settle, "size": int(self._drawn.sum())}
        return dataclasses.replace(super().pretraining(), **how)

    def begin(self, x: Points) -> None:
        """Put points together that chains of nearest neighbours join in the data."""
        rows = parallel.all_rows(self.drawn(x)[:].flatten(1).cpu())
        first = chains(directed_affinity(rows, self.n_neighbors))
        first = first if first.max() + 1 >= self.n_clusters else np.arange(len(rows))  # or each by itself
        self.first_ = self.merged_ = self._own(first)
        self.merges_: list[tuple[int, int]] = []

    def _own(self, clusters: NDArray) -> NDArray:
        """Return the clusters of this process's points, from those of all points that are merged."""
        found = torch.full((len(self._drawn),), NOT_MERGED)
        everyones = parallel.from_first(torch.as_tensor(clusters).long())
        found[self._drawn] = parallel.own_rows(everyones, int(self._drawn.sum()))
        return found.numpy()

    def _known(self) -> NDArray:
        """Return the clusters of all points that are merged, of every process."""
        return parallel.all_rows(torch.as_tensor(self.merged_)[self._drawn]).numpy()

    def look(self, x: Points) -> dict[str, float]:
        """Merge clusters if a period is over, and return how many there are."""
        n_first = parallel.largest(int(self.first_.max()) + 1)
        left = [n_first, *periods(n_first, self.n_clusters, self.unroll_rate)]
        period, before = (max(0, at) * len(left) // self.pretrain_epochs for at in (self._at[1] - 1, self._at[1] - 2))
        if period > before:
            self.merge(x, left[period])
        self._targets = torch.as_tensor(self.merged_, device=x.device)
        return {"clusters": float(left[period])}

    def merge(self, x: Points, n_clusters: int) -> None:
        """Merge clusters, on the neighbour graph of the codes of ``x`` (n, …), until ``n_clusters`` are left."""
        z = parallel.all_rows(in_batches(self.encode, self.drawn(x))).cpu()
        numbers, compact = np.unique(self._known(), return_inverse=True)
        linkage = GraphDegreeLinkage(directed_affinity(z, self.n_neighbors), compact, z.numpy(), self.n_near)
        if not self.count_small or len(numbers) > MANY * self.n_clusters:
            linkage.absorb_strays(n_clusters)
        if not self.count_small and n_clusters == self.n_clusters:  # a group is larger than a neighbourhood
            linkage.merge_large(n_clusters, self.n_neighbors + 1)
        linkage.cut(n_clusters)
        heads = np.array([linkage.current(c) for c in range(len(numbers))])
        self.merged_ = self._own(numbers[heads][compact])
        self.merges_ += parallel.told_by_first([[int(numbers[a]), int(numbers[b])] for a, b in linkage.merges])

    def settle(self, x: Points) -> None:
        """Merge down to K, if training was too short for that, and put a centroid at the mean of each cluster."""
        self.merge(x, self.n_clusters)
        labels = np.unique(self._known(), return_inverse=True)[1]
        self.merged_ = self._own(labels)
        z = parallel.all_rows(in_batches(self.encode, self.drawn(x)))
        start_at_labels(self.network_, z, labels, self.n_clusters)

    # -- backward: what was merged is learned -------------------------------------------------------------------------

    def order(self, n: int) -> Tensor:
        """Return the places of the points that are merged, in random order, but for small groups of one cluster.

        Of thousands of clusters, a random mini-batch would seldom hold two points of one.
        """
        shuffled = torch.randperm(n)
        shuffled = shuffled[self._targets.cpu()[shuffled] > NOT_MERGED]
        shuffled = shuffled[self._targets.cpu()[shuffled].argsort(stable=True)]  # cluster after cluster
        labels = self._targets.cpu()[shuffled]
        _, sizes = labels.unique_consecutive(return_counts=True)
        place = torch.arange(len(labels)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)  # in its cluster
        group = (place % GROUP == 0).cumsum(0) - 1
        return shuffled[torch.randperm(int(group[-1]) + 1)[group].argsort(stable=True)]

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return the triplet loss of the clusters there are at the moment."""
        return triplet_loss(batch.z, self._targets[batch.index], self.margin, self.positive_weight)

    # -- two views agree ----------------------------------------------------------------------------------------------

    def information_loss(self, batch: Batch) -> Tensor:
        """Return minus the information that the centroids' answers for two views of a point share."""
        codes = (batch.z, self.encode(batch.others[0]).float())
        answers = [soft_cosine(z, self.network_.centroids) for z in codes]
        return -batch.note("I", mutual_information(joint_of_views(*answers)))

    def level(self, x: Points) -> None:
        """Put the centroids at length one: the nearest is then the one that answers."""
        self.network_.centroids.data = normalize(self.network_.centroids.data, dim=1)

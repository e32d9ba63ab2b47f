"""Graph-degree linkage: clusters joined two by two, those first that many short paths lead between and back.

Source: Zhang, Wang, Zhao, Tang, "Graph Degree Linkage: Agglomerative Clustering on a Directed Graph", ECCV 2012; the
term of the neighbouring clusters is that of Yang, Parikh, Batra, CVPR 2016.
"""

import heapq
from collections import defaultdict
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from dclib.graphs import nearest_of_all


def directed_affinity(
    z: torch.Tensor,
    n_neighbors: int = 20,
    spread: float = 1.0,
) -> sp.csr_array:
    """Return W (n, n): exp(−‖z_i − z_j‖² / σ²) for j near i, else 0 (JULE, eq. 1).

    Parameters
    ----------
    z
        Codes (n, d).
    n_neighbors
        K_s.
    spread
        a: σ² is so many times the mean squared distance to the neighbours.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/jule`.
    """
    distance, place = nearest_of_all(z, n_neighbors)
    squared = distance.double().square()
    w = (-squared / (spread * squared.mean()).clamp_min(1e-300)).exp().numpy()
    n, ends = len(z), np.arange(len(z) + 1) * place.shape[1]  # where each row ends
    return sp.csr_array((w.ravel(), place.numpy().ravel(), ends), shape=(n, n))


def chains(affinity: sp.csr_array) -> NDArray[np.int64]:
    """Return clusters (n,) of points that are joined by arrows to the nearest.

    Parameters
    ----------
    affinity
        W (n, n); the largest value of a row names the nearest point.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/jule`.
    """
    n = affinity.shape[0]
    nearest = np.asarray(affinity.argmax(axis=1)).ravel()
    links = sp.csr_array((np.ones(n), (np.arange(n), nearest)), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)


class GraphDegreeLinkage:
    """Clusters of a directed graph, and the sums from which the affinity of any two follows.

    Kept for each cluster c: what points receive from it and send to it, ``into`` and ``back``, and S(c → d), the sum of
    their products over the points of d. Then A(c, d) = S(c → d) / n_c² + S(d → c) / n_d², with n_c points in c. Nothing
    as large as n² is made, and a merge touches the smaller of two clusters only.

    Parameters
    ----------
    affinity
        W (n, n).
    labels
        The clusters (n,) to begin with, 0 … C − 1.
    z
        Codes (n, d): where no path leads from a cluster, the nearest mean decides.
    n_near
        K_c, neighbouring clusters that a merge is weighed against; 1: none.

    Attributes
    ----------
    merges : list of tuple
        Which two clusters were joined, in order, each by the number it began with; the pair goes on as the first.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/jule`.
    """

    def __init__(self, affinity: sp.csr_array, labels: NDArray, z: NDArray, n_near: int = 5) -> None:
        n, self.n_near = len(labels), n_near
        self.labels = np.asarray(labels)
        self.n_clusters = int(self.labels.max()) + 1
        member = sp.csr_array((np.ones(n), (self.labels, np.arange(n))), shape=(self.n_clusters, n))
        into, back = (member @ affinity).tocsr(), (member @ affinity.T).tocsr()
        self.into, self.back = rows_of(into), rows_of(back)
        self.sums = rows_of((into * back @ member.T).tocsr())  # S(c → d)
        self.size = np.bincount(self.labels, minlength=self.n_clusters).astype(float)
        self.means = member @ z / self.size[:, None]
        self.parent = np.arange(self.n_clusters)
        self.merges: list[tuple[int, int]] = []
        self.near: list[dict[int, float]] = [{} for _ in range(self.n_clusters)]
        for c, row in enumerate(self.sums):
            row.pop(c, None)
            for d in row:
                self.near[c][d] = self.near[d][c] = 0.0
        for c in range(self.n_clusters):
            for d in self.near[c]:
                self.near[c][d] = self.affinity(c, d)
        self.version = [0] * self.n_clusters
        self.heap = [(-self.urgency(c), c, 0) for c in range(self.n_clusters) if self.near[c]]
        heapq.heapify(self.heap)

    def affinity(self, c: int, d: int) -> float:
        """Return A(c, d)."""
        return self.sums[c].get(d, 0.0) / self.size[c] ** 2 + self.sums[d].get(c, 0.0) / self.size[d] ** 2

    def urgency(self, c: int) -> float:
        """Return A(c, N_1) + Σ_k (A(c, N_1) − A(c, N_k)) / (K_c − 1): near to one cluster, and not to the next ones."""
        first, *others = heapq.nlargest(self.n_near, self.near[c].values())
        if self.n_near == 1:
            return first
        return 2 * first - sum(others) / (self.n_near - 1)

    def current(self, c: int) -> int:
        """Return the cluster that ``c`` is part of by now."""
        while self.parent[c] != c:
            self.parent[c] = self.parent[self.parent[c]]
            c = self.parent[c]
        return int(c)

    def merge(self) -> tuple[int, int]:
        """Join the two clusters that are most urgent, and return them; the first is the larger."""
        while self.heap:
            _, c, version = heapq.heappop(self.heap)
            if version == self.version[c] and self.parent[c] == c:
                return self.join(c, max(self.near[c], key=self.near[c].__getitem__))
        return self.join(*self.to_nearest_mean(self.alive()[self.size[self.alive()].argmin()]))

    def alive(self) -> NDArray[np.int64]:
        """Return the numbers of the clusters that there are by now."""
        return np.flatnonzero(self.parent == np.arange(len(self.parent)))

    def to_nearest_mean(self, c: int) -> tuple[int, int]:
        """Return ``c`` and the cluster whose mean is nearest to its own."""
        others = self.alive()
        others = others[others != c]
        return int(c), int(others[np.linalg.norm(self.means[others] - self.means[c], axis=1).argmin()])

    def absorb_strays(self, n_clusters: int) -> None:
        """Join each cluster that no path leads to and back from with that of the nearest mean, down to ``n_clusters``.

        A few points far out, which nobody counts among their neighbours, would never be merged. Each such cluster would
        be one of the last, and two groups would have to share another.
        """
        for c in self.alive():
            if self.parent[c] == c and not self.near[c] and self.n_clusters > n_clusters:
                self.join(*self.to_nearest_mean(c))

    def merge_large(self, n_clusters: int, least: int) -> None:
        """Merge until ``n_clusters`` have ``least`` points or more; smaller ones do not count, and are absorbed.

        Nothing happens if there are fewer that large to begin with. A small cluster goes to the one that is nearest by
        affinity, or else by its mean; as long as that is small as well, both go on.
        """
        if np.count_nonzero(self.size[self.alive()] >= least) < n_clusters:
            return
        while np.count_nonzero(self.size[self.alive()] >= least) > n_clusters:
            self.merge()
        while len(small := [c for c in self.alive() if self.size[c] < least]):
            near = self.near[small[0]]
            pair = (small[0], max(near, key=near.__getitem__)) if near else self.to_nearest_mean(small[0])
            self.join(*pair)

    def join(self, a: int, b: int) -> tuple[int, int]:
        """Join two clusters, and bring the sums of all that they touch up to date."""
        if len(self.into[a]) + len(self.back[a]) < len(self.into[b]) + len(self.back[b]):
            a, b = b, a
        self._join_outward(a, b)
        for d, value in [(d, self.sums[d].pop(b)) for d in self.near[b] if b in self.sums[d]]:
            if d != a:
                self.sums[d][a] = self.sums[d].get(a, 0.0) + value  # S(d → a ∪ b) is a sum over points
        self.means[a] = (self.size[a] * self.means[a] + self.size[b] * self.means[b]) / (self.size[a] + self.size[b])
        self.size[a] += self.size[b]
        self.parent[b] = a
        self.n_clusters -= 1
        self.merges.append((a, b))
        self._meet_again(a, b)
        return a, b

    def _join_outward(self, a: int, b: int) -> None:
        """Make S(a → ·) that of both: its products have a mixed part, where a point is joined to a and to b."""
        mixed: dict[int, float] = defaultdict(float)
        for own, other in ((self.into[b], self.back[a]), (self.back[b], self.into[a])):
            for p, value in own.items():
                if p in other:
                    mixed[self.current(self.labels[p])] += value * other[p]
        for rows in (self.into, self.back):
            for p, value in rows[b].items():
                rows[a][p] = rows[a].get(p, 0.0) + value
            rows[b] = {}
        for row in (self.sums[b], mixed):
            for d, value in row.items():
                if d not in (a, b):
                    self.sums[a][d] = self.sums[a].get(d, 0.0) + value
        self.sums[a].pop(b, None)
        self.sums[b] = {}

    def _meet_again(self, a: int, b: int) -> None:
        """Measure ``a`` anew against all that it or ``b`` was near to, and put all of them into the queue again."""
        for d in self.near[b]:
            self.near[d].pop(b, None)
        touched = (set(self.near[a]) | set(self.near[b]) | set(self.sums[a])) - {a, b}
        self.near[b] = {}
        self.near[a] = {d: self.affinity(a, d) for d in touched}
        for d in touched:
            self.near[d][a] = self.near[a][d]
        for c in (a, *touched):
            self.version[c] += 1
            if self.near[c]:
                heapq.heappush(self.heap, (-self.urgency(c), c, self.version[c]))

    def cut(self, n_clusters: int) -> NDArray[np.int64]:
        """Merge until ``n_clusters`` are left, and return them: (n,), 0 … ``n_clusters`` − 1."""
        while self.n_clusters > max(1, n_clusters):
            self.merge()
        now = np.array([self.current(c) for c in range(len(self.parent))])
        return np.unique(now[self.labels], return_inverse=True)[1].astype(np.int64)


def rows_of(matrix: sp.csr_array) -> list[dict[int, float]]:
    """Return each row of a sparse matrix as a dictionary of its columns.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/jule`.
    """
    indices, values, ends = (
        matrix.indices.tolist(),
        matrix.data.tolist(),
        matrix.indptr.tolist(),
    )
    return [
        dict(zip(indices[i:j], values[i:j], strict=True))
        for i, j in pairwise(ends)  # where a row begins and ends
    ]

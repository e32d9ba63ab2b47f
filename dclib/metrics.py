"""Scores of a clustering against true classes (ACC, NMI, ARI, purity), and the sizes of its clusters."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from dclib.checks import one_of


def label_vector(values: ArrayLike, what: str) -> np.ndarray:
    """Return labels as a vector, or refuse them by name.

    Whole numbers, booleans and strings are labels. A negative number is one too: HDBSCAN's -1 is a cluster
    like any other.

    Parameters
    ----------
    values : array-like, shape (n,)
        One label a point.
    what : str
        What to call them in a message, e.g. ``"labels"``.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    ValueError
        If there is no label, the shape is not a vector's, or a label is missing, infinite or a fraction.
    """
    vector = np.asarray(values)
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"{what} must be a vector of at least one label, but its shape is {vector.shape}.")
    bad = np.zeros(vector.size, dtype=bool)
    if vector.dtype == object:
        bad = np.array([v is None or (isinstance(v, float) and not np.isfinite(v)) for v in vector])
    elif vector.dtype.kind == "f":
        bad = ~np.isfinite(vector) | (vector != np.round(vector))
    if bad.any():
        first = int(bad.argmax())
        raise ValueError(f"{what}[{first}] is {vector[first]}: a label is a whole number or a name.")
    return np.asarray(vector.tolist()) if vector.dtype == object else vector


def contingency(y: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, ...]:
    """Count how many points of each class lie in each cluster.

    Every score against classes is a function of this table alone. Memory is 8 C K bytes.

    Parameters
    ----------
    y : array-like, shape (n,)
        True classes: whole numbers or names.
    labels : array-like, shape (n,)
        Found clusters: whole numbers or names. A negative label is a cluster of its own.

    Returns
    -------
    counts : ndarray of int64, shape (C, K)
        Points of class i in cluster j.
    classes : ndarray, shape (C,)
        Names of the rows, sorted.
    clusters : ndarray, shape (K,)
        Names of the columns, sorted.

    Raises
    ------
    ValueError
        If the lengths differ, or either fails :func:`label_vector`.

    Notes
    -----
    Derived in :doc:`/notebooks/foundations/metrics`.
    """
    y, labels = label_vector(y, "y"), label_vector(labels, "labels")
    if y.size != labels.size:
        raise ValueError(f"y has {y.size} points but labels has {labels.size}.")
    classes, row = np.unique(y, return_inverse=True)
    clusters, column = np.unique(labels, return_inverse=True)
    cell = row * clusters.size + column  # (n,)
    counts = np.bincount(cell, minlength=classes.size * clusters.size)
    return counts.reshape(classes.size, clusters.size), classes, clusters


def clustering_accuracy(y: ArrayLike, labels: ArrayLike) -> float:
    """Share of points that the best one-to-one map to classes gets right.

    With more clusters than classes the surplus clusters are errors; with fewer, some classes are.

    Parameters
    ----------
    y : array-like, shape (n,)
        True classes.
    labels : array-like, shape (n,)
        Found clusters.

    Returns
    -------
    float
        In (0, 1]. At least the share of the largest class when K = 1, and at least 1 / max(C, K) always.

    Raises
    ------
    ValueError
        See :func:`contingency`.

    Notes
    -----
    The ACC of Xie et al. (2016, eq. 10), solved by the assignment method of Kuhn (1955).
    Derived in :doc:`/notebooks/foundations/metrics`.
    """
    counts, _, _ = contingency(y, labels)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / counts.sum())


def spare_names(classes: np.ndarray, n_spare: int) -> np.ndarray:
    """Names that no class has, for the clusters that no class claims.

    Parameters
    ----------
    classes : ndarray, shape (C,)
        Names in use.
    n_spare : int
        How many more are wanted.

    Returns
    -------
    ndarray, shape (n_spare,)
        -1, -2, … below every class where classes are numbers; ``"surplus 1"``, … where they are strings.
    """
    if classes.dtype.kind in "US":
        return np.array([f"surplus {i + 1}" for i in range(n_spare)], dtype=str)
    return min(int(classes.min()), 0) - 1 - np.arange(n_spare)


def match_labels(y: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Rename clusters by the best one-to-one map, to be read as classes.

    Parameters
    ----------
    y : array-like, shape (n,)
        True classes.
    labels : array-like, shape (n,)
        Found clusters.

    Returns
    -------
    ndarray, shape (n,)
        The label of each point as a class of ``y``. A surplus cluster gets a name of its own that no class
        has: -1, -2, … (below every class), or ``"surplus 1"``, … where classes are strings.
        The mean of ``match_labels(y, labels) == y`` is the clustering accuracy.

    Raises
    ------
    ValueError
        See :func:`contingency`.

    Notes
    -----
    Kuhn (1955). Derived in :doc:`/notebooks/foundations/metrics`.
    """
    counts, classes, clusters = contingency(y, labels)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    surplus = np.setdiff1d(np.arange(clusters.size), columns)
    names = np.concatenate([classes, spare_names(classes, surplus.size)])
    target = np.empty(clusters.size, dtype=np.int64)  # cluster -> its place in names
    target[columns] = rows
    target[surplus] = classes.size + np.arange(surplus.size)
    return names[target[np.searchsorted(clusters, label_vector(labels, "labels"))]]


def purity(y: ArrayLike, labels: ArrayLike) -> float:
    """Share of points that belong to the commonest class of their cluster.

    The map of clusters to classes may be many-to-one, so purity is never below the clustering accuracy,
    never falls when a cluster is split, and is 1 when every point is its own cluster.

    Parameters
    ----------
    y : array-like, shape (n,)
        True classes.
    labels : array-like, shape (n,)
        Found clusters.

    Returns
    -------
    float
        In (0, 1].

    Raises
    ------
    ValueError
        See :func:`contingency`.

    Notes
    -----
    Derived in :doc:`/notebooks/foundations/metrics`.
    """
    counts, _, _ = contingency(y, labels)
    return float(counts.max(axis=0).sum() / counts.sum())


def entropy(labels: ArrayLike) -> float:
    """Entropy in nats of the cluster of a point drawn at random.

    Parameters
    ----------
    labels : array-like, shape (n,)
        Clusters, or classes.

    Returns
    -------
    float
        From 0 (one cluster) to log K (K clusters of equal size).

    Raises
    ------
    ValueError
        See :func:`label_vector`.

    Notes
    -----
    Derived in :doc:`/notebooks/foundations/metrics`.
    """
    _, sizes = np.unique(label_vector(labels, "labels"), return_counts=True)
    shares = sizes / sizes.sum()  # (K,)
    return float(abs(shares @ np.log(shares)))


def mutual_information(y: ArrayLike, labels: ArrayLike) -> float:
    """Nats by which a point's cluster lowers the uncertainty about its class.

    Parameters
    ----------
    y : array-like, shape (n,)
        True classes.
    labels : array-like, shape (n,)
        Found clusters.

    Returns
    -------
    float
        From 0 (independent) to the smaller of the two entropies.

    Raises
    ------
    ValueError
        See :func:`contingency`.

    Notes
    -----
    Derived in :doc:`/notebooks/foundations/metrics`.
    """
    counts, _, _ = contingency(y, labels)
    n = counts.sum()
    product = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0)
    seen = counts > 0  # an empty cell adds nothing
    ratio = counts[seen] * n / product[seen]  # 1 where independent
    return max(float(counts[seen] / n @ np.log(ratio)), 0.0)


def nmi(y: ArrayLike, labels: ArrayLike, average: str = "arithmetic") -> float:
    """Mutual information over a mean of the two entropies.

    Published figures mix the means: DEC divides by the arithmetic one, JULE's code by the geometric one.
    From the largest score to the smallest: min, geometric, arithmetic, max.

    Parameters
    ----------
    y : array-like, shape (n,)
        True classes.
    labels : array-like, shape (n,)
        Found clusters.
    average : {"arithmetic", "geometric", "min", "max"}
        The mean in the denominator.

    Returns
    -------
    float
        In [0, 1]; 1 where both have a single cluster, 0 where only one of them has.

    Raises
    ------
    ValueError
        If ``average`` is unknown; see also :func:`contingency`.

    Notes
    -----
    Strehl and Ghosh (2002); Vinh et al. (2010). Not corrected for chance: it grows with K.
    Derived in :doc:`/notebooks/foundations/metrics`.
    """
    shared, a, b = mutual_information(y, labels), entropy(y), entropy(labels)
    means = {"arithmetic": (a + b) / 2, "geometric": (a * b) ** 0.5}
    means |= {"min": min(a, b), "max": max(a, b)}
    mean = means[one_of(average, means, "average")]
    if a == b == 0:
        return 1.0  # one class, one cluster: nothing to know, and nothing missed
    return min(shared / mean, 1.0) if mean > 0 else 0.0


def count_pairs(sizes: np.ndarray) -> int:
    """Pairs of points that share a group, when the groups have these sizes.

    Parameters
    ----------
    sizes : ndarray of int, any shape
        Sizes of the groups.

    Returns
    -------
    int
        A Python integer, so that products of two counts cannot overflow.

    Notes
    -----
    Derived in :doc:`/notebooks/foundations/metrics`.
    """
    return int((sizes * (sizes - 1) // 2).sum())


def ari(y: ArrayLike, labels: ArrayLike) -> float:
    """Pairs kept together, rescaled so that chance scores 0 and identity 1.

    Computed in whole numbers up to the last division, so it is exact for any n below two thousand million.

    Parameters
    ----------
    y : array-like, shape (n,)
        True classes.
    labels : array-like, shape (n,)
        Found clusters.

    Returns
    -------
    float
        At most 1, near 0 for random labels, negative where worse than chance.

    Raises
    ------
    ValueError
        See :func:`contingency`.

    Notes
    -----
    Hubert and Arabie (1985, eq. 5). Derived in :doc:`/notebooks/foundations/metrics`.
    """
    counts, _, _ = contingency(y, labels)
    together, total = count_pairs(counts), count_pairs(counts.sum())
    in_class = count_pairs(counts.sum(axis=1))
    in_cluster = count_pairs(counts.sum(axis=0))
    if together == in_class == in_cluster:
        return 1.0
    chance = in_class * in_cluster  # expected pairs, times total
    most = total * (in_class + in_cluster)  # the highest count, times 2 total
    return 2 * (total * together - chance) / (most - 2 * chance)


def evaluate(y: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """The three scores of the book: ACC, NMI (arithmetic) and ARI.

    Parameters
    ----------
    y : array-like, shape (n,)
        True classes.
    labels : array-like, shape (n,)
        Found clusters.

    Returns
    -------
    dict
        Keys ``acc``, ``nmi``, ``ari``.

    Raises
    ------
    ValueError
        See :func:`contingency`.

    Notes
    -----
    Derived in :doc:`/notebooks/foundations/metrics`.
    """
    acc = clustering_accuracy(y, labels)
    return {"acc": acc, "nmi": nmi(y, labels), "ari": ari(y, labels)}


def coverage(labels: ArrayLike, noise: int | str = -1) -> float:
    """Share of points that were given a cluster at all.

    Parameters
    ----------
    labels : array-like, shape (n,)
        Found clusters.
    noise : int or str
        The label that means "no cluster": -1 in DBSCAN and HDBSCAN.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        See :func:`label_vector`.

    Notes
    -----
    Derived in :doc:`/notebooks/foundations/metrics`.
    """
    return float(np.mean(label_vector(labels, "labels") != noise))


def cluster_sizes(labels: ArrayLike, n_clusters: int | None = None) -> np.ndarray:
    """Sizes of the clusters, the largest first.

    Parameters
    ----------
    labels : array-like, shape (n,)
        Found clusters.
    n_clusters : int, optional
        How many there should be: the empty ones are then listed too, as zeros.

    Returns
    -------
    ndarray of int64, shape (K,)

    Raises
    ------
    ValueError
        If there are more clusters than ``n_clusters``; see also :func:`label_vector`.
    """
    _, sizes = np.unique(label_vector(labels, "labels"), return_counts=True)
    if n_clusters is not None and n_clusters < sizes.size:
        raise ValueError(f"labels holds {sizes.size} clusters, more than n_clusters={n_clusters}.")
    empty = 0 if n_clusters is None else n_clusters - sizes.size
    return np.pad(np.sort(sizes)[::-1], (0, empty))


def effective_clusters(labels: ArrayLike) -> float:
    """Number of equal clusters that would have the entropy of these.

    Parameters
    ----------
    labels : array-like, shape (n,)
        Found clusters.

    Returns
    -------
    float
        From 1 (all points in one cluster) to K (equal sizes).

    Raises
    ------
    ValueError
        See :func:`label_vector`.

    Notes
    -----
    The exponential of the entropy. Derived in :doc:`/notebooks/foundations/metrics`.
    """
    return float(np.exp(entropy(labels)))


def label_change(before: ArrayLike, after: ArrayLike) -> float:
    """Share of points whose cluster differs between two moments of one training.

    Cluster names are compared as they are: within one run, cluster 3 stays cluster 3.

    Parameters
    ----------
    before, after : array-like, shape (n,)
        Clusters of the same points, earlier and later.

    Returns
    -------
    float
        In [0, 1]. DEC stops when it falls below 0.001.

    Raises
    ------
    ValueError
        If the lengths differ, or either fails :func:`label_vector`.

    Notes
    -----
    Xie et al. (2016, section 3.1.3).
    """
    before, after = label_vector(before, "before"), label_vector(after, "after")
    if before.size != after.size:
        raise ValueError(f"before has {before.size} points but after has {after.size}.")
    return float(np.mean(before != after))

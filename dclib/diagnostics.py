"""What a clustering says of itself, without classes: collapse, views that disagree, valleys between clusters."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from scipy.stats import gaussian_kde

from dclib.metrics import cluster_sizes, effective_clusters


def collapse(labels: ArrayLike, n_clusters: int) -> dict[str, float | int | bool]:
    """What the sizes of the clusters say about collapse, without any class.

    Parameters
    ----------
    labels : array-like, shape (n,)
        Found clusters.
    n_clusters : int
        How many there should be.

    Returns
    -------
    dict
        ``effective`` (clusters, see :func:`dclib.metrics.effective_clusters`), ``empty`` (clusters), ``smallest``
        (share of the points, in [0, 1]) and ``collapsed``: is the effective number below half of ``n_clusters``?

    Raises
    ------
    ValueError
        See :func:`dclib.metrics.cluster_sizes`.
    """
    sizes = cluster_sizes(labels, n_clusters)
    effective = effective_clusters(labels)
    return {
        "effective": effective,
        "empty": int(np.sum(sizes == 0)),
        "smallest": float(sizes[-1] / sizes.sum()),
        "collapsed": effective < n_clusters / 2,
    }


def view_disagreement(q_views: ArrayLike) -> np.ndarray:
    """How far the answers to several views of a point are apart, J, in nats.

    J is minus the logarithm of the sum, over clusters, of the geometric mean of the answers.

    Parameters
    ----------
    q_views : array-like, shape (T, n, K)
        Soft assignments of the T views of n points; each row sums to one.

    Returns
    -------
    ndarray, shape (n,)
        At least 0, and 0 exactly where all views agree. For two views it is their Bhattacharyya distance. Infinite
        where no cluster is possible under all views.

    Raises
    ------
    ValueError
        If the shape is not (T, n, K), or a number is not finite or negative.

    Notes
    -----
    The mean over views of KL(p‖q_T) is KL(p‖q̃) + J for every target p, where q̃ is the geometric mean, normalised.
    Derived in :doc:`/notebooks/today/augmentation`.
    """
    q = np.asarray(q_views, dtype=float)
    if q.ndim != 3 or not q.size or not np.isfinite(q).all() or q.min() < 0:
        raise ValueError(f"q_views must be finite, ≥ 0, (T, n, K); not {q.shape}.")
    with np.errstate(divide="ignore"):  # log 0 is −∞: ruled out by a single view
        log_mean = np.log(q).mean(axis=0)  # (n, K), of the geometric mean
    return np.maximum(-logsumexp(log_mean, axis=1), 0.0)


def density_between(
    z_a: ArrayLike,
    z_b: ArrayLike,
    n_places: int = 101,
) -> tuple[np.ndarray, np.ndarray]:
    """Density of two groups together, on the line from centre to centre.

    Parameters
    ----------
    z_a, z_b : array-like, shape (n_a, d) and (n_b, d)
        Codes of the two groups.
    n_places : int
        Where to look: so many places from one centre to the other.

    Returns
    -------
    places : ndarray, shape (n_places,)
        From 0, the centre of ``z_a``, to 1, the centre of ``z_b``.
    density : ndarray, shape (n_places,)
        A Gaussian kernel estimate. Its width is the spread within the groups times (n_a + n_b)^(−1/5), Scott's rule.

    Raises
    ------
    ValueError
        If a group is empty, the widths differ, a number is not finite, or the two centres are the same.

    Notes
    -----
    Scott (1992). Derived in :doc:`/notebooks/today/augmentation`.
    """
    groups = check_groups(z_a, z_b)
    start, end = (z.mean(axis=0) for z in groups)
    line = (end - start) / np.square(end - start).sum()
    t = [(z - start) @ line for z in groups]  # 0 and 1 on average
    within = np.sqrt(np.concatenate([part - part.mean() for part in t]).var())
    t = np.concatenate(t)
    width = max(within * len(t) ** -0.2, 1 / n_places)
    places = np.linspace(0, 1, n_places)
    return places, gaussian_kde(t, width / t.std(ddof=1))(places)


def valley(z_a: ArrayLike, z_b: ArrayLike) -> float:
    """Density in the valley between two groups, over the smaller peak's.

    Parameters
    ----------
    z_a, z_b : array-like, shape (n_a, d) and (n_b, d)
        Codes of the two groups.

    Returns
    -------
    float
        In [0, 1]: near 1 if the groups are one heap that was cut, near 0 if they are two heaps.

    Raises
    ------
    ValueError
        See :func:`density_between`.

    Notes
    -----
    Compare valleys only between pairs whose sizes have about the same ratio. The density is that of both groups
    together, so the tail of a large group fills the valley before a small one: two Gaussians of spread 1 at distance 4
    have a valley of 0.30 with 700 and 700 points, 0.65 with 700 and 70, and 0.71 with 700 and 11 (means of 1,000
    draws; single draws of the last have a standard deviation of 0.25). At distance 6 it is 0.03, 0.06 and 0.06. Drawing
    only as many points of the large group as the small one has mends most of this (0.30, 0.34 and 0.37). But it makes
    one heap, from whose edge 11 of 711 points are cut, look like two: 0.43, where all points give 1.00. So a high
    value beside a small group does not say that the two are one.

    Derived in :doc:`/notebooks/today/augmentation`.
    """
    _, density = density_between(z_a, z_b)
    left = np.maximum.accumulate(density)  # the highest so far
    right = np.maximum.accumulate(density[::-1])[::-1]  # the highest still to come
    return float((density / np.minimum(left, right)).min())


def check_groups(z_a: ArrayLike, z_b: ArrayLike) -> list[np.ndarray]:
    """Return two groups of codes as matrices, or refuse them by name."""
    groups = [np.asarray(z, dtype=float) for z in (z_a, z_b)]
    for name, z in zip(("z_a", "z_b"), groups, strict=True):
        if z.ndim != 2 or 0 in z.shape or not np.isfinite(z).all():
            raise ValueError(f"{name} must be finite and (n, d), with n and d at least 1; its shape is {z.shape}.")
    if groups[0].shape[1] != groups[1].shape[1]:
        raise ValueError(f"z_a has {groups[0].shape[1]} features but z_b has {groups[1].shape[1]}.")
    if np.allclose(groups[0].mean(axis=0), groups[1].mean(axis=0), rtol=1e-12, atol=0):
        raise ValueError("the two groups have the same centre: no line leads from one to the other.")
    return groups

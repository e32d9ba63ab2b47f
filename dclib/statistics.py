"""What a few seeds can say: differences in pairs, tests by their signs, many tests at once, the best of k runs."""

from collections.abc import Iterable, Sequence
from itertools import product
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, studentized_range

MOST_DIFFERENCES = 16  # of a sign-flip test, which tries all 2^m signs


def paired_differences(
    first: Iterable[dict[str, Any]],
    second: Iterable[dict[str, Any]],
    metric: str = "acc",
) -> NDArray:
    """Return ``second`` minus ``first``, seed by seed.

    Parameters
    ----------
    first, second
        Records of two rows on one data set.
    metric
        Which score.

    Returns
    -------
    ndarray (m,)
        In the order of the seeds.

    Raises
    ------
    ValueError
        If the two have different seeds: a seed without its partner would be a seed dropped.

    Notes
    -----
    Derived in :doc:`/notebooks/open_problems/leaderboard`.
    """
    a, b = ({run["seed"]: run[metric] for run in runs} for runs in (first, second))
    if a.keys() != b.keys():
        raise ValueError(f"seeds {sorted(a)} and {sorted(b)} do not pair.")
    return np.array([b[seed] - a[seed] for seed in sorted(a)])


def sign_flip_test(differences: ArrayLike) -> float:
    """Two-sided p-value of paired differences, by trying all signs.

    If the two methods were the same, each difference could as well have had the other sign. The p-value is the share
    of the 2^m equally likely choices of signs whose sum is at least as far from 0 as the sum that was seen.

    Parameters
    ----------
    differences : array-like (m,)
        One a seed, m from 1 to 16.

    Returns
    -------
    float
        At least 2 / 2^m, since the observed signs and their mirror always count; 1 if all differences are 0.

    Raises
    ------
    ValueError
        If there is no difference, there are more than 16, or one is not finite.

    Notes
    -----
    Fisher (1935, section 21). Derived in :doc:`/notebooks/open_problems/leaderboard`.
    """
    d = np.asarray(differences, dtype=float)
    if d.ndim != 1 or not 1 <= d.size <= MOST_DIFFERENCES or not np.isfinite(d).all():
        raise ValueError(f"differences must be 1 to {MOST_DIFFERENCES} finite numbers.")
    signs = np.array(list(product((1, -1), repeat=d.size)))  # (2^m, m)
    sums = np.abs(signs @ d)
    rounding = 1e-12 * np.abs(d).sum()
    return float(np.mean(sums >= abs(d.sum()) - rounding))


def holm(p_values: ArrayLike) -> NDArray:
    """P-values of several tests, adjusted for their number by Holm's step-down rule.

    Whoever calls those tests significant whose adjusted p-value is at most α makes one false claim or more with a
    probability of at most α, however the tests depend on each other.

    Parameters
    ----------
    p_values : array-like (k,)
        One a test.

    Returns
    -------
    ndarray (k,)
        In the same order; never below the p-values, and at most 1.

    Raises
    ------
    ValueError
        If there is none, or one is not from 0 to 1.

    Notes
    -----
    Holm (1979). Derived in :doc:`/notebooks/open_problems/leaderboard`.
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not p.size or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p_values must be one or more numbers from 0 to 1.")
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def expected_best(scores: Sequence[float] | NDArray, k: int) -> float:
    """Mean of the best of k runs, over all ways to pick k of the runs.

    With k = 1 it is the mean. It estimates without bias what "the best of k seeds" would be on average, whatever the
    distribution of the scores.

    Parameters
    ----------
    scores : array-like (m,)
        One a seed.
    k
        Size of the pick, from 1 to m.

    Raises
    ------
    ValueError
        If k is not from 1 to m.

    Notes
    -----
    Derived in :doc:`/notebooks/open_problems/leaderboard`.
    """
    x = np.sort(np.asarray(scores, dtype=float))  # (m,)
    if not 1 <= k <= x.size:
        raise ValueError(f"k is {k}, but must be from 1 to the {x.size} runs.")
    picks = np.array([comb(i, k - 1) for i in range(x.size)])  # with x[i] on top
    return float(picks @ x / comb(x.size, k))


def mean_ranks(scores: ArrayLike) -> NDArray:
    """Return the mean rank (k,) of methods over data sets; 1 is the best of a set.

    Ties share their ranks.

    Parameters
    ----------
    scores : array-like (n, k)
        A row a data set, a column a method; more is better.

    Raises
    ------
    ValueError
        If it is no table, or a score is not finite.

    Notes
    -----
    Demšar (2006). Derived in :doc:`/notebooks/features/dtc`.
    """
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or min(table.shape) < 1 or not np.isfinite(table).all():
        raise ValueError("scores must be a table of finite numbers, a row a data set.")
    return rankdata(-table, axis=1).mean(axis=0)


def critical_difference(n_methods: int, n_sets: int, alpha: float = 0.05) -> float:
    """Return how far apart two mean ranks have to be to differ, by Nemenyi's test.

    Parameters
    ----------
    n_methods
        k, how many are compared, each with each.
    n_sets
        n, data sets.
    alpha
        The level for all pairs together.

    Notes
    -----
    Demšar (2006, section 3.2.2). Derived in :doc:`/notebooks/features/dtc`.
    """
    q = studentized_range.ppf(1 - alpha, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_sets)))


def friedman(scores: ArrayLike) -> float:
    """Return the p-value of Friedman's test: whether methods (columns of (n, k)) rank alike over data sets."""
    return float(friedmanchisquare(*np.asarray(scores, dtype=float).T).pvalue)

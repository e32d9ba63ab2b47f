"""Tests of dclib.diagnostics: against closed forms, the divergences and densities they stand for, and bad input."""

import numpy as np
import pytest

from dclib import diagnostics


def test_collapse():
    assert diagnostics.collapse([0] * 9, 4) == {"effective": 1.0, "empty": 3, "smallest": 0.0, "collapsed": True}
    assert diagnostics.collapse([0, 1, 2, 3], 4)["collapsed"] is False


def soft(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random soft assignments."""
    q = rng.gamma(0.7, size=shape) + 1e-9
    return q / q.sum(axis=-1, keepdims=True)


def test_view_disagreement_splits_the_mean_divergence():
    rng = np.random.default_rng(0)
    for n_views, n, n_clusters in ((1, 4, 3), (2, 5, 2), (7, 30, 6)):
        q, p = soft(rng, n_views, n, n_clusters), soft(rng, n, n_clusters)
        mean = (p * np.log(p / q)).sum(axis=2).mean(axis=0)  # (n,), over views
        product = q.prod(axis=0) ** (1 / n_views)
        geometric = product / product.sum(axis=1, keepdims=True)
        expected = mean - (p * np.log(p / geometric)).sum(axis=1)
        np.testing.assert_allclose(diagnostics.view_disagreement(q), expected, atol=1e-12)


def test_view_disagreement_is_zero_only_where_views_agree():
    q = soft(np.random.default_rng(1), 1, 20, 4).repeat(3, axis=0)
    np.testing.assert_allclose(diagnostics.view_disagreement(q), 0, atol=1e-12)
    q[1, 7] = np.roll(q[1, 7], 1)
    assert np.flatnonzero(diagnostics.view_disagreement(q) > 1e-9).tolist() == [7]
    two = np.array([[[0.9, 0.1]], [[0.1, 0.9]]])
    assert diagnostics.view_disagreement(two) == pytest.approx(-np.log(0.6))  # Bhattacharyya: 2 √(0.9 · 0.1)
    assert diagnostics.view_disagreement([[[1, 0]], [[0, 1]]]) == np.inf


@pytest.mark.parametrize("q", [[0.5, 0.5], [[[0.5, np.nan]]], [[[-0.1, 1.1]]], np.empty((0, 2, 3))])
def test_bad_views_are_refused(q):
    with pytest.raises(ValueError, match="q_views must be finite"):
        diagnostics.view_disagreement(q)


def gaussian(x: np.ndarray, mean: float, sd: float) -> np.ndarray:
    """The normal density."""
    return np.exp(-(((x - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))


@pytest.mark.parametrize(("gap", "share"), [(3, 0.5), (4, 0.5), (6, 0.5), (4, 0.25), (6, 0.25)])
def test_valley_of_two_gaussians_is_that_of_their_density(gap, share):
    rng, n, d = np.random.default_rng(2), 20_000, 5
    direction = rng.normal(size=d)
    direction *= gap / np.linalg.norm(direction)
    z_a, z_b = rng.normal(size=(int(n * share), d)), rng.normal(size=(n - int(n * share), d)) + direction
    width = np.sqrt(1 + n**-0.4)  # the density, smoothed as the estimate is
    places = np.linspace(0, gap, 100_001)
    density = share * gaussian(places, 0, width) + (1 - share) * gaussian(places, gap, width)
    low = density[1000:-1000].argmin() + 1000
    expected = density[low] / min(density[:low].max(), density[low:].max())
    assert diagnostics.valley(z_a, z_b) == pytest.approx(expected, abs=0.04)
    assert diagnostics.valley(z_a, z_b) == pytest.approx(diagnostics.valley(z_b, z_a), abs=1e-9)
    moved = [3 * z + 7 for z in (z_a, z_b)]
    assert diagnostics.valley(*moved) == pytest.approx(diagnostics.valley(z_a, z_b))


def test_one_heap_cut_in_two_has_no_valley():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(5000, 4)) * [3, 1, 1, 1]
    for cut in (0, 1.5):
        assert diagnostics.valley(z[z[:, 0] < cut], z[z[:, 0] >= cut]) > 0.95
    assert diagnostics.valley(rng.normal(size=(5000, 4)), rng.normal(size=(5000, 4)) + 1) > 0.95  # one mode up to gap 2


def mean_valley(small: int, gap: float = 0, thin: bool = False) -> float:
    """Mean valley between 700 points and ``small`` more, which lie ``gap`` away or are cut off the edge of one heap."""
    rng, found = np.random.default_rng(5), []
    for _ in range(60):
        z = rng.normal(size=(700 + small, 2))
        z = z + np.outer(np.arange(len(z)) >= 700, [gap, 0]) if gap else z[z[:, 0].argsort()]
        large = rng.permutation(z[:700])
        found.append(diagnostics.valley(large[:small] if thin else large, z[700:]))
    return float(np.mean(found))


def test_valley_is_filled_by_the_tail_of_a_larger_group_as_its_docstring_says():
    for gap, expected in {4: (0.30, 0.65, 0.71), 6: (0.03, 0.06, 0.06)}.items():
        for small, value in zip((700, 70, 11), expected, strict=True):
            assert mean_valley(small, gap) == pytest.approx(value, abs=0.08)
    for small, value in {700: 0.30, 70: 0.34, 11: 0.37}.items():  # as many points of each
        assert mean_valley(small, gap=4, thin=True) == pytest.approx(value, abs=0.08)
    assert mean_valley(11) == pytest.approx(1, abs=0.01) and mean_valley(11, thin=True) < 0.6


def test_density_between_integrates_to_the_share_between_the_centres():
    rng = np.random.default_rng(4)
    z_a, z_b = rng.normal(size=(8000, 1)), rng.normal(size=(8000, 1)) + 8
    places, density = diagnostics.density_between(z_a, z_b)
    assert places[0] == 0 and places[-1] == 1 and len(places) == len(density) == 101
    assert np.trapezoid(density, places) == pytest.approx(0.5, abs=0.01)
    loop = [np.mean((z_a > z_a.mean()) & (z_a < z_b.mean())), np.mean((z_b < z_b.mean()) & (z_b > z_a.mean()))]
    assert np.trapezoid(density, places) == pytest.approx(np.mean(loop), abs=0.01)


def test_valley_of_single_points_and_of_copies():
    assert diagnostics.valley([[0.0]], [[1.0]]) == pytest.approx(0, abs=1e-12)
    assert diagnostics.valley([[0.0, 1.0]] * 9, [[2.0, 1.0]] * 3) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("z_a", "z_b", "words"),
    [
        ([0.0, 1.0], [[1.0]], "z_a must be finite and (n, d)"),
        ([[0.0]], np.empty((0, 1)), "z_b must be finite"),
        ([[np.nan]], [[1.0]], "z_a must be finite"),
        ([[0.0]], [[1.0, 2.0]], "z_a has 1 features but z_b has 2"),
        ([[0.0], [2.0]], [[1.0]], "same centre"),
    ],
)
def test_bad_groups_are_refused_by_name(z_a, z_b, words):
    with pytest.raises(ValueError) as error:
        diagnostics.valley(z_a, z_b)
    assert words in str(error.value)

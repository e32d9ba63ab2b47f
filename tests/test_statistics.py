"""Statistics of a few seeds: against brute force over all signs, sets and picks, and on bad input."""

import itertools

import numpy as np
import pytest

from dclib import statistics


def test_pairs_are_matched_by_seed():
    first = [{"seed": seed, "acc": acc, "nmi": acc / 2} for seed, acc in ((0, 0.1), (1, 0.2), (5, 0.3))]
    second = [{"seed": seed, "acc": acc, "nmi": acc / 2} for seed, acc in ((5, 0.9), (0, 0.4), (1, 0.6))]
    assert statistics.paired_differences(first, second) == pytest.approx([0.3, 0.4, 0.6])
    assert statistics.paired_differences(first, second, "nmi") == pytest.approx([0.15, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"\[0, 1, 5\] and \[0, 1\]"):
        statistics.paired_differences(first, second[1:])


@pytest.mark.parametrize("m", range(1, 9))
def test_sign_flip_test_counts_all_signs(m):
    rng = np.random.default_rng(m)
    for d in (rng.normal(size=m), rng.integers(-3, 4, m), np.abs(rng.normal(size=m)), np.full(m, 0.1)):
        sums = [
            sum(s * x for s, x in zip(signs, d.tolist(), strict=True)) for signs in itertools.product((1, -1), repeat=m)
        ]
        assert statistics.sign_flip_test(d) == np.mean([abs(v) >= abs(sum(d.tolist())) - 1e-12 for v in sums])
        assert statistics.sign_flip_test(d) >= 2 / 2**m


def test_sign_flip_test_of_what_is_clear_by_hand():
    assert statistics.sign_flip_test([1, 2, 3, 4, 5]) == 1 / 16
    assert statistics.sign_flip_test([3, 2, 1, -1, 2]) == 6 / 32
    assert statistics.sign_flip_test([0, 0]) == statistics.sign_flip_test([1, -1]) == 1
    assert statistics.sign_flip_test(np.full(5, 0.1)) == statistics.sign_flip_test(np.full(5, 1e-9)) == 1 / 16


@pytest.mark.parametrize("d", [[], [[1.0]], [1.0, np.nan], [1.0] * 17])
def test_sign_flip_test_refuses_what_it_can_not_count(d):
    with pytest.raises(ValueError, match="1 to 16"):
        statistics.sign_flip_test(d)


@pytest.mark.parametrize("k", range(1, 7))
def test_holm_is_bonferroni_on_every_set_of_tests_that_may_be_void(k):
    rng = np.random.default_rng(k)
    for p in (rng.random(k), rng.integers(0, 4, k) / 40, np.full(k, 0.0625)):  # the last two with ties
        sets = [group for size in range(1, k + 1) for group in itertools.combinations(range(k), size)]
        worst = [max(min(1, len(group) * p[list(group)].min()) for group in sets if i in group) for i in range(k)]
        assert statistics.holm(p) == pytest.approx(worst)


def test_holm_by_hand():
    assert statistics.holm([0.03, 0.01, 0.04]) == pytest.approx([0.06, 0.03, 0.06])


@pytest.mark.parametrize("p", [[], [[0.1]], [0.1, np.nan], [1.1], [-0.1]])
def test_holm_refuses_what_is_no_p_value(p):
    with pytest.raises(ValueError, match="from 0 to 1"):
        statistics.holm(p)


@pytest.mark.parametrize("k", range(1, 8))
def test_expected_best_is_the_mean_over_all_picks(k):
    scores = np.random.default_rng(1).integers(0, 5, 7) / 5  # with ties
    picks = [max(pick) for pick in itertools.combinations(scores, k)]
    assert statistics.expected_best(scores, k) == pytest.approx(np.mean(picks))


@pytest.mark.parametrize("k", [0, 4, -1])
def test_expected_best_needs_enough_runs(k):
    with pytest.raises(ValueError, match=f"k is {k}"):
        statistics.expected_best([0.1, 0.2, 0.3], k)


def test_mean_ranks_and_nemenyis_difference():
    table = [[0.9, 0.8, 0.8], [0.5, 0.7, 0.6]]
    np.testing.assert_allclose(statistics.mean_ranks(table), [2, 1.75, 2.25])
    assert statistics.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)  # Demšar (2006, section 3.2.3)
    assert statistics.critical_difference(5, 30) < statistics.critical_difference(5, 7)
    rng = np.random.default_rng(0)
    assert statistics.friedman(rng.random((6, 4))) > 0.01 > statistics.friedman(np.arange(4) + rng.random((6, 4)) / 9)
    for bad in ([0.5, 0.6], [[]], [[0.5, np.nan]]):
        with pytest.raises(ValueError, match="table of finite numbers"):
            statistics.mean_ranks(bad)

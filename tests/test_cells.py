"""Simulated cells: moments, shares, dropout and batches are what was asked for; a seed repeats."""

from dataclasses import replace

import numpy as np
import pytest

from dclib.cells import TISSUE, Tissue, dropout_probability, factors_of_types, gamma_poisson, gene_means

RNG = np.random.default_rng


def test_gamma_poisson_counts_have_the_mean_and_variance_of_a_negative_binomial():
    drawn = gamma_poisson(RNG(0), np.full(400_000, 5.0), 2.0)
    assert drawn.mean() == pytest.approx(5, rel=0.02) and drawn.var() == pytest.approx(5 + 25 / 2, rel=0.03)
    assert (drawn == 0).mean() == pytest.approx((2 / 7) ** 2, rel=0.03)


def test_gene_means_are_those_of_splatter():
    means = gene_means(RNG(0), 200_000, outliers=0.0)
    assert means.mean() == pytest.approx(2, rel=0.02) and means.var() == pytest.approx(0.6 / 0.09, rel=0.05)
    some = gene_means(RNG(0), 200_000, outliers=0.1)
    assert (some > 20 * np.median(means)).mean() == pytest.approx(0.1, abs=0.02)


def test_a_share_of_the_genes_differs_up_and_down():
    factors = factors_of_types(RNG(0), 4, 50_000, 0.2, 0.5)
    changed = factors != 1
    assert changed.mean() == pytest.approx(0.2, abs=0.01)
    assert (factors[changed] > 1).mean() == pytest.approx(0.5, abs=0.01)
    logs = np.abs(np.log(factors[changed]))
    assert (logs**2).mean() == pytest.approx(0.25 + 0.01, rel=0.03)


def test_dropout_takes_a_half_at_the_midpoint_and_less_above():
    assert dropout_probability(np.exp(1.5), 1.5) == pytest.approx(0.5)
    found = dropout_probability(np.array([0.0, 0.1, 1.0, 100.0]), 0.0)
    assert found[0] == 1 and (np.diff(found) < 0).all() and found[-1] < 0.02


def test_a_tissue_has_what_was_asked_for():
    cells = replace(TISSUE, n_batches=2).draw(4_000, seed=1)
    assert cells.counts.shape == (4_000, TISSUE.n_genes) and len(cells) == 4_000
    np.testing.assert_allclose(np.bincount(cells.types) / 4_000, TISSUE.shares, atol=0.03)
    assert np.median(cells.counts.sum(axis=1)) == pytest.approx(TISSUE.depth, rel=0.05)
    assert np.log(cells.counts.sum(axis=1)).std() == pytest.approx(TISSUE.depth_spread, rel=0.1)
    first, second = (cells.counts[cells.batches == b].mean(axis=0) for b in (0, 1))
    there = (first > 0.5) & (second > 0.5)
    assert np.log(first[there] / second[there]).std() == pytest.approx(TISSUE.batch_scale, rel=0.25)


def test_a_seed_repeats_and_dropout_changes_only_what_is_lost():
    first, again, other = (TISSUE.draw(50, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.counts, again.counts)
    assert (first.counts != other.counts).any()
    lossy = replace(TISSUE, dropout=1.0).draw(50, seed=3)
    np.testing.assert_array_equal(lossy.true_counts, first.counts)
    lost = lossy.counts != lossy.true_counts
    assert lost.any() and (lossy.counts[lost] == 0).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(shares=(0.5, 0.4)), r"shares=\(0.5, 0.4\).*add up to 1"),
        (dict(shares=()), "shares"),
        (dict(n_genes=0), "n_genes=0.*>= 1"),
        (dict(bcv=0.0), "bcv=0.0.*> 0"),
        (dict(depth=-1.0), "depth=-1.0"),
        (dict(de_share=1.5), "de_share=1.5.*0 to 1"),
        (dict(batch_scale=-0.1), "batch_scale=-0.1"),
    ],
)
def test_what_cannot_be_drawn_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        Tissue(**change)


def test_no_cell_is_refused():
    with pytest.raises(ValueError, match="n_cells=0"):
        TISSUE.draw(0)

"""k-Shape: against loops, random directions and another package, and on shapes at random places."""

import numpy as np
import pytest

from dclib.baselines import KShape
from dclib.metrics import clustering_accuracy
from dclib.sequences import standardised
from dclib.shapes import aligned, k_shape, shape_of


def walks(n: int, n_steps: int, n_channels: int, seed: int = 0) -> np.ndarray:
    return standardised(np.random.default_rng(seed).normal(size=(n, n_steps, n_channels)).cumsum(axis=1))


def correlation_at(x: np.ndarray, mu: np.ndarray, shift: int) -> float:
    """The sum of x[t + shift] · mu[t], by a loop."""
    return sum(float(x[t + shift] @ mu[t]) for t in range(len(x)) if 0 <= t + shift < len(x))


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("n_steps", [1, 2, 9, 12])
def test_distances_and_moves_are_those_of_a_loop_over_shifts(n_steps, n_channels):
    x = walks(20, n_steps, n_channels) + (n_steps == 1)
    moved, apart = aligned(x, x[0])
    for series, own, found in zip(x, moved, apart, strict=True):
        best = max(correlation_at(series, x[0], shift) for shift in range(1 - n_steps, n_steps))
        assert np.isclose(1 - found, best / np.linalg.norm(series) / np.linalg.norm(x[0]))
        assert np.isclose((own * x[0]).sum(), best), "moved to the best place, zeros come in"


def test_distances_are_those_of_tslearn():
    metrics = pytest.importorskip(
        "tslearn.metrics.cycc", reason="tslearn is not installed: pip install 'dclib[series]'"
    )
    x = walks(12, 30, 2)
    norms = np.linalg.norm(x, axis=(1, 2))
    theirs = 1 - metrics.cdist_normalized_cc(x, x[:3], norms1=norms, norms2=norms[:3], self_similarity=False)
    assert np.allclose(np.stack([aligned(x, mu)[1] for mu in x[:3]], axis=1), theirs)


def test_no_direction_correlates_better_than_the_centroid():
    rng, x = np.random.default_rng(1), walks(25, 15, 2)
    found = shape_of(x, x[0])
    moved = standardised(aligned(x, x[0])[0])
    others = standardised(rng.normal(size=(2_000, 15, 2)))
    for channel in range(2):
        squares = ((moved[..., channel] @ others[..., channel].T) ** 2).sum(axis=0)
        assert squares.max() <= ((moved[..., channel] @ found[:, channel]) ** 2).sum()
        assert (moved[..., channel] @ found[:, channel]).sum() > 0, "upright, not upside down"


def test_shapes_are_found_wherever_they_are_and_however_tall():
    rng = np.random.default_rng(0)
    n, t = 120, np.arange(80)
    y, at, gain = np.arange(n) % 3, rng.integers(15, 45, (n, 1)), np.exp(rng.normal(size=(n, 1)))
    u = (t - at) / 20
    form = np.choose(y[:, None], [np.sin(2 * np.pi * u), u, 1 - np.abs(2 * u - 1)]) * ((u >= 0) & (u <= 1))
    x = gain * (form + 0.05 * rng.normal(size=form.shape)) + rng.normal(size=(n, 1))
    model = KShape(3, random_state=0).fit(x)
    assert clustering_accuracy(y, model.labels_) > 0.95
    again = KShape(3, random_state=0).fit(7 * x - 2)
    assert (again.labels_ == model.labels_).all()


def test_awkward_sequences():
    flat = np.zeros((10, 8))
    assert KShape(3, random_state=0).fit(flat).labels_.shape == (10,)
    mixed = np.concatenate([flat, walks(10, 8, 1)[..., 0]])
    assert np.isfinite(k_shape(standardised(mixed)[..., None], 4, np.random.default_rng(0))[0])
    assert len({*KShape(5, random_state=0).fit(walks(5, 8, 1)).labels_.tolist()}) == 5, "as many as there are"
    unequal = [np.sin(np.arange(k) / 3) for k in (9, 12, 20, 30)]
    assert KShape(2, random_state=0).fit(unequal).labels_.shape == (4,)

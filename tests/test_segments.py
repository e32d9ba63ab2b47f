"""Segmentation: points, superpixels, cuts, losses and scores against plain loops, brute force and autograd."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from scipy.linalg import eigh
from sklearn.metrics import adjusted_rand_score

from dclib import segments

color = pytest.importorskip("skimage.color")
rng = np.random.default_rng(0)
halves = np.repeat([[0, 0, 0, 1, 1, 1]], 5, axis=0)


def picture(height: int = 20, width: int = 30) -> np.ndarray:
    """A red and a green half, with a little noise."""
    image = np.full((height, width, 3), 0.1)
    image[:, : width // 2, 0] = image[:, width // 2 :, 1] = 0.8
    return np.clip(image + rng.normal(0, 0.02, image.shape), 0, 1)


def test_points_are_lab_and_weighted_places():
    image = picture()
    x = segments.colour_and_place(image, 2.0).reshape(20, 30, 5)
    assert np.allclose(x[:, :, :3], color.rgb2lab(image)) and x[3, 7, 3:].tolist() == [6, 14]
    assert segments.colour_and_place(image).shape == (600, 3)
    with pytest.raises(ValueError, match=r"shape \(20, 30\)"):
        segments.colour_and_place(image[:, :, 0])
    with pytest.raises(ValueError, match="weight=-1"):
        segments.colour_and_place(image, -1)


def test_a_wide_window_sees_every_centre_and_a_narrow_one_none_beyond_it():
    x = segments.colour_and_place(picture(), 2.0).reshape(20, 30, 5)
    centres = x[2::5, 2::5].reshape(-1, 5)
    nearest = np.square(x[:, :, None] - centres).sum(axis=-1).argmin(axis=-1)
    assert (segments.nearest_in_window(x, centres, 100.0, 200.0) == nearest).all()
    won = segments.nearest_in_window(x, centres, 5.0, 10.0)
    apart = np.abs(x[:, :, 3:] - centres[won][:, :, 3:]).max(axis=-1) / 2
    assert apart.max() <= 5


def test_superpixels_do_not_leak_over_a_clear_border():
    pieces = segments.slic(picture(), 24)
    sides = np.arange(30) < 15
    assert 15 <= len(np.unique(pieces)) <= 30
    assert not set(np.unique(pieces[:, sides])) & set(np.unique(pieces[:, ~sides]))


def test_means_and_neighbours_of_regions():
    labels = np.array([[0, 0, 1], [2, 2, 1]])
    x = np.arange(12.0).reshape(2, 3, 2)
    assert segments.region_means(x, labels)[2].tolist() == x[1, :2].mean(axis=0).tolist()
    assert segments.touching(labels).tolist() == [[False, True, True], [True, False, True], [True, True, False]]
    assert not segments.touching(np.array([[0, 1, 2]]))[0, 2]


def test_the_relaxed_cut_is_bounded_and_finds_the_best_partition_of_a_small_graph():
    points = rng.normal(size=(8, 2)) * 0.5 + np.repeat([[0, 0], [4, 0]], 4, axis=0)
    w = segments.similarity(points, ~np.eye(8, dtype=bool))
    d = np.diag(w.sum(axis=1))
    every = [np.array(p) for p in product(range(2), repeat=8) if len(set(p)) == 2]
    best = min(every, key=lambda labels: segments.ncut(w, labels))
    assert adjusted_rand_score(best, segments.normalized_cut(w, 2)) == 1
    assert eigh(d - w, d)[0][:2].sum() <= segments.ncut(w, best)
    with pytest.raises(ValueError, match="n_clusters=9"):
        segments.normalized_cut(w, 9)


def test_ncut_by_hand():
    w = np.array([[0, 2, 1, 0], [2, 0, 0, 0], [1, 0, 0, 3], [0, 0, 3, 0]], dtype=float)
    assert segments.ncut(w, np.array([0, 0, 1, 1])) == pytest.approx(1 / 5 + 1 / 7)


def test_losses_are_those_of_plain_loops_and_the_gradient_is_the_formula():
    r = torch.randn(1, 4, 3, 5, generator=torch.manual_seed(1)).double().requires_grad_()
    v = r.detach()[0]
    sim = -torch.stack([v[:, i, j].log_softmax(0).max() for i, j in product(range(3), range(5))]).mean()
    down = torch.stack([(v[:, i + 1, j] - v[:, i, j]).abs() for i, j in product(range(2), range(5))]).mean()
    across = torch.stack([(v[:, i, j + 1] - v[:, i, j]).abs() for i, j in product(range(3), range(4))]).mean()
    assert torch.allclose(segments.similarity_loss(r), sim)
    assert torch.allclose(segments.continuity_loss(r), down + across)
    segments.similarity_loss(r).backward()
    own = torch.nn.functional.one_hot(v.argmax(0), 4).permute(2, 0, 1)
    assert torch.allclose(r.grad[0], (v.softmax(0) - own) / 15)


def test_the_network_finds_two_clear_halves_and_repeats():
    image, seen = picture(), []
    found = segments.cluster_pixels(
        image, steps=30, mu=5, p=16, min_labels=1, watch=lambda step, labels, *losses: seen.append((step, *losses))
    )
    inner = found[3:-3, 3:-3]
    assert (inner[:, :8] == inner[0, 0]).mean() > 0.9 and inner[10, 3] != inner[10, -3]
    assert (found == segments.cluster_pixels(image, steps=30, mu=5, p=16, min_labels=1)).all()
    assert len(seen) == 30 and seen[-1][1] < seen[0][1]
    stopped = []
    segments.cluster_pixels(image, steps=9, p=16, min_labels=16, watch=lambda step, *rest: stopped.append(step))
    assert stopped == [0]
    with pytest.raises(ValueError, match="steps=0"):
        segments.cluster_pixels(image, steps=0)


def test_frozen_maps_are_rows_of_length_one_a_stage():
    pytest.importorskip("efficientnet_lite_pytorch")
    maps = segments.frozen_maps(picture(32, 48), (2, 3))
    assert maps.shape == (32, 48, 24 + 40)
    assert np.linalg.norm(maps[::8, ::8, :24], axis=-1).max() <= 1.001


def test_merged_regions_are_connected_and_as_many_as_asked():
    from scipy.ndimage import label

    image = picture()
    merged = segments.merged_regions(image, segments.slic(image, 24), 2)
    assert sorted(np.unique(merged)) == [0, 1] and all(label(merged == k)[1] == 1 for k in (0, 1))
    assert segments.matched_iou(merged, np.repeat([np.arange(30) >= 15], 20, axis=0)) > 0.95


def test_boundary_scores_against_a_loop_over_pixels():
    for seed in range(5):
        draw = np.random.default_rng(seed)
        one, other = draw.integers(0, 2, (2, 7, 6))
        edges = [np.argwhere(segments.boundary(of)) for of in (other, one)]
        gaps = np.linalg.norm(edges[0][:, None] - edges[1], axis=-1)
        wanted = [(gaps.min(axis=axis) <= 1).mean() for axis in (1, 0)]
        assert np.allclose(segments.boundary_scores(one, other, 1), wanted)


def test_boundary_scores_at_their_ends():
    assert segments.boundary_scores(halves, halves, 0) == (1, 1)
    assert segments.boundary_scores(np.zeros_like(halves), halves) == (0, 1)
    assert segments.boundary_scores(np.arange(30).reshape(5, 6), halves, 0)[0] == 1
    with pytest.raises(ValueError, match="tolerance=-1"):
        segments.boundary_scores(halves, halves, -1)


def test_matched_iou_is_the_best_of_all_pairings():
    draw = np.random.default_rng(3)
    true, found = draw.integers(0, 3, (2, 6, 6))

    def iou(t: int, f: int) -> float:
        return ((true == t) & (found == f)).sum() / ((true == t) | (found == f)).sum()

    best = max(sum(iou(t, f) for t, f in enumerate(p)) / 3 for p in permutations(range(3)))
    assert segments.matched_iou(found, true) == pytest.approx(best)
    assert segments.matched_iou(np.zeros_like(halves), halves) == pytest.approx(0.25)


@pytest.mark.parametrize("row", ["k-means on colour and place", "SLIC + normalized cut", "similarity alone"])
def test_a_row_of_the_study_is_measured(row):
    from benchmarks import segmentation

    scores = segmentation.measure(row, "mosaic", 100, 24)
    assert set(scores) == {"iou", "recall", "precision", "labels"} and min(scores.values()) >= 0
    assert len(set(segmentation.RUNS)) == len(segmentation.RUNS)

"""Tests of dclib.metrics: against scikit-learn, brute force, explicit loops, and on bad input."""

from itertools import combinations, pairwise, permutations, product

import numpy as np
import pytest
from sklearn import metrics as peer

from dclib import metrics

AVERAGES = ("arithmetic", "geometric", "min", "max")
SCORES = (metrics.clustering_accuracy, metrics.purity, metrics.mutual_information, metrics.nmi, metrics.ari)


def random_pairs(n_cases: int, most: int = 60, seed: int = 0):
    """Pairs of labellings of all shapes: from independent to equal, from one group to all singletons."""
    rng = np.random.default_rng(seed)
    for _ in range(n_cases):
        n = int(rng.integers(1, most))
        y = rng.integers(0, rng.integers(1, n + 1), n)
        labels = np.where(rng.random(n) < rng.random(), y, rng.integers(-1, rng.integers(0, n + 1), n))
        yield y, labels


def brute_force_accuracy(y, labels) -> float:
    """The best share in agreement over every one-to-one map, clusters left over meaning nothing."""
    classes, clusters = np.unique(y).tolist(), np.unique(labels).tolist()
    targets = classes + [None] * max(len(clusters) - len(classes), 0)
    best = 0
    for target in permutations(targets, len(clusters)):
        rename = dict(zip(clusters, target, strict=True))
        best = max(best, sum(rename[c] == k for k, c in zip(np.asarray(y).tolist(), labels.tolist(), strict=True)))
    return best / len(y)


@pytest.mark.parametrize("average", AVERAGES)
def test_nmi_equals_scikit_learn(average):
    for y, labels in random_pairs(400):
        expected = peer.normalized_mutual_info_score(y, labels, average_method=average)
        assert metrics.nmi(y, labels, average) == pytest.approx(expected, abs=1e-12)


def test_ari_equals_scikit_learn():
    for y, labels in random_pairs(600):
        assert metrics.ari(y, labels) == pytest.approx(peer.adjusted_rand_score(y, labels), abs=1e-15)


def test_mutual_information_and_table_equal_scikit_learn():
    for y, labels in random_pairs(300):
        assert metrics.mutual_information(y, labels) == pytest.approx(peer.mutual_info_score(y, labels), abs=1e-12)
        counts, classes, clusters = metrics.contingency(y, labels)
        assert np.array_equal(counts, peer.cluster.contingency_matrix(y, labels))
        assert counts.dtype == np.int64 and counts.sum() == len(y)
        assert np.array_equal(classes, np.unique(y)) and np.array_equal(clusters, np.unique(labels))


def test_entropy_against_the_sum():
    assert metrics.entropy([0, 0, 1, 1]) == pytest.approx(np.log(2))
    assert metrics.entropy(["a"] * 5) == 0.0 and str(metrics.entropy([3])) == "0.0"
    assert metrics.entropy(range(8)) == pytest.approx(np.log(8))


def test_ari_equals_a_loop_over_all_pairs():
    for y, labels in random_pairs(60, most=25, seed=1):
        together = in_class = in_cluster = total = 0
        for i, j in combinations(range(len(y)), 2):
            total += 1
            in_class += y[i] == y[j]
            in_cluster += labels[i] == labels[j]
            together += y[i] == y[j] and labels[i] == labels[j]
        chance = in_class * in_cluster / total if total else 0
        most = (in_class + in_cluster) / 2
        expected = 1.0 if together == in_class == in_cluster else (together - chance) / (most - chance)
        assert metrics.ari(y, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n_classes", "n_clusters"), list(product(range(1, 7), range(1, 7))))
def test_accuracy_equals_brute_force_over_all_maps(n_classes, n_clusters):
    rng = np.random.default_rng(10 * n_classes + n_clusters)
    for _ in range(3):
        n = 20
        y = rng.permutation(np.r_[np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
        labels = rng.permutation(np.r_[np.arange(n_clusters), rng.integers(0, n_clusters, n - n_clusters)])
        assert metrics.clustering_accuracy(y, labels) == pytest.approx(brute_force_accuracy(y, labels))


def test_the_best_map_is_not_the_greedy_one():
    y, labels = [0] * 7 + [1] * 3, [0] * 4 + [1] * 3 + [0] * 3
    assert metrics.clustering_accuracy(y, labels) == 0.6
    assert metrics.purity(y, labels) == 0.7


@pytest.mark.parametrize("score", SCORES)
def test_only_the_partition_counts(score):
    rng = np.random.default_rng(2)
    for y, labels in random_pairs(40, seed=3):
        order = rng.permutation(len(y))
        names = rng.permutation(np.unique(labels).size)[np.unique(labels, return_inverse=True)[1]]
        words = np.array([f"cluster {c}" for c in labels])
        before = score(y, labels)
        assert score(y[order], labels[order]) == pytest.approx(before, abs=1e-12)
        assert score(y, names) == pytest.approx(before, abs=1e-12)
        assert score(y.astype(str), words) == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize("score", [s for s in SCORES if s is not metrics.purity])
def test_symmetric_in_classes_and_clusters(score):
    for y, labels in random_pairs(60, seed=4):
        assert score(y, labels) == pytest.approx(score(labels, y), abs=1e-12)


def test_a_relabelled_truth_is_perfect():
    rng = np.random.default_rng(5)
    for y, _ in random_pairs(60, seed=5):
        renamed = rng.permutation(y.max() + 1)[y]
        assert metrics.clustering_accuracy(y, renamed) == 1
        assert metrics.ari(y, renamed) == 1 and metrics.purity(y, renamed) == 1
        assert metrics.nmi(y, renamed) == pytest.approx(1, abs=1e-12)
        assert np.array_equal(metrics.match_labels(y, renamed), y)


def test_one_cluster_scores_the_largest_class():
    y = np.repeat([0, 1, 2], [5, 3, 2])
    assert metrics.evaluate(y, np.zeros(10, int)) == {"acc": 0.5, "nmi": 0.0, "ari": 0.0}


def test_bounds_and_orders():
    for y, labels in random_pairs(300, seed=6):
        acc, pure = metrics.clustering_accuracy(y, labels), metrics.purity(y, labels)
        assert 0 < acc <= pure <= 1
        scores = [metrics.nmi(y, labels, average) for average in ("min", "geometric", "arithmetic", "max")]
        assert all(0 <= s <= 1 for s in scores)
        assert all(a >= b - 1e-12 for a, b in pairwise(scores))
        assert metrics.mutual_information(y, labels) <= min(metrics.entropy(y), metrics.entropy(labels)) + 1e-12


def test_purity_never_falls_when_a_cluster_is_split():
    rng = np.random.default_rng(7)
    for y, labels in random_pairs(60, seed=7):
        split = labels * 2 + rng.integers(0, 2, len(y))
        assert metrics.purity(y, split) >= metrics.purity(y, labels)
    assert metrics.purity(y, np.arange(len(y))) == 1


@pytest.mark.parametrize(
    ("y", "labels", "nmi", "ari"),
    [
        ([0], [0], 1, 1),
        ([0, 0, 0], [1, 1, 1], 1, 1),
        ([0, 0, 0], [0, 1, 2], 0, 0),
        ([0, 1, 2], [0, 0, 0], 0, 0),
        ([0, 1, 2], [2, 0, 1], 1, 1),
        ([0, 0, 1, 1], [0, 1, 0, 1], 0, -0.5),
    ],
)
def test_edges_follow_scikit_learn(y, labels, nmi, ari):
    for average in AVERAGES:
        assert metrics.nmi(y, labels, average) == pytest.approx(nmi)
        assert peer.normalized_mutual_info_score(y, labels, average_method=average) == pytest.approx(nmi)
    assert metrics.ari(y, labels) == ari == peer.adjusted_rand_score(y, labels)


def test_a_million_points_do_not_overflow():
    rng = np.random.default_rng(8)
    y = rng.integers(0, 3, 1_000_000)
    labels = np.where(rng.random(y.size) < 0.9, y, 1)
    assert metrics.ari(y, labels) == pytest.approx(peer.adjusted_rand_score(y, labels), abs=1e-15)
    assert metrics.nmi(y, labels) == pytest.approx(peer.normalized_mutual_info_score(y, labels), abs=1e-10)
    sizes = metrics.count_pairs(np.array([1_000_000]))
    assert sizes * sizes > np.iinfo(np.int64).max  # the product that would have overflowed
    assert metrics.ari(y, np.zeros_like(y)) == 0


def test_many_singletons_need_no_square_table():
    y = np.repeat([0, 1], 50_000)
    assert metrics.purity(y, np.arange(y.size)) == 1
    assert metrics.clustering_accuracy(y, np.arange(y.size)) == pytest.approx(2e-5)
    assert metrics.ari(y, np.arange(y.size)) == 0


def test_noise_is_a_cluster_of_its_own():
    y, labels = np.repeat([0, 1], 6), np.array([0, 0, 0, -1, -1, -1, 1, 1, 1, -1, -1, -1])
    counts, _, clusters = metrics.contingency(y, labels)
    assert clusters.tolist() == [-1, 0, 1] and counts.tolist() == [[3, 3, 0], [3, 0, 3]]
    assert metrics.clustering_accuracy(y, labels) == 0.5
    assert metrics.coverage(labels) == 0.5
    assert metrics.ari(y, labels) == pytest.approx(peer.adjusted_rand_score(y, labels))


def test_match_labels_renames_and_keeps_surplus_apart():
    y = np.array([5, 5, 5, 7, 7, 7, 7, 7])
    labels = np.array([2, 2, 9, 0, 0, 0, 1, 3])
    found = metrics.match_labels(y, labels)
    assert found.tolist() == [5, 5, -3, 7, 7, 7, -1, -2]
    assert np.mean(found == y) == metrics.clustering_accuracy(y, labels)
    assert metrics.match_labels([-1, -1, 4], [0, 1, 2])[:2].min() == -2  # below the class called -1
    assert metrics.match_labels(["owl", "owl", "cat"], [0, 1, 2]).tolist() in (
        [["owl", "surplus 1", "cat"], ["surplus 1", "owl", "cat"]]
    )
    assert metrics.match_labels([True, True, False], ["a", "b", "c"]).tolist().count(-1) == 1


def test_match_labels_is_a_renaming_and_reaches_the_accuracy():
    for y, labels in random_pairs(200, seed=9):
        found = metrics.match_labels(y, labels)
        assert np.mean(found == y) == pytest.approx(metrics.clustering_accuracy(y, labels))
        assert peer.adjusted_rand_score(found, labels) == 1


def test_any_label_type_gives_the_same_scores():
    torch = pytest.importorskip("torch")
    y, labels = [0, 0, 1, 1, 2], [1, 1, 0, 0, 0]
    expected = metrics.evaluate(y, labels)
    for kind in (np.uint8, np.float32, object, str):
        assert metrics.evaluate(np.array(y, dtype=kind), np.array(labels, dtype=kind)) == expected
    assert metrics.evaluate(torch.tensor(y), tuple(labels)) == expected
    assert metrics.evaluate(["cat", "cat", "dog", "dog", "owl"], labels) == expected


@pytest.mark.parametrize("score", [*SCORES, metrics.evaluate, metrics.match_labels, metrics.contingency])
@pytest.mark.parametrize(
    ("y", "labels", "words"),
    [
        ([0, 1], [0, 1, 2], "y has 2 points but labels has 3"),
        ([], [], "y must be a vector of at least one label"),
        ([[0, 1]], [0, 1], "shape is (1, 2)"),
        ([0, 1], [[0.2, 0.8], [0.5, 0.5]], "labels must be a vector"),
        ([0, 1, 2], [0.0, np.nan, 1.0], "labels[1] is nan"),
        ([0, 1, 2], [0.0, 1.0, np.inf], "labels[2] is inf"),
        ([0.5, 1, 2], [0, 1, 2], "y[0] is 0.5"),
        (np.array(["a", None], dtype=object), [0, 1], "y[1] is None"),
        (np.array(["a", np.nan], dtype=object), [0, 1], "y[1] is nan"),
    ],
)
def test_bad_labels_are_refused_by_name(score, y, labels, words):
    with pytest.raises(ValueError) as error:
        score(y, labels)
    assert words in str(error.value)


def test_an_unknown_average_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="geometric"):
        metrics.nmi([0, 1], [0, 1], "geometrical")


def test_sizes_and_collapse():
    labels = np.repeat([4, 2, 8], [1, 6, 3])
    assert metrics.cluster_sizes(labels).tolist() == [6, 3, 1]
    assert metrics.cluster_sizes(labels, 5).tolist() == [6, 3, 1, 0, 0]
    with pytest.raises(ValueError, match="3 clusters, more than n_clusters=2"):
        metrics.cluster_sizes(labels, 2)
    assert metrics.effective_clusters(np.arange(7)) == pytest.approx(7)
    assert metrics.effective_clusters([1, 1, 1]) == 1
    assert 1 < metrics.effective_clusters(labels) < 3
    assert metrics.collapse([0] * 9, 4) == {"effective": 1.0, "empty": 3, "smallest": 0.0, "collapsed": True}
    assert metrics.collapse([0, 1, 2, 3], 4)["collapsed"] is False


def test_label_change():
    assert metrics.label_change([0, 1, 2, 3], [0, 1, 3, 3]) == 0.25
    with pytest.raises(ValueError, match="before has 1 points but after has 2"):
        metrics.label_change([0], [0, 1])


# --- views, and heaps ---


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
        np.testing.assert_allclose(metrics.view_disagreement(q), expected, atol=1e-12)


def test_view_disagreement_is_zero_only_where_views_agree():
    q = soft(np.random.default_rng(1), 1, 20, 4).repeat(3, axis=0)
    np.testing.assert_allclose(metrics.view_disagreement(q), 0, atol=1e-12)
    q[1, 7] = np.roll(q[1, 7], 1)
    assert np.flatnonzero(metrics.view_disagreement(q) > 1e-9).tolist() == [7]
    two = np.array([[[0.9, 0.1]], [[0.1, 0.9]]])
    assert metrics.view_disagreement(two) == pytest.approx(-np.log(0.6))  # Bhattacharyya: 2 √(0.9 · 0.1)
    assert metrics.view_disagreement([[[1, 0]], [[0, 1]]]) == np.inf


@pytest.mark.parametrize("q", [[0.5, 0.5], [[[0.5, np.nan]]], [[[-0.1, 1.1]]], np.empty((0, 2, 3))])
def test_bad_views_are_refused(q):
    with pytest.raises(ValueError, match="q_views must be finite"):
        metrics.view_disagreement(q)


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
    assert metrics.valley(z_a, z_b) == pytest.approx(expected, abs=0.04)
    assert metrics.valley(z_a, z_b) == pytest.approx(metrics.valley(z_b, z_a), abs=1e-9)
    moved = [3 * z + 7 for z in (z_a, z_b)]
    assert metrics.valley(*moved) == pytest.approx(metrics.valley(z_a, z_b))


def test_one_heap_cut_in_two_has_no_valley():
    rng = np.random.default_rng(3)
    z = rng.normal(size=(5000, 4)) * [3, 1, 1, 1]
    for cut in (0, 1.5):
        assert metrics.valley(z[z[:, 0] < cut], z[z[:, 0] >= cut]) > 0.95
    assert metrics.valley(rng.normal(size=(5000, 4)), rng.normal(size=(5000, 4)) + 1) > 0.95  # one mode up to gap 2


def test_density_between_integrates_to_the_share_between_the_centres():
    rng = np.random.default_rng(4)
    z_a, z_b = rng.normal(size=(8000, 1)), rng.normal(size=(8000, 1)) + 8
    places, density = metrics.density_between(z_a, z_b)
    assert places[0] == 0 and places[-1] == 1 and len(places) == len(density) == 101
    assert np.trapezoid(density, places) == pytest.approx(0.5, abs=0.01)
    loop = [np.mean((z_a > z_a.mean()) & (z_a < z_b.mean())), np.mean((z_b < z_b.mean()) & (z_b > z_a.mean()))]
    assert np.trapezoid(density, places) == pytest.approx(np.mean(loop), abs=0.01)


def test_valley_of_single_points_and_of_copies():
    assert metrics.valley([[0.0]], [[1.0]]) == pytest.approx(0, abs=1e-12)
    assert metrics.valley([[0.0, 1.0]] * 9, [[2.0, 1.0]] * 3) == pytest.approx(0, abs=1e-12)


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
        metrics.valley(z_a, z_b)
    assert words in str(error.value)

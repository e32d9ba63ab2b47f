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


def test_sizes():
    labels = np.repeat([4, 2, 8], [1, 6, 3])
    assert metrics.cluster_sizes(labels).tolist() == [6, 3, 1]
    assert metrics.cluster_sizes(labels, 5).tolist() == [6, 3, 1, 0, 0]
    with pytest.raises(ValueError, match="3 clusters, more than n_clusters=2"):
        metrics.cluster_sizes(labels, 2)
    assert metrics.effective_clusters(np.arange(7)) == pytest.approx(7)
    assert metrics.effective_clusters([1, 1, 1]) == 1
    assert 1 < metrics.effective_clusters(labels) < 3


def test_label_change():
    assert metrics.label_change([0, 1, 2, 3], [0, 1, 3, 3]) == 0.25
    with pytest.raises(ValueError, match="before has 1 points but after has 2"):
        metrics.label_change([0], [0, 1])

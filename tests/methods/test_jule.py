"""JULE: its triplets against a loop, its periods, the order of an epoch, and clusters merged over a whole run."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import JULE
from dclib.methods.jule import periods, triplet_loss
from dclib.metrics import cluster_sizes, clustering_accuracy, purity

X, Y = make_blobs(600, centers=5, n_features=8, random_state=1)
SMALL = {"hidden": (32,), "latent_dim": 16, "random_state": 0, "device": "cpu"}


@pytest.mark.parametrize(("margin", "weight"), [(0.2, 1.0), (0.5, 2.0), (0.0, 1.0)])
def test_the_loss_is_the_mean_over_triplets(margin, weight):
    torch.manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(12, 4, dtype=torch.float64), dim=1)
    labels, terms = torch.randint(3, (12,)), []
    for i in range(12):
        for j in range(i + 1, 12):
            for k in range(12):
                if labels[i] == labels[j] != labels[k]:
                    near, far = (z[i] - z[j]).square().sum(), (z[i] - z[k]).square().sum()
                    terms.append((weight * near - far + margin).clamp_min(0))
    torch.testing.assert_close(triplet_loss(z, labels, margin, weight), torch.stack(terms).mean())


def test_without_a_triplet_the_loss_is_zero_and_has_a_gradient():
    z = torch.randn(4, 3, requires_grad=True)
    for labels in (torch.zeros(4).long(), torch.arange(4)):
        loss = triplet_loss(z, labels, 0.2)
        loss.backward()
        assert float(loss) == 0 and not z.grad.any()


def test_periods_merge_a_share():
    assert periods(1000, 10, 0.9) == [100, 10]
    assert periods(1925, 10, 0.9) == [192, 19, 10]
    assert periods(12, 10, 0.2) == [10] and periods(10, 10, 0.9) == [] and periods(7, 1, 1.0) == [1]


def test_an_epoch_visits_each_point_once_and_has_clusters_in_groups():
    model = JULE(5, **SMALL)
    model._targets = torch.as_tensor(np.random.default_rng(0).integers(0, 40, 1000))
    torch.manual_seed(0)
    order = model.order(1000)
    assert order.sort().values.tolist() == list(range(1000))
    labels = model._targets[order]
    assert float((labels[1:] == labels[:-1]).float().mean()) > 0.5, "neighbours in the order share their cluster"
    assert not torch.equal(order, model.order(1000))


@pytest.fixture(scope="module")
def fitted():
    return JULE(5, **SMALL, pretrain_epochs=12).fit(X)


def test_clusters_are_merged_period_by_period_down_to_k(fitted):
    left = [int(record["clusters"]) for record in fitted.history_]
    n_first = int(fitted.first_.max()) + 1
    assert left[0] == n_first and left[-1] == 5 and sorted(left, reverse=True) == left
    assert sorted(set(left), reverse=True) == [n_first, *periods(n_first, 5, 0.9)]
    assert len(fitted.merges_) == n_first - 5


def test_merges_replay_to_what_was_merged(fitted):
    head = np.arange(fitted.first_.max() + 1)
    for a, b in fitted.merges_:
        head[head == b] = a
    assert len({*zip(head[fitted.first_], fitted.merged_, strict=True)}) == 5
    assert purity(Y, fitted.first_) >= purity(Y, fitted.merged_), "merging can only mix"


def test_easy_groups_are_found_and_new_points_go_to_the_nearest(fitted):
    assert clustering_accuracy(Y, fitted.labels_) > 0.97
    assert np.mean(fitted.labels_ == fitted.merged_) > 0.97
    np.testing.assert_array_equal(fitted.predict(X[:50]), fitted.labels_[:50])
    np.testing.assert_allclose(np.linalg.norm(fitted.transform(X), axis=1), 1, atol=1e-5)


def test_a_short_run_still_ends_with_k_clusters():
    model = JULE(5, **SMALL, pretrain_epochs=1).fit(X)
    assert len(np.unique(model.merged_)) == 5 and model.centroids_.shape == (5, 16)


def test_points_far_out_take_a_place_unless_small_clusters_do_not_count():
    rng = np.random.default_rng(0)
    x = np.concatenate([X[:200], 200 * np.eye(8)[:3].repeat(3, axis=0) + rng.standard_normal((9, 8))])
    fits = [JULE(5, **SMALL, pretrain_epochs=12, count_small=counts).fit(x) for counts in (True, False)]
    smallest = [int(cluster_sizes(model.merged_).min()) for model in fits]
    assert smallest[0] <= 9 and smallest[1] > 20
    assert (
        clustering_accuracy(Y[:200], fits[1].merged_[:200]) > 0.95 > clustering_accuracy(Y[:200], fits[0].merged_[:200])
    )


def test_groups_as_small_as_a_neighbourhood_want_to_be_counted():
    x, y = make_blobs([950, 25, 25], n_features=8, random_state=0)
    found = [JULE(3, random_state=0, device="cpu", count_small=counts).fit(x).labels_ for counts in (True, False)]
    assert clustering_accuracy(y, found[0]) > 0.99 > 0.8 > clustering_accuracy(y, found[1])

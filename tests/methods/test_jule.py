"""JULE: its triplets against a loop, its periods, the order of an epoch, and clusters merged over a whole run."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import JULE, load
from dclib.augment import RandomAffine
from dclib.methods.jule import periods, soft_cosine, triplet_loss
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


# -- fewer points merged, and a second phase ---------------------------------------------------------------------------

DIGITS = load("digits")
TURNED = {"augment": RandomAffine((8, 8)), "shape": (8, 8), "hidden": (8, 16), "random_state": 0, "device": "cpu"}


def test_answers_of_centroids_are_a_softmax_of_cosines():
    torch.manual_seed(0)
    z, centroids = torch.nn.functional.normalize(torch.randn(5, 3), dim=1), 4 * torch.randn(2, 3)
    cosines = torch.cosine_similarity(z[:, None], centroids, dim=2)
    torch.testing.assert_close(soft_cosine(z, centroids, 7.0), torch.softmax(7 * cosines, dim=1))
    opposite = torch.stack([centroids[0], -centroids[0]])
    assert float(soft_cosine(opposite[:1] / centroids[0].norm(), opposite)[0, 1]) < 3e-9


def test_points_that_are_not_drawn_are_not_learned_and_get_a_cluster():
    seen = []

    class Watched(JULE):
        def order(self, n):
            seen.append(super().order(n))
            return seen[-1]

    model = Watched(5, **SMALL, n_merged=200, pretrain_epochs=12).fit(X)
    drawn = np.flatnonzero(model.merged_ >= 0)
    assert len(drawn) == 200 and len(seen) == 12
    assert all(sorted(order.tolist()) == drawn.tolist() for order in seen)
    assert np.array_equal(np.flatnonzero(model.first_ >= 0), drawn) and set(model.labels_) == set(range(5))
    assert clustering_accuracy(Y, model.labels_) > 0.97
    every = JULE(5, **SMALL, pretrain_epochs=2, n_merged=10_000).fit(X)
    np.testing.assert_array_equal(every.labels_, JULE(5, **SMALL, pretrain_epochs=2).fit(X).labels_)


def test_steps_of_a_profile_are_epochs_of_the_points_that_are_merged():
    sizes = [JULE.for_data(DIGITS, "full", n_merged=n).pretrain_epochs for n in (None, 640)]
    assert sizes == [round(4_000 / 15), round(4_000 / 5)]


def test_two_views_that_agree_mend_what_was_merged_wrongly():
    found = {}

    class Watched(JULE):
        def information_loss(self, batch):
            assert not torch.equal(batch.view, batch.others[0])
            return super().information_loss(batch)

    for epochs in (0, 15):
        model = Watched(10, **TURNED, pretrain_epochs=20, information_epochs=epochs).fit(DIGITS.x)
        found[epochs] = clustering_accuracy(DIGITS.y, model.labels_)
    phases = [record["phase"] for record in model.history_]
    assert phases == ["pretrain"] * 20 + ["agree"] * 15
    gained = [-record["loss"] for record in model.history_[-15:]]
    assert gained[-1] > gained[0] + 0.2 and all(record["losses"].keys() == {"I"} for record in model.history_[-15:])
    assert found[15] > found[0]
    np.testing.assert_allclose(np.linalg.norm(model.centroids_, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal((model.transform(DIGITS.x) @ model.centroids_.T).argmax(axis=1), model.labels_)


def test_both_phases_go_on_where_a_run_broke_off(tmp_path):
    def stop_after(epochs, model):
        if len(model.history_) == epochs:
            raise KeyboardInterrupt

    how = {**TURNED, "n_merged": 500, "pretrain_epochs": 2, "information_epochs": 2}
    whole = JULE(10, **how).fit(DIGITS.x[:800])
    for epochs in (1, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            JULE(10, **how, checkpoint=tmp_path / "run", callback=partial(stop_after, epochs)).fit(DIGITS.x[:800])
        at: list[int] = []
        goes_on = {"checkpoint": tmp_path / "run", "callback": lambda model, at=at: at.append(len(model.history_))}
        resumed = JULE(10, **how, **goes_on).fit(DIGITS.x[:800])
        assert at[0] == epochs and at[-1] == 4
        np.testing.assert_array_equal(resumed.centroids_, whole.centroids_)
        assert resumed.transform(DIGITS.x).tobytes() == whole.transform(DIGITS.x).tobytes()
        np.testing.assert_array_equal(resumed.merged_, whole.merged_)


def test_what_a_second_phase_and_a_draw_need_is_said():
    with pytest.raises(ValueError, match="information_epochs needs augment"):
        JULE(5, **SMALL, information_epochs=1).fit(X)
    with pytest.raises(ValueError, match="n_merged=4 points make no n_clusters=5"):
        JULE(5, **SMALL, n_merged=4).fit(X)


def test_another_number_of_clusters_is_another_first_phase(tmp_path):
    found = [JULE(k, **SMALL, pretrain_epochs=4, pretrained=tmp_path).fit(X) for k in (5, 7)]
    assert [len(np.unique(model.merged_)) for model in found] == [5, 7] and len([*tmp_path.iterdir()]) == 2

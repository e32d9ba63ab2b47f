"""DeepCluster: whitening, k-means and its empty groups, the order of an epoch, both ways to merge, and a whole run."""

import math

import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from dclib import DeepCluster
from dclib.methods.deepcluster import MERGES, evenly, kmeans_pass, merged_by_ward, nearest_group, whitening_map
from dclib.metrics import clustering_accuracy, purity
from dclib.networks import mlp_features
from dclib.phases import adam, one_cycle
from dclib.training import descend, seeded, without_denormals

X, Y = make_blobs(600, centers=5, n_features=8, random_state=1)
SMALL = {"hidden": (32,), "latent_dim": 16, "pretrain_epochs": 8, "random_state": 0, "device": "cpu"}


def test_whitening_is_that_of_scikit_learn():
    z = torch.randn(200, 6, generator=torch.Generator().manual_seed(0)) @ torch.randn(6, 6)
    mean, axes = whitening_map(z, 4)
    v, wanted = ((z - mean) @ axes).numpy(), PCA(4, whiten=True).fit_transform(z.numpy())[:, ::-1]
    signs = np.sign((v * wanted).sum(axis=0))
    np.testing.assert_allclose(v, wanted * signs * np.sqrt(200 / 199), rtol=1e-3, atol=1e-2)
    turned = (z - mean) @ whitening_map(z, 6, whiten=False)[1]
    torch.testing.assert_close(torch.cdist(turned, turned), torch.cdist(z, z), rtol=1e-3, atol=1e-2)


def test_a_direction_without_variance_is_left_out():
    z = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2.0, 0.0])
    mean, axes = whitening_map(z, 3)
    v = (z - mean) @ axes
    assert v.isfinite().all() and v.std(dim=0).min() == 0


def test_a_pass_is_a_step_of_lloyd():
    points = torch.as_tensor(X)
    centroids = points[:7].clone()
    for _ in range(5):
        centroids = kmeans_pass(points, centroids)
    wanted = KMeans(7, init=X[:7], n_init=1, max_iter=5, tol=0, algorithm="lloyd").fit(X).cluster_centers_
    np.testing.assert_allclose(centroids.numpy(), wanted)


def test_a_group_without_a_point_takes_half_of_the_largest():
    points = torch.cat([torch.randn(90, 2) + 10, torch.randn(10, 2) - 10])
    start = torch.tensor([[10.0, 10.0], [-10.0, -10.0], [500.0, 500.0]])
    sizes = [
        torch.bincount(nearest_group(points, kmeans_pass(points, start, reseed)), minlength=3)
        for reseed in (True, False)
    ]
    assert sizes[0][2] > 20 and sizes[1][2] == 0 and sizes[0][1] == 10


@pytest.mark.parametrize("sizes", [[500, 30, 3], [7, 0, 100]])
def test_an_epoch_visits_all_groups_alike(sizes):
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))
    torch.manual_seed(0)
    order = evenly(labels, len(labels))
    visits = torch.bincount(labels[order], minlength=3)
    used = torch.tensor(sizes) > 0
    assert visits[used].max() - visits[used].min() <= 1 and not visits[~used].any()
    largest = order[labels[order] == int(np.argmax(sizes))]
    assert len(largest.unique()) == len(largest), "none twice where there are enough"
    rarest = order[labels[order] == int(np.argmin(np.where(sizes, sizes, 1000)))]
    counts = torch.bincount(rarest)[rarest.unique()]
    assert counts.max() - counts.min() <= 1, "each point of a small group as often as the next"
    assert not torch.equal(order, evenly(labels, len(labels)))


def test_ward_on_groups_of_one_is_that_of_scikit_learn():
    merged = merged_by_ward(torch.as_tensor(X[:120]), np.arange(120), 7)
    wanted = AgglomerativeClustering(7, linkage="ward").fit(X[:120]).labels_
    assert clustering_accuracy(wanted, merged) == 1


def test_ward_weighs_means_by_their_points():
    v = torch.tensor([[0.0], [1.0], [1.0], [1.0], [2.1]])
    assert merged_by_ward(v, np.array([0, 1, 1, 1, 2]), 2).tolist() in ([0, 0, 1], [1, 1, 0])
    near = torch.tensor([[0.0]] + [[1.0]] * 30 + [[2.0]] * 30 + [[2.9]])
    groups = np.array([0] + [1] * 30 + [2] * 30 + [3])
    assert merged_by_ward(near, groups, 2).tolist() in ([0, 0, 1, 1], [1, 1, 0, 0]), "the far single goes first"


@pytest.mark.parametrize("merge", MERGES)
def test_merging_joins_groups_and_cuts_none(merge):
    groups = KMeans(30, n_init=1, random_state=0).fit(X).labels_.astype(np.int64)
    cluster = MERGES[merge](torch.as_tensor(X), groups, 5)
    assert len(cluster) == 30 and len(set(cluster)) == 5
    assert clustering_accuracy(Y, cluster[groups]) > 0.97


@pytest.fixture(scope="module")
def fitted():
    return DeepCluster(5, **SMALL).fit(X)


def test_groups_are_many_pure_and_merged_to_k(fitted):
    assert len(np.unique(fitted.groups_)) > 40 and len(np.unique(fitted.labels_)) == 5
    assert purity(Y, fitted.groups_) > 0.97 and clustering_accuracy(Y, fitted.labels_) > 0.9
    pairs = {*zip(fitted.groups_, fitted.labels_, strict=True)}
    assert len(pairs) == len(np.unique(fitted.groups_)), "a group is in one cluster"
    np.testing.assert_array_equal(fitted.predict(X[:50]), fitted.labels_[:50])


def test_the_history_says_how_even_and_how_new_the_groups_are(fitted):
    kept = [record["kept"] for record in fitted.history_]
    assert kept[0] == 0 and 0 < kept[-1] <= 1 and all(1 < record["groups"] <= 50 for record in fitted.history_)


def test_a_new_head_is_made_before_every_epoch_unless_it_is_kept():
    for new_head in (True, False):
        layers = []
        model = DeepCluster(5, **SMALL, new_head=new_head, callback=lambda m, k=layers: k.append(m.network_.head))
        model.fit(X)
        assert len({id(layer) for layer in layers[1:]}) == (SMALL["pretrain_epochs"] if new_head else 1)


def test_with_as_many_groups_as_clusters_nothing_is_merged():
    model = DeepCluster(5, **SMALL, n_groups=5).fit(X)
    assert len({*zip(model.groups_, model.labels_, strict=True)}) == len(np.unique(model.groups_))


@pytest.mark.parametrize("n_groups", [4, 601])
def test_too_few_and_too_many_groups_are_refused(n_groups):
    with pytest.raises(ValueError, match=f"n_groups={n_groups}"):
        DeepCluster(5, **SMALL, n_groups=n_groups).fit(X)


@pytest.mark.parametrize("sampler", ["groups", "points"])
def test_fit_is_the_plain_loop(sampler):
    """One loop, with neither phases nor hooks: the same weights and groups, bit for bit."""
    how = SMALL | {"pretrain_epochs": 3, "precision": "float32", "sampler": sampler, "n_groups": 20}
    model = DeepCluster(5, **how).fit(X)
    x = torch.as_tensor((X - model.offset_) / model.scale_).float()
    with seeded(0), without_denormals():
        encoder = nn.Sequential(*mlp_features(8, (32,), 16), nn.Linear(16, 16)).eval()
        head, body = model.new_layer(16, 20), adam([*encoder.parameters()], model.pretrain_lr)
        schedule = one_cycle(body, model.pretrain_lr, 3 * math.ceil(600 / model.batch_size))
        for epoch in range(3):
            groups = parted(encoder, x)
            head = model.new_layer(16, 20) if epoch else head
            top = adam([*head.parameters()], model.pretrain_lr)
            order = evenly(groups, 600) if sampler == "groups" else torch.randperm(600)
            encoder.train()
            for index in order.split(model.batch_size):
                loss = cross_entropy(head(encoder(x[index])), groups[index])
                top.zero_grad()
                descend(loss, body, schedule)
                top.step()
            encoder.eval()
        ends = parted(encoder, x)
    assert all(map(torch.equal, encoder.parameters(), model.network_.encoder.parameters()))
    np.testing.assert_array_equal(model.groups_, ends.numpy())


@torch.no_grad()
def parted(encoder: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Groups (n,) of what an encoder makes of points."""
    z = encoder(x)
    mean, axes = whitening_map(z, 16)
    v = normalize((z - mean) @ axes, dim=1)
    centroids = v[torch.randperm(len(v))[:20]]
    for _ in range(20):
        centroids = kmeans_pass(v, centroids)
    return nearest_group(v, centroids)

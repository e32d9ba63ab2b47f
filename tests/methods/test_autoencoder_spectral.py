"""Autoencoder + spectral clustering: the graph and its eigenvectors against dense algebra and scikit-learn's."""

import numpy as np
import pytest
from sklearn.cluster import SpectralClustering
from sklearn.datasets import make_blobs, make_circles
from sklearn.metrics import adjusted_rand_score

from dclib import AutoencoderSpectral
from dclib.graphs import nearest, neighbour_graph, spectral_map


@pytest.fixture(scope="module")
def rings() -> tuple[np.ndarray, np.ndarray]:
    x, y = make_circles(400, factor=0.4, noise=0.04, random_state=0)
    return x.astype(np.float32), y


def test_nearest_are_those_of_brute_force():
    x = np.random.default_rng(0).standard_normal((50, 4))
    distance, place = nearest(x, 3)
    every = np.linalg.norm(x[:, None] - x, axis=2)
    np.fill_diagonal(every, np.inf)
    np.testing.assert_array_equal(place, np.argsort(every, axis=1)[:, :3])
    np.testing.assert_allclose(distance, np.sort(every, axis=1)[:, :3])


def test_no_point_is_its_own_neighbour_even_among_twins():
    x = np.repeat(np.arange(5.0), 4)[:, None]
    _, place = nearest(x, 3)
    assert not (place == np.arange(20)[:, None]).any()
    assert nearest(x[:1], 3)[1].shape == (1, 0) and nearest(x[:3], 9)[1].shape == (3, 2)


def test_graph_joins_either_way(rings):
    graph = neighbour_graph(rings[0], 5)
    dense, (_, place) = graph.toarray(), nearest(rings[0], 5)
    for i in range(400):
        for j in range(400):
            assert dense[i, j] == (j in place[i] or i in place[j])
    assert (dense == dense.T).all() and not dense.diagonal().any()


@pytest.mark.parametrize("n", [150, 400])  # below and above the size from which the iteration is used
def test_spectral_map_is_the_dense_eigenproblems(n):
    graph = neighbour_graph(np.random.default_rng(0).standard_normal((n, 3)) * [4, 2, 1], 8)
    w = graph.toarray()
    degree = w.sum(axis=1)
    leading = np.linalg.eigh(w / np.sqrt(degree[:, None] * degree))[1][:, -3:]
    u = spectral_map(graph, 3)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1)
    long = u * np.linalg.norm(leading, axis=1)[:, None]  # the rows as they were: the same space is spanned
    np.testing.assert_allclose(long @ long.T, leading @ leading.T, atol=2e-3)


def test_steps_are_those_of_a_random_walk():
    graph = neighbour_graph(np.random.default_rng(0).standard_normal((60, 2)), 5)
    w = graph.toarray()
    degree = w.sum(axis=1)
    walked = np.linalg.matrix_power(w / np.sqrt(degree[:, None] * degree), 8)  # four steps there and four back
    lengths = np.sqrt(np.diag(walked))
    u = spectral_map(graph, 60, steps=4)
    np.testing.assert_allclose(u @ u.T, walked / np.outer(lengths, lengths), atol=0.1)


def test_cuts_what_kmeans_cannot_and_agrees_with_scikit_learn(rings):
    x, y = rings
    model = AutoencoderSpectral(2, hidden=(32,), latent_dim=2, pretrain_epochs=60, n_neighbors=8, random_state=0)
    labels = model.fit(x).labels_
    theirs = SpectralClustering(2, affinity="precomputed", random_state=0).fit(
        neighbour_graph(model.transform(x), 8).toarray()
    )
    assert adjusted_rand_score(theirs.labels_, labels) > 0.95
    assert adjusted_rand_score(y, labels) > 0.95


def test_a_new_point_gets_the_cluster_of_the_nearest_code():
    x = make_blobs(300, centers=4, n_features=12, random_state=3)[0].astype(np.float32)
    model = AutoencoderSpectral(4, hidden=(16,), pretrain_epochs=5, random_state=0).fit(x[:200])
    z, new = model.transform(x[:200]), model.transform(x[200:])
    nearest_one = np.linalg.norm(new[:, None] - z, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(model.predict(x[200:]), model.labels_[nearest_one])
    np.testing.assert_array_equal(model.predict(x[:200]), model.labels_)


def test_the_graph_is_sparse():
    x = np.random.default_rng(0).standard_normal((3000, 5))
    graph = neighbour_graph(x, 10)
    assert graph.nnz <= 2 * 10 * 3000 and graph.data.nbytes + graph.indices.nbytes < 1e6

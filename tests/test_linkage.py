"""Graph-degree linkage against dense brute force: affinities at every merge, who is merged, chains, strays."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from dclib.graphs import nearest, nearest_of_all
from dclib.linkage import GraphDegreeLinkage, chains, directed_affinity


def cloud(n: int, d: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.as_tensor(np.random.default_rng(seed).standard_normal((n, d)), dtype=torch.float32)


@pytest.mark.parametrize(("n", "d", "k"), [(300, 40, 10), (300, 2, 1), (5, 3, 10), (2, 3, 4)])
def test_comparing_all_pairs_finds_what_a_search_finds(n, d, k):
    x = cloud(n, d)
    distance, place = nearest_of_all(x, k, rows=7)
    expected, _ = nearest(x.double().numpy(), k)
    np.testing.assert_allclose(distance, expected, atol=1e-3)
    assert not (place == torch.arange(n)[:, None]).any()


def test_a_point_that_stands_twice_is_its_twins_neighbour():
    x = cloud(20).repeat(2, 1)
    distance, place = nearest_of_all(x, 1)
    assert distance.max() < 1e-2 and ((place[:, 0] - torch.arange(40)).abs() == 20).all()


def test_affinities_are_as_written():
    z = cloud(30)
    w = directed_affinity(z, 4, spread=2.0).toarray()
    squared = torch.cdist(z.double(), z.double()).square().numpy()
    np.fill_diagonal(squared, np.inf)
    order = squared.argsort(axis=1)[:, :4]
    sigma = 2.0 * np.take_along_axis(squared, order, axis=1).mean()
    expected = np.zeros((30, 30))
    np.put_along_axis(expected, order, np.exp(-np.take_along_axis(squared, order, axis=1) / sigma), axis=1)
    np.testing.assert_allclose(w, expected, atol=1e-5)


def test_chains_join_who_points_at_whom():
    w = np.zeros((5, 5))
    w[[0, 0, 1, 2, 2, 3, 4], [1, 2, 0, 1, 3, 4, 3]] = 0.9, 0.1, 0.9, 0.5, 0.4, 1, 1
    assert chains(sp.csr_array(w)).tolist() == [0, 0, 0, 1, 1]


def between(w: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    there, back = w[np.ix_(a, b)], w[np.ix_(b, a)]
    return (there @ back).sum() / len(a) ** 2 + (back @ there).sum() / len(b) ** 2


@pytest.mark.parametrize("n_near", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_every_merge_is_that_of_brute_force(n_near, seed):
    z = cloud(80, seed=seed)
    w = directed_affinity(z, 6)
    dense, first = w.toarray(), chains(w)
    linkage = GraphDegreeLinkage(w, first, z.numpy(), n_near)
    while linkage.n_clusters > 2:
        now = np.array([linkage.current(c) for c in first])
        members = {c: np.flatnonzero(now == c) for c in np.unique(now)}
        found = {pair: between(dense, *map(members.get, pair)) for pair in itertools.permutations(members, 2)}
        for (c, d), value in found.items():
            assert linkage.near[c].get(d, 0.0) == pytest.approx(value, abs=1e-9)
        urgency = {}
        for c in members:
            values = sorted((found[c, d] for d in members if d != c), reverse=True)
            best, others = values[0], (values[1:n_near] + [0.0] * n_near)[: n_near - 1]
            others = [value for value in others if value > 0]
            urgency[c] = 2 * best - sum(others) / (n_near - 1) if n_near > 1 else best
        first_of = max(urgency, key=urgency.get)
        pair = {first_of, max((d for d in members if d != first_of), key=lambda d: found[first_of, d])}
        assert urgency[first_of] == 0 or set(linkage.merge()) == pair
        if urgency[first_of] == 0:
            linkage.merge()


def test_what_no_path_joins_goes_to_the_nearest_mean():
    z = torch.tensor([[0.0], [0.1], [5.0], [5.1], [5.3], [9.0], [9.1], [9.2], [9.3]])
    w = sp.csr_array((9, 9))
    linkage = GraphDegreeLinkage(w, np.array([0, 0, 1, 1, 1, 2, 2, 2, 2]), z.numpy())
    assert linkage.cut(2).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert linkage.merges == [(0, 1)] and linkage.cut(1).tolist() == [0] * 9


def test_groups_are_found_and_merges_replay():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), [200, 100, 60, 40])
    z = torch.as_tensor(rng.standard_normal((400, 5)) + 8 * rng.standard_normal((4, 5))[y], dtype=torch.float32)
    w = directed_affinity(z, 10)
    first = chains(w)
    linkage = GraphDegreeLinkage(w, first, z.numpy())
    labels = linkage.cut(4)
    assert len(np.unique(labels)) == 4 and len({*zip(labels, y, strict=True)}) == 4
    head = np.arange(first.max() + 1)
    for a, b in linkage.merges:
        head[head == b] = a
    assert len({*zip(head[first], labels, strict=True)}) == 4


def test_points_far_out_take_no_cluster_for_themselves():
    rng = np.random.default_rng(1)
    groups = rng.standard_normal((120, 2)) + np.repeat([[0, 0], [9, 0], [18, 0]], 40, axis=0)
    z = torch.as_tensor(np.concatenate([groups, [[4.5, 60], [9, -80], [120, 0]]]), dtype=torch.float32)
    w = directed_affinity(z, 6)
    alone = np.concatenate([np.unique(chains(w)[:120], return_inverse=True)[1], [200, 201, 202]])
    first = np.unique(alone, return_inverse=True)[1]
    linkage = GraphDegreeLinkage(w, first, z.numpy())
    assert not any(linkage.near[c] for c in first[120:]), "nobody counts them among its neighbours"
    linkage.absorb_strays(3)
    assert linkage.n_clusters <= first.max() + 1 - 3
    assert set(np.bincount(linkage.cut(3))) <= {40, 41, 42, 43}


def test_small_clusters_do_not_count_and_are_absorbed():
    z = torch.as_tensor(np.random.default_rng(0).standard_normal((60, 2)), dtype=torch.float32)
    w = directed_affinity(z, 5)
    linkage = GraphDegreeLinkage(w, np.repeat(np.arange(8), [15, 15, 12, 10, 2, 2, 2, 2]), z.numpy())
    linkage.merge_large(3, 6)
    assert linkage.n_clusters == 3 and linkage.size[linkage.alive()].sum() == 60
    assert linkage.size[linkage.alive()].min() >= 6
    linkage = GraphDegreeLinkage(w, np.repeat(np.arange(12), 5), z.numpy())
    linkage.merge_large(3, 6)
    assert linkage.n_clusters == 12, "none is that large: nothing happens"

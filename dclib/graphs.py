"""Neighbour graphs: who is near whom, as sparse matrices, and the spectral map of such a graph."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

DENSE = 200  # points; the eigenvectors of a smaller graph are computed in full


def nearest(
    x: NDArray,
    n_neighbors: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the nearest other points: distances (n, k) and places (n, k).

    The nearest comes first.

    Parameters
    ----------
    x
        Points (n, D).
    n_neighbors
        k; with fewer other points, as many as there are.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/den`.
    """
    if len(x) == 1:
        return np.empty((1, 0)), np.empty((1, 0), dtype=np.int64)
    search = NearestNeighbors(n_neighbors=min(n_neighbors, len(x) - 1)).fit(x)
    return search.kneighbors()  # of the fitted points, none its own neighbour


def neighbour_graph(x: NDArray, n_neighbors: int = 10) -> sp.csr_array:
    """Return W (n, n): 1 where either of two points is among the other's nearest.

    Parameters
    ----------
    x
        Points (n, D).
    n_neighbors
        k. The graph is symmetric and has between n k / 2 and n k edges: memory grows with n, not with its square.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/autoencoder_kmeans`.
    """
    _, place = nearest(x, n_neighbors)
    n, ends = len(x), np.arange(len(x) + 1) * place.shape[1]  # where each row ends
    graph = sp.csr_array((np.ones(place.size), place.ravel(), ends), shape=(n, n))
    return graph.maximum(graph.T)


def spectral_map(
    graph: sp.csr_array,
    n_dims: int,
    steps: int = 0,
    random_state: int = 0,
) -> NDArray[np.float64]:
    """Return the leading eigenvectors of D^-1/2 W D^-1/2, with rows of length one.

    With ``steps=0`` these are the points (n, ``n_dims``) on which Ng et al. (2001) run k-means. With more, each
    eigenvector counts as much as is left of it after so many steps of a random walk on the graph: its eigenvalue to
    that power (as in a diffusion map, Coifman and Lafon 2006). So a vector beyond the gap fades instead of being cut
    off, and how many are taken hardly matters.

    Parameters
    ----------
    graph
        W (n, n), symmetric, non-negative.
    n_dims
        Eigenvectors; Ng et al. take as many as clusters are wanted.
    steps
        Steps of the random walk, t.
    random_state
        Seed of the vector from which the iteration starts.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/autoencoder_kmeans`.
    """
    root = np.sqrt(np.maximum(graph.sum(axis=1), 1e-12))
    affinity = graph.multiply(1 / root[:, None]).multiply(1 / root).tocsr()
    values, u = leading_vectors(affinity, n_dims, random_state)
    u = u * values.clip(0, 1) ** steps
    return u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-12)


def leading_vectors(
    affinity: sp.csr_array,
    n_dims: int,
    random_state: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalues (``n_dims``,) and their vectors (n, ``n_dims``), piece by piece of the graph.

    A graph in several pieces has the eigenvalue one as often, and Lanczos' iteration finds an eigenvalue once. Within
    one piece the largest is simple. Of equal ones, those of the larger pieces are taken.

    Parameters
    ----------
    affinity
        D^-1/2 W D^-1/2, (n, n), symmetric.
    n_dims
        How many.
    random_state
        Seed of the vector from which the iteration starts.
    """
    n_pieces, piece = connected_components(affinity, directed=False)
    if n_pieces == 1:
        return _leading_of_one(affinity, n_dims, random_state)
    found: list[tuple[float, NDArray, NDArray]] = []
    for k in np.bincount(piece).argsort(kind="stable")[::-1]:
        (rows,) = np.nonzero(piece == k)
        part = affinity[rows][:, rows]
        values, vectors = _leading_of_one(part, min(n_dims, len(rows)), random_state)
        found += [(float(value), rows, vector) for value, vector in zip(values, vectors.T, strict=True)]
    best = sorted(found, key=lambda pair: -round(pair[0], 9))[:n_dims]
    u = np.zeros((affinity.shape[0], len(best)))
    for column, (_, rows, vector) in enumerate(best):
        u[rows, column] = vector
    return np.array([value for value, _, _ in best]), u


def _leading_of_one(affinity: sp.csr_array, n_dims: int, random_state: int) -> tuple[NDArray, NDArray]:
    if affinity.shape[0] <= max(DENSE, 4 * n_dims):
        values, u = (part[..., -n_dims:] for part in np.linalg.eigh(affinity.toarray()))
        return values, u
    start = np.random.default_rng(random_state).standard_normal(affinity.shape[0])
    size = {"ncv": max(40, 3 * n_dims), "tol": 1e-4}
    return eigsh(affinity, n_dims, which="LA", v0=start, **size)


def nearest_of_all(
    x: Tensor,
    n_neighbors: int,
    rows: int = 1024,
) -> tuple[Tensor, Tensor]:
    """Return distances and places (n, k) of the nearest others, by comparing all.

    They are those of :func:`nearest`.

    In high dimension no search structure helps, and products of matrices in single precision are the fastest: n² D of
    them, with ``rows`` × n distances in memory at a time.

    Parameters
    ----------
    x
        Points (n, D).
    n_neighbors
        k; with fewer other points, as many as there are.
    rows
        Points that are compared with all others in one go.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/jule`.
    """
    squares, k = x.square().sum(dim=1), min(n_neighbors, len(x) - 1)
    distances, places = (
        torch.empty(len(x), k, device=x.device),
        torch.empty(len(x), k, dtype=torch.int64),
    )
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        squared = torch.addmm(squares, x[part], x.T, alpha=-2)  # less the row's square
        at = torch.arange(len(squared), device=x.device)
        squared[at, at + start] = torch.inf  # no point is its own neighbour
        found, places[part] = squared.topk(k, dim=1, largest=False)
        distances[part] = (found + squares[part, None]).clamp_min(0).sqrt()
    return distances, places

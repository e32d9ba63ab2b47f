"""k-Shape: clusters of sequences by their shapes, whatever their place in time, height and level.

Source: Paparrizos and Gravano, "k-Shape: Efficient and Accurate Clustering of Time Series", SIGMOD 2015.
"""

import numpy as np
from numpy.typing import NDArray

from dclib.sequences import standardised

TINY = np.finfo(float).tiny


def aligned(x: NDArray, mu: NDArray) -> tuple[NDArray, NDArray]:
    """Return sequences moved to fit one best, and their distances (SBD) to it.

    What is moved in from beyond the ends is zero. All shifts are tried, in one product in Fourier space.

    Parameters
    ----------
    x
        Sequences (n, T, C), of mean zero.
    mu
        A sequence (T, C).

    Returns
    -------
    moved, apart : ndarray
        Sequences (n, T, C), and distances (n,) from 0 to 2; 1 from a sequence that is zero.

    Notes
    -----
    Paparrizos and Gravano (2015), eq. 9 and algorithm 1. Derived in :doc:`/notebooks/features/recurrent`.
    """
    m = x.shape[1]
    spectra = np.fft.rfft(x, 2 * m, axis=1) * np.fft.rfft(mu, 2 * m, axis=0).conj()
    sums = np.fft.irfft(spectra, 2 * m, axis=1).sum(axis=2)  # of x[t + s] · mu[t]
    shift = (sums.argmax(axis=1) + m) % (2 * m) - m  # from m on they are negative
    at = (np.arange(m) + shift[:, None])[..., None]
    moved = np.take_along_axis(x, at.clip(0, m - 1), axis=1) * ((at >= 0) & (at < m))
    norms = np.linalg.norm(x, axis=(1, 2)) * np.linalg.norm(mu)
    return moved, 1 - sums.max(axis=1) / np.maximum(norms, TINY)


def shape_of(x: NDArray, mu: NDArray) -> NDArray:
    """Return the sequence that correlates best with the members of a cluster.

    In each channel it is a leading eigenvector.

    Parameters
    ----------
    x
        Members (n, T, C), of mean zero.
    mu
        The centroid so far (T, C), to which they are aligned.

    Returns
    -------
    ndarray (T, C)
        Of mean 0 and variance 1 in each channel.

    Notes
    -----
    Paparrizos and Gravano (2015), eq. 15 and algorithm 2. Derived in :doc:`/notebooks/features/recurrent`.
    """
    moved = np.moveaxis(standardised(aligned(x, mu)[0]), 2, 0)  # (C, n, T)
    best = np.linalg.eigh(moved.transpose(0, 2, 1) @ moved)[1][:, :, -1]  # (C, T)
    sign = np.where((moved @ best[..., None]).sum(axis=(1, 2)) < 0, -1, 1)
    return standardised((sign[:, None] * best).T[None])[0]


def k_shape(
    x: NDArray,
    k: int,
    draw: np.random.Generator,
    max_iter: int = 50,
) -> tuple[float, NDArray[np.int64]]:
    """Return the sum of distances to the nearest centroid, and the labels (n,).

    From one start.

    Parameters
    ----------
    x
        Sequences (n, T, C), of mean 0 and variance 1 in each channel.
    k
        Clusters; n or fewer.
    draw
        Draws the labels of the start.
    max_iter
        Most rounds.

    Notes
    -----
    Paparrizos and Gravano (2015), algorithm 3. A cluster that lost its members takes the sequence that is furthest
    from its centroid. Derived in :doc:`/notebooks/features/recurrent`.
    """
    labels, mu = draw.permutation(np.arange(len(x)) % k), np.zeros((k, *x.shape[1:]))
    for _ in range(max_iter):
        pairs = zip((x[labels == j] for j in range(k)), mu, strict=True)
        mu = np.stack([shape_of(own, old) if len(own) else old for own, old in pairs])
        apart = np.stack([aligned(x, each)[1] for each in mu])
        before, labels = labels, apart.argmin(axis=0)
        for j in {*range(k)} - {*labels.tolist()}:
            labels[apart.min(axis=0).argsort()[-1 - j]] = j
        if (labels == before).all():
            break
    return float(apart.min(axis=0).sum()), labels

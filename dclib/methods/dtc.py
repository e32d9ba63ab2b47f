"""DTC, deep temporal clustering: the code is a short sequence, and clusters are told apart by a distance of sequences.

Source: Madiraju, Sadat, Fisher, Karimabadi, "Deep Temporal Clustering: Fully Unsupervised Learning of Time-Domain
Features", arXiv 1802.01059, 2018. The authors released no code; where the paper leaves things open, this follows the
port of Forest (2019).
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import AgglomerativeClustering
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, max_pool1d, pad

from dclib.base import COUNT
from dclib.methods.idec import IDEC
from dclib.networks import Autoencoder
from dclib.sequences import steps_of
from dclib.training import STARTS, in_parts

MOST_STEPS = 16  # of a code, if the pooling length is left open
MOST_LINKED = 4_000  # points whose distances to each other are held at once
TINY = 1e-8  # under roots and in quotients: a constant sequence has no slope to divide by


def euclidean(z: Tensor, w: Tensor) -> Tensor:
    """Return Euclidean distances of sequences, summed over channels.

    Parameters
    ----------
    z
        Sequences (m, T, C).
    w
        Sequences (K, T, C).

    Returns
    -------
    Tensor
        (m, K).

    Notes
    -----
    Derived in :doc:`/notebooks/features/dtc`.
    """
    return ((z[:, None] - w).square().sum(dim=2) + TINY).sqrt().sum(dim=-1)


def complexity(z: Tensor) -> Tensor:
    """Return the complexity (m, C) of sequences ``z``: the length of their slopes.

    Notes
    -----
    Batista et al. (2014), eq. 4. Derived in :doc:`/notebooks/features/dtc`.
    """
    return (z.diff(dim=1).square().sum(dim=1) + TINY).sqrt()


def complexity_invariant(z: Tensor, w: Tensor) -> Tensor:
    """Return Euclidean distances times the ratio of complexities (CID).

    Parameters
    ----------
    z, w
        Sequences (m, T, C) and (K, T, C).

    Notes
    -----
    Batista et al. (2014), eq. 1. Derived in :doc:`/notebooks/features/dtc`.
    """
    a, b = complexity(z)[:, None], complexity(w)  # (m, 1, C), (K, C)
    apart = ((z[:, None] - w).square().sum(dim=2) + TINY).sqrt()  # (m, K, C)
    return (apart * torch.maximum(a, b) / torch.minimum(a, b)).sum(dim=-1)


def of_length_one(z: Tensor) -> Tensor:
    """Return sequences of mean zero and length one, channel by channel.

    A constant channel becomes zero.

    Notes
    -----
    Derived in :doc:`/notebooks/features/dtc`.
    """
    centred = z - z.mean(dim=1, keepdim=True)
    return centred / (centred.square().sum(dim=1, keepdim=True) + TINY).sqrt()


def correlation(z: Tensor, w: Tensor) -> Tensor:
    """Return √(2 (1 − ρ)) with Pearson's ρ, summed over channels.

    It is blind to level and to scale.

    Parameters
    ----------
    z, w
        Sequences (m, T, C) and (K, T, C).

    Notes
    -----
    Golay et al. (1998). Derived in :doc:`/notebooks/features/dtc`.
    """
    rho = torch.einsum("mtc,ktc->mkc", of_length_one(z), of_length_one(w))
    return (2 * (1 - rho).clamp_min(0) + TINY).sqrt().sum(dim=-1)


def autocorrelations(z: Tensor, n_lags: int) -> Tensor:
    """Return the autocorrelations (m, n_lags, C) of sequences at lags from 1 on.

    Notes
    -----
    Derived in :doc:`/notebooks/features/dtc`.
    """
    u, n_steps = of_length_one(z), z.shape[1]
    lags = range(1, min(n_lags, n_steps - 1) + 1)
    found = [(u[:, lag:] * u[:, : n_steps - lag]).sum(dim=1) for lag in lags]
    return torch.stack(found, dim=1) if found else 0 * z


def autocorrelation(z: Tensor, w: Tensor, n_lags: int = 10) -> Tensor:
    """Return Euclidean distances of autocorrelations.

    They are blind to level, scale, sign and direction and, but for what falls out at the ends, to place in time.

    Parameters
    ----------
    z, w
        Sequences (m, T, C) and (K, T, C).
    n_lags
        How many lags; fewer of shorter sequences.

    Notes
    -----
    Galeano and Peña (2000). Derived in :doc:`/notebooks/features/dtc`.
    """
    return euclidean(autocorrelations(z, n_lags), autocorrelations(w, n_lags))


DISSIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "euclidean": euclidean,
    "cid": complexity_invariant,
    "correlation": correlation,
    "acf": autocorrelation,
}


def student_t(distance: Tensor, alpha: float = 1.0) -> Tensor:
    """Return q (m, K), a Student t of distances (m, K), normalised over clusters.

    Notes
    -----
    Derived in :doc:`/notebooks/features/dtc`.
    """
    q = (1 + distance.square() / alpha).pow(-(alpha + 1) / 2)
    return q / q.sum(dim=1, keepdim=True)


class BothWays(nn.Module):
    """An LSTM that reads forwards and one that reads backwards; their states are added, step by step.

    Parameters
    ----------
    n_in, n_out
        Channels before and behind it.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_in, n_out, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the states (m, T, n_out) at each step of ``x`` (m, T, n_in)."""
        with torch.autocast(x.device.type, enabled=False):
            states, _ = self.lstm(x.to(self.lstm.weight_hh_l0.dtype))
        forwards, backwards = states.chunk(2, dim=2)
        return forwards + backwards


def same(n_in: int, n_out: int, kernel: int) -> nn.Sequential:
    """Return a convolution over time that keeps the number of steps, whatever the width of its filters."""
    ends = nn.ConstantPad1d(((kernel - 1) // 2, kernel // 2), 0.0)
    return nn.Sequential(ends, nn.Conv1d(n_in, n_out, kernel))


class TemporalEncoder(nn.Module):
    """Convolution, pooling over time, and two LSTMs in both directions: a sequence becomes a shorter one.

    Parameters
    ----------
    n_channels
        C, values at each step.
    hidden
        Filters of the convolution, and units of the first LSTM.
    units
        Of the second LSTM: channels of the code.
    kernel
        Width of the filters.
    pool
        P, the pooling length.
    """

    def __init__(self, n_channels: int, hidden: Sequence[int], units: int, kernel: int, pool: int) -> None:
        super().__init__()
        self.pool, (filters, width) = pool, hidden
        self.convolution = same(n_channels, filters, kernel)
        self.first, self.second = BothWays(filters, width), BothWays(width, units)

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes (m, ⌈T / P⌉ · units) of sequences ``x`` (m, T) or (m, T, C)."""
        x = steps_of(x).transpose(1, 2)  # (m, C, T)
        if over := -x.shape[2] % self.pool:
            x = pad(x, (0, over), mode="replicate")
        pooled = max_pool1d(leaky_relu(self.convolution(x)), self.pool)  # (m, filters, T')
        h = leaky_relu(self.first(pooled.transpose(1, 2)))  # (m, T', width)
        return leaky_relu(self.second(h)).flatten(1)


class TemporalDecoder(nn.Module):
    """Each step of the code is repeated P times, and filters go over it.

    Parameters
    ----------
    shape
        (T,) or (T, C), the shape of a point.
    units, kernel, pool
        As in :class:`TemporalEncoder`.

    Notes
    -----
    A transposed convolution of stride one is a convolution.
    """

    def __init__(self, shape: Sequence[int], units: int, kernel: int, pool: int) -> None:
        super().__init__()
        self.shape, self.units, self.pool = tuple(shape), units, pool
        self.convolution = same(units, shape[1] if len(shape) > 1 else 1, kernel)

    def forward(self, z: Tensor) -> Tensor:
        """Return sequences (m, T) or (m, T, C) of codes ``z`` (m, ⌈T / P⌉ · units)."""
        steps = z.unflatten(1, (-1, self.units)).transpose(1, 2)  # (m, units, T')
        drawn = self.convolution(steps.repeat_interleave(self.pool, dim=2))[..., : self.shape[0]]
        return drawn.transpose(1, 2).reshape(-1, *self.shape)


def occlusion(
    probability: Callable[[NDArray], NDArray],
    x: NDArray,
    width: int,
) -> NDArray[np.floating]:
    """Return what each step of a sequence carries of its cluster's probability.

    A window is covered: a straight line between its ends takes its place. What the probability loses counts for each
    step of the window; a step has the mean over the windows that hold it. The map is ours. The paper trains a network
    on the clusters and looks at its activations.

    Parameters
    ----------
    probability
        From sequences (m, T) or (m, T, C) to soft assignments (m, K), such as ``predict_proba``.
    x
        Sequences (n, T) or (n, T, C).
    width
        Steps of the window.

    Returns
    -------
    ndarray (n, T)
        Positive where the sequence speaks for its cluster, negative where it speaks against it.

    Raises
    ------
    ValueError
        If the window is no whole number from 1 to T.

    Notes
    -----
    Derived in :doc:`/notebooks/features/dtc`.
    """
    n, n_steps = x.shape[:2]
    if not 1 <= width <= n_steps:
        raise ValueError(f"width={width} should be from 1 to {n_steps}.")
    q = probability(x)
    own, total, seen = q.argmax(axis=1), np.zeros((n, n_steps)), np.zeros(n_steps)
    for start in range(n_steps - width + 1):
        window = slice(start, start + width)
        covered = x.copy()
        ends = x[:, max(start - 1, 0), ...], x[:, min(start + width, n_steps - 1), ...]
        covered[:, window] = np.linspace(*ends, width + 2, axis=1)[:, 1:-1]
        lost = q[np.arange(n), own] - probability(covered)[np.arange(n), own]
        total[:, window] += lost[:, None]
        seen[window] += 1
    return total / seen


class DTC(IDEC):
    """Deep temporal clustering (Madiraju et al. 2018).

    An autoencoder shortens a sequence to one of ⌈T / P⌉ steps: convolution, max pooling of length P, two LSTMs in both
    directions. Clusters have such short sequences as centroids. The soft assignment is a Student t of a dissimilarity
    of sequences, and L = L_R + γ KL(P‖Q), with P made anew before each epoch. Sequences are of one length: a
    pooled code of fewer steps could not be held against a centroid. Rows (n, D) are taken as sequences of D steps with
    one channel.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    dissimilarity
        ``"euclidean"``; ``"cid"``, the complexity-invariant distance; ``"correlation"``; ``"acf"``, of
        autocorrelations.
    pool_size
        P, the pooling length; ``None``: the smallest that leaves at most 16 steps, which is ours.
    kernel
        Width of the convolution's filters.
    hidden
        Filters of the convolution, and units of the first LSTM.
    latent_dim
        Units of the second LSTM: channels of the code, which is ``latent_dim`` · ⌈T / P⌉ wide.
    weight
        γ, the weight of the clustering loss, beside the *mean* squared error on data of unit mean square.
    start
        ``"linkage"``: complete linkage by the dissimilarity, as in the paper (of 4,000 sequences, if there are more);
        or as in :class:`~dclib.base.DeepClusterer`.
    **shared
        The parameters of :class:`~dclib.refining.RefiningClusterer` and :class:`~dclib.base.DeepClusterer`.

    Notes
    -----
    Derived in :doc:`/notebooks/features/dtc`.

    Examples
    --------
    >>> import numpy as np
    >>> from dclib import DTC
    >>> waves = np.sin(np.outer(1 + np.arange(40) % 2, np.arange(60) / 10))  # slow and fast
    >>> model = DTC(2, pretrain_epochs=2, epochs=2, random_state=0).fit(waves)
    >>> model.sequences_.shape
    (2, 15, 1)
    """

    keeps_shape: ClassVar[bool] = True
    augmented: ClassVar[bool] = False
    wiring: ClassVar[str] = "LSTMs in both directions"
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"hidden": (32, 32)},
        "book": {"pretrain_steps": 300, "refine_steps": 200},
        "full": {"pretrain_steps": 6_000, "refine_steps": 4_000},
        "paper": {
            "hidden": (50, 50),
            "pretrain_epochs": 10,
            "pretrain_optimizer": "adam",
            "pretrain_lr": 1e-3,
            "optimizer": "adam",
            "lr": 1e-3,
            "update_interval": None,
            "batch_size": 64,
        },
    }
    first_phase: ClassVar[tuple[str, ...]] = ("pool_size", "kernel")
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "dissimilarity": [StrOptions(set(DISSIMILARITIES))],
        "pool_size": [COUNT, None],
        "kernel": [COUNT],
        "start": [StrOptions({"linkage", "kmeans", *STARTS})],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        dissimilarity: str = "euclidean",
        pool_size: int | None = None,
        kernel: int = 10,
        hidden: Sequence[int] = (50, 50),
        latent_dim: int = 1,
        batch_size: int = 64,
        start: str = "linkage",
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, hidden=hidden, latent_dim=latent_dim, batch_size=batch_size, start=start, **shared)
        self.dissimilarity = dissimilarity
        self.pool_size = pool_size
        self.kernel = kernel

    def build(self, n_features: int) -> nn.Module:
        """Return a temporal autoencoder for sequences of the shape ``point_shape_``."""
        if self.network is not None:
            return super().build(n_features)
        n_steps, *channels = shape = self.point_shape_
        if len(shape) > 2:
            raise ValueError(f"DTC reads sequences (T,) or (T, C), not points of shape {tuple(shape)}.")
        pool = self.pool_size or -(-n_steps // MOST_STEPS)
        widths = (*self.hidden, *self.hidden)[:2]
        encoder = TemporalEncoder(channels[0] if channels else 1, widths, self.latent_dim, self.kernel, pool)
        return Autoencoder(encoder, TemporalDecoder(shape, self.latent_dim, self.kernel, pool))

    def as_sequences(self, z: Tensor) -> Tensor:
        """Return codes ``z`` (m, d), or centroids, as sequences (m, T', units)."""
        return z.unflatten(1, (-1, getattr(self.network_.decoder, "units", 1)))

    def dissimilarities(self, z: Tensor, w: Tensor) -> Tensor:
        """Return the dissimilarity (m, K) of codes ``z`` (m, d) and ``w`` (K, d)."""
        return DISSIMILARITIES[self.dissimilarity](self.as_sequences(z), self.as_sequences(w))

    def soft_assign(self, z: Tensor) -> Tensor:
        """Return q (n, K) of codes ``z`` (n, d)."""
        return student_t(self.dissimilarities(z, self.network_.centroids.to(z.dtype)), self.alpha)

    def start_clusters(self, x: Any, n_clusters: int, n_init: int) -> None:
        """Put centroids at the means of the clusters that complete linkage finds, or as ``start`` says."""
        with torch.no_grad():
            super().start_clusters(x, n_clusters, n_init)

    def labels_of_start(self, z: Tensor, n_init: int, random_state: int) -> NDArray[np.int64]:
        """Return the clusters (n,) in which the codes ``z`` (n, d) start."""
        if self.start != "linkage":
            return super().labels_of_start(z, n_init=n_init, random_state=random_state)
        drawn = np.random.default_rng(random_state).permutation(len(z))[:MOST_LINKED]
        some = z if len(drawn) == len(z) else z[torch.as_tensor(drawn, device=z.device)]
        apart = in_parts(lambda part: self.dissimilarities(part, some), some).double().cpu().numpy()
        linkage = AgglomerativeClustering(self.n_clusters, metric="precomputed", linkage="complete")
        labels = linkage.fit_predict((apart + apart.T) / 2)
        if len(some) == len(z):
            return labels.astype(np.int64)
        means = torch.stack([some[torch.as_tensor(labels == k)].mean(dim=0) for k in range(self.n_clusters)])
        return in_parts(lambda part: self.dissimilarities(part, means).argmin(dim=1), z).cpu().numpy()

    @property
    def sequences_(self) -> NDArray[np.float32]:
        """The centroids as sequences (K, T', units)."""
        return self.as_sequences(torch.as_tensor(self.centroids_)).numpy()

    def heat(self, X: ArrayLike, width: int | None = None) -> NDArray[np.floating]:
        """Return what each step of sequences ``X`` carries of the probability of its cluster; see :func:`occlusion`.

        Parameters
        ----------
        X
            Sequences (n, T) or (n, T, C).
        width
            Steps of the window that is covered; by default a tenth of T.

        Returns
        -------
        ndarray (n, T)
        """
        X = np.asarray(X)
        return occlusion(self.predict_proba, X, max(1, X.shape[1] // 10) if width is None else width)

"""Training: seeds, devices, precision, mini-batches, evaluation, the k-means start, and what can go wrong."""

import math
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from tqdm.auto import tqdm

from dclib import parallel
from dclib.checks import callers_level, one_of
from dclib.graphs import neighbour_graph, spectral_map
from dclib.points import Rows, parts

EVALUATION_BATCH = 8192  # rows; large enough to keep the processor busy, small enough to fit anywhere
RESTART_SAMPLE = 20_000  # points on which k-means is restarted; the best start then runs on all of them
PRECISIONS = ("auto", "float32", "bfloat16")
ONE_AT_A_TIME = threading.RLock()


class NonFiniteLossError(FloatingPointError):
    """The loss became infinite or NaN; the network was set back to its state before that epoch."""


class CollapseWarning(UserWarning):
    """The clusters in use have become far fewer than were asked for, or all codes have become one."""


class DeadUnitsWarning(UserWarning):
    """Most units of a layer answer no point at all."""


class OutlierWarning(UserWarning):
    """One point is so large that it sets the scale of all."""


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """Return one integer seed: an integer is itself, anything else draws one.

    Parameters
    ----------
    random_state
        As in scikit-learn: an integer for a repeatable run, ``None`` for a new one each time.
    """
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed PyTorch inside the block and give its random state back as it was found.

    Layers draw their weights, and dropout its zeros, from PyTorch's global generators. So only one block runs at a
    time: a fit in another thread waits, and both repeat.

    Parameters
    ----------
    seed
        The one number that decides initial weights, the order of mini-batches and the start of k-means.
    device
        Beside the processor's generator, the one that is seeded; other devices are left alone.
    """
    device = torch.device(device)
    own = [device] if device.type != "cpu" else []
    with ONE_AT_A_TIME, torch.random.fork_rng(own, device_type=own[0].type if own else "cuda"):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


@contextmanager
def without_denormals() -> Iterator[None]:
    """Let the processor take numbers below 1e-38 for zero inside the block: it is many times slower at them.

    Adam makes them by the thousand. The running mean of a gradient that has stopped shrinks by a tenth each step.
    """
    before = float(torch.tensor(1e-40) * 1) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether ``device`` multiplies bfloat16 matrices in hardware; where it doesn't, they are far slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return device.type == "cpu" and any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def autocast(device: torch.device, precision: str = "auto") -> torch.autocast:
    """Return a context in which layers multiply in the given precision; weights and losses stay float32.

    Parameters
    ----------
    device
        Where the network is.
    precision
        ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where :func:`has_bfloat16` finds it.

    Raises
    ------
    ValueError
        If the precision is unknown.
    """
    low = one_of(precision, PRECISIONS, "precision") == "bfloat16" or (precision == "auto" and has_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=low)


def placed(network: nn.Module, device: torch.device, layout: torch.memory_format | None = None) -> nn.Module:
    """Return a network on a device. On a GPU its images are laid out with their channels last.

    That is the layout for which convolutions have their fastest kernels there; which one is used decides no result.
    On a processor nothing is laid out anew.

    Parameters
    ----------
    network
        It is moved, not copied.
    device
        Where to.
    layout
        ``None``: as said.
    """
    last = torch.channels_last if device.type == "cuda" else torch.preserve_format
    return network.to(device, memory_format=layout or last)


def descend(
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: object | None = None,
) -> Tensor:
    """Take one step down the gradient and return the loss.

    Parameters
    ----------
    loss
        What the step makes smaller, a scalar.
    optimizer
        Holds the parameters.
    schedule
        Sets the learning rate of the next step; ``None``: it stays.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if schedule is not None:
        schedule.step()
    return loss.detach()


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device to train on.

    Parameters
    ----------
    name
        ``"auto"`` takes a GPU if there is one, else the processor. Or ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``,
        or a device of PyTorch's.

    Raises
    ------
    ValueError
        If the device is unknown, or is not on this machine.
    """
    if name == "auto":
        accelerator = "mps" if torch.backends.mps.is_available() else "cpu"
        own = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"  # with several processes, each takes its own
        return torch.device(own if torch.cuda.is_available() else accelerator)
    kind = one_of(str(name).split(":")[0], ("cpu", "cuda", "mps"), "device")
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here[kind]:
        raise ValueError(f"device {str(name)!r} is not on this machine; use 'auto' or 'cpu'.")
    return torch.device(name)


def root_mean_square(x: NDArray, offset: float = 0.0) -> float:
    """Return the root mean square of all values: the unit of every method's input.

    With it, the size of the codes, and so the sharpness of DEC's q, does not hang on whether pixels run to 1 or to 255.

    Parameters
    ----------
    x
        Points (n, D).
    offset
        What the values are measured from.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """
    squares = sum(np.square(part - offset, dtype=np.float64).sum() for part in parts(x))
    return float(squares / x.size) ** 0.5


def batches(n: int, batch_size: int) -> Iterator[Tensor]:
    """Visit the indices 0 … n − 1 once, in random order, in mini-batches.

    Parameters
    ----------
    n
        Number of points.
    batch_size
        Points in a mini-batch; the last one holds what is left over.

    Yields
    ------
    Tensor
        Indices (batch_size,), int64. An index into data that already lies in memory costs less than a
        ``DataLoader``: no worker, no copy to collate.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """
    yield from torch.randperm(n).split(batch_size)


@torch.no_grad()
def in_batches(function: Callable[[Tensor], Tensor], x: Tensor | Rows) -> Tensor:
    """Apply ``function`` to all rows of ``x`` without gradients, a large batch at a time.

    Parameters
    ----------
    function
        Maps (m, …) to (m, …) row by row, e.g. an encoder.
    x
        Points (n, …).
    """
    mine = parallel.share(torch.arange(len(x)))
    start = int(mine[0]) if len(mine) else 0  # of more processes than points, some have none
    return parallel.gathered(in_parts(function, x, start, start + len(mine)), len(x))


def at_least_single(x: Tensor) -> Tensor:
    """Return ``x`` in single precision, if it is in half of it: a loss is computed in single precision at least."""
    return x if x.dtype == torch.float64 else x.float()


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a`` (m, d) times ``b`` (d, k), in their own precision.

    Whatever layers multiply in: under autocast a matrix product is in half precision.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/dac`.
    """
    with torch.autocast(a.device.type, enabled=False):
        return a @ b


def in_parts(function: Callable[[Tensor], Tensor], x: Tensor | Rows, start: int = 0, stop: int | None = None) -> Tensor:
    """Apply ``function`` to the rows of ``x`` from ``start`` to ``stop``, a large batch at a time, in this process."""
    stop = len(x) if stop is None else stop
    starts = range(start, stop, EVALUATION_BATCH) or [start]
    return torch.cat([function(x[i : min(i + EVALUATION_BATCH, stop)]) for i in starts])


def fit_kmeans(z: Tensor, n_clusters: int, n_init: int = 20, random_state: int = 0) -> KMeans:
    """Run scikit-learn's k-means on codes, from ``n_init`` starts, and keep the best by inertia.

    Parameters
    ----------
    z
        Codes (n, d).
    n_clusters
        K.
    n_init
        Restarts. The one with the least inertia is kept, which needs no labels.
    random_state
        Seed of the starts.

    Notes
    -----
    OpenMP is held to one thread: several would add up the centres in a different order each time, and the same
    seed would no longer give the same bits. Of more than 20,000 codes, the restarts see that many, drawn at random;
    the best of them then runs on all. Of several processes, the first one's answer is everyone's.
    """
    points = z.detach().cpu().double().numpy()
    drawn = np.random.default_rng(random_state).permutation(len(points))[:RESTART_SAMPLE]
    sample = points if len(drawn) == len(points) else points[drawn]
    with threadpool_limits(1, user_api="openmp"):
        if parallel.is_split():
            return _kmeans_of_all(points, sample, n_clusters, n_init, random_state)
        best = KMeans(n_clusters, n_init=n_init, random_state=random_state).fit(sample)
        if sample is not points:
            best = KMeans(n_clusters, init=best.cluster_centers_, n_init=1).fit(points)
    best.cluster_centers_ = parallel.from_first(torch.as_tensor(best.cluster_centers_)).numpy()
    best.labels_ = parallel.from_first(torch.as_tensor(best.labels_)).long().numpy()
    return best


def _kmeans_of_all(points: NDArray, sample: NDArray, n_clusters: int, n_init: int, random_state: int) -> KMeans:
    """Run k-means over the points of all processes: restarts on a sample of each, then Lloyd's steps, summed."""
    part = torch.as_tensor(sample[: -(-RESTART_SAMPLE // parallel.n_processes())])
    best = KMeans(n_clusters, n_init=n_init, random_state=random_state).fit(parallel.all_rows(part).numpy())
    centres = parallel.from_first(torch.as_tensor(best.cluster_centers_))
    mine = torch.as_tensor(points)
    for _ in range(best.max_iter):
        labels = in_parts(lambda part: torch.cdist(part, centres).argmin(dim=1), mine)  # noqa: B023
        sums = torch.zeros_like(centres).index_add_(0, labels, mine)
        counts = torch.bincount(labels, minlength=n_clusters).double()
        sums, counts = parallel.summed(sums), parallel.summed(counts)
        moved = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    best.cluster_centers_, best.labels_ = centres.numpy(), labels.numpy()
    return best


def gaussian_mixture(
    z: Tensor, n_clusters: int, n_init: int = 20, random_state: int = 0, covariance: str = "full"
) -> GaussianMixture:
    """Fit scikit-learn's Gaussian mixture to codes, from where k-means ends; to 20,000 of them, if there are more.

    Parameters
    ----------
    z, n_clusters, random_state
        As in :func:`fit_kmeans`.
    n_init
        Restarts of the k-means run from which the mixture begins.
    covariance
        ``"full"``: each component has a covariance of its own; ``"diag"``: a diagonal one.
    """
    points = z.detach().cpu().double().numpy()
    means = fit_kmeans(z, n_clusters, n_init, random_state).cluster_centers_
    how = {"covariance_type": covariance, "means_init": means, "reg_covar": 1e-6 * points.var()}
    drawn = np.random.default_rng(random_state).permutation(len(points))[:RESTART_SAMPLE]
    with threadpool_limits(1):
        return GaussianMixture(n_clusters, **how, random_state=random_state).fit(points[drawn])


def fit_mixture(z: Tensor, n_clusters: int, n_init: int = 20, random_state: int = 0) -> NDArray[np.int64]:
    """Return the clusters (n,) of :func:`gaussian_mixture` on codes."""
    found = gaussian_mixture(z, n_clusters, n_init, random_state)
    with threadpool_limits(1):
        return found.predict(z.detach().cpu().double().numpy()).astype(np.int64)


def fit_spectral(z: Tensor, n_clusters: int, n_init: int = 20, random_state: int = 0) -> NDArray[np.int64]:
    """Return the clusters (n,) into which the neighbour graph of codes falls apart.

    Three times as many eigenvectors as clusters, weighed by 16 steps of a random walk; see
    :func:`~dclib.graphs.spectral_map`. Both numbers were chosen by accuracy on MNIST, on seeds that no table reports.

    Parameters
    ----------
    z, n_clusters, n_init, random_state
        As in :func:`fit_kmeans`.
    """
    graph = neighbour_graph(z.detach().cpu().numpy())
    rows = torch.as_tensor(spectral_map(graph, min(3 * n_clusters, len(z)), 16, random_state))
    return fit_kmeans(rows, n_clusters, n_init, random_state).labels_


STARTS = {"spectral": fit_spectral, "mixture": fit_mixture}


def start_at_labels(network: nn.Module, z: Tensor, labels: NDArray, n_clusters: int) -> None:
    """Put the centroid of each of K clusters at the mean of its codes ``z`` (n, d); of an empty one, at that of all."""
    index = torch.as_tensor(labels, device=z.device)
    sums = torch.zeros(n_clusters, z.shape[1], dtype=torch.float64, device=z.device).index_add_(0, index, z.double())
    counts = torch.bincount(index, minlength=n_clusters)[:, None]
    means = torch.where(counts > 0, sums / counts.clamp_min(1), z.double().mean(dim=0))
    network.centroids = nn.Parameter(means.to(z))


def start_at_kmeans(
    network: nn.Module,
    x: Tensor,
    n_clusters: int,
    n_init: int = 20,
    random_state: int = 0,
    place: Callable[[Tensor], Tensor] | None = None,
) -> NDArray:
    """Put centroids where k-means on the codes finds them; return the clusters (n,).

    Parameters
    ----------
    network
        Gets ``centroids`` (K, d), a parameter.
    x
        Points (n, …).
    n_clusters
        K.
    n_init
        Restarts of :func:`fit_kmeans`.
    random_state
        Seed of the starts.
    place
        From points to where k-means sees them (m, d); by default the encoder.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/dec`.
    """
    z = in_batches(place or network.encoder, x)
    kmeans = fit_kmeans(z, n_clusters, n_init, random_state)
    network.centroids = nn.Parameter(torch.as_tensor(kmeans.cluster_centers_).to(z))
    return kmeans.labels_


def check_finite(value: float, where: str, name: str = "the loss") -> None:
    """Stop when the loss is no longer a number.

    Raises
    ------
    NonFiniteLossError
        If ``value`` is NaN or infinite; the message says what, where, and what to look at.
    """
    if not math.isfinite(value):
        raise NonFiniteLossError(
            f"{name} became {value} in {where}. Lower the learning rate, or look for values far out of range in the"
            " data. The network holds the last state from which a whole epoch went well."
        )


@torch.no_grad()
def check_network(network: nn.Module, encode: Callable[[Tensor], Tensor], x: Tensor, where: str) -> None:
    """Stop when a weight of the network, or a code of ``x`` (m, …), is no longer a number.

    Raises
    ------
    NonFiniteLossError
        If one is NaN or infinite, in the words of :func:`check_finite`.
    """
    values = [*network.state_dict().values(), encode(x)]
    whole = torch.stack([value.isfinite().all() for value in values]).all()
    broken = parallel.largest(int(not whole))  # anywhere: no process goes on alone
    check_finite(math.nan if broken else 0.0, where, "a weight or a code")


def effective_number(sizes: NDArray) -> float:
    """Return exp of the entropy of cluster sizes (K,): how many clusters of equal size would be as even."""
    share = np.asarray(sizes, dtype=float)[np.asarray(sizes) > 0] / np.sum(sizes)
    return float(np.exp(-(share * np.log(share)).sum()))


def warn_of_empty_clusters(sizes: NDArray, n_clusters: int) -> None:
    """Warn if fewer than half of the clusters have a point at the end of training.

    Parameters
    ----------
    sizes
        Points in each cluster (K,).
    n_clusters
        K, the number asked for.
    """
    if (used := np.count_nonzero(sizes)) < n_clusters / 2:
        message = f"only {used} of {n_clusters} clusters have a point at the end of training; are all codes alike?"
        warnings.warn(message, CollapseWarning, stacklevel=callers_level())


def warn_of_collapse(sizes: NDArray, before: NDArray, n_clusters: int, when: str) -> None:
    """Warn if training has emptied clusters: the effective number fell below half of what it was at the start.

    What training starts with is the measure, not K: where one group has most of the points, a right answer has few
    clusters by this number. More than K / 2 of them are never too few.

    Parameters
    ----------
    sizes
        Points in each cluster (K,).
    before
        The same when the clusters started.
    n_clusters
        K, the number asked for.
    when
        The place in training that the warning should name.
    """
    now, start = effective_number(sizes), effective_number(before)
    if now < min(start, n_clusters) / 2:
        message = f"only {now:.1f} of {n_clusters} clusters are in use (effective number) at {when}; they started with"
        advice = f"{message} {start:.1f}. Look at the scale of the codes and at lr."
        warnings.warn(advice, CollapseWarning, stacklevel=callers_level())


def warn_of_other_sizes(sizes: NDArray, before: NDArray, n_clusters: int) -> None:
    """Warn if the clusters started with very unequal sizes and training made them much more equal.

    Both readings are possible, and only a look at the points tells: the start merged groups which training has found,
    or training has split a large group, as losses that balance do.

    Parameters
    ----------
    sizes, before, n_clusters
        As in :func:`warn_of_collapse`.
    """
    now, start = effective_number(sizes), effective_number(before)
    if start < 0.6 * n_clusters and now > 1.5 * start:
        found, first = (sorted(map(int, part), reverse=True) for part in (sizes, before))
        message = f"clusters of sizes {first} at the start became {found}: training found groups that the start had"
        advice = f"{message} merged, or it split a large group to even out sizes. Compare with epochs=0."
        warnings.warn(advice, CollapseWarning, stacklevel=callers_level())


@torch.no_grad()
def warn_of_dead_units(encoder: nn.Module, encode: Callable[[Tensor], Tensor], x: Tensor, when: str) -> None:
    """Warn if all codes of ``x`` (m, D) are the same, or if most units behind a ReLU are zero for every point.

    Parameters
    ----------
    encoder
        The network to look into.
    encode
        From points to codes, through it.
    x
        Points (m, …), m > 1.
    when
        The place in training that the warning should name.
    """
    silent: list[float] = []
    hooks = [
        layer.register_forward_hook(lambda _, __, out: silent.append(float((out <= 0).all(dim=0).float().mean())))
        for layer in encoder.modules()
        if isinstance(layer, nn.ReLU)
    ]
    z = encode(x)
    for hook in hooks:
        hook.remove()
    advice = "lower the learning rate, or look for features of very different size."
    if (z.std(dim=0) <= 1e-6 * z.abs().max().clamp_min(1e-30)).all():
        message = f"all codes are the same at {when}: the network is dead; {advice}"
        warnings.warn(message, CollapseWarning, stacklevel=callers_level())
    for layer, part in enumerate(silent, 1):
        if part > 0.9:
            message = f"{part:.0%} of the units of hidden layer {layer} answer no point at {when}; {advice}"
            warnings.warn(message, DeadUnitsWarning, stacklevel=callers_level())


def copy_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's state that further training does not touch."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def progress(epochs: Iterable[int], name: str, verbose: int) -> tqdm:
    """Wrap epochs in a progress bar, silent when ``verbose`` is 0."""
    return tqdm(epochs, desc=name, unit="epoch", disable=not verbose, leave=verbose > 1, file=sys.stderr)

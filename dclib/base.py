"""The framework as code: a method names its network, losses, targets and assignment; the rest is written once, here."""

import copy
import inspect
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import assert_all_finite, check_is_fitted, validate_data
from torch import Tensor, nn

from dclib import parallel
from dclib.augment import RandomAffine
from dclib.checks import check_widths, one_of
from dclib.data import Dataset
from dclib.metrics import label_change
from dclib.networks import conv_autoencoder, mlp_autoencoder
from dclib.persistence import Persistent
from dclib.points import Rows, is_large_map, on_device, parts
from dclib.profiles import profile
from dclib.training import (
    EVALUATION_BATCH,
    PRECISIONS,
    NonFiniteLossError,
    OutlierWarning,
    autocast,
    batches,
    check_finite,
    check_network,
    copy_state,
    fit_kmeans,
    in_batches,
    pick_device,
    progress,
    root_mean_square,
    seed_of,
    seeded,
    warn_of_collapse,
    warn_of_dead_units,
    whiten_code,
    without_denormals,
)

Points = Tensor | Rows
Stage = Callable[[Points], None]


@dataclass(frozen=True)
class Batch:
    """A mini-batch: what a loss may look at.

    Attributes
    ----------
    x
        The points as they are (m, D).
    view
        The same points as the network sees them (m, D): augmented, if the method augments.
    index
        Their places in the data (m,).
    encoder
        The network that reads the view.
    """

    x: Tensor
    view: Tensor
    index: Tensor
    encoder: nn.Module

    @cached_property
    def z(self) -> Tensor:
        """The codes of the view (m, d), computed when first asked for: two losses share one pass.

        They are float32, whatever the layers multiply in: a loss of them is then computed in float32 too.
        """
        return self.encoder(self.view).float()


LossOf = Callable[[Batch], Tensor]

POSITIVE = Interval(Real, 0, None, closed="neither")
WEIGHT = Interval(Real, 0, None, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")
COUNT_OR_NONE = Interval(Integral, 0, None, closed="left")


def _to_numpy(X: ArrayLike) -> ArrayLike:
    """Turn a tensor into an array and leave everything else to scikit-learn's validation."""
    return X.detach().cpu().numpy() if isinstance(X, Tensor) else X


def _joined_signature(cls: type) -> inspect.Signature:
    """Return the signature of ``cls.__init__`` with the parameters that it passes on to its parents."""
    found: dict[str, inspect.Parameter] = {}
    for parent in reversed(cls.__mro__):
        if "__init__" in parent.__dict__ and issubclass(parent, BaseEstimator):
            found |= dict(inspect.signature(parent.__init__).parameters)
    kept = [p for p in found.values() if p.kind is not p.VAR_KEYWORD]
    return inspect.Signature(sorted(kept, key=lambda p: p.kind))


class DeepClusterer(Persistent, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator):
    """A network and a clustering of its codes: the first phase, which every method shares.

    ``fit`` builds the network, trains it on the representation loss L_R and starts the clusters on its codes. A method
    with a second phase extends :class:`RefiningClusterer`. A method says what is its own by overriding

    - ``build``: the network (a module with an ``encoder`` and, if it reconstructs, a ``decoder``),
    - ``representation_loss``: L_R of a mini-batch,
    - ``start_clusters``: the first centroids,
    - ``assign``: from codes to clusters.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    network
        A module to start from instead of a new one; a copy of it is trained. With ``pretrain_epochs=0`` it is taken as
        it is, so that two methods can start from the same weights.
    shape
        Height and width, if the points are images and the network shall be convolutional; ``None``: fully connected.
    hidden
        Widths of the encoder's hidden layers, or its channels if it is convolutional; the decoder mirrors them.
    latent_dim
        d, the width of the code.
    pretrain_epochs
        Passes over the data in the first phase.
    pretrain_lr
        Highest learning rate of the first phase. It climbs there and falls again (one cycle).
    batch_size
        Points in a mini-batch.
    augment
        Applied to each mini-batch in training, e.g. :class:`~dclib.augment.RandomAffine` for images. Targets and
        results are computed on the points as they are.
    reconstruct
        What the decoder should draw from an augmented point: ``"view"``, the point as it was seen (as Guo et al. 2018),
        or ``"clean"``, the point as it is, which makes the code forget the augmentation.
    whiten
        Give the code unit covariance before the clusters start; see :func:`~dclib.training.whiten_code`. Without
        pretraining the network is taken as it is.
    n_init
        Restarts of k-means; the one with the least inertia is kept.
    device
        ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision
        In which the layers multiply in training: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where the
        processor has it. Losses, targets and results are float32 always.
    checkpoint
        A file to write after each epoch. If it is there when ``fit`` begins, the run goes on from it, and ends at the
        same bits as an unbroken one. It is removed when ``fit`` is done.
    random_state
        One seed for weights, mini-batches and k-means. The global random state is left as it was.
    callback
        Called with the estimator when a phase begins and after each epoch.
    verbose
        0: silent; 1: a progress bar; 2: the bar stays.

    Attributes
    ----------
    labels_ : ndarray (n,)
        The found cluster of each point.
    network_ : Module
        The trained network, centroids included.
    centroids_ : ndarray (K, d)
        Cluster centres in the latent space.
    history_ : list of dict
        One record an epoch: phase, epoch, loss, seconds, and the share of points that changed cluster.
    scale_ : float
        Root mean square of the training data. Inputs are divided by it.
    seed_ : int
        The seed that ``random_state`` gave.
    seconds_ : float
        Wall time of ``fit``, with what a resumed run took before it broke off.
    """

    convolutional: ClassVar[bool] = False  # whether ``for_data`` gives images a convolutional network
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"hidden": (32,), "pretrain_epochs": 2, "n_init": 2},
        "full": {"pretrain_epochs": 60, "batch_size": 256},
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_clusters": [COUNT],
        "network": [nn.Module, None],
        "shape": ["array-like", None],
        "hidden": ["array-like"],
        "latent_dim": [COUNT],
        "pretrain_epochs": [COUNT_OR_NONE],
        "pretrain_lr": [POSITIVE],
        "batch_size": [COUNT],
        "augment": [callable, None],
        "reconstruct": [StrOptions({"view", "clean"})],
        "whiten": ["boolean"],
        "n_init": [COUNT],
        "device": [str],
        "precision": [StrOptions(set(PRECISIONS))],
        "checkpoint": [str, Path, None],
        "random_state": ["random_state"],
        "callback": [callable, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        network: nn.Module | None = None,
        shape: Sequence[int] | None = None,
        hidden: Sequence[int] = (256, 256),
        latent_dim: int = 10,
        pretrain_epochs: int = 20,
        pretrain_lr: float = 2e-3,
        batch_size: int = 128,
        augment: Callable[[Tensor], Tensor] | None = None,
        reconstruct: str = "view",
        whiten: bool = True,
        n_init: int = 20,
        device: str = "auto",
        precision: str = "auto",
        checkpoint: str | Path | None = None,
        random_state: int | np.random.RandomState | None = None,
        callback: Callable[["DeepClusterer"], None] | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.network = network
        self.shape = shape
        self.hidden = hidden
        self.latent_dim = latent_dim
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_lr = pretrain_lr
        self.batch_size = batch_size
        self.augment = augment
        self.reconstruct = reconstruct
        self.whiten = whiten
        self.n_init = n_init
        self.device = device
        self.precision = precision
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.callback = callback
        self.verbose = verbose

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show a method's own parameters and the inherited ones in one signature, and join their constraints."""
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__.__signature__ = _joined_signature(cls)
        inherited = super(cls, cls)._parameter_constraints
        cls._parameter_constraints = inherited | cls.__dict__.get("_parameter_constraints", {})

    @classmethod
    def settings(cls, name: str | None = None) -> dict[str, Any]:
        """Return the parameters in which a profile differs from the defaults.

        Parameters
        ----------
        name
            ``"quick"``, ``"book"`` (the defaults: nothing differs) or ``"full"``; by default ``DCLIB_PROFILE`` decides.
        """
        chosen: dict[str, Any] = {}
        for parent in reversed(cls.__mro__):
            chosen |= parent.__dict__.get("profiles", {}).get(profile(name), {})
        return chosen

    @classmethod
    def for_data(cls, data: Dataset, profile: str | None = None, **parameters: Any) -> Self:
        """Return the method set up for a data set: as many clusters as classes, the profile's size, images augmented.

        Parameters
        ----------
        data
            What :func:`dclib.data.load` returned. Only its shape and the number of its classes are read.
        profile
            As in :meth:`settings`.
        **parameters
            Whatever should differ, e.g. ``random_state=0`` or ``augment=None``.

        Raises
        ------
        ValueError
            If the method has no such parameter.
        """
        for name in parameters:
            one_of(name, cls._get_param_names(), f"parameter of {cls.__name__}")
        known: dict[str, Any] = {"n_clusters": len(data.classes)}
        if data.is_image:
            known["augment"] = RandomAffine(data.shape)
            known["shape"] = data.shape if cls.convolutional else None
        return cls(**known | cls.settings(profile) | parameters)

    # -- what a method says -------------------------------------------------------------------------------------------

    def build(self, n_features: int) -> nn.Module:
        """Return the network for points of width ``n_features``."""
        if self.network is not None:
            return copy.deepcopy(self.network)
        if self.shape is not None:
            return conv_autoencoder(self.shape, self.hidden, self.latent_dim)
        return mlp_autoencoder(n_features, self.hidden, self.latent_dim)

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return L_R of a mini-batch: by default the mean squared error of the reconstruction."""
        wanted = batch.view if self.reconstruct == "view" else batch.x
        return nn.functional.mse_loss(self.network_.decoder(batch.z), wanted)

    def start_clusters(self, x: Points, n_clusters: int, n_init: int) -> None:
        """Put ``n_clusters`` centroids where k-means on the codes of ``x`` (n, D) finds them."""
        z = in_batches(self.network_.encoder, x)
        self._start_at(fit_kmeans(self.placed(z), n_clusters, n_init, self.seed_))

    def placed(self, z: Tensor) -> Tensor:
        """Return the places (n, d) at which k-means sees codes ``z`` (n, d): by default the codes themselves."""
        return z

    def _start_at(self, kmeans: KMeans) -> None:
        """Take centroids and labels from k-means."""
        device = next(self.network_.parameters()).device
        centroids = torch.as_tensor(kmeans.cluster_centers_, dtype=torch.float32, device=device)
        self.network_.centroids = nn.Parameter(parallel.from_first(centroids))
        self.labels_ = parallel.from_first(torch.as_tensor(kmeans.labels_)).numpy().astype(np.int64)

    def assign(self, z: Tensor) -> Tensor:
        """Return the cluster (n,) of each code ``z`` (n, d): by default that of the nearest centroid."""
        return torch.cdist(self.placed(z), self.network_.centroids.to(z)).argmin(dim=1)

    # -- what is written once -----------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Find clusters in ``X``.

        Parameters
        ----------
        X
            Points (n, D): array, memory map or tensor.
        y
            Ignored. No label enters training.

        Raises
        ------
        ValueError
            If a parameter is out of range, or ``X`` has NaN or infinity, the wrong rank, fewer points than clusters,
            the same point everywhere, or points that are not of ``shape``.
        NonFiniteLossError
            If training diverges.
        """
        self._validate_params()
        check_widths(self.hidden)
        if self.shape is not None:
            check_widths(self.shape, "shape", 2)
        points = self._validated(X, reset=True)
        self._check_points(points)
        saved = self._open_checkpoint(points)
        self._began = time.perf_counter() - (saved["seconds"] if saved else 0.0)
        self.history_: list[dict[str, Any]] = []
        with parallel.together(), without_denormals():
            own = seed_of(self.random_state) if saved is None else saved["seed"]
            self.seed_ = int(parallel.from_first(torch.tensor(own)))
            with seeded(self.seed_):
                self._run(on_device(points, self.scale_, pick_device(self.device)), saved)
            self.labels_ = self._predict(points)
        warn_of_collapse(self.labels_, self.n_clusters, "the end of training")
        self._close_checkpoint()
        self.seconds_ = time.perf_counter() - self._began
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the codes z (n, d) of the points ``X`` (n, D), in the precision of ``X``."""
        return self._codes(self._validated(X)).cpu().numpy()

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return the cluster (n,) of each point of ``X`` (n, D), seen in training or not."""
        return self._predict(self._validated(X))

    @property
    def centroids_(self) -> NDArray[np.float32] | None:
        """Cluster centres (K, d) in the latent space; ``None`` before the clusters start."""
        centroids = getattr(self.network_, "centroids", None)
        return None if centroids is None else centroids.detach().cpu().numpy().copy()

    @property
    def _n_features_out(self) -> int:
        return self.latent_dim

    def _validated(self, X: ArrayLike, reset: bool = False) -> NDArray:
        """Return ``X`` as an array of floats (a large memory map: as it is), refused if it can't be trained on."""
        if not reset:
            check_is_fitted(self, "network_")
        large = is_large_map(X)
        wanted = "numeric" if large else [np.float32, np.float64]
        points = validate_data(self, _to_numpy(X), dtype=wanted, ensure_all_finite=False, reset=reset)
        points = X if large else points  # validation forgets that an array is a map
        for part in parts(points):
            assert_all_finite(part, estimator_name=type(self).__name__, input_name="X")
        return points

    def _check_points(self, points: NDArray) -> None:
        """Refuse points in which there is nothing to find; set the scale, and warn if one point sets it alone."""
        n = len(points)
        if self.shape is not None and math.prod(self.shape) != points.shape[1]:
            asked = math.prod(self.shape)
            raise ValueError(f"a point has {points.shape[1]} values, and shape={tuple(self.shape)} asks for {asked}.")
        if n < self.n_clusters:
            raise ValueError(f"n_samples={n} should be >= n_clusters={self.n_clusters}.")
        if n > 1 and all((part == points[0]).all() for part in parts(points)):
            raise ValueError(f"all {n} points are the same: there is nothing to cluster.")
        with np.errstate(over="ignore"):
            self.scale_ = root_mean_square(points)
        if not 0 < self.scale_ < np.inf:
            raise ValueError("the squares of the values are out of a float's range; multiply X by a constant.")
        sizes = np.concatenate([np.square(part, dtype=np.float64).mean(axis=1) for part in parts(points)])
        if n >= 10 and sizes.max() > 0.5 * sizes.sum():
            share = f"point {sizes.argmax()} alone holds {sizes.max() / sizes.sum():.1%} of the data's squared size"
            warnings.warn(f"{share}, and shrinks all others; clip it or drop it.", OutlierWarning, stacklevel=3)

    def _codes(self, points: NDArray) -> Tensor:
        dtype = np.float64 if points.dtype == np.float64 else np.float32
        x = Rows(points, self.scale_, pick_device(self.device), dtype)
        encoder = copy.deepcopy(self.network_.encoder).to(x.device).eval()
        return in_batches(encoder.double() if dtype is np.float64 else encoder, x)

    def _predict(self, points: NDArray) -> NDArray[np.int64]:
        return self.assign(self._codes(points)).cpu().numpy()

    # -- the run: stages, epochs, steps -------------------------------------------------------------------------------

    def _run(self, x: Points, saved: dict[str, Any] | None) -> None:
        """Go through the stages, from the place where ``saved`` left off."""
        self.network_ = self.build(x.shape[1]).to(x.device).eval()
        parallel.same_start(self.network_)
        self._place = {"stage": 0, "epoch": 0, "white": False}
        self._resume = None
        if saved is not None:
            self._restore(saved)
        stages = self._stages(len(x))
        for stage in stages[self._place["stage"] :]:
            stage(x)
            self._place |= {"stage": self._place["stage"] + 1, "epoch": 0}
            self._optimizer = self._schedule = None
            self._save_checkpoint()

    def _stages(self, n: int) -> list[Stage]:
        """Return what is to be done, in order, for ``n`` points; a method with a second phase does more."""
        return [self._pretrain, lambda x: self.start_clusters(x, self.n_clusters, self.n_init)]

    def _pretrain(self, x: Points) -> None:
        self._train("pretrain", x, self.pretrain_epochs, self.pretrain_lr)
        if self.pretrain_epochs and len(x) > 1 and self.whiten:
            whiten_code(self.network_, x)
            self._place["white"] = True

    def _train(self, phase: str, x: Points, epochs: int, lr: float) -> None:
        """Minimise a phase's loss over mini-batches, one record of history an epoch."""
        steps = max(1, epochs * -(-len(x) // self.batch_size))
        self._optimizer, self._schedule = self._make_optimizer(phase, lr, steps)
        self._good = None
        if self._resume is not None:
            self._optimizer.load_state_dict(self._resume["optimizer"])
            self._schedule.load_state_dict(self._resume["schedule"])
            self._resume = None
        self._tell()
        for epoch in (bar := progress(range(self._place["epoch"] + 1, epochs + 1), phase, self.verbose)):
            record = self._epoch(phase, epoch, x)
            if record is None:
                break
            self.history_.append(record)
            bar.set_postfix(loss=f"{record['loss']:.4g}")
            self._place["epoch"] = epoch
            self._save_checkpoint()
            self._tell()
        if epochs and len(x) > 1:
            when = f"epoch {self._place['epoch']}, the end of phase {phase!r}"
            warn_of_dead_units(self.network_.encoder, x[:EVALUATION_BATCH], when)

    def _epoch(self, phase: str, epoch: int, x: Points) -> dict[str, Any] | None:
        """Run one epoch and return its record, or ``None`` if the phase is over before it."""
        start, state = time.perf_counter(), copy_state(self.network_)
        total = torch.zeros((), device=x.device)
        for index in self._order(len(x), x.device):
            total += self._step(phase, x, index) * len(index)
        self.network_.eval()
        parallel.mean_buffers(self.network_)
        loss = float(parallel.summed(total)) / len(x)
        where = f"epoch {epoch} of phase {phase!r}"
        try:
            check_finite(loss, where)
            check_network(self.network_, x[: self.batch_size], where)  # the last step has no loss behind it
        except NonFiniteLossError:
            self.network_.load_state_dict(self._good or state)
            raise
        self._good = state  # from here a whole epoch went well
        return {
            "phase": phase,
            "epoch": epoch,
            "loss": loss,
            "changed": None,
            "seconds": time.perf_counter() - start,
        }

    def _order(self, n: int, device: torch.device) -> Sequence[Tensor]:
        """Return this epoch's mini-batches, the same in every process, already on the device."""
        order = parallel.from_first(torch.cat([*batches(n, self.batch_size)]))
        return order.to(device).split(self.batch_size)

    def _loss_of(self, phase: str) -> LossOf:
        return self.representation_loss

    def _step(self, phase: str, x: Points, index: Tensor) -> Tensor:
        """Take one step down the gradient of the mini-batch ``index``; return this process's part of its mean loss."""
        self._optimizer.zero_grad()
        loss = torch.zeros((), device=x.device)
        points = x[index]
        view = self.augment(points) if self.augment else points  # of all: every process draws the same numbers
        mine = Batch(*(parallel.share(value) for value in (points, view, index)), self.network_.encoder)
        self.network_.train(len(mine.index) > 1)  # one point has no spread for batch norm to divide by
        if len(mine.index):
            with autocast(x.device, self.precision):
                loss = self._loss_of(phase)(mine) * (len(mine.index) / len(index))
            loss.backward()
        parallel.sum_gradients(self.network_)
        self._optimizer.step()
        self._schedule.step()
        self._after_step(phase, mine)
        return loss.detach()

    def _after_step(self, phase: str, batch: Batch) -> None:
        """Do what a method does to a mini-batch without a gradient; by default nothing."""

    def _make_optimizer(self, phase: str, lr: float, steps: int) -> tuple[Any, Any]:
        optimizer = torch.optim.Adam(self.network_.parameters(), lr, fused=True)
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)

    def _tell(self) -> None:
        if self.callback is not None:
            self.callback(self)


class Spherical(DeepClusterer):
    """A method whose k-means can look at the directions of codes alone.

    Parameters
    ----------
    directions
        Run k-means on the directions of the codes, z / ‖z‖, instead of the codes. The length of a white code tells how
        far a point is from the mean point, which says more of its style than of its cluster. Centroids are the means of
        directions, of any length (spherical k-means would give them length one).
    **shared
        The parameters of :class:`DeepClusterer`.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {"directions": ["boolean"]}

    def __init__(self, n_clusters: int = 10, *, directions: bool = False, **shared: Any) -> None:
        super().__init__(n_clusters, **shared)
        self.directions = directions

    def placed(self, z: Tensor) -> Tensor:
        """Return codes ``z`` (n, d), or their directions."""
        return nn.functional.normalize(z, eps=torch.finfo(z.dtype).tiny) if self.directions else z


class RefiningClusterer(DeepClusterer):
    """A method with a second phase, which refines network and centroids together on L = L_R + λ L_C.

    The second phase comes in two rounds. The first has many more clusters than asked for. It shapes the code, and
    its clusters are then thrown away. The second starts afresh, with k-means for K clusters on the better code. With
    ``overcluster=0`` there is only the second, as in the papers.

    Beside what :class:`DeepClusterer` asks for, a method says

    - ``clustering_loss``: L_C of a mini-batch,
    - ``refresh``: the targets, computed over all points before each epoch,
    - ``loss``: how the two losses join, where it is not L_R + ``weight`` · L_C.

    Parameters
    ----------
    epochs
        Most passes over the data in the last round.
    lr
        Learning rate at the start of a round; it falls to zero along a half cosine.
    tol
        A round ends when a smaller share of the points than this changed cluster since the last refresh.
    overcluster
        Clusters of the first round, as a multiple of K, but never fewer than ten points for each. 0: no such round.
    overcluster_epochs
        Most passes over the data in the first round.
    **shared
        The parameters of :class:`DeepClusterer`.
    """

    weight: float = 1.0  # λ; a method that leaves it to the user takes it as a parameter
    refreshed: ClassVar[tuple[str, ...]] = ("overcluster", "refine")  # phases with new targets before each epoch
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"epochs": 2, "overcluster_epochs": 1},
        "full": {"epochs": 20, "overcluster": 10, "overcluster_epochs": 20},
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "epochs": [COUNT_OR_NONE],
        "overcluster": [COUNT_OR_NONE],
        "overcluster_epochs": [COUNT_OR_NONE],
        "lr": [POSITIVE],
        "tol": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        epochs: int = 15,
        lr: float = 1e-3,
        tol: float = 1e-3,
        overcluster: int = 5,
        overcluster_epochs: int = 15,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, **shared)
        self.epochs = epochs
        self.lr = lr
        self.tol = tol
        self.overcluster = overcluster
        self.overcluster_epochs = overcluster_epochs

    def clustering_loss(self, batch: Batch) -> Tensor:
        """Return L_C of a mini-batch."""
        raise NotImplementedError

    def refresh(self, x: Tensor) -> Tensor:
        """Recompute the targets from all points ``x`` (n, D) and return the clusters (n,) they now fall in."""
        return self.assign(in_batches(self.network_.encoder, x))

    def loss(self, batch: Batch) -> Tensor:
        """Return L = L_R + λ L_C of a mini-batch."""
        return self.representation_loss(batch) + self.weight * self.clustering_loss(batch)

    def _stages(self, n: int) -> list[Stage]:
        n_many, stages = min(self.overcluster * self.n_clusters, n // 10), super()._stages(n)
        if self.overcluster_epochs and n_many > self.n_clusters:
            stages[1:1] = [
                lambda x: self.start_clusters(x, n_many, n_init=1),  # one start will do: these clusters are not kept
                lambda x: self._train("overcluster", x, self.overcluster_epochs, self.lr),
            ]
        return [*stages, lambda x: self._train("refine", x, self.epochs, self.lr)]

    def _loss_of(self, phase: str) -> LossOf:
        return super()._loss_of(phase) if phase == "pretrain" else self.loss

    def _make_optimizer(self, phase: str, lr: float, steps: int) -> tuple[Any, Any]:
        if phase == "pretrain":
            return super()._make_optimizer(phase, lr, steps)
        optimizer = torch.optim.Adam(self.network_.parameters(), lr, fused=True)
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def _epoch(self, phase: str, epoch: int, x: Tensor) -> dict[str, Any] | None:
        if phase not in self.refreshed:
            return super()._epoch(phase, epoch, x)
        start = time.perf_counter()
        changed = self._refresh_labels(x, f"refresh {epoch} of phase {phase!r}")
        if epoch > 1 and changed < self.tol:
            return None
        record = super()._epoch(phase, epoch, x)
        return record | {"changed": changed, "seconds": time.perf_counter() - start}

    def _refresh_labels(self, x: Tensor, where: str) -> float:
        """Refresh the targets; return the share of points whose cluster changed, and warn of a collapse."""
        labels = self.refresh(x).cpu().numpy()
        changed = label_change(self.labels_, labels)
        self.labels_ = labels
        warn_of_collapse(labels, self.n_clusters, where)
        return changed

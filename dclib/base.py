"""The framework as code: a method names its network, losses, targets and assignment; the rest is written once, here."""

import copy
import dataclasses
import inspect
import time
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from dclib import parallel
from dclib.augment import RandomAffine
from dclib.checks import check_widths, nearest_name, one_of
from dclib.data import Dataset
from dclib.engine import Engine
from dclib.inputs import ReadsPoints
from dclib.networks import conv_autoencoder, mlp_autoencoder
from dclib.persistence import Persistent
from dclib.phases import OPTIMIZERS, SCHEDULES, Batch, Phase, Points, update
from dclib.points import Rows, exact_type, on_device
from dclib.profiles import profile
from dclib.recurrent import NETWORKS
from dclib.training import (
    PRECISIONS,
    STARTS,
    in_batches,
    pick_device,
    placed,
    seed_of,
    seeded,
    start_at_kmeans,
    start_at_labels,
    warn_of_empty_clusters,
    without_denormals,
)

BUNDLED = 10_000  # points in the digits that come with the package
COPIES: WeakKeyDictionary["DeepClusterer", tuple[Any, ...]] = WeakKeyDictionary()  # encoders in double precision
POSITIVE = Interval(Real, 0, None, closed="neither")
WEIGHT = Interval(Real, 0, None, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")
COUNT_OR_NONE = Interval(Integral, 0, None, closed="left")


def _own_parameters(init: Callable[..., None]) -> dict[str, inspect.Parameter]:
    """Return the parameters that an ``__init__`` names itself, whatever signature it shows."""
    return getattr(init, "_own", None) or dict(inspect.signature(init).parameters)


def _joined_signature(cls: type) -> inspect.Signature:
    """Return the signature of ``cls.__init__``, with its parents' parameters where it passes keywords on to them."""
    found: dict[str, inspect.Parameter] = {}
    for parent in cls.__mro__:
        if "__init__" in parent.__dict__ and issubclass(parent, BaseEstimator):
            own = _own_parameters(parent.__dict__["__init__"])
            found = own | found
            if all(p.kind is not p.VAR_KEYWORD for p in own.values()):
                break
    kept = [p for p in found.values() if p.kind is not p.VAR_KEYWORD]
    return inspect.Signature(sorted(kept, key=lambda p: p.kind))


class Named:
    """Knows its parameters. A class of its own: beside an ``__init__``, ``__new__`` would hide its signature."""

    def __new__(cls, *_: Any, **parameters: Any) -> Self:
        """Refuse a parameter that the method does not have, by both names."""
        known = cls._get_param_names()
        for name in parameters:
            if name not in known:
                raise TypeError(f"{cls.__name__} has no parameter {name!r}.{nearest_name(name, known)}")
        return super().__new__(cls)


class DeepClusterer(
    Named, ReadsPoints, Persistent, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator
):
    """A network and a clustering of its codes: the first phase, which every method shares.

    ``fit`` builds the network, trains it on the representation loss L_R and starts the clusters on its codes. A method
    with a second phase extends :class:`~dclib.refining.RefiningClusterer`. A method says what is its own by overriding

    - ``build``: the network (a module with an ``encoder`` and, if it reconstructs, a ``decoder``),
    - ``code``: from what the encoder returns to the code, where it returns more,
    - ``representation_loss``: L_R of a mini-batch,
    - ``start_clusters``: the first centroids,
    - ``assign``: from codes to clusters,
    - ``phases``: what is done, in order; see :class:`~dclib.phases.Phase`.

    What ``fit`` finds and has to last, in attributes that end with an underscore and in modules and parameters of
    ``network_``, is in checkpoints and saved files. Modules that are made in training are made by :meth:`install`.
    Attributes that begin with an underscore are scratch: hooks set them anew, and they are gone after ``fit``.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    network
        A module to start from instead of a new one; a copy of it is trained. With ``pretrain_epochs=0`` it is taken as
        it is, so that two methods can start from the same weights. It has an ``encoder``, which reads points in the
        shape in which they come, and where the method reconstructs a ``decoder``. The code is as wide as it makes it.
        ``"gru"`` or ``"lstm"``: a new recurrent one for sequences, with ``hidden`` and ``latent_dim``; see
        :func:`~dclib.recurrent.recurrent_autoencoder`.
    shape
        Height and width, or channels, height and width, if the points are images and the network shall be
        convolutional; ``None``: fully connected.
    hidden
        Widths of the encoder's hidden layers, or its channels if it is convolutional; the decoder mirrors them.
    latent_dim
        d, the width of the code.
    pretrain_epochs
        Passes over the data in the first phase.
    pretrain_lr
        Highest learning rate of the first phase.
    pretrain_optimizer
        ``"adam"``, or ``"sgd"`` with momentum 0.9.
    pretrain_schedule
        ``"one_cycle"``: the learning rate climbs to ``pretrain_lr`` and falls again; ``"half_cosine"``: it falls from
        there to zero; ``"constant"``: it stays.
    batch_size
        Points in a mini-batch.
    augment
        A callable, applied to each mini-batch in training, e.g. :class:`~dclib.augment.RandomAffine` for images
        (:meth:`for_data` also takes a dict of its settings). Targets and
        results are computed on the points as they are. It helps where the change keeps the class, as small turns of
        digits do, and harms where it does not: a six turned far is a nine.
    reconstruct
        What the decoder should draw from an augmented point: ``"view"``, the point as it was seen (as Guo et al. 2018),
        or ``"clean"``, the point as it is, which makes the code forget the augmentation.
    start
        Where the clusters start: ``"kmeans"`` on the codes, as in the papers; ``"spectral"``, where the neighbour graph
        of the codes is thin; ``"mixture"``, a Gaussian mixture. k-means cuts across long groups, and which of its
        answers comes out is luck. The graph follows the shape of many groups of like size; it costs a search for
        neighbours, and can cut a group that is much larger than the others.
    n_init
        Restarts of k-means; the one with the least inertia is kept.
    device
        ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or a device of PyTorch's.
    precision
        In which the layers multiply in training: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 where the
        processor has it. Losses, targets and results are float32 always.
    checkpoint
        A file to write after each epoch. If it is there when ``fit`` begins, the run goes on from it, and ends at the
        same bits as an unbroken one. It is removed when ``fit`` is done.
    pretrained
        A folder for networks after the first phase. A run whose first phase is the same as one that is kept there, of
        this method or another, begins after it, ends at the same bits, and counts the time that it took. Points,
        settings and ``random_state`` have to be the same; without a ``random_state`` nothing is kept.
    random_state
        One seed for weights, mini-batches and k-means. The global random state is left as it was.
    callback
        Called with the estimator when a phase begins and after each epoch; of several processes, by each alone.
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
        One record an epoch: phase, epoch, loss, each named loss by itself (``losses``), seconds, and the share of
        points that changed cluster (``changed``).
    offset_, scale_ : float
        Median and, measured from it, root mean square of the training data. Inputs are shifted and divided by them.
    point_shape_ : tuple of int
        The shape in which the network reads a point.
    width_ : int
        d, the width of the code.
    seed_ : int
        The seed that ``random_state`` gave.
    seconds_ : float
        Wall time of ``fit``, with what a resumed run took before it broke off.
    """

    convolutional: ClassVar[bool] = False  # whether images get a convolutional network
    wiring: ClassVar[str] = "ReLU, linear code"  # of its network, in words
    renewed: ClassVar[str] = ""  # what a second phase makes anew at each refresh, in words
    seeks: ClassVar[bool] = True  # whether clusters are sought on the codes when the first phase is over
    begins: ClassVar[str] = "none"  # where clusters come from if they are not, in words
    ragged: ClassVar[bool] = False  # whether its own network reads sequences of unequal length
    channels: ClassVar[tuple[int, ...]] = (16, 32, 64)  # of its layers, if ``hidden`` is ``None``
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"hidden": (32,), "pretrain_epochs": 2, "n_init": 2},
        "book": {"pretrain_steps": 3_200},
        "full": {"pretrain_steps": 18_000, "batch_size": 256},
        "paper": {
            "augment": None,
            "hidden": (500, 500, 2000),
            "pretrain_epochs": 300,
            "pretrain_optimizer": "sgd",
            "pretrain_schedule": "constant",
            "pretrain_lr": 0.1,
            "batch_size": 256,
        },
        "paper, usps": {"pretrain_epochs": 50, "pretrain_optimizer": "adam", "pretrain_lr": 1e-3},
    }
    augmented: ClassVar[bool] = True  # whether :meth:`for_data` augments images
    viewed: ClassVar[bool] = False  # whether augmentation is part of the method, and nothing that is added
    views: ClassVar[dict[str, float]] = {}  # how far, if otherwise than by default
    for_images: ClassVar[dict[str, Any]] = {}  # what :meth:`for_data` sets on images
    first_phase: ClassVar[tuple[str, ...]] = ()  # parameters of its own that bear on it
    of_points: ClassVar[tuple[str, ...]] = ("labels_",)  # what is found of each point: a process has its own rows
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_clusters": [COUNT],
        "network": [nn.Module, StrOptions(set(NETWORKS)), None],
        "shape": ["array-like", None],
        "hidden": ["array-like", None],
        "latent_dim": [COUNT],
        "pretrain_epochs": [COUNT_OR_NONE],
        "pretrain_lr": [POSITIVE],
        "pretrain_optimizer": [StrOptions(set(OPTIMIZERS))],
        "pretrain_schedule": [StrOptions(set(SCHEDULES))],
        "batch_size": [COUNT],
        "augment": [callable, None],
        "reconstruct": [StrOptions({"view", "clean"})],
        "start": [StrOptions({"kmeans", *STARTS})],
        "n_init": [COUNT],
        "device": [str, torch.device],
        "precision": [StrOptions(set(PRECISIONS))],
        "checkpoint": [str, Path, None],
        "pretrained": [str, Path, None],
        "random_state": ["random_state"],
        "callback": [callable, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        network: nn.Module | str | None = None,
        shape: Sequence[int] | None = None,
        hidden: Sequence[int] | None = (256, 256),
        latent_dim: int = 10,
        pretrain_epochs: int = 20,
        pretrain_lr: float = 2e-3,
        pretrain_optimizer: str = "adam",
        pretrain_schedule: str = "one_cycle",
        batch_size: int = 128,
        augment: Callable[[Tensor], Tensor] | None = None,
        reconstruct: str = "view",
        start: str = "kmeans",
        n_init: int = 20,
        device: str | torch.device = "auto",
        precision: str = "auto",
        checkpoint: str | Path | None = None,
        pretrained: str | Path | None = None,
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
        self.pretrain_optimizer = pretrain_optimizer
        self.pretrain_schedule = pretrain_schedule
        self.batch_size = batch_size
        self.augment = augment
        self.reconstruct = reconstruct
        self.start = start
        self.n_init = n_init
        self.device = device
        self.precision = precision
        self.checkpoint = checkpoint
        self.pretrained = pretrained
        self.random_state = random_state
        self.callback = callback
        self.verbose = verbose

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show a method's own parameters and the inherited ones in one signature, and join their constraints."""
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__._own = _own_parameters(cls.__init__)
            cls.__init__.__signature__ = _joined_signature(cls)
        whole = _joined_signature(cls)  # Python 3.11.2 shows that of __new__ for a class without an __init__ of its own
        cls.__signature__ = whole.replace(parameters=list(whole.parameters.values())[1:])
        cls._own_constraints = cls.__dict__.get("_parameter_constraints", {})
        joined = dict(DeepClusterer._parameter_constraints)
        for parent in reversed(cls.__mro__):  # of every branch, if there are several
            joined |= parent.__dict__.get("_own_constraints", {})
        cls._parameter_constraints = joined

    @classmethod
    def settings(cls, name: str | None = None, data: Dataset | None = None) -> dict[str, Any]:
        """Return the parameters in which a profile differs from the defaults, which add nothing to the paper's method.

        A profile has its budget in steps, mini-batches, which mean the same whatever the number of points; here they
        are turned into epochs.

        Parameters
        ----------
        name
            ``"quick"``, ``"book"``, ``"full"`` or ``"paper"``; by default ``DCLIB_PROFILE`` decides.
        data
            What will be trained on: its number of points makes epochs of steps, and where a paper has other settings
            for a data set, its name says so. By default the bundled 10,000 digits.
        """
        return cls._in_epochs(cls.as_written(name, data), BUNDLED if data is None else len(data))

    @classmethod
    def as_written(cls, name: str | None = None, data: Dataset | None = None) -> dict[str, Any]:
        """Return what :meth:`settings` does with the budgets as the profile has them, in steps where it has steps."""
        size = profile(name)
        chosen: dict[str, Any] = {}
        for parent in reversed(cls.__mro__):
            own = parent.__dict__.get("profiles", {})
            new = own.get(size, {}) | (own.get(f"{size}, {data.name}", {}) if data is not None else {})
            for steps, epochs in (("pretrain_steps", "pretrain_epochs"), ("refine_steps", "epochs")):
                if epochs in new:  # a budget in passes over the data takes the place of one in steps
                    chosen.pop(steps, None)
            chosen |= new
        return chosen

    @classmethod
    def _in_epochs(cls, chosen: dict[str, Any], n: int) -> dict[str, Any]:
        """Return settings with epochs of ``n`` points in place of steps."""
        known = cls().get_params(deep=False) | chosen
        an_epoch = -(-n // known["batch_size"])  # steps
        lengths = {
            "pretrain_steps": ("pretrain_epochs", an_epoch),
            "refine_steps": ("epochs", known.get("update_interval") or an_epoch),
        }
        found = {name: value for name, value in chosen.items() if name not in lengths}
        for name, (epochs, steps) in lengths.items():
            if name in chosen:
                found[epochs] = max(1, round(chosen[name] / steps))
        return found

    @classmethod
    def for_data(cls, data: Dataset, profile: str | None = None, **parameters: Any) -> Self:
        """Return the method set up for a data set: as many clusters as classes, the profile's size, images augmented.

        The profile ``"paper"`` adds nothing, and augments no image, unless the method lives by two views of a point.

        Parameters
        ----------
        data
            What :func:`dclib.data.load` returned. Its name, its shape, and the numbers of its points and classes are
            read.
        profile
            As in :meth:`settings`.
        **parameters
            Whatever should differ, e.g. ``random_state=0`` or ``augment=None``. Where ``augment`` is a dict, it says
            what differs in the method's :class:`~dclib.augment.RandomAffine`: ``augment={"degrees": 10}``.

        Raises
        ------
        ValueError
            If the method has no such parameter, or the transform has none, or there are no images to transform; or if
            neither the data nor you say how many clusters there are.
        """
        if not isinstance(data, Dataset):
            raise TypeError(f"for_data takes a Dataset, not {type(data).__name__}: Dataset(x, None, 'mine', (28, 28)).")
        for name in parameters:
            one_of(name, cls._get_param_names(), f"parameter of {cls.__name__}")
        if not data.classes and "n_clusters" not in parameters:
            raise ValueError(f"{data.name} does not say how many classes it has: pass n_clusters.")
        if isinstance(parameters.get("augment"), dict):
            parameters["augment"] = cls._transform(data, parameters["augment"])
        known: dict[str, Any] = {"n_clusters": len(data.classes)}
        if data.is_image:
            known |= cls.for_images | ({"augment": RandomAffine(data.shape, **cls.views)} if cls.augmented else {})
            known["shape"] = data.shape if cls.convolutional else None
        chosen = cls._in_epochs(cls.as_written(profile, data) | parameters, len(data))  # of the batches asked for
        if cls.viewed and "augment" not in parameters:
            chosen.pop("augment", None)
        return cls(**known | chosen | parameters)

    @classmethod
    def _transform(cls, data: Dataset, changes: dict[str, Any]) -> RandomAffine:
        """Return the method's transform of a data set's images, with some settings changed."""
        if not data.is_image:
            raise ValueError(f"augment={changes} is a transform of images, and {data.name} has none.")
        known = [field.name for field in dataclasses.fields(RandomAffine) if field.name != "shape"]
        for name in changes:
            one_of(name, known, "setting of RandomAffine")
        return RandomAffine(data.shape, **{**cls.views, **changes})

    # -- what a method says -------------------------------------------------------------------------------------------

    def build(self, n_features: int) -> nn.Module:
        """Return the network for points of ``n_features`` values, in the shape ``point_shape_``."""
        if isinstance(self.network, str):
            return NETWORKS[self.network](self.point_shape_, self._widths, self.latent_dim)
        if self.network is not None:
            return copy.deepcopy(self.network)
        if self._image_shape is not None:
            return conv_autoencoder(self._image_shape, self._widths, self.latent_dim)
        return mlp_autoencoder(n_features, self._widths, self.latent_dim)

    @property
    def _reads_ends(self) -> bool:
        """Whether sequences may be of unequal length: their network reads them, and L_R measures steps alone."""
        reads = isinstance(self.network, str) or getattr(
            self.network, "reads_ends", self.network is None and self.ragged
        )
        return bool(reads) and type(self).representation_loss is DeepClusterer.representation_loss

    @property
    def _widths(self) -> Sequence[int]:
        """Channels or widths of the hidden layers, as asked for or as fits the points."""
        return self.hidden if self.hidden is not None else (256, 256) if self._image_shape is None else self.channels

    def needs_decoder(self) -> bool:
        """Return whether anything is reconstructed."""
        return self.pretrain_epochs > 0

    def prepare(self, x: Points) -> None:
        """Do what has to be done before the phases and again when a broken run goes on; by default nothing."""

    def conclude(self) -> None:
        """Look at what was found, in ``labels_``, and warn if it is no good sign: most clusters have no point."""
        warn_of_empty_clusters(self._sizes(self.labels_), self.n_clusters)

    @staticmethod
    def _sizes(labels: NDArray, n_clusters: int = 0) -> NDArray[np.int64]:
        """Return the points in each cluster, over all processes."""
        n_clusters = parallel.largest(max(n_clusters, int(labels.max()) + 1))
        found = torch.bincount(torch.as_tensor(labels).long(), minlength=n_clusters)
        return parallel.over_points(found).numpy()

    def phases(self, n: int) -> list[Phase]:
        """Return what is to be done, in order, for ``n`` points; a method with a second phase does more."""
        start = Phase("start", begin=lambda x: self.start_clusters(x, self.n_clusters, self.n_init))
        return [self.pretraining(), start]

    def pretraining(self) -> Phase:
        """Return the first phase: the network learns from L_R alone."""
        how = {"optimizer": OPTIMIZERS[self.pretrain_optimizer], "schedule": SCHEDULES[self.pretrain_schedule]}
        learn = update(self.representation_loss, self.pretrain_lr, **how)
        return Phase("pretrain", self.pretrain_epochs, (learn,))

    def code(self, output: Any) -> Tensor:
        """Return the code (m, d) from what the encoder returns: by default that itself."""
        return output

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes (m, d) of points ``x`` (m, …), as the network is now, with their gradient."""
        return self.code(self.network_.encoder(x))

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return L_R of a mini-batch: by default the mean squared error of the reconstruction."""
        wanted = batch.view if self.reconstruct == "view" else batch.x
        return batch.note("L_R", self.error(self.network_.decoder(batch.z), wanted))

    def error(self, drawn: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean squared error of a reconstruction; a network of sequences measures their steps alone."""
        return getattr(self.network_, "error", nn.functional.mse_loss)(drawn, wanted)

    def start_clusters(self, x: Points, n_clusters: int, n_init: int) -> None:
        """Put ``n_clusters`` centroids where k-means on the codes of ``x`` (n, …) finds them, or as ``start`` says."""
        how = {"n_init": n_init, "random_state": self.seed_}
        if self.start == "kmeans":
            self.labels_ = start_at_kmeans(self.network_, x, n_clusters, **how, place=self.encode)
        else:
            self._start_elsewhere(in_batches(self.encode, x), **how)

    def _start_elsewhere(self, z: Tensor, **how: int) -> None:
        """Start at another clustering of the places ``z`` (n, d); of all processes' points, in one place."""
        n, z = len(z), parallel.all_rows(z)
        with parallel.together(split=False):
            labels = parallel.from_first(torch.as_tensor(self.labels_of_start(z, **how)))
        start_at_labels(self.network_, z, labels.numpy(), self.n_clusters)
        self.labels_ = parallel.own_rows(labels, n).numpy()

    def labels_of_start(self, z: Tensor, n_init: int, random_state: int) -> NDArray[np.int64]:
        """Return the clusters (n,) in which the places ``z`` (n, d) of all points start, where k-means is not asked."""
        return STARTS[self.start](z, self.n_clusters, n_init=n_init, random_state=random_state)

    def assign(self, z: Tensor) -> Tensor:
        """Return the cluster (n,) of each code ``z`` (n, d): by default that of the nearest centroid."""
        return torch.cdist(z, self.network_.centroids.to(z)).argmin(dim=1)

    def install(self, name: str, maker: str, *arguments: Any) -> None:
        """Make a module in training and put it into the network, in place of one of that name.

        Parameters
        ----------
        name
            What it is called in ``network_``.
        maker
            Name of the method that makes it; it begins with ``new_``, and is called again when a file is read.
        *arguments
            What the method is called with: numbers and strings.
        """
        if not maker.startswith("new_"):
            raise ValueError(f"{maker!r} does not begin with 'new_'.")
        self.installed_ = {**getattr(self, "installed_", {}), name: [maker, *arguments]}
        setattr(self.network_, name, getattr(self, maker)(*arguments).to(self._network_device()).eval())

    def _network_device(self) -> torch.device:
        """Return the device of the network; one without a weight has none, and goes where it will be used."""
        return next((value.device for value in self.network_.parameters()), pick_device(self.device))

    @staticmethod
    def of_first_phase() -> set[str]:
        """Return the parameters of every method that bear on its first phase; ``first_phase`` has its own."""
        return {*inspect.signature(DeepClusterer.__init__).parameters} - {"self", "n_clusters", "start", "n_init"}

    # -- what is written once -----------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: None = None, *, split: bool = False) -> Self:
        """Find clusters in ``X``.

        Parameters
        ----------
        X
            Points: rows (n, D), images (n, H, W) or (n, C, H, W), sequences (n, T) or (n, T, C); an array, a memory map
            or a tensor. Sequences of unequal length, for a network that reads them: a list of arrays, a masked array,
            or an array (n, T, C) that is NaN beyond the end of each.
        y
            Ignored. No label enters training.
        split
            Of several processes, each was given rows of its own; see :mod:`dclib.parallel`.

        Raises
        ------
        ValueError
            If a parameter is out of range, or ``X`` has NaN or infinity, the wrong rank, fewer points than clusters,
            the same point everywhere, or points that are not of ``shape`` or that ``network`` can't read.
        NonFiniteLossError
            If training diverges.
        """
        self._validate_params()
        check_widths(self._widths)
        if self.shape is not None:
            check_widths(self.shape, "shape", (2, 3))
        before = {*vars(self), "_fitted"}
        try:
            with parallel.together(split), without_denormals():
                points = self._taken(X)
                self._fitted = False
                self._train(points)
            self._fitted = True
        finally:
            for name in vars(self).keys() - before:
                if name.startswith("_") and not name.endswith("_"):
                    delattr(self, name)
        return self

    def _taken(self, X: ArrayLike) -> NDArray:
        """Return validated points and forget what an earlier fit found; a refusal leaves all as it was."""
        before = dict(vars(self))
        for name in [*self._found(), "network_"]:
            vars(self).pop(name, None)
        try:
            with parallel.stopping_all():
                points = self._validated(X, reset=True)
                self._set_shapes()
            self._check_points(points)
        except BaseException:
            vars(self).clear(), vars(self).update(before)
            raise
        return points

    def _train(self, points: NDArray) -> None:
        """Train on validated points, from the start or from where a broken run left off."""
        saved = self._open_checkpoint(points)
        self.history_: list[dict[str, Any]] = []
        device = pick_device(self.device)
        own = seed_of(self.random_state) if saved is None else saved["seed"]
        self.seed_ = int(parallel.from_first(torch.tensor(own)))
        kept = self._open_pretrained(points, device)
        saved = saved or kept
        self._began = time.perf_counter() - (saved["seconds"] if saved else 0.0)
        with seeded(self.seed_, device):
            self._run(on_device(points, self.scale_, device, self.offset_, self.point_shape_), saved)
        self.labels_ = self._predict(points)
        self.conclude()
        self._close_checkpoint()
        self.seconds_ = time.perf_counter() - self._began

    def _run(self, x: Points, saved: dict[str, Any] | None) -> None:
        """Go through the phases, from the place where ``saved`` left off."""
        self.installed_: dict[str, Any] = {}
        self.network_ = placed(parallel.synced(self.build(self.n_features_in_), x.device), x.device).eval()
        self._check_network(x[:2])
        self.prepare(x)
        engine = Engine(self, x)
        if saved is not None:
            self._restore(saved, engine)
        engine.run(self.phases(int(parallel.over_points(torch.tensor(len(x))))))

    @torch.no_grad()
    def _check_network(self, x: Tensor) -> None:
        """Refuse a network that can't read the points ``x`` (2, …), or can't draw them again; find the code's width."""
        shape = self.point_shape_
        if not hasattr(self.network_, "encoder"):
            raise ValueError("network= has no encoder.")
        try:
            z = self.encode(x)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            reshape = "" if len(shape) < 2 else "; X.reshape(len(X), -1) makes rows of its points"
            raise ValueError(f"network= can't read points of shape {shape}{reshape} ({error}).") from error
        if z.ndim != 2 or len(z) != len(x):
            found = f"codes of shape {tuple(z.shape)} of {len(x)} points"
            raise ValueError(f"network= makes {found}; they should be (n, d).")
        self.width_ = z.shape[1]
        if self.needs_decoder():
            self._check_decoder(z, x)

    def _check_decoder(self, z: Tensor, x: Tensor) -> None:
        if not hasattr(self.network_, "decoder"):
            raise ValueError("network= has no decoder, and the method reconstructs.")
        drawn = self.network_.decoder(z)
        if isinstance(drawn, Tensor) and drawn.shape != x.shape:
            found, wanted = tuple(drawn.shape[1:]), tuple(x.shape[1:])
            raise ValueError(f"network= draws points of shape {found}, and the data has {wanted}.")

    def _tell(self) -> None:
        if self.callback is not None:
            with parallel.alone():  # it may be there, or ask for codes, in one process only
                self.callback(self)

    # -- a trained network at work ------------------------------------------------------------------------------------

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the codes z (n, d) of the points ``X`` (n, …), in the precision of ``X``."""
        return self._codes(self._validated(X)).cpu().numpy()

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return the cluster (n,) of each point of ``X`` (n, …), seen in training or not."""
        return self._predict(self._validated(X))

    @property
    def centroids_(self) -> NDArray[np.float32] | None:
        """Cluster centres (K, d) in the latent space; ``None`` before the clusters start."""
        centroids = getattr(self.network_, "centroids", None)
        return None if centroids is None else centroids.detach().cpu().numpy().copy()

    @property
    def _n_features_out(self) -> int:
        return self.width_

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether there is a network to predict with: not after a fit that broke off."""
        return hasattr(self, "network_") and (getattr(self, "_fitted", True) or hasattr(self, "_began"))

    def _codes(self, points: NDArray) -> Tensor:
        dtype = exact_type(points.dtype)
        x = Rows(points, self.scale_, pick_device(self.device), dtype, self.offset_, self.point_shape_)
        encoder = self._encoder_for(x.device, torch.float64 if dtype is np.float64 else torch.float32)
        return in_batches(lambda part: self.code(encoder(part)), x)

    def _encoder_for(self, device: torch.device, dtype: torch.dtype) -> nn.Module:
        """Return the encoder itself or, for doubles and for another device, a copy that is made once."""
        own = self.network_.encoder
        values = [*own.parameters(), *own.buffers()]
        if not values or (values[0].device == device and dtype == torch.float32):
            return own if not own.training else own.eval()
        key = (device, dtype, id(own), *((id(value), value._version) for value in values))
        if COPIES.get(self, (None,))[0] != key:
            COPIES[self] = key, copy.deepcopy(own).to(device, dtype).eval(), own
        return COPIES[self][1]

    @torch.no_grad()
    def _predict(self, points: NDArray) -> NDArray[np.int64]:
        return self.assign(self._codes(points)).cpu().numpy()

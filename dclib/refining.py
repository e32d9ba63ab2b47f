"""Methods with a second phase: network and clusters refined together, towards targets made anew before each epoch."""

from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from dclib import parallel
from dclib.base import COUNT, COUNT_OR_NONE, POSITIVE, DeepClusterer
from dclib.metrics import label_change
from dclib.phases import OPTIMIZERS, SCHEDULES, Batch, Phase, Points, Update, update
from dclib.training import in_batches, warn_of_collapse, warn_of_other_sizes


class RefiningClusterer(DeepClusterer):
    """A method with a second phase, which refines network and centroids together on L = L_R + λ L_C.

    Beside what :class:`~dclib.base.DeepClusterer` asks for, a method says

    - ``clustering_loss``: L_C of a mini-batch,
    - ``refresh``: the targets, computed over all points before each epoch,
    - ``loss``: how the two losses join, where it is not L_R + ``weight`` · L_C.

    Parameters
    ----------
    epochs
        Most passes over the data in the second phase.
    lr
        Learning rate of the second phase, at its start.
    optimizer, schedule
        As ``pretrain_optimizer`` and ``pretrain_schedule``, for the second phase.
    update_interval
        Steps from one refresh of the targets to the next; an epoch of this phase is then so many mini-batches.
        ``None``: a pass over the data.
    tol
        The second phase ends when a smaller share of the points than this changed cluster since the last refresh.
    **shared
        The parameters of :class:`~dclib.base.DeepClusterer`.

    Attributes
    ----------
    start_sizes_ : ndarray (K,)
        Points in each cluster as they started, before anything was refined.
    """

    renewed: ClassVar[str] = "new target"
    weight: float = 1.0  # λ; a method that leaves it to the user takes it as a parameter
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"epochs": 2},
        "book": {"refine_steps": 1_200},
        "full": {"refine_steps": 4_000, "tol": 0.0},
        "paper": {
            "refine_steps": 20_000,
            "optimizer": "sgd",
            "schedule": "constant",
            "lr": 0.01,
            "update_interval": 140,
        },
        "paper, usps": {"update_interval": 30},
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "epochs": [COUNT_OR_NONE],
        "lr": [POSITIVE],
        "optimizer": [StrOptions(set(OPTIMIZERS))],
        "schedule": [StrOptions(set(SCHEDULES))],
        "update_interval": [COUNT, None],
        "tol": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        epochs: int = 15,
        lr: float = 1e-3,
        optimizer: str = "adam",
        schedule: str = "half_cosine",
        update_interval: int | None = None,
        tol: float = 1e-3,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, **shared)
        self.epochs = epochs
        self.lr = lr
        self.optimizer = optimizer
        self.schedule = schedule
        self.update_interval = update_interval
        self.tol = tol

    def clustering_loss(self, batch: Batch) -> Tensor:
        """Return L_C of a mini-batch."""
        raise NotImplementedError

    def refresh(self, x: Points) -> Tensor:
        """Recompute the targets from all points ``x`` (n, …) and return the clusters (n,) they now fall in."""
        return self.assign(in_batches(self.encode, x))

    def loss(self, batch: Batch) -> Tensor:
        """Return L = L_R + λ L_C of a mini-batch."""
        return self.representation_loss(batch) + self.weight * batch.note("L_C", self.clustering_loss(batch))

    def after_step(self, batch: Batch) -> None:
        """Do what a method does to a mini-batch without a gradient; by default nothing."""

    def needs_decoder(self) -> bool:
        """Return whether anything is reconstructed: in both phases."""
        return True

    def phases(self, n: int) -> list[Phase]:
        """Return pretraining and refinement."""
        return [self.pretraining(), self.refinement()]

    def refinement(self) -> Phase:
        """Return the second phase, which starts the clusters and refines them with the network."""
        return Phase(
            "refine",
            self.epochs,
            (self.descent(),),
            begin=self._start,
            before_epoch=self._refresh_labels,
            over=lambda epoch, found: epoch > 1 and found["changed"] < self.tol,
            order=self._stretch if self.update_interval else None,
            size=self._stretch_size() if self.update_interval else None,
            after_step=None if type(self).after_step is RefiningClusterer.after_step else self.after_step,
        )

    def descent(self) -> Update:
        """Return the update of the second phase."""
        return update(self.loss, self.lr, optimizer=OPTIMIZERS[self.optimizer], schedule=SCHEDULES[self.schedule])

    def _stretch_size(self) -> int:
        """Return the points that this process sees from one refresh to the next."""
        shares = parallel.n_processes() if parallel.is_split() else 1
        return self.update_interval * max(1, self.batch_size // shares)

    def _stretch(self, n: int) -> Tensor:
        """Return the places of the points between two refreshes: ``update_interval`` mini-batches."""
        wanted = self._stretch_size()
        return torch.cat([torch.randperm(n) for _ in range(-(-wanted // n))])[:wanted]

    def _start(self, x: Points) -> None:
        """Start the clusters, and note how large they are."""
        self.start_clusters(x, self.n_clusters, self.n_init)
        self.start_sizes_ = self._sizes(self.labels_, self.n_clusters)

    def _refresh_labels(self, x: Points) -> Mapping[str, float]:
        """Refresh the targets; return the share of points whose cluster changed, and warn of a collapse."""
        labels = self.refresh(x).cpu().numpy()
        changed = self._mean(label_change(self.labels_, labels), len(labels))
        self.labels_ = labels
        phase, epoch = self._at
        when = f"refresh {epoch} of phase {phase!r}"
        warn_of_collapse(self._sizes(labels), self.start_sizes_, self.n_clusters, when)
        return {"changed": changed}

    def conclude(self) -> None:
        """Warn if the clusters are far fewer, or far more even, than they were at the start."""
        super().conclude()
        sizes = self._sizes(self.labels_)
        warn_of_collapse(sizes, self.start_sizes_, self.n_clusters, "the end of training")
        warn_of_other_sizes(sizes, self.start_sizes_, self.n_clusters)

    @staticmethod
    def _mean(value: float, n: int) -> float:
        total, count = parallel.over_points(torch.tensor([value * n, n], dtype=torch.float64))
        return float(total / count) if parallel.is_split() else value

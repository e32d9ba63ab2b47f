"""Methods with a second phase: network and clusters refined together, towards targets made anew before each epoch."""

from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from dclib import parallel
from dclib.base import COUNT_OR_NONE, POSITIVE, DeepClusterer
from dclib.metrics import label_change
from dclib.phases import Batch, Phase, Points, half_cosine, update
from dclib.training import in_batches, warn_of_collapse, warn_of_other_sizes


class RefiningClusterer(DeepClusterer):
    """A method with a second phase, which refines network and centroids together on L = L_R + λ L_C.

    With ``overcluster`` the second phase comes in two rounds. The first has many more clusters than asked for. It
    shapes the code, and its clusters are then thrown away. The second starts afresh, with k-means for K clusters on the
    better code. Without it there is only the second, as in the papers.

    Beside what :class:`~dclib.base.DeepClusterer` asks for, a method says

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
        Clusters of the first round, as a multiple of K, but never fewer than ten points for each. 0: no such round. It
        helps on groups of equal size after short training, and harms where groups are unequal.
    overcluster_epochs
        Most passes over the data in the first round.
    **shared
        The parameters of :class:`~dclib.base.DeepClusterer`.

    Attributes
    ----------
    start_sizes_ : ndarray (K,)
        Points in each cluster as they started, before anything was refined.
    """

    weight: float = 1.0  # λ; a method that leaves it to the user takes it as a parameter
    additions: ClassVar[dict[str, Any]] = {"overcluster": 5}
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
        overcluster: int = 0,
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
        """Return pretraining, a first round with many clusters if one is wanted, and the last round."""
        return [self.pretraining(), *self.first_round(n), self.last_round()]

    def first_round(self, n: int) -> list[Phase]:
        """Return the round whose clusters are thrown away, if it is wanted and ``n`` points are enough for it."""
        n_many = min(self.overcluster * self.n_clusters, n // 10)
        wanted = self.overcluster_epochs and n_many > self.n_clusters
        return [self.round("overcluster", self.overcluster_epochs, n_many, n_init=1)] if wanted else []

    def last_round(self) -> Phase:
        """Return the round whose clusters are the answer."""
        return self.round("refine", self.epochs, self.n_clusters, self.n_init)

    def round(self, name: str, epochs: int, n_clusters: int, n_init: int) -> Phase:
        """Return a phase that starts ``n_clusters`` clusters and refines them with the network."""
        return Phase(
            name,
            epochs,
            (update(self.loss, self.lr, schedule=half_cosine),),
            begin=lambda x: self._start_round(x, n_clusters, n_init),
            before_epoch=self._refresh_labels,
            over=lambda epoch, found: epoch > 1 and found["changed"] < self.tol,
            after_step=None if type(self).after_step is RefiningClusterer.after_step else self.after_step,
        )

    def _start_round(self, x: Points, n_clusters: int, n_init: int) -> None:
        """Start ``n_clusters`` clusters; before the first round, note how large K of them are."""
        if not hasattr(self, "start_sizes_"):
            self.start_clusters(x, self.n_clusters, self.n_init)
            self.start_sizes_ = self._sizes(self.labels_, self.n_clusters)
            if n_clusters == self.n_clusters:
                return
        self.start_clusters(x, n_clusters, n_init)

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
        """Warn if the clusters are far fewer, or far more even, than those that the last round began with."""
        super().conclude()
        sizes = self._sizes(self.labels_)
        warn_of_collapse(sizes, self.start_sizes_, self.n_clusters, "the end of training")
        warn_of_other_sizes(sizes, self.start_sizes_, self.n_clusters)

    @staticmethod
    def _mean(value: float, n: int) -> float:
        total, count = parallel.over_points(torch.tensor([value * n, n], dtype=torch.float64))
        return float(total / count) if parallel.is_split() else value

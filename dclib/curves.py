"""Accuracy against time: what a run would have had, had it been stopped earlier. Nothing is chosen by it."""

import time
from typing import Any

import torch
from numpy.typing import ArrayLike, NDArray

from dclib.answers import Answers
from dclib.metrics import clustering_accuracy, nmi
from dclib.refining import RefiningClusterer
from dclib.training import fit_kmeans


class Curve:
    """Notes a run's accuracy after each epoch; give it to an estimator as its ``callback``.

    The clock stands still while it looks. If a method's only clusters are those of k-means on its codes at the end, as
    a GAN's are, each epoch is scored by k-means from one start. An epoch without clusters, as in the pretraining of
    DEC, has no entry; where clusters are sought between two phases, their start has one, under the last epoch of the
    first.

    Parameters
    ----------
    x
        Points (n, …) to score.
    y
        Their classes (n,).

    Attributes
    ----------
    found : dict
        Lists of one length: ``epoch``, counted over all phases; ``seconds`` since training began; ``cpu``, the
        processor's seconds of all threads since the curve was made, which other work doesn't stretch; ``loss``,
        ``acc``, ``nmi``.
    spent : float
        Seconds that the looking took.

    Notes
    -----
    A method whose learning rate falls until the end would do better than its curve says, if the whole schedule were
    as short as the time at which one reads it.

    Examples
    --------
    >>> from dclib import DAC, load
    >>> from dclib.curves import Curve
    >>> data = load("digits")
    >>> curve = Curve(data.x, data.y)
    >>> model = DAC(10, hidden=(16,), pretrain_epochs=3, random_state=0, callback=curve).fit(data.x)
    >>> curve.found["epoch"], len(curve.found["acc"])
    ([1, 2, 3], 3)
    """

    def __init__(self, x: ArrayLike, y: ArrayLike) -> None:
        self.x, self.y = x, y
        self.found: dict[str, list[float]] = {key: [] for key in ("epoch", "seconds", "cpu", "loss", "acc", "nmi")}
        self.spent, self._apart = 0.0, time.process_time()  # _apart: the processor's time that was not training's

    def __call__(self, model: Any) -> None:
        """Score the clusters that the estimator ``model`` has now."""
        began, cpu, epoch = time.perf_counter(), time.process_time(), len(model.history_)
        seen = self.found["epoch"][-1] if self.found["epoch"] else 0
        if epoch > seen and (labels := self._labels(model)) is not None:
            row = {"epoch": epoch, "seconds": round(began - model._began - self.spent, 2)}
            row |= {"cpu": round(cpu - self._apart, 2), "loss": round(model.history_[-1]["loss"], 6)}
            row |= {"acc": round(clustering_accuracy(self.y, labels), 4), "nmi": round(nmi(self.y, labels), 4)}
            for key, value in row.items():
                self.found[key].append(value)
        self.spent += time.perf_counter() - began
        self._apart += time.process_time() - cpu

    def _labels(self, model: Any) -> NDArray | None:
        """Return the clusters (n,) that the model has now, or would have if training ended here; or ``None``."""
        if isinstance(model, Answers) or model.centroids_ is not None:
            return model.predict(self.x)
        if isinstance(model, RefiningClusterer) or model.start != "kmeans":
            return None
        return fit_kmeans(torch.as_tensor(model.transform(self.x)), model.n_clusters, n_init=1).labels_

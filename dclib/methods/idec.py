"""IDEC, improved deep embedded clustering: DEC's loss, with the decoder kept so that the code stays a code.

Source: Guo, Gao, Liu, Yin, "Improved Deep Embedded Clustering with Local Structure Preservation", IJCAI 2017.
"""

from typing import Any, ClassVar

from torch import Tensor

from dclib.base import WEIGHT, Batch, RefiningClusterer
from dclib.methods.dec import DEC


class IDEC(DEC):
    """Improved deep embedded clustering (Guo et al. 2017).

    DEC with one change: the second phase minimises L = L_R + γ KL(P‖Q). The decoder stays, so the code has to keep
    what the reconstruction needs.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    weight
        γ, the weight of the clustering loss; the paper has 0.1. The reconstruction error is a *mean* over the D values
        of a point, on data of unit mean square; with a sum in its place, the same compromise needs γ · D.
    **shared
        The parameters of :class:`~dclib.methods.dec.DEC`.

    Examples
    --------
    >>> from dclib import IDEC, load
    >>> digits = load("digits")
    >>> model = IDEC(10, hidden=(64,), pretrain_epochs=2, epochs=2, random_state=0).fit(digits.x)
    >>> model.predict_proba(digits.x).shape
    (1797, 10)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {"weight": [WEIGHT]}

    def __init__(self, n_clusters: int = 10, *, weight: float = 1.0, **shared: Any) -> None:
        super().__init__(n_clusters, **shared)
        self.weight = weight

    def loss(self, batch: Batch) -> Tensor:
        """Return L = L_R + γ L_C (Guo et al. 2017, eq. 2): DEC left L_R out, and this puts it back."""
        return RefiningClusterer.loss(self, batch)

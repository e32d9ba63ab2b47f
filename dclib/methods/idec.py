"""IDEC, improved deep embedded clustering: DEC's loss, with the decoder kept so that the code stays a code.

Source: Guo, Gao, Liu, Yin, "Improved Deep Embedded Clustering with Local Structure Preservation", IJCAI 2017.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from dclib.base import WEIGHT
from dclib.methods.dec import DEC
from dclib.phases import Batch
from dclib.refining import RefiningClusterer


def forces(losses: Iterable[Tensor], weights: Iterable[Tensor]) -> list[Tensor]:
    """Return the gradient of each loss over all ``weights``, as one long vector.

    Where training rests, the weighted sum of the vectors of a joint loss is zero.

    Parameters
    ----------
    losses
        The parts of a joint loss, each one number. Their graphs are kept.
    weights
        Parameters, or codes; those that are not trained are left out.

    Returns
    -------
    list of Tensor
        One vector a loss, as long as the trained weights together; zeros where a weight does not feel the loss.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/idec`.
    """
    trained = [weight for weight in weights if weight.requires_grad]
    options = {"retain_graph": True, "materialize_grads": True}
    found = [torch.autograd.grad(loss, trained, **options) for loss in losses]
    return [torch.cat([part.flatten() for part in parts]) for parts in found]


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
        of a point, on data of unit mean square. With a sum in its place, the same compromise needs γ · D; with data of
        mean square m, γ · m. So 0.1 for pixels from 0 to 1, which is how IDEC-toy has MNIST, is 0.9 here.
        It helps wherever it is on: on USPS 0.1, 1 and 10 gain alike over 0. A large one harms the code, not the
        clusters: it distorts it as DEC does. On augmented digits IDEC is no better than DEC, at γ = 1.
    **shared
        The parameters of :class:`~dclib.methods.dec.DEC`.

    The profile ``"paper"`` has the paper's γ for pixels from 0 to 1, 0.9 on MNIST and 0.47 on USPS, and its optimisers;
    but momentum 0.9 in the place of 0.99, and an autoencoder that is trained as DEC's is there: as a whole, not layer
    by layer with dropout. The released code's γ on MNIST, with larger pixels, would be 0.034.

    Notes
    -----
    Derived in :doc:`/notebooks/autoencoders/idec`.

    Examples
    --------
    >>> from dclib import IDEC, load
    >>> digits = load("digits")
    >>> model = IDEC(10, hidden=(64,), pretrain_epochs=2, epochs=2, random_state=0).fit(digits.x)
    >>> model.predict_proba(digits.x).shape
    (1797, 10)
    """

    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "paper": {"weight": 0.9, "optimizer": "adam", "lr": 1e-3},
        "paper, usps": {"weight": 0.47, "optimizer": "sgd", "lr": 0.1},
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {"weight": [WEIGHT]}

    def __init__(self, n_clusters: int = 10, *, weight: float = 1.0, **shared: Any) -> None:
        super().__init__(n_clusters, **shared)
        self.weight = weight

    def needs_decoder(self) -> bool:
        """Return whether anything is reconstructed: in both phases."""
        return True

    def loss(self, batch: Batch) -> Tensor:
        """Return L = L_R + γ L_C (Guo et al. 2017, eq. 2): DEC left L_R out, and this puts it back."""
        return RefiningClusterer.loss(self, batch)

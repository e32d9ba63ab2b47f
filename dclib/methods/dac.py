"""DAC, deep adaptive clustering: whether two points belong together is a yes-or-no problem, learned from easy to hard.

Source: Chang, Wang, Meng, Xiang, Pan, "Deep Adaptive Image Clustering", ICCV 2017.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn
from torch.nn.functional import normalize

from dclib.direct import AnsweringClusterer
from dclib.phases import Batch, Points
from dclib.training import product

SMALLEST = 1e-7  # a similarity; below it, a logarithm is not worth its size
LOSSES = ("cross_entropy", "squared_error")


def label_features(logits: Tensor) -> Tensor:
    """Return I (m, K), of length one, nowhere negative: DAC's constraint layer.

    Parameters
    ----------
    logits
        What the network answers (m, K).

    Notes
    -----
    Derived in :doc:`/notebooks/direct/dac`.
    """
    return normalize((logits - logits.amax(dim=1, keepdim=True)).exp(), dim=1)


def pair_labels(
    similarity: Tensor,
    upper: float,
    lower: float,
) -> tuple[Tensor, Tensor]:
    """Return r, which pairs belong together, and v, which pairs are clear enough.

    Parameters
    ----------
    similarity
        Cosines I_i · I_j of pairs.
    upper
        u: pairs from here on belong together.
    lower
        l: pairs below do not. Those between the two are left out.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/dac`.
    """
    together = similarity >= upper
    return together, together | (similarity < lower)


def thresholds_at(
    share: float,
    first: Sequence[float],
    last: Sequence[float],
) -> tuple[float, float]:
    """Return u and l when a share of training is over, along a line.

    From ``first`` to ``last``. The paper's are u(λ) = 0.95 − λ and l(λ) = 0.455 + 0.1 λ, with a λ that grows evenly
    until they meet at 0.5.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/dac`.
    """
    upper, lower = (
        (1 - share) * start + share * end
        for start, end in zip(first, last, strict=True)  # u, then l
    )
    return upper, lower


class DAC(AnsweringClusterer):
    """Deep adaptive clustering (Chang et al. 2017).

    Two points belong together or they don't. The cosine of their answers says which, and where it is clear, above the
    threshold u or below l, the network is trained towards what it said: cross-entropy between the cosine and yes or no.
    As training goes on, the thresholds close in on each other, and harder pairs join. Since answers have length one and
    no negative part, pairs that don't belong together have to use different clusters.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    latent_dim
        d, the width of the features.
    thresholds
        u and l at the beginning; the paper's 0.95 and 0.455.
    last_thresholds
        u and l at the end; the paper's 0.5 and 0.5, where no pair is left out.
    loss
        ``"cross_entropy"``, the paper's, or ``"squared_error"``. The released code for MNIST has the squared error, and
        one threshold: ``thresholds=(0.9, 0.9)``.
    **shared
        The parameters of :class:`~dclib.direct.DirectClusterer` and :class:`~dclib.base.DeepClusterer`. With
        ``augment``, pairs are labelled on the points as they are, and learned on the points augmented.

    The profile ``"paper"`` has three convolutions of stride 2 in the place of six with pooling, and Adam for RMSProp.
    ``"full"`` has a quarter of the usual learning rate and stops early: at the usual rate classes are found, and then
    merged. That was seen by accuracy on a seed of MNIST.

    Attributes
    ----------
    history_ : list of dict
        Of each epoch also ``upper`` and ``lower``, the thresholds, and among the losses the share of pairs ``chosen``
        and of pairs ``together``.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/dac`.

    Examples
    --------
    >>> from dclib import DAC, load
    >>> digits = load("digits")
    >>> model = DAC(10, hidden=(64,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.predict_proba(digits.x).shape
    (1797, 10)
    """

    first_phase: ClassVar[tuple[str, ...]] = ("thresholds", "last_thresholds", "loss")
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "full": {"pretrain_steps": 3_300, "pretrain_lr": 5e-4},
        "paper": {
            "hidden": (64, 128, 256),
            "pretrain_epochs": 20,
            "pretrain_lr": 1e-3,
            "pretrain_optimizer": "adam",
            "batch_size": 128,
        },
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "thresholds": ["array-like"],
        "last_thresholds": ["array-like"],
        "loss": [StrOptions(set(LOSSES))],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        latent_dim: int = 128,
        thresholds: Sequence[float] = (0.95, 0.455),
        last_thresholds: Sequence[float] = (0.5, 0.5),
        loss: str = "cross_entropy",
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, latent_dim=latent_dim, **shared)
        self.thresholds = thresholds
        self.last_thresholds = last_thresholds
        self.loss = loss

    def _validate_params(self) -> None:
        super()._validate_params()
        for name in ("thresholds", "last_thresholds"):
            found = tuple(getattr(self, name))
            if len(found) != 2 or not 0 <= found[1] <= found[0] <= 1:
                raise ValueError(f"{name}={found} should be two numbers u ≥ l between 0 and 1.")

    def new_answer(self, width: int, n_out: int) -> nn.Module:
        """Return a linear layer and batch norm: without it, all first answers are alike, and every pair seems one."""
        return nn.Sequential(nn.Linear(width, n_out), nn.BatchNorm1d(n_out))

    def look(self, x: Points) -> dict[str, float]:
        """Move the thresholds on, and return them."""
        share = (self._at[1] - 1) / max(1, self.pretrain_epochs - 1)
        self._limits = thresholds_at(share, self.thresholds, self.last_thresholds)
        return super().look(x) | dict(zip(("upper", "lower"), self._limits, strict=True))

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of the pairs of a mini-batch that are clear by now."""
        similarity = self.cosines(batch.view)
        with torch.no_grad():
            known = similarity if batch.view is batch.x else self.cosines(batch.x)
        together, chosen = pair_labels(known.detach(), *self._limits)
        batch.note("chosen", chosen.float().mean())
        batch.note("together", together.float().mean())
        return self.pair_loss(similarity, together.float())[chosen].mean()

    def cosines(self, x: Tensor) -> Tensor:
        """Return I_i · I_j of all pairs (m, m) of points ``x`` (m, …)."""
        features = label_features(self.answers(self.encode(x)))
        return product(features, features.T)

    def pair_loss(self, similarity: Tensor, together: Tensor) -> Tensor:
        """Return the loss of each pair: cross-entropy between its cosine and r, or their squared difference."""
        if self.loss == "squared_error":
            return (similarity - together).square()
        similarity = similarity.clamp(SMALLEST, 1 - SMALLEST)
        return -torch.where(together > 0, similarity, 1 - similarity).log()

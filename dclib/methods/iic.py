"""IIC, invariant information clustering: the clusters of two views of a point say as much of each other as they can.

Source: Ji, Henriques, Vedaldi, "Invariant Information Clustering for Unsupervised Image Classification and
Segmentation", ICCV 2019.
"""

import dataclasses
from typing import Any, ClassVar

import torch
from torch import Tensor

from dclib import parallel
from dclib.base import COUNT, COUNT_OR_NONE, WEIGHT
from dclib.direct import AnsweringClusterer
from dclib.phases import Batch, Phase, Points
from dclib.training import in_parts, product

SMALLEST = 1e-8  # a share of pairs; below it, a logarithm is not worth its size


def joint_of_views(p: Tensor, q: Tensor) -> Tensor:
    """Return the share of pairs (K, K): i in one view, j in the other (eq. 2).

    The two views are taken in either order, so that the table is symmetric.

    Parameters
    ----------
    p, q
        Soft clusters (m, K) of two views of the same points.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/iic`.
    """
    joint = product(p.T, q) / len(p)
    return (joint + joint.T) / 2


def mutual_information(joint: Tensor) -> Tensor:
    """Return I = Σ_ij P_ij ln(P_ij / (P_i P_j)) of tables (…, K, K) in nats (eq. 3).

    Parameters
    ----------
    joint
        Shares of pairs (…, K, K); each table sums to 1.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/iic`.
    """
    joint = joint.clamp_min(SMALLEST)
    rows, columns = joint.sum(dim=-1, keepdim=True), joint.sum(dim=-2, keepdim=True)
    return (joint * (joint.log() - rows.log() - columns.log())).sum(dim=(-2, -1))


class IIC(AnsweringClusterer):
    """Invariant information clustering (Ji et al. 2019).

    A point is seen twice: as it is, and altered. The network answers with a cluster each time, and is paid for the
    mutual information of the two answers. That asks for certain answers that agree, and for clusters of equal size.
    Several heads answer on the same features, each from weights of its own; the one with the most information on the
    data is the clustering. Further heads with many more clusters than K train the features in every other step.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    latent_dim
        d, the width of the features.
    n_heads
        Heads with K clusters, and as many with ``overclusters``.
    overclusters
        Clusters of an auxiliary head; 0: there is none, and the heads train in every step. The paper has 50 for K = 10.
    noise
        Standard deviation of what is added to a point to alter it, in units of the data's root mean square; only
        without ``augment``. The paper has images, and always alters them.
    **shared
        The parameters of :class:`~dclib.direct.DirectClusterer` and :class:`~dclib.base.DeepClusterer`. ``augment``
        makes the second view; without it the method has little to go by.

    The profile ``"full"`` has a quarter of the usual learning rate, after a look at accuracies of seeds that no table
    reports, and a quarter of the steps, for time. ``"paper"`` has stride 2 in the place of pooling, one view of a point
    in the place of five, and heads that take turns by steps in the place of epochs.

    Attributes
    ----------
    head_ : int
        The head that answers.
    information_ : ndarray (n_heads,)
        I of each head on the data at the end, in nats.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/iic`.

    Examples
    --------
    >>> from dclib import IIC, load
    >>> from dclib.augment import RandomAffine
    >>> digits = load("digits")
    >>> model = IIC(10, augment=RandomAffine((8, 8)), hidden=(32,), pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.predict_proba(digits.x).shape
    (1797, 10)
    """

    viewed: ClassVar[bool] = True
    views: ClassVar[dict[str, float]] = {"degrees": 25.0, "shift": 0.15, "zoom": 0.3, "contrast": 0.5}
    first_phase: ClassVar[tuple[str, ...]] = ("n_heads", "overclusters", "noise")
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"n_heads": 2, "overclusters": 10},
        "full": {"pretrain_steps": 5_500, "pretrain_lr": 5e-4},
        "paper": {
            "hidden": (64, 128, 256, 512),
            "latent_dim": 512,
            "pretrain_epochs": 3200,
            "pretrain_lr": 1e-4,
            "pretrain_optimizer": "adam",
            "batch_size": 700,
        },
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "n_heads": [COUNT],
        "overclusters": [COUNT_OR_NONE],
        "noise": [WEIGHT],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        latent_dim: int = 128,
        n_heads: int = 5,
        overclusters: int = 50,
        noise: float = 0.3,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, latent_dim=latent_dim, **shared)
        self.n_heads = n_heads
        self.overclusters = overclusters
        self.noise = noise

    @property
    def n_answers(self) -> int:
        """How many logits the layer has: those of all heads, one after the other."""
        return self.n_heads * (self.n_clusters + self.overclusters)

    def seat(self) -> None:
        """Make the heads."""
        super().seat()
        self.head_ = 0

    def heads(self, z: Tensor, auxiliary: bool) -> Tensor:
        """Return the soft clusters (n_heads, m, K) of each head, or of each auxiliary one."""
        first = self.n_heads * self.n_clusters
        logits = self.answers(z)[:, first:] if auxiliary else self.answers(z)[:, :first]
        return logits.unflatten(1, (self.n_heads, -1)).softmax(dim=2).transpose(0, 1)

    def information(self, one: Tensor, other: Tensor, auxiliary: bool = False) -> Tensor:
        """Return I (n_heads,) between the heads' answers on features ``one`` and ``other`` of the same points."""
        pairs = zip(self.heads(one, auxiliary), self.heads(other, auxiliary), strict=True)
        return mutual_information(torch.stack([joint_of_views(p, q) for p, q in pairs]))

    def altered(self, batch: Batch) -> Tensor:
        """Return the second view of the points of a mini-batch."""
        if self.augment is not None:
            return batch.view
        return batch.x + self.noise * batch.drawn(lambda n: torch.randn(n, *batch.x.shape[1:], device=batch.x.device))

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return minus the mean of I over the heads; in every other step, over the auxiliary ones."""
        auxiliary = self.overclusters > 0 and self._engine.place["step"] % 2 == 0
        z = self.encode(batch.x), self.encode(self.altered(batch))
        found = self.information(*z, auxiliary=auxiliary).mean()
        return -batch.note("I of auxiliary heads" if auxiliary else "I", found)

    def logits(self, z: Tensor) -> Tensor:
        """Return the logits (m, K) of the head that was chosen, on features ``z`` (m, d)."""
        first = self.head_ * self.n_clusters
        return self.answers(z)[:, first : first + self.n_clusters]

    def pretraining(self) -> Phase:
        """Return the one phase, at whose end a head is chosen."""
        return dataclasses.replace(super().pretraining(), end=self.choose)

    @torch.no_grad()
    def choose(self, x: Points) -> None:
        """Let the head answer whose clusters of the points ``x`` and of the points altered share most: no label."""
        joints = parallel.from_first(parallel.over_points(in_parts(self._pairs, x).sum(dim=0)))
        self.information_ = mutual_information(joints / joints.sum(dim=(1, 2), keepdim=True)).cpu().numpy()
        self.head_ = int(self.information_.argmax())

    def _pairs(self, x: Tensor) -> Tensor:
        """Return the shares of pairs of each head in points ``x``, times their number, as one row."""
        index, view = torch.arange(len(x), device=x.device), self.augment(x) if self.augment else x
        batch = Batch(x, view, index, self.encode, whole=len(x) * parallel.n_processes())  # each process sees all of x
        views = (self.heads(self.encode(view), False) for view in (x, self.altered(batch)))
        return len(x) * torch.stack([joint_of_views(p, q) for p, q in zip(*views, strict=True)])[None]

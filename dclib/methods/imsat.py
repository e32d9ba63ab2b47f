"""IMSAT: answers that carry information on the point, and do not change when it is moved a little.

Source: Hu, Miyato, Tokui, Matsumoto, Sugiyama, "Learning Discrete Representations via Information Maximizing
Self-Augmented Training", ICML 2017.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import StrOptions
from torch import Tensor

from dclib import parallel
from dclib.base import COUNT, WEIGHT
from dclib.direct import AnsweringClusterer, still_statistics
from dclib.graphs import nearest_of_all
from dclib.phases import Batch, Points

PERTURBATIONS = ("adversarial", "random", "none")


def entropy(p: Tensor) -> Tensor:
    """Return −Σ p ln p of each row of ``p`` (…, K), in nats.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/imsat`.
    """
    return torch.special.entr(p.clamp_min(1e-30)).sum(dim=-1)  # slope ∞ at 0


def divergence(logits: Tensor, moved: Tensor) -> Tensor:
    """Return KL(p ‖ p′) (m,), from logits (m, K) of points and of points moved.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/imsat`.
    """
    log_p, log_moved = logits.log_softmax(dim=1), moved.log_softmax(dim=1)
    return (log_p.exp() * (log_p - log_moved)).sum(dim=1)


def unit(r: Tensor) -> Tensor:
    """Return each point of ``r`` (m, …) at length one.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/imsat`.
    """
    length = r.flatten(1).norm(dim=1).clamp_min(1e-12)
    return r / length.view(-1, *[1] * (r.ndim - 1))


class IMSAT(AnsweringClusterer):
    """Information maximising self-augmented training (Hu et al. 2017).

    It minimises R_SAT − λ (μ H(Y) − H(Y | X)). The bracket is the information that the answer carries on the point:
    clusters are used alike, H(Y), and each answer is certain, −H(Y | X). R_SAT asks that a point that is moved a little
    keeps its answer: moved in the direction that changes it most, by a quarter of the distance to the tenth neighbour.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    latent_dim
        d, the width of the features; the paper's 1200.
    weight
        λ, the weight of the information; the paper's 0.1.
    balance
        μ, how much more H(Y) counts than H(Y | X); the paper's 4.
    perturb
        ``"adversarial"``, the direction that changes the answer most (VAT, the paper's); ``"random"``, any direction
        (RPT); ``"none"``: the point is not moved, only augmented, if ``augment`` is given.
    radius
        How far a point is moved, as a share of its distance to its neighbour number ``n_neighbors``; the paper's 0.25.
    n_neighbors
        The neighbour that the radius is measured to; the paper's 10.
    probe
        ξ, how far a point is moved to find the direction, in the units of ``X`` over its root mean square.
    **shared
        The parameters of :class:`~dclib.direct.DirectClusterer` and :class:`~dclib.base.DeepClusterer`. With
        ``augment``, a point is first augmented and then moved, and the paper's claim to do without knowledge of images
        is given up.

    The profile ``"full"`` has the steps of eight epochs of MNIST, for time. ``"paper"`` leaves three details of the
    released code out: its weights begin smaller (standard deviation √(0.1 / inputs), 0.01 / √inputs in the last
    layer), its ξ is for pixels from −1 to 1 (on MNIST that makes 15 of the 10), and its radius counts one neighbour
    more.

    Notes
    -----
    Derived in :doc:`/notebooks/direct/imsat`.

    Examples
    --------
    >>> from dclib import IMSAT, load
    >>> digits = load("digits")
    >>> model = IMSAT(10, hidden=(64,), latent_dim=64, pretrain_epochs=2, random_state=0).fit(digits.x)
    >>> model.predict_proba(digits.x).shape
    (1797, 10)
    """

    convolutional: ClassVar[bool] = False
    first_phase: ClassVar[tuple[str, ...]] = ("weight", "balance", "perturb", "radius", "n_neighbors", "probe")
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "full": {"pretrain_steps": 2_240, "batch_size": 250},
        "paper": {
            "hidden": (1200,),
            "latent_dim": 1200,
            "pretrain_epochs": 50,
            "pretrain_lr": 2e-3,
            "pretrain_optimizer": "adam",
            "pretrain_schedule": "constant",
            "batch_size": 250,
        },
    }
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "weight": [WEIGHT],
        "balance": [WEIGHT],
        "perturb": [StrOptions(set(PERTURBATIONS))],
        "radius": [WEIGHT],
        "n_neighbors": [COUNT],
        "probe": [WEIGHT],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        hidden: Sequence[int] | None = (1200,),
        latent_dim: int = 1200,
        pretrain_schedule: str = "constant",
        batch_size: int = 250,
        weight: float = 0.1,
        balance: float = 4.0,
        perturb: str = "adversarial",
        radius: float = 0.25,
        n_neighbors: int = 10,
        probe: float = 10.0,
        **shared: Any,
    ) -> None:
        how = {"pretrain_schedule": pretrain_schedule, "batch_size": batch_size}
        super().__init__(n_clusters, hidden=hidden, latent_dim=latent_dim, **how, **shared)
        self.weight = weight
        self.balance = balance
        self.perturb = perturb
        self.radius = radius
        self.n_neighbors = n_neighbors
        self.probe = probe

    def prepare(self, x: Points) -> None:
        """Measure how far each of the points ``x`` (n, …) may be moved."""
        if self.perturb != "none":
            everyone = parallel.all_rows(x[:].flatten(1))
            distance, _ = nearest_of_all(everyone, self.n_neighbors)
            reach = distance[:, -1] if len(everyone) > 1 else torch.zeros(1)
            self._reach = parallel.own_rows(self.radius * reach, len(x)).to(x.device)

    # -- the loss -----------------------------------------------------------------------------------------------------

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return R_SAT − λ (μ H(Y) − H(Y | X)) of a mini-batch; H(Y) is that of its mean answer."""
        logits = self.answers(self.encode(batch.x))
        p = logits.softmax(dim=1)
        sure = batch.note("H(Y | X)", entropy(p).mean())
        even = batch.note("H(Y)", entropy(p.mean(dim=0)))
        return batch.note("R_SAT", self.unsteadiness(batch, logits)) - self.weight * (self.balance * even - sure)

    def unsteadiness(self, batch: Batch, logits: Tensor) -> Tensor:
        """Return R_SAT, but for a constant: how much the answer changes when the points are moved."""
        moved = self.moved(batch, logits.detach())
        with still_statistics(self.network_):
            return divergence(logits.detach(), self.answers(self.encode(moved))).mean()

    def moved(self, batch: Batch, logits: Tensor) -> Tensor:
        """Return the points of a mini-batch, augmented if so wanted, each moved by its own radius."""
        x = batch.view
        if self.perturb == "none":
            return x
        direction = unit(batch.drawn(lambda n: torch.randn(n, *x.shape[1:], device=x.device)))
        if self.perturb == "adversarial":
            direction = self.worst(x, logits, direction)
        return x + self._reach[batch.index].view(-1, *[1] * (x.ndim - 1)) * direction

    def worst(self, x: Tensor, logits: Tensor, direction: Tensor) -> Tensor:
        """Return the direction (m, …) in which the answer changes most: one step of the power iteration on its Hessian.

        Parameters
        ----------
        x
            Points (m, …).
        logits
            The answers (m, K) that should stay.
        direction
            Where the iteration starts, at length one.
        """
        direction = direction.clone().requires_grad_()
        with torch.enable_grad(), still_statistics(self.network_):
            change = divergence(logits, self.answers(self.encode(x + self.probe * direction))).sum()
            (slope,) = torch.autograd.grad(change, direction)
        return unit(slope)

"""What a fit consists of: phases of epochs, updates of parts of a network, and the mini-batch that a loss sees."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dclib import parallel
from dclib.checks import one_of
from dclib.points import Rows

Points = Tensor | Rows


@dataclass
class Batch:
    """A mini-batch: what a loss may look at.

    Attributes
    ----------
    x
        The points as they are (m, …).
    view
        The same points as the network sees them (m, …): augmented, if the method augments.
    index
        Their places in the data (m,).
    encode
        From points to codes (m, d): the method's, or an encoder.
    others
        Further views of the same points, if the phase asks for more than one.
    whole
        Points of the mini-batch over all processes; by default those that are here.
    parts
        The losses noted so far, by name.
    """

    x: Tensor
    view: Tensor
    index: Tensor
    encode: Callable[[Tensor], Tensor]
    others: tuple[Tensor, ...] = ()
    whole: int | None = None
    parts: dict[str, Tensor] = field(default_factory=dict)

    @cached_property
    def z(self) -> Tensor:
        """The codes of the view (m, d), computed when first asked for: two losses share one pass.

        They are float32, whatever the layers multiply in: a loss of them is then computed in float32 too.
        """
        return self.encode(self.view).float()

    def drawn(self, draw: Callable[[int], Tensor]) -> Tensor:
        """Return noise for the points of the mini-batch that are here: ``draw`` makes rows for a number of points."""
        return parallel.drawn(draw, len(self.x) if self.whole is None else self.whole)

    def note(self, name: str, loss: Tensor) -> Tensor:
        """Return ``loss`` as it is, and keep its value for the history under ``name``, e.g. ``"L_R"``."""
        self.parts[name] = loss.detach()
        return loss


LossOf = Callable[[Batch], Tensor]


def adam(parameters: list[nn.Parameter], lr: float) -> Optimizer:
    """Return Adam in its fused form, which takes one pass over the weights."""
    return torch.optim.Adam(parameters, lr, fused=True)


def adam_half(parameters: list[nn.Parameter], lr: float) -> Optimizer:
    """Return Adam with β1 = 0.5: players of a game should not run on after the other has turned."""
    return torch.optim.Adam(parameters, lr, (0.5, 0.999), fused=True)


def adam_short(parameters: list[nn.Parameter], lr: float) -> Optimizer:
    """Return Adam with β1 = 0.5 and β2 = 0.9: its memory of gradients is short, as for Wasserstein critics."""
    return torch.optim.Adam(parameters, lr, (0.5, 0.9), fused=True)


def amsgrad(parameters: list[nn.Parameter], lr: float) -> Optimizer:
    """Return Adam whose denominator never shrinks (Reddi et al. 2018)."""
    return torch.optim.Adam(parameters, lr, amsgrad=True, fused=True)


def adadelta(parameters: list[nn.Parameter], lr: float) -> Optimizer:
    """Return Adadelta with ρ = 0.95, as Keras has it; its own unit of ``lr`` is 1."""
    return torch.optim.Adadelta(parameters, lr, rho=0.95, eps=1e-7)


def sgd(parameters: list[nn.Parameter], lr: float) -> Optimizer:
    """Return stochastic gradient descent with momentum 0.9."""
    return torch.optim.SGD(parameters, lr, momentum=0.9)


def one_cycle(optimizer: Optimizer, lr: float, steps: int) -> object:
    """Return a schedule that climbs to ``lr`` and falls again over ``steps``."""
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)


def half_cosine(optimizer: Optimizer, lr: float, steps: int) -> object:
    """Return a schedule that falls from ``lr`` to zero along a half cosine over ``steps``."""
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def constant(optimizer: Optimizer, lr: float, steps: int) -> object:
    """Return a schedule that leaves ``lr`` as it is."""
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


OPTIMIZERS = {maker.__name__: maker for maker in (adam, adam_half, adam_short, amsgrad, adadelta, sgd)}
SCHEDULES = {maker.__name__: maker for maker in (one_cycle, half_cosine, constant)}


@dataclass(frozen=True)
class Descent:
    """Some parts of the network, and how they go down a gradient.

    Attributes
    ----------
    lr
        Learning rate.
    parts
        Names of modules or parameters of the network, e.g. ``("encoder", "centroids")``; ``("",)``: all of it. A name
        is looked up before every epoch and after every hook, so a part that is made anew is trained from then on.
    optimizer
        Makes the optimiser of a list of parameters and a learning rate.
    schedule
        Makes the schedule of an optimiser, a learning rate and the number of its steps in the phase.
    """

    lr: float
    parts: tuple[str, ...] = ("",)
    optimizer: Callable[[list[nn.Parameter], float], Optimizer] = adam
    schedule: Callable[[Optimizer, float, int], object] = constant

    def parameters(self, network: nn.Module) -> list[nn.Parameter]:
        """Return the parameters that move, in the order of the network.

        Raises
        ------
        ValueError
            If the network has no part of a name.
        """
        named, found = dict(network.named_parameters()), {}
        for part in self.parts:
            own = {name: value for name, value in named.items() if not part or f"{name}.".startswith(f"{part}.")}
            found |= own or {one_of(part, {name.split(".")[0] for name in named}, "part of the network"): None}
        return [value for name, value in named.items() if name in found]


@dataclass(frozen=True)
class Update:
    """A loss, and what goes down its gradient; nothing else moves.

    Attributes
    ----------
    loss
        From a mini-batch to one number.
    descents
        Which parts move, and how; more than one, if they have optimisers of their own.
    every
        Steps of the phase from one of these updates to the next: 5 for a generator that waits for its critic.
    """

    loss: LossOf
    descents: tuple[Descent, ...]
    every: int = 1


def update(loss: LossOf, lr: float, *parts: str, every: int = 1, **how: Callable) -> Update:
    """Return an update of one descent: ``update(self.loss, 1e-3, "encoder", schedule=one_cycle)``."""
    return Update(loss, (Descent(lr, parts or ("",), **how),), every)


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one aim.

    Attributes
    ----------
    name
        What history and progress call it.
    epochs
        Most epochs; 0 for a phase that only does what its hooks do.
    updates
        What moves in each step, in this order.
    begin
        Done once, before the first epoch: new clusters, new modules.
    before_epoch
        Done before each epoch: new targets. What it returns joins the record of the epoch, e.g. ``{"changed": 0.01}``.
    over
        From the number of an epoch and what ``before_epoch`` returned to whether the phase ends before it.
    after_step
        Done after each step with the mini-batch, without gradient.
    end
        Done once, after the last epoch.
    order
        From the number of points to the places (m,) that an epoch visits: a subset, or with weights. By default each
        point once, in random order.
    size
        How many places ``order`` returns, for the schedules; by default all points.
    views
        Views of each point in a mini-batch, drawn independently.
    """

    name: str
    epochs: int = 0
    updates: tuple[Update, ...] = ()
    begin: Callable[[Points], None] | None = None
    before_epoch: Callable[[Points], Mapping[str, float] | None] | None = None
    over: Callable[[int, Mapping[str, float]], bool] | None = None
    after_step: Callable[[Batch], None] | None = None
    end: Callable[[Points], None] | None = None
    order: Callable[[int], Tensor] | None = None
    size: int | None = None
    views: int = 1

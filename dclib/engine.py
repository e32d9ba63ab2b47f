"""The one training loop: phases, epochs and steps, with history, checkpoints and a stop when training diverges."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dclib import parallel
from dclib.phases import Batch, LossOf, Phase, Points, Update
from dclib.training import (
    EVALUATION_BATCH,
    NonFiniteLossError,
    autocast,
    batches,
    check_finite,
    check_network,
    copy_state,
    descend,
    progress,
    warn_of_dead_units,
)

if TYPE_CHECKING:
    from dclib.base import DeepClusterer


class Engine:
    """Takes an estimator through its phases.

    Parameters
    ----------
    model
        The estimator. It has a network by now.
    x
        The points, ready to train on.
    """

    def __init__(self, model: "DeepClusterer", x: Points) -> None:
        self.model, self.x = model, x
        model._engine = self
        self.place: dict[str, Any] = {"phase": 0, "begun": False, "epoch": 0, "step": 0}
        self.movers: list[Mover] = []
        self._resumed: list[Any] = []
        self._good: dict[str, Tensor] | None = None

    @property
    def network(self) -> nn.Module:
        """The network as it is now."""
        return self.model.network_

    def run(self, phases: Sequence[Phase]) -> None:
        """Go through the phases, from the place where a broken run left off."""
        for phase in phases[self.place["phase"] :]:
            self._begin(phase)
            self._train(phase)
            if phase.end is not None:
                phase.end(self.x)
            self.movers = []
            self._save(phase=self.place["phase"] + 1, begun=False, epoch=0, step=0)
            if self.place["phase"] == 1:
                self.model._keep_first_phase(self)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold of the loop itself."""
        return {"place": self.place, "optimizers": [mover.state() for mover in self.movers]}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` returned."""
        self.place, self._resumed = self.place | state["place"], state["optimizers"]

    def _save(self, **place: Any) -> None:
        self.place |= place
        self.model._save_checkpoint(self)

    def _begin(self, phase: Phase) -> None:
        if not self.place["begun"] and phase.begin is not None:
            phase.begin(self.x)
            self._save(begun=True)

    def _train(self, phase: Phase) -> None:
        if not phase.updates:
            return
        self._good = None
        if self._resumed:
            self._make_movers(phase)
        self.model._tell()
        epochs = progress(range(self.place["epoch"] + 1, phase.epochs + 1), phase.name, self.model.verbose)
        for epoch in epochs:
            record = self._epoch(phase, epoch)
            if record is None:
                break
            self.model.history_.append(record)
            epochs.set_postfix(loss=f"{record['loss']:.4g}")
            self._save(begun=True, epoch=epoch)
            self.model._tell()
        self._look_for_dead_units(phase)

    def _make_movers(self, phase: Phase) -> None:
        """Make the optimisers of a phase, and give them back what they held when a run broke off."""
        n_batches = len(self._cut(torch.zeros(phase.size or len(self.x)).long()))
        steps = (max(1, phase.epochs * n_batches // update.every) for update in phase.updates)
        self.movers = [Mover(self.network, *pair) for pair in zip(phase.updates, steps, strict=True)]
        for mover, saved in zip(self.movers, self._resumed, strict=bool(self._resumed)):
            mover.load(saved)
        self._resumed = []

    def _epoch(self, phase: Phase, epoch: int) -> dict[str, Any] | None:
        """Run one epoch and return its record, or ``None`` if the phase is over before it."""
        start, where = time.perf_counter(), f"epoch {epoch} of phase {phase.name!r}"
        self.model._at = phase.name, epoch
        found = dict((phase.before_epoch and phase.before_epoch(self.x)) or {})
        if phase.over is not None and phase.over(epoch, found):
            return None
        if not self.movers:
            self._make_movers(phase)
        self._follow()
        state, totals = copy_state(self.network), Totals()
        for index in self._order(phase):
            self.place["step"] += 1
            self._step(phase, index, totals)
        self.network.eval()
        parallel.mean_buffers(self.network)
        loss, losses = totals.means()
        self._check(loss, where, state)
        record = {"phase": phase.name, "epoch": epoch, "loss": loss, "losses": losses, "changed": None}
        return record | found | {"seconds": time.perf_counter() - start}

    def _follow(self) -> None:
        for mover in self.movers:
            mover.follow()

    def _order(self, phase: Phase) -> Sequence[Tensor]:
        """Return this epoch's mini-batches, already on the device."""
        n = len(self.x)
        order = torch.cat([*batches(n, self.model.batch_size)]) if phase.order is None else phase.order(n).cpu()
        if phase.order is not None and parallel.largest(int(len(order) == 0)):
            raise ValueError(f"order of phase {phase.name!r} returned no place to visit.")
        return self._cut(parallel.agreed(order).to(self.x.device))

    def _cut(self, order: Tensor) -> Sequence[Tensor]:
        """Return the mini-batches of an order; if the data is split, this process's part of each, and as many."""
        size = self.model.batch_size
        if not parallel.is_split():
            return order.split(size)
        own = max(1, size // parallel.n_processes())
        steps = parallel.largest(-(-len(order) // own))
        return order.repeat(-(-steps * own // len(order)))[: steps * own].split(own)

    def _step(self, phase: Phase, index: Tensor, totals: "Totals") -> None:
        """Take every update that is due on the mini-batch ``index``."""
        model, points = self.model, self.x[index]
        views = [model.augment(points) if model.augment else points for _ in range(phase.views)]  # of all: every
        x, index_, *views = (parallel.share(value) for value in (points, index, *views))  # process draws the same
        whole = len(index) * (parallel.n_processes() if parallel.is_split() else 1)
        part = 1 / parallel.n_processes() if parallel.is_split() else len(index_) / len(index)
        for number, mover in enumerate(self.movers):
            batch = Batch(x, views[0], index_, model.encode, tuple(views[1:]), whole)
            if self.place["step"] % mover.update.every == 0:
                self.network.train(len(index_) > 1)  # one point has no spread for batch norm to divide by
                loss = mover.step(batch, part, autocast(self.x.device, model.precision))
                totals.add(number, loss, batch)
        if phase.after_step is not None:
            with torch.no_grad():
                phase.after_step(batch)
            self._follow()

    def _check(self, loss: float, where: str, state: dict[str, Tensor]) -> None:
        """Stop if training has diverged, and set the network back to the last state that went well."""
        try:
            check_finite(loss, where)
            few = self.x[: self.model.batch_size]
            check_network(self.network, self.model.encode, few, where)  # the last step has no loss behind it
        except NonFiniteLossError:
            good = self._good or state
            same = {name: value.shape for name, value in good.items()} == {n: v.shape for n, v in state.items()}
            self.network.load_state_dict(good if same else state)  # a hook may have made a part anew in between
            raise
        self._good = state  # from here a whole epoch went well

    def _look_for_dead_units(self, phase: Phase) -> None:
        if self.place["epoch"] and len(self.x) > 1:
            when = f"epoch {self.place['epoch']}, the end of phase {phase.name!r}"
            warn_of_dead_units(self.network.encoder, self.model.encode, self.x[:EVALUATION_BATCH], when)


class Totals:
    """The losses of an epoch, added up point by point on their device: no step waits for a number."""

    def __init__(self) -> None:
        self.sums: dict[tuple[int, str], Tensor] = {}
        self.counts: dict[tuple[int, str], int] = {}

    def add(self, update: int, loss: Tensor, batch: Batch) -> None:
        """Add the loss of a mini-batch under the number of its update, and the losses that it noted."""
        for name, value in {"": loss, **batch.parts}.items():
            key = (update, name)
            self.sums[key] = self.sums.get(key, 0.0) + value * len(batch.index)
            self.counts[key] = self.counts.get(key, 0) + len(batch.index)

    def means(self) -> tuple[float, dict[str, float]]:
        """Return the mean loss of a point, a sum over updates, and that of each named part; over all processes."""
        loss, parts = 0.0, {}
        for update, name in parallel.told_by_first([*self.sums]):
            pair = (part.get((update, name), 0.0) for part in (self.sums, self.counts))
            total, count = map(float, parallel.summed(torch.tensor([*map(float, pair)], dtype=torch.float64)))
            if name:
                parts[name] = total / count
            else:
                loss += total / count
        return loss, parts


class Mover:
    """An update at work: its optimisers and schedules, and what they move at the moment.

    Parameters
    ----------
    network
        Whose parts move.
    update
        The loss, and which parts.
    steps
        How often it will be taken, for the schedules.
    """

    def __init__(self, network: nn.Module, update: Update, steps: int) -> None:
        self.network, self.update = network, update
        self.parts = [d.parameters(network) for d in update.descents]
        self.optimizers = [d.optimizer(part, d.lr) for d, part in zip(update.descents, self.parts, strict=True)]
        pairs = zip(update.descents, self.optimizers, strict=True)
        self.schedules = [d.schedule(optimizer, d.lr, steps) for d, optimizer in pairs]
        self._loss: LossOf | None = None

    def follow(self) -> None:
        """Let the optimisers go on with the parameters that stayed, drop what has gone and take up what is new."""
        for number, (descent, optimizer) in enumerate(zip(self.update.descents, self.optimizers, strict=True)):
            now, before = descent.parameters(self.network), self.parts[number]
            if [*map(id, now)] != [*map(id, before)]:
                if len(optimizer.param_groups) > 1:
                    raise ValueError("a part was made anew, and an optimiser of several groups can't take it up.")
                optimizer.param_groups[0]["params"] = self.parts[number] = now
                for gone in set(before) - set(now):
                    optimizer.state.pop(gone, None)
                self._loss = None

    def step(self, batch: Batch, part: float, precision: torch.autocast) -> Tensor:
        """Take one step down the gradient of this process's part of a mini-batch; return its mean loss."""
        with self._others_still():
            if self._loss is None:
                self._loss = parallel.averaging(self.network, self.update.loss)
            with precision:
                loss = self._loss(batch)
                scaled = loss * (part * parallel.n_processes())
            (first, schedule), *more = zip(self.optimizers, self.schedules, strict=True)
            for optimizer, _ in more:
                optimizer.zero_grad()
            descend(scaled, first, schedule)
            for optimizer, own in more:
                optimizer.step()
                own.step()
        return loss.detach()

    @contextmanager
    def _others_still(self) -> Iterator[None]:
        """Leave the rest of the network out of the gradient inside the block."""
        moving = {id(p) for optimizer in self.optimizers for group in optimizer.param_groups for p in group["params"]}
        others = [p for p in self.network.parameters() if p.requires_grad and id(p) not in moving]
        for value in others:
            value.requires_grad_(False)
        try:
            yield
        finally:
            for value in others:
                value.requires_grad_(True)

    def state(self) -> list[Any]:
        """Return what a checkpoint has to hold."""
        return [[each.state_dict() for each in group] for group in (self.optimizers, self.schedules)]

    def load(self, state: list[Any]) -> None:
        """Take up what :meth:`state` returned."""
        for group, saved in zip((self.optimizers, self.schedules), state, strict=True):
            for each, own in zip(group, saved, strict=True):
                each.load_state_dict(own)

"""Where a training step's time goes, by profile, and how far it is from the floor that matrix products set.

The clock sits on the real training loop: it wraps what a method overrides and what PyTorch is asked for, and reads
phases from the callback. A part's time is its own, without the parts inside it; what nothing wraps is "the rest".
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import fill, markdown
from dclib.base import DeepClusterer
from dclib.data import Dataset, load
from dclib.methods import DEC
from dclib.profiles import PROFILES

PARTS = ("index", "augment", "forward", "backward", "optimiser", "rest")  # of a step
PHASES = ("pretrain", "refine")
EPOCHS = 2  # of each phase; the faster one counts
LENGTHS = {"pretrain_epochs": EPOCHS, "epochs": EPOCHS, "update_interval": None, "tol": 0.0}
FLOOR_SIZE = 2048  # rows and columns of the product that measures the machine
HEAD = ("profile, phase", *PARTS, "step, ms", "floor, ms", "times the floor", "refresh, ms", "k-means a start, ms")


class Clock:
    """Adds up the seconds of named parts; inside a part, another one stops the outer one's watch.

    Attributes
    ----------
    seconds : dict
        Part → its own seconds since the last :meth:`lap`.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open, self._last = ["rest"], time.perf_counter()

    def _charge(self) -> None:
        now = time.perf_counter()
        self.seconds[self._open[-1]] += now - self._last
        self._last = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Charge the block to ``name``."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def lap(self) -> dict[str, float]:
        """Return the seconds of each part since the last lap, and begin a new one."""
        self._charge()
        found, self.seconds = dict(self.seconds), defaultdict(float)
        return found

    def wrapped(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """Return ``function``, charged to ``name``."""

        def charged(*args: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*args, **options)

        return charged

    def indexing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``Tensor.__getitem__``, charged to "index" where the key is a mini-batch's indices."""

        def charged(tensor: Tensor, key: Any) -> Any:
            if not (isinstance(key, Tensor) and key.dtype == torch.int64 and key.ndim == 1):
                return function(tensor, key)
            with self.part("index"):
                return function(tensor, key)

        return charged


def watched() -> list[tuple[Any, str, str]]:
    """Return what the clock wraps: owner, attribute, part. The whole of a fit goes through these and "the rest"."""
    return [
        (DEC, "representation_loss", "forward"),
        (DEC, "loss", "forward"),
        (DEC, "refresh", "refresh"),
        (DEC, "start_clusters", "k-means"),
        (Tensor, "backward", "backward"),
        (Tensor, "index_select", "index"),
        (torch, "index_select", "index"),
        (torch.optim.Adam, "step", "optimiser"),
        (torch.optim.SGD, "step", "optimiser"),
        (torch.optim.Optimizer, "zero_grad", "optimiser"),
        (torch.optim.lr_scheduler.LRScheduler, "step", "optimiser"),
    ]


@contextmanager
def watching(clock: Clock) -> Iterator[None]:
    """Wrap all that is watched, and is there, inside the block."""
    here = [found for found in watched() if hasattr(*found[:2])]
    wrapped = [(owner, name, clock.wrapped(getattr(owner, name), part)) for owner, name, part in here]
    wrapped.append((Tensor, "__getitem__", clock.indexing(Tensor.__getitem__)))
    patches = [patch.object(owner, name, function) for owner, name, function in wrapped]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in reversed(patches):
            each.stop()


def laps(model: DeepClusterer, data: Dataset) -> dict[str, list[dict[str, float]]]:
    """Fit, and return the laps of each phase's epochs; laps between epochs are those of ``"between"``."""
    clock, found = Clock(), defaultdict(list)

    def tell(estimator: DeepClusterer) -> None:
        done = sum(map(len, found.values())) - len(found["between"])
        new = len(estimator.history_) > done
        found[estimator.history_[-1]["phase"] if new else "between"].append(clock.lap())

    if model.augment is not None:
        model.augment = clock.wrapped(model.augment, "augment")
    model.callback = tell
    with watching(clock):
        model.fit(data.x)
    return found


def steps_of(model: DeepClusterer, n: int) -> int:
    """Return the number of steps of an epoch over ``n`` points."""
    return -(-n // model.batch_size)


def operations(module: nn.Module, m: int) -> float:
    """Return the floating-point operations of a step on ``m`` points through a module's linear layers that train.

    A product of (m, a) and (a, b) is 2 m a b operations. A layer has three: forward, the gradient of its weight, and
    that of its input, which the first layer does without.
    """
    sizes = [layer.weight.numel() for layer in module.modules() if trains(layer)]
    return 2.0 * m * (3 * sum(sizes) - sizes[0])


def trains(layer: nn.Module) -> bool:
    """Return whether a layer is linear and its weight is learned."""
    return isinstance(layer, nn.Linear) and layer.weight.requires_grad


def sgemm_rate(size: int = FLOOR_SIZE, repeats: int = 7) -> float:
    """Return the operations a second of this machine's fastest of ``repeats`` square products in single precision."""
    a, b, best = torch.rand(size, size), torch.rand(size, size), np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best


def profile_rows(name: str, data: Dataset, rate: float) -> list[list[str]]:
    """Train DEC in a profile for a few epochs and return a row of the table for each phase."""
    model = DEC.for_data(data, name, random_state=0, device="cpu", **LENGTHS)
    found = laps(model, data)
    networks = {"pretrain": model.network_, "refine": model.network_.encoder}
    starts = sum(lap.get("k-means", 0.0) for each in found.values() for lap in each) / model.n_init
    rows = []
    for phase in PHASES:
        lap = min(found[phase], key=lambda seconds: sum(seconds.values()) - seconds.get("refresh", 0.0))
        floor = operations(networks[phase], model.batch_size) / rate
        cells = step_cells(lap, steps_of(model, len(data)), floor)
        refresh = f"{1e3 * lap['refresh']:.1f}" if "refresh" in lap else "–"
        rows.append([f"{name}, {phase}", *cells, refresh, f"{1e3 * starts:.1f}" if phase == "refine" else "–"])
    return rows


def step_cells(lap: dict[str, float], steps: int, floor: float) -> list[str]:
    """Return the cells of a step: milliseconds of each part, of all of it, of the floor, and the two compared."""
    parts = [lap.get(part, 0.0) / steps for part in PARTS]
    times = [*parts, sum(parts), floor]
    return [*(f"{1e3 * seconds:.3f}" for seconds in times), f"{sum(parts) / floor:.1f}"]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_step", description=__doc__)
    parser.add_argument("--data", default="mnist-10k")
    parser.add_argument("--n", type=int, help="the first n points only; the table is then only printed")
    parser.add_argument("--profiles", type=lambda text: text.split(","), default=PROFILES)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = load(args.data)
    data = Dataset(data.x[: args.n], None, data.name, data.shape, data.classes)
    rate = sgemm_rate()
    text = markdown(HEAD, [row for name in args.profiles for row in profile_rows(name, data, rate)])
    text += f"\n\nDEC on {data.name}, milliseconds a step, threads: {args.threads}; the machine multiplies"
    text += f" {FLOOR_SIZE} × {FLOOR_SIZE} matrices at {rate / 1e9:.0f} GFLOP/s."
    print(text)
    if args.n is None:
        fill("step", text)


if __name__ == "__main__":
    main()

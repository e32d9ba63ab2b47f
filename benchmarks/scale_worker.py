"""One fit of DEC in a process of its own, its memory sampled over time; a child of scale.py."""

import gc
import threading
import time
from typing import Any, Self

import numpy as np

from benchmarks.common import answer, forget_peak, memory
from dclib.data import Dataset
from dclib.methods import DEC

WARM = 1_000  # points of the fit that comes first
FIELDS = ("VmRSS", "RssAnon", "RssFile")
SAMPLES = 400  # most samples that a record keeps


class Sampler(threading.Thread):
    """Reads this process's resident memory at equal intervals inside a ``with`` block.

    Attributes
    ----------
    rows : list
        Seconds, then the fields of ``FIELDS`` in MiB.
    """

    def __init__(self, interval: float = 0.1) -> None:
        super().__init__(daemon=True)
        self.interval, self.over, self.rows = interval, threading.Event(), []

    def run(self) -> None:
        """Sample until the block ends."""
        start = time.perf_counter()
        while True:
            self.rows.append([time.perf_counter() - start, *map(memory, FIELDS)])
            if self.over.wait(self.interval):
                return

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the last sample."""
        self.over.set()
        self.join()

    def thinned(self) -> list[list[float]]:
        """Return at most ``SAMPLES`` of the rows, evenly spread, rounded."""
        rows = self.rows[:: -(-len(self.rows) // SAMPLES)]
        return [[round(value, 2) for value in row] for row in rows]


def make(job: dict[str, Any], x: np.ndarray) -> DEC:
    """Return DEC for the job's data, not yet fitted."""
    data = Dataset(x, None, job["data"], tuple(job["shape"]), tuple(map(str, range(job["n_clusters"]))))
    return DEC.for_data(data, job["profile"], random_state=job["seed"], device="cpu", **job["parameters"])


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Fit DEC once on the array in ``job["x"]``; return seconds and the peak of memory over the base.

    The base is what is resident just before the fit, with the data in place: read into memory, or mapped and not yet
    touched if ``job["mapped"]``. A fit of the first 1,000 points goes before it, so that libraries, threads and
    buffers that have nothing to do with n are in the base. The peak counts what ``fit`` holds at any moment above it,
    pages of the mapped file included.
    """
    x = np.load(job["x"], mmap_mode="r" if job["mapped"] else None)
    make(job, x).fit(np.array(x[:WARM]))
    gc.collect()
    forget_peak()
    base = memory("VmRSS")
    with Sampler() as sampler:
        start = time.perf_counter()
        model = make(job, x).fit(x)
        seconds = time.perf_counter() - start
    peak = memory("VmHWM")
    return {
        "seconds": round(seconds, 3),
        "epoch_seconds": [[r["phase"], round(r["seconds"], 3)] for r in model.history_],
        "base_mib": round(base, 1),
        "peak_mib": round(peak, 1),
        "over_base_mib": round(peak - base, 1),
        "samples": sampler.thinned(),
    }


if __name__ == "__main__":
    answer(measure)

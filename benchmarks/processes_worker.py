"""One run of DEC as one of several processes, its steps timed; a child of processes.py."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dclib import parallel
from dclib.data import load
from dclib.methods import DEC, METHODS


def seconds_to_sum(n_values: int, repeats: int = 20) -> float:
    """Return the median time to sum ``n_values`` floats over the processes, 0 for one process."""
    value, times = torch.zeros(n_values), []
    with parallel.together():
        for _ in range(repeats if parallel.n_processes() > 1 else 0):
            start = time.perf_counter()
            parallel.summed(value)
            times.append(time.perf_counter() - start)
    return float(np.median(times)) if times else 0.0


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Fit DEC, two phases of ``job["epochs"]`` epochs; return the time of a step, without each phase's first epoch."""
    x = load(job["data"]).x[: job["n"]]
    how = {"pretrain_epochs": job["epochs"], "epochs": job["epochs"], "tol": 0.0, "n_init": 1, "precision": "float32"}
    model = DEC(10, hidden=job["hidden"], batch_size=job["batch"], random_state=job["seed"], device="cpu", **how)
    split = job["split"]
    model.fit(x[parallel.my_rows(len(x))] if split else x, split=split)
    counted = [r["seconds"] for r in model.history_ if r["epoch"] > 1]
    steps = -(-len(x) // job["batch"])
    n_values = sum(p.numel() for p in model.network_.parameters())
    return {
        "step_ms": round(1e3 * float(np.mean(counted)) / steps, 4),
        "epoch_seconds": [[r["phase"], round(r["seconds"], 3)] for r in model.history_],
        "message_bytes": 4 * n_values,
        "message_ms": round(1e3 * seconds_to_sum(n_values), 4),
        "versions": {"torch": torch.__version__},
    }


def first_losses(job: dict[str, Any]) -> dict[str, Any]:
    """Return the loss of every method's first epoch, images through the network that it has for them."""
    data, found = load(job["data"]), {}
    x = data.x[: job["n"]]
    for name, cls in METHODS.items():
        how = cls.settings("quick") | {"precision": "float32", "device": "cpu", "batch_size": job["batch"]}
        model = cls(10, **how | {"shape": data.shape if cls.convolutional else None, "random_state": job["seed"]})
        found[name] = model.fit(x).history_[0]["loss"]
    return {"losses": found, "versions": {"torch": torch.__version__}}


def main() -> None:
    """Read the job, measure, and write the record if this is the first process."""
    question, out = sys.argv[1:]
    torch.set_num_threads(1)
    job = json.loads(Path(question).read_text(encoding="utf-8"))
    record = measure(job) if "network" in job else first_losses(job)
    if parallel.rank() == 0:
        Path(out).write_text(json.dumps(record), encoding="utf-8")
    parallel.finish()


if __name__ == "__main__":
    main()

"""What a training budget is counted in: the same autoencoder on more and fewer digits, for more and fewer steps.

If passes over the data were the unit, the error after as many passes would be the same whatever the number of points;
if steps are, the error after as many mini-batches is. Both are held against the error and against the clustering, and
so is the error itself, which needs no label either.
"""

import argparse
import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import RESULTS, fill, load_all, markdown, save, seeds_of, spread
from dclib import provenance
from dclib.augment import RandomAffine
from dclib.data import load
from dclib.methods import AutoencoderKMeans
from dclib.metrics import clustering_accuracy
from dclib.training import STARTS, fit_kmeans, pick_device

SIZES = (2_500, 10_000, 40_000)
STEPS = (1_000, 4_000, 16_000)
BATCH = 256


def measure(n: int, steps: int, seed: int) -> dict[str, Any]:
    """Train on the first ``n`` digits of MNIST for so many steps; return the error and how its code clusters."""
    data = load("mnist")
    x, y = data.x[:n], data.y[:n]
    epochs = max(1, round(steps / -(-n // BATCH)))
    how = {"batch_size": BATCH, "augment": RandomAffine(data.shape), "precision": "float32", "device": "cpu"}
    model = AutoencoderKMeans(10, pretrain_epochs=epochs, random_state=seed, n_init=5, **how).fit(x)
    z = model.transform(x)
    spectral = STARTS["spectral"](torch.as_tensor(z), 10, n_init=5, random_state=seed)
    return {
        "n": n,
        "steps": steps,
        "epochs": epochs,
        "seed": seed,
        "error": model.history_[-1]["loss"],
        "kmeans": clustering_accuracy(y, fit_kmeans(torch.as_tensor(z), 10, 5, seed).labels_),
        "spectral": clustering_accuracy(y, spectral),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance.surroundings(pick_device("cpu")),
    }


def explained(records: list[dict[str, Any]], value: str, unit: str) -> float:
    """Return the share of a value's variance that a parabola in the logarithm of a unit explains."""
    at, found = np.log([r[unit] for r in records]), np.array([r[value] for r in records])
    rest = found - np.polyval(np.polyfit(at, found, 2), at)
    return float(1 - rest.var() / found.var())


def table(records: list[dict[str, Any]]) -> str:
    """Return error and accuracies as a Markdown table, and below it what each unit explains of them."""
    rows = []
    for n, steps in itertools.product(SIZES, STEPS):
        own = [r for r in records if (r["n"], r["steps"]) == (n, steps)]
        if own:
            shown = [spread([r[value] for r in own], 3) for value in ("error", "kmeans", "spectral")]
            rows.append([f"{n:,}", f"{steps:,}", f"{own[0]['epochs']:,}", *shown, str(len(own))])
    head = ("points", "steps", "passes", "error", "ACC, k-means", "ACC, neighbour graph", "seeds")
    units = [
        [words, *(f"{explained(records, value, unit):.2f}" for value in ("error", "kmeans", "spectral"))]
        for unit, words in (("steps", "steps"), ("epochs", "passes"), ("error", "the error, without a label"))
    ]
    below = markdown(("variance explained by", "error", "ACC, k-means", "ACC, neighbour graph"), units)
    return f"{markdown(head, rows)}\n\n{below}"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budgets", description=__doc__)
    parser.add_argument("--seeds", type=seeds_of, default=[100, 101], help="of no table; 0-2 or 0,3")
    parser.add_argument("--results", type=Path, default=RESULTS / "budgets")
    args = parser.parse_args()
    for seed, steps, n in itertools.product(args.seeds, STEPS, SIZES):
        path = args.results / f"{n}-{steps}-seed{seed}.json"
        if not path.exists():
            save(record := measure(n, steps, seed), path)
            print(path.name, {key: round(record[key], 3) for key in ("error", "kmeans", "spectral")}, flush=True)
    print(text := table(load_all(args.results)))
    if args.results == RESULTS / "budgets":
        fill("budgets", text)


if __name__ == "__main__":
    main()

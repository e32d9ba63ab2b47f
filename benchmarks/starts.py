"""What the start of the clusters is worth: one pretrained network a seed, and DEC refined from each start.

k-means, a mixture and the neighbour graph see the same codes; what differs afterwards is the start alone.
"""

import argparse
import itertools
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, fill, load_all, markdown, save, seeds_of, spread
from dclib import provenance
from dclib.augment import RandomAffine
from dclib.data import Dataset, load
from dclib.methods import DEC, AutoencoderKMeans
from dclib.metrics import evaluate
from dclib.training import STARTS, pick_device

ALL = ("kmeans", *STARTS)
STEPS = {"pretrain": 18_000, "refine": 4_000}  # mini-batches, whatever the number of points


def epochs_for(n: int, batch_size: int) -> dict[str, int]:
    """Return the epochs that make ``STEPS`` steps of ``n`` points."""
    return {phase: round(steps / -(-n // batch_size)) for phase, steps in STEPS.items()}


def measure(data: Dataset, seed: int, augmented: bool) -> dict[str, Any]:
    """Train one autoencoder, start and refine from each start; return the scores before and after."""
    long = epochs_for(len(data), 256)
    shared = {"batch_size": 256, "random_state": seed, "precision": "float32", "device": "cpu"}
    shared |= {"augment": RandomAffine(data.shape) if augmented else None}
    began, k = time.perf_counter(), len(data.classes)
    network = AutoencoderKMeans(k, pretrain_epochs=long["pretrain"], **shared).fit(data.x).network_
    seconds, found = {"pretrain": time.perf_counter() - began}, {}
    for start in ALL:
        began = time.perf_counter()
        how = shared | {"network": network, "pretrain_epochs": 0, "tol": 0.0, "start": start}
        first = DEC(k, **how, epochs=0).fit(data.x)
        model = DEC(k, **how, epochs=long["refine"]).fit(data.x)
        seconds[start] = time.perf_counter() - began
        found[start] = {"start": evaluate(data.y, first.labels_), "end": evaluate(data.y, model.labels_)}
    return {
        "data": data.name,
        "n": len(data),
        "augmented": augmented,
        "seed": seed,
        "epochs": long,
        "scores": found,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        **provenance.surroundings(pick_device("cpu")),
    }


def table(records: list[dict[str, Any]]) -> str:
    """Return accuracy at the start and at the end as a Markdown table, and what each start gains over k-means."""
    rows = []
    for data, augmented in dict.fromkeys((r["data"], r["augmented"]) for r in records):
        own = [r for r in records if (r["data"], r["augmented"]) == (data, augmented)]
        for start in ALL:
            first, last = ([r["scores"][start][end]["acc"] for r in own] for end in ("start", "end"))
            gain = [b - r["scores"]["kmeans"]["end"]["acc"] for b, r in zip(last, own, strict=True)]
            each = " ".join(f"{value:.3f}" for value in last)
            views = "augmented" if augmented else "as they are"
            shown = "" if start == "kmeans" else spread(gain, 3)
            rows.append([f"{data}, {views}", start, str(len(own)), spread(first, 3), spread(last, 3), each, shown])
    return markdown(("data", "start", "seeds", "ACC at the start", "ACC of DEC", "by seed", "less k-means"), rows)


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__)
    parser.add_argument("--data", type=lambda text: text.split(","), default=["usps", "mnist-test"])
    parser.add_argument("--seeds", type=seeds_of, default=[0, 1, 2, 3, 4], help="0-2 or 0,3")
    parser.add_argument("--plain", action="store_true", help="without augmentation too")
    parser.add_argument("--results", type=Path, default=RESULTS / "starts")
    parser.add_argument("--again", action="store_true", help="measure what has a record, too")
    return parser


def main() -> None:
    """Run the command."""
    args = options().parse_args()
    for name, augmented, seed in itertools.product(args.data, (True, False)[: 1 + args.plain], args.seeds):
        path = args.results / name / f"{'augmented' if augmented else 'plain'}-seed{seed}.json"
        if args.again or not path.exists():
            save(record := measure(load(name), seed, augmented), path)
            ends = {start: round(float(np.round(each["end"]["acc"], 3)), 3) for start, each in record["scores"].items()}
            print(path.relative_to(args.results), ends, record["seconds"], flush=True)
    print(text := table(load_all(args.results)))
    if args.results == RESULTS / "starts":
        fill("starts", text)


if __name__ == "__main__":
    main()

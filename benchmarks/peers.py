"""Compare dclib with ClustPy: seconds, accuracy and peak memory on the same data, threads and seeds.

Each run is a fresh process, and the libraries take turns, so that other work on the machine falls on both. A record
that is already there is not measured again, so that a run that was broken off goes on where it was.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import (
    FOLDER,
    README,
    RESULTS,
    ChildError,
    fill,
    load_all,
    markdown,
    run_child,
    save,
    seeds_of,
    spread,
)
from dclib.data import Dataset, load
from dclib.methods import METHODS
from dclib.metrics import evaluate
from dclib.plots import PALETTE, panels

PYTHON = FOLDER / ".venv" / "bin" / "python"
LIBRARIES = {"dclib": "o", "ClustPy": "s", "ClustPy, same work": "D"}  # what a run is of, and its marker in the plot
SHARED = ("method", "data", "n", "profile", "threads")  # what the records of a row have in common
HEAD = ("method", "ClustPy runs", "seeds", "ACC dclib", "ACC ClustPy", "s dclib", "s ClustPy", "time ratio",
        "MiB dclib", "MiB ClustPy")  # fmt: skip


@dataclass(frozen=True)
class Peer:
    """A class of ``clustpy.deep``, and whether its network and epochs can be set to dclib's ("the same work")."""

    name: str
    matched: bool = False


PEERS = {
    "dec": Peer("DEC", matched=True),
    "idec": Peer("IDEC", matched=True),
    "dcn": Peer("DCN", matched=True),
    "vade": Peer("VaDE"),
    "den": Peer("DEN"),
    "n2d": Peer("N2D"),
}


def same_work(method: str, data: Dataset, profile: str) -> dict[str, Any]:
    """Return ClustPy's parameters for dclib's network, batch size and largest number of epochs."""
    own = METHODS[method].for_data(data, profile).get_params(deep=False)
    return {
        "widths": [*own["hidden"], own["latent_dim"]],
        "batch_size": own["batch_size"],
        "pretrain_epochs": own["pretrain_epochs"],
        "clustering_epochs": own["epochs"],
    }


def jobs(args: argparse.Namespace, data: Dataset) -> Iterator[dict[str, Any]]:
    """Yield the runs that are asked for; the libraries take turns, and who begins changes with the seed."""
    for seed in args.seeds:
        for method in args.methods:
            peer = PEERS[method]
            settings = {"dclib": {}, "ClustPy": {}}
            if peer.matched:
                settings["ClustPy, same work"] = same_work(method, data, args.profile)
            for run, parameters in sorted(settings.items(), reverse=seed % 2 == 0):
                yield {
                    "data": data.name,
                    "n": len(data),
                    "method": method,
                    "profile": args.profile,
                    "run": run,
                    "library": run.split(",")[0],
                    "class": peer.name,
                    "seed": seed,
                    "threads": args.threads,
                    "parameters": parameters,
                    "shape": data.shape,
                    "n_clusters": len(data.classes),
                }


def record_path(job: dict[str, Any], folder: Path) -> Path:
    """Return where the record of a job belongs."""
    run = job["run"].lower().replace(", ", "-").replace(" ", "-")
    name = f"{run}-{job['profile']}-n{job['n']}-threads{job['threads']}-seed{job['seed']}.json"
    return folder / job["data"] / job["method"] / name


def measure(job: dict[str, Any], data: Dataset, python: Path) -> dict[str, Any]:
    """Run a job in its own process and return its record. Labels are read here, after training, to score it."""
    kept = {key: value for key, value in job.items() if key not in ("shape", "class", "n_clusters")}
    kept["when"] = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory() as folder:
        x, labels = Path(folder, "x.npy"), Path(folder, "labels.npy")
        np.save(x, data.x)
        try:
            found = run_child("benchmarks.peer_worker", {**job, "x": str(x), "labels": str(labels)}, python)
        except ChildError as error:
            return {**kept, "error": str(error).splitlines()[-1]}
        scores = {name: round(score, 5) for name, score in evaluate(data.y, np.load(labels)).items()}
    return {**kept, **found, **scores}


def is_measured(path: Path) -> bool:
    """Return whether there is a record, and not of a failure."""
    return path.exists() and "error" not in json.loads(path.read_text(encoding="utf-8"))


def table(records: list[dict[str, Any]]) -> str:
    """Return the comparison as a Markdown table: a row for each method and each way of running ClustPy."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((*(record[key] for key in SHARED), record["run"]), []).append(record)
    rows = []
    for (*shared, run), theirs in groups.items():
        ours = groups.get((*shared, "dclib"))
        if run != "dclib" and ours:
            rows.append([row_words(*shared), run_words(run), *compared(ours, theirs)])
    return markdown(HEAD, rows)


def row_words(method: str, data: str, n: int, profile: str, threads: int) -> str:
    """Return what both libraries of a row have in common, in the words of the table."""
    size = "" if profile == "book" else f", {profile} profile"
    return f"{method} on {data}, n = {n:,}, threads: {threads}{size}"


def run_words(run: str) -> str:
    """Return how ClustPy was run, in the words of the table."""
    return "same work" if run.endswith("same work") else "its defaults"


def compared(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[str]:
    """Return the cells of two groups of records side by side, mean ± sd; the ratio is of mean seconds."""
    ours, good = ([r for r in group if "error" not in r] for group in (ours, theirs))
    cells = [f"{len(ours)}, {len(good)}"]
    for key, digits in (("acc", 3), ("seconds", 1)):
        cells += [spread([r[key] for r in group], digits) for group in (ours, good)]
    ratio = np.mean([r["seconds"] for r in good]) / np.mean([r["seconds"] for r in ours]) if ours and good else np.nan
    cells.append(f"{ratio:.1f}" if np.isfinite(ratio) else "–")
    return cells + [spread([r["peak_mib"] for r in group], 0) for group in (ours, good)]


def draw(records: list[dict[str, Any]], path: Path) -> None:
    """Plot accuracy against seconds, a point a run: a colour a method, a marker a library."""
    figure, ax = panels(size=(7.2, 4.4))
    methods = sorted({r["method"] for r in records})
    for method, colour in zip(methods, PALETTE, strict=False):
        for run, marker in LIBRARIES.items():
            points = [r for r in records if (r["method"], r["run"]) == (method, run) and "error" not in r]
            if points:
                seconds, scores = [r["seconds"] for r in points], [r["acc"] for r in points]
                ax.plot(seconds, scores, marker, color=colour, label=f"{method}, {run}", alpha=0.85)
    ax.set(xscale="log", xlabel="seconds", ylabel="accuracy (ACC)")
    ax.legend(fontsize=8, labelcolor="linecolor", frameon=False)
    figure.savefig(path, dpi=150)


def report(folder: Path) -> None:
    """Write the table into README.md and draw the plot."""
    records = load_all(folder)
    fill("peers", table(records), README)
    draw(records, FOLDER / "peers.png")


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    ready = [method for method in PEERS if method in METHODS]
    parser.add_argument("--data", default="mnist-10k")
    parser.add_argument("--n", type=int, help="the first n points only")
    parser.add_argument("--methods", type=lambda text: text.split(","), default=ready, help=",".join(ready))
    parser.add_argument("--seeds", type=seeds_of, default=[0, 1, 2], help="0-2 or 0,3")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profile", default="book", help="dclib's profile")
    parser.add_argument("--python", type=Path, default=PYTHON, help="of an environment with ClustPy; see make bench")
    parser.add_argument("--results", type=Path, default=RESULTS / "peers")
    parser.add_argument("--again", action="store_true", help="measure what has a record, too")
    parser.add_argument("--report", action="store_true", help="only write the table and the plot")
    return parser


def main() -> None:
    """Run the command."""
    args = options().parse_args()
    data = load(args.data)
    data = Dataset(data.x[: args.n], data.y[: args.n], data.name, data.shape, data.classes)
    for job in [] if args.report else jobs(args, data):
        path = record_path(job, args.results)
        if not args.again and is_measured(path):
            continue
        record = measure(job, data, args.python)
        save(record, path)
        outcome = record.get("error") or f"{record['seconds']:.1f} s, ACC {record['acc']:.3f}"
        print(f"{job['method']}, {job['run']}, seed {job['seed']}: {outcome}", flush=True)
    if args.results == RESULTS / "peers":
        report(args.results)


if __name__ == "__main__":
    main()

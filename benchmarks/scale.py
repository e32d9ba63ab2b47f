"""How time and memory of DEC grow with n, and what a million points in a memory-mapped file cost.

Without an option: sizes n of one data set, each fit in a fresh process. With ``--million``: a file of a million images.
"""

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import (
    FOLDER,
    MIB,
    RESULTS,
    exponent,
    fill,
    load_all,
    markdown,
    run_child,
    save,
    seeds_of,
    spread,
)
from benchmarks.scale_worker import FIELDS
from dclib.data import Dataset, load
from dclib.plots import INK, PALETTE, panels

WORKER = "benchmarks.scale_worker"
SIZES = (10_000, 20_000, 40_000, 70_000)
FEW = {"pretrain_epochs": 2, "epochs": 2, "tol": 0.0}  # every size does the same work a point
ONCE = {"pretrain_epochs": 1, "epochs": 1, "tol": 0.0}
MOST = 2e9 / MIB  # 2 GB, in MiB
MOVES = [(down, right) for down in (-2, -1, 0, 1, 2) for right in (-2, -1, 0, 1, 2)]
WORDS = {"VmRSS": "all", "RssAnon": "held by the process", "RssFile": "pages of files"}


def job_of(data: Dataset, args: argparse.Namespace, seed: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what every job holds: the data's facts, the size of the run, the seed."""
    return {
        "data": data.name,
        "shape": data.shape,
        "n_clusters": len(data.classes),
        "profile": args.profile,
        "threads": args.threads,
        "seed": seed,
        "parameters": parameters,
    }


def measure(job: dict[str, Any], x: Path, n: int, mapped: bool) -> dict[str, Any]:
    """Run a job on the array file ``x`` in a fresh process and return its record."""
    found = run_child(WORKER, {**job, "x": str(x), "mapped": mapped})
    return {"n": n, **job, "when": datetime.now(UTC).isoformat(timespec="seconds"), **found}


# -- against n --------------------------------------------------------------------------------------------------------


def measure_sizes(args: argparse.Namespace) -> None:
    """Measure each size with each seed, the sizes in turn, but for records that are there."""
    data = load(args.data)
    for seed in args.seeds:
        for n in args.sizes:
            path = args.results / "sizes" / data.name / f"{args.profile}-n{n}-threads{args.threads}-seed{seed}.json"
            if args.again or not path.exists():
                record = measure_size(data, n, job_of(data, args, seed, FEW))
                save(record, path)
                found = f"{record['seconds']:.1f} s, {record['over_base_mib']:.0f} MiB"
                print(f"n = {n:,}, seed {seed}: {found}", flush=True)


def measure_size(data: Dataset, n: int, job: dict[str, Any]) -> dict[str, Any]:
    """Return the record of the first ``n`` points, which the child reads from a file of their own.

    Raises
    ------
    ValueError
        If the data set has fewer points.
    """
    if n > len(data):
        raise ValueError(f"{data.name} has {len(data):,} points, not {n:,}: pass other --sizes or --data.")
    with tempfile.TemporaryDirectory() as folder:
        x = Path(folder, "x.npy")
        np.save(x, data.x[:n])
        record = measure(job, x, n, mapped=False)
    return {key: value for key, value in record.items() if key != "samples"}


def by_size(records: list[dict[str, Any]], key: str) -> dict[int, list[float]]:
    """Return the values of a field for each n, smallest n first."""
    return {n: [r[key] for r in records if r["n"] == n] for n in sorted({r["n"] for r in records})}


def table(records: list[dict[str, Any]]) -> str:
    """Return time and memory against n as a Markdown table, and a line with both exponents."""
    seconds, over = by_size(records, "seconds"), by_size(records, "over_base_mib")
    width = 4 * int(np.prod(records[0]["shape"])) / MIB
    each = {n: f"{np.mean(values) / n * 1e6:.0f}" for n, values in seconds.items()}
    rows = [[f"{n:,}", spread(seconds[n], 1), each[n], f"{n * width:.0f}", spread(over[n], 0)] for n in seconds]
    head = ("n", "seconds", "µs a point", "data, MiB", "peak over base and data, MiB")
    return markdown(head, rows) + f"\n\nSeconds grow as n^{power(seconds)}, memory beside the data as n^{power(over)}."


def power(found: dict[int, list[float]]) -> str:
    """Return the exponent of mean values against n as text."""
    return f"{exponent(list(found), [float(np.mean(values)) for values in found.values()]):.2f}"


def draw(records: list[dict[str, Any]], path: Path) -> None:
    """Plot seconds and memory against n on logarithmic axes, each with a line of slope one."""
    figure, axes = panels(1, 2, size=(8.4, 3.6))
    found = (("seconds", "seconds"), ("over_base_mib", "peak over base and data, MiB"))
    for ax, (key, words), colour in zip(axes, found, PALETTE, strict=False):
        sizes, values = zip(*((r["n"], r[key]) for r in records), strict=True)
        ax.plot(sizes, values, "o", color=colour)
        ends = np.array([min(sizes), max(sizes)])
        middle = np.exp(np.mean(np.log(np.maximum(values, 0.1)) - np.log(sizes)))
        ax.plot(ends, middle * ends, "--", color=INK, linewidth=1, label="slope 1")
        ax.set(xscale="log", yscale="log", xlabel="n", ylabel=words)
        ax.legend(labelcolor=INK, frameon=False)
    figure.savefig(path, dpi=150)


# -- a million --------------------------------------------------------------------------------------------------------


def make_memory_map(path: Path, n: int, images: np.ndarray, seed: int = 0, chunk: int = 10_000) -> None:
    """Write ``n`` images to a ``.npy`` file, chunk by chunk: drawn with replacement, moved, with a little noise.

    Parameters
    ----------
    path
        The file; ``np.load(path, mmap_mode="r")`` opens it as (n, height · width), float32, values in [0, 1].
    n
        Number of images to write.
    images
        Where they are drawn from (m, height, width), in [0, 1].
    seed
        Of the draw.
    chunk
        Images that are in memory at once.
    """
    rng = np.random.default_rng(seed)
    width = int(np.prod(images.shape[1:]))
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, width))
    for start in range(0, n, chunk):
        rows = rng.integers(len(images), size=min(chunk, n - start))
        out[start : start + len(rows)] = altered(images[rows], rng).reshape(len(rows), width)
    out.flush()


def altered(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images (m, height, width), each moved by up to two pixels either way, with noise of deviation 0.02."""
    chosen, moved = rng.integers(len(MOVES), size=len(images)), np.empty(images.shape, np.float32)
    for i, move in enumerate(MOVES):
        moved[chosen == i] = np.roll(images[chosen == i], move, axis=(1, 2))
    moved += 0.02 * rng.standard_normal(moved.shape, dtype=np.float32)
    return moved.clip(0, 1, out=moved)


def measure_million(args: argparse.Namespace) -> dict[str, Any]:
    """Train DEC on a memory-mapped file of ``args.points`` images and return the record."""
    data = load("mnist-10k")
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        x = Path(folder, "x.npy")
        make_memory_map(x, args.points, data.samples)
        return measure(job_of(data, args, 0, ONCE), x, args.points, mapped=True)


def million_words(record: dict[str, Any]) -> str:
    """Return what the large file cost, in a sentence or two."""
    file_mib = record["n"] * 4 * int(np.prod(record["shape"])) / MIB
    held = max(row[1 + FIELDS.index("RssAnon")] for row in record["samples"])
    return (
        f"{record['n']:,} points, a file of {file_mib:,.0f} MiB: {record['seconds']:,.0f} s"
        f" (threads: {record['threads']})."
        f" Peak {record['over_base_mib']:,.0f} MiB over a base of {record['base_mib']:,.0f} MiB"
        f" (at most {held:,.0f} MiB of the total is the process's own; the rest is pages of files)."
    )


def draw_memory(record: dict[str, Any], path: Path) -> None:
    """Plot resident memory against time: all of it, the process's own, and pages of files."""
    figure, ax = panels(size=(7.2, 4.0))
    rows = np.array(record["samples"])
    for i, (name, colour) in enumerate(zip(FIELDS, PALETTE, strict=False), start=1):
        ax.plot(rows[:, 0], rows[:, i], color=colour, label=WORDS[name])
    ax.axhline(record["base_mib"], color=INK, linestyle=":", linewidth=1, label="base")
    ax.axhline(record["base_mib"] + MOST, color=INK, linestyle="--", linewidth=1, label="base + 2 GB")
    ax.set(xlabel="seconds", ylabel="resident memory, MiB", ylim=(0, None))
    ax.legend(labelcolor=INK, frameon=False)
    figure.savefig(path, dpi=150)


def run_million(args: argparse.Namespace) -> bool:
    """Measure the large file unless its record is there, say what it cost, and return whether that is below 2 GB."""
    path = args.results / f"million-{args.profile}-n{args.points}.json"
    if args.again or not path.exists():
        save(measure_million(args), path)
    record = json.loads(path.read_text(encoding="utf-8"))
    print(million_words(record))
    if args.results == RESULTS / "scale":
        fill("million", million_words(record))
        draw_memory(record, FOLDER / "memory.png")
    return record["over_base_mib"] < MOST


def run_sizes(args: argparse.Namespace) -> None:
    """Measure the sizes that have no record yet, and print and keep the table."""
    measure_sizes(args)
    records = load_all(args.results / "sizes" / args.data)
    print(table(records))
    if args.results == RESULTS / "scale":
        fill("scale", table(records))
        draw(records, FOLDER / "scale.png")


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--data", default="mnist", help="the folder DCLIB_DATA has it, or it is fetched")
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=SIZES)
    parser.add_argument("--million", action="store_true", help="the large file instead of the sizes")
    parser.add_argument("--points", type=int, default=1_000_000, help="how many a million is")
    parser.add_argument("--scratch", type=Path, help="a folder on a disk with 4 GB for the large file")
    parser.add_argument("--seeds", type=seeds_of, default=[0, 1, 2], help="0-2 or 0,3")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profile", default="book")
    parser.add_argument("--results", type=Path, default=RESULTS / "scale")
    parser.add_argument("--again", action="store_true", help="measure what has a record, too")
    return parser


def main() -> None:
    """Run the command."""
    args = options().parse_args()
    if not args.million:
        run_sizes(args)
    elif not run_million(args):
        sys.exit(f"more than 2 GB ({MOST:.0f} MiB) over the base")


if __name__ == "__main__":
    main()

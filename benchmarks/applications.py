"""What the studies of the applications share: runs that go on where they stopped, and one file of rows a study.

A study's module has ``RUNS``, a list of (row, data), and ``measure(row, data, seed) -> scores``; its ``main`` calls
:func:`main` here. The file lies beside the records, so that a chapter reads it wherever the package is installed.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, seeds_of
from dclib import provenance
from dclib.training import pick_device

FOLDER = ROOT / "book" / "results" / "applications"
Measure = Callable[[str, str, int], dict[str, float]]


def main(name: str, runs: Iterable[tuple[str, str]], measure: Measure, folder: Path = FOLDER) -> None:
    """Read the command line, and measure what has no row yet: seeds 0–4, all rows and sets unless it says otherwise."""
    parser = argparse.ArgumentParser(description=f"Measure the study {name!r}.")
    parser.add_argument("--seeds", type=seeds_of, default=[0, 1, 2, 3, 4])
    parser.add_argument("--row", nargs="*", help="these rows alone")
    parser.add_argument("--data", nargs="*", help="these sets alone")
    parser.add_argument("--again", action="store_true", help="measure what is there, too")
    options = parser.parse_args()
    wanted = [(r, d) for r, d in runs if r in (options.row or [r]) and d in (options.data or [d])]
    for seed in options.seeds:
        for row, data in wanted:
            found = run(name, row, data, seed, measure, folder, again=options.again)
            print(f"{data} | {row} | {seed} | {found['scores']} | {found['seconds']} s", flush=True)


def run(
    name: str, row: str, data: str, seed: int, measure: Measure, folder: Path = FOLDER, again: bool = False
) -> dict[str, Any]:
    """Return the row of one seed, measured and saved if it is not there."""
    path = folder / f"{name}.json"
    key = {"row": row, "data": data, "seed": seed}
    there = [run for run in read(path) if {k: run[k] for k in key} == key]
    if there and not again:
        return there[0]
    began = time.perf_counter()
    scores = {score: round(float(value), 5) for score, value in measure(row, data, seed).items()}
    found = {**key, "scores": scores, "seconds": round(time.perf_counter() - began, 2), **where()}
    rest = [run for run in read(path) if {k: run[k] for k in key} != key]
    save(sorted([*rest, found], key=lambda run: (run["data"], run["row"], run["seed"])), path)
    return found


def where() -> dict[str, Any]:
    """Return the commit and what the machine is, for a row."""
    around = provenance.surroundings(pick_device("cpu"))
    return {key: around[key] for key in ("device", "dclib", "commit") if key in around}


def read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, or none if it is not there."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def save(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows, one a line; the file is replaced whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(" " + json.dumps(row, ensure_ascii=False) for row in rows)
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text('{"rows": [\n' + lines + "\n]}\n", encoding="utf-8")
    aside.replace(path)

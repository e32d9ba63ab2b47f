"""What the benchmarks share: fresh processes, memory as Linux counts it, records, tables, the report.

Imports nothing heavy, so that a child process starts with no more in memory than what it measures needs.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
README = FOLDER / "README.md"
RESULTS = FOLDER / "results"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
MIB = 2**20


class ChildError(RuntimeError):
    """A measured process failed; the message ends with the last lines that it wrote."""


def run_child(module: str, job: dict[str, Any], python: str | Path = sys.executable) -> dict[str, Any]:
    """Run ``python -m module JOB OUT`` in a fresh process and return the record that it writes to OUT.

    Parameters
    ----------
    module
        Its ``main`` calls :func:`answer`.
    job
        What to measure, as JSON can hold it. ``job["threads"]`` is the number of threads.
    python
        The interpreter, which may belong to another environment.

    Raises
    ------
    ChildError
        If the process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        question, out = Path(folder, "job.json"), Path(folder, "record.json")
        question.write_text(json.dumps(job), encoding="utf-8")
        command = [str(python), "-m", module, str(question), str(out)]
        done = subprocess.run(
            command, cwd=ROOT, env=child_environment(job["threads"]), capture_output=True, text=True, errors="replace"
        )
        if done.returncode:
            raise ChildError(f"{module} ended with {done.returncode}:\n" + "\n".join(done.stderr.splitlines()[-8:]))
        return json.loads(out.read_text(encoding="utf-8"))


def child_environment(threads: int) -> dict[str, str]:
    """Return this process's environment with every thread pool held to ``threads``, and no GPU."""
    held = dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {**os.environ, **held, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}


def answer(measure: Any) -> None:
    """Be the child of :func:`run_child`: read the job, measure, write the record."""
    import torch

    question, out = sys.argv[1:]
    job = json.loads(Path(question).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    Path(out).write_text(json.dumps(measure(job)), encoding="utf-8")


def memory(field: str = "VmRSS") -> float:
    """Return a field of ``/proc/self/status`` in MiB: ``VmRSS`` is resident now, ``VmHWM`` was at the peak."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":")) / 1024


def forget_peak() -> None:
    """Set ``VmHWM`` back to what is resident now. Where that is forbidden, a peak is never below the true one."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        print("the peak of memory could not be set back", file=sys.stderr)


def save(record: dict[str, Any], path: Path) -> None:
    """Write a record, a field a line, a list on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = (f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in record.items())
    path.write_text("{\n" + ",\n".join(fields) + "\n}\n", encoding="utf-8")


def load_all(folder: Path) -> list[dict[str, Any]]:
    """Return every record below a folder, in the order of their paths."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.json"))]


def seeds_of(text: str) -> list[int]:
    """Return the seeds that ``"0-2"`` or ``"0,3"`` names."""
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]


def spread(values: Sequence[float], digits: int) -> str:
    """Return mean ± standard deviation (n − 1) as text; of one value, the value; of none, a dash."""
    if not len(values):
        return "–"
    mean = f"{np.mean(values):,.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):,.{digits}f}"


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return b of values ≈ a · sizes^b, by least squares on logarithms; NaN if that cannot be had.

    Parameters
    ----------
    sizes, values
        Of equal length; at least two different sizes, and all values positive.
    """
    if len(set(sizes)) < 2 or min(values) <= 0:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def fill(name: str, text: str, readme: Path = README) -> None:
    """Put ``text`` between the markers ``<!-- name -->`` and ``<!-- /name -->`` of a file.

    Raises
    ------
    ValueError
        If the file does not have each marker once, in this order.
    """
    page = readme.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if page.count(start) != 1 or page.count(end) != 1 or page.index(start) > page.index(end):
        raise ValueError(f"{readme} should have {start} and {end} once each, in this order")
    before, after = page.split(start)[0], page.split(end)[1]
    readme.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}", encoding="utf-8")

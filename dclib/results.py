"""Results: one run becomes one JSON record; records become the leaderboard and the tables of the chapters."""

import json
import platform
import re
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import ClusterMixin
from sklearn.cluster import KMeans

from dclib.checks import one_of
from dclib.data import Dataset, load
from dclib.methods import METHODS
from dclib.metrics import cluster_sizes, evaluate
from dclib.profiles import profile
from dclib.training import pick_device

CHECKOUT = Path(__file__).parents[1] / "book" / "results"
RESULTS = CHECKOUT if CHECKOUT.is_dir() else Path("results")  # outside a checkout: in the working folder
RUN = ("data", "method", "profile", "variant")  # what the seeds of one row share
KMEANS = "k-means"  # the baseline: scikit-learn's, on the points themselves
VERSIONED = ("numpy", "scikit-learn", "scipy", "torch")


@dataclass(frozen=True)
class Summary:
    """Five seeds in one row: a method on a data set.

    Attributes
    ----------
    method, data, profile, variant
        What was run; the variant names the parameters that differ from the profile's, and is empty if none does.
    n, seeds
        Number of points and number of runs.
    acc, nmi, ari
        Mean and standard deviation (n − 1) over seeds.
    seconds, memory
        Mean wall time, and largest peak memory in MiB.
    device
        Where it ran.
    """

    method: str
    data: str
    profile: str
    variant: str
    n: int
    seeds: int
    acc: tuple[float, float]
    nmi: tuple[float, float]
    ari: tuple[float, float]
    seconds: float
    memory: float
    device: str


def run(
    method: str,
    data: str,
    seed: int,
    profile_name: str | None = None,
    *,
    device: str = "auto",
    verbose: int = 0,
    **parameters: Any,
) -> dict[str, Any]:
    """Train one method on one data set with one seed and return the record.

    Labels are read after training, to score the final state. Nothing is chosen by them.

    Parameters
    ----------
    method
        ``"k-means"`` or a key of :data:`dclib.methods.METHODS`.
    data
        A name that :func:`dclib.data.load` knows.
    seed
        ``random_state`` of the run.
    profile_name
        ``"quick"``, ``"book"`` or ``"full"``; by default ``DCLIB_PROFILE`` decides.
    device, verbose
        Passed to the method.
    **parameters
        Parameters that differ from the profile's; they are kept in the record.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    points = load(data)
    model = make(method, points, seed, profile_name, device=device, verbose=verbose, **parameters)
    _reset_peak_memory()
    start = time.perf_counter()
    model.fit(points.x)
    seconds = time.perf_counter() - start
    return {
        **identity(method, data, seed, profile_name, **parameters),
        "n": len(points.x),
        **evaluate(points.y, model.labels_),
        "cluster_sizes": cluster_sizes(model.labels_).tolist(),
        "seconds": round(seconds, 2),
        "peak_memory_mib": round(_peak_memory(), 1),
        "parameters": _plain(model.get_params(deep=False)),
        **_surroundings(pick_device(device)),
    }


def make(method: str, points: Dataset, seed: int, profile_name: str | None = None, **parameters: Any) -> ClusterMixin:
    """Return the estimator of a run, not yet fitted: a method of the book, or k-means on the points as they are.

    Raises
    ------
    ValueError
        If the method is unknown.
    """
    if one_of(method, (KMEANS, *METHODS), "method") == KMEANS:
        own = {name: value for name, value in parameters.items() if name != "device"}
        return KMeans(len(points.classes), **{"n_init": 20, "random_state": seed} | own)
    return METHODS[method].for_data(points, profile_name, random_state=seed, **parameters)


def row(found: list[dict[str, Any]]) -> dict[str, str]:
    """Return the scores and the cost of one row's records as text, mean ± sd over seeds."""
    if not found:
        return dict.fromkeys(("ACC", "NMI", "ARI", "seeds", "s a run", "MiB"), "–")
    line = _summary(found)
    scores = {key.upper(): spread(getattr(line, key)) for key in ("acc", "nmi", "ari")}
    return {**scores, "seeds": str(line.seeds), "s a run": f"{line.seconds:.0f}", "MiB": f"{line.memory:.0f}"}


def identity(method: str, data: str, seed: int, profile_name: str | None = None, **parameters: Any) -> dict[str, Any]:
    """Return the fields that tell one run from another: method, data, profile, variant and seed."""
    variant = ",".join(f"{key}={value}" for key, value in sorted(parameters.items()))
    return {
        "method": method,
        "data": data,
        "profile": profile(profile_name),
        "variant": variant,
        "seed": seed,
    }


def save(record: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write a record to ``folder/data/method/profile-variant-seedN.json`` and return the path."""
    path = record_path(record, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, indent=1, ensure_ascii=False)
    flat = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s+", " ", found[0]), text)  # a list on one line
    path.write_text(flat + "\n", encoding="utf-8")
    return path


def record_path(record: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Return where a record belongs; it needs ``data``, ``method``, ``profile``, ``variant`` and ``seed``."""
    variant = re.sub(r"[^\w=.]+", "_", record["variant"])
    name = "-".join(filter(None, (record["profile"], variant, f"seed{record['seed']}")))
    return folder / record["data"] / record["method"] / f"{name}.json"


def records(folder: Path = RESULTS, **wanted: Any) -> list[dict[str, Any]]:
    """Read the records whose fields equal ``wanted``, e.g. ``records(method="dec", data="mnist-10k")``, by seed."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/*/*.json"))]
    kept = [record for record in found if all(record.get(key) == value for key, value in wanted.items())]
    return sorted(kept, key=lambda record: record["seed"])


def summarise(found: Iterable[dict[str, Any]]) -> list[Summary]:
    """Return one row for each (data set, method, profile, variant), best mean ACC first within a data set."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for record in found:
        groups.setdefault(tuple(record[key] for key in RUN), []).append(record)
    rows = [_summary(group) for group in groups.values()]
    return sorted(rows, key=lambda row: (row.data, -row.acc[0]))


def published(data: str | None = None, method: str | None = None, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the authors' figures for a data set or a method, each with its source."""
    path = folder / "published.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [r for r in rows if data in (None, r["data"]) and method in (None, r["method"])]


def leaderboard(folder: Path = RESULTS, data: str | None = None) -> str:
    """Return the leaderboard as a Markdown table: published beside reproduced, with the spread over seeds."""
    rows = [row for row in summarise(records(folder)) if data in (None, row.data)]
    head = [
        "data",
        "n",
        "method",
        "profile",
        "published ACC",
        "ACC",
        "NMI",
        "ARI",
        "seeds",
        "seconds",
        "MiB",
        "device",
    ]
    lines = [head, ["---"] * len(head), *(_cells(row, folder) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def spread(mean_and_sd: tuple[float, float]) -> str:
    """Return ``(0.8431, 0.0312)`` as ``"0.843 ± 0.031"``."""
    mean, sd = mean_and_sd
    return f"{mean:.3f} ± {sd:.3f}" if np.isfinite(sd) else f"{mean:.3f}"


def _cells(row: Summary, folder: Path) -> list[str]:
    known = [r for r in published(row.data, row.method, folder) if r.get("acc") is not None]
    theirs = ", ".join(f"{r['acc']:.3f} ({r['source']})" for r in known) or "–"
    scores = [spread(row.acc), spread(row.nmi), spread(row.ari)]
    cost = [str(row.seeds), f"{row.seconds:.0f}", f"{row.memory:.0f}", row.device]
    profile_and_variant = " ".join(filter(None, (row.profile, row.variant)))
    return [row.data, str(row.n), row.method, profile_and_variant, theirs, *scores, *cost]


def _summary(group: list[dict[str, Any]]) -> Summary:
    first = group[0]
    return Summary(
        **{key: first[key] for key in (*RUN, "n", "device")},
        seeds=len(group),
        **{key: _mean_and_sd(group, key) for key in ("acc", "nmi", "ari")},
        seconds=float(np.mean([record["seconds"] for record in group])),
        memory=max(record["peak_memory_mib"] for record in group),
    )


def _mean_and_sd(group: list[dict[str, Any]], key: str) -> tuple[float, float]:
    values = [record[key] for record in group]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Turn parameters into what JSON can hold: a data class as its call, anything else unknown as its class."""

    def plain(value: Any) -> Any:
        if isinstance(value, bool | int | float | str | None):
            return value
        if isinstance(value, list | tuple):
            return list(value)
        return repr(value) if is_dataclass(value) else type(value).__name__

    return {name: plain(value) for name, value in parameters.items()}


def _surroundings(device: torch.device) -> dict[str, Any]:
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else f"{torch.get_num_threads()} threads, {platform.machine()}"
    return {
        "device": f"{device.type}: {name}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
        "dclib": _own_version(),
        "commit": _commit(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _own_version() -> str:
    try:
        return version("dclib")
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Return the commit of this checkout, with ``+`` if the package differs from it, or ``"unknown"``."""

    def git(*words: str) -> str:
        place = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=place, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _reset_peak_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget this process's earlier peak


def _peak_memory() -> float:
    """Return the largest resident memory of this process in MiB, since the last reset where Linux allows one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return _peak_memory_elsewhere()


def _peak_memory_elsewhere() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)

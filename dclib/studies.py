"""Studies: measurements that are no row of the leaderboard, a file each, with their means over seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dclib.results import shipped, spread
from dclib.statistics import sign_flip_test

Rows = list[dict[str, Any]]


def read(name: str, **wanted: Any) -> Rows:
    """Read the rows of a study whose fields equal ``wanted``, e.g. ``read("anomalies", data="shuttle")``.

    Parameters
    ----------
    name
        The study; its file lies beside the records, in ``applications``.
    **wanted
        Fields of a row: ``row`` (what was measured), ``data``, ``seed``.

    Returns
    -------
    list of dict
        Each has ``row``, ``data``, ``seed``, ``scores`` and ``seconds``; none if there is no such study.
    """
    rows = (shipped(f"applications/{name}.json") or {}).get("rows", [])
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def values(rows: Rows, score: str) -> dict[str, list[float]]:
    """Return a score of each row's runs, by the name of the row, in the order of their seeds."""
    found: dict[str, list[float]] = {}
    for run in sorted(rows, key=lambda run: run["seed"]):
        found.setdefault(run["row"], []).append(run["scores"][score])
    return {name: found[name] for name in dict.fromkeys(run["row"] for run in rows)}


def table(rows: Rows, scores: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return mean ± sd of each score over seeds, by the name of the row, with the number of seeds and the seconds."""
    by_score = {score: values(rows, score) for score in scores}
    seconds = {name: [run["seconds"] for run in rows if run["row"] == name] for name in by_score[scores[0]]}
    return {
        name: {
            **{score: spread(_mean_and_sd(by_score[score][name])) for score in scores},
            "seeds": str(len(runs)),
            "s a run": f"{np.mean(runs):.1f}",
        }
        for name, runs in seconds.items()
    }


def differences(rows: Rows, first: str, score: str) -> dict[str, dict[str, Any]]:
    """Return the difference of each row from the row called ``first``, over the same seeds: mean ± sd, how often, p.

    Raises
    ------
    ValueError
        If a row's seeds are not those of ``first``.
    """
    seeds, found = {}, values(rows, score)
    for run in sorted(rows, key=lambda run: run["seed"]):
        seeds.setdefault(run["row"], []).append(run["seed"])
    for name in found:
        if seeds[name] != seeds[first]:
            raise ValueError(f"{name!r} has the seeds {seeds[name]}, and {first!r} {seeds[first]}.")
    table = {}
    for name, runs in found.items():
        if name != first:
            d = np.subtract(runs, found[first])
            mean, sd = _mean_and_sd(d)
            table[name] = {
                "difference": f"{mean:+.3f}" + (f" ± {sd:.3f}" if len(d) > 1 else ""),
                "higher on": f"{(d > 0).sum()} of {len(d)} seeds",
                "p": sign_flip_test(d),
            }
    return table


def _mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

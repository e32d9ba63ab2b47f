"""The leaderboard: rows in order, and what was published beside what was measured."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dclib.baselines import BASELINES, ON_FEATURES
from dclib.methods import METHODS
from dclib.results import RESULTS, Summary, published, records, scores_and_cost, shipped, spread, summarise

SUBSET_OF = {"mnist-10k": "mnist"}  # beside these stand the figures published for the whole
IMAGES = {"mnist", "mnist-10k", "mnist-test", "usps", "fashion-mnist", "cifar10", "stl10", "cmu-pie"}
INPUTS = {"20newsgroups": "tf-idf", "pendigits": "pen strokes", **dict.fromkeys(IMAGES, "pixels")}  # else: sequences
WITHOUT_K = {"umap-hdbscan"}  # finds the number of clusters by itself
CALLED = {"k-shape": "dclib/shapes.py"}  # where the work is done, if not in the baseline itself
CHOSEN, RERUN = "†", "‡"
LEGEND = (
    "Ours: mean ± sd over seeds, final epoch; NMI with the arithmetic mean. "
    f"{CHOSEN} labels had a say: a run, or a setting, was chosen by accuracy. "
    f"{RERUN} measured by others than the method's authors. "
    "≤ other work had the machine: an upper bound. MiB: peak memory of the process."
)


def standings(folder: Path = RESULTS, data: str | None = None, variants: bool = False) -> list[Summary]:
    """Return the rows of the leaderboard, in order.

    An ablation is left out where its method has a row with a name of its own on the same data set and in the same
    profile, unless ``variants`` asks for all.
    """
    rows = [row for row in summarise(records(folder)) if data in (None, row.data)]
    named = {(row.data, row.method, row.profile) for row in rows if not row.ablation}
    return [row for row in rows if variants or not row.ablation or (row.data, row.method, row.profile) not in named]


def beside(row: Summary, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the published figures that belong beside a row, the authors' own first.

    An ablation has none, nor has a row with an addition that no paper has.
    """
    if row.ablation or {*row.added} - {"augmentation"}:
        return []
    views = {} if _viewed(row.method) else {"augmented": row.augmented}
    known = published(SUBSET_OF.get(row.data, row.data), row.method, folder, **views)
    return sorted((r for r in known if r.get("acc") is not None), key=lambda r: bool(r.get("rerun")))


def _viewed(method: str) -> bool:
    """Whether augmentation is part of a method, and no addition."""
    return method in METHODS and METHODS[method].viewed


def cited(known: dict[str, Any], n: int | None = None) -> str:
    """Return a published ACC with its marks, e.g. ``"0.843† (Xie et al. 2016, table 2)"``; ``LEGEND`` explains them.

    Parameters
    ----------
    known
        A row of :func:`dclib.results.published`.
    n
        Number of points of the row that it stands beside; a different number is said.
    """
    runs = known.get("runs", ())
    score = spread((known["acc"], float(np.std(runs, ddof=1)) if len(runs) > 1 else float("nan")))
    marks = CHOSEN * bool(known.get("chosen")) + RERUN * bool(known.get("rerun"))
    size = f", n = {known['n']:,}" if n not in (None, known["n"]) else ""
    return f"{score}{marks} ({known['source']}{size})"


def cells(row: Summary, folder: Path = RESULTS) -> dict[str, str]:
    """Return a row of the leaderboard as text, by column."""
    scores = scores_and_cost(row)
    scores["ACC"] += CHOSEN * bool(row.chosen)
    return {
        "data": row.data,
        "n": str(row.n),
        "method": row.name,
        "published ACC": "; ".join(cited(known, row.n) for known in beside(row, folder)) or "–",
        **scores,
        "profile": row.profile,
        "device": row.device,
    }


def leaderboard(folder: Path = RESULTS, data: str | None = None, variants: bool = False) -> str:
    """Return the leaderboard as a Markdown table: published beside reproduced, with the spread over seeds.

    Parameters
    ----------
    folder
        Where the records are.
    data
        Only this data set.
    variants
        Whether to show the ablations too.
    """
    lines = [cells(row, folder) for row in standings(folder, data, variants)]
    if not lines:
        return "| data |\n| --- |"
    head = [list(lines[0]), ["---"] * len(lines[0])]
    table = "\n".join("| " + " | ".join(line) + " |" for line in [*head, *(line.values() for line in lines)])
    return f"{table}\n\n{LEGEND}"


def leaderboard_json(folder: Path = RESULTS, data: str | None = None, variants: bool = False) -> str:
    """Return the rows of the leaderboard as JSON: each with its name and what is published.

    The other fields are those of :class:`dclib.results.Summary`.
    """
    found = []
    for row in standings(folder, data, variants):
        fields = asdict(row)
        for key in ("acc", "nmi", "ari"):
            mean, sd = fields[key]
            fields[key] = {"mean": mean, "sd": sd if np.isfinite(sd) else None}
        found.append({"name": row.name, **fields, "published": beside(row, folder)})
    return json.dumps(found, indent=1, ensure_ascii=False)


def board(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return every row there is, published and ours, as one flat dictionary each: what the leaderboard page shows.

    Parameters
    ----------
    folder
        Where the records are, and beside them ``published.json`` and ``methods.json``, the facts about each method.

    Returns
    -------
    list of dict
        ``method``, ``name``, ``year``, ``family``, ``chapter``, ``data``, ``n``, ``whose`` (``"published"``,
        ``"re-run"`` or ``"ours"``), what was ``added`` to the paper's method and what is ``otherwise`` in it, ``acc``
        (or, as ``score`` says, purity), ``nmi``, ``ari`` and the standard deviation of each where it is known,
        ``seeds``, ``profile``, ``seconds``, ``at_most`` where they are those of the fastest run beside other work,
        ``memory``, ``weights``, ``pretraining`` on other data, ``input``, ``k_given``, whether the number of clusters
        was, ``code``, the file of the method here, ``source``, ``key`` of the bibliography, ``note``, and ``chosen``:
        how labels had a say, in a published figure or in a setting of ours. What is not known is ``None``. Rows are
        sorted by data set and accuracy.
    """
    facts = shipped("methods.json", folder)
    rows = [_of_others(row) for row in published(folder=folder)]
    rows += [_of_ours(row) for row in standings(folder, variants=True)]
    unknown = (
        "seeds",
        "profile",
        "seconds",
        "at_most",
        "memory",
        "weights",
        "note",
        "chosen",
        "acc_sd",
        "nmi_sd",
        "ari_sd",
    )
    empty = dict.fromkeys(unknown)
    full = [empty | row | {key: facts[row["method"]][key] for key in ("year", "family", "chapter")} for row in rows]
    for row in full:
        row.setdefault("name", " + ".join((facts[row["method"]]["name"], *row["added"])))
        row |= {"k_given": row["method"] not in WITHOUT_K, "code": code_of(row["method"])}
    return sorted(full, key=lambda row: (row["data"], -(row["acc"] or 0)))


def code_of(method: str) -> str | None:
    """Return the path of the file that a method is in, or ``None`` where the book has it from others only."""
    if method in METHODS:
        return f"dclib/methods/{method.replace('-', '_')}.py"
    return CALLED.get(method, "dclib/baselines.py") if method in BASELINES else None


def _of_others(known: dict[str, Any]) -> dict[str, Any]:
    """Return a published row as :func:`board` wants it."""
    kept = {
        key: known.get(key) for key in ("method", "data", "n", "acc", "nmi", "ari", "source", "key", "note", "chosen")
    }
    runs = known.get("runs", ())
    added = ["augmentation"] if known.get("augmented") and not _viewed(known["method"]) else []
    return (
        kept
        | {
            "whose": "re-run" if known.get("rerun") else "published",
            "added": added,
            "otherwise": [],
            "pretraining": known.get("pretraining", "none"),
            "input": known.get("input", INPUTS.get(known["data"], "sequences")),
            "acc_sd": float(np.std(runs, ddof=1)) if len(runs) > 1 else known.get("sd"),
            "seeds": len(runs) or known.get("seeds"),
            "score": known.get("score", "accuracy"),
        }
        | ({"name": " + ".join((known["called"], *added))} if "called" in known else {})
    )


def _of_ours(row: Summary) -> dict[str, Any]:
    """Return a row of our own as :func:`board` wants it."""
    scores: dict[str, float | None] = {}
    for key in ("acc", "nmi", "ari"):
        mean, sd = getattr(row, key)
        scores |= {key: mean, f"{key}_sd": sd if np.isfinite(sd) else None}
    kept = {
        key: getattr(row, key) for key in ("method", "data", "n", "seeds", "profile", "seconds", "memory", "weights")
    }
    if row.method in ON_FEATURES:
        kept["weights"] = row.weights or None  # the first records do not have them
    about = {
        "name": row.without_changes,
        "whose": "ours",
        "score": "accuracy",
        "added": list(row.added),
        "otherwise": list(row.otherwise),
        "pretraining": "ImageNet and its labels" if row.method in ON_FEATURES else "none",
        "input": "frozen features" if row.method in ON_FEATURES else INPUTS.get(row.data, "sequences"),
        "source": "this book",
        "key": None,
    }
    if row.seconds is None:
        kept |= {"seconds": row.fastest, "at_most": True}
    return kept | scores | about | {"note": ", ".join(row.changes) or None, "chosen": row.chosen}

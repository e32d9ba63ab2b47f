"""Results: one run becomes one JSON record, the seeds of one method become one row."""

import ast
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClusterMixin

from dclib import parallel, provenance
from dclib.augment import RandomAffine
from dclib.baselines import BASELINES, KMEANS, ON_FEATURES
from dclib.checks import one_of
from dclib.curves import Curve
from dclib.data import Dataset, load
from dclib.methods import METHODS
from dclib.metrics import cluster_sizes, evaluate, purity
from dclib.profiles import PROFILES, profile
from dclib.sequences import resampled
from dclib.statistics import paired_differences, sign_flip_test
from dclib.training import effective_number, pick_device

CHECKOUT = Path(__file__).parents[1] / "book" / "results"
RESULTS = CHECKOUT if CHECKOUT.is_dir() else Path("results")  # outside a checkout: in the working folder
SHIPPED = Path(__file__).parent / "records"  # an installed package brings the book's records along
RUN = ("data", "method", "profile", "variant")  # what the seeds of one row share
INCIDENTAL = ("callback", "checkpoint", "device", "memory", "pretrained", "verbose")  # how to run, not what
UNSET = "unset"
NEXT_STATE = 1_000  # from one random state of a seed's restarts to the next: other rows have small ones

NAMES = {
    "gmm": "PCA + GMM",
    "umap-gmm": "UMAP + GMM",
    "umap-hdbscan": "UMAP + HDBSCAN",
    "rim": "linear RIM",
    "features-kmeans": "pretrained features + k-means",
    "features-gmm": "pretrained features + GMM",
    "features-spectral": "pretrained features + spectral",
    "autoencoder-kmeans": "autoencoder + k-means",
    "autoencoder-spectral": "autoencoder + spectral",
    **{name: name.upper() for name in ("dec", "idec", "dbc", "dcn", "depict", "den")},
    "vae": "VAE + GMM",
    "vade": "VaDE",
    "gan-features": "GAN features",
    "infogan": "InfoGAN",
    "clustergan": "ClusterGAN",
    **{name: name.upper() for name in ("jule", "dac", "imsat", "iic", "dtc")},
    "recurrent-autoencoder": "recurrent autoencoder",
    "k-shape": "k-Shape",
    "dtw-kmeans": "DTW k-means",
    "deepcluster": "DeepCluster",
    "sc-deep-cluster": "scDeepCluster",
}
# Rows of the leaderboard beside those without a variant; other variants are ablations.
SHOWN = {
    "augment=None",
    "start=spectral",
    "augment=None,start=spectral",
    "count_small=False",
    "augment=None,count_small=False",
    "count_small=False,information_epochs=15,n_merged=10000",
    "count_small=False,information_epochs=40",
    "loss=squared_error,thresholds=[0.9, 0.9]",
    "loss=squared_error,restarts=3,thresholds=[0.9, 0.9]",
}
# What a row has beside the paper's method: parameter -> from its value and all parameters to its name, if it is on and
# not what the method has by itself.
ADDITIONS: dict[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "augment": lambda value, _: "augmentation" if value is not None else "",
    "reconstruct": lambda value, of: "clean target" if value == "clean" and of.get("augment") is not None else "",
    "start": lambda value, _: f"{value} start".replace("kmeans", "k-means"),
    "network": lambda value, _: f"{value.upper()} network" if value in ("gru", "lstm") else "",
    "units": lambda value, _: f"{value} units" if value != "raw" else "",
    "count_small": lambda value, _: "small clusters absorbed" if not value else "",
    "n_merged": lambda value, _: f"{value:,} points merged" if value else "",
    "information_epochs": lambda value, _: "information of two views" if value else "",
    "restarts": lambda value, _: f"least loss of {value} runs",
    "merge": lambda value, of: f"groups merged by {value}" if of.get("n_groups") != of.get("n_clusters") else "",
}
# Settings of one method that its paper has otherwise: parameter -> from its value to what the row says of it. IDEC's
# two weights are the paper's in our units; see its chapter.
OTHERWISE: dict[str, dict[str, Callable[[Any], str]]] = {
    "dcn": {
        "weight": lambda value: f"λ = {value:g}" if value != 0.001 else "",
        "start_count": lambda value: "centroids held" if value > 100_000 else "",
    },
    "idec": {"weight": lambda value: f"γ = {value:g}" if value not in (0.47, 0.9) else ""},
    "dbc": {"balance": lambda value: "divided by size" if value else ""},
    "depict": {"target": lambda value: f"{value} target" if value != "balanced" else ""},
    "dac": {
        "loss": lambda value: "squared error" if value == "squared_error" else "",
        "thresholds": lambda value: "one threshold" if value[0] == value[1] else "",
        "last_thresholds": lambda value: f"held at {value[0]:g}" if value[0] > 0.5 else "",
    },
    "autoencoder-spectral": {
        "vectors": lambda value: f"{value}K vectors" if value > 1 else "",
        "steps": lambda value: f"{value} steps of a walk" if value else "",
    },
}
# Settings that were found by accuracy, in runs that no table reports: methods, parameters, with what the names of the
# data sets begin whose rows they concern, and how. A row that has them says so.
FOUND_BY_ACCURACY: tuple[tuple[set[str], dict[str, Any], str, str], ...] = (
    (ON_FEATURES, {"layer": 5, "pool": "max"}, "", "stage and pooling, on draws of mnist-10k"),
    ({"idec"}, {"weight": 1.0}, "", "γ, on other seeds"),
    ({"depict"}, {"target": "squared"}, "", "the target, on other seeds"),
    *(
        ({"den"}, setting, "", "the weights, on other seeds, one of them after reported seeds")
        for setting in ({"locality": 0.2}, {"locality": 0.0, "sparsity": 0.001})
    ),
    ({"deepcluster"}, {"merge": "paths", "n_groups": None}, "", "how groups are merged, on other seeds of mnist-10k"),
    *(
        (
            {"jule"},
            {"information_epochs": epochs},
            "",
            "the second phase, on other seeds, and the first's steps, after reported seeds",
        )
        for epochs in (15, 40)
    ),
    ({"dac"}, {"pretrain_lr": 5e-4}, "", "rate and budget, after the curve of a reported seed of MNIST"),
    ({"iic"}, {"pretrain_lr": 5e-4}, "", "the rate, on another seed of MNIST"),
    ({"dcn"}, {"start_count": 1_000_000}, "mnist", "that centroids are held, on one run of mnist-10k"),
    ({"clustergan"}, {"pretrain_epochs": 55}, "mnist", "the budget, after the curve of a reported seed"),
    ({"rim"}, {"weight": 0.3}, "", "λ, on other seeds of docstrings"),
    ({*METHODS}, {"start": "spectral"}, "mnist", "two settings of the spectral start, on other seeds of MNIST"),
    ({"autoencoder-spectral"}, {"vectors": 3}, "mnist", "two settings of the graph, on other seeds of MNIST"),
    ({"features-spectral"}, {}, "mnist", "two settings of the graph, on other seeds of MNIST"),
)
ALWAYS_ADDED = {"merge"}  # the paper has no such step, and the method can't do without one


@dataclass(frozen=True)
class Summary:
    """Five seeds in one row: a method on a data set.

    Attributes
    ----------
    method, data, profile, variant
        What was run; the variant names the parameters that differ from the profile's, and is empty if none does.
    added
        What was added to the paper's method, as the records' parameters say; see :func:`added`.
    otherwise
        Settings that the paper has otherwise; see :func:`otherwise`.
    n, seeds
        Number of points and number of runs.
    acc, nmi, ari
        Mean and standard deviation (n − 1) over seeds.
    seconds, memory
        Mean wall time, where no other work had the machine (``None`` otherwise), and largest peak memory in MiB.
    fastest
        Wall time of the fastest run: where other work had the machine, a run takes at most that long without it.
    device
        Where it ran.
    weights
        Parameters of the network, where the records say how many.
    chosen
        Which settings were found by accuracy, and on what; see :func:`found_by_accuracy`. ``None`` if none was.
    """

    method: str
    data: str
    profile: str
    variant: str
    added: tuple[str, ...]
    n: int
    seeds: int
    acc: tuple[float, float]
    nmi: tuple[float, float]
    ari: tuple[float, float]
    seconds: float | None
    memory: float
    device: str
    weights: int | None = None
    chosen: str | None = None
    fastest: float | None = None
    otherwise: tuple[str, ...] = ()

    @property
    def augmented(self) -> bool:
        """Whether the images were augmented."""
        return "augmentation" in self.added

    @property
    def ablation(self) -> bool:
        """Whether the row is a variant that is not in ``SHOWN``."""
        return bool(self.variant) and self.variant not in SHOWN

    @property
    def changes(self) -> tuple[str, ...]:
        """What of the variant is said nowhere else: ``("epochs=30",)``."""
        said, found = {*ADDITIONS, *OTHERWISE.get(self.method, ())}, []
        for part in variant_parts(self.variant):
            key, _, value = part.partition("=")
            if key == "augment" and value.startswith("{"):  # what differs in the transform
                found += [f"{name}={setting}" for name, setting in sorted(ast.literal_eval(value).items())]
            elif key not in said:
                found.append(part)
        return tuple(found)

    @property
    def name(self) -> str:
        """What a reader calls the row: the method, what was added to the paper's, and what else differs.

        ``"DEC + augmentation + spectral start, epochs=30"``. Without a ``+`` nothing was added.
        """
        return ", ".join((self.without_changes, *self.changes))

    @property
    def without_changes(self) -> str:
        """The name without the changes of an ablation: ``"IDEC + augmentation, γ = 1"``."""
        return ", ".join((self.with_additions, *self.otherwise))

    @property
    def with_additions(self) -> str:
        """The method and what was added to the paper's: ``"DEC + augmentation + spectral start"``."""
        name = NAMES.get(self.method, self.method)
        if self.method in ("autoencoder-kmeans", "vae") and any(word.endswith(" start") for word in self.added):
            name = name.partition(" + ")[0]  # clustered otherwise
        return " + ".join((name, *self.added))


def variant_parts(variant: str) -> list[str]:
    """Return the parts of a variant, ``["epochs=30", "thresholds=[0.9, 0.9]"]``; the comma of a list parts nothing."""
    return re.split(r",(?=\w+=)", variant) if variant else []


def added(method: str, parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a run's parameters add to the paper's method, e.g. ``("augmentation", "spectral start")``."""
    own = METHODS[method]().get_params(deep=False) if method in METHODS else {}
    own = {key: value for key, value in own.items() if key not in ALWAYS_ADDED}
    own |= {"augment": parameters.get("augment")} if method in METHODS and METHODS[method].viewed else {}
    keys = (key for key in ADDITIONS if key in parameters and parameters[key] != own.get(key, UNSET))
    return tuple(filter(None, (ADDITIONS[key](parameters[key], parameters) for key in keys)))


def otherwise(method: str, parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which settings of a run the method's paper has otherwise, e.g. ``("γ = 1",)`` for IDEC's weight."""
    special = OTHERWISE.get(method, {})
    return tuple(filter(None, (say(parameters[key]) for key, say in special.items() if key in parameters)))


def found_by_accuracy(method: str, data: str, parameters: Mapping[str, Any]) -> str | None:
    """Return which of a row's settings were found by accuracy, and on what; ``None`` if labels had no part in them."""
    how = [
        words
        for methods, settings, prefix, words in FOUND_BY_ACCURACY
        if method in methods and data.startswith(prefix) and settings.items() <= parameters.items()
    ]
    return "; ".join(how) or None


def run(
    method: str,
    data: str,
    seed: int,
    profile_name: str | None = None,
    *,
    device: str = "auto",
    verbose: int = 0,
    checkpoint: Path | None = None,
    pretrained: Path | None = None,
    curve: bool = False,
    **parameters: Any,
) -> dict[str, Any]:
    """Train one method on one data set with one seed and return the record.

    Labels are read after training, to score the final state. Nothing is chosen by them.

    Parameters
    ----------
    method
        A name in ``dclib.baselines.BASELINES`` or a key of :data:`dclib.methods.METHODS`.
    data
        A name that :func:`dclib.data.load` knows.
    seed
        ``random_state`` of the run.
    profile_name
        ``"quick"``, ``"book"``, ``"full"`` or ``"paper"``; by default ``DCLIB_PROFILE`` decides.
    device, verbose, checkpoint, pretrained
        Passed to the method. With a checkpoint, a run that was killed goes on where it was; with a folder for
        ``pretrained`` networks, methods that share the first phase train it once.
    curve
        Whether the record holds a :class:`~dclib.curves.Curve` too. Then labels are read after each epoch, and still
        nothing is chosen by them. A baseline has none.
    **parameters
        Parameters that differ from the profile's; they are kept in the record.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    points = load(data)
    how = {"device": device, "verbose": verbose, "checkpoint": checkpoint, "pretrained": pretrained}
    model = make(method, points, seed, profile_name, **how, **parameters)
    samples, watch = in_its_shape(model, points), None
    if curve and method not in BASELINES:
        model.callback = watch = Curve(samples, points.y)
    provenance.reset_peak_memory()
    start = time.perf_counter()
    model.fit(samples)
    seconds = getattr(model, "seconds_", time.perf_counter() - start) - (watch.spent if watch else 0)
    return {
        **identity(method, data, seed, profile_name, **parameters),
        "n": len(points.x),
        **evaluate(points.y, model.labels_),
        **({"purity_of_groups": purity(points.y, model.groups_)} if hasattr(model, "groups_") else {}),
        "cluster_sizes": cluster_sizes(model.labels_).tolist(),
        "loss": final_loss(model),
        "seconds": round(seconds, 2),
        "busy": provenance.busy(parallel.n_launched()),
        "peak_memory_mib": round(provenance.peak_memory(), 1),
        "processes": parallel.n_launched(),
        "weights": n_weights(model),
        "parameters": _plain(model.get_params(deep=False), without=("checkpoint", "pretrained", "memory")),
        **provenance.surroundings(pick_device(device)),
        **({"curve": watch.found} if watch else {}),
    }


def random_states(seed: int, restarts: int) -> list[int]:
    """Return the ``random_state`` of each of a seed's runs; the first is the seed."""
    return [seed + NEXT_STATE * i for i in range(restarts)]


def of_least_loss(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one record of several runs of a seed: the run whose final loss is least, with the time of all.

    The choice reads no label. The record says in ``losses`` and ``accuracies`` what all of them ended at, and in
    ``kept`` which run it is, by its ``random_state``.

    Raises
    ------
    ValueError
        If a run has no loss, as a baseline's has none.
    """
    first, losses = runs[0], [record["loss"] for record in runs]
    if None in losses:
        raise ValueError(f"'{first['method']}' has no loss to choose a run by.")
    best = runs[int(np.argmin(losses))]
    parts = [*variant_parts(first["variant"]), f"restarts={len(runs)}"]
    whole = {"restarts": len(runs), "random_state": first["parameters"]["random_state"]}
    return best | {
        "variant": ",".join(sorted(parts)),
        "seed": first["seed"],
        "kept": best["seed"],
        "losses": losses,
        "accuracies": [record["acc"] for record in runs],
        "seconds": round(sum(record["seconds"] for record in runs), 2),
        "busy": any(record["busy"] for record in runs),
        "peak_memory_mib": max(record["peak_memory_mib"] for record in runs),
        "parameters": best["parameters"] | whole,
    }


def in_its_shape(model: ClusterMixin, points: Dataset) -> NDArray:
    """Return points as a method reads them: rows (n, D), or in their own shape if they are sequences to it.

    Sequences of unequal length are stretched to the longest, by linear interpolation, for a method that needs one
    length.
    """
    reads = getattr(model, "_reads_ends", getattr(model, "ragged", False))
    samples = points.samples
    if points.sequence and not reads and np.isnan(points.x[:, -1]).any():
        samples = resampled(samples, points.shape[0])
    own = getattr(model, "keeps_shape", False) or getattr(model, "network", None) is not None
    return samples if own else np.ascontiguousarray(samples.reshape(len(points), -1))


def final_loss(model: ClusterMixin) -> float | None:
    """Return the loss of the last epoch, by which runs can be told apart without labels; ``None`` for a baseline."""
    history = getattr(model, "history_", ())
    return float(f"{history[-1]['loss']:.6g}") if history else None


def n_weights(model: ClusterMixin) -> int:
    """Return how many numbers the network of a fitted method learned or was given; 0 for k-means."""
    network = getattr(model, "network_", None)
    own = getattr(model, "weights_", 0)  # of a network that lent its features
    return sum(value.numel() for value in network.parameters()) if network is not None else own


def make(method: str, points: Dataset, seed: int, profile_name: str | None = None, **parameters: Any) -> ClusterMixin:
    """Return the estimator of a run, not yet fitted: a method of the book, or a baseline on the points as they are.

    Raises
    ------
    ValueError
        If the method is unknown.
    """
    if one_of(method, (*BASELINES, *METHODS), "method") in BASELINES:
        own = {name: value for name, value in parameters.items() if name not in INCIDENTAL}
        if method in ON_FEATURES:
            kept = parameters.get("pretrained")
            own |= {"shape": points.shape, "memory": kept and str(kept)}
        return BASELINES[method](len(points.classes), **{"random_state": seed} | own)
    return METHODS[method].for_data(points, profile_name, random_state=seed, **parameters)


def changes(record: dict[str, Any], **parameters: Any) -> dict[str, tuple[Any, Any]]:
    """Return how a run would differ from its record if it were made now.

    Parameters
    ----------
    record
        What :func:`run` returned, once; it says which method, data set, profile and seed.
    **parameters
        As in :func:`run`.

    Returns
    -------
    dict
        For ``"dclib"``, the version, and for each parameter that differs: then and now, ``"unset"`` where there is no
        such parameter. Empty if nothing does. Device, checkpoint, callback and progress bar do not count.
    """
    model = make(record["method"], load(record["data"]), record["seed"], record["profile"], **parameters)
    now = json.loads(json.dumps(_plain(model.get_params(deep=False)))) | {"dclib": provenance.own_version()}
    then = _plain(type(model)().get_params(deep=False))  # what a record lacks was made later, and is as by default
    then |= {key: _whole(value) for key, value in record["parameters"].items() if key != "restarts"}
    then |= {"dclib": record["dclib"]}
    sides = {
        name: (then.get(name, UNSET), now.get(name, UNSET)) for name in ["dclib", *sorted({*now, *then} - {"dclib"})]
    }
    return {name: (old, new) for name, (old, new) in sides.items() if old != new and name not in INCIDENTAL}


def row(found: list[dict[str, Any]]) -> dict[str, str]:
    """Return what one row's records have beside the paper's method, their scores and cost, mean ± sd over seeds."""
    if not found:
        return dict.fromkeys(("added", "ACC", "NMI", "ARI", "seeds", "s a run", "MiB"), "–")
    summary = _summary(found)
    beside = "; ".join((", ".join(summary.added) or "nothing", *summary.otherwise))
    return {"added": beside, **scores_and_cost(summary)}


def in_pairs(found: Mapping[str, list[dict[str, Any]]], metric: str = "acc") -> dict[str, dict[str, Any]]:
    """Return a table of rows and their differences from the first, run by run of one seed.

    Parameters
    ----------
    found
        Records of each row, by its title; the first is what the others are held against.
    metric
        Which score.

    Returns
    -------
    dict
        By title: the score, what :func:`paired` says, and ``"effective clusters"``, exp of the entropy of their sizes,
        on average over runs.
    """
    rows, first = {}, next(iter(found.values()))
    for title, runs in found.items():
        even = [effective_number(run["cluster_sizes"]) for run in runs]
        rows[title] = {metric.upper(): row(runs)[metric.upper()], **paired(first, runs, metric)}
        rows[title]["effective clusters"] = float(np.mean(even)) if even else np.nan
    return rows


def paired(first: list[dict[str, Any]], second: list[dict[str, Any]], metric: str = "acc") -> dict[str, Any]:
    """Return what a row's records show against another's of the same seeds: the difference, how often up, and p.

    Parameters
    ----------
    first, second
        Records of two rows on one data set; the difference is ``second`` minus ``first``.
    metric
        Which score.

    Returns
    -------
    dict
        ``"difference"``, its mean ± sd over the pairs; ``"higher on"``, of how many seeds; ``"p"``, two-sided, by all
        signs. Dashes if there are no records, if the seeds are not the same, or if both are one row.
    """
    seeds = [[run["seed"] for run in runs] for runs in (first, second)]
    if first is second or not seeds[0] or seeds[0] != seeds[1]:
        return dict.fromkeys(("difference", "higher on", "p"), "–")
    d = paired_differences(first, second, metric)
    spread = f" ± {d.std(ddof=1):.3f}" if len(d) > 1 else ""
    higher = f"{(d > 0).sum()} of {len(d)} seeds"
    return {"difference": f"{d.mean():+.3f}{spread}", "higher on": higher, "p": sign_flip_test(d)}


def identity(method: str, data: str, seed: int, profile_name: str | None = None, **parameters: Any) -> dict[str, Any]:
    """Return the fields that tell one run from another: method, data, profile, variant and seed."""
    told = {key: dict(sorted(value.items())) if isinstance(value, dict) else value for key, value in parameters.items()}
    variant = ",".join(f"{key}={value}" for key, value in sorted(told.items()))
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
    paths = {path.relative_to(place): path for place in _places(folder) for path in place.glob("*/*/*.json")}
    found = [json.loads(path.read_text(encoding="utf-8")) for _, path in sorted(paths.items())]
    kept = [record for record in found if all(record.get(key) == value for key, value in wanted.items())]
    return sorted(kept, key=lambda record: record["seed"])


def compared(
    methods: Mapping[str, str | tuple[str, str]], sets: Mapping[str, str], folder: Path = RESULTS
) -> dict[str, list[dict[str, Any]]]:
    """Return the records of several methods on several data sets, by title: what a chapter's table compares.

    Parameters
    ----------
    methods
        What a row is called, and its method, or method and variant: ``{"DEC": "dec", "DEC, whole": ("dec", "...")}``.
    sets
        Data sets, and the profile of each: ``{"mnist-10k": "book", "mnist": "full"}``. With more than one, a title
        begins with the set: ``"mnist: DEC"``.
    folder
        Where the records lie.

    Notes
    -----
    A row without a record has an empty list; :func:`row` writes dashes for it. A baseline has no profile: its records
    are found whatever they say.
    """
    kept: dict[tuple, list[dict[str, Any]]] = {}
    for record in records(folder):
        keys = {tuple(record[key] for key in RUN)}
        if record["method"] in BASELINES:
            keys = {(record["data"], record["method"], size, record["variant"]) for size in PROFILES}
        for key in keys:
            kept.setdefault(key, []).append(record)
    found = {}
    for (data, size), (title, which) in product(sets.items(), methods.items()):
        method, variant = (which, "") if isinstance(which, str) else which
        found[f"{data}: {title}" if len(sets) > 1 else title] = kept.get((data, method, size, variant), [])
    return found


def accuracies(found: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[float]]:
    """Return the ACC of each run of :func:`compared`, by title, for the rows that have one."""
    return {title: [run["acc"] for run in runs] for title, runs in found.items() if runs}


def _places(folder: Path) -> list[Path]:
    """Return where records of ``folder`` may lie: outside a checkout the book's own, then the reader's, which win."""
    return [SHIPPED, folder] if folder == RESULTS != CHECKOUT else [folder]


def summarise(found: Iterable[dict[str, Any]]) -> list[Summary]:
    """Return one row for each (data set, method, profile, variant): by data set, k-means first, then the best ACC."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for record in found:
        groups.setdefault(tuple(record[key] for key in RUN), []).append(record)
    rows = [_summary(group) for group in groups.values()]
    return sorted(rows, key=lambda row: (row.data, row.method != KMEANS, -row.acc[0]))


def shipped(name: str, folder: Path = RESULTS) -> Any:
    """Return what a JSON file beside the records holds, the reader's own before the book's; ``None`` without one."""
    paths = [place / name for place in _places(folder) if (place / name).exists()]
    return json.loads(paths[-1].read_text(encoding="utf-8")) if paths else None


def published(
    data: str | None = None,
    method: str | None = None,
    folder: Path = RESULTS,
    augmented: bool | None = None,
    key: str | None = None,
) -> list[dict[str, Any]]:
    """Return the published figures for a data set, a method, with or without augmentation, from one paper (``key``).

    Each has ``source`` and ``key`` (in the bibliography); ``chosen`` says how labels had a say in it, ``rerun`` who
    measured it if not the method's authors, and ``runs`` lists the ACC of single trials where they are known.
    """
    rows = shipped("published.json", folder) or []
    wanted = {"data": data, "method": method, "augmented": augmented, "key": key}
    return [r for r in rows if all(want in (None, r.get(key, False)) for key, want in wanted.items())]


def spread(mean_and_sd: tuple[float, float]) -> str:
    """Return ``(0.8431, 0.0312)`` as ``"0.843 ± 0.031"``."""
    mean, sd = mean_and_sd
    return f"{mean:.3f} ± {sd:.3f}" if np.isfinite(sd) else f"{mean:.3f}"


def scores_and_cost(row: Summary) -> dict[str, str]:
    """Return the scores and the cost of a row as text, by the heading of their column.

    Seconds are the mean of the runs, or ``"≤"`` and those of the fastest, where other work had the machine.
    """
    scores = {key.upper(): spread(getattr(row, key)) for key in ("acc", "nmi", "ari")}
    seconds = f"≤ {row.fastest:.0f}" if row.seconds is None else f"{row.seconds:.0f}"
    return {**scores, "seeds": str(row.seeds), "s a run": seconds, "MiB": f"{row.memory:.0f}"}


def _summary(group: list[dict[str, Any]]) -> Summary:
    first = group[0]
    return Summary(
        **{key: first[key] for key in (*RUN, "n", "device")},
        added=added(first["method"], first.get("parameters", {})),
        seeds=len(group),
        **{key: _mean_and_sd(group, key) for key in ("acc", "nmi", "ari")},
        seconds=None if any(record.get("busy", True) for record in group) else _mean_and_sd(group, "seconds")[0],
        memory=max(record["peak_memory_mib"] for record in group),
        weights=first.get("weights"),
        chosen=found_by_accuracy(first["method"], first["data"], first.get("parameters", {})),
        fastest=min(record["seconds"] for record in group),
        otherwise=otherwise(first["method"], first.get("parameters", {})),
    )


def _mean_and_sd(group: list[dict[str, Any]], key: str) -> tuple[float, float]:
    values = [record[key] for record in group]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _whole(value: Any) -> Any:
    """Return a recorded parameter; if it is a transform, with the settings that it lacks as they are by default."""
    if not isinstance(value, str) or not value.startswith("RandomAffine("):
        return value
    given = {word.arg: ast.literal_eval(word.value) for word in ast.parse(value, mode="eval").body.keywords}
    return repr(RandomAffine(**given))


def _plain(parameters: dict[str, Any], without: Iterable[str] = ()) -> dict[str, Any]:
    """Turn parameters into what JSON can hold: a data class as its call, anything else unknown as its class."""

    def plain(value: Any) -> Any:
        if isinstance(value, bool | int | float | str | None):
            return value
        if isinstance(value, list | tuple):
            return list(value)
        return repr(value) if is_dataclass(value) else type(value).__name__

    return {name: plain(value) for name, value in parameters.items() if name not in without}

"""Every row of the book's tables: one command that trains what has no record yet, sharing first phases.

Rows come in the order in which they are missed most. A run that was killed goes on where it was.
"""

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.common import seeds_of
from dclib import cli
from dclib.baselines import BASELINES, ON_FEATURES
from dclib.methods import METHODS

PLAIN = {"augment": None}
SPECTRAL = {"start": "spectral"}
IMAGES = ("usps", "mnist-test", "mnist-10k", "mnist", "fashion-mnist")
LARGE = ("mnist", "fashion-mnist")  # 70,000 images
ROWS = ("pendigits", "20newsgroups")  # no images: nothing to augment
ONE_CODE = ("autoencoder-kmeans", "dec", "idec", "dcn")  # they share their first phase
CONVOLUTIONAL = ("dbc", "depict")
GENERATIVE = (
    *(("vae", how) for how in ({}, {"start": "kmeans"}, {"likelihood": "gaussian"})),
    *(("vade", how) for how in ({}, SPECTRAL)),
    *((method, {}) for method in ("gan-features", "infogan", "clustergan")),
)
ARCHIVE = ("basicmotions", "italypowerdemand", "gunpoint", "japanesevowels", "arrowhead", "pickupgesture", "osuleaf")
SERIES = ("pendigits", *ARCHIVE)
SHAPES = ("k-shape", "dtw-kmeans")
SEQUENTIAL = ("recurrent-autoencoder", "dtc")
GRU = {"network": "gru", "hidden": [64]}
LONGER = {"pretrain_epochs": 375, "epochs": 250}
# Why a row is where it is: settings of one data set.
CAUSES = {
    "pendigits": (("autoencoder-kmeans", GRU), ("dec", GRU)),
    "japanesevowels": (("dtc", {"latent_dim": 4}),),
    "arrowhead": (("dtc", LONGER), ("dtc", LONGER | {"start": "kmeans"})),
}
DIRECT = ("jule", "dac", "imsat", "iic", "deepcluster")
# One idea at a time, as the paper has it and otherwise: what it is worth. Without augmentation, from k-means.
IDEAS = {
    "idec": ({"weight": 0.0}, {"weight": 0.1}, {"weight": 10.0}),
    "dcn": ({"weight": 0.0}, {"weight": 0.1}, {"start_count": 1_000_000}),
    "dbc": ({"power": 3.0}, {"power": 4.0}, {"power": 2.0, "balance": False}),
    "depict": ({"target": "balanced"}, {"target": "plain"}, {"noise": 0.0}),
    "den": ({"locality": 0.0}, {"sparsity": 0.0}, {"units": "white"}),
    "vae": ({"beta": 0.1}, {"beta": 4.0}),
    "vade": ({"mixture_lr": 1e-30}, {"start": "kmeans"}),
    "gan-features": ({"critic_norm": False},),
    "infogan": ({"weight": 0.0}, {"critic_norm": False}),
    "clustergan": ({"weight_c": 0.0}, {"weight_n": 0.0}, {"spread": 0.75}),
    "jule": ({"n_near": 1}, {"unroll_rate": 0.5}, {"count_small": False}),
    "dac": (
        {"thresholds": [0.3, 0.3], "last_thresholds": [0.3, 0.3]},
        {"thresholds": [0.95, 0.95], "last_thresholds": [0.95, 0.95]},
        {"thresholds": [0.9, 0.9], "loss": "squared_error"},
    ),
    "imsat": ({"perturb": "random"}, {"perturb": "none"}, {"balance": 1.0}),
    "iic": ({"overclusters": 0}, {"n_heads": 1}),
    "deepcluster": (
        *({name: False} for name in ("whiten", "unit", "new_head", "reseed")),
        {"sampler": "points"},
        {"n_groups": 10},
        {"merge": "ward"},
    ),
}


def full(data: str) -> Iterator[tuple[str, dict]]:
    """Return the methods and settings measured on a data set in the profile ``full``."""
    views = ({}, PLAIN) if data in IMAGES else ({},)
    for view in views:
        for method, start in itertools.product(ONE_CODE, ({}, SPECTRAL)):
            yield method, view | start
        yield "autoencoder-kmeans", view | {"start": "mixture"}
        yield "autoencoder-spectral", view


def rest(data: str) -> Iterator[tuple[str, dict]]:
    """Return what takes longer: networks of convolutions, and DEN."""
    views = ({}, PLAIN) if data in IMAGES else ({},)
    methods = (*CONVOLUTIONAL, "den") if data in IMAGES else ("den",)
    yield from itertools.product(methods, views)


def direct(data: str) -> Iterator[tuple[str, dict]]:
    """Return the methods without a reconstruction; what lives by its views is not measured without any."""
    for method in DIRECT:
        yield method, {}
        if data in IMAGES and not METHODS[method].viewed:
            yield method, PLAIN
    if data in IMAGES:
        yield "jule", {"count_small": False}


def two_phases(data: str) -> Iterator[tuple[str, dict]]:
    """Return JULE with the information of two views; of large sets a draw is merged."""
    how = {"count_small": False, "information_epochs": 15 if data in LARGE else 40}
    yield "jule", how | ({"n_merged": 10_000} if data in LARGE else {})


def ideas(data: str, methods: tuple[str, ...]) -> Iterator[tuple[str, dict]]:
    """Return the variants that isolate an idea."""
    for method in methods:
        view = PLAIN if data in IMAGES and METHODS[method].augmented else {}
        for idea in IDEAS[method]:
            yield method, view | idea


def paper(data: str) -> Iterator[tuple[str, dict]]:
    """Return what is measured as the authors did, as far as it is known."""
    for method in ONE_CODE:
        yield method, {}


def parts_of(data: str) -> dict[str, tuple[str, Iterable[tuple[str, dict]]]]:
    """Return the profile and the rows of each part of what is measured on a data set."""
    unfit = {*SHAPES} if data in IMAGES else {*SHAPES, *ON_FEATURES}
    baselines = [method for method in BASELINES if method not in unfit]
    return {
        "baselines": ("book" if data == "mnist-10k" else "full", ((method, {}) for method in baselines)),
        "book": ("book", full(data)),
        "full": ("full", full(data)),
        "ideas": ("full", ideas(data, ("idec", "dcn"))),
        "paper": ("paper", paper(data)),
        "rest": ("full", rest(data)),
        "sequences": ("book", ((method, {}) for method in (*SHAPES, *SEQUENTIAL) if data in SERIES)),
        "causes": ("book", CAUSES.get(data, ())),
        "generative": ("full", GENERATIVE),
        "book generative": ("book", GENERATIVE),
        "direct": ("full", direct(data)),
        "two phases": ("full", two_phases(data) if data in IMAGES else ()),
        "book direct": ("book", direct(data)),
        "ideas of the direct": ("book", ideas(data, DIRECT)),
        "ideas of the generative": ("full", ideas(data, ("vae", "vade", "gan-features", "infogan", "clustergan"))),
        "book rest": ("book", rest(data)),
        "book ideas": ("book", ideas(data, ("dbc", "depict", "den"))),
        "ideas of the rest": ("full", ideas(data, ("dbc", "depict", "den"))),
    }


def plan(data: str, parts: Iterable[str]) -> Iterator[tuple[str, str, dict]]:
    """Return profile, method and settings of every row of a data set."""
    known = parts_of(data)
    for part in parts:
        profile, rows = known[part]
        for method, how in rows:
            yield profile, method, how


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 1 if a row failed, after all the others have run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=__doc__)
    parser.add_argument("--data", type=lambda text: text.split(","), default=["usps", "mnist-test"])
    parser.add_argument("--parts", type=lambda text: text.split(","), default=["baselines", "full", "ideas", "paper"])
    parser.add_argument("--seeds", type=seeds_of, default=[0, 1, 2, 3, 4], help="0-2 or 0,3")
    parser.add_argument("--pretrained", type=Path, help="where first phases are kept (default: nowhere for long)")
    parser.add_argument("--out", type=Path, help="folder of the records (default: the book's)")
    args = parser.parse_args(argv)
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        kept, out = args.pretrained or Path(scratch), ["--out", str(args.out)] if args.out else []
        for seed, data in itertools.product(args.seeds, args.data):
            for profile, method, how in plan(data, args.parts):
                settings = [word for name, value in how.items() for word in ("--set", f"{name}={json.dumps(value)}")]
                words = ["run", method, "--data", data, "--profile", profile, "--seeds", str(seed), "--quiet"]
                print(row := f"{data} {profile} {method} {how} seed {seed}", flush=True)
                if cli.main([*words, *settings, "--pretrained", str(kept), *out]):
                    failed.append(row)
    print(*(f"failed: {row}" for row in failed), sep="\n", end="\n" * bool(failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

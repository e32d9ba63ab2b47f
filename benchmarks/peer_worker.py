"""One run of one library in a process of its own; a child of peers.py that imports that library alone."""

import importlib
import platform
import sys
import time
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.common import answer, forget_peak, memory

# ClustPy's documentation asks for min-max scaling, then one mean and one deviation a channel (the note on
# preprocessing in clustpy.deep.get_default_augmented_dataloaders). VaDE's default loss, the binary
# cross-entropy, refuses what lies outside [0, 1], so VaDE gets the first step alone.
UNIT_RANGE = ("VaDE",)
# N2D's default, t-SNE in n_clusters dimensions, is refused by scikit-learn beyond three: two, as in t-SNE's paper.
NEEDED = {"N2D": {"manifold_params": {"n_components": 2}}}


def clustpy_input(x: np.ndarray, name: str) -> np.ndarray:
    """Return points (n, D) as float32 in the scaling that ClustPy's documentation uses for the class ``name``."""
    x = (x - x.min()) / (x.max() - x.min())
    return x if name in UNIT_RANGE else (x - x.mean()) / x.std()


def clustpy_model(job: dict[str, Any], n_features: int) -> Any:
    """Return the ClustPy estimator of a job: its defaults, but for ``job["parameters"]``."""
    declare_operators()
    cls = getattr(importlib.import_module("clustpy.deep"), job["class"])
    parameters = {**NEEDED.get(job["class"], {}), **job["parameters"]}
    if widths := parameters.pop("widths", None):
        parameters["neural_network"] = network((n_features, *widths), job["seed"])
    return cls(job["n_clusters"], random_state=job["seed"], device="cpu", **parameters)


def network(layers: tuple[int, ...], seed: int) -> tuple[type, dict[str, Any]]:
    """Return ClustPy's own autoencoder with other widths, in the form its estimators take."""
    networks = importlib.import_module("clustpy.deep.neural_networks")
    return networks.FeedforwardAutoencoder, {"layers": list(layers), "random_state": seed}


def declare_operators() -> None:
    """Let torchvision be imported where its compiled operators do not fit PyTorch; ClustPy calls none of them."""
    import torch

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        declare_operators.library = library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def load_compiler() -> None:
    """Make an optimiser: a process's first one loads PyTorch's compiler, seconds that no library answers for."""
    import torch

    torch.optim.Adam([torch.zeros(1, requires_grad=True)]).zero_grad()


def dclib_model(job: dict[str, Any], x: np.ndarray) -> Any:
    """Return the dclib estimator of a job, set up for the data set as a user would."""
    from dclib.data import Dataset
    from dclib.methods import METHODS

    classes = tuple(map(str, range(job["n_clusters"])))
    data = Dataset(x, None, job["data"], tuple(job["shape"]), classes)
    options = {"random_state": job["seed"], "device": "cpu", **job["parameters"]}
    return METHODS[job["method"]].for_data(data, job["profile"], **options)


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Fit once; return seconds, memory before and at its peak, and the labels.

    The time is that of ``fit`` alone; the base is what is resident before it, with all imported and the data loaded.
    """
    x, versions = np.load(job["x"]), ["torch", "numpy", "scikit-learn"]
    if job["library"] == "dclib":
        model = dclib_model(job, x)
    else:
        model, versions = clustpy_model(job, x.shape[1]), [*versions, "clustpy"]
        x = clustpy_input(x, job["class"])
    load_compiler()
    forget_peak()
    base, start = memory("VmRSS"), time.perf_counter()
    model.fit(x)
    seconds = time.perf_counter() - start
    peak = memory("VmHWM")
    np.save(job["labels"], np.asarray(model.labels_, np.int64))
    return {
        "seconds": round(seconds, 3),
        "peak_mib": round(peak, 1),
        "base_mib": round(base, 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in versions}},
    }


if __name__ == "__main__":
    answer(measure)

"""Texts: k-means, IDEC, IMSAT and linear RIM, each on tf-idf, on LSA and on frozen sentence embeddings.

Settings were looked at on docstrings, seeds 100 and 101. 20 Newsgroups, the second set, was run as they stood.
"""

import hashlib
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import HDBSCAN, KMeans, MiniBatchKMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

from benchmarks.applications import main
from dclib import IDEC, IMSAT
from dclib.baselines import LinearRIM
from dclib.catalogue import tfidf
from dclib.metrics import evaluate
from dclib.text import SentenceEmbeddings, docstrings, newsgroups

KEPT = Path(tempfile.gettempdir()) / "dclib-text"  # embeddings, which are the same in every run
N_TEXTS = 1_500  # of each set, drawn once
N_STEPS = 200  # of IMSAT and of IDEC's autoencoder; half of it for IDEC's second phase
DEEP = {"hidden": (128,), "device": "cpu"}  # the paper's networks took ten times as long
INPUTS = ("tf-idf", "LSA", "embeddings")

Texts = tuple[list[str], NDArray[np.int64], tuple[str, ...]]
SETS: dict[str, Callable[[], Texts]] = {
    "docstrings": lambda: drawn(docstrings()),
    "docstrings, names left in": lambda: drawn(docstrings(strip=False)),
    "20newsgroups": lambda: drawn(newsgroups()),
    "20newsgroups, whole posts": lambda: drawn(newsgroups(strip=False)),
}
LEAKY = ("docstrings, names left in", "20newsgroups, whole posts")


def drawn(found: Texts) -> Texts:
    """Return a random ``N_TEXTS`` of the texts, always the same."""
    texts, y, classes = found
    rows = np.sort(np.random.default_rng(0).permutation(len(texts))[:N_TEXTS])
    return [texts[i] for i in rows], y[rows], classes


@cache
def texts_of(data: str) -> Texts:
    """Return a set's texts, read once."""
    return SETS[data]()


@cache
def points(data: str, kind: str) -> NDArray[np.float32]:
    """Return what a set's texts are as points: one of ``INPUTS``."""
    texts = texts_of(data)[0]
    if kind == "embeddings":
        return embedded(texts)
    x = tfidf(texts)
    if kind == "tf-idf":
        return x
    return normalize(TruncatedSVD(min(100, x.shape[1] - 1), random_state=0).fit_transform(x)).astype(np.float32)


def embedded(texts: list[str]) -> NDArray[np.float32]:
    """Return embeddings of texts, kept for the next run."""
    path = KEPT / f"{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        KEPT.mkdir(exist_ok=True)
        np.save(path, SentenceEmbeddings().fit(texts).transform(texts))
    return np.load(path)


def bertopic(z: NDArray, k: int, seed: int) -> NDArray[np.int64]:
    """Return clusters by UMAP and HDBSCAN with BERTopic's defaults; noise goes to the nearest point that is none."""
    from umap import UMAP

    how = {"n_neighbors": 15, "n_components": 5, "min_dist": 0.0, "metric": "cosine", "random_state": seed}
    low = UMAP(**how, n_jobs=1).fit_transform(z).astype(np.float64)
    labels = HDBSCAN(min_cluster_size=10, copy=True).fit_predict(low)
    known = labels >= 0
    if known.any() and not known.all():
        labels[~known] = KNeighborsClassifier(1).fit(low[known], labels[known]).predict(low[~known])
    return labels - labels.min()


def epochs(n: int, n_steps: int, batch: int) -> int:
    """Return the passes over ``n`` texts that make ``n_steps`` mini-batches, at least one."""
    return max(1, round(n_steps / -(-n // batch)))


def imsat(z: NDArray, k: int, seed: int) -> NDArray[np.int64]:
    """Return IMSAT's clusters."""
    how = {"pretrain_epochs": epochs(len(z), N_STEPS, 250), "random_state": seed}
    return IMSAT(k, **DEEP, latent_dim=128, **how).fit(z).labels_


def idec(z: NDArray, k: int, seed: int) -> NDArray[np.int64]:
    """Return IDEC's clusters."""
    first, second = epochs(len(z), N_STEPS, 256), epochs(len(z), N_STEPS // 2, 256)
    how = {"pretrain_epochs": first, "epochs": second, "batch_size": 256, "random_state": seed}
    return IDEC(k, **DEEP, **how).fit(z).labels_


WAYS: dict[str, Callable[[NDArray, int, int], NDArray]] = {
    "k-means": lambda z, k, seed: KMeans(k, n_init=10, random_state=seed).fit_predict(z),
    "mini-batch k-means": lambda z, k, seed: MiniBatchKMeans(k, n_init=10, random_state=seed).fit_predict(z),
    "linear RIM": lambda z, k, seed: LinearRIM(k, random_state=seed).fit(z).labels_,
    "IMSAT": imsat,
    "IDEC": idec,
    "UMAP + HDBSCAN": bertopic,
}
RUNS = [
    *((f"{way} on {kind}", data) for way in ("k-means", "linear RIM") for kind in INPUTS for data in SETS),
    *(("mini-batch k-means on tf-idf", data) for data in SETS if data not in LEAKY),
    *((f"{way} on {kind}", data) for way in ("IDEC", "IMSAT") for kind in INPUTS for data in SETS if data not in LEAKY),
    *(("UMAP + HDBSCAN on embeddings", data) for data in SETS if data not in LEAKY),
]
RUNS = [(row, data) for row, data in RUNS if "embeddings" not in row or data not in LEAKY]


def measure(row: str, data: str, seed: int) -> dict[str, float]:
    """Return ACC, NMI and ARI of a row's clusters, and how many there are."""
    way, _, kind = row.partition(" on ")
    _, y, classes = texts_of(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # UMAP: a seed and one job
        labels = WAYS[way](points(data, kind), len(classes), seed)
    return {**evaluate(y, labels), "clusters": len(np.unique(labels))}


if __name__ == "__main__":
    main("text", RUNS, measure)

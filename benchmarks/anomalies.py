"""Anomaly detection: one class against the rest, one rare class among nine, a table, and training sets that are dirty.

``python -m benchmarks.anomalies`` measures what is not yet in book/results/applications/anomalies.json.
"""

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from benchmarks import applications
from dclib import DEC, VAE, AutoencoderKMeans, load
from dclib.anomaly import average_precision_at, fit_dagmm, fit_svdd, reconstruction_error, squared_distance
from dclib.base import DeepClusterer
from dclib.training import seeded

Score = Callable[[NDArray], NDArray]
STEPS = 300  # mini-batches of each network, and half as many more for DEC
HIDDEN = (128, 64)
RATE = 0.05  # of anomalies, for average precision


def code_width(x: NDArray) -> int:
    """Return d: half as wide as the points, and at most 32."""
    return min(32, x.shape[1] // 2)


def deep(kind: type[DeepClusterer], x: NDArray, seed: int, **how: object) -> DeepClusterer:
    """Return a method of the book, trained in ``STEPS`` mini-batches; eight clusters, as many as KMeans's default."""
    epochs = max(1, round(STEPS * 128 / len(x)))
    shared = {"hidden": HIDDEN, "latent_dim": code_width(x), "pretrain_epochs": epochs, "random_state": seed}
    return kind(8, device="cpu", precision="float32", n_init=1, **shared | how).fit(x)


def tensor(x: NDArray) -> torch.Tensor:
    """Return points as a tensor of float32."""
    return torch.as_tensor(x, dtype=torch.float32)


def isolation_forest(x: NDArray, seed: int) -> Score:
    """Fit scikit-learn's isolation forest."""
    model = IsolationForest(random_state=seed).fit(x)
    return lambda points: -model.score_samples(points)


def lof(x: NDArray, seed: int) -> Score:
    """Fit the local outlier factor."""
    model = LocalOutlierFactor(novelty=True).fit(x)
    return lambda points: -model.score_samples(points)


def svm(x: NDArray, seed: int) -> Score:
    """Fit the one-class SVM."""
    model = OneClassSVM().fit(x)
    return lambda points: -model.score_samples(points)


def kmeans(x: NDArray, seed: int) -> Score:
    """Fit k-means; the score is the distance to the nearest centroid."""
    model = KMeans(random_state=seed).fit(x)
    return lambda points: model.transform(points).min(axis=1)


def neighbours(x: NDArray, seed: int) -> Score:
    """Keep the points; the score is the mean distance to the five nearest."""
    model = NearestNeighbors(n_neighbors=5).fit(x)
    return lambda points: model.kneighbors(points)[0].mean(axis=1)


def mixture(x: NDArray, seed: int) -> Score:
    """Fit a mixture of eight Gaussians on principal components; the score is minus its log-likelihood."""
    model = make_pipeline(PCA(code_width(x), random_state=seed), GaussianMixture(8, random_state=seed, reg_covar=1e-3))
    model.fit(x)
    return lambda points: -model.score_samples(points)


def pca(x: NDArray, seed: int) -> Score:
    """Fit a linear autoencoder; the score is its error."""
    model = PCA(code_width(x), random_state=seed).fit(x)
    return lambda points: np.square(points - model.inverse_transform(model.transform(points))).mean(axis=1)


def autoencoder(x: NDArray, seed: int) -> DeepClusterer:
    """Fit an autoencoder and k-means on its codes."""
    return deep(AutoencoderKMeans, x, seed)


def autoencoder_error(model: DeepClusterer) -> Score:
    """Return the reconstruction error as score."""
    return lambda points: reconstruction_error(model, points)


def to_nearest(model: DeepClusterer) -> Score:
    """Return the distance of a code to the nearest centroid as score."""

    def distance(points: NDArray) -> NDArray:
        return np.linalg.norm(model.transform(points)[:, None] - model.centroids_, axis=2).min(axis=1)

    return distance


def vae(x: NDArray, seed: int) -> Score:
    """Fit a VAE; the score is minus the ELBO."""
    likelihood = "bernoulli" if x.min() >= 0 and x.max() <= 1 else "gaussian"
    model = deep(VAE, x, seed, likelihood=likelihood)
    return lambda points: -model.score_samples(points)


def dec(x: NDArray, seed: int) -> DeepClusterer:
    """Fit DEC."""
    return deep(DEC, x, seed, epochs=max(1, round(STEPS / 2 * 128 / len(x))))


def least_membership(model: DeepClusterer) -> Score:
    """Return what is missing to a certain membership as score."""
    return lambda points: 1 - model.predict_proba(points).max(axis=1)


def scaled(x: NDArray) -> Score:
    """Return the map to deep methods' input: from the median, at unit mean square."""
    offset = np.median(x)
    size = np.sqrt(np.square(x - offset).mean())
    return lambda points: tensor((points - offset) / size)


def svdd(x: NDArray, seed: int, start: float = 0.5) -> Score:
    """Fit Deep SVDD, with this share of the steps for its start."""
    ready, pretrain_steps = scaled(x), round(start * STEPS)
    with seeded(seed):
        network, centre = fit_svdd(
            ready(x), (x.shape[1], *HIDDEN, code_width(x)), pretrain_steps, STEPS - pretrain_steps
        )
    return no_grad(lambda points: squared_distance(network(ready(points)), centre))


def svdd_start(x: NDArray, seed: int) -> Score:
    """Fit the start of Deep SVDD alone, pretraining and centre, in as many steps as the whole has."""
    return svdd(x, seed, start=1)


def dagmm(x: NDArray, seed: int) -> Score:
    """Fit DAGMM."""
    ready = scaled(x)
    with seeded(seed):
        score = fit_dagmm(ready(x), (x.shape[1], *HIDDEN, min(4, x.shape[1] // 2)), STEPS)
    return no_grad(lambda points: score(ready(points)))


def no_grad(score: Callable[[NDArray], torch.Tensor]) -> Score:
    """Return a score of tensors as one of arrays, in parts."""

    def found(points: NDArray) -> NDArray:
        with torch.no_grad():
            return np.concatenate([score(part).double().numpy() for part in np.array_split(points, 10)])

    return found


def itself(score: Score) -> Score:
    """Return the score that a fit is."""
    return score


# The name of a row, what is fitted, and how a score is read off it. Rows that fit the same share one fit.
DETECTORS: dict[str, tuple[Callable[[NDArray, int], object], Callable[..., Score]]] = {
    "Isolation Forest": (isolation_forest, itself),
    "LOF": (lof, itself),
    "one-class SVM": (svm, itself),
    "k-means distance": (kmeans, itself),
    "k-NN distance": (neighbours, itself),
    "PCA + GMM": (mixture, itself),
    "PCA error": (pca, itself),
    "autoencoder error": (autoencoder, autoencoder_error),
    "autoencoder + k-means distance": (autoencoder, to_nearest),
    "VAE, -ELBO": (vae, itself),
    "DAGMM": (dagmm, itself),
    "Deep SVDD": (svdd, itself),
    "Deep SVDD, centre only": (svdd_start, itself),
    "DEC, 1 - max q": (dec, least_membership),
    "DEC, distance": (dec, to_nearest),
}
ONE, RARE, DIRTY = "one normal", "one rare", "dirty"
RATES = (0, 1, 5, 10, 20)  # per cent of the training points that are anomalies
SETS = [f"mnist-10k, {ONE}", "shuttle", f"mnist-10k, {RARE}", *(f"mnist-10k, {rate} % {DIRTY}" for rate in RATES)]
SECOND = f"fashion-mnist, {ONE}"  # looked at once, when all was written
SPARED = ("DEC, 1 - max q", "DEC, distance", "Deep SVDD, centre only", "VAE, -ELBO")  # not on the dirty sets, for time
RUNS = [(row, data) for data in [*SETS, SECOND] for row in DETECTORS if not (DIRTY in data and row in SPARED)]

Split = tuple[NDArray, NDArray, NDArray]  # training points, test points, which of them are anomalies


def measure(row: str, data: str, seed: int) -> dict[str, float]:
    """Return the scores of a detector, as means over the classes that a seed has, and the seconds of a fit."""
    fit, read = DETECTORS[row]
    found = []
    for part, (_, test, y) in enumerate(splits(data, seed)):
        model, seconds = fitted(fit, data, seed, part)
        found.append(judged(read(model)(test), y) | {"fit": seconds})
    return {key: float(np.mean([one[key] for one in found])) for key in found[0]}


@lru_cache(2)
def fitted(fit: Callable[[NDArray, int], object], data: str, seed: int, part: int) -> tuple[object, float]:
    """Return what was fitted to a split's training points, and its seconds; two rows may read one model."""
    began = time.perf_counter()
    return fit(splits(data, seed)[part][0], seed), time.perf_counter() - began


def judged(score: NDArray, y: NDArray) -> dict[str, float]:
    """Return AUROC, average precision at a rate of ``RATE``, and the precision among as many as there are anomalies."""
    if not np.isfinite(score).all():
        raise ValueError("a score is not finite")
    top = np.argsort(-score, kind="stable")[: int(y.sum())]
    return {"auroc": roc_auc_score(y, score), "ap": average_precision_at(RATE, y, score), "hits": y[top].mean()}


def splits(data: str, seed: int) -> list[Split]:
    """Return the splits of a set: a class after the other is the normal or the rare one."""
    if data == "shuttle":
        return [shuttle(seed)]
    name, kind = data.split(", ")
    pair = (2 * seed % 10, (2 * seed + 1) % 10)  # five seeds have each of ten classes once
    if kind == ONE:
        return [one_normal(name, normal, seed) for normal in (pair if name == "mnist-10k" else pair[1:])]
    if kind == RARE:
        return [one_rare(name, pair[1], seed)]
    return [one_normal(name, pair[1], seed, float(kind.split()[0]) / 100)]


@lru_cache(1)
def halves(name: str, seed: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return 5,000 training and 5,000 test points of a set with their classes, drawn anew for each seed."""
    data = load(name)
    order, n = np.random.default_rng(seed).permutation(len(data)), min(5_000, len(data) // 2)
    a, b = order[:n], order[n : 2 * n]
    return data.x[a], data.y[a], data.x[b], data.y[b]


def one_normal(name: str, normal: int, seed: int, dirty: float = 0.0) -> Split:
    """Return a class to train on, with a share of others that nobody removed; all classes to test on."""
    x, y, test, truth = halves(name, seed)
    own, others = x[y == normal], x[y != normal]
    n = round(dirty / (1 - dirty) * len(own))
    return np.concatenate([own, others[:n]]), test, truth != normal


def one_rare(name: str, rare: int, seed: int) -> Split:
    """Return nine classes to train on, some 2,250 points; all ten to test on."""
    x, y, test, truth = halves(name, seed)
    x, y = x[:2_500], y[:2_500]
    return x[y != rare], test, truth == rare


def shuttle(seed: int) -> Split:
    """Return 5,000 readings of "Rad Flow"; 10,000 more and all of five rarer states. "High" is left out, as usual."""
    data = load("shuttle")
    normal, odd = np.flatnonzero(data.y == 0), np.flatnonzero((data.y != 0) & (data.y != 3))
    normal = np.random.default_rng(seed).permutation(normal)
    scaler = StandardScaler().fit(data.x[normal[:5_000]])
    test = np.concatenate([normal[5_000:15_000], odd])
    x, test = (scaler.transform(data.x[rows]).astype(np.float32) for rows in (normal[:5_000], test))
    return x, test, np.arange(len(test)) >= 10_000


def main() -> None:
    """Measure what is missing."""
    torch.set_num_threads(1)
    applications.main("anomalies", RUNS, measure)


if __name__ == "__main__":
    main()

"""What a likelihood of counts is worth for clustering cells: simulated tissues, and the 700 cells inside scanpy.

Rows of one likelihood share their first phase. A tissue is drawn anew for each seed; the 700 cells stay.
"""

import tempfile
import warnings
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from benchmarks import applications
from dclib.cells import TISSUES, Tissue
from dclib.methods import SCDeepCluster
from dclib.metrics import evaluate

N_CELLS, N_GENES = 600, 300
STEPS, REFINED = 250, 80  # mini-batches of the two phases
BATCH = 128
OTHER = Tissue((0.4, 0.3, 0.15, 0.15), 300, de_share=0.15, de_scale=0.6, depth=700.0, bcv=0.4, dropout=0.5)
PBMC, UNSEEN = "700 cells", "second tissue"
RESOLUTIONS = (0.25, 0.5, 1.0, 1.5, 2.0)
ROWS = {
    "ZINB, with KL (scDeepCluster)": {"likelihood": "zinb"},
    "ZINB": {"likelihood": "zinb", "epochs": 0},
    "NB, with KL": {"likelihood": "nb"},
    "NB": {"likelihood": "nb", "epochs": 0},
    "squared error, with KL": {"likelihood": "gaussian"},
    "squared error": {"likelihood": "gaussian", "epochs": 0},
}
NOISY = "ZINB, with KL, σ = 2.5"
SIMPLE = ("PCA + k-means", "PCA + Leiden")
RUNS = [(row, data) for data in (*TISSUES, PBMC) for row in (*SIMPLE, *ROWS)]
RUNS += [(NOISY, "some dropout"), *((row, UNSEEN) for row in (*SIMPLE, *ROWS) if not row.startswith("NB"))]
KEPT = tempfile.TemporaryDirectory(prefix="single-cells-")


def log_normalised(counts: NDArray) -> NDArray:
    """Return log(1 + x / s), s a cell's total over the median cell's."""
    total = np.maximum(counts.sum(axis=1), 1)
    return np.log1p(counts / (total / np.median(total))[:, None])


def leading(counts: NDArray, seed: int) -> NDArray:
    """Return 50 principal components of log-normalised counts."""
    return PCA(50, random_state=seed).fit_transform(log_normalised(counts))


def neighbours_of(counts: NDArray, seed: int = 0):
    """Return an AnnData of counts (n, D) with scanpy's neighbour graph: its standard recipe, with its defaults."""
    import anndata
    import scanpy as sc

    adata = anndata.AnnData(counts.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.normalize_total(adata)
        sc.pp.log1p(adata)
        if adata.n_vars > 2_000:
            sc.pp.highly_variable_genes(adata, n_top_genes=2_000)
        sc.pp.pca(adata, random_state=seed)
        sc.pp.neighbors(adata, random_state=seed)
    return adata


def leiden(adata, resolution: float = 1.0, seed: int = 0) -> NDArray[np.int64]:
    """Return the clusters (n,) of Leiden's method on the neighbour graph."""
    import scanpy as sc

    sc.tl.leiden(adata, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    return adata.obs["leiden"].to_numpy().astype(np.int64)


@cache
def pbmc() -> tuple[NDArray, NDArray, NDArray]:
    """Return counts (700, 300) of the most variable genes, types and Louvain's clusters of the cells inside scanpy."""
    import scanpy as sc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata = sc.datasets.pbmc68k_reduced()
    types, louvain = (adata.obs[name].cat.codes.to_numpy().astype(np.int64) for name in ("bulk_labels", "louvain"))
    counts = recovered(adata)
    return counts[:, np.argsort(-log_normalised(counts).var(axis=0))[:N_GENES]], types, louvain


def recovered(adata) -> NDArray[np.int32]:
    """Return the counts of log-normalised values in ``adata.raw``: log(1 + 10,000 x / total), undone and rounded."""
    per_count = 10_000 / adata.obs["n_counts"].to_numpy()[:, None]
    return np.rint(np.expm1(adata.raw.X.toarray().astype(np.float64)) / per_count).astype(np.int32)


@cache
def cells(data: str, seed: int) -> tuple[NDArray, NDArray]:
    """Return counts and types."""
    if data == PBMC:
        return pbmc()[:2]
    drawn = (TISSUES | {UNSEEN: OTHER})[data].draw(N_CELLS, seed)
    return drawn.counts, drawn.types


def model(k: int, n: int, seed: int, **how: object) -> SCDeepCluster:
    """Return the method with the study's budget for ``n`` cells."""
    steps = -(-n // BATCH)
    budget = {"pretrain_epochs": round(STEPS / steps), "epochs": round(REFINED / steps), "batch_size": BATCH}
    return SCDeepCluster(k, **{"noise": 1.0, "tol": 0.0} | budget | how, random_state=seed)


def measure(row: str, data: str, seed: int) -> dict[str, float]:
    """Return ACC, NMI, ARI and the number of clusters; of Leiden, also by resolution; of 700 cells, also by Louvain."""
    counts, types = cells(data, seed)
    k, more = len(np.unique(types)), {}
    if row == "PCA + Leiden":
        adata = neighbours_of(counts, seed)
        found = {resolution: leiden(adata, resolution, seed) for resolution in RESOLUTIONS}
        labels = found[1.0]
        more = {f"ari at {r}": evaluate(types, each)["ari"] for r, each in found.items()}
        more |= {f"clusters at {r}": len(np.unique(each)) for r, each in found.items()}
    elif row == "PCA + k-means":
        labels = KMeans(k, n_init=20, random_state=seed).fit_predict(leading(counts, seed))
    else:
        how = {"likelihood": "zinb", "noise": 2.5} if row == NOISY else ROWS[row]
        labels = model(k, len(counts), seed, **how, pretrained=KEPT.name).fit(counts).labels_
    if data == PBMC:
        more["ari with louvain"] = evaluate(pbmc()[2], labels)["ari"]
    scores = {name: evaluate(types, labels)[name] for name in ("acc", "nmi", "ari")}
    return scores | {"clusters": len(np.unique(labels)), "F1 of the rarest": rarest(types, labels)} | more


def rarest(types: NDArray, labels: NDArray) -> float:
    """Return the best F1 score that a cluster has for the smallest type: 1 if it holds that type and nothing else."""
    own = types == np.bincount(types).argmin()
    shared, sizes = np.bincount(labels[own], minlength=labels.max() + 1), np.bincount(labels)
    return float((2 * shared / (own.sum() + sizes)).max())


if __name__ == "__main__":
    torch.set_num_threads(1)  # what scanpy imports would give it more
    applications.main("single_cells", RUNS, measure)

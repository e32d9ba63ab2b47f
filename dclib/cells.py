"""Simulated single cells: matrices of counts whose types, batches and lost counts are known.

The model is that of Splatter (Zappia, Phipson, Oshlack, Genome Biology 18, 2017), in a short form of ours: the
biological coefficient of variation does not depend on the mean.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Cells:
    """A count matrix, and what only a simulation knows.

    Attributes
    ----------
    counts
        Cells by genes (n, D), int32.
    types
        The type of each cell (n,), from 0 on.
    batches
        The batch of each cell (n,), from 0 on.
    true_counts
        The counts (n, D) before any was lost.
    """

    counts: NDArray[np.int32]
    types: NDArray[np.int64]
    batches: NDArray[np.int64]
    true_counts: NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of cells, n."""
        return len(self.counts)


def gene_means(rng: Generator, n_genes: int, outliers: float = 0.05) -> NDArray:
    """Return mean expressions (D,): Gamma(0.6, rate 0.3), and for outliers the median times exp N(4, 0.5²).

    The numbers are the defaults of Splatter.
    """
    means = rng.gamma(0.6, 1 / 0.3, n_genes)
    factors = np.median(means) * rng.lognormal(4, 0.5, n_genes)
    return np.where(rng.random(n_genes) < outliers, factors, means)


def factors_of_types(rng: Generator, n_types: int, n_genes: int, share: float, scale: float) -> NDArray:
    """Return by what each type multiplies each gene (K, D): 1, or for a ``share`` of genes exp ±|N(0.1, scale²)|."""
    size = (n_types, n_genes)
    logs = np.abs(rng.normal(0.1, scale, size)) * rng.choice([-1, 1], size)
    return np.where(rng.random(size) < share, np.exp(logs), 1.0)


def dropout_probability(mean: NDArray, midpoint: float) -> NDArray:
    """Return with what probability a count of this mean is lost: a half at log mean = ``midpoint``, less above it."""
    return 1 / (1 + mean * np.exp(-midpoint))  # the logistic function of midpoint − log mean


def gamma_poisson(rng: Generator, mean: NDArray, dispersion: NDArray | float) -> NDArray[np.int64]:
    """Return counts: Poisson, with rates that are Gamma of this mean and of shape ``dispersion``."""
    return rng.poisson(rng.gamma(dispersion, mean / dispersion))


@dataclass(frozen=True)
class Tissue:
    """How cells are simulated; a variant is ``dataclasses.replace(tissue, dropout=1.0)``.

    Attributes
    ----------
    shares
        Of each type among the cells.
    n_genes
        D.
    de_share, de_scale
        Share of a type's genes that it expresses otherwise, and by how much, in natural logarithms.
    depth, depth_spread
        Counts of the median cell, and the standard deviation of the log of a cell's total.
    bcv
        Biological coefficient of variation: θ is about its inverse square.
    dropout
        Log mean at which half the counts are lost; ``None``: none is.
    n_batches, batch_scale
        Batches, and the standard deviation of the log factors by which they change each gene.
    """

    shares: tuple[float, ...] = (0.3, 0.25, 0.2, 0.12, 0.08, 0.05)
    n_genes: int = 250
    de_share: float = 0.1
    de_scale: float = 0.8
    depth: float = 1_000.0
    depth_spread: float = 0.3
    bcv: float = 0.3
    dropout: float | None = None
    n_batches: int = 1
    batch_scale: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what can't be drawn."""
        limits = {"n_genes": 1, "n_batches": 1, "depth": 0, "bcv": 0}
        for name, least in limits.items():
            if not getattr(self, name) >= least or not getattr(self, name):
                raise ValueError(f"{name}={getattr(self, name)} should be {f'>= {least}' if least else '> 0'}.")
        for name in ("de_scale", "depth_spread", "batch_scale"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)} should be >= 0.")
        if not 0 <= self.de_share <= 1:
            raise ValueError(f"de_share={self.de_share} should be from 0 to 1.")
        if not self.shares or min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares={self.shares} should be positive and add up to 1.")

    def draw(self, n_cells: int = 1_000, seed: int = 0) -> Cells:
        """Return cells; the same seed gives the same ones, and what was lost aside the same with any ``dropout``.

        Raises
        ------
        ValueError
            If there is no cell.
        """
        if n_cells < 1:
            raise ValueError(f"n_cells={n_cells} should be >= 1.")
        genes, who, rates, lost = np.random.default_rng(seed).spawn(4)
        profiles, dispersion = self._profiles(genes)
        types = who.choice(len(self.shares), n_cells, p=np.array(self.shares) / sum(self.shares))
        batches = who.integers(self.n_batches, size=n_cells)
        depth = self.depth * who.lognormal(0, self.depth_spread, n_cells)
        mean = profiles[batches, types] * depth[:, None]  # (n, D)
        true = gamma_poisson(rates, mean, dispersion)
        kept = 1 if self.dropout is None else lost.random(mean.shape) >= dropout_probability(mean, self.dropout)
        return Cells((true * kept).astype(np.int32), types.astype(np.int64), batches, true.astype(np.int32))

    def _profiles(self, rng: Generator) -> tuple[NDArray, NDArray]:
        """Return what share of its counts each type has in each gene, batch by batch (B, K, D), and θ (D,)."""
        means = gene_means(rng, self.n_genes)
        dispersion = rng.chisquare(60, self.n_genes) / 60 / self.bcv**2
        types = factors_of_types(rng, len(self.shares), self.n_genes, self.de_share, self.de_scale)
        batches = np.exp(self.batch_scale * rng.normal(size=(self.n_batches, 1, self.n_genes)))
        batches[0] = 1.0
        raw = means * types * batches
        return raw / raw.sum(axis=2, keepdims=True), dispersion


TISSUE = Tissue()
# The tissues of the chapter on single cells, by the names that its study has.
TISSUES = {
    "no dropout": TISSUE,
    "some dropout": replace(TISSUE, dropout=0.0),
    "heavy dropout": replace(TISSUE, dropout=1.5),
}

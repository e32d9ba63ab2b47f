"""scDeepCluster: a deep embedded clustering of count matrices, whose reconstruction is a likelihood of counts.

Source: Tian, Wan, Song, Wei, "Clustering single-cell RNA-seq data with a model-based deep learning approach", Nature
Machine Intelligence 1, 2019, and the authors' code (Keras).
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import StrOptions
from torch import Tensor, nn
from torch.nn.functional import softplus

from dclib import parallel
from dclib.base import WEIGHT
from dclib.checks import callers_level
from dclib.methods.idec import IDEC
from dclib.networks import Autoencoder, leaves, mlp
from dclib.phases import Batch, Points
from dclib.points import parts
from dclib.training import EVALUATION_BATCH, at_least_single, in_batches, in_parts

MEANS = (1e-5, 1e6)  # the authors' least and largest mean of a count, before the size factor
DISPERSIONS = (1e-4, 1e4)  # and θ
NOISE = 2.5  # the authors' σ
LIKELIHOODS = ("zinb", "nb", "gaussian")


class NotCountsWarning(UserWarning):
    """The points are no counts, and are modelled as real values."""


def size_factors(counts: Tensor, typical: Tensor | None = None) -> Tensor:
    """Return s, how deeply a cell was read: its total over the median total.

    Parameters
    ----------
    counts
        (n, D).
    typical
        The total of the median cell; ``None``: of these cells. A cell of no count has the factor of one count.

    Returns
    -------
    Tensor
        (n,).

    Notes
    -----
    Derived in :doc:`/notebooks/applications/single_cells`.
    """
    total = counts.sum(dim=1).clamp_min(1)
    return total / (total.quantile(0.5) if typical is None else typical)


def log_normalised(counts: Tensor, size: Tensor) -> Tensor:
    """Return log(1 + x / s) of counts (n, D) and size factors (n,).

    Notes
    -----
    Derived in :doc:`/notebooks/applications/single_cells`.
    """
    return torch.log1p(counts / size[:, None])


def log_ways(x: Tensor, dispersion: Tensor) -> Tensor:
    """Return log Γ(x + θ) − log Γ(θ) − log x!, in how many ways x counts come about.

    It is zero at x = 0, and computed only where x is larger; in double precision, as large terms cancel.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/single_cells`.
    """
    x, dispersion = torch.broadcast_tensors(x, dispersion)
    some = x > 0
    k, theta = (each.masked_select(some).double() for each in (x, dispersion))
    ways = torch.lgamma(k + theta) - torch.lgamma(theta) - torch.lgamma(k + 1)
    return torch.zeros_like(dispersion).masked_scatter(some, ways.to(dispersion.dtype))


def nb_log_likelihood(x: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """Return log NB(x | μ, θ), of a Poisson with a gamma rate.

    The gamma has mean μ and shape θ; the count has variance μ + μ²/θ.

    Parameters
    ----------
    x
        Counts.
    mean, dispersion
        μ and θ, positive.

    Returns
    -------
    Tensor
        In nats, as many as there are counts.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/single_cells`.
    """
    none = -dispersion * torch.log1p(mean / dispersion)  # log NB(0)
    return log_ways(x, dispersion) + none + torch.xlogy(x, mean / (dispersion + mean))


def zinb_log_likelihood(
    x: Tensor,
    mean: Tensor,
    dispersion: Tensor,
    logit: Tensor,
) -> Tensor:
    """Return log(π δ₀(x) + (1 − π) NB(x | μ, θ)) (Tian et al. 2019).

    Parameters
    ----------
    x, mean, dispersion
        As in :func:`nb_log_likelihood`.
    logit
        log π / (1 − π). No probability is formed, so none is rounded to 0 or 1.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/single_cells`.
    """
    nb = nb_log_likelihood(x, mean, dispersion)
    return torch.where(x == 0, torch.logaddexp(logit, nb), nb) - softplus(logit)


def first_no_count(x: NDArray) -> float | None:
    """Return the first value of ``x`` (n, D) that is no whole number from 0 on, or ``None``."""
    for part in parts(x):
        wrong = ~((part >= 0) & (part == np.floor(part))) if part.dtype.kind == "f" else part < 0
        if wrong.any():
            return float(part[wrong][0])
    return None


class LogNormalised(nn.Module):
    """Counts become log-normalised values, each gene of mean zero and variance one over the training cells.

    Parameters
    ----------
    n_genes
        D.
    """

    def __init__(self, n_genes: int) -> None:
        super().__init__()
        self.register_buffer("typical", torch.ones(()))  # total of the median cell
        self.register_buffer("mean", torch.zeros(n_genes))
        self.register_buffer("spread", torch.ones(n_genes))

    @torch.no_grad()
    def measure(self, x: Points) -> Tensor:
        """Take the median total, means and standard deviations from the counts ``x`` (n, D) of all processes.

        Returns
        -------
        Tensor
            The mean of x / s of each gene (D,).
        """
        totals = parallel.all_rows(in_batches(lambda part: part.sum(dim=1), x)).clamp_min(1)
        self.typical.copy_(totals.double().quantile(0.5))
        sums = torch.zeros(3, x.shape[1], dtype=torch.float64, device=self.mean.device)
        for start in range(0, len(x), EVALUATION_BATCH):
            part = x[start : start + EVALUATION_BATCH]
            size = size_factors(part, self.typical)
            logs, equal = log_normalised(part, size).double(), (part / size[:, None]).double()
            sums += torch.stack([each.sum(dim=0) for each in (logs, logs.square(), equal)])
        n, (total, squares, counted) = len(totals), parallel.over_points(sums)
        spread = ((squares - total.square() / n).clamp_min(0) / max(1, n - 1)).sqrt()
        self.mean.copy_(total / n)
        self.spread.copy_(torch.where(spread > 1e-6, spread, 1.0))
        return (counted / n).float()

    def forward(self, x: Tensor) -> Tensor:
        """Return what the encoder reads (m, D) of counts ``x`` (m, D)."""
        return (log_normalised(x, size_factors(x, self.typical)) - self.mean) / self.spread


class CountDecoder(nn.Module):
    """Layers that mirror the encoder's, and a head each for the mean, the dispersion and the extra zeros.

    Parameters
    ----------
    sizes
        Widths of code, hidden layers and output.
    inflated
        Whether zeros are inflated.
    """

    def __init__(self, sizes: Sequence[int], inflated: bool = True) -> None:
        super().__init__()
        *hidden, n_genes = sizes
        self.trunk = nn.Sequential(mlp(hidden), *[nn.ReLU()] * (len(hidden) > 1))
        self.mean, self.dispersion = nn.Linear(hidden[-1], n_genes), nn.Linear(hidden[-1], n_genes)
        self.zeros = nn.Linear(hidden[-1], n_genes) if inflated else None

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        """Return μ / s, θ and, if zeros are inflated, the logit of π, each (m, D)."""
        h = self.trunk(z)
        mean = at_least_single(self.mean(h)).clamp(*map(math.log, MEANS)).exp()
        dispersion = softplus(at_least_single(self.dispersion(h))).clamp(*DISPERSIONS)
        return (mean, dispersion) if self.zeros is None else (mean, dispersion, at_least_single(self.zeros(h)))

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Let the mean begin near that of each gene (D,): training then starts from a model of one type of cell."""
        self.mean.bias.copy_(mean.clamp(*MEANS).log())


def noisy_code(
    encoder: nn.Module,
    x: Tensor,
    draw: Callable[[Tensor], Tensor],
    noise: float,
) -> Tensor:
    """Return codes, with noise on the encoder's input and on what each ReLU gets.

    Parameters
    ----------
    encoder
        Nested ``Sequential`` modules.
    x
        Points (m, D).
    draw
        From values (m, …) to as many draws of a standard Gaussian.
    noise
        σ, by which the draws are multiplied.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/single_cells`.
    """
    first, *rest = leaves(encoder)
    counted = isinstance(first, LogNormalised)
    h = first(x) if counted else x
    h = h + noise * draw(h)
    for layer in rest if counted else (first, *rest):
        h = layer(h + noise * draw(h) if isinstance(layer, nn.ReLU) else h)
    return h


class SCDeepCluster(IDEC):
    """scDeepCluster (Tian et al. 2019).

    IDEC for a matrix of counts, cells by genes. The encoder reads log-normalised, standardised values, made of the
    counts inside, with noise on its way. The decoder returns the parameters of a distribution of counts, and L_R is its
    negative log-likelihood. KL(P‖Q) is that of the undisturbed codes.

    Parameters
    ----------
    n_clusters
        K, the number of clusters.
    likelihood
        ``"zinb"``, the paper's: a negative binomial with extra zeros; ``"nb"``, without them; ``"gaussian"``: the
        squared error of what the encoder reads. ``"auto"``: ``"zinb"`` if every value of X is a whole number from 0 on,
        else ``"gaussian"``, with a warning, since whoever has counts should pass them.
    noise
        σ of the noise on the encoder's input and hidden layers in training; ``None``: the paper's 2.5 for counts, whose
        genes are standardised, and none for other values, which the paper does not have.
    weight
        γ, the weight of the clustering loss, beside a log-likelihood that is a mean over cells and genes.
    hidden, latent_dim, batch_size
        As in :class:`~dclib.base.DeepClusterer`; the defaults are the paper's.
    **shared
        The parameters of :class:`~dclib.methods.idec.IDEC`.

    Attributes
    ----------
    counts_ : bool
        Whether X were counts. If so, they are normalised inside, whatever the likelihood; other values are taken as
        they are.
    likelihood_ : str
        The likelihood that was used.

    Notes
    -----
    A size factor is the total of a row of X over that of the median row. Sparse matrices are refused; pass
    ``X.toarray()``. Derived in :doc:`/notebooks/applications/single_cells`.

    Examples
    --------
    >>> from dclib import SCDeepCluster
    >>> from dclib.cells import Tissue
    >>> cells = Tissue(n_genes=50).draw(200, seed=0)
    >>> model = SCDeepCluster(3, hidden=(16,), pretrain_epochs=2, epochs=2, random_state=0).fit(cells.counts)
    >>> model.likelihood_
    'zinb'
    """

    augmented: ClassVar[bool] = False
    wiring: ClassVar[str] = "ReLU, linear code; three heads; noise σ = 2.5"
    profiles: ClassVar[dict[str, dict[str, Any]]] = {
        "quick": {"hidden": (32,)},
        "book": {"pretrain_steps": 600, "refine_steps": 200},
        "full": {"pretrain_steps": 6_000, "refine_steps": 4_000},
        "paper": {
            "hidden": (256, 64),
            "pretrain_epochs": 400,
            "pretrain_optimizer": "amsgrad",
            "pretrain_schedule": "constant",
            "pretrain_lr": 1e-3,
            "optimizer": "adadelta",
            "schedule": "constant",
            "lr": 1.0,
            "update_interval": None,
            "batch_size": 256,
        },
    }
    first_phase: ClassVar[tuple[str, ...]] = ("likelihood", "noise")
    _parameter_constraints: ClassVar[dict[str, list]] = {
        "likelihood": [StrOptions({"auto", *LIKELIHOODS})],
        "noise": [WEIGHT, None],
    }

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        likelihood: str = "auto",
        noise: float | None = None,
        hidden: Sequence[int] = (256, 64),
        latent_dim: int = 32,
        batch_size: int = 256,
        **shared: Any,
    ) -> None:
        super().__init__(n_clusters, hidden=hidden, latent_dim=latent_dim, batch_size=batch_size, **shared)
        self.likelihood = likelihood
        self.noise = noise

    def _check_points(self, points: NDArray) -> None:
        """Settle whether ``points`` are counts, which stay in their own unit; refuse or warn of what is none."""
        super()._check_points(points)
        wrong = first_no_count(points)
        self.counts_ = not parallel.largest(int(wrong is not None))
        self.likelihood_ = ("zinb" if self.counts_ else "gaussian") if self.likelihood == "auto" else self.likelihood
        if self.counts_:
            self.offset_, self.scale_ = 0.0, 1.0
        elif self.likelihood_ != "gaussian":
            raise ValueError(self._no_counts(wrong))
        elif self.likelihood == "auto":
            warnings.warn(self._no_counts(wrong), NotCountsWarning, stacklevel=callers_level())

    def _no_counts(self, wrong: float | None) -> str:
        """Return what is said of values that are no counts, of which ``wrong`` is the first."""
        found = "X holds values" if wrong is None else f"X holds {wrong:g}, a value"
        raw = "pass the raw counts (adata.layers['counts']), neither log-normalised nor scaled"
        otherwise = "likelihood='gaussian' takes real values as they are"
        told = " They are taken as real values now." if self.likelihood == "auto" else ""
        return f"{found} that can't be counts, which are whole numbers from 0 on: {raw}; {otherwise}.{told}"

    def _validated(self, X: ArrayLike, reset: bool = False) -> NDArray:
        points = super()._validated(X, reset)
        if not reset and self.counts_ and (wrong := first_no_count(points)) is not None:
            raise ValueError(self._no_counts(wrong))
        return points

    def build(self, n_features: int) -> nn.Module:
        """Return the autoencoder of the paper, or for real values a plain one."""
        if self.network is not None or not self.counts_:
            return super().build(n_features)
        sizes = (n_features, *self._widths, self.latent_dim)
        encoder = nn.Sequential(LogNormalised(n_features), *mlp(sizes))
        if self.likelihood_ == "gaussian":
            return Autoencoder(encoder, mlp(sizes[::-1]))
        return Autoencoder(encoder, CountDecoder(sizes[::-1], self.likelihood_ == "zinb"))

    def prepare(self, x: Points) -> None:
        """Measure depth, means and spreads of the counts ``x`` (n, D), unless a network came with its own."""
        if self.network is None and self.counts_:
            means = self.network_.encoder[0].measure(x)
            if isinstance(self.network_.decoder, CountDecoder):
                self.network_.decoder.start_at(means)

    def read(self, x: Tensor) -> Tensor:
        """Return what the layers of the encoder get (m, D) of points ``x`` (m, D)."""
        first = next(leaves(self.network_.encoder))
        return first(x) if isinstance(first, LogNormalised) else x

    def _check_decoder(self, z: Tensor, x: Tensor) -> None:
        super()._check_decoder(z, x)
        wanted = {"zinb": 3, "nb": 2}.get(self.likelihood_)
        drawn = self.network_.decoder(z)
        if wanted and not (isinstance(drawn, tuple) and len(drawn) == wanted):
            found = f"its decoder should return {wanted} tensors for likelihood={self.likelihood_!r}"
            raise ValueError(f"network= can't model counts: {found}; see dclib.methods.sc_deep_cluster.CountDecoder.")

    def representation_loss(self, batch: Batch) -> Tensor:
        """Return L_R: the negative log-likelihood of a count given a disturbed code, or the squared error."""
        wanted = batch.view if self.reconstruct == "view" else batch.x

        def draw(h: Tensor) -> Tensor:
            return batch.drawn(lambda m: torch.randn(m, *h.shape[1:], device=h.device))

        noise = self.noise if self.noise is not None else NOISE * self.counts_
        z = noisy_code(self.network_.encoder, batch.view, draw, noise) if noise else batch.z
        return batch.note("L_R", self.error(self.network_.decoder(z), wanted))

    def error(self, drawn: Any, wanted: Tensor) -> Tensor:
        """Return −log p of the points ``wanted`` (m, D), a mean over cells and genes, or the mean squared error."""
        if self.likelihood_ == "gaussian":
            return super().error(drawn, self.read(wanted))
        return -self.log_likelihood(drawn, wanted).mean()

    def log_likelihood(self, drawn: Sequence[Tensor], x: Tensor) -> Tensor:
        """Return log p (m, D) of counts ``x`` (m, D), given what the decoder returned."""
        mean, dispersion, *logit = drawn
        likelihood = zinb_log_likelihood if logit else nb_log_likelihood
        return likelihood(x, self.size_of(x)[:, None] * mean, dispersion, *logit)

    def size_of(self, x: Tensor) -> Tensor:
        """Return the size factors (m,) of counts ``x`` (m, D), against the median cell that was trained on."""
        return size_factors(x, getattr(next(leaves(self.network_.encoder)), "typical", None))

    @torch.no_grad()
    def count_model(self, X: ArrayLike) -> dict[str, NDArray]:
        """Return μ (with the size factor), θ and π of each count of ``X``: ``mean``, ``dispersion`` and ``pi``.

        Raises
        ------
        ValueError
            If the likelihood is Gaussian, or ``X`` are no counts.
        """
        points = self._validated(X)
        if self.likelihood_ == "gaussian":
            raise ValueError("likelihood_ is 'gaussian': there is no model of counts.")
        z = self._codes(points).float()
        mean, dispersion, *logit = in_parts(lambda part: torch.stack(self.network_.decoder(part), 1), z).unbind(1)
        size = self.size_of(torch.as_tensor(points, dtype=torch.float32, device=mean.device))
        pi = logit[0].sigmoid() if logit else torch.zeros_like(mean)
        found = {"mean": size[:, None] * mean, "dispersion": dispersion, "pi": pi}
        return {name: value.cpu().numpy() for name, value in found.items()}

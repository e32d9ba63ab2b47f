"""Pictures of the book: maps of codes, galleries, tables, curves, scores, and the latent-space film."""

import base64
import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from cycler import cycler
from matplotlib import rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import linear_sum_assignment
from scipy.special import erf

from dclib.metrics import clustering_accuracy, contingency

# Petroff (2021), "Accessible color sequences for data visualization", arXiv:2107.02270: ten colours that
# stay apart for readers with any common colour-vision deficiency, found by optimisation and a survey.
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6",
    "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip

# No grey reaches 4.5:1 on white and on #121212 at once. This one has 4.3:1 on both, the best there is.
INK = "#797979"
MARKERS = "osD^"  # the second, third and fourth ten clusters: colour is never the only cue

STYLE: dict[str, Any] = {
    "figure.facecolor": "none",
    "figure.figsize": (6.4, 4.0),
    "figure.dpi": 110,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "font.size": 11,
    "grid.color": INK,
    "grid.alpha": 0.3,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "image.cmap": "gray",
    "hatch.color": INK,
}


class Picture(Figure):
    """A figure outside pyplot that a notebook shows when it is a cell's last value."""

    def _repr_png_(self) -> bytes:
        return _png(self)


def use_style() -> None:
    """Give every later matplotlib figure the style of the book, readable on light and on dark pages."""
    rcParams.update(STYLE)


def panels(n_rows: int = 1, n_columns: int = 1, size: tuple[float, float] = (6.4, 4.0)) -> tuple[Picture, Any]:
    """Make a figure in the style of the book, outside pyplot.

    Parameters
    ----------
    n_rows, n_columns
        Grid of axes.
    size
        Width and height in inches.

    Returns
    -------
    figure : Picture
        Shown by a notebook when it is the last value of a cell.
    axes : Axes or ndarray of Axes
        One axes, or an array of them when there are several.
    """
    with rc_context(STYLE):
        figure = Picture(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(n_rows, n_columns)


def _drawn(size: tuple[float, float] = (6.4, 4.0)) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a drawing function the style, and a figure of its own when it is called without ``ax``."""

    def decorate(draw: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(draw)
        def wrapper(*args: Any, ax: Axes | None = None, **options: Any) -> Figure | Axes:
            figure, own = (None, ax) if ax is not None else panels(size=size)
            with rc_context(STYLE):
                draw(*args, ax=own, **options)
            return own if figure is None else figure

        return wrapper

    return decorate


# --------------------------------------------------------------------------------------------------
# Maps of codes
# --------------------------------------------------------------------------------------------------


def pca_axes(z: NDArray) -> NDArray:
    """Return the two directions (d, 2) along which the codes ``z`` (n, d) vary most.

    The sign of a direction is chosen so that its largest entry is positive.
    """
    centred = z - z.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :2]
    return _signed(axes)


def discriminant_axes(z: NDArray, labels: NDArray, shrinkage: float = 0.05) -> NDArray:
    """Return the linear map (d, 2) to the plane in which the found clusters lie furthest apart.

    Codes are whitened by the scatter within clusters. Each pair of means is then weighted by the error that
    its distance leaves, so that a far cluster does not push the others into one heap.

    Parameters
    ----------
    z : ndarray (n, d)
        Codes.
    labels : ndarray (n,)
        Found clusters; true classes are never used.
    shrinkage
        Share of the mean variance added to every direction, against codes that do not vary.

    Returns
    -------
    ndarray (d, 2)
        The principal directions if there are fewer than three clusters.

    Notes
    -----
    Loog, Duin and Haeb-Umbach (2001), "Multiclass linear dimension reduction by weighted pairwise Fisher
    criteria", eq. 12.
    """
    means = np.stack([z[labels == k].mean(axis=0) for k in np.unique(labels)])  # (K, d)
    if len(means) < 3:
        return pca_axes(z)
    inside = z - means[np.unique(labels, return_inverse=True)[1]]
    within = inside.T @ inside / len(z)
    within += shrinkage * np.trace(within) / len(within) * np.eye(len(within)) + 1e-12 * np.eye(len(within))
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)  # (d, d)
    gaps = ((means[:, None] - means[None]) @ whiten).reshape(-1, z.shape[1])  # (K², d)
    distance = np.linalg.norm(gaps, axis=1)
    weight = erf(distance / 8**0.5) / (2 * np.maximum(distance, 1e-9) ** 2)
    between = (gaps * weight[:, None]).T @ gaps
    return _signed(whiten @ np.linalg.eigh(between)[1][:, ::-1][:, :2])


def _signed(axes: NDArray) -> NDArray:
    return axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])


def project(z: ArrayLike, axes: NDArray | None = None) -> NDArray:
    """Return codes in the plane (n, 2), along ``axes`` or PCA's if d > 2, padded with 0 if d is 1."""
    z = np.asarray(z, dtype=float)
    if z.shape[1] <= 2:
        return np.pad(z, [(0, 0), (0, 2 - z.shape[1])])
    return z @ (pca_axes(z) if axes is None else axes)


@_drawn((6.0, 4.8))
def latent_scatter(
    z: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    centroids: ArrayLike | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw the codes in the plane, one colour a cluster, its number at its mean.

    Parameters
    ----------
    z : array-like (n, d)
        Codes. More than two dimensions are projected on the first two principal directions.
    labels : array-like (n,), optional
        Found clusters or true classes, as whole numbers.
    centroids : array-like (K, d), optional
        Drawn as crosses.
    title
        Title of the axes.
    ax
        Where to draw; a new figure if ``None``.

    Returns
    -------
    Figure or Axes
        The new figure, or ``ax``.
    """
    z = np.asarray(z, dtype=float)
    axes = pca_axes(z) if z.shape[1] > 2 else None
    plane, size = project(z, axes), float(np.clip(8e3 / len(z), 5, 30))
    if labels is None:
        ax.scatter(*plane.T, s=size, color=INK, alpha=0.6, linewidths=0)
    else:
        _groups(ax, plane, np.asarray(labels), size)
    if centroids is not None:
        ax.scatter(
            *project(centroids, axes).T,
            marker="x",
            color="black",
            s=40,
            linewidths=1.6,
            path_effects=_halo(3),
        )
    ax.set(
        title=title,
        xticks=[],
        yticks=[],
        xlabel="" if axes is None else "first two principal directions of z",
    )
    ax.set_aspect("equal", "datalim")
    ax.spines[:].set_visible(False)


@_drawn((5.6, 4.2))
def clouds(
    groups: Mapping[str, ArrayLike],
    *,
    cross: ArrayLike | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw overlapping clouds in one plane at the same scale, the first at the back, named in a legend.

    Parameters
    ----------
    groups
        Name and points (m, d) of each cloud. More than two dimensions are projected on the first two principal
        directions of all points together.
    cross : array-like (1, d), optional
        A point to mark.
    title
        Title of the axes.
    ax
        Where to draw; a new figure if ``None``.
    """
    every = np.concatenate([np.asarray(z, dtype=float) for z in groups.values()])
    axes = pca_axes(every) if every.shape[1] > 2 else None
    for k, (name, z) in enumerate(groups.items()):
        look = {"color": PALETTE[(0, 2, 1, 4)[k % 4]], "marker": MARKERS[k % len(MARKERS)], "label": name}
        ax.scatter(*project(z, axes).T, s=24, alpha=0.75, edgecolors=INK, linewidths=0.15, **look)
    if cross is not None:
        ax.scatter(*project(cross, axes).T, marker="x", color="black", s=70, linewidths=2, path_effects=_halo(4))
    ax.set(title=title, xticks=[], yticks=[])
    ax.set_aspect("equal", "datalim")
    ax.spines[:].set_visible(False)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _groups(ax: Axes, plane: NDArray, labels: NDArray, size: float) -> None:
    """Scatter each group in its own colour and marker, and write its number at its mean."""
    for k, name in enumerate(np.unique(labels)):
        points = plane[labels == name]
        marker = MARKERS[k // len(PALETTE) % len(MARKERS)]
        ax.scatter(
            *points.T,
            s=size,
            color=PALETTE[k % 10],
            marker=marker,
            alpha=0.8,
            edgecolors=INK,
            linewidths=0.15,
        )
        ring = {"boxstyle": "round,pad=0.25", "fc": "white", "ec": PALETTE[k % 10], "lw": 2}
        ax.text(
            *points.mean(axis=0),
            str(name),
            color="#222222",
            weight="bold",
            ha="center",
            va="center",
            size=9,
            bbox=ring,
        )


def _halo(width: float) -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="white")]


# --------------------------------------------------------------------------------------------------
# Images
# --------------------------------------------------------------------------------------------------


def _tiles(rows: Sequence[NDArray], shape: Sequence[int], n_columns: int) -> NDArray:
    """Lay rows of flat images out on one sheet, a transparent line between them."""
    images = np.full((len(rows), n_columns, *shape), np.nan)
    for i, row in enumerate(rows):
        images[i, : len(row)] = row.reshape(-1, *shape)[:n_columns]
    gap = [(0, 0), (0, 0), (1, 1), (1, 1)] + [(0, 0)] * (len(shape) - 2)
    images = np.pad(images, gap, constant_values=np.nan)
    height, width = images.shape[2:4]
    return images.swapaxes(1, 2).reshape(len(rows) * height, n_columns * width, *shape[2:])


def _show_tiles(ax: Axes, rows: Sequence[NDArray], shape: Sequence[int], names: Sequence[str], n_columns: int) -> None:
    sheet = _tiles(rows, shape, n_columns)
    if sheet.ndim == 3:  # colour: what is empty becomes transparent
        sheet = np.dstack([np.nan_to_num(sheet), ~np.isnan(sheet[..., 0])])
    ax.imshow(sheet, vmin=0, vmax=max(1.0, float(np.nanmax(sheet))), interpolation="nearest")
    height = sheet.shape[0] / len(rows)
    ax.set(xticks=[], yticks=height * (np.arange(len(names)) + 0.5) - 0.5, yticklabels=names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if isinstance(ax.figure, Picture) and len(ax.figure.axes) == 1:  # fit the figure to the sheet
        ax.figure.set_size_inches(7.2, 7.2 * 0.86 * sheet.shape[0] / sheet.shape[1] + 0.4)


@_drawn()
def sample_gallery(
    x: ArrayLike,
    *,
    shape: Sequence[int] = (28, 28),
    n_rows: int = 4,
    n_columns: int = 12,
    title: str = "",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw the first ``n_rows * n_columns`` images of ``x`` (n, D) on one sheet.

    Parameters
    ----------
    x : array-like (n, D)
        Flat images.
    shape
        Height, width and, if the images have colour, 3.
    n_rows, n_columns
        Size of the sheet.
    title
        Title of the axes.
    ax
        Where to draw; a new figure if ``None``.
    """
    x = np.asarray(x[: n_rows * n_columns])
    rows = [x[i : i + n_columns] for i in range(0, len(x), n_columns)]
    _show_tiles(ax, rows, shape, [""] * len(rows), n_columns)
    ax.set_title(title)


@_drawn()
def cluster_gallery(
    x: ArrayLike,
    labels: ArrayLike,
    *,
    shape: Sequence[int] = (28, 28),
    z: ArrayLike | None = None,
    centroids: ArrayLike | None = None,
    n_columns: int = 12,
    random_state: int = 0,
    title: str = "",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw one row of images a cluster: those nearest to its centre, or a random few.

    Parameters
    ----------
    x : array-like (n, D)
        Flat images.
    labels : array-like (n,)
        Found clusters.
    shape
        Height, width and, if the images have colour, 3.
    z : array-like (n, d), optional
        Codes. With them a row starts with the image nearest to the centre; without, it is a random sample.
    centroids : array-like (K, d), optional
        Cluster centres; the means of ``z`` if ``None``.
    n_columns
        Images in a row.
    random_state
        Seed of the sample.
    title
        Title of the axes.
    ax
        Where to draw; a new figure if ``None``.
    """
    labels, rows, names = np.asarray(labels), [], []
    for k in np.unique(labels):
        members = np.flatnonzero(labels == k)
        order = np.random.default_rng(random_state).permutation(len(members))
        if z is not None:
            codes = np.asarray(z)[members]
            centre = codes.mean(axis=0) if centroids is None else np.asarray(centroids)[k]
            order = np.linalg.norm(codes - centre, axis=1).argsort(kind="stable")
        rows.append(np.asarray(x[members[order[:n_columns]]]))
        names.append(f"{k}  ({len(members):,})")
    _show_tiles(ax, rows, shape, names, n_columns)
    ax.set(title=title, ylabel="cluster (points)")


@_drawn()
def reconstructions(
    x: ArrayLike,
    x_hat: ArrayLike,
    *,
    shape: Sequence[int] = (28, 28),
    n_columns: int = 12,
    names: tuple[str, str] = ("x", "x̂"),
    title: str = "",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw the first images of ``x`` (n, D) above their reconstructions ``x_hat`` (n, D).

    Parameters
    ----------
    x, x_hat : array-like (n, D)
        Flat images in [0, 1]; values outside are clipped.
    shape
        Height, width and, if the images have colour, 3.
    n_columns
        Images in a row.
    names
        What stands before the two rows.
    title
        Title of the axes.
    ax
        Where to draw; a new figure if ``None``.
    """
    rows = [np.clip(np.asarray(part[:n_columns], dtype=float), 0, 1) for part in (x, x_hat)]
    _show_tiles(ax, rows, shape, names, len(rows[0]))
    ax.set_title(title)


# --------------------------------------------------------------------------------------------------
# Tables, curves, scores
# --------------------------------------------------------------------------------------------------


@_drawn((6.2, 4.8))
def confusion(
    y: ArrayLike,
    labels: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw the table of classes against clusters, columns ordered so that matched pairs lie on the diagonal.

    Parameters
    ----------
    y : array-like (n,)
        True classes.
    labels : array-like (n,)
        Found clusters. Surplus clusters come last.
    classes
        Names of the classes, in the order of their values.
    ax
        Where to draw; a new figure if ``None``.

    Notes
    -----
    The title is the clustering accuracy: the share of points on the diagonal.
    """
    counts, values, clusters = contingency(y, labels)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    rest = np.setdiff1d(np.arange(counts.shape[1]), columns)
    down = np.r_[rows, np.setdiff1d(np.arange(counts.shape[0]), rows)]
    across = np.r_[columns, rest]
    names = values.astype(str) if classes is None else np.asarray(classes)
    _draw_counts(ax, counts[down][:, across])
    ax.set_xticks(range(counts.shape[1]), clusters[across].astype(str))
    ax.set_yticks(range(counts.shape[0]), names[down])
    ax.set(xlabel="found cluster", ylabel="true class", title=f"ACC {clustering_accuracy(y, labels):.3f}")


def _draw_counts(ax: Axes, counts: NDArray) -> None:
    """Shade each row by its shares and write the counts, zeros left out."""
    share = counts / counts.sum(axis=1, keepdims=True)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for (i, j), count in np.ndenumerate(counts):
        dark, weight = share[i, j] > 0.55, "bold" if i == j else "normal"
        if count:
            ax.text(
                j,
                i,
                f"{count}",
                ha="center",
                va="center",
                size=9,
                weight=weight,
                color="white" if dark else "#222222",
            )


def curves(history: Sequence[Mapping[str, Any]], *, size: tuple[float, float] | None = None) -> Figure:
    """Draw the loss of each phase and, where there are clusters, the share of points that change theirs.

    Parameters
    ----------
    history : sequence of dict
        ``model.history_``: one record an epoch with phase, epoch, loss and, if there are clusters, changed.
    size
        Width and height in inches.

    Returns
    -------
    Figure
        One panel a phase, since losses of different phases can't share an axis, and one for the label change.
    """
    phases = list(dict.fromkeys(record["phase"] for record in history))
    refined = [phase for phase in phases if any(r["phase"] == phase and r.get("changed") is not None for r in history)]
    n_panels = len(phases) + bool(refined)
    figure, axes = panels(1, n_panels, size or (max(4.0, 3.0 * n_panels), 2.8))
    axes = np.atleast_1d(axes)
    with rc_context(STYLE):
        for k, phase in enumerate(phases):
            part = [(r["epoch"], r["loss"]) for r in history if r["phase"] == phase]
            _curve(axes[k], part, PALETTE[0], f"{phase}: loss")
        for phase, colour in zip(refined, (PALETTE[6], PALETTE[4]), strict=False):
            part = [(r["epoch"], r["changed"]) for r in history if r["phase"] == phase and r.get("changed") is not None]
            _curve(axes[-1], part, colour, "points that change cluster")
            axes[-1].annotate(phase, part[min(1, len(part) - 1)], (6, 2), textcoords="offset points", color=INK, size=9)
        if refined:
            axes[-1].yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
            axes[-1].set_ylim(bottom=0)
    return figure


def _curve(ax: Axes, points: Sequence[tuple[float, float]], colour: str, title: str) -> None:
    ax.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3.5)
    ax.set(title=title, xlabel="epoch")
    ax.title.set_size(11)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(axis="y")


@_drawn()
def seeds_plot(
    scores: Mapping[str, Sequence[float]],
    *,
    published: Mapping[str, float] | None = None,
    metric: str = "ACC",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw every seed of every method as a dot, with mean ± sd and the published figure.

    Parameters
    ----------
    scores
        Scores of each method, one a seed. No seed is left out.
    published
        What the authors report, for the methods that have such a figure.
    metric
        Name of the score.
    ax
        Where to draw; a new figure if ``None``.

    Raises
    ------
    ValueError
        If ``published`` names a method that ``scores`` lacks.
    """
    published = dict(published or {})
    if unknown := set(published) - set(scores):
        raise ValueError(f"published names {sorted(unknown)}, but scores has only {sorted(scores)}.")
    for row, (name, values) in enumerate(scores.items()):
        _score_row(ax, row, np.asarray(values, dtype=float), published.get(name), PALETTE[row % 10])
    ax.set_yticks(range(len(scores)), list(scores))
    ax.set(xlabel=metric, ylim=(len(scores) - 0.4, -0.6))
    ax.grid(axis="x")
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    ax.legend(unique.values(), unique.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9.5)
    if isinstance(ax.figure, Picture) and len(ax.figure.axes) == 1:
        ax.figure.set_size_inches(6.4, 1.5 + 0.6 * len(scores))


def _score_row(ax: Axes, row: int, values: NDArray, reported: float | None, colour: str) -> None:
    """Draw the dots, the mean with its sd, and the reported mark of one method."""
    mean, sd = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    text = f"{mean:.3f} ± {sd:.3f}" if len(values) > 1 else f"{mean:.3f}"
    ax.errorbar(mean, row, xerr=sd, fmt="|", color=INK, ms=16, mew=2, capsize=4, lw=1.5, label="mean ± sd", zorder=2)
    spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
    ax.scatter(values, row + spread, s=34, color=colour, edgecolors=INK, linewidths=0.5, label="one seed", zorder=3)
    ax.annotate(text, (mean, row), (0, 13), textcoords="offset points", ha="center", size=9)
    if reported is not None:
        ax.scatter(
            reported,
            row,
            s=64,
            marker="D",
            facecolors="none",
            edgecolors=INK,
            linewidths=1.8,
            label="published",
            zorder=4,
        )


@_drawn(size=(4.6, 3.2))
def box_stacks(y: ArrayLike, labels: ArrayLike, *, ax: Axes | None = None) -> Figure | Axes:
    """Draw each cluster of a toy as a column of discs, one a point, coloured and lettered by class.

    Parameters
    ----------
    y : array-like (n,)
        True classes; the first letter of a name stands in the disc. Some twenty points at most.
    labels : array-like (n,)
        Found clusters.
    ax
        Where to draw; a new figure if ``None``.
    """
    counts, classes, clusters = contingency(y, labels)
    for (k, j), count in np.ndenumerate(counts):
        for height in counts[:k, j].sum() + np.arange(count):
            ax.plot(j, height, "o", markersize=24, color=PALETTE[k % 10], markeredgecolor=INK)
            ax.text(j, height, str(classes[k])[0], color="#111111", ha="center", va="center", weight="bold")
    ax.set(xlim=(-0.6, clusters.size - 0.4), ylim=(-0.6, counts.sum(axis=0).max() - 0.4), yticks=[])
    ax.set_xticks(range(clusters.size), [f"box {name}" for name in clusters])
    ax.spines["left"].set_visible(False)


@_drawn(size=(6.4, 3.6))
def score_curves(
    x: Sequence[float],
    scores: Mapping[str, Sequence[float]],
    *,
    xlabel: str = "number of clusters K",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw scores against a positive number that varies, one curve and one marker a score.

    Parameters
    ----------
    x
        The number, on a logarithmic axis.
    scores
        Name and values of each score.
    xlabel
        What the number is.
    ax
        Where to draw; a new figure if ``None``.
    """
    colours = [PALETTE[i] for i in (0, 2, 1, 4, 5, 6)]
    for i, (name, values) in enumerate(scores.items()):
        ax.plot(x, values, color=colours[i % 6], marker=MARKERS[i % 4], markersize=5, label=name)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set(xscale="log", xlabel=xlabel, ylabel="score", ylim=(-0.05, 1.05))
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.grid(axis="y")


@_drawn(size=(6.4, 3.8))
def lines(
    x: ArrayLike,
    values: Mapping[str, ArrayLike],
    *,
    xlabel: str = "",
    ylabel: str = "",
    diagonal: bool = False,
    legend: str = "upper left",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw one named curve for each entry of ``values`` (n,) over ``x`` (n,).

    Parameters
    ----------
    x
        Where the curves are known.
    values
        Name and height of each curve.
    xlabel, ylabel
        What the axes measure.
    diagonal
        Whether to draw the line of equal height and place, for maps from an interval to itself.
    legend
        Where to write the names, in matplotlib's words.
    ax
        Where to draw; a new figure if ``None``.
    """
    x, styles = _array(x), ("-", "--", ":", "-.")
    for i, (name, heights) in enumerate(values.items()):
        ax.plot(
            x, _array(heights), color=PALETTE[(0, 2, 1, 4)[i % 4]], linestyle=styles[i % 4], linewidth=2, label=name
        )
    if diagonal:
        ax.plot(x, x, color=INK, linewidth=0.8)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc=legend, fontsize=9.5)


@_drawn(size=(6.4, 3.8))
def score_scatter(
    runs: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    xlabel: str = "loss",
    ylabel: str = "ACC",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw one mark a run, a score over another number; a colour and a shape for each group of runs.

    Parameters
    ----------
    runs
        Name of each group, and for its runs (m,) the number and the score.
    xlabel, ylabel
        What the axes measure.
    ax
        Where to draw; a new figure if ``None``.
    """
    for i, (name, (number, score)) in enumerate(runs.items()):
        colour, marker = PALETTE[(0, 2, 1, 4, 5, 6)[i % 6]], MARKERS[i % 4]
        ax.scatter(_array(number), _array(score), s=44, color=colour, marker=marker, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.grid(axis="y")
    if len(runs) > 1:
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9.5)


@_drawn(size=(6.4, 3.0))
def histograms(
    samples: Mapping[str, ArrayLike],
    *,
    xlabel: str = "",
    marks: Mapping[str, float] | None = None,
    means: bool = False,
    n_bins: int = 60,
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw how a number is distributed in several samples, each with area one, and named places on the axis.

    Parameters
    ----------
    samples
        Name and values of each sample.
    xlabel
        What the number is.
    marks
        Name and place of vertical lines.
    means
        Whether to mark the mean of each sample in its colour.
    n_bins
        Bars, the same for all samples.
    ax
        Where to draw; a new figure if ``None``.
    """
    everything = np.concatenate([_array(values).ravel() for values in samples.values()])
    edges = np.histogram_bin_edges(everything, n_bins)
    for i, (name, values) in enumerate(samples.items()):
        colour = PALETTE[(0, 2, 1, 4)[i % 4]]
        ax.hist(_array(values).ravel(), edges, density=True, alpha=0.5, color=colour, label=name)
        if means:
            ax.axvline(_array(values).mean(), color=colour)
    for i, (name, place) in enumerate((marks or {}).items()):
        ax.axvline(place, color=INK, linestyle=("--", ":", "-.", "-")[i % 4], label=name)
    ax.set(xlabel=xlabel, yticks=[])
    ax.spines["left"].set_visible(False)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9.5)


@_drawn(size=(6.4, 3.0))
def heat_map(
    values: ArrayLike,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw a table (r, c) of numbers ≥ 0 as shades, white for zero and dark for its largest.

    Parameters
    ----------
    values
        The numbers.
    rows, columns
        Names; whole numbers from 0 if ``None``.
    xlabel, ylabel
        What columns and rows are.
    title
        Title of the axes.
    ax
        Where to draw; a new figure if ``None``.
    """
    values = _array(values)
    ax.imshow(values, cmap="Blues", vmin=0, vmax=float(values.max()) or 1.0, aspect="auto")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_yticks(range(values.shape[0]), range(values.shape[0]) if rows is None else rows)
    ax.set_xticks(range(values.shape[1]), range(values.shape[1]) if columns is None else columns)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.title.set_size(11)


def same_scale(axes: Iterable[Axes]) -> None:
    """Give several axes the limits that hold the contents of all, so that sizes can be compared by eye.

    Parameters
    ----------
    axes
        Axes that have been drawn on; equal aspects stay equal.
    """
    axes = list(np.ravel(axes))
    across, up = (np.array([getattr(ax, name)() for ax in axes]) for name in ("get_xlim", "get_ylim"))
    for ax in axes:
        if ax.get_aspect() != "auto":
            ax.set_aspect("equal", "box")
        ax.set(xlim=(across.min(), across.max()), ylim=(up.min(), up.max()))


def space_gallery(
    spaces: Mapping[str, ArrayLike], labels: ArrayLike, n_points: int = 600, *, same_axes: bool = False
) -> Figure:
    """Draw the first two coordinates of several spaces side by side, coloured by the same clusters.

    Parameters
    ----------
    spaces
        Title and points (n, d) of each space.
    labels : array-like (n,)
        Found clusters, the same in every panel.
    n_points
        How many points to draw: the first so many.
    same_axes
        Whether all panels have the same axes, so that sizes compare.
    """
    figure, axes = panels(1, len(spaces), (2.3 * len(spaces), 2.5))
    if same_axes:
        for ax in np.atleast_1d(axes)[1:]:
            ax.sharex(axes[0]), ax.sharey(axes[0])
    colours = np.array(PALETTE)[np.unique(labels, return_inverse=True)[1][:n_points] % len(PALETTE)]
    with rc_context(STYLE):
        for ax, (title, z) in zip(np.atleast_1d(axes), spaces.items(), strict=True):
            ax.scatter(*np.asarray(z)[:n_points, :2].T, s=5, c=colours, linewidths=0)
            ax.set_title(title, fontsize=9.5)
            ax.set(xticks=[], yticks=[])
    return figure


def clustering_grid(
    points: Mapping[str, ArrayLike],
    found: Mapping[str, Mapping[str, ArrayLike]],
    notes: Mapping[str, Mapping[str, str]] | None = None,
    side: float = 1.2,
) -> Figure:
    """Draw many clusterings as small maps: a row a data set, a column an algorithm, noise (−1) in grey.

    Parameters
    ----------
    points
        Name and points (n, 2) of each data set.
    found
        For each data set the clusters (n,) of each algorithm, by name; the same algorithms in every row.
    notes
        For each data set and algorithm a few characters to write below the map, e.g. a score.
    side
        Width of a map in inches.
    """
    names = list(next(iter(found.values())))
    figure, axes = panels(len(points), len(names), (side * len(names) + 0.3, side * len(points) + 0.3))
    figure.get_layout_engine().set(h_pad=0.02, w_pad=0.02)
    with rc_context(STYLE):
        for row, (data, x) in zip(np.reshape(axes, (len(points), len(names))), points.items(), strict=True):
            for ax, name in zip(row, names, strict=True):
                ax.scatter(*np.asarray(x).T, s=3, c=_by_size(np.asarray(found[data][name])), linewidths=0)
                ax.set(xticks=[], yticks=[])
                ax.set_xlabel((notes or {}).get(data, {}).get(name, ""), fontsize=9, labelpad=2)
            row[0].set_ylabel(data, fontsize=9.5)
        for ax, name in zip(figure.axes, names, strict=False):
            ax.set_title(name, fontsize=9.5, loc="center")
    return figure


def _by_size(labels: NDArray) -> NDArray:
    """Return a colour a point: the largest cluster has the first of the palette, points without a cluster are grey."""
    values, counts = np.unique(labels[labels >= 0], return_counts=True)
    colours = {k: PALETTE[rank % 10] for rank, k in enumerate(values[np.argsort(-counts, kind="stable")])}
    return np.array([colours.get(k, INK) for k in labels])


def push_gallery(
    z: ArrayLike,
    pushes: Mapping[str, ArrayLike],
    *,
    centroids: ArrayLike | None = None,
    n_columns: int = 3,
) -> Figure:
    """Draw where each loss pushes each point of the plane: an arrow a point, a panel a loss, thin lines through zero.

    Parameters
    ----------
    z : array-like (n, 2)
        Points.
    pushes
        Title and arrows (n, 2) of each panel, e.g. minus the gradient. In each panel the longest arrow has the same
        length on the page, so that lengths compare within a panel only.
    centroids : array-like (K, 2), optional
        Drawn as crosses.
    n_columns
        Panels in a row.
    """
    z, columns = _array(z), min(n_columns, len(pushes))
    rows = -(-len(pushes) // columns)
    figure, axes = panels(rows, columns, (2.6 * columns, 2.5 * rows))
    reach = 0.22 * float(np.ptp(z, axis=0).max())
    with rc_context(STYLE):
        for ax in np.ravel(axes)[len(pushes) :]:
            ax.set_visible(False)
        for ax, (title, arrows) in zip(np.ravel(axes), pushes.items(), strict=False):
            arrows = _array(arrows)
            arrows = arrows * reach / max(float(np.linalg.norm(arrows, axis=1).max()), 1e-12)
            ax.axhline(0, color=INK, linewidth=0.6, alpha=0.5)
            ax.axvline(0, color=INK, linewidth=0.6, alpha=0.5)
            ax.scatter(*z.T, s=9, color=INK, linewidths=0)
            ax.quiver(*z.T, *arrows.T, color=PALETTE[0], angles="xy", scale_units="xy", scale=1, width=0.008)
            if centroids is not None:
                ax.scatter(*_array(centroids).T, marker="x", color="black", s=45, linewidths=1.8, path_effects=_halo(3))
            ax.set(title=title, xticks=[], yticks=[], aspect="equal")
            ax.title.set_size(10)
            ax.margins(0.12)
    return figure


def line_panels(
    x: ArrayLike,
    values: Mapping[str, Mapping[str, ArrayLike]],
    *,
    xlabel: str = "",
    n_columns: int = 3,
    step: bool = False,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """Draw named curves over the same ``x`` (n,) in several panels, each with a scale and a legend of its own.

    Parameters
    ----------
    x
        Where the curves are known.
    values
        Title of each panel, and in it the name and height (n,) of each curve.
    xlabel
        What the horizontal axes measure.
    n_columns
        Panels in a row.
    step
        Whether a height holds until the next place, as a setting does, or the places are joined by straight lines.
    ylim
        Lowest and highest value of all panels; by default each has a scale of its own.
    """
    x, columns = _array(x), min(n_columns, len(values))
    rows = -(-len(values) // columns)
    figure, axes = panels(rows, columns, (3.0 * columns, 2.6 * rows) if len(values) > 1 else (5.0, 3.2))
    with rc_context(STYLE):
        for ax in np.ravel(axes)[len(values) :]:
            ax.set_visible(False)
        for ax, (title, curves_of) in zip(np.ravel(axes), values.items(), strict=False):
            for i, (name, heights) in enumerate(curves_of.items()):
                colour, style = PALETTE[(0, 2, 1, 4)[i % 4]], ("-", "--", ":", "-.")[i % 4]
                kind = {"drawstyle": "steps-post"} if step else {"marker": "o", "markersize": 3.5}
                ax.plot(x, _array(heights), color=colour, linestyle=style, label=name, **kind)
            ax.set(title=title, xlabel=xlabel)
            ax.title.set_size(10)
            ax.grid(axis="y")
            ax.margins(y=0.12)
            if ylim is not None:
                ax.set_ylim(*ylim)
            if len(curves_of) > 1:
                ax.legend(fontsize=9)
    return figure


def stage_bars(stages: Mapping[str, Sequence[tuple[str, float]]], *, xlabel: str = "epochs") -> Figure:
    """Draw what each method does one after the other: a row a method, a bar a stage, as long as it takes.

    Parameters
    ----------
    stages
        For each method the name and length of each stage, in order. A stage has one colour in all rows.
    xlabel
        What the length is.
    """
    figure, ax = panels(1, 1, (7.2, 0.9 + 0.36 * len(stages)))
    names = list(dict.fromkeys(stage for row in stages.values() for stage, _ in row))
    colours = {name: PALETTE[(0, 1, 2, 4, 3, 5)[i % 6]] for i, name in enumerate(names)}
    with rc_context(STYLE):
        for place, row in enumerate(stages.values()):
            start = 0.0
            for name, length in row:
                ax.barh(place, length, left=start, color=colours[name], edgecolor=INK, height=0.62, label=name)
                start += length
        ax.set_yticks(range(len(stages)), list(stages))
        ax.set(xlabel=xlabel, ylim=(len(stages) - 0.5, -0.5))
        ax.tick_params(axis="y", length=0)
        handles, labels = ax.get_legend_handles_labels()
        unique = dict(zip(labels, handles, strict=True))
        where = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
        ax.legend(unique.values(), unique.keys(), ncols=len(unique), fontsize=9.5, **where)
    return figure


class ScoreTable:
    """Rows of scores that a notebook shows as a table and a terminal as text.

    Parameters
    ----------
    rows
        Name of each row, and its columns by name. Text and whole numbers are shown as they are.
    digits
        Decimals of all other numbers.
    """

    def __init__(self, rows: Mapping[str, Mapping[str, object]], digits: int = 3) -> None:
        self.rows, self.digits = rows, digits

    def _cell(self, value: object) -> str:
        if not isinstance(value, float | np.floating):
            return str(value)
        return f"{round(float(value), self.digits) + 0.0:.{self.digits}f}"  # + 0.0: no minus before a zero

    def __repr__(self) -> str:
        columns = list(next(iter(self.rows.values())))
        lines = [["", *columns], ["---", *["---:"] * len(columns)]]
        lines += [[name, *map(self._cell, row.values())] for name, row in self.rows.items()]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    _repr_markdown_ = __repr__


# --------------------------------------------------------------------------------------------------
# The latent-space film
# --------------------------------------------------------------------------------------------------

FILM_BYTES = 300_000  # one film, standing alone
FILM_FRAMES = 40
ASPECT = 1.2  # width of the stage over its height
NO_CLUSTER = 255


@dataclass
class Frame:
    """One moment of training: codes z (n, d); clusters (n,) and centroids (K, d) if any; words."""

    z: NDArray
    labels: NDArray | None
    caption: str
    phase: str
    centroids: NDArray | None


@dataclass(frozen=True)
class FilmPage:
    """A finished film: an element where scripts run, its last frame elsewhere."""

    html: str
    png: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"<FilmPage, {len(self.html):,} bytes>"

    def _repr_html_(self) -> str:
        return self.html

    def _repr_png_(self) -> bytes:
        return self.png


class LatentFilm:
    """Collect codes while a network trains; show them as a film that the reader plays, scrubs and questions.

    Give it to an estimator as its ``callback``, or call :meth:`add` in a loop of your own. The film is one
    HTML element with a canvas and no library. It makes no request and needs no server.

    Parameters
    ----------
    x : array-like (n, D)
        The points that are being clustered. A sample of them is shown.
    shape
        Height, width and, if there is colour, 3, of the images in ``x``. ``None`` if they are not images: a
        point then shows its number and its cluster only.
    n_points
        Points in the film, drawn at random and kept in their order in ``x``.
    labels : array-like (n,), optional
        Clusters for the frames that bring none of their own.
    y : array-like (n,), optional
        True classes, whole numbers from 0. They colour the points when the reader asks; nothing else sees
        them.
    classes
        Names of the classes.
    random_state
        Seed of the sample.

    Attributes
    ----------
    index : ndarray (n_points,)
        Rows of ``x`` in the film.

    Raises
    ------
    ValueError
        If ``shape`` does not fit ``x``, or ``y`` or ``labels`` do not have one entry a point.

    Notes
    -----
    *Projection.* One linear map serves all frames, so that motion is motion of the codes and not of the eye:
    :func:`discriminant_axes` of the clusters found in the last frame, or :func:`pca_axes` if there are none.

    *Scale.* Codes may grow a hundredfold in training. The camera follows the median of the codes and the
    99.5 % quantile of their reach, whose logarithm is smoothed over neighbouring frames; a bar in the corner
    gives the scale.

    *Numbers.* Clusters keep the numbers of the last frame. An earlier frame is renumbered by its overlap
    with the next one only where that brings at least a tenth of the points into agreement.

    *Size.* The element stays under ``FILM_BYTES``. At most ``FILM_FRAMES`` frames are kept, the first and
    last of each phase among them. Then, until it fits: images lose grey levels, then half their side; frames
    go by fifths down to twelve, then points by fifths.

    Examples
    --------
    >>> film = LatentFilm(data.x, data.shape, y=data.y)              # doctest: +SKIP
    >>> DEC(n_clusters=10, callback=film).fit(data.x)                # doctest: +SKIP
    >>> film.show()                                                  # doctest: +SKIP
    """

    def __init__(
        self,
        x: ArrayLike,
        shape: Sequence[int] | None = (28, 28),
        n_points: int = 1000,
        labels: ArrayLike | None = None,
        y: ArrayLike | None = None,
        classes: Sequence[str] | None = None,
        random_state: int = 0,
    ) -> None:
        x = x if hasattr(x, "shape") else np.asarray(x)
        self.n, self.shape = len(x), None if shape is None else tuple(shape)
        if shape is not None and np.prod(shape) != np.prod(x.shape[1:]):
            raise ValueError(
                f"shape={self.shape} has {np.prod(shape)} pixels but a point of x has {np.prod(x.shape[1:])} "
                "values; pass shape=None for data that are not images."
            )
        if n_points < 1:
            raise ValueError(f"n_points={n_points}, but a film needs at least 1.")
        sample = np.random.default_rng(random_state).permutation(self.n)[:n_points]
        self.index = np.sort(sample)
        self.x = np.asarray(x[self.index])
        self.labels = None if labels is None else self._pick(labels, "labels").astype(int)
        self.y = None if y is None else self._pick(y, "y").astype(int)
        if self.y is not None and not 0 <= self.y.min() <= self.y.max() < NO_CLUSTER:
            raise ValueError(f"y lies in [{self.y.min()}, {self.y.max()}], but a film has classes 0 to 254.")
        names = range(0 if self.y is None else int(self.y.max()) + 1) if classes is None else classes
        self.classes = [str(name) for name in names]
        self.frames: list[Frame] = []
        self._epochs = -1

    def __len__(self) -> int:
        return len(self.frames)

    def __call__(self, model: Any) -> None:
        """Take a frame from an estimator in training: codes, clusters if there are any, last record."""
        centroids = getattr(model, "centroids_", None)
        final = centroids is not None and len(centroids) == getattr(model, "n_clusters", len(centroids))
        labels = model.predict(self.x) if final else None  # clusters of a round that is thrown away have no colour
        history = getattr(model, "history_", [])
        caption, phase = self._words(history, centroids is not None)
        self._epochs = len(history)
        self.add(model.transform(self.x), labels, caption, centroids, phase=phase)

    def _words(self, history: Sequence[Mapping[str, Any]], clustered: bool) -> tuple[str, str]:
        """Return caption and phase of a frame; a call with no new epoch is the start of a phase."""
        if not history:
            return "random network", ""
        record = history[-1]
        if len(history) == self._epochs:
            return ("clusters start" if clustered else "next phase starts"), ""
        words = [record["phase"], f"epoch {record['epoch']}", f"loss {record['loss']:.3g}"]
        if record.get("changed") is not None:
            words.append(f"{record['changed']:.1%} changed")
        return " · ".join(words), record["phase"]

    def add(
        self,
        z: ArrayLike,
        labels: ArrayLike | None = None,
        caption: str = "",
        centroids: ArrayLike | None = None,
        phase: str = "",
    ) -> None:
        """Add a frame.

        Parameters
        ----------
        z : array-like (n, d) or (n_points, d)
            Codes of all points, or of the rows ``film.index`` only.
        labels : array-like (n,) or (n_points,), optional
            Found clusters, from 0.
        caption
            What the reader sees above the frame.
        centroids : array-like (K, d), optional
            Cluster centres, drawn as crosses.
        phase
            Name of the phase, written under the slider; the next frame's if empty.

        Raises
        ------
        ValueError
            If lengths or widths do not fit, or a code is not finite.
        """
        z = self._pick(z, "z").astype(np.float32)
        if z.ndim != 2:
            raise ValueError(f"z has shape {z.shape}, but codes are (n, d).")
        if not np.isfinite(z).all():
            raise ValueError(f"z has {np.count_nonzero(~np.isfinite(z))} values that are not finite.")
        if self.frames and z.shape[1] != self.frames[0].z.shape[1]:
            raise ValueError(f"z has {z.shape[1]} dimensions, but the first frame has {self.frames[0].z.shape[1]}.")
        labels = self.labels if labels is None else self._pick(labels, "labels").astype(int)
        if labels is not None and not 0 <= labels.min() <= labels.max() < NO_CLUSTER:
            raise ValueError(f"labels lie in [{labels.min()}, {labels.max()}], but a film has clusters 0 to 254.")
        centroids = None if centroids is None else _array(centroids).astype(float)
        self.frames.append(Frame(z, labels, caption, phase, centroids))

    def watch(self, network: Any, x: Any, labels: ArrayLike | None = None, caption: str = "") -> None:
        """Add a frame of a network as it is now: its codes, and its centroids if it has any.

        Parameters
        ----------
        network
            Has an ``encoder``, and from some time on ``centroids`` (K, d).
        x : Tensor (n, D)
            All points, as the encoder reads them.
        labels : array-like (n,), optional
            Found clusters. They are shown while there are as many centroids as classes: the clusters of a round that is
            thrown away have no colour.
        caption
            What the reader sees above the frame.
        """
        centroids = getattr(network, "centroids", None)
        final = centroids is not None and len(centroids) == len(self.classes)
        self.add(network.encoder(x[self.index]), labels if final else None, caption, centroids)

    def _pick(self, values: ArrayLike, what: str) -> NDArray:
        """Return the film's rows of ``values``, which has a row for every point or for those rows only."""
        values = _array(values)
        if len(values) == len(self.index):
            return values
        if len(values) != self.n:
            raise ValueError(f"{what} has {len(values)} rows, but x has {self.n} and the film {len(self.index)}.")
        return values[self.index]

    def show(self) -> FilmPage:
        """Return the film as an object that a notebook shows.

        Raises
        ------
        ValueError
            If there is no frame.
        """
        return FilmPage(self._html(), self._png())

    def save(self, path: str | Path) -> Path:
        """Write the film as an HTML page that stands alone, and return its path."""
        path = Path(path)
        head = "<!doctype html>\n<html lang='en'>\n<meta charset='utf-8'>\n"
        head += "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        head += "<title>Latent-space film</title>\n"
        head += "<link rel='icon' href='data:,'>\n"
        head += "<style>:root { color-scheme: light dark } body { margin: 12px; font-family: sans-serif;"
        head += " background: light-dark(#fff, #121212); color: light-dark(#222, #ddd) }</style>\n"
        path.write_text(head + self._html() + "\n", encoding="utf-8")
        return path

    def _png(self) -> bytes:
        """Return the last frame as a small picture, for places that do not run scripts."""
        frames = self._numbered(self.frames)
        plane = project(frames[-1].z, self._axes())
        figure = latent_scatter(plane, frames[-1].labels, title=frames[-1].caption)
        figure.set_dpi(72)
        return _png(figure)

    def _axes(self) -> NDArray | None:
        end = self.frames[-1]
        if end.z.shape[1] <= 2:
            return None
        return pca_axes(end.z) if end.labels is None else discriminant_axes(end.z.astype(float), end.labels)

    def _html(self) -> str:
        """Return the element, made smaller by the documented rule until it fits."""
        if not self.frames:
            raise ValueError("the film has no frame: pass it as callback, or call film.add, before film.show.")
        frames = self._numbered(self.frames)
        for n_points, n_frames, quality in _ladder(len(self.index), len(frames)):
            html = _element(self._payload(frames, n_points, n_frames, quality))
            if len(html.encode()) <= FILM_BYTES:
                return html
        raise ValueError(f"the film does not fit in {FILM_BYTES} bytes.")

    @staticmethod
    def _numbered(frames: list[Frame]) -> list[Frame]:
        """Renumber clusters backwards from the last frame, where a frame's numbers are permuted."""
        out = [frames[-1]]
        for frame in frames[-2::-1]:
            labels, centroids = _follow(frame.labels, out[-1].labels, frame.centroids)
            out.append(Frame(frame.z, labels, frame.caption, frame.phase, centroids))
        return out[::-1]

    def _payload(self, frames: list[Frame], n_points: int, n_frames: int, quality: tuple[float, int]) -> dict[str, Any]:
        """Return all that the script needs, as numbers, words and two base64 strings."""
        phases = _fill_phases([frame.phase for frame in frames])
        kept = _thin(phases, n_frames)
        rows = np.linspace(0, len(self.index) - 1, n_points).round().astype(int)
        axes, shots = self._axes(), [frames[f] for f in kept]
        places, centres, halves = _camera(np.stack([project(shot.z, axes) for shot in shots]))
        steps, moves = _encode_moves(places[:, rows])
        groups = np.stack([np.full(len(self.index), NO_CLUSTER) if s.labels is None else s.labels for s in shots])[
            :, rows
        ]
        turns = np.diff(groups, axis=0, prepend=0).astype(np.uint8)  # modulo 256
        truth = b"" if self.y is None else self.y[rows].astype(np.uint8).tobytes()
        blob = zlib.compress(moves.transpose(0, 2, 1).tobytes() + turns.tobytes() + truth, 9)
        records = [{"caption": s.caption, "phase": phases[f], "step": step, "half": float(f"{half:.4g}")}
                   for f, s, step, half in zip(kept, shots, steps, halves, strict=True)]  # fmt: skip
        for record, shot, centre, half in zip(records, shots, centres, halves, strict=True):
            if shot.centroids is not None:
                record["centroids"] = ((project(shot.centroids, axes) - centre) / half).round(3).tolist()
        clustered = [f for f, s in enumerate(shots) if s.labels is not None]
        found = groups[groups != NO_CLUSTER]
        return {
            "n": n_points, "frames": records, "blob": base64.b64encode(blob).decode(), "palette": PALETTE,
            "clusters": int(found.max()) + 1 if found.size else 0, "first": clustered[0] if clustered else
            len(shots), "classes": self.classes if self.y is not None else None, "index":
            self.index[rows].tolist(), "sprite": None if self.shape is None else _sprite(self.x[rows],
            self.shape, *quality),
        }  # fmt: skip


def _array(values: ArrayLike) -> NDArray:
    """Return an array, from a tensor on any device too."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=figure.dpi, metadata={"Software": None})
    return out.getvalue()


def _ladder(n_points: int, n_frames: int) -> Iterator[tuple[int, int, tuple[float, int]]]:
    """Yield sizes of a film, the best first: (points, frames, (share of the image's side, grey levels))."""
    n_frames = min(n_frames, FILM_FRAMES)
    for levels in ((1.0, 16), (1.0, 8), (1.0, 4), (0.5, 16), (0.5, 8), (0.5, 4)):
        yield n_points, n_frames, levels
    while n_frames > 12:
        n_frames = max(12, n_frames * 4 // 5)
        yield n_points, n_frames, (0.5, 4)
    while n_points > 1:
        n_points = n_points * 4 // 5
        yield n_points, n_frames, (0.5, 4)


def _fill_phases(phases: list[str]) -> list[str]:
    """Give a frame without a phase that of the next frame that has one, else of the last."""
    out, following = [], ""
    for phase in phases[::-1]:
        following = phase or following
        out.append(following)
    named = [phase for phase in phases if phase]
    return [phase or (named[-1] if named else "") for phase in out[::-1]]


def _thin(phases: list[str], n_frames: int) -> list[int]:
    """Return at most ``n_frames`` frames, spread over each phase, its first and last among them."""
    if len(phases) <= n_frames:
        return list(range(len(phases)))
    starts = [f for f in range(len(phases)) if f == 0 or phases[f] != phases[f - 1]]
    runs = list(zip(starts, [*starts[1:], len(phases)], strict=True))
    if 2 * len(runs) > n_frames:
        return np.linspace(0, len(phases) - 1, n_frames).round().astype(int).tolist()
    spare, kept = n_frames - 2 * len(runs), []
    for start, stop in runs:
        share = 2 + int(spare * (stop - start) / len(phases))
        kept += np.unique(np.linspace(start, stop - 1, share).round().astype(int)).tolist()
    return kept


def _follow(labels: NDArray | None, later: NDArray | None, centroids: NDArray | None) -> tuple[Any, Any]:
    """Renumber ``labels`` to agree with the frame after it, if a tenth of the points agree only then."""
    if labels is None or later is None:
        return labels, centroids
    size = max(labels.max(), later.max()) + 1
    overlap = np.bincount(labels * size + later, minlength=size * size).reshape(size, size)
    order = linear_sum_assignment(overlap, maximize=True)[1]
    if overlap[range(size), order].sum() - np.trace(overlap) < 0.1 * len(labels):
        return labels, centroids
    if centroids is not None:
        centroids = centroids[np.argsort(order)] if len(centroids) == size else None
    return order[labels], centroids


def _camera(places: NDArray, smooth: float = 1.5) -> tuple[NDArray, NDArray, NDArray]:
    """Return places (F, n, 2) as a camera sees them, its centres (F, 2) and half-widths (F,)."""
    centres = np.median(places, axis=1)
    reach = np.abs(places - centres[:, None]) / (ASPECT, 1)
    own = np.maximum(np.quantile(reach.max(axis=2), 0.995, axis=1), 1e-9)
    halves = 1.12 * np.maximum(own, np.exp(gaussian_filter1d(np.log(own), smooth, mode="nearest")))
    seen = (places - centres[:, None]) / halves[:, None, None]
    return np.clip(seen, (-ASPECT * 0.98, -0.98), (ASPECT * 0.98, 0.98)), centres, halves


def _encode_moves(places: NDArray) -> tuple[list[float], NDArray]:
    """Code each frame as its change from the decoded frame before, in 8 bits times a step of its own.

    No error adds up: a place is off by at most half a step, and a step is 1/127 of the frame's largest move.
    """
    decoded, steps, moves = np.zeros_like(places[0]), [], np.empty(places.shape, np.int8)
    for f, place in enumerate(places):
        step = float(f"{max(np.abs(place - decoded).max() / 127, 1e-6):.5g}")
        moves[f] = np.clip(np.rint((place - decoded) / step), -127, 127)
        decoded = decoded + step * moves[f]
        steps.append(step)
    return steps, moves


def _sprite(x: NDArray, shape: tuple[int, ...], share: float, levels: int) -> dict[str, Any]:
    """Lay all images out on one sheet, sides at most 32 pixels: PNG if grey, JPEG if coloured."""
    low, high = float(x.min()), float(x.max())
    images = ((x.reshape(-1, *shape) - low) / max(high - low, 1e-12) * 255).round().astype(np.uint8)
    if len(shape) == 3 and shape[2] == 1:
        images = images[..., 0]
    share = min(share, 32 * share / max(shape[:2]))
    side = (max(1, round(shape[1] * share)), max(1, round(shape[0] * share)))  # width, height
    small = [Image.fromarray(image).resize(side, Image.Resampling.BOX) for image in images]
    columns = int(np.ceil(np.sqrt(len(small))))
    sheet = Image.new(small[0].mode, (columns * side[0], -(-len(small) // columns) * side[1]))
    for i, image in enumerate(small):
        sheet.paste(image, (i % columns * side[0], i // columns * side[1]))
    zoom = 96 / max(side)
    source = _jpeg(sheet, levels) if sheet.mode == "RGB" else _grey_png(sheet, levels)
    return {
        "src": source,
        "w": side[0],
        "h": side[1],
        "columns": columns,
        "show": [round(s * zoom) for s in side],
    }


def _grey_png(sheet: Image.Image, levels: int) -> str:
    """Return a grey sheet as a PNG address with a palette of ``levels`` greys."""
    index = _paletted(sheet, levels)
    out = io.BytesIO()
    index.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def _paletted(sheet: Image.Image, levels: int) -> Image.Image:
    rank = (np.asarray(sheet) * ((levels - 1) / 255)).round().astype(np.uint8)
    image = Image.frombytes("P", sheet.size, rank.tobytes())
    image.putpalette(np.repeat(np.linspace(0, 255, levels).round().astype(np.uint8), 3).tolist())
    return image


def _jpeg(sheet: Image.Image, levels: int) -> str:
    """Return a coloured sheet as a JPEG address, of a quality that follows ``levels``."""
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality={16: 75, 8: 55, 4: 35}[levels], optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _asset(name: str) -> str:
    """Return a file of ``dclib/assets`` without its indents and its lines of comment."""
    text = Path(__file__).with_name("assets").joinpath(name).read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))


def _element(payload: dict[str, Any]) -> str:
    """Return the HTML element of a film; its id is a digest of what it shows."""
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    text = json.dumps({"id": name, **payload}, separators=(",", ":"), ensure_ascii=False)
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return (
        f'<div class="dclib-film" id="film-{name}" role="group" aria-label="Film of the latent space">'
        f"<style>{_asset('film.css')}</style>"
        '<p class="film-wait">This film plays once the notebook is trusted or run.</p>'
        f"<script>{_asset('film.js')}({text}, document.currentScript)</script></div>"
    )

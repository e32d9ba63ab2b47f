"""Codes in the plane: projections, scatter plots of clusters, galleries of spaces, clusterings and forces."""

from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from dclib.plots.style import INK, MARKERS, PALETTE, STYLE, as_array, drawn, halo, panels


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


@drawn((6.0, 4.8))
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
            path_effects=halo(3),
        )
    ax.set(
        title=title,
        xticks=[],
        yticks=[],
        xlabel="" if axes is None else "first two principal directions of z",
    )
    ax.set_aspect("equal", "datalim")
    ax.spines[:].set_visible(False)


@drawn((5.6, 4.2))
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
        ax.scatter(*project(cross, axes).T, marker="x", color="black", s=70, linewidths=2, path_effects=halo(4))
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
    z, columns = as_array(z), min(n_columns, len(pushes))
    rows = -(-len(pushes) // columns)
    figure, axes = panels(rows, columns, (2.6 * columns, 2.5 * rows))
    reach = 0.22 * float(np.ptp(z, axis=0).max())
    with rc_context(STYLE):
        for ax in np.ravel(axes)[len(pushes) :]:
            ax.set_visible(False)
        for ax, (title, arrows) in zip(np.ravel(axes), pushes.items(), strict=False):
            arrows = as_array(arrows)
            arrows = arrows * reach / max(float(np.linalg.norm(arrows, axis=1).max()), 1e-12)
            ax.axhline(0, color=INK, linewidth=0.6, alpha=0.5)
            ax.axvline(0, color=INK, linewidth=0.6, alpha=0.5)
            ax.scatter(*z.T, s=9, color=INK, linewidths=0)
            ax.quiver(*z.T, *arrows.T, color=PALETTE[0], angles="xy", scale_units="xy", scale=1, width=0.008)
            if centroids is not None:
                ax.scatter(
                    *as_array(centroids).T, marker="x", color="black", s=45, linewidths=1.8, path_effects=halo(3)
                )
            ax.set(title=title, xticks=[], yticks=[], aspect="equal")
            ax.title.set_size(10)
            ax.margins(0.12)
    return figure

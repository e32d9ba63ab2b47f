"""Images on one sheet: samples, clusters row by row, reconstructions below their originals."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from dclib.plots.style import Picture, drawn


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


@drawn()
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


@drawn()
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


@drawn()
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

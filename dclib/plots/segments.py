"""Pictures cut into regions: borders over the picture, over mean colours, or over colours of the book's palette."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from dclib.checks import one_of
from dclib.plots.style import PALETTE, drawn, panels
from dclib.segments import region_means

FILLS = ("picture", "mean", "palette")


@drawn(size=(4.6, 3.2))
def segmentation(
    image: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    fill: str = "mean",
    title: str = "",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw a picture with the borders of its regions.

    Parameters
    ----------
    image : array-like (H, W, 3)
        Colours from 0 to 1.
    labels : array-like (H, W), optional
        Number of each pixel's region; without them the picture alone.
    fill
        What lies between the borders: the ``"picture"``, the ``"mean"`` colour of each label, or colours of the
        ``"palette"`` through which the picture shows.
    title
        Title of the axes.
    ax
        Where to draw; a new figure if ``None``.

    Raises
    ------
    ValueError
        If ``labels`` are not of the picture's height and width, or ``fill`` is unknown.
    """
    image = np.asarray(image, dtype=float)
    if labels is None:
        labels, fill = np.zeros(image.shape[:2], dtype=int), "picture"
    labels = np.asarray(labels)
    if labels.shape != image.shape[:2]:
        raise ValueError(f"labels have shape {labels.shape}, and the picture {image.shape[:2]}.")
    ax.imshow(filled(image, labels, fill), interpolation="antialiased")
    lines = borders(labels)
    thin = np.clip(10 * sum(labels.shape) / max(len(lines), 1), 0.4, 1)  # where there are many borders
    for colour, width in (("#1a1a1a", 1.4), ("white", 0.6)):  # white on dark: seen on any colour
        ax.add_collection(LineCollection(lines, colors=colour, linewidths=thin * width, capstyle="round", snap=False))
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, size=10)
    ax.spines[:].set_visible(False)


def segmentations(
    image: ArrayLike,
    found: Mapping[str, ArrayLike | None],
    *,
    fill: str = "mean",
    n_columns: int = 3,
    width: float = 2.5,
    n_colours: int | None = 256,
) -> Figure:
    """Draw several segmentations of one picture, or of several, in panels.

    Parameters
    ----------
    image : array-like (H, W, 3) or (n, H, W, 3)
        One picture for all panels, or one a panel.
    found
        Title and labels (H, W) of each panel; ``None`` shows the picture.
    fill
        As in :func:`segmentation`.
    n_columns
        Panels in a row.
    width
        Of a panel, in inches.
    n_colours
        Most colours of the figure's file, up to 256; ``None`` keeps all, for pictures with soft slopes.
    """
    images = np.asarray(image, dtype=float)
    images = images if images.ndim == 4 else np.broadcast_to(images, (len(found), *images.shape))
    columns = min(n_columns, len(found))
    rows = -(-len(found) // columns)
    figure, axes = panels(
        rows, columns, (width * columns, (width * images.shape[1] / images.shape[2] + 0.32) * rows + 0.05)
    )
    figure.n_colours = n_colours
    for ax in np.ravel(axes)[len(found) :]:
        ax.set_visible(False)
    for ax, own, (title, labels) in zip(np.ravel(axes), images, found.items(), strict=False):
        segmentation(own, labels, fill=fill, title=title, ax=ax)
    return figure


def filled(image: NDArray, labels: NDArray, fill: str) -> NDArray:
    """Return the picture (H, W, 3) that lies below the borders."""
    if one_of(fill, FILLS, "fill") == "picture":
        return image
    _, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(labels.shape)
    if fill == "palette":
        colours = np.array([to_rgb(colour) for colour in PALETTE])
        return 0.7 * colours[numbers % len(colours)] + 0.3 * image.mean(axis=2, keepdims=True)
    return region_means(image, numbers)[numbers]


def borders(labels: NDArray) -> NDArray:
    """Return the sides of pixels (m, 2, 2), in x and y, at which the label changes."""
    rows, columns = np.nonzero(labels[1:] != labels[:-1])
    lying = np.stack([np.c_[columns - 0.5, rows + 0.5], np.c_[columns + 0.5, rows + 0.5]], axis=1)
    rows, columns = np.nonzero(labels[:, 1:] != labels[:, :-1])
    upright = np.stack([np.c_[columns + 0.5, rows - 0.5], np.c_[columns + 0.5, rows + 0.5]], axis=1)
    return np.concatenate([lying, upright])

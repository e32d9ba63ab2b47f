"""The book's style: colours for both pages, figures outside pyplot, and what every drawing function shares."""

import io
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import numpy as np
from cycler import cycler
from matplotlib import rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

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
    """A figure outside pyplot that a notebook shows when it is a cell's last value.

    Attributes
    ----------
    n_colours : int or None
        Most colours of its file, up to 256; with few, that of a photograph is a quarter as large.
    """

    n_colours: int | None = None

    def _repr_png_(self) -> bytes:
        return as_png(self) if self.n_colours is None else with_colours(as_png(self), self.n_colours)


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


def drawn(size: tuple[float, float] = (6.4, 4.0)) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a drawing function the style, and a figure of its own when it is called without ``ax``.

    Parameters
    ----------
    size
        Width and height of that figure in inches.

    Examples
    --------
    >>> @drawn((4, 3))
    ... def dots(x, *, ax):
    ...     ax.plot(x, "o")
    """

    def decorate(draw: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(draw)
        def wrapper(*args: Any, ax: Axes | None = None, **options: Any) -> Figure | Axes:
            figure, own = (None, ax) if ax is not None else panels(size=size)
            with rc_context(STYLE):
                draw(*args, ax=own, **options)
            return own if figure is None else figure

        return wrapper

    return decorate


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


def halo(width: float) -> list[Any]:
    """Return the path effects of a white rim, ``width`` points wide, that sets a mark off from what is below it."""
    return [withStroke(linewidth=width, foreground="white")]


def as_array(values: ArrayLike) -> NDArray:
    """Return an array, from a tensor on any device too."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def as_png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file, the same bytes each time."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=figure.dpi, metadata={"Software": None})
    return out.getvalue()


def with_colours(png: bytes, n_colours: int) -> bytes:
    """Return a PNG file with at most ``n_colours`` colours, 1 … 256, and the same bytes each time."""
    from PIL import Image

    out = io.BytesIO()
    few = Image.open(io.BytesIO(png)).convert("RGBA").quantize(n_colours, Image.Quantize.FASTOCTREE)
    few.save(out, format="png", optimize=True)
    return out.getvalue()

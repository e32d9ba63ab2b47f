"""Scores as pictures and tables: classes against clusters, seeds beside published figures, rows of numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from dclib.metrics import clustering_accuracy, contingency
from dclib.plots.style import INK, MARKERS, PALETTE, Picture, as_array, drawn


class ScoreTable:
    """Rows of scores that a notebook shows as a table and a terminal as text.

    Parameters
    ----------
    rows
        Name of each row, and its columns by name. Text and whole numbers are shown as they are.
    digits
        Decimals of all other numbers, or of those in some columns by name; 3 in the others.
    """

    def __init__(self, rows: Mapping[str, Mapping[str, object]], digits: int | Mapping[str, int] = 3) -> None:
        self.rows, self.digits = rows, digits

    def _cell(self, column: str, value: object) -> str:
        if not isinstance(value, float | np.floating):
            return str(value)
        digits = self.digits if isinstance(self.digits, int) else self.digits.get(column, 3)
        return f"{round(float(value), digits) + 0.0:.{digits}f}"  # + 0.0: no minus before a zero

    def _is_prose(self, column: str) -> bool:
        """Whether a column holds sentences, which begin at the left, and no scores."""
        return max(len(str(row[column])) for row in self.rows.values()) > 40

    def __repr__(self) -> str:
        columns = list(next(iter(self.rows.values())))
        sides = ["---" if self._is_prose(column) else "---:" for column in columns]
        lines = [["", *columns], ["---", *sides]]
        lines += [
            [name, *(self._cell(column, value) for column, value in row.items())] for name, row in self.rows.items()
        ]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

    _repr_markdown_ = __repr__


@drawn((6.2, 4.8))
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


@drawn()
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
    how = {"ncols": 3, "fontsize": 9.5}
    if isinstance(ax.figure, Picture) and len(ax.figure.axes) == 1:
        ax.figure.set_size_inches(6.4, 1.5 + 0.6 * len(scores))
        ax.figure.legend(unique.values(), unique.keys(), loc="outside upper center", **how)  # names may be long
    else:
        ax.legend(unique.values(), unique.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.0), **how)


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


@drawn(size=(6.4, 3.6))
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


@drawn(size=(6.4, 3.8))
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
        ax.scatter(as_array(number), as_array(score), s=44, color=colour, marker=marker, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.grid(axis="y")
    if len(runs) > 1:
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9.5)

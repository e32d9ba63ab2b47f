"""Numbers as curves and bars: the history of a training, functions, distributions, the stages of a method."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from dclib.plots.style import INK, PALETTE, STYLE, as_array, drawn, panels


def curves(history: Sequence[Mapping[str, Any]], *, size: tuple[float, float] | None = None) -> Figure:
    """Draw the loss of each phase and its parts and, where there are clusters, the share of points that change theirs.

    Parameters
    ----------
    history : sequence of dict
        ``model.history_``: one record an epoch with phase, epoch, loss, the named ``losses`` it is made of and, if
        there are clusters, changed. Of several named losses each has its own line, before it is weighted.
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
            records = [r for r in history if r["phase"] == phase]
            _curve(axes[k], [(r["epoch"], r["loss"]) for r in records], PALETTE[0], f"{phase}: loss")
            _named_losses(axes[k], records)
        for phase, colour in zip(refined, (PALETTE[6], PALETTE[4]), strict=False):
            part = [(r["epoch"], r["changed"]) for r in history if r["phase"] == phase and r.get("changed") is not None]
            _curve(axes[-1], part, colour, "changed cluster")
            if len(refined) > 1:
                at = part[min(1, len(part) - 1)]
                axes[-1].annotate(phase, at, (6, -4), textcoords="offset points", color=INK, size=9)
        if refined:
            axes[-1].yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
            axes[-1].set_ylim(0, 1.08 * max(r.get("changed") or 0.01 for r in history))
    return figure


def _named_losses(ax: Axes, records: Sequence[Mapping[str, Any]]) -> None:
    """Draw the parts of a loss beside it, if there are several."""
    names = list(dict.fromkeys(name for record in records for name in record.get("losses", {})))
    if len(names) < 2:
        return
    ax.lines[0].set_label("loss")
    for name, colour, dashes in zip(names, PALETTE[1:], ("--", ":", "-.") * 3, strict=False):
        part = [(r["epoch"], r["losses"][name]) for r in records if name in r["losses"]]
        label = f"${name.replace('_', '_{', 1)}}}$" if "_" in name else name  # L_R with its index
        ax.plot(*zip(*part, strict=True), dashes, color=colour, label=label, marker=".")
    ax.legend(fontsize=9, frameon=False)


def _curve(ax: Axes, points: Sequence[tuple[float, float]], colour: str, title: str) -> None:
    ax.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3.5)
    ax.set(title=title, xlabel="epoch")
    ax.title.set_size(11)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(axis="y")


@drawn(size=(6.4, 3.8))
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
    x, styles = as_array(x), ("-", "--", ":", "-.")
    for i, (name, heights) in enumerate(values.items()):
        ax.plot(
            x, as_array(heights), color=PALETTE[(0, 2, 1, 4)[i % 4]], linestyle=styles[i % 4], linewidth=2, label=name
        )
    if diagonal:
        ax.plot(x, x, color=INK, linewidth=0.8)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(loc=legend, fontsize=9.5)


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
    x, columns = as_array(x), min(n_columns, len(values))
    rows = -(-len(values) // columns)
    figure, axes = panels(rows, columns, (3.0 * columns, 2.6 * rows) if len(values) > 1 else (5.0, 3.2))
    with rc_context(STYLE):
        for ax in np.ravel(axes)[len(values) :]:
            ax.set_visible(False)
        for ax, (title, curves_of) in zip(np.ravel(axes), values.items(), strict=False):
            for i, (name, heights) in enumerate(curves_of.items()):
                colour, style = PALETTE[(0, 2, 1, 4)[i % 4]], ("-", "--", ":", "-.")[i % 4]
                kind = {"drawstyle": "steps-post"} if step else {"marker": "o", "markersize": 3.5}
                ax.plot(x, as_array(heights), color=colour, linestyle=style, label=name, **kind)
            ax.set(title=title, xlabel=xlabel)
            ax.title.set_size(10)
            ax.grid(axis="y")
            ax.margins(y=0.12)
            if ylim is not None:
                ax.set_ylim(*ylim)
            if len(curves_of) > 1:
                ax.legend(fontsize=9)
    return figure


@drawn(size=(6.8, 3.4))
def dot_plot(
    x: ArrayLike,
    labels: ArrayLike,
    columns: Sequence[str],
    *,
    unit: str = "mean",
    what: str = "share of cells",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw each feature in each cluster as a dot: as large as the share of points that have it, as dark as its mean.

    Parameters
    ----------
    x
        Values from 0 on (n, m); a point has what is above 0.
    labels
        The cluster of each point (n,): a row each.
    columns
        Names of the m features.
    unit
        What the colour means.
    what
        What the size means.
    ax
        Where to draw; a new figure if ``None``.

    Raises
    ------
    ValueError
        If there are not as many labels as points, or names as features.
    """
    x, labels = as_array(x), as_array(labels)
    if x.shape != (len(labels), len(columns)):
        raise ValueError(f"x has shape {x.shape}; {len(labels)} labels and {len(columns)} names do not fit it.")
    rows = np.unique(labels)
    share, mean = (np.array([f(x[labels == row]) for row in rows]) for f in (_share_above_zero, _mean))
    places = np.meshgrid(range(len(columns)), range(len(rows)))
    how = {"cmap": "cividis_r", "edgecolors": INK, "linewidths": 0.5}
    dots = ax.scatter(*places, s=170 * share.ravel(), c=mean.ravel(), **how)
    ax.set_xticks(range(len(columns)), columns, rotation=60, ha="right", rotation_mode="anchor", fontsize=9)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlim=(-0.7, len(columns) - 0.3), ylim=(len(rows) - 0.4, -0.6))
    ax.figure.colorbar(dots, ax=ax, label=unit, shrink=0.7)
    for part in (0.1, 0.5, 1.0):
        ax.scatter([], [], s=170 * part, color=INK, label=f"{part:.0%}")
    ax.legend(title=what, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9, title_fontsize=9)


def _share_above_zero(x: NDArray) -> NDArray:
    return (x > 0).mean(axis=0)


def _mean(x: NDArray) -> NDArray:
    return x.mean(axis=0)


@drawn(size=(6.4, 3.0))
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
    everything = np.concatenate([as_array(values).ravel() for values in samples.values()])
    edges = np.histogram_bin_edges(everything, n_bins)
    for i, (name, values) in enumerate(samples.items()):
        colour = PALETTE[(0, 2, 1, 4)[i % 4]]
        ax.hist(as_array(values).ravel(), edges, density=True, alpha=0.5, color=colour, label=name)
        if means:
            ax.axvline(as_array(values).mean(), color=colour)
    for i, (name, place) in enumerate((marks or {}).items()):
        ax.axvline(place, color=INK, linestyle=("--", ":", "-.", "-")[i % 4], label=name)
    ax.set(xlabel=xlabel, yticks=[])
    ax.spines["left"].set_visible(False)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9.5)


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

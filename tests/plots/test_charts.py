"""Curves and bars: one for each thing they show, where it belongs."""

import numpy as np
import pytest

from dclib import plots

HISTORY = [
    *({"phase": "pretrain", "epoch": e, "loss": 1 / e, "seconds": 1.0, "changed": None} for e in range(1, 5)),
    *({"phase": "refine", "epoch": e, "loss": 0.1 / e, "seconds": 1.0, "changed": 0.1 / e} for e in range(1, 6)),
]


def test_curves_has_a_panel_a_phase_and_one_for_the_label_change() -> None:
    assert [ax.get_title("left") for ax in plots.curves(HISTORY).axes] == [
        "pretrain: loss",
        "refine: loss",
        "changed cluster",
    ]
    assert len(plots.curves(HISTORY[:4]).axes) == 1


def test_named_losses_have_their_own_lines_where_there_are_several() -> None:
    parts = [{"L_R": 1 / e, "L_C": 0.1 * e} for e in (1, 2, 3)]
    history = [{"phase": "refine", "epoch": e, "loss": 1.0, "losses": part} for e, part in enumerate(parts, 1)]
    (ax,) = plots.curves(history).axes
    assert [line.get_ydata().tolist() for line in ax.lines[1:]] == [[1, 1 / 2, 1 / 3], [0.1, 0.2, 0.1 * 3]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["loss", "$L_{R}$", "$L_{C}$"]
    (alone,) = plots.curves([record | {"losses": {"L_R": 1.0}} for record in history]).axes
    assert len(alone.lines) == 1 and alone.get_legend() is None, "one name is the loss itself"


def test_dot_plot_shows_share_and_mean_of_each_cluster() -> None:
    x = np.array([[0, 2.0], [4, 2.0], [0, 0.0], [0, 1.0]])
    ax = plots.dot_plot(x, [5, 5, 7, 7], ["a", "b"]).axes[0]
    dots = ax.collections[0]
    np.testing.assert_allclose(dots.get_sizes() / 170, [0.5, 1, 0, 0.5])
    np.testing.assert_allclose(dots.get_array(), [2, 2, 0, 0.5])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["5", "7"]
    with pytest.raises(ValueError, match=r"shape \(4, 2\); 4 labels and 1 names"):
        plots.dot_plot(x, [5, 5, 7, 7], ["a"])


def test_label_change_has_one_curve_a_phase() -> None:
    both = [{"phase": phase, "epoch": e, "loss": 1.0, "changed": 0.1 / e} for phase in ("a", "b") for e in (1, 2, 3)]
    last = plots.curves(both).axes[-1]
    assert [line.get_xdata().tolist() for line in last.lines] == [[1, 2, 3], [1, 2, 3]]
    assert [text.get_text() for text in last.texts] == ["a", "b"]


def test_lines_draws_every_curve_and_the_diagonal() -> None:
    x = np.linspace(0, 1, 5)
    figure = plots.lines(x, {"square": x**2, "root": x**0.5}, xlabel="x", ylabel="y", diagonal=True)
    ax = figure.axes[0]
    assert [line.get_label() for line in ax.lines[:2]] == ["square", "root"] and len(ax.lines) == 3
    np.testing.assert_allclose(ax.lines[0].get_ydata(), x**2)
    assert ax.get_xlabel() == "x" and [text.get_text() for text in ax.get_legend().get_texts()] == ["square", "root"]


def test_lines_puts_its_names_where_it_is_told() -> None:
    figure = plots.lines([0, 1], {"a": [0, 1]}, legend="lower right")
    assert figure.axes[0].get_legend()._loc == 4  # matplotlib's number of that corner


def test_line_panels_has_a_legend_where_there_are_several_curves() -> None:
    figure = plots.line_panels([0, 1], {"a": {"one": [1, 2], "two": [2, 1]}, "b": {"one": [3, 3]}}, step=True)
    assert [len(ax.lines) for ax in figure.axes] == [2, 1]
    assert [ax.get_legend() is None for ax in figure.axes] == [False, True]
    assert plots.line_panels([0, 1], {"a": {"one": [1, 2]}}, ylim=(0, 3)).axes[0].get_ylim() == (0, 3)


def test_histograms_have_area_one_and_share_their_edges() -> None:
    ax = plots.histograms({"a": np.arange(10.0), "b": np.full(40, 3.0)}, marks={"here": 2.0}, n_bins=9).axes[0]
    areas = [sum(bar.get_width() * bar.get_height() for bar in bars) for bars in ax.containers]
    assert areas == pytest.approx([1, 1]) and [len(bars) for bars in ax.containers] == [9, 9]
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"a", "b", "here"}
    assert [line.get_xdata()[0] for line in ax.lines] == [2.0]
    marked = plots.histograms({"a": np.arange(10.0), "b": np.full(40, 3.0)}, means=True).axes[0]
    assert [line.get_xdata()[0] for line in marked.lines] == [4.5, 3.0]


def test_stage_bars_follow_each_other_in_one_colour_a_name() -> None:
    ax = plots.stage_bars({"a": [("first", 2), ("second", 3)], "b": [("second", 4)]}).axes[0]
    spans = [(bar.get_x(), bar.get_width()) for bar in ax.patches]
    assert spans == [(0, 2), (2, 3), (0, 4)]
    assert ax.patches[1].get_facecolor() == ax.patches[2].get_facecolor() != ax.patches[0].get_facecolor()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["first", "second"]

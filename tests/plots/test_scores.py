"""Scores: matches on the diagonal, every run a mark, no unknown method, numbers rounded."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dclib import plots

Y = load_digits().target


def test_confusion_puts_matches_on_the_diagonal() -> None:
    figure = plots.confusion(Y, (Y + 3) % 10)
    assert figure.axes[0].get_title("left") == "ACC 1.000"
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == [str((k + 3) % 10) for k in range(10)]


def test_confusion_takes_more_clusters_than_classes_and_fewer() -> None:
    assert plots.confusion(Y, np.arange(len(Y)) % 13).axes[0].get_xticks().size == 13
    assert plots.confusion(Y, Y // 2).axes[0].get_yticks().size == 10


def test_seeds_plot_refuses_an_unknown_method() -> None:
    with pytest.raises(ValueError, match="ghost"):
        plots.seeds_plot({"a": [1.0]}, published={"ghost": 0.5})


def test_score_scatter_has_a_mark_a_run_and_a_legend_for_several_groups() -> None:
    runs = {"ten": ([0.1, 0.2, 0.3], [0.5, 0.7, 0.6]), "forty": ([0.05, 0.06], [0.4, 0.5])}
    ax = plots.score_scatter(runs, xlabel="error").axes[0]
    assert [group.get_offsets().tolist() for group in ax.collections] == [
        [list(pair) for pair in zip(*group, strict=True)] for group in runs.values()
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ten", "forty"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("error", "ACC")
    assert plots.score_scatter({"ten": runs["ten"]}).axes[0].get_legend() is None


def test_score_table_rounds_floats_only() -> None:
    assert "| a | 0.123 | 7 |" in repr(plots.ScoreTable({"a": {"ACC": 0.12345, "K": 7}}))


def test_a_column_may_have_its_own_decimals():
    table = plots.ScoreTable({"a": {"points": 14.71, "p": 0.0625}}, digits={"points": 1, "p": 4})
    assert repr(table).splitlines()[-1] == "| a | 14.7 | 0.0625 |"
    assert "0.062 |" in repr(plots.ScoreTable({"a": {"points": 14.71, "p": 0.0625}}, digits={"points": 1}))


def test_a_bar_in_a_name_does_not_end_its_cell():
    table = repr(plots.ScoreTable({"a | b": {"H(Y | X)": 0.5}}))
    assert table.splitlines()[0] == r"|  | H(Y \| X) |" and table.splitlines()[2] == r"| a \| b | 0.500 |"

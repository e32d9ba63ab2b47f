"""The study of single cells: a tiny run of each row, and the counts that scanpy's cells hold."""

import numpy as np
import pytest

from benchmarks import single_cells
from dclib.cells import TISSUES


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(single_cells, "N_CELLS", 60)
    monkeypatch.setattr(single_cells, "STEPS", 2)
    monkeypatch.setattr(single_cells, "REFINED", 1)
    single_cells.cells.cache_clear()
    yield
    single_cells.cells.cache_clear()


@pytest.mark.parametrize("row", ["PCA + k-means", *single_cells.ROWS, single_cells.NOISY])
def test_a_row_has_its_scores(row, tiny):
    scores = single_cells.measure(row, "some dropout", 0)
    assert set(scores) == {"acc", "nmi", "ari", "clusters", "F1 of the rarest"}
    assert 1 <= scores["clusters"] <= 6 and -0.5 <= scores["ari"] <= 1


def test_rows_are_those_that_the_chapter_shows():
    assert len(single_cells.RUNS) == len(set(single_cells.RUNS))
    assert {data for _, data in single_cells.RUNS} == {*TISSUES, single_cells.PBMC, single_cells.UNSEEN}


def test_f1_of_the_rarest_type():
    types = np.array([0] * 8 + [1] * 2)
    assert single_cells.rarest(types, types) == 1
    assert single_cells.rarest(types, np.zeros(10, int)) == pytest.approx(2 * 2 / 12)
    assert single_cells.rarest(types, np.array([0] * 7 + [1] * 3)) == pytest.approx(4 / 5)


def test_the_standard_recipe_and_the_counts_inside_scanpy(tiny):
    pytest.importorskip("scanpy", reason='the extra "cells" is not installed')
    counts, types, louvain = single_cells.pbmc()
    assert counts.shape == (700, single_cells.N_GENES) and len(types) == len(louvain) == 700
    assert counts.min() == 0 and counts.dtype == np.int32
    scores = single_cells.measure("PCA + Leiden", "no dropout", 0)
    assert {f"ari at {r}" for r in single_cells.RESOLUTIONS} < set(scores)

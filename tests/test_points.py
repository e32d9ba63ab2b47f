"""Points in memory and in maps: the same rows either way, and pages are let go."""

import numpy as np
import pytest
import torch

from dclib import points

X = np.random.default_rng(0).normal(size=(500, 30)).astype(np.float32)
CPU = torch.device("cpu")


@pytest.fixture
def mapped(tmp_path, monkeypatch) -> np.memmap:
    """X as a memory map that counts as large."""
    monkeypatch.setattr(points, "IN_MEMORY", 0)
    np.save(tmp_path / "x.npy", X)
    return np.load(tmp_path / "x.npy", mmap_mode="r")


def test_rows_read_what_the_tensor_holds(mapped):
    whole, rows = points.on_device(X, 2.0, CPU), points.on_device(mapped, 2.0, CPU)
    assert isinstance(whole, torch.Tensor) and isinstance(rows, points.Rows)
    assert len(rows) == 500 and rows.shape == (500, 30) and rows[:3].dtype == torch.float32
    index = torch.tensor([7, 3, 499, 7])
    assert torch.equal(rows[index], whole[index]) and torch.equal(rows[10:20], whole[10:20])
    assert torch.equal(whole, torch.as_tensor(X / np.float32(2.0)))


def test_rows_are_copies(mapped):
    rows = points.on_device(mapped, 1.0, CPU)
    rows[:5].zero_()
    assert torch.equal(rows[:5], torch.as_tensor(X[:5]))


def test_a_small_map_goes_into_memory(tmp_path):
    np.save(tmp_path / "x.npy", X)
    assert isinstance(points.on_device(np.load(tmp_path / "x.npy", mmap_mode="r"), 1.0, CPU), torch.Tensor)


def test_parts_join_to_the_whole(monkeypatch):
    monkeypatch.setattr(points, "CHUNK", 1000)
    found = list(points.parts(X))
    assert len(found) > 10 and np.array_equal(np.concatenate(found), X)


def test_pages_of_a_large_map_are_let_go(mapped, monkeypatch):
    released = []
    monkeypatch.setattr(points, "release", lambda x: released.append(len(x)))
    rows = points.Rows(mapped, 1.0, CPU)
    for start in range(0, 500, 5):
        rows[torch.arange(start, start + 5)]
    assert len(released) == 100
    released.clear()
    list(points.parts(mapped))
    assert released


def test_release_forgets_nothing(mapped):
    before = mapped[:].copy()
    points.release(mapped)
    assert np.array_equal(mapped, before)
    points.release(X)  # not a map: nothing to do


def test_fingerprint_sees_every_value_the_shape_and_the_type(mapped):
    same = points.fingerprint(X)
    assert same == points.fingerprint(X.copy()) == points.fingerprint(mapped)
    other = X.copy()
    other[499, 29] += 1
    assert len({same, *map(points.fingerprint, (other, X.T, X.astype(np.float64), X.reshape(250, 60)))}) == 5

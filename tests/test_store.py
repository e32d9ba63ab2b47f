"""Files of arrays: what goes in comes out, nothing is ever half there, and a wrong file is refused by name."""

import json
import zipfile

import numpy as np
import pytest
import torch

from dclib import store

CONTENT = {
    "nothing": None,
    "numbers": [1, 2.5, True, "text"],
    "pair": (3, {"deep": torch.arange(6.0).view(2, 3)}),
    7: np.array([1, 2], dtype=np.int16),
    "bytes": torch.arange(256, dtype=torch.uint8),
    "zero": torch.tensor(1.5),
}


def test_what_goes_in_comes_out(tmp_path):
    path = store.write(tmp_path / "deep" / "x.dclib", "sample", CONTENT)
    found = store.read(path, "sample")
    assert found.keys() == CONTENT.keys()
    assert found["nothing"] is None and found["numbers"] == [1, 2.5, True, "text"]
    assert isinstance(found["pair"], tuple) and torch.equal(found["pair"][1]["deep"], CONTENT["pair"][1]["deep"])
    assert found[7].tolist() == [1, 2] and found[7].dtype == torch.int16
    assert torch.equal(found["bytes"], CONTENT["bytes"]) and found["zero"].shape == ()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = store.write(tmp_path / "x", "sample", {"a": 1})
    with pytest.raises(TypeError, match="function"):
        store.write(path, "sample", {"a": test_what_goes_in_comes_out})
    with pytest.raises(ValueError, match="Object arrays"):  # an array that only pickle could hold
        store.write(path, "sample", {"a": np.array([object()])})
    assert store.read(path, "sample") == {"a": 1} and [p.name for p in tmp_path.iterdir()] == ["x"]


def test_nothing_in_the_file_is_pickled(tmp_path):
    with zipfile.ZipFile(store.write(tmp_path / "x", "sample", CONTENT)) as archive:
        assert {name.rpartition(".")[2] for name in archive.namelist()} == {"json", "npy"}


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = store.write(tmp_path / "x", "sample", CONTENT)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(store.StoreError, match="cut short"):
            store.read(path, "sample")


def test_a_flipped_bit_is_noticed(tmp_path):
    path = store.write(tmp_path / "x", "sample", {"a": torch.arange(100.0)})
    whole = bytearray(path.read_bytes())
    place = whole.index(np.arange(100, dtype=np.float32).tobytes()[40:80])
    whole[place] ^= 1
    path.write_bytes(whole)
    with pytest.raises(store.StoreError, match="damaged"):
        store.read(path, "sample")


def test_other_files_are_refused_by_what_they_are(tmp_path):
    path = store.write(tmp_path / "x", "sample", {"a": 1})
    with pytest.raises(store.StoreError, match="holds a sample, not a checkpoint"):
        store.read(path, "checkpoint")
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(store.StoreError, match="not a sample"):
        store.read(path, "sample")
    path.write_text("hello")
    with pytest.raises(store.StoreError, match="not a sample"):
        store.read(path, "sample")
    with pytest.raises(FileNotFoundError):
        store.read(tmp_path / "none", "sample")


def test_a_newer_version_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "x"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(store.CONTENT, json.dumps({"dclib": "sample", "version": 99, "content": {}}))
    with pytest.raises(store.StoreError, match=r"newer dclib \(version 99.*upgrade"):
        store.read(path, "sample")

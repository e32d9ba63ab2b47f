"""Time series of other packages: how their files are read, on tiny ones made here, and the sets that aeon brings."""

import numpy as np
import pytest

from dclib import catalogue, data, load, results, series
from dclib.series import SERIES, folder_of_aeon, read_ts

aeon = pytest.mark.skipif(folder_of_aeon() is None, reason="aeon is not installed: pip install --no-deps aeon")
TEXT = """# a comment
@problemName Tiny
@data
1.0,2.0,3.0:4.0,5.0,6.0:10
7.0,8.0:9.0,1.5:9
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A set of two series in training and one in testing, of unequal length."""
    folder = tmp_path / "Tiny"
    folder.mkdir()
    (folder / "Tiny_TRAIN.ts").write_text(TEXT)
    (folder / "Tiny_TEST.ts").write_text("@data\n0.5:0.25:10\n")
    monkeypatch.setattr(series, "folder_of_aeon", lambda: tmp_path)
    monkeypatch.setitem(series.SERIES, "tiny", series.Series("Tiny", 3, (3, 2), ("9", "10"), "made here"))
    return folder


def test_a_file_is_read_with_its_channels_and_labels(tiny):
    found, labels = read_ts(tiny / "Tiny_TRAIN.ts")
    np.testing.assert_array_equal(found[0], [[1, 4], [2, 5], [3, 6]])
    assert found[1].shape == (2, 2) and labels == ["10", "9"]


def test_parts_are_joined_and_labels_go_by_number(tiny):
    x, y = series.read_series("tiny")
    assert x.shape == (3, 6) and x.dtype == np.float32 and x.flags.c_contiguous
    np.testing.assert_array_equal(y, [1, 0, 1])
    np.testing.assert_array_equal(x[2], [0.5, 0.25, *[np.nan] * 4])


@pytest.mark.parametrize("text", ["1.0,x:1\n", "@data\n", "1,2:3:a\n"])
def test_what_is_no_series_is_refused(tiny, text):
    (tiny / "Tiny_TRAIN.ts").write_text(text)
    with pytest.raises(ValueError, match="is no series"):
        read_ts(tiny / "Tiny_TRAIN.ts")


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(series, "folder_of_aeon", lambda: None)
    monkeypatch.setattr(data, "folder_of_aeon", lambda: None)
    with pytest.raises(ImportError, match="gunpoint.*pip install --no-deps aeon"):
        load("gunpoint")
    assert data.status("gunpoint").state == "not here" and not data.status("gunpoint").sound
    with pytest.raises(data.DownloadError, match="--no-deps aeon"):
        data.get("gunpoint")


@aeon
@pytest.mark.parametrize("name", SERIES)
def test_a_set_of_aeon_is_what_the_catalogue_says(name):
    found, entry = load(name), catalogue.CATALOGUE[name]
    assert len(found) == entry.n and found.samples.shape[1:] == entry.shape and not found.is_image
    assert np.bincount(found.y).all() and len(np.bincount(found.y)) == len(entry.classes)
    unequal = name in ("japanesevowels", "pickupgesture")
    assert np.isnan(found.x).any() == unequal and "nan" not in repr(found)
    assert data.get(name).state == "in aeon" and data.check(name).sound


@aeon
def test_a_method_gets_sequences_as_it_reads_them():
    vowels = load("japanesevowels")
    for name in ("recurrent-autoencoder", "dtw-kmeans"):
        found = results.in_its_shape(results.make(name, vowels, 0, "quick"), vowels)
        assert found.shape == (640, 29, 12) and np.isnan(found).any()
    for name, shape in (
        ("dtc", (640, 29, 12)),
        ("k-shape", (640, 29, 12)),
        ("k-means", (640, 348)),
        ("dec", (640, 348)),
    ):
        found = results.in_its_shape(results.make(name, vowels, 0, "quick"), vowels)
        assert found.shape == shape and np.isfinite(found).all()
    gru = results.make("dec", vowels, 0, "quick", network="gru")
    assert results.in_its_shape(gru, vowels).shape == (640, 29, 12)


@aeon
@pytest.mark.parametrize("method", ["k-shape", "dtw-kmeans"])
def test_baselines_of_sequences_make_records(method):
    if method == "dtw-kmeans":
        pytest.importorskip("tslearn", reason="tslearn is not installed: pip install 'dclib[series]'")
    record = results.run(method, "basicmotions", 0, "quick", n_init=1, max_iter=3)
    assert record["method"] == method and record["acc"] > 0.3 and len(record["cluster_sizes"]) <= 4

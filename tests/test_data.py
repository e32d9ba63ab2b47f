"""Every data set's parsing, on tiny files made here; and the full sets where DCLIB_DATA holds them."""

import bz2
import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file, load_digits
from sklearn.utils import Bunch

from dclib import data
from dclib.data import DownloadError, check, get, load, names, status
from dclib.download import RemoteFile, cached, fetch, unpack

ON_DISK = ("mnist", "fashion-mnist", "usps", "pendigits", "20newsgroups")
POSTS = {
    "20news-bydate-train/sci.space/2": "Subject: orbit\n\nThe shuttle reached orbit. Caf\xe9.",
    "20news-bydate-train/rec.autos/10": "engine and wheels, engine and brakes",
    "20news-bydate-train/rec.autos/9": "the car has an engine",
    "20news-bydate-test/sci.med/1": "a doctor of medicine",
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache and no network: every address is one where nobody listens."""
    monkeypatch.setenv("DCLIB_DATA", str(tmp_path))
    monkeypatch.setattr(data, "CATALOGUE", dict(data.CATALOGUE))
    for name, entry in data.CATALOGUE.items():
        cut_off(monkeypatch, name, *entry.files)
    return tmp_path


def cut_off(monkeypatch, name, *files):
    """Give a data set these files, with addresses that refuse at once."""
    refused = [replace(file, urls=("http://127.0.0.1:9/x",) * len(file.urls)) for file in files]
    entry = replace(data.CATALOGUE[name], files=tuple(refused))
    monkeypatch.setitem(data.CATALOGUE, name, entry)


def sha(content):
    """The digest of some bytes, as the catalogue writes it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def put(path, raw):
    """Write bytes to a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


def idx(array):
    """The bytes of an IDX file of uint8."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def tar_of(posts):
    """A tar archive of posts in latin-1, with its folders."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        folder = tarfile.TarInfo("20news-bydate-train")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for path, text in posts.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode("latin1"))
            archive.addfile(entry, io.BytesIO(text.encode("latin1")))
    return stream.getvalue()


def sklearn_cache_of(posts):
    """The pickle that scikit-learn keeps of the same posts."""
    parts = {}
    for part in ("train", "test"):
        chosen = {path: text for path, text in posts.items() if f"-{part}/" in path}
        target = np.arange(len(chosen))
        parts[part] = Bunch(data=list(chosen.values()), filenames=np.array(list(chosen)), target=target)
    return pickle.dumps(parts)


# The records -------------------------------------------------------------------------------------------


def test_digits_are_scikit_learns():
    digits = load("digits")
    assert np.array_equal(digits.samples * 16, load_digits().images)
    assert np.array_equal(digits.y, load_digits().target)
    assert repr(digits) == "Dataset 'digits': 1,797 points of 64 values (8 × 8), in [0, 1], 10 classes"
    assert len(digits) == 1797


def test_the_bundled_digits_are_there():
    digits = load("mnist-10k")
    assert digits.samples.shape == (10_000, 28, 28)
    assert digits.x.dtype == np.float32 and digits.x.flags.c_contiguous and digits.y.dtype == np.int64
    assert digits.x.min() == 0 and digits.x.max() == 1
    assert digits.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # as every introduction shows them
    counts = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    assert np.bincount(digits.y).tolist() == counts
    assert data.ASSET.stat().st_size <= 1_700_000


def test_a_damaged_bundle_is_named(tmp_path, monkeypatch):
    raw = bytearray(data.ASSET.read_bytes())
    raw[1000] ^= 1
    monkeypatch.setattr(data, "ASSET", tmp_path / "mnist-10k.npz")
    data.ASSET.write_bytes(raw)
    with pytest.raises(OSError, match="mnist-10k.npz is damaged"):
        load("mnist-10k")
    assert check("mnist-10k").state == "damaged"


def test_samples_is_a_view():
    digits = load("digits")
    assert np.shares_memory(digits.samples, digits.x)


def test_a_dataset_cannot_be_changed_by_accident():
    with pytest.raises(AttributeError):
        load("digits").name = "letters"


@pytest.mark.parametrize(
    ("x", "y", "shape"), [((4, 5), 4, (2, 3)), ((4, 6), 3, (2, 3)), ((4,), 4, ()), ((4, 2, 3), 4, (2, 3))]
)
def test_sizes_that_do_not_fit_are_refused(x, y, shape):
    with pytest.raises(ValueError, match="has shape"):
        data.Dataset(np.zeros(x, np.float32), np.zeros(y, int), "mine", shape)


def test_labels_may_be_missing():
    mine = data.Dataset(np.zeros((4, 6), np.float32), None, "mine", (6,))
    assert mine.y is None and repr(mine) == "Dataset 'mine': 4 points of 6 values, in [0, 0], 0 classes"


@pytest.mark.parametrize("function", [load, status, check, get])
def test_an_unknown_name_is_refused_with_the_nearest(function):
    with pytest.raises(ValueError, match=r"unknown data set 'fashion_mnist'.*'fashion-mnist'"):
        function("fashion_mnist")


def test_the_names():
    assert names() == ("digits", "mnist-10k", *ON_DISK)


# The formats -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_read_from_its_files(packed, cache, monkeypatch):
    images = np.arange(5 * 784).reshape(5, 28, 28).astype(np.uint8)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    parts = [idx(images[:3]), idx(labels[:3]), idx(images[3:]), idx(labels[3:])]
    stems = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    files = data._idx_files("MNIST", ("http://127.0.0.1:9",), tuple(sha(part)[7:] for part in parts))
    cut_off(monkeypatch, "mnist", *files)
    for stem, part in zip(stems, parts, strict=True):
        path = cache / "MNIST" / "raw" / f"{stem}-ubyte{'.gz' if packed else ''}"
        put(path, gzip.compress(part) if packed else part)
    found = load("mnist")
    assert found.x.dtype == np.float32 and found.x.flags.c_contiguous
    assert np.allclose(found.samples * 255, images)
    assert found.y.tolist() == labels.tolist()
    assert check("mnist").sound


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x00\x0d\x01" + bytes(8), idx(np.zeros((2, 3), np.uint8))[:-1], b"<html></html>"]
)
def test_what_is_not_idx_is_refused(content):
    with pytest.raises(ValueError):
        data.parse_idx(content)


def test_usps_is_read_from_its_files(cache, monkeypatch):
    rows = np.round(np.random.default_rng(0).uniform(-1, 1, (5, 256)), 3)
    rows[0, 255] = 0  # libsvm's text leaves zeros out
    labels = np.array([1, 10, 7, 2, 2])
    files = []
    for path, part in (("usps.bz2", slice(0, 3)), ("usps.t.bz2", slice(3, 5))):
        stream = io.BytesIO()
        dump_svmlight_file(rows[part], labels[part], stream, zero_based=False)
        put(cache / path, bz2.compress(stream.getvalue()))
        files.append(RemoteFile(path, ("",), (sha(stream.getvalue()),)))
    cut_off(monkeypatch, "usps", *files)
    found = load("usps")
    assert np.allclose(found.x, (rows + 1) / 2, atol=1e-6) and found.x[0, 255] == 0.5
    assert found.y.tolist() == [0, 9, 6, 1, 1]


def test_pen_strokes_are_read_as_vectors_and_as_sequences(cache, monkeypatch):
    strokes = np.random.default_rng(0).integers(0, 101, (5, 16))
    digits = np.array([8, 2, 1, 0, 9])
    text = "".join(
        ",".join(f"{value:3d}" for value in stroke) + f",{digit:2d}\n"
        for stroke, digit in zip(strokes, digits, strict=True)
    ).encode()
    first, second = text[: text.index(b"\n") + 1], text[text.index(b"\n") + 1 :]
    files = []
    for path, part in (("pendigits.tra", first), ("pendigits.tes", second)):
        put(cache / path, part)
        files.append(RemoteFile(path, ("",), (sha(part),), data.plain_pendigits))
    cut_off(monkeypatch, "pendigits", *files)
    found = load("pendigits")
    assert np.allclose(found.x * 100, strokes)
    assert found.samples.shape == (5, 8, 2) and found.samples[1, 2, 1] == found.x[1, 5]
    assert found.y.tolist() == digits.tolist()


def test_pen_strokes_are_the_same_in_any_spacing_and_in_libsvms_text():
    rows = np.array([[47, 100, 27, 81, 57, 37, 26, 0, 0, 23, 56, 53, 100, 90, 40, 98]])
    stream = io.BytesIO()
    dump_svmlight_file(rows, [8], stream, zero_based=False)
    tight = ",".join(map(str, rows[0])).encode() + b",8\r\n"
    plain = b" 47,100, 27, 81, 57, 37, 26,  0,  0, 23, 56, 53,100, 90, 40, 98, 8\n"
    assert data.plain_pendigits(plain) == data.plain_pendigits(tight) == plain
    assert data.plain_pendigits(stream.getvalue()) == plain
    with pytest.raises(ValueError, match="16 values"):
        data.plain_pendigits(b"1,2,3\n")


@pytest.mark.parametrize("kept_by", ["archive", "scikit-learn"])
def test_newsgroups_are_read_from_either_cache(kept_by, cache, monkeypatch):
    tar, dump = gzip.compress(tar_of(POSTS)), zlib.compress(sklearn_cache_of(POSTS))
    monkeypatch.setattr(data, "N_POSTS", len(POSTS))
    other = data.NEWS_FILE.other
    file = RemoteFile(data.NEWS_FILE.path, ("",), (sha(tar),), data.plain_news, other)
    cut_off(monkeypatch, "20newsgroups", file)
    put(cache / file.path, tar) if kept_by == "archive" else put(cache / other.path, dump)
    content = fetch(file)
    assert content == data.plain_news(unpack(tar))
    assert b"Caf\\u00e9" in content
    x, y = data.build_news(content)
    groups = [data.NEWSGROUPS[label] for label in y]
    assert sorted(groups[:3]) == ["rec.autos", "rec.autos", "sci.space"] and groups[3] == "sci.med"
    assert x.dtype == np.float32 and np.allclose((x**2).mean(axis=1), 1)


def test_posts_are_sorted_by_group_and_number_as_scikit_learn_sorts():
    train, test = json.loads(data.plain_news(tar_of(POSTS)))
    assert [text[:6] for _, text in train] == ["engine", "the ca", "Subjec"]
    assert [group for group, _ in test] == ["sci.med"]


def test_tfidf_takes_the_most_frequent_words_and_scales_to_unit_mean_square():
    x = data.tfidf(["the wheel wheel", "the wheel engine", "the engine", "the"], n_words=2)
    assert x.shape == (4, 2) and x.dtype == np.float32
    assert np.allclose((x**2).mean(axis=1), [1, 1, 1, 0])
    assert x[0].argmax() != x[2].argmax()


@pytest.mark.parametrize("damage", ["cut", "flipped", "a post too few"])
def test_a_damaged_cache_of_scikit_learn_is_noticed(damage, cache, monkeypatch):
    monkeypatch.setattr(data, "N_POSTS", len(POSTS) + (damage == "a post too few"))
    raw = bytearray(zlib.compress(sklearn_cache_of(POSTS)))
    if damage == "cut":
        raw = raw[:-20]
    if damage == "flipped":
        raw[-1] ^= 1
    put(cache / data.NEWS_FILE.other.path, bytes(raw))
    content, faults = cached(data.NEWS_FILE)
    assert content is None and "20news-bydate_py3.pkz is damaged" in faults[0]


class Malice:
    """Unpickled by an unwary reader, this would run a command."""

    def __reduce__(self):
        return print, ("run",)


def test_a_pickle_that_names_anything_else_is_refused(capsys):
    with pytest.raises(ValueError, match=r"names .*print"):
        data.plain_sklearn_news(pickle.dumps({"train": Malice(), "test": Malice()}))
    assert capsys.readouterr().out == ""
    for content in (b"", b"junk", pickle.dumps([1]), sklearn_cache_of(POSTS)[:-40]):
        with pytest.raises(ValueError):
            data.plain_sklearn_news(content)


def test_nothing_that_is_fetched_is_a_pickle():
    for entry in data.CATALOGUE.values():
        for file in entry.files:
            assert file.urls and file.plain is not data.plain_sklearn_news
            assert file.other is None or not file.other.urls


# Where they are ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "mnist-10k"])
def test_bundled_sets_need_nothing(name, cache):
    for record in (status(name), check(name), get(name)):
        assert record.state == "bundled" and record.sound
        assert (record.n, record.d) == load(name).x.shape


@pytest.mark.parametrize("name", ON_DISK)
def test_an_empty_cache_is_said_to_be_empty(name, cache):
    for record in (status(name), check(name)):
        assert record.state == "not here" and not record.sound and record.places == () and record.n_bytes == 0
    for function in (load, get):
        with pytest.raises(DownloadError, match="mnist-10k"):
            function(name)


def test_check_names_a_damaged_file_and_leaves_it(cache):
    put(cache / "pendigits.tra", b"half")
    assert status("pendigits").state == "partly in the cache"
    record = check("pendigits")
    assert record.state == "damaged" and not record.sound
    assert str(cache / "pendigits.tra") in record.faults[0] and "damaged" in record.faults[0]
    assert (cache / "pendigits.tra").read_bytes() == b"half"
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(DownloadError, match="damaged"):
        load("pendigits")


def test_every_entry_says_whose_it_is_and_is_to_be_had_twice():
    for name, entry in data.CATALOGUE.items():
        assert entry.source and entry.licence
        for file in entry.files:
            assert len(file.urls) > 1 or name == "usps"  # no second mirror of USPS in this layout is known
            assert all(url.startswith("http") for url in file.urls)


# The full sets -------------------------------------------------------------------------------------------


CLASS_COUNTS = {
    "mnist": [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958],
    "fashion-mnist": [7000] * 10,
    "usps": [1553, 1269, 929, 824, 852, 716, 834, 792, 708, 821],
    "pendigits": [1143, 1143, 1144, 1055, 1144, 1055, 1056, 1142, 1055, 1055],
}


@pytest.mark.parametrize("name", ON_DISK)
def test_the_full_set(name):
    if not status(name).sound:
        pytest.skip(f"DCLIB_DATA does not hold {name}")
    found, entry = load(name), data.CATALOGUE[name]
    assert found.x.shape == (entry.n, int(np.prod(entry.shape))) and found.y.shape == (entry.n,)
    assert found.x.dtype == np.float32 and found.x.flags.c_contiguous and found.y.dtype == np.int64
    assert found.samples.shape == (entry.n, *entry.shape)
    assert np.isfinite(found.x).all() and found.x.min() == 0
    assert sorted(set(found.y.tolist())) == list(range(len(found.classes)))
    if name == "20newsgroups":
        assert np.allclose((found.x**2).mean(axis=1), 1, atol=1e-4)
    else:
        assert found.x.max() == 1
        assert np.bincount(found.y).tolist() == CLASS_COUNTS[name]


def test_the_bundled_digits_are_the_first_of_mnist():
    if not status("mnist").sound:
        pytest.skip("DCLIB_DATA does not hold mnist")
    mnist, bundled = load("mnist"), load("mnist-10k")
    assert np.array_equal(mnist.x[:10_000], bundled.x) and np.array_equal(mnist.y[:10_000], bundled.y)


def test_the_asset_is_attributed():
    text = (Path(data.ASSET).parent / "README.md").read_text()
    assert "CC BY-SA 3.0" in text and "LeCun" in text

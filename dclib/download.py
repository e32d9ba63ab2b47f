"""Files from the network: kept in a cache, locked, verified after arrival, and tried from every mirror."""

import bz2
import gzip
import hashlib
import os
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from filelock import FileLock
from platformdirs import user_cache_path
from tqdm.auto import tqdm

UNREADABLE = (OSError, ValueError, EOFError, HTTPException, zlib.error)
UNPACKERS = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\x78\x9c": zlib.decompress}


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
    most: int = 2**28
    lock: float = 3600.0


PATIENCE = Patience()


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set: where it lies in the cache, where it comes from, how it is verified.

    Attributes
    ----------
    path
        Place in the cache, relative to `cache_dir`, in the layout of torchvision or scikit-learn.
    urls
        Addresses, tried in this order. They may serve it packed (gzip, bzip2) or not.
    digests
        Accepted hashes as ``"algorithm:hex"``, of the file as it is or of its plain form. May be empty for
        a file that has no `urls`, if `plain` refuses what is not sound.
    plain
        Brings the unpacked bytes to one plain form, whatever the source; that is what is parsed.
    other
        The same content in another layout, used if it is in the cache.
    """

    path: str
    urls: tuple[str, ...]
    digests: tuple[str, ...]
    plain: Callable[[bytes], bytes] = bytes
    other: "RemoteFile | None" = None

    @property
    def place(self) -> Path:
        """Where the file lies in the cache, or would lie."""
        return cache_dir() / self.path

    def found(self) -> Path | None:
        """Return the first of the file's places that exists, or None; nothing is read."""
        if self.place.is_file():
            return self.place
        return self.other.found() if self.other else None

    def decode(self, raw: bytes) -> bytes:
        """Return the plain form of the bytes of the file.

        Raises
        ------
        ValueError
            If the bytes cannot be unpacked, or match none of the digests.
        """
        try:
            content = self.plain(unpack(raw))
        except UNREADABLE as error:
            raise ValueError(f"not a readable {Path(self.path).name}: {error}") from error
        if self.digests and not any(matches(data, digest) for digest in self.digests for data in (raw, content)):
            raise ValueError(f"wrong bytes: the checksum of {len(raw):,} bytes differs")
        return content


def cache_dir() -> Path:
    """Return the folder of downloaded data: the variable ``DCLIB_DATA``, else the user's cache directory."""
    return Path(os.environ.get("DCLIB_DATA") or user_cache_path("dclib")).expanduser()


def unpack(raw: bytes) -> bytes:
    """Return the bytes unpacked if they begin as gzip, bzip2 or zlib data do, else as they are."""
    for magic, unpacker in UNPACKERS.items():
        if raw.startswith(magic):
            return unpacker(raw)
    return raw


def matches(data: bytes, digest: str) -> bool:
    """Tell whether the data has this digest, given as ``"algorithm:hex"``."""
    algorithm, _, wanted = digest.partition(":")
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest() == wanted


def cached(file: RemoteFile) -> tuple[bytes | None, list[str]]:
    """Return the plain content of a file from the cache, and what is wrong with copies that are damaged.

    Parameters
    ----------
    file
        The file; its `other` layout is looked at when the first is missing or damaged.

    Returns
    -------
    content : bytes or None
        None if no sound copy is there.
    faults : list of str
        One sentence for each damaged copy, with its path.
    """
    faults = []
    copy: RemoteFile | None = file
    while copy:
        try:
            return copy.decode(copy.place.read_bytes()), faults
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError) as error:
            faults.append(f"{copy.place} is damaged ({error})")
        copy = copy.other
    return None, faults


def fetch(file: RemoteFile) -> bytes:
    """Return the plain content of a file, from the cache or else from the first mirror that delivers it.

    A file that is there is only read: no lock is taken, so a read-only cache will do. A damaged copy is
    named in a warning and fetched again. Two processes that ask at once download once.

    Raises
    ------
    DownloadError
        If no sound copy is in the cache and none can be fetched or stored.
    """
    content, faults = cached(file)
    if content is not None:
        return content
    try:
        with _locked(file.place):
            content, faults = cached(file)  # another process may have fetched it meanwhile
            return content if content is not None else _download(file, faults)
    except DownloadError:
        raise
    except OSError as error:
        failed = [*faults, f"the cache cannot be written: {error}"]
        raise DownloadError(_advice(file, failed)) from error


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Hold the lock of one file of the cache, which is removed when the file is there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock", timeout=PATIENCE.lock):
        yield


def _download(file: RemoteFile, faults: list[str]) -> bytes:
    """Fetch a file from the first mirror that delivers it whole, verify it, store it."""
    for fault in faults:
        warnings.warn(f"{fault}; fetching it again", stacklevel=4)
    failed = list(faults)
    for url in file.urls:
        try:
            raw = _transfer(url, file.place.name)
            content = file.decode(raw)
        except UNREADABLE as error:
            failed.append(f"{url}: {error or type(error).__name__}")
        else:
            _store(file.place, raw if _is_packed(file) else content)
            return content
    raise DownloadError(_advice(file, failed))


def _is_packed(file: RemoteFile) -> bool:
    """Tell whether the cache's layout keeps this file packed."""
    return Path(file.path).suffix in (".gz", ".bz2")


def _transfer(url: str, name: str) -> bytes:
    """Return the bytes at an address, with a progress bar; give up on a server that stalls or crawls."""
    start, received = time.monotonic(), bytearray()
    request = Request(url, headers={"User-Agent": "dclib"})
    with urlopen(request, timeout=PATIENCE.silence) as response:
        total = int(response.headers.get("Content-Length") or 0)
        with tqdm(total=total or None, desc=name, unit="B", unit_scale=True, delay=1) as bar:
            while block := response.read1(1 << 16):
                received += block
                bar.update(len(block))
                _judge(len(received), time.monotonic() - start)
    if total and len(received) != total:
        raise ValueError(f"cut off after {len(received):,} of {total:,} bytes")
    return bytes(received)


def _judge(received: int, seconds: float) -> None:
    """Raise if a transfer is too slow or too large."""
    if seconds > PATIENCE.grace and received < PATIENCE.pace * seconds:
        raise TimeoutError(f"too slow: {received:,} bytes in {seconds:.0f} s")
    if received > PATIENCE.most:
        raise ValueError(f"too large: more than {PATIENCE.most:,} bytes")


def _store(place: Path, data: bytes) -> None:
    """Write a file aside, then rename it, so that a half-written one never has its name."""
    aside = place.with_name(place.name + ".part")
    with aside.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(place)


def _advice(file: RemoteFile, failed: list[str]) -> str:
    """Return the one message of a failed download: what was tried, and what to do."""
    tried = "\n".join(f"  - {reason}" for reason in failed)
    return (
        f"could not get {Path(file.path).name}. Tried:\n{tried}\n"
        "What you can do:\n"
        f"  - put the file at {file.place};\n"
        f"  - or set DCLIB_DATA to a folder that holds {file.path};\n"
        '  - or use a data set that needs no download: load("mnist-10k") or load("digits").'
    )

"""Data frames of R: the part of R's file format that a table of numbers and factors needs, and Debian's packages."""

import bz2
import gzip
import lzma
import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np

Frame = dict[str, Any]
UNPACKERS = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}
SYMBOL, PAIRS, TEXT, LOGICAL, INTEGER, REAL, STRINGS, LIST = 1, 2, 9, 10, 13, 14, 16, 19
NOTHING, REFERENCE = 254, 255


def read_rda(raw: bytes) -> dict[str, Frame]:
    """Return the data frames in a file that R's ``save`` wrote, each as columns by name.

    Read is what tables consist of: numbers, factors, strings, lists and their attributes, in R's binary format of
    version 2, as it is or packed by gzip, bzip2 or xz. Nothing in such a file is run.

    Parameters
    ----------
    raw
        The bytes of the file.

    Returns
    -------
    dict
        For each object its columns: arrays (n,) by name. A factor is an array of strings.

    Raises
    ------
    ValueError
        If it is no such file, is cut short, or holds something else.

    Notes
    -----
    Source: R Internals, section 1.8, "Serialization Formats".
    """
    unpack = next((unpack for magic, unpack in UNPACKERS.items() if raw.startswith(magic)), bytes)
    stream = BytesIO(unpack(raw))
    if stream.read(7) != b"RDX2\nX\n":
        raise ValueError("no data of R, or of another version than 2")
    try:
        stream.seek(12, 1)  # three versions
        objects = _Reader(stream).item()
    except (struct.error, IndexError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the data of R is damaged ({error})") from error
    return {name: _frame(*value) for name, value in objects}


def _frame(columns: list[Any], attributes: Frame) -> Frame:
    """Return columns by name; factors, which count from 1, as strings."""
    found = {}
    for name, (values, more) in zip(attributes["names"][0], columns, strict=True):
        found[name] = np.asarray(more["levels"][0])[values - 1] if "levels" in more else values
    return found


class _Reader:
    """Reads item after item; a vector comes with its attributes."""

    def __init__(self, stream: BytesIO) -> None:
        self.stream, self.symbols = stream, []

    def whole(self) -> int:
        return struct.unpack(">i", self.stream.read(4))[0]

    def array(self, kind: str) -> np.ndarray:
        n, kind = self.whole(), np.dtype(kind)
        found = np.frombuffer(self.stream.read(max(n, 0) * kind.itemsize), kind)
        if len(found) != n:
            raise IndexError(f"{n} values were announced, {len(found)} are there")
        return found.astype(kind.newbyteorder("="))

    def item(self) -> Any:
        """Return the next item: a string, a list of pairs, or (values, attributes)."""
        flags = self.whole()
        kind = flags & 0xFF
        if kind == NOTHING:
            return []
        if kind == SYMBOL:
            self.symbols.append(self.item())
            return self.symbols[-1]
        if kind == REFERENCE:
            return self.symbols[(flags >> 8) - 1]
        if kind == TEXT:
            n = self.whole()
            return self.stream.read(n).decode() if n >= 0 else None
        if kind == PAIRS:
            return list(self.pairs(flags))
        values = self.values(kind)
        return values, dict(self.item()) if flags & 0x200 else {}

    def values(self, kind: int) -> Any:
        if kind in (LOGICAL, INTEGER, REAL):
            return self.array(">f8" if kind == REAL else ">i4")
        if kind in (STRINGS, LIST):
            return [self.item() for _ in range(self.whole())]
        raise ValueError(f"the data of R holds an item of kind {kind}, which is not read")

    def pairs(self, flags: int) -> Iterator[tuple[str, Any]]:
        """Yield name and value, down the list; each link of it has flags of its own."""
        while flags & 0xFF == PAIRS:
            if flags & 0x200:
                self.item()
            name = self.item() if flags & 0x400 else ""
            yield name, self.item()
            flags = self.whole()


def member_of_deb(raw: bytes, name: str) -> bytes:
    """Return a member of a Debian package, which is an ``ar`` archive, e.g. ``"data.tar.xz"``.

    Raises
    ------
    ValueError
        If it is no such package, or has no such member.
    """
    if not raw.startswith(b"!<arch>\n"):
        raise ValueError("no Debian package")
    place = 8
    while place + 60 <= len(raw):
        head = raw[place : place + 60]
        n, place = int(head[48:58]), place + 60
        if head[:16].decode("ascii", "replace").rstrip(" /") == name:
            return raw[place : place + n]
        place += n + n % 2
    raise ValueError(f"the package has no {name}")

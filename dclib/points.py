"""Points, ready to train on: in the device's memory if they fit, else read from their memory map as needed."""

import hashlib
import mmap
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK = 64 * 2**20  # bytes looked at in one go
SAMPLE = 2**20  # values of which the middle one is taken
IN_MEMORY = 2**30  # bytes; a larger memory map is left where it is


def is_large_map(x: object) -> bool:
    """Return whether ``x`` is a memory map that is too large to copy into memory."""
    return isinstance(x, np.memmap) and x.nbytes > IN_MEMORY


def parts(x: NDArray) -> Iterator[NDArray]:
    """Return the rows of ``x`` (n, …) some 64 MiB at a time; pages of a large map are let go after use.

    Half precision comes as float32, in which differences and squares do not overflow.
    """
    rows = max(1, CHUNK // max(1, x[:1].nbytes))
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        yield part.astype(np.float32) if part.dtype == np.float16 else part
        release(x)


def release(x: NDArray) -> None:
    """Let go of the pages of a large memory map that this process has read; they can be read again.

    Not of a private map (mode ``"c"``): what its owner wrote is in those pages and nowhere else.
    """
    mapped = getattr(x, "_mmap", None)
    if is_large_map(x) and x.mode != "c" and mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def fingerprint(x: NDArray) -> str:
    """Return a checksum of the values, shape and type of ``x``: two data sets with the same one are the same."""
    found = hashlib.blake2b(f"{x.shape} {x.dtype}".encode(), digest_size=16)
    for part in parts(x):
        found.update(np.ascontiguousarray(part))
    return found.hexdigest()


def middle(x: NDArray) -> float:
    """Return the median of all values (of a million, evenly spaced rows): what counts as zero for a network.

    Of most images it is the background, which stays exactly zero. Whatever constant is added to all of ``x``, the
    values less their median are the same.

    Parameters
    ----------
    x
        Points (n, D).
    """
    rows = x[:: max(1, x.size // SAMPLE)]
    found = np.quantile(rows.astype(np.float64), 0.5, method="lower")
    release(x)
    return float(found)


def exact_type(dtype: np.dtype) -> type:
    """Return the smaller of float32 and float64 that holds every value of ``dtype``, or comes closest."""
    small = dtype == np.float32 or (dtype.itemsize <= 2 and dtype.kind in "biuf")
    return np.float32 if small else np.float64


class Rows:
    """Points (n, …) that stay where they are; an index reads rows as a tensor on the device.

    Parameters
    ----------
    array
        Points (n, D), in memory or in a memory map.
    scale
        Rows are divided by it, in double precision where they have it: what float32 can't hold may be held afterwards.
    device
        Where rows go.
    dtype
        Their type there.
    offset
        Subtracted before.
    shape
        The shape of one point there; by default (D,).
    """

    def __init__(
        self,
        array: NDArray,
        scale: float,
        device: torch.device,
        dtype: type = np.float32,
        offset: float = 0.0,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        self.array, self.scale, self.device, self.dtype, self.offset = array, scale, device, dtype, offset
        self.shape = (len(array), *(shape or array.shape[1:]))

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        rows = self.array[index if isinstance(index, slice) else index.cpu().numpy()]
        own = np.float64 if exact_type(rows.dtype) is np.float64 else self.dtype
        scaled = ((rows.astype(own, copy=False) - own(self.offset)) / own(self.scale)).astype(self.dtype, copy=False)
        x = torch.as_tensor(scaled, device=self.device).reshape(-1, *self.shape[1:])
        release(self.array)  # each time: Linux maps up to megabytes around a row that is read
        return x


def on_device(
    array: NDArray, scale: float, device: torch.device, offset: float = 0.0, shape: tuple[int, ...] | None = None
) -> Tensor | Rows:
    """Return ``array`` (n, D), less ``offset`` and over ``scale``, as float32 points on ``device``.

    A large memory map stays a map. ``shape`` is that of one point on the device, by default (D,).
    """
    rows = Rows(array, scale, device, offset=offset, shape=shape)
    if is_large_map(array):
        return rows
    x, start = torch.empty(rows.shape, dtype=torch.float32, device=device), 0
    for part in parts(array):
        x[start : start + len(part)] = rows[start : start + len(part)]
        start += len(part)
    return x

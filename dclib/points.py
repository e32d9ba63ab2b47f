"""Points, ready to train on: in the device's memory if they fit, else read from their memory map as needed."""

import hashlib
import mmap
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK = 64 * 2**20  # bytes looked at in one go
IN_MEMORY = 2**30  # bytes; a larger memory map is left where it is


def is_large_map(x: object) -> bool:
    """Return whether ``x`` is a memory map that is too large to copy into memory."""
    return isinstance(x, np.memmap) and x.nbytes > IN_MEMORY


def parts(x: NDArray) -> Iterator[NDArray]:
    """Return the rows of ``x`` (n, …) some 64 MiB at a time; pages of a large map are let go after use."""
    rows = max(1, CHUNK // max(1, x[:1].nbytes))
    for start in range(0, len(x), rows):
        yield x[start : start + rows]
        release(x)


def release(x: NDArray) -> None:
    """Let go of the pages of a large memory map that this process has read; they can be read again."""
    mapped = getattr(x, "_mmap", None)
    if is_large_map(x) and mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def fingerprint(x: NDArray) -> str:
    """Return a checksum of the values, shape and type of ``x``: two data sets with the same one are the same."""
    found = hashlib.blake2b(f"{x.shape} {x.dtype}".encode(), digest_size=16)
    for part in parts(x):
        found.update(np.ascontiguousarray(part))
    return found.hexdigest()


class Rows:
    """Points (n, D) that stay where they are; an index reads rows as a tensor on the device.

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
    """

    def __init__(self, array: NDArray, scale: float, device: torch.device, dtype: type = np.float32) -> None:
        self.array, self.scale, self.device, self.dtype = array, scale, device, dtype
        self.shape = array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        rows = self.array[index if isinstance(index, slice) else index.cpu().numpy()]
        own = np.float64 if rows.dtype == np.float64 else self.dtype
        scaled = (rows.astype(own, copy=False) / own(self.scale)).astype(self.dtype, copy=False)
        x = torch.as_tensor(scaled, device=self.device)
        release(self.array)  # each time: Linux maps up to megabytes around a row that is read
        return x


def on_device(array: NDArray, scale: float, device: torch.device) -> Tensor | Rows:
    """Return ``array`` (n, D), divided by ``scale``, as float32 on ``device``; a large memory map stays a map."""
    rows = Rows(array, scale, device)
    if is_large_map(array):
        return rows
    x, start = torch.empty(array.shape, dtype=torch.float32, device=device), 0
    for part in parts(array):
        x[start : start + len(part)] = rows[start : start + len(part)]
        start += len(part)
    return x

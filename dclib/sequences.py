"""Sequences of unequal length: NaN beyond their end, which a network that reads them takes for absent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


def is_list_of_sequences(X: Any) -> bool:
    """Return whether ``X`` is a list of arrays or tensors that are no rows of one table: of rank 2, or unequal."""
    if not isinstance(X, list | tuple) or not all(hasattr(each, "shape") and hasattr(each, "ndim") for each in X):
        return False
    return any(each.ndim == 2 for each in X) or len({tuple(each.shape) for each in X}) > 1


def padded(sequences: Sequence[ArrayLike], n_steps: int | None = None) -> NDArray[np.floating]:
    """Return sequences of unequal length in one array, NaN beyond the end of each.

    Parameters
    ----------
    sequences
        n arrays (T_i,) or (T_i, C).
    n_steps
        T, the length of the array; by default that of the longest sequence.

    Returns
    -------
    ndarray (n, T, C)
        float32 if that holds all values, else float64.

    Raises
    ------
    ValueError
        If there is none, one is empty, has NaN, is longer than ``n_steps`` or has another number of channels.
    """
    rows = [torch.as_tensor(each).numpy() if isinstance(each, Tensor) else np.asarray(each) for each in sequences]
    rows = [row[:, None] if row.ndim == 1 else row for row in rows]
    if not rows:
        raise ValueError("there is no sequence.")
    n_steps, channels = n_steps or max(len(row) for row in rows), rows[0].shape[-1]
    for place, row in enumerate(rows):
        if row.ndim != 2 or row.shape[1] != channels:
            raise ValueError(f"sequence {place} has shape {row.shape}; expected (T, {channels}).")
        if not 1 <= len(row) <= n_steps:
            raise ValueError(f"sequence {place} has {len(row)} steps; expected 1 to {n_steps}.")
        if not np.isfinite(row.astype(np.float64)).all():
            raise ValueError(f"sequence {place} contains NaN or infinity.")
    small = all(row.dtype == np.float32 or (row.dtype.itemsize <= 2 and row.dtype.kind in "biuf") for row in rows)
    x = np.full((len(rows), n_steps, channels), np.nan, np.float32 if small else np.float64)
    for place, row in enumerate(rows):
        x[place, : len(row)] = row
    return x


def masked(x: ArrayLike, mask: ArrayLike) -> NDArray[np.floating]:
    """Return ``x`` with NaN wherever ``mask`` says that a sequence has ended.

    Parameters
    ----------
    x
        Sequences (n, T) or (n, T, C), with any values beyond the ends.
    mask
        (n, T): True at each step that there is. NumPy's masked arrays, which have it the other way round, can be
        passed to an estimator as they are.

    Returns
    -------
    ndarray (n, T, C)

    Raises
    ------
    ValueError
        If a step is missing before one that is there, or a sequence has none.
    """
    x, mask = np.asarray(x), np.asarray(mask, dtype=bool)
    x = x[..., None] if x.ndim == 2 else x
    if mask.shape != x.shape[:2]:
        raise ValueError(f"mask has shape {mask.shape}, and x has {x.shape[0]} sequences of {x.shape[1]} steps.")
    wide = np.where(mask[..., None], x, np.nan)
    check_ends(wide)
    return wide.astype(np.float32 if x.dtype == np.float32 else np.float64)


def check_ends(x: NDArray) -> None:
    """Refuse NaN in sequences ``x`` (n, T, C) that is not beyond an end.

    Raises
    ------
    ValueError
        If a step is there in part, comes after a missing one, or a sequence has no step at all.
    """
    missing = np.isnan(x)
    absent = missing.all(axis=2)  # (n, T)
    gaps = (missing.any(axis=2) != absent) | (absent & ~np.logical_and.accumulate(absent[:, ::-1], axis=1)[:, ::-1])
    if gaps.any():
        place, step = np.argwhere(gaps)[0]
        raise ValueError(f"X contains NaN in sequence {place} at step {step}, which is not beyond its end.")
    if absent[:, 0].any():
        raise ValueError(f"X contains NaN alone in sequence {absent[:, 0].argmax()}: it has no step.")


def steps_of(x: Tensor) -> Tensor:
    """Return sequences as (m, T, C): rows (m, T) have one channel."""
    return x.unsqueeze(-1) if x.ndim == 2 else x


def lengths_of(x: Tensor) -> Tensor:
    """Return the steps (m,) of sequences ``x`` (m, T, C) that end where NaN begins.

    Notes
    -----
    Derived in :doc:`/notebooks/features/recurrent`.
    """
    return (~x[..., 0].isnan()).sum(dim=1)


def at_the_end(x: Tensor) -> Tensor:
    """Move sequences ``x`` (m, T, C) to the end of the T places, behind NaN.

    Notes
    -----
    Derived in :doc:`/notebooks/features/recurrent`.
    """
    n_steps = x.shape[1]
    places = torch.arange(n_steps, device=x.device) + lengths_of(x)[:, None]  # (m, T)
    return x.gather(1, (places % n_steps)[..., None].expand_as(x))


def windows(x: Tensor, width: int) -> Tensor:
    """Return sequences (m, T, C) cut into windows (m, ⌈T / width⌉, width · C), NaN where the last one goes on."""
    m, n_steps, channels = x.shape
    over = -n_steps % width
    x = torch.cat([x, x.new_full((m, over, channels), torch.nan)], dim=1) if over else x
    return x.reshape(m, -1, width * channels)


def standardised(x: ArrayLike) -> NDArray[np.floating]:
    """Return sequences of mean 0 and variance 1 each, channel by channel.

    Also called z-normalisation. A constant channel becomes zero.

    Parameters
    ----------
    x
        (n, T) or (n, T, C); NaN beyond the ends stays.

    Notes
    -----
    Derived in :doc:`/notebooks/features/recurrent`.
    """
    x = np.asarray(x)
    centred = x - np.nanmean(x, axis=1, keepdims=True)
    deviation = np.nanstd(x, axis=1, keepdims=True)
    return centred / np.where(deviation > 1e-8 * np.nanmax(np.abs(x)), deviation, 1)


def resampled(x: ArrayLike | Sequence[ArrayLike], n_steps: int) -> NDArray[np.floating]:
    """Return sequences of one length, by linear interpolation between their steps.

    Parameters
    ----------
    x
        (n, T, C) with NaN beyond the ends, or a list of arrays as in :func:`padded`.
    n_steps
        The length of each.

    Returns
    -------
    ndarray (n, n_steps, C)
    """
    x = padded(x) if isinstance(x, list | tuple) else np.asarray(x)
    found = np.empty((len(x), n_steps, x.shape[2]), x.dtype)
    for place, row in enumerate(x):
        row = row[~np.isnan(row[:, 0])]
        at = np.linspace(0, len(row) - 1, n_steps)
        found[place] = np.stack([np.interp(at, np.arange(len(row)), channel) for channel in row.T], axis=1)
    return found

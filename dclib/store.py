"""Files of trained state: arrays and JSON in one archive, written whole or not at all, read without unpickling."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

VERSION = 1  # of the layout below; a reader refuses what is newer
CONTENT = "content.json"  # the member of the archive that holds everything but the arrays


class StoreError(ValueError):
    """The file is not what it should be: damaged, of another kind, or from a newer version."""


def write(path: str | Path, kind: str, content: Mapping[str, Any]) -> Path:
    """Write ``content`` to ``path``, so that a reader sees the old file or the new one and never a part.

    Parameters
    ----------
    path
        Where to; a file that is there is replaced.
    kind
        What it is, e.g. ``"checkpoint"``; :func:`read` asks for the same.
    content
        Numbers, strings, ``None``, tensors, arrays, and lists, tuples and dictionaries of them.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    TypeError
        If something in ``content`` is of another type.
    """
    path = Path(path)
    arrays: dict[str, NDArray] = {}
    head = json.dumps({"dclib": kind, "version": VERSION, "content": _pack(content, arrays)})
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")  # always this name: what a killed run left is written over
    with open(fresh, "wb") as file:
        try:
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr(CONTENT, head)
                for name, array in arrays.items():
                    with archive.open(name, "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
            os.replace(fresh, path)
        except BaseException:
            fresh.unlink(missing_ok=True)  # an interrupt may come just after the replacement
            raise
    return path


def read(path: str | Path, kind: str, content: bytes | None = None) -> dict[str, Any]:
    """Return what :func:`write` put into ``path``; arrays come back as tensors on the processor.

    Parameters
    ----------
    path
        The file.
    kind
        What it has to be.
    content
        Its bytes, if they came another way than from this machine's disk.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    StoreError
        If it is damaged, cut short, of another kind, or written by a newer version.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path if content is None else io.BytesIO(content)) as archive:
            if (damaged := archive.testzip()) is not None:
                raise StoreError(f"{path} is damaged: the checksum of its part {damaged!r} is wrong.")
            head = json.loads(archive.read(CONTENT))
            _check_head(head, path, kind)
            return _unpack(head["content"], archive)
    except FileNotFoundError:
        raise
    except StoreError:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, OSError) as error:
        raise StoreError(f"{path} is not a {kind} of dclib, or is cut short ({error}).") from error


def _check_head(head: dict[str, Any], path: Path, kind: str) -> None:
    if head["version"] > VERSION:
        newer = f"version {head['version']}, and this dclib reads up to version {VERSION}"
        raise StoreError(f"{path} was written by a newer dclib ({newer}); upgrade dclib.")
    if head["dclib"] != kind:
        raise StoreError(f"{path} holds a {head['dclib']}, not a {kind}.")


def _pack(value: Any, arrays: dict[str, NDArray]) -> Any:
    """Replace every array by its name in ``arrays``, and what JSON can't tell apart by a tagged list."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor | np.ndarray):
        name = f"{len(arrays)}.npy"
        arrays[name] = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        return {"array": name}
    if isinstance(value, Mapping):
        return {"mapping": [[_pack(key, arrays), _pack(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"  # a torch.Size is a tuple too
        return {kind: [_pack(item, arrays) for item in value]}
    raise TypeError(f"a {type(value).__name__} can't be stored: {value!r}")


def _unpack(value: Any, archive: zipfile.ZipFile) -> Any:
    if not isinstance(value, dict):
        return value
    ((tag, inner),) = value.items()
    if tag == "array":
        with archive.open(inner) as member:
            return torch.as_tensor(np.lib.format.read_array(member, allow_pickle=False))
    if tag == "mapping":
        return {_unpack(key, archive): _unpack(item, archive) for key, item in inner}
    return {"list": list, "tuple": tuple}[tag](_unpack(item, archive) for item in inner)

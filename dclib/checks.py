"""Checks of what a caller passes in: each refusal names the value, the limit and the nearest match."""

import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral
from pathlib import Path

OURS = str(Path(__file__).parent)
BETWEEN = ("/torch/", "/sklearn/", "contextlib.py", "<frozen")  # decorators and wrappers on the way to a caller


def callers_level() -> int:
    """Return the ``stacklevel`` at which a warning points at the line outside dclib that led to it."""
    level, frame = 1, sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(OURS) and not any(name in file for name in BETWEEN):
            return level
        level, frame = level + 1, frame.f_back
    return level


def nearest_name(value: str, options: Iterable[str]) -> str:
    """Return the words ``" Did you mean 'epochs'?"`` for the option most like ``value``, or none at all."""
    lowered = {option.lower(): option for option in reversed(list(options))}
    near = get_close_matches(str(value).lower(), lowered, n=1, cutoff=0.4)
    return f" Did you mean {lowered[near[0]]!r}?" if near else ""


def one_of(value: str, options: Iterable[str], what: str) -> str:
    """Return ``value`` if it is one of ``options``.

    Parameters
    ----------
    value
        The name that was asked for.
    options
        The names there are.
    what
        What the name stands for, as the message should call it, e.g. ``"data set"``.

    Raises
    ------
    ValueError
        If ``value`` is not among ``options``; the message lists them and the nearest one.
    """
    options = list(options)
    if value in options:
        return value
    hint = nearest_name(value, options)
    raise ValueError(f"unknown {what} {value!r}.{hint} There are: {', '.join(options)}.")


def check_widths(widths: Sequence[int], name: str = "hidden", lengths: tuple[int, ...] = ()) -> None:
    """Refuse sizes that are not whole numbers of at least 1, or not as many as they should be.

    Parameters
    ----------
    widths
        The sizes, e.g. of hidden layers.
    name
        The parameter that holds them.
    lengths
        How many there may be; empty: any number.

    Raises
    ------
    ValueError
        Naming the size and its place.
    """
    if lengths and len(widths) not in lengths:
        raise ValueError(f"{name} should have {' or '.join(map(str, lengths))} values; {name} is {widths!r}.")
    for place, width in enumerate(widths):
        if not isinstance(width, Integral) or width < 1:
            raise ValueError(f"{name}[{place}] = {width!r} should be a whole number >= 1; {name} is {widths!r}.")

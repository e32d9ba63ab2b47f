"""Checks of what a caller passes in: each refusal names the value, the limit and the nearest match."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral


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
    lowered = {option.lower(): option for option in reversed(options)}
    near = get_close_matches(str(value).lower(), lowered, n=1, cutoff=0.4)
    hint = f" Did you mean {lowered[near[0]]!r}?" if near else ""
    raise ValueError(f"unknown {what} {value!r}.{hint} There are: {', '.join(options)}.")


def check_widths(widths: Sequence[int], name: str = "hidden", length: int | None = None) -> None:
    """Refuse sizes that are not whole numbers of at least 1, or not as many as they should be.

    Parameters
    ----------
    widths
        The sizes, e.g. of hidden layers.
    name
        The parameter that holds them.
    length
        How many there should be; ``None``: any number.

    Raises
    ------
    ValueError
        Naming the size and its place.
    """
    if length is not None and len(widths) != length:
        raise ValueError(f"{name} should have {length} values; {name} is {widths!r}.")
    for place, width in enumerate(widths):
        if not isinstance(width, Integral) or width < 1:
            raise ValueError(f"{name}[{place}] = {width!r} should be a whole number >= 1; {name} is {widths!r}.")

"""The size of a run: ``quick`` for tests, ``book`` for the site, ``full`` to the end, ``paper`` as the authors did."""

import os
from typing import TypeVar

from dclib.checks import one_of

T = TypeVar("T")
PROFILES = ("quick", "book", "full", "paper")


def profile(name: str | None = None) -> str:
    """Return the profile in force: ``name``, else the variable ``DCLIB_PROFILE``, else ``"book"``.

    Raises
    ------
    ValueError
        If the name is not one of ``quick``, ``book``, ``full`` and ``paper``.
    """
    return one_of(name or os.environ.get("DCLIB_PROFILE") or "book", PROFILES, "profile")


def by_profile(*, quick: T, book: T, full: T) -> T:
    """Return the value for the profile in force, e.g. ``by_profile(quick=500, book=10_000, full=70_000)``.

    ``paper`` takes the value of ``full``.
    """
    return {"quick": quick, "book": book, "full": full, "paper": full}[profile()]

"""Time series that ship inside the package aeon: where they lie, and how their files are read.

Only the files are used. aeon itself is not imported: it asks for seconds, and for versions of other packages.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dclib.sequences import padded

HINT = "these series ship inside the package aeon, of which only its files are read: pip install --no-deps aeon"
ARCHIVE = "UCR/UEA archive (Dau et al. 2019; Bagnall et al. 2018), as it ships in aeon"
LICENCE = "no terms stated; used for research"


@dataclass(frozen=True)
class Series:
    """What the catalogue says of a set: its name in the archive, n, (T, C) or (T,), classes, and what they are."""

    problem: str
    n: int
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    about: str


SERIES = {
    "italypowerdemand": Series(
        "ItalyPowerDemand", 1_096, (24,), ("October to March", "April to September"), "a day's demand of power"
    ),
    "gunpoint": Series("GunPoint", 200, (150,), ("gun", "point"), "height of a hand that draws a gun, or points"),
    "arrowhead": Series("ArrowHead", 211, (251,), ("0", "1", "2"), "outlines of arrow heads"),
    "osuleaf": Series("OSULeaf", 442, (427,), tuple("123456"), "outlines of leaves of six species"),
    "basicmotions": Series(
        "BasicMotions", 80, (100, 6), ("badminton", "running", "standing", "walking"), "a watch's accelerations"
    ),
    "japanesevowels": Series(
        "JapaneseVowels", 640, (29, 12), tuple("123456789"), "nine speakers say ae; 7 to 29 steps of 12 coefficients"
    ),
    "pickupgesture": Series(
        "PickupGestureWiimoteZ", 100, (361, 1), (*"123456789", "10"), "gestures of ten kinds; unequal length"
    ),
    "acsf1": Series("ACSF1", 200, (1460,), tuple("0123456789"), "current of ten kinds of appliances"),
}


@cache
def folder_of_aeon() -> Path | None:
    """Return where aeon keeps its series, or None if it is not installed; it is not imported."""
    found = find_spec("aeon")
    return None if found is None or not found.origin else Path(found.origin).parent / "datasets" / "data"


def read_ts(path: Path) -> tuple[list[np.ndarray], list[str]]:
    """Return the series (T_i, C) and labels of a file in the archive's text: channels by colons, the label last.

    Raises
    ------
    ValueError
        If a line is no series with a label.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [line.split(":") for line in lines if line and line[0] not in "@#"]
    try:
        found = [np.array([channel.split(",") for channel in row[:-1]], dtype=np.float32).T for row in rows]
    except ValueError as error:
        raise ValueError(f"{path} has a line that is no series ({error}).") from error
    if not found or any(series.ndim != 2 for series in found):
        raise ValueError(f"{path} has a line that is no series, or none at all.")
    return found, [row[-1] for row in rows]


def read_series(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return x (n, D) and y (n,) of a set, train before test; NaN beyond the ends where lengths are unequal.

    Raises
    ------
    ImportError
        If aeon is not installed; the message says what to do.
    """
    folder, known = folder_of_aeon(), SERIES[name]
    if folder is None:
        raise ImportError(f"{name}: {HINT}.")
    parts = [read_ts(folder / known.problem / f"{known.problem}_{part}.ts") for part in ("TRAIN", "TEST")]
    x = padded([series for found, _ in parts for series in found])
    labels = np.array([label for _, found in parts for label in found])
    order = sorted({*labels}, key=lambda label: label.zfill(9) if label.isdigit() else label.lower())
    y = np.array([order.index(label) for label in labels], dtype=np.int64)
    return np.ascontiguousarray(x.reshape(len(x), -1)), y

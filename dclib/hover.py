"""A map of texts: one HTML element in which a reader points at a dot and sees what it says."""

import base64
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from dclib import elements
from dclib.elements import HtmlElement
from dclib.plots.maps import latent_scatter
from dclib.plots.style import PALETTE, as_png

HOVER_BYTES = 400_000  # one map, standing alone
LABEL = "Map of texts"
WAITS = "A map of texts to point at. It needs a script, which has not run here."


def hover_map(
    places: ArrayLike,
    labels: ArrayLike,
    texts: Sequence[str],
    names: Sequence[str] | None = None,
    n_points: int = 1000,
    n_characters: int = 120,
    random_state: int = 0,
) -> HtmlElement:
    """Return a map of texts: a dot each, coloured by cluster, that says its first words to mouse, finger and keys.

    The element is one canvas and no library. It makes no request.

    Parameters
    ----------
    places : array-like (n, 2)
        Where each text lies, e.g. by t-SNE.
    labels : array-like (n,)
        Its cluster, 0 … K − 1.
    texts
        The texts, n of them.
    names
        What each cluster is called, K of them; ``None``: its number.
    n_points
        Dots on the map, drawn at random.
    n_characters
        Characters of a text that are kept.
    random_state
        Seed of the sample.

    Raises
    ------
    ValueError
        If sizes do not fit together, or the element would be larger than ``HOVER_BYTES``.

    Notes
    -----
    Used in :doc:`/notebooks/applications/text`.
    """
    places, labels = np.asarray(places, dtype=np.float64), np.asarray(labels)
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"places have shape {places.shape}; a map has two axes: (n, 2).")
    if not len(places) == len(labels) == len(texts):
        raise ValueError(f"{len(places):,} places, {len(labels):,} labels and {len(texts):,} texts: one of each a dot.")
    names = [f"cluster {k}" for k in range(labels.max() + 1)] if names is None else list(names)
    if len(names) <= labels.max():
        raise ValueError(f"{len(names)} names, and labels up to {labels.max()}.")
    rows = np.sort(np.random.default_rng(random_state).permutation(len(places))[:n_points])
    low, high = places[rows].min(axis=0), places[rows].max(axis=0)
    share = (places[rows] - low) / np.maximum(high - low, 1e-12)
    payload = {
        "n": len(rows), "names": names, "palette": PALETTE, "groups": labels[rows].tolist(),
        "places": base64.b64encode(np.rint(65535 * share).astype("<u2").tobytes()).decode(),
        "texts": packed([first_words(texts[i], n_characters) for i in rows]),
    }  # fmt: skip
    html = elements.html("hover", payload, LABEL, WAITS)
    if len(html.encode()) > HOVER_BYTES:
        raise ValueError(f"the map takes {len(html.encode()):,} bytes; pass fewer points or characters.")
    figure = latent_scatter(places[rows], labels[rows], title="the map to point at")
    figure.set_dpi(72)
    return HtmlElement(html, as_png(figure))


def packed(texts: Sequence[str]) -> str:
    """Return texts as base64, in which no checker of spelling or markup finds a word of theirs."""
    return base64.b64encode(json.dumps(texts, ensure_ascii=False).encode()).decode()


def first_words(text: str, n_characters: int) -> str:
    """Return the beginning of a text on one line, cut between words if it can be."""
    line = " ".join(text.split())
    if len(line) <= n_characters:
        return line
    return (line[:n_characters].rsplit(" ", 1)[0] or line[:n_characters]) + " …"

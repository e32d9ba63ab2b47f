"""What a generator draws, as HTML elements: a film of samples by cluster, and a latent plane that a reader walks."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dclib import elements
from dclib.elements import HtmlElement
from dclib.plots.images import sample_gallery
from dclib.plots.style import PALETTE, as_png

DRAWING_BYTES = 300_000  # one element, standing alone
FILM_FRAMES = 24
SAMPLES_LABEL = "Film of drawn points"
WALK_LABEL = "A latent plane to walk"
SIZES = ((1.0, 16), (1.0, 8), (1.0, 4), (0.5, 8), (0.5, 4))  # share of the image's side, grey levels


class SampleFilm:
    """Collect drawn images while a model trains; show them as a film, one row of images a cluster.

    Give it to an estimator as its ``callback``, or call :meth:`add` in a loop of your own. The latent points are the
    same at every moment, so that what changes is the generator. Looking does not change the training.

    Parameters
    ----------
    shape
        Height, width and, if there is colour, 3, of an image.
    n
        Images of a row.
    draw
        Called with the model; returns images (rows, n, …). By default ``n`` points of each cluster by
        ``model.sample``, from the moment that the model has clusters.
    every
        Calls for one frame.

    Raises
    ------
    ValueError
        If ``n`` or ``every`` is below 1.

    Notes
    -----
    *Size.* The element stays under ``DRAWING_BYTES``: at most ``FILM_FRAMES`` frames are kept, spread evenly, the first
    and the last among them; then images lose grey levels, then half their side, then frames go by fifths.

    Examples
    --------
    >>> film = SampleFilm(data.shape)                                                   # doctest: +SKIP
    >>> InfoGAN(10, callback=film).fit(data.x)                                          # doctest: +SKIP
    >>> film.show()                                                                     # doctest: +SKIP
    """

    def __init__(
        self, shape: Sequence[int], n: int = 8, draw: Callable[[Any], ArrayLike] | None = None, every: int = 1
    ) -> None:
        if n < 1 or every < 1:
            raise ValueError(f"n={n} and every={every} should be at least 1.")
        self.shape, self.n, self.draw, self.every = tuple(shape), n, draw, every
        self.frames: list[tuple[NDArray, str]] = []
        self._calls = 0

    def __len__(self) -> int:
        return len(self.frames)

    def __call__(self, model: Any) -> None:
        """Take a frame of an estimator in training, if its turn has come and it can draw."""
        self._calls += 1
        if (self._calls - 1) % self.every:
            return
        history = getattr(model, "history_", [])
        caption = f"{history[-1]['phase']} · epoch {history[-1]['epoch']}" if history else "random network"
        if self.draw is not None:
            self.add(self.draw(model), caption)
        elif not model.seeks or getattr(model, "centroids_", None) is not None:
            rows = [model.sample(self.n, cluster=k, random_state=0) for k in range(model.n_clusters)]
            self.add(np.stack(rows), caption)

    def add(self, images: ArrayLike, caption: str = "") -> None:
        """Add a frame.

        Parameters
        ----------
        images : array-like (rows, n, …)
            Images, a row a cluster; as many in every frame.
        caption
            What the reader sees above the frame.

        Raises
        ------
        ValueError
            If the images do not fit the shape or the frames before, or a value is not finite.
        """
        images = _as_images(images, self.shape, 2)
        if self.frames and images.shape != self.frames[0][0].shape:
            first = self.frames[0][0].shape[:2]
            raise ValueError(f"the frame has {images.shape[:2]} images (rows, columns), the first one {first}.")
        self.frames.append((images, caption))

    def show(self) -> HtmlElement:
        """Return the film as an object that a notebook shows.

        Raises
        ------
        ValueError
            If there is no frame.
        """
        if not self.frames:
            raise ValueError("the film has no frame: pass it as callback, or call film.add, before film.show.")
        last, caption = self.frames[-1]
        first, end = (escape(words or "its start") for words in (self.frames[0][1], caption))
        waits = f"A film of drawn points at {len(self.frames)} moments of training, from “{first}” to “{end}”. "
        waits += "It plays once the notebook is trusted or run."
        rows, across = last.shape[:2]
        picture = sample_gallery(last.reshape(rows * across, -1), shape=self.shape, n_rows=rows, n_columns=across)
        picture.set_dpi(60)
        n_frames = min(len(self.frames), FILM_FRAMES)
        while n_frames:
            kept = np.unique(np.linspace(0, len(self.frames) - 1, n_frames).round().astype(int))
            payload = {"captions": [self.frames[f][1] for f in kept], "rows": rows, "across": across}
            payload["palette"] = PALETTE
            images = np.concatenate([self.frames[f][0].reshape(-1, *self.shape) for f in kept])
            if found := _fitting("samples", payload, images, self.shape, SAMPLES_LABEL, waits):
                return HtmlElement(found, as_png(picture))
            n_frames = n_frames * 4 // 5
        raise ValueError(f"the film does not fit in {DRAWING_BYTES:,} bytes: draw fewer or smaller images.")

    def save(self, path: str | Path) -> Path:
        """Write the film as an HTML page that stands alone, and return its path."""
        return self.show().save(path, SAMPLES_LABEL)


def latent_walk(
    images: ArrayLike,
    shape: Sequence[int],
    axes: tuple[str, str] = ("first", "second"),
    ranges: tuple[tuple[float, float], tuple[float, float]] = ((-1, 1), (-1, 1)),
    choices: Sequence[str] | None = None,
) -> HtmlElement:
    """Return a plane of drawn images that a reader walks with pointer or keys; the image below is shown large.

    Parameters
    ----------
    images : array-like (n, m, …) or (choices, n, m, …)
        What is drawn at each place of the plane: the first axis of the plane has its least value first.
    shape
        Height, width and, if there is colour, 3, of an image.
    axes
        Names of the two axes of the plane; the first runs to the right, the second upwards.
    ranges
        Least and largest value of each axis.
    choices
        Names of the planes to choose from, if there are several.

    Raises
    ------
    ValueError
        If the images do not fit ``shape``, the choices do not fit the images, a value is not finite, or the element
        would be larger than ``DRAWING_BYTES``.

    Examples
    --------
    >>> z = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1)                 # doctest: +SKIP
    >>> latent_walk(model.decode(z.reshape(-1, 2)).reshape(15, 15, -1), data.shape)     # doctest: +SKIP
    """
    shape = tuple(shape)
    images = _as_images(images, shape, 2 if choices is None else 3)
    images = images[None] if choices is None else images
    if choices is not None and len(choices) != len(images):
        raise ValueError(f"there are {len(choices)} choices and {len(images)} planes of images.")
    _, n, m = images.shape[:3]
    payload = {"n": n, "m": m, "axes": list(axes), "ranges": [[float(v) for v in pair] for pair in ranges]}
    payload["choices"] = None if choices is None else [str(name) for name in choices]
    waits = f"A plane of {n} × {m} drawn images. Walk it once the notebook is trusted or run."
    first = images[0].swapaxes(0, 1)[::-1]  # rows from the top, as the reader sees them
    picture = sample_gallery(first.reshape(n * m, -1), shape=shape, n_rows=m, n_columns=n)
    picture.set_dpi(60)
    found = _fitting("walk", payload, images.reshape(-1, *shape), shape, WALK_LABEL, waits)
    if not found:
        raise ValueError(f"the walk does not fit in {DRAWING_BYTES:,} bytes: draw fewer or smaller images.")
    return HtmlElement(found, as_png(picture))


def _as_images(images: ArrayLike, shape: tuple[int, ...], n_before: int) -> NDArray:
    """Return images (…, *shape), with ``n_before`` axes before those of an image."""
    images = np.asarray(images, dtype=np.float32)
    if images.ndim <= n_before or np.prod(images.shape[n_before:]) != np.prod(shape):
        raise ValueError(f"images of shape {images.shape} do not hold images of shape {shape} in {n_before} axes.")
    if not np.isfinite(images).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(images))} values are not finite.")
    return images.reshape(*images.shape[:n_before], *shape)


def _fitting(
    kind: str, payload: dict[str, Any], images: NDArray, shape: tuple[int, ...], label: str, waits: str
) -> str | None:
    """Return the element with as good images as fit, or nothing."""
    for share, levels in SIZES:
        sheet = elements.sprite(images, shape, share, levels)
        found = elements.html(kind, payload | {"sprite": sheet}, label, waits)
        if len(found.encode()) <= DRAWING_BYTES:
            return found
    return None

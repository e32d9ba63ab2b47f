"""The latent-space film: codes collected while a network trains, as one HTML element that plays and answers."""

import base64
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import linear_sum_assignment

from dclib import elements
from dclib.elements import HtmlElement
from dclib.plots.maps import discriminant_axes, latent_scatter, pca_axes, project
from dclib.plots.style import PALETTE, as_array, as_png

FILM_BYTES = 300_000  # one film, standing alone
FILM_FRAMES = 40
FILM_LABEL = "Film of the latent space"
ASPECT = 1.2  # width of the stage over its height
NO_CLUSTER = 255


@dataclass
class Frame:
    """One moment of training: codes z (n, d); clusters (n,) and centroids (K, d) if any; words."""

    z: NDArray
    labels: NDArray | None
    caption: str
    phase: str
    centroids: NDArray | None


class LatentFilm:
    """Collect codes while a network trains; show them as a film that the reader plays, scrubs and questions.

    Give it to an estimator as its ``callback``, or call :meth:`add` in a loop of your own. The film is one
    HTML element with a canvas and no library. It makes no request and needs no server.

    Parameters
    ----------
    x : array-like (n, D)
        The points that are being clustered. A sample of them is shown.
    shape
        Height, width and, if there is colour, 3, of the images in ``x``. ``None`` if they are not images: a
        point then shows its number and its cluster only.
    n_points
        Points in the film, drawn at random and kept in their order in ``x``.
    labels : array-like (n,), optional
        Clusters for the frames that bring none of their own.
    y : array-like (n,), optional
        True classes, whole numbers from 0. They colour the points when the reader asks; nothing else sees
        them.
    classes
        Names of the classes.
    random_state
        Seed of the sample.

    Attributes
    ----------
    index : ndarray (n_points,)
        Rows of ``x`` in the film.

    Raises
    ------
    ValueError
        If ``shape`` does not fit ``x``, or ``y`` or ``labels`` do not have one entry a point.

    Notes
    -----
    *Projection.* One linear map serves all frames, so that motion is motion of the codes and not of the eye:
    :func:`~dclib.plots.maps.discriminant_axes` of the clusters found in the last frame, or
    :func:`~dclib.plots.maps.pca_axes` if there are none.

    *Scale.* Codes may grow a hundredfold in training. The camera follows the median of the codes and the
    99.5 % quantile of their reach, whose logarithm is smoothed over neighbouring frames; a bar in the corner
    gives the scale.

    *Numbers.* Clusters keep the numbers of the last frame. An earlier frame is renumbered by its overlap
    with the next one only where that brings at least a tenth of the points into agreement.

    *Size.* The element stays under ``FILM_BYTES``. At most ``FILM_FRAMES`` frames are kept, the first and
    last of each phase among them. Then, until it fits: images lose grey levels, then half their side; frames
    go by fifths down to twelve, then points by fifths.

    Examples
    --------
    >>> film = LatentFilm(data.x, data.shape, y=data.y)              # doctest: +SKIP
    >>> DEC(n_clusters=10, callback=film).fit(data.x)                # doctest: +SKIP
    >>> film.show()                                                  # doctest: +SKIP
    """

    def __init__(
        self,
        x: ArrayLike,
        shape: Sequence[int] | None = (28, 28),
        n_points: int = 1000,
        labels: ArrayLike | None = None,
        y: ArrayLike | None = None,
        classes: Sequence[str] | None = None,
        random_state: int = 0,
    ) -> None:
        x = x if hasattr(x, "shape") else np.asarray(x)
        self.n, self.shape = len(x), None if shape is None else tuple(shape)
        if shape is not None and np.prod(shape) != np.prod(x.shape[1:]):
            raise ValueError(
                f"shape={self.shape} has {np.prod(shape)} pixels but a point of x has {np.prod(x.shape[1:])} "
                "values; pass shape=None for data that are not images."
            )
        if n_points < 1:
            raise ValueError(f"n_points={n_points}, but a film needs at least 1.")
        sample = np.random.default_rng(random_state).permutation(self.n)[:n_points]
        self.index = np.sort(sample)
        self.x = np.asarray(x[self.index])
        self.labels = None if labels is None else self._pick(labels, "labels").astype(int)
        self.y = None if y is None else self._pick(y, "y").astype(int)
        if self.y is not None and not 0 <= self.y.min() <= self.y.max() < NO_CLUSTER:
            raise ValueError(f"y lies in [{self.y.min()}, {self.y.max()}], but a film has classes 0 to 254.")
        names = range(0 if self.y is None else int(self.y.max()) + 1) if classes is None else classes
        self.classes = [str(name) for name in names]
        self.frames: list[Frame] = []
        self._epochs = -1

    def __len__(self) -> int:
        return len(self.frames)

    def __call__(self, model: Any) -> None:
        """Take a frame from an estimator in training: codes, clusters if there are any, last record."""
        centroids = getattr(model, "centroids_", None)
        final = centroids is not None and len(centroids) == getattr(model, "n_clusters", len(centroids))
        labels = model.predict(self.x) if final else None  # another number of clusters has no colour
        history = getattr(model, "history_", [])
        caption, phase = self._words(history, centroids is not None)
        self._epochs = len(history)
        self.add(model.transform(self.x), labels, caption, centroids, phase=phase)

    def _words(self, history: Sequence[Mapping[str, Any]], clustered: bool) -> tuple[str, str]:
        """Return caption and phase of a frame; a call with no new epoch is the start of a phase."""
        if not history:
            return "random network", ""
        record = history[-1]
        if len(history) == self._epochs:
            return ("clusters start" if clustered else "next phase starts"), ""
        words = [record["phase"], f"epoch {record['epoch']}", f"loss {record['loss']:.3g}"]
        if record.get("changed") is not None:
            words.append(f"{record['changed']:.1%} changed")
        return " · ".join(words), record["phase"]

    def add(
        self,
        z: ArrayLike,
        labels: ArrayLike | None = None,
        caption: str = "",
        centroids: ArrayLike | None = None,
        phase: str = "",
    ) -> None:
        """Add a frame.

        Parameters
        ----------
        z : array-like (n, d) or (n_points, d)
            Codes of all points, or of the rows ``film.index`` only.
        labels : array-like (n,) or (n_points,), optional
            Found clusters, from 0.
        caption
            What the reader sees above the frame.
        centroids : array-like (K, d), optional
            Cluster centres, drawn as crosses.
        phase
            Name of the phase, written under the slider; the next frame's if empty.

        Raises
        ------
        ValueError
            If lengths or widths do not fit, or a code is not finite.
        """
        z = self._pick(z, "z").astype(np.float32)
        if z.ndim != 2:
            raise ValueError(f"z has shape {z.shape}, but codes are (n, d).")
        if not np.isfinite(z).all():
            raise ValueError(f"z has {np.count_nonzero(~np.isfinite(z))} values that are not finite.")
        if self.frames and z.shape[1] != self.frames[0].z.shape[1]:
            raise ValueError(f"z has {z.shape[1]} dimensions, but the first frame has {self.frames[0].z.shape[1]}.")
        labels = self.labels if labels is None else self._pick(labels, "labels").astype(int)
        if labels is not None and not 0 <= labels.min() <= labels.max() < NO_CLUSTER:
            raise ValueError(f"labels lie in [{labels.min()}, {labels.max()}], but a film has clusters 0 to 254.")
        centroids = None if centroids is None else as_array(centroids).astype(float)
        self.frames.append(Frame(z, labels, caption, phase, centroids))

    def watch(self, network: Any, x: Any, labels: ArrayLike | None = None, caption: str = "") -> None:
        """Add a frame of a network as it is now: its codes, and its centroids if it has any.

        Parameters
        ----------
        network
            Has an ``encoder``, and from some time on ``centroids`` (K, d).
        x : Tensor (n, D)
            All points, as the encoder reads them.
        labels : array-like (n,), optional
            Found clusters. They are shown while there are as many centroids as classes: another number has no colour.
        caption
            What the reader sees above the frame.
        """
        centroids = getattr(network, "centroids", None)
        final = centroids is not None and len(centroids) == len(self.classes)
        self.add(network.encoder(x[self.index]), labels if final else None, caption, centroids)

    def _pick(self, values: ArrayLike, what: str) -> NDArray:
        """Return the film's rows of ``values``, which has a row for every point or for those rows only."""
        values = as_array(values)
        if len(values) == len(self.index):
            return values
        if len(values) != self.n:
            raise ValueError(f"{what} has {len(values)} rows, but x has {self.n} and the film {len(self.index)}.")
        return values[self.index]

    def show(self) -> HtmlElement:
        """Return the film as an object that a notebook shows.

        Raises
        ------
        ValueError
            If there is no frame.
        """
        return HtmlElement(self._html(), self._png())

    def save(self, path: str | Path) -> Path:
        """Write the film as an HTML page that stands alone, and return its path."""
        return self.show().save(path, FILM_LABEL)

    def _png(self) -> bytes:
        """Return the last frame as a small picture, for places that do not run scripts."""
        frames = self._numbered(self.frames)
        plane = project(frames[-1].z, self._axes())
        figure = latent_scatter(plane, frames[-1].labels, title=frames[-1].caption)
        figure.set_dpi(72)
        return as_png(figure)

    def _axes(self) -> NDArray | None:
        end = self.frames[-1]
        if end.z.shape[1] <= 2:
            return None
        return pca_axes(end.z) if end.labels is None else discriminant_axes(end.z.astype(float), end.labels)

    def _html(self) -> str:
        """Return the element, made smaller by the documented rule until it fits."""
        if not self.frames:
            raise ValueError("the film has no frame: pass it as callback, or call film.add, before film.show.")
        frames = self._numbered(self.frames)
        first, last = (escape(frame.caption or "its start") for frame in (frames[0], frames[-1]))
        waits = f"A film: {len(self.index)} codes at {len(frames)} moments of training, from “{first}” to “{last}”. "
        waits += "It plays once the notebook is trusted or run."
        for n_points, n_frames, quality in _ladder(len(self.index), len(frames)):
            html = elements.html("film", self._payload(frames, n_points, n_frames, quality), FILM_LABEL, waits)
            if len(html.encode()) <= FILM_BYTES:
                return html
        raise ValueError(f"the film does not fit in {FILM_BYTES} bytes.")

    @staticmethod
    def _numbered(frames: list[Frame]) -> list[Frame]:
        """Renumber clusters backwards from the last frame, where a frame's numbers are permuted."""
        out = [frames[-1]]
        for frame in frames[-2::-1]:
            labels, centroids = _follow(frame.labels, out[-1].labels, frame.centroids)
            out.append(Frame(frame.z, labels, frame.caption, frame.phase, centroids))
        return out[::-1]

    def _payload(self, frames: list[Frame], n_points: int, n_frames: int, quality: tuple[float, int]) -> dict[str, Any]:
        """Return all that the script needs, as numbers, words and two base64 strings."""
        phases = _fill_phases([frame.phase for frame in frames])
        kept = _thin(phases, n_frames)
        rows = np.linspace(0, len(self.index) - 1, n_points).round().astype(int)
        axes, shots = self._axes(), [frames[f] for f in kept]
        places, centres, halves = _camera(np.stack([project(shot.z, axes) for shot in shots]))
        steps, moves = _encode_moves(places[:, rows])
        groups = np.stack([np.full(len(self.index), NO_CLUSTER) if s.labels is None else s.labels for s in shots])[
            :, rows
        ]
        turns = np.diff(groups, axis=0, prepend=0).astype(np.uint8)  # modulo 256
        truth = b"" if self.y is None else self.y[rows].astype(np.uint8).tobytes()
        blob = zlib.compress(moves.transpose(0, 2, 1).tobytes() + turns.tobytes() + truth, 9)
        records = [{"caption": s.caption, "phase": phases[f], "step": step, "half": float(f"{half:.4g}")}
                   for f, s, step, half in zip(kept, shots, steps, halves, strict=True)]  # fmt: skip
        for record, shot, centre, half in zip(records, shots, centres, halves, strict=True):
            if shot.centroids is not None:
                record["centroids"] = ((project(shot.centroids, axes) - centre) / half).round(3).tolist()
        clustered = [f for f, s in enumerate(shots) if s.labels is not None]
        found = groups[groups != NO_CLUSTER]
        return {
            "n": n_points, "frames": records, "blob": base64.b64encode(blob).decode(), "palette": PALETTE,
            "clusters": int(found.max()) + 1 if found.size else 0, "first": clustered[0] if clustered else
            len(shots), "classes": self.classes if self.y is not None else None, "index":
            self.index[rows].tolist(), "sprite": None if self.shape is None else elements.sprite(self.x[rows],
            self.shape, *quality),
        }  # fmt: skip


def _ladder(n_points: int, n_frames: int) -> Iterator[tuple[int, int, tuple[float, int]]]:
    """Yield sizes of a film, the best first: (points, frames, (share of the image's side, grey levels))."""
    n_frames = min(n_frames, FILM_FRAMES)
    for levels in ((1.0, 16), (1.0, 8), (1.0, 4), (0.5, 16), (0.5, 8), (0.5, 4)):
        yield n_points, n_frames, levels
    while n_frames > 12:
        n_frames = max(12, n_frames * 4 // 5)
        yield n_points, n_frames, (0.5, 4)
    while n_points > 1:
        n_points = n_points * 4 // 5
        yield n_points, n_frames, (0.5, 4)


def _fill_phases(phases: list[str]) -> list[str]:
    """Give a frame without a phase that of the next frame that has one, else of the last."""
    out, following = [], ""
    for phase in phases[::-1]:
        following = phase or following
        out.append(following)
    named = [phase for phase in phases if phase]
    return [phase or (named[-1] if named else "") for phase in out[::-1]]


def _thin(phases: list[str], n_frames: int) -> list[int]:
    """Return at most ``n_frames`` frames, spread over each phase, its first and last among them."""
    if len(phases) <= n_frames:
        return list(range(len(phases)))
    starts = [f for f in range(len(phases)) if f == 0 or phases[f] != phases[f - 1]]
    runs = list(zip(starts, [*starts[1:], len(phases)], strict=True))
    if 2 * len(runs) > n_frames:
        return np.linspace(0, len(phases) - 1, n_frames).round().astype(int).tolist()
    spare, kept = n_frames - 2 * len(runs), []
    for start, stop in runs:
        share = 2 + int(spare * (stop - start) / len(phases))
        kept += np.unique(np.linspace(start, stop - 1, share).round().astype(int)).tolist()
    return kept


def _follow(labels: NDArray | None, later: NDArray | None, centroids: NDArray | None) -> tuple[Any, Any]:
    """Renumber ``labels`` to agree with the frame after it, if a tenth of the points agree only then."""
    if labels is None or later is None:
        return labels, centroids
    size = max(labels.max(), later.max()) + 1
    overlap = np.bincount(labels * size + later, minlength=size * size).reshape(size, size)
    order = linear_sum_assignment(overlap, maximize=True)[1]
    if overlap[range(size), order].sum() - np.trace(overlap) < 0.1 * len(labels):
        return labels, centroids
    if centroids is not None:
        centroids = centroids[np.argsort(order)] if len(centroids) == size else None
    return order[labels], centroids


def _camera(places: NDArray, smooth: float = 1.5) -> tuple[NDArray, NDArray, NDArray]:
    """Return places (F, n, 2) as a camera sees them, its centres (F, 2) and half-widths (F,)."""
    centres = np.median(places, axis=1)
    reach = np.abs(places - centres[:, None]) / (ASPECT, 1)
    own = np.maximum(np.quantile(reach.max(axis=2), 0.995, axis=1), 1e-9)
    halves = 1.12 * np.maximum(own, np.exp(gaussian_filter1d(np.log(own), smooth, mode="nearest")))
    seen = (places - centres[:, None]) / halves[:, None, None]
    return np.clip(seen, (-ASPECT * 0.98, -0.98), (ASPECT * 0.98, 0.98)), centres, halves


def _encode_moves(places: NDArray) -> tuple[list[float], NDArray]:
    """Code each frame as its change from the decoded frame before, in 8 bits times a step of its own.

    No error adds up: a place is off by at most half a step, and a step is 1/127 of the frame's largest move.
    """
    decoded, steps, moves = np.zeros_like(places[0]), [], np.empty(places.shape, np.int8)
    for f, place in enumerate(places):
        step = float(f"{max(np.abs(place - decoded).max() / 127, 1e-6):.5g}")
        moves[f] = np.clip(np.rint((place - decoded) / step), -127, 127)
        decoded = decoded + step * moves[f]
        steps.append(step)
    return steps, moves

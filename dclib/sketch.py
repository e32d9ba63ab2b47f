"""Draw a digit: a trained encoder runs in the browser on what a reader draws, and shows its cluster and neighbours."""

import base64
import math
import zlib
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from sklearn.manifold import TSNE
from torch import nn

from dclib import elements
from dclib.elements import HtmlElement
from dclib.plots.maps import latent_scatter
from dclib.plots.style import PALETTE, as_png

SKETCH_BYTES = 1_000_000  # one drawing board, standing alone
LABEL = "Draw a digit"
WAITS = (
    "A drawing board stands here once the notebook is trusted or run: draw a digit, and see where its code lands on "
    "the map, which cluster claims it, and the training digits nearest to it."
)
FILL = 20 / 28  # MNIST: the longer side of a digit over the side of its image
PEN = 0.08  # width of the pen over the side of the board


def sketchpad(
    model: Any, x: ArrayLike, shape: tuple[int, int], n_points: int = 1000, random_state: int = 0
) -> HtmlElement:
    """Return a board on which a reader draws, and a trained model answers at once.

    The element holds the encoder's weights and a sample of the points. It makes no request: what is drawn stays in the
    browser. A drawing is sized by its longer side and centred by its mass, as the digits of MNIST are.

    Parameters
    ----------
    model
        A fitted :class:`~dclib.methods.dec.DEC` or :class:`~dclib.methods.idec.IDEC` with a fully connected encoder.
    x : array-like (n, D)
        Images, dark where nothing is drawn. A sample of them makes the map.
    shape
        Height and width of an image, at most 32 each.
    n_points
        Points on the map, drawn at random.
    random_state
        Seed of the sample.

    Raises
    ------
    ValueError
        If the encoder is not linear layers with a ReLU between each two, the model has no soft assignment, ``shape``
        is too large or does not fit ``x``, or the element would be larger than ``SKETCH_BYTES``.

    Notes
    -----
    *Map.* t-SNE of the sample's codes. A drawing is placed between its five nearest neighbours, by the inverse of the
    squared distance of their codes.

    *Precision.* Weights are stored in 8 bits, with a step for each row; the rest of the computation is in floats.
    """
    x = np.asarray(x, dtype=np.float32)
    if x.ndim != 2 or math.prod(shape) != x.shape[1]:
        raise ValueError(f"shape={tuple(shape)} does not fit points of shape {x.shape[1:]}.")
    if max(shape) > elements.SPRITE_SIDE:
        raise ValueError(f"shape={tuple(shape)}, but a board takes at most {elements.SPRITE_SIDE} pixels a side.")
    if not hasattr(model, "alpha"):
        raise ValueError(f"{type(model).__name__} has no soft assignment; a drawing board needs DEC or IDEC.")
    sample = np.sort(np.random.default_rng(random_state).permutation(len(x))[:n_points])
    points = x[sample]
    z, labels = model.transform(points), model.predict(points)
    places = TSNE(perplexity=min(30, (len(z) - 1) / 3), init="pca", random_state=random_state).fit_transform(z)
    layers = [_in_8_bits(*layer) for layer in _from_ink(_layers(model.network_.encoder), model, x)]
    floats = [part for _, step, bias in layers for part in (step, bias)] + [model.centroids_, z, places]
    payload = {
        "shape": list(shape), "widths": [x.shape[1], *(len(w) for w, *_ in layers)], "clusters": len(model.centroids_),
        "alpha": model.alpha, "n": len(sample), "fill": FILL, "pen": PEN, "palette": PALETTE,
        "weights": _text(zlib.compress(b"".join(w.tobytes() for w, *_ in layers), 9)),
        "floats": _text(b"".join(np.asarray(part, dtype="<f4").tobytes() for part in floats)),
        "groups": _text(labels.astype(np.uint8).tobytes()), "sprite": elements.sprite(points, shape, 1.0, 16),
    }  # fmt: skip
    return _element(payload, latent_scatter(places, labels, title="the map to draw on"))


def _element(payload: dict[str, Any], figure: Figure) -> HtmlElement:
    """Return the board, and a picture of its map, if the board is not too large."""
    board = elements.html("sketch", payload, LABEL, WAITS)
    if len(board.encode()) > SKETCH_BYTES:
        raise ValueError(f"the board takes {len(board.encode()):,} bytes; pass fewer points or a smaller network.")
    figure.set_dpi(72)
    return HtmlElement(board, as_png(figure))


def _layers(encoder: nn.Module) -> list[tuple[NDArray, NDArray]]:
    """Return weights (out, in) and biases (out,) of an encoder, if linear layers and ReLUs are all it has."""
    modules = list(encoder.children()) or [encoder]
    kinds = [nn.Linear if i % 2 == 0 else nn.ReLU for i in range(len(modules))]
    if not all(map(isinstance, modules, kinds)) or len(modules) % 2 == 0:
        raise ValueError("a drawing board needs an encoder of linear layers with a ReLU between each two.")
    return [tuple(p.detach().cpu().double().numpy() for p in (m.weight, m.bias)) for m in modules[::2]]


def _from_ink(layers: list[tuple[NDArray, NDArray]], model: Any, x: NDArray) -> list[tuple[NDArray, NDArray]]:
    """Return layers whose first one reads ink in [0, 1] instead of points in the model's own unit."""
    low, high = float(x.min()), float(x.max())
    weight, bias = layers[0]
    shift = (low - model.offset_) / model.scale_
    return [(weight * (high - low) / model.scale_, bias + weight.sum(axis=1) * shift), *layers[1:]]


def _in_8_bits(weight: NDArray, bias: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return integers in [-127, 127] (out, in), a step for each row (out,), and the biases."""
    step = np.maximum(np.abs(weight).max(axis=1), 1e-12) / 127
    return np.rint(weight / step[:, None]).astype(np.int8), step, bias


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

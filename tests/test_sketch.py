"""The drawing board: it computes the model's own codes, asks for nothing, and refuses what it can't draw on."""

import base64
import json
import re
import zlib
from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dclib import DBC, DEC, IDEC, AutoencoderKMeans
from dclib.sketch import SKETCH_BYTES, sketchpad

X = (load_digits().data / 16).astype(np.float32) + 3  # an offset, which the first layer takes
SMALL = {"hidden": (32, 16), "latent_dim": 5, "pretrain_epochs": 3, "epochs": 1, "batch_size": 128, "random_state": 0}


@pytest.fixture(scope="module")
def model() -> DEC:
    return DEC(10, **SMALL).fit(X)


def payload(html: str) -> dict:
    """Return what the script of a board is called with."""
    return json.loads(re.search(r"\)\((\{.*\}), document\.currentScript, ", html, re.S)[1])


def codes_of(data: dict, ink: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return codes (n, d) of ink (n, D) as the browser computes them, and the other arrays of the board."""
    weights = np.frombuffer(zlib.decompress(base64.b64decode(data["weights"])), np.int8)
    floats = np.frombuffer(base64.b64decode(data["floats"]), "<f4")
    z, widths = ink, data["widths"]
    for layer, (n_in, n_out) in enumerate(pairwise(widths)):
        w, weights = weights[: n_in * n_out].reshape(n_out, n_in), weights[n_in * n_out :]
        step, bias, floats = floats[:n_out], floats[n_out : 2 * n_out], floats[2 * n_out :]
        z = z @ w.T * step + bias
        z = z if layer == len(widths) - 2 else np.maximum(z, 0)
    parts = np.split(floats, np.cumsum([data["clusters"] * widths[-1], data["n"] * widths[-1]]))
    names, columns = ("centroids", "codes", "places"), (widths[-1], widths[-1], 2)
    return z, {name: part.reshape(-1, w) for name, part, w in zip(names, parts, columns, strict=True)}


def test_the_board_computes_the_codes_of_the_model(model: DEC) -> None:
    data = payload(sketchpad(model, X, (8, 8), n_points=200).html)
    z, held = codes_of(data, X - 3)  # ink lies in [0, 1]
    exact = model.transform(X)
    assert np.abs(z - exact).max() < 0.05 * np.abs(exact).max()
    labels = np.square(z[:, None] - held["centroids"]).sum(axis=2).argmin(axis=1)
    assert (labels == model.predict(X)).mean() > 0.95
    assert len(held["places"]) == len(held["codes"]) == data["n"] == 200
    distance = np.square(held["codes"][:, None] - exact).sum(axis=2)
    assert distance.min(axis=1).max() < 1e-9, "each point of the map is one of the data"
    groups = np.frombuffer(base64.b64decode(data["groups"]), np.uint8)
    assert (groups == model.predict(X)[distance.argmin(axis=1)]).all()


def test_the_board_is_the_same_bytes_twice_and_asks_for_nothing(model: DEC) -> None:
    one, two = (sketchpad(model, X, (8, 8), n_points=50) for _ in range(2))
    assert one.html == two.html and one.png == two.png
    assert set(re.findall(r"https?://[^\"'\s)]+", one.html)) == set()
    for word in ("fetch(", "XMLHttpRequest", "eval(", "new Function", "import(", "@import", "url(", "sendBeacon"):
        assert word not in one.html
    assert "draw a digit" in re.search(r'<p class="sketch-wait">(.*?)</p>', one.html)[1]


def test_a_board_of_the_books_size_stays_in_its_budget() -> None:
    rng = np.random.default_rng(0)
    noise = rng.random((1200, 784)).astype(np.float32)  # no PNG can shrink it
    big = IDEC(10, **SMALL | {"hidden": (256, 256), "latent_dim": 10, "pretrain_epochs": 1}).fit(noise)
    assert len(sketchpad(big, noise, (28, 28), n_points=600).html) < SKETCH_BYTES
    with pytest.raises(ValueError, match="fewer points"):
        sketchpad(big, np.tile(noise, (2, 1)), (28, 28), n_points=2400)


def test_what_cannot_be_drawn_on_is_refused(model: DEC) -> None:
    with pytest.raises(ValueError, match=r"shape=\(28, 28\) does not fit"):
        sketchpad(model, X, (28, 28))
    with pytest.raises(ValueError, match="at most 32 pixels a side"):
        sketchpad(model, np.zeros((4, 1600)), (40, 40))
    kmeans = AutoencoderKMeans(10, **{k: v for k, v in SMALL.items() if k != "epochs"}).fit(X)
    with pytest.raises(ValueError, match="no soft assignment"):
        sketchpad(kmeans, X, (8, 8))
    with pytest.raises(ValueError, match="linear layers"):
        sketchpad(DBC(10, shape=(8, 8), latent_dim=5, pretrain_epochs=1, epochs=1).fit(X), X, (8, 8))

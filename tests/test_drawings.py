"""Drawn images as a film and as a plane to walk: true to what was drawn, within their budget, careful with words."""

import base64
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from dclib import VAE, InfoGAN
from dclib.drawings import DRAWING_BYTES, FILM_FRAMES, SampleFilm, latent_walk

X = (load_digits().data / 16).astype(np.float32)
SMALL = {"hidden": (16,), "pretrain_epochs": 2, "batch_size": 256, "random_state": 0, "device": "cpu"}


def payload(html: str) -> dict:
    """Return what the script of an element is called with."""
    return json.loads(re.search(r"\)\((\{.*\}), document\.currentScript, ", html, re.S)[1])


def images_of(data: dict) -> np.ndarray:
    """Return the images of the sheet (n, h, w), from 0 to 1."""
    sheet = data["sprite"]
    picture = Image.open(io.BytesIO(base64.b64decode(sheet["src"].split(",")[1])))
    pixels = np.asarray(picture.convert("L")) / 255
    h, w, columns = sheet["h"], sheet["w"], sheet["columns"]
    return pixels.reshape(-1, h, columns, w).swapaxes(1, 2).reshape(-1, h, w)


def rows_of(value: float, rows: int = 3, n: int = 4) -> np.ndarray:
    out = np.full((rows, n, 64), value, dtype=np.float32)
    out[..., 0], out[..., 1] = 0, 1  # the range
    return out


def test_the_film_shows_what_was_drawn() -> None:
    film = SampleFilm((8, 8), n=4)
    for f in range(5):
        film.add(X[12 * f : 12 * f + 12].reshape(3, 4, 64), f"epoch {f}")
    data = payload(film.show().html)
    assert data["captions"] == [f"epoch {f}" for f in range(5)] and (data["rows"], data["across"]) == (3, 4)
    np.testing.assert_allclose(images_of(data)[:60], X[:60].reshape(-1, 8, 8), atol=0.5 / 15 + 1e-6)


def test_long_and_large_films_keep_their_ends_and_their_budget() -> None:
    film, dice = SampleFilm((28, 28), n=8), np.random.default_rng(0)
    for f in range(60):
        film.add(dice.random((10, 8, 784)), f"epoch {f}")
    html = film.show().html
    captions = payload(html)["captions"]
    assert len(html.encode()) <= DRAWING_BYTES
    assert captions[0] == "epoch 0" and captions[-1] == "epoch 59" and 1 < len(captions) <= FILM_FRAMES


def test_the_film_follows_a_training_without_changing_it() -> None:
    film, alone = SampleFilm((8, 8), n=3, every=2), InfoGAN(4, **SMALL).fit(X)
    watched = InfoGAN(4, **SMALL, callback=film).fit(X)
    for name, value in alone.network_.state_dict().items():
        assert torch.equal(value, watched.network_.state_dict()[name])
    captions = [caption for _, caption in film.frames]
    assert captions[0] == "random network" and captions[-1].startswith("pretrain · epoch")
    assert film.frames[0][0].shape == (4, 3, 8, 8)
    last = watched.sample(3, cluster=2, random_state=0)
    every = SampleFilm((8, 8), n=3)
    every(watched)
    np.testing.assert_array_equal(every.frames[0][0][2].reshape(3, 64), last)


def test_a_model_without_clusters_yet_is_not_asked_for_them() -> None:
    film = SampleFilm((8, 8))
    film(SimpleNamespace(seeks=True, history_=[], n_clusters=3))
    assert len(film) == 0
    with pytest.raises(ValueError, match="no frame"):
        film.show()
    own = SampleFilm((8, 8), draw=lambda model: rows_of(0.5))
    own(SimpleNamespace(seeks=True, history_=[{"phase": "refine", "epoch": 3}]))
    assert own.frames[0][1] == "refine · epoch 3"


def test_frames_that_do_not_fit_are_refused() -> None:
    film = SampleFilm((8, 8))
    film.add(rows_of(0.2))
    with pytest.raises(ValueError, match="the first one"):
        film.add(rows_of(0.2, rows=2))
    with pytest.raises(ValueError, match="do not hold images"):
        film.add(np.zeros((3, 4, 63)))
    with pytest.raises(ValueError, match="not finite"):
        film.add(rows_of(np.nan))
    for bad in ({"n": 0}, {"every": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            SampleFilm((8, 8), **bad)


def test_a_walk_holds_each_place_of_each_plane() -> None:
    planes = X[:24].reshape(2, 3, 4, 64)
    walk = latent_walk(planes, (8, 8), ("u", "v"), ((-1, 1), (0, 2)), choices=["a", "b"])
    data = payload(walk.html)
    assert (data["n"], data["m"], data["axes"]) == (3, 4, ["u", "v"])
    assert data["ranges"] == [[-1, 1], [0, 2]] and data["choices"] == ["a", "b"]
    np.testing.assert_allclose(images_of(data)[:24], X[:24].reshape(-1, 8, 8), atol=0.5 / 15 + 1e-6)
    assert walk.png.startswith(b"\x89PNG") and "Walk it once" in walk.html


def test_a_walk_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="2 choices and 3 planes"):
        latent_walk(np.zeros((3, 2, 2, 64)), (8, 8), choices=["a", "b"])
    with pytest.raises(ValueError, match="do not hold images"):
        latent_walk(np.zeros((2, 2, 65)), (8, 8))
    with pytest.raises(ValueError, match="does not fit in"):
        latent_walk(np.random.default_rng(0).random((90, 90, 1024)), (32, 32))


def test_words_and_captions_cannot_break_the_page() -> None:
    film = SampleFilm((8, 8))
    film.add(rows_of(0.2), "</script><script>alert(1)</script>")
    assert film.show().html.count("</script>") == 1
    walk = latent_walk(rows_of(0.5), (8, 8), ("</script>", "<b>"))
    assert walk.html.count("</script>") == 1


def test_the_same_images_are_the_same_bytes() -> None:
    one, two = (latent_walk(rows_of(0.5), (8, 8)).html for _ in range(2))
    assert one == two and "http" not in re.sub(r"http://www\.w3\.org\S*", "", one)


def test_decode_is_what_sample_draws() -> None:
    model = VAE(4, hidden=(16,), latent_dim=3, pretrain_epochs=2, random_state=0, device="cpu").fit(X + 2)
    z = model.transform(X[:5] + 2)
    drawn = model.decode(z)
    assert drawn.shape == (5, 64) and drawn.dtype == np.float32 and 1.9 < drawn.min() <= drawn.max() < 3.1
    np.testing.assert_allclose(np.concatenate([model.decode(z[:2]), model.decode(z[2:])]), drawn, rtol=1e-5)
    state = torch.get_rng_state()
    model.decode(z)
    assert torch.equal(state, torch.get_rng_state()), "to look does not change a training"
    with pytest.raises(ValueError, match="latent points have 3"):
        model.decode(z[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        model.decode(z * np.nan)

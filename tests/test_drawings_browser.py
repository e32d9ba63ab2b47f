"""Drawn images in a real browser: the film plays and scrubs, the plane is walked by pointer, finger and keys."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dclib.drawings import SampleFilm, latent_walk

X = (load_digits().data / 16).astype(np.float32)
GREY = """(canvas, box) => {
    const [x, y, w, h] = box, data = canvas.getContext('2d').getImageData(x, y, w, h).data;
    return [...data].filter((_, i) => i % 4 === 0);
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    film = SampleFilm((8, 8), n=4)
    for f in range(6):
        film.add(X[12 * f : 12 * f + 12].reshape(3, 4, 64), f"pretrain · epoch {f}")
    film.save(folder / "film.html")
    walk = latent_walk(X[:24].reshape(2, 3, 4, 64), (8, 8), ("u", "v"), ((-1, 1), (0, 3)), choices=["one", "two"])
    walk.save(folder / "walk.html", "A walk")
    return folder


def opened(browse: Callable, path: Path, ready: str, **options):
    """Return a page whose element is drawn."""
    page = browse(path, **options)
    page.wait_for_function(f"document.querySelector('.dclib-{ready}")
    page.wait_for_timeout(100)
    return page


@pytest.fixture
def film(browse: Callable, pages: Path) -> Callable:
    return partial(opened, browse, pages / "film.html", "samples')?.dataset.frame")


@pytest.fixture
def walk(browse: Callable, pages: Path) -> Callable:
    return partial(opened, browse, pages / "walk.html", "walk')?.dataset.place")


def image_at(page, selector: str, box: list[int]) -> np.ndarray:
    return np.array(page.locator(selector).evaluate(GREY, box)).reshape(8, 8) / 255


def test_the_film_stands_still_on_its_last_frame(film: Callable) -> None:
    page = film()
    assert page.locator(".samples-caption").inner_text() == "pretrain · epoch 5"
    shown = image_at(page, ".dclib-samples canvas", [3 + 9, 9, 8, 8])  # second row, second image
    np.testing.assert_allclose(shown, X[60 + 5].reshape(8, 8), atol=0.04)
    page.wait_for_timeout(500)
    assert page.locator(".dclib-samples").get_attribute("data-frame") == "5"


def test_the_film_plays_pauses_and_scrubs(film: Callable) -> None:
    page = film()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.dclib-samples').dataset.frame == 1")
    page.get_by_role("button", name="Pause").click()
    stopped = page.locator(".dclib-samples").get_attribute("data-frame")
    page.wait_for_timeout(500)
    assert page.locator(".dclib-samples").get_attribute("data-frame") == stopped
    page.get_by_role("slider").fill("0")
    assert page.locator(".samples-caption").inner_text() == "pretrain · epoch 0"
    shown = image_at(page, ".dclib-samples canvas", [3, 0, 8, 8])
    np.testing.assert_allclose(shown, X[0].reshape(8, 8), atol=0.04)
    page.get_by_role("slider").press("ArrowRight")
    assert page.locator(".samples-caption").inner_text() == "pretrain · epoch 1"


def test_dragging_walks_the_plane(walk: Callable) -> None:
    page = walk()
    assert page.locator(".dclib-walk").get_attribute("data-place") == "0 1 2"
    box = page.locator(".walk-stage canvas").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + box["height"] - 5)
    page.mouse.down()
    assert page.locator(".walk-words").inner_text() == "u −1.00, v 0.00"
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + 5, steps=6)
    assert page.locator(".walk-words").inner_text() == "u 1.00, v 3.00"
    np.testing.assert_allclose(image_at(page, ".walk-place canvas", [0, 0, 8, 8]), X[11].reshape(8, 8), atol=0.04)
    page.mouse.up()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    assert page.locator(".dclib-walk").get_attribute("data-place") == "0 2 3", "it stays where it was let go"


def test_keys_walk_and_choices_change_the_plane(walk: Callable) -> None:
    page = walk()
    page.locator(".walk-stage canvas").focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowDown"):  # the second one is at the border
        page.keyboard.press(key)
    assert page.locator(".dclib-walk").get_attribute("data-place") == "0 0 1"
    page.get_by_role("button", name="two").click()
    assert page.locator(".dclib-walk").get_attribute("data-place") == "1 0 1"
    np.testing.assert_allclose(image_at(page, ".walk-place canvas", [0, 0, 8, 8]), X[13].reshape(8, 8), atol=0.04)
    assert "two, u −1.00, v 1.00" in page.locator(".walk-stage canvas").get_attribute("aria-valuetext")


@pytest.mark.parametrize("name", ["film", "walk"])
def test_nothing_is_wider_than_a_phone(name: str, request: pytest.FixtureRequest) -> None:
    page = request.getfixturevalue(name)(viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360

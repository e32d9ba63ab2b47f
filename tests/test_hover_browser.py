"""The map of texts in a real browser: by mouse, finger and keys a dot says its text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dclib.hover import hover_map

PLACES = np.array([[0.0, 0], [10, 0], [0, 10], [10, 10]])
TEXTS = ["south west", "south east", "north west", "north east"]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = hover_map(PLACES, [0, 0, 1, 1], TEXTS, ["south", "north"])
    return made.save(tmp_path_factory.mktemp("hover") / "map.html", "A map")


@pytest.fixture
def open_map(browse: Callable, board: Path) -> Callable:
    def opener(**options):
        page = browse(board, **options)
        page.wait_for_function("document.querySelector('.hover-said')?.textContent")
        return page

    return opener


def said(page) -> str:
    return page.locator(".hover-said").text_content()


def corner(page, x: float, y: float) -> tuple[float, float]:
    box = page.locator(".dclib-hover canvas").bounding_box()
    return box["x"] + 14 + x * (box["width"] - 28), box["y"] + 14 + y * (box["height"] - 28)


def test_a_mouse_reads_the_dot_beneath_it(open_map):
    page = open_map()
    page.mouse.move(*corner(page, 0, 1))
    assert said(page) == "southsouth west"
    page.mouse.move(*corner(page, 1, 0))
    assert said(page) == "northnorth east"


def test_keys_go_through_texts_and_clusters(open_map):
    page = open_map()
    page.locator(".dclib-hover canvas").focus()
    found = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "Escape"):
        page.keyboard.press(key)
        found.append(said(page))
    assert found[:4] == ["southsouth west", "southsouth east", "northnorth west", "northnorth east"]
    assert found[4].startswith("Point at a dot")


def test_a_button_dims_other_clusters_and_their_dots_are_silent(open_map):
    page = open_map()
    button = page.locator(".dclib-hover button").nth(1)
    button.click()
    assert button.get_attribute("aria-pressed") == "true" or page.wait_for_timeout(100) is None
    before = said(page)
    page.mouse.move(*corner(page, 0, 1))
    assert said(page) == before
    page.mouse.move(*corner(page, 0, 0))
    assert said(page) == "northnorth west"


@pytest.mark.parametrize("width", [360, 900])
def test_it_fits_the_page(open_map, width):
    page = open_map(viewport={"width": width, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= width

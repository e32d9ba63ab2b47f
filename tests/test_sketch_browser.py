"""The drawing board in a real browser: by mouse, finger and keys it finds the cluster that the model finds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dclib import DEC
from dclib.sketch import sketchpad

DIGITS = load_digits()
X = (DIGITS.data / 16).astype(np.float32)
SEVEN, ONE = [(80, 70), (200, 70), (130, 230)], [(140, 50), (140, 230)]  # on a board of 280 × 280
HOW = {"hidden": (64,), "latent_dim": 8, "pretrain_epochs": 20, "epochs": 3, "batch_size": 128, "random_state": 0}


@pytest.fixture(scope="module")
def model() -> DEC:
    return DEC(10, **HOW).fit(X)


@pytest.fixture(scope="module")
def board(model: DEC, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sketchpad(model, X, (8, 8), n_points=300).save(tmp_path_factory.mktemp("sketch") / "board.html", "A board")


@pytest.fixture
def open_board(browse: Callable, board: Path) -> Callable:
    def opener(**options):
        page = browse(board, **options)
        page.wait_for_function("document.querySelector('.sketch-status')?.textContent")
        return page

    return opener


def spot(page, x: float, y: float) -> tuple[float, float]:
    """Return a place of the board, given on 280 × 280, on the page."""
    box = page.locator(".sketch-pad").bounding_box()
    return box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280


def draw(page, line: list[tuple[int, int]]) -> None:
    page.mouse.move(*spot(page, *line[0]))
    page.mouse.down()
    for place in line[1:]:
        page.mouse.move(*spot(page, *place), steps=8)
    page.mouse.up()


def claimed(page) -> int:
    return int(page.locator(".dclib-sketch").get_attribute("data-cluster"))


def got(page) -> np.ndarray:
    """Return the image (8, 8) that the network gets, in [0, 1]."""
    pixels = page.locator(".sketch-seen canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0)"
    )
    return np.array(pixels).reshape(8, 8) / 255


def test_it_waits_and_says_so(open_board: Callable) -> None:
    page = open_board()
    assert "Nothing leaves this page" in page.locator(".sketch-status").inner_text()
    assert page.locator(".sketch-near").is_hidden() and page.locator(".sketch-seen").is_hidden()
    assert page.locator(".sketch-bars b").all_inner_texts() == ["–"] * 10


def test_a_drawing_gets_the_cluster_of_the_model(open_board: Callable, model: DEC) -> None:
    page = open_board()
    draw(page, SEVEN)
    image = got(page)
    rows, columns = np.nonzero(image > 0.1)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (6, 7), "the longer side fills 20/28 of the image"
    middle = np.array([np.average(range(8), weights=image.sum(axis=a)) for a in (1, 0)])
    assert np.abs(middle - 3.5).max() < 0.3, "centred by its mass"
    proba = model.predict_proba(image.reshape(1, 64).astype(np.float32))[0]
    shown = np.array([float(text) for text in page.locator(".sketch-bars b").all_inner_texts()])
    assert claimed(page) == proba.argmax() and np.abs(shown - proba).max() < 0.03
    assert f"Cluster {proba.argmax()} claims it with q = " in page.locator(".sketch-status").inner_text()
    assert page.locator(".sketch-near canvas").count() == 8
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".sketch-near").is_hidden()


def test_a_finger_draws_and_does_not_scroll(open_board: Callable) -> None:
    page = open_board(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    touch = page.context.new_cdp_session(page)
    for kind, place in (("touchStart", ONE[0]), ("touchMove", (140, 140)), ("touchMove", ONE[1]), ("touchEnd", None)):
        x, y = spot(page, *place) if place else (0, 0)
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}] if place else []})
    page.wait_for_function("document.querySelector('.dclib-sketch').dataset.cluster")
    assert page.evaluate("scrollY") == 0
    ink = np.argwhere(got(page) > 0.3)
    assert np.ptp(ink[:, 0]) >= 3 > 1 >= np.ptp(ink[:, 1]), "a long upright stroke"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_keys_draw_like_a_mouse(open_board: Callable) -> None:
    page = open_board()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "sketch-pad"
    for key, times in (("ArrowUp", 9), ("Space", 1), ("ArrowDown", 18), ("Space", 1), ("ArrowLeft", 5)):
        for _ in range(times):
            page.keyboard.press(key)
    by_keys = got(page)
    page.keyboard.press("Delete")
    assert page.locator(".sketch-near").is_hidden()
    draw(page, ONE)
    assert np.abs(by_keys - got(page)).max() < 0.1


def test_a_training_digit_is_among_the_digits_of_its_cluster(open_board: Callable) -> None:
    page = open_board()
    seen = set()
    for _ in range(4):
        page.get_by_role("button", name="Take a training digit").click()
        nearest = page.locator(".sketch-near small").all_inner_texts()
        assert nearest[0] == str(claimed(page)), "it is its own nearest neighbour"
        seen.add(got(page).tobytes())
    assert len(seen) == 4


def test_two_boards_on_a_page_and_a_dark_theme(browse: Callable, board: Path) -> None:
    html = board.read_text(encoding="utf-8")
    (double := board.with_name("two.html")).write_text(html + html[html.index("<div class") :], encoding="utf-8")
    page = browse(double, color_scheme="dark")
    page.wait_for_function("[...document.querySelectorAll('.sketch-status')].filter(s => s.textContent).length === 2")
    colour = page.locator(".sketch-status").first.evaluate("e => getComputedStyle(e).color")
    assert colour == "rgb(221, 221, 221)"

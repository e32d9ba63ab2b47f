"""The latent-space film in a real browser: it plays, scrubs, answers the pointer, follows page and theme."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from dclib.film import LatentFilm

INKED = """canvas => {
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let count = 0;
    for (let i = 3; i < data.length; i += 4) count += data[i] > 0;
    return count;
}"""


def make_film(seed: int = 0) -> LatentFilm:
    """A morph of digits from their principal components to ten heaps."""
    x, y = load_digits(return_X_y=True)
    start = PCA(6, random_state=0).fit_transform(x) / 10
    end = np.random.default_rng(seed).normal(size=(10, 6))[y] * 4 + start / 3
    film = LatentFilm(x, (8, 8), n_points=300, y=y)
    for f in range(12):
        z, k = start + (end - start) * f / 11, f - 4
        if k < 0:
            film.add(z, caption=f"pretrain · epoch {f} · loss 0.1", phase="pretrain")
        else:
            film.add(
                z,
                y,
                f"refine · epoch {k} · loss 0.1",
                np.stack([z[y == j].mean(0) for j in range(10)]),
                "refine",
            )
    return film


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One page with two films, and the second of them twice, as a notebook that shows it again would."""
    folder = tmp_path_factory.mktemp("film")
    page = make_film().save(folder / "film.html")
    other = make_film(1).show().html
    (folder / "three.html").write_text(page.read_text(encoding="utf-8") + other + other, encoding="utf-8")
    return folder


@pytest.fixture
def open_page(browse, pages: Path) -> Callable:
    """Open a page of films and wait until they are drawn."""

    def opener(name: str = "film.html", films: int = 1, **options):
        page = browse(pages / name, **options)
        page.wait_for_function(f"document.querySelectorAll('.film-legend .film-chip').length >= {10 * films}")
        page.wait_for_timeout(100)
        return page

    return opener


def frame_of(page, film: int = 0) -> int:
    return int(page.locator(".film-track input").nth(film).input_value())


def test_starts_still_on_the_last_frame(open_page) -> None:
    page = open_page()
    assert frame_of(page) == 11
    assert page.locator(".film-caption").inner_text() == "refine · epoch 7 · loss 0.1"
    page.wait_for_timeout(500)
    assert frame_of(page) == 11
    assert page.locator(".film-stage > canvas").evaluate(INKED) > 2000


def test_play_runs_from_the_start_and_pauses(open_page) -> None:
    page = open_page()
    button = page.get_by_role("button", name="Play")
    button.click()
    page.wait_for_function("document.querySelector('.film-track input').value < 11")
    page.wait_for_function("document.querySelector('.film-track input').value > 1")
    page.get_by_role("button", name="Pause").click()
    stopped = frame_of(page)
    page.wait_for_timeout(400)
    assert frame_of(page) == stopped
    page.get_by_label("Speed").select_option("2")
    button.click()
    page.wait_for_function("document.querySelector('.film-track input').value == 11")
    page.get_by_role("button", name="Play").wait_for()


def test_play_moves_smoothly_between_frames(open_page) -> None:
    page = open_page()
    page.get_by_label("Speed").select_option("0.5")
    page.get_by_role("button", name="Play").click()
    seen = page.evaluate("""async () => {
        const canvas = document.querySelector('.film-stage > canvas'), seen = new Set();
        for (let i = 0; i < 14; i++) {
            await new Promise(done => setTimeout(done, 40));
            seen.add(document.querySelector('.film-track input').value + canvas.toDataURL());
        }
        return seen.size;
    }""")
    assert seen > 3  # at 1.25 frames a second, 0.6 s would show two pictures without in-betweens


def test_reduced_motion_shows_frames_only(open_page) -> None:
    page = open_page(reduced_motion="reduce")
    page.get_by_role("button", name="Play").click()
    seen = page.evaluate("""async () => {
        const canvas = document.querySelector('.film-stage > canvas'), seen = new Map();
        for (let i = 0; i < 20; i++) {
            await new Promise(done => setTimeout(done, 30));
            const f = document.querySelector('.film-track input').value;
            seen.set(f, (seen.get(f) || new Set()).add(canvas.toDataURL()));
        }
        return [...seen.values()].map(s => s.size);
    }""")
    assert set(seen) == {1}


def test_slider_obeys_the_keyboard_and_speaks(open_page) -> None:
    page = open_page()
    slider = page.get_by_label("Frame of the film")
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator(".film-caption").inner_text() == "pretrain · epoch 0 · loss 0.1"
    assert slider.get_attribute("aria-valuetext") == "pretrain · epoch 0 · loss 0.1"
    page.keyboard.press("ArrowRight")
    assert frame_of(page) == 1
    assert page.locator(".film-phases .now").inner_text() == "pretrain"


def test_hover_shows_the_image_and_its_cluster(open_page) -> None:
    page = open_page()
    box, card = page.locator(".film-stage > canvas").bounding_box(), page.locator(".film-card")
    assert card.is_hidden()
    for step in range(60):  # sweep until the pointer meets a point
        x, y = (
            box["x"] + box["width"] * (0.1 + 0.8 * (step % 10) / 9),
            box["y"] + box["height"] * (0.1 + 0.13 * (step // 10)),
        )
        page.mouse.move(x, y)
        page.wait_for_timeout(30)
        if card.is_visible():
            break
    assert card.inner_text().split("\n")[0].startswith("cluster ")
    assert "class " in card.inner_text()
    assert card.locator("canvas").evaluate(INKED) == 64  # the whole picture of 8 × 8
    inside, stage = card.bounding_box(), page.locator(".film-stage").bounding_box()
    assert inside["x"] >= stage["x"]
    assert inside["x"] + inside["width"] <= stage["x"] + stage["width"] + 1
    page.mouse.move(2, 2)
    card.wait_for(state="hidden")


def test_arrow_keys_walk_over_the_points(open_page) -> None:
    page = open_page()
    page.locator(".film-stage > canvas").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".film-card").inner_text()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(30)
    assert page.locator(".film-card").inner_text() != first
    page.keyboard.press("Escape")
    assert page.locator(".film-card").is_hidden()


def test_touch_shows_a_point(open_page) -> None:
    page = open_page(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    box = page.locator(".film-stage > canvas").bounding_box()
    page.locator(".film-stage > canvas").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(50)
    spot = page.locator(".film-card").bounding_box()
    page.keyboard.press("Escape")
    for dx in (-30, -20, spot["width"] + 20):
        page.touchscreen.tap(
            min(max(spot["x"] + dx, box["x"] + 2), box["x"] + box["width"] - 2),
            spot["y"] + spot["height"] / 2,
        )
        page.wait_for_timeout(60)
        if page.locator(".film-card").is_visible():
            break
    assert page.locator(".film-card").is_visible()


def test_colour_by_class_and_highlight(open_page) -> None:
    page = open_page()
    canvas = page.locator(".film-stage > canvas")
    plain = canvas.evaluate("c => c.toDataURL()")
    chip = page.get_by_role("button", name="cluster 3,")
    chip.click()
    page.wait_for_timeout(60)
    assert chip.get_attribute("aria-pressed") == "true"
    assert canvas.evaluate("c => c.toDataURL()") != plain
    page.get_by_role("button", name="true class").click()
    assert page.get_by_role("button", name="class 3,").count() == 1
    assert page.get_by_role("button", name="true class").get_attribute("aria-pressed") == "true"


def test_follows_the_theme_while_it_changes(open_page) -> None:
    page = open_page()
    canvas, root = page.locator(".film-stage > canvas"), page.locator(".dclib-film")
    plain = canvas.evaluate("c => c.toDataURL()")
    page.add_style_tag(content="[data-theme=dark] body { background: #121212; color: #cfcfcf }")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function("getComputedStyle(document.querySelector('.dclib-film')).colorScheme == 'dark'")
    page.wait_for_timeout(100)
    assert canvas.evaluate("c => c.toDataURL()") != plain
    assert root.evaluate("r => getComputedStyle(r).backgroundColor") == "rgba(0, 0, 0, 0)"
    assert page.locator(".film-card").evaluate("c => c.style.background") == "rgb(18, 18, 18)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(open_page, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    ink = page.locator(".film-caption").evaluate("node => getComputedStyle(node).color")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = [sum(map(int, c.strip("rgb()").split(","))) for c in (ink, paper)]
    assert abs(bright[0] - bright[1]) > 450
    assert (bright[0] > bright[1]) == (scheme == "dark")


def test_text_is_readable_in_a_dark_frame_that_only_says_so(open_page) -> None:
    page = open_page()
    page.add_style_tag(content="body { background: transparent; color: #000 }")  # as in an output frame of Colab
    page.evaluate("document.documentElement.setAttribute('theme', 'dark')")
    page.wait_for_function("getComputedStyle(document.querySelector('.dclib-film')).color == 'rgb(230, 230, 230)'")


def test_films_on_one_page_are_independent(open_page) -> None:
    page = open_page("three.html", films=3)
    assert page.locator(".dclib-film").count() == 3
    page.locator(".film-track input").nth(1).fill("4")
    assert [frame_of(page, k) for k in range(3)] == [11, 4, 11]
    assert page.locator(".film-wait").count() == 0


def test_no_sideways_scroll_on_a_phone(open_page) -> None:
    page = open_page(viewport={"width": 390, "height": 800}, device_scale_factor=3, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wide, css = page.locator(".film-stage > canvas").evaluate("c => [c.width, c.getBoundingClientRect().width]")
    assert wide == round(css * 3)  # sharp: a canvas pixel is a pixel of the screen
    small = page.locator(".film-play, .film-chip, .dclib-film select").evaluate_all(
        "nodes => nodes.filter(node => node.getBoundingClientRect().height < 24).length"
    )
    assert small == 0


def test_works_when_inserted_by_script_as_jupyterlab_does(open_page, pages: Path) -> None:
    page = open_page()
    page.evaluate(
        """html => {
            const host = document.body.appendChild(document.createElement('div'));
            host.innerHTML = html;
            for (const script of host.querySelectorAll('script')) {
                const copy = document.createElement('script');
                copy.textContent = script.textContent;
                script.replaceWith(copy);
            }
        }""",
        make_film(2).show().html,
    )
    page.wait_for_function("document.querySelectorAll('.film-chip').length == 20")

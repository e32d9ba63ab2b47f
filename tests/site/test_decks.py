"""The slides, made from the site as it stands, in a browser without a network."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import SITE
from playwright.sync_api import Page

from tools import slides

LISTED = yaml.safe_load(slides.LIST.read_text(encoding="utf-8"))
READY = "window.Reveal && Reveal.isReady() && window.MathJax && MathJax.startup && MathJax.startup.promise"
TROUBLE = """() => {
  const slide = Reveal.getCurrentSlide(), shown = slide.querySelectorAll("h1, h2, p, li, table, img, pre, mjx-math");
  const wide = [...shown].filter(e => !e.closest("aside") && e.getBoundingClientRect().right > innerWidth + 1);
  const low = [...shown].filter(e => !e.closest("aside") && e.getBoundingClientRect().bottom > innerHeight + 1);
  return [wide.length, low.length, slide.querySelectorAll("mjx-merror").length];
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    out = tmp_path_factory.mktemp("slides")
    slides.supplies(SITE, out)
    for name, listed in LISTED.items():
        made = slides.deck(nbformat.read(SITE / "notebooks" / f"{name}.ipynb", 4), listed)
        (out / f"{Path(name).name}.html").write_text(slides.html(made), encoding="utf-8")
    yield out


@pytest.mark.parametrize("name", LISTED)
def test_a_deck_reads_offline_and_fits(name: str, folder: Path, page: Page) -> None:
    trouble: list[str] = []
    page.set_viewport_size({"width": 1100, "height": 720})
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else trouble.append(r.url))
    page.on("requestfailed", lambda request: trouble.append(request.url))
    page.goto((folder / f"{Path(name).name}.html").as_uri())
    page.wait_for_function(READY)
    page.evaluate("MathJax.startup.promise")
    total = page.evaluate("Reveal.getTotalSlides()")
    assert total == len(LISTED[name]) + 1
    for number in range(total):
        page.evaluate(f"Reveal.slide({number})")
        assert page.evaluate(TROUBLE) == [0, 0, 0], f"slide {number + 1}"
    assert page.locator("mjx-container").count() > 0
    assert trouble == []

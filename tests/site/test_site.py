"""The built site in a real browser: what a reader would meet, on a phone and at a desk, in light and in dark."""

import json
import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, Response, expect

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
SLUG = REPOSITORY.removeprefix("https://github.com/")
CHAPTERS = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix()
    for path in (ROOT / "notebooks").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
# Every page, but of those that show source code (`_modules`), which are all alike, the index only; and not the
# root, which sends the reader on.
PAGES = [
    name
    for name in sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    if not name.startswith(("_static/", "_sources/", "_modules/dclib")) and name != "index.html"
]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

# Elements that stick out of the page; what scrolls by itself (code, wide tables, formulas) may.
WIDE = """() => [...document.querySelectorAll('main *')].filter(e => {
    const box = e.getBoundingClientRect();
    if (!box.width || box.right <= innerWidth + 1) return false;
    for (let up = e.parentElement; up && up.tagName !== 'BODY'; up = up.parentElement)
        if (getComputedStyle(up).overflowX !== 'visible' || getComputedStyle(up).position === 'fixed') return false;
    return getComputedStyle(e).position !== 'fixed' && getComputedStyle(e).visibility !== 'hidden';
}).slice(0, 5).map(e => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().right))"""
RAW_MATH = """() => [...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container'))
    .map(e => e.textContent.slice(0, 80))"""

RAW_MARKUP = """() => [...document.querySelectorAll('main article p')]
    .map(e => { e = e.cloneNode(true); e.querySelectorAll('code').forEach(c => c.remove()); return e.textContent; })
    .filter(t => /^\\s*\\|.*\\|/.test(t) || /\\{(cite|doc|eq|ref|numref|glue)[:a-z]*\\}`/.test(t) || /^```/.test(t))"""


class Trouble:
    """Everything that goes wrong on a page while it is read."""

    def __init__(self, page: Page, base_url: str) -> None:
        self.found: list[str] = []
        self.base = base_url
        page.on("pageerror", lambda error: self.found.append(f"error: {error}"))
        page.on("console", self.message)
        page.on("request", self.request)
        page.on("response", self.response)

    def message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.found.append(f"console: {message.text}")

    def request(self, request: Request) -> None:
        if not request.url.startswith((self.base + "/", "data:", "blob:")):
            self.found.append(f"off the site: {request.url}")

    def response(self, response: Response) -> None:
        if response.status >= 400:
            self.found.append(f"{response.status}: {response.url}")


def visit(page: Page, base_url: str, name: str) -> Trouble:
    """Open a page and wait until it has settled, formulas included."""
    trouble = Trouble(page, base_url)
    page.goto(f"{base_url}/{name}")
    page.wait_for_load_state("networkidle")
    if page.locator(".math").count():
        page.wait_for_function("() => window.MathJax?.startup?.promise")
        page.evaluate("() => MathJax.startup.promise")
    return trouble


def grave(page: Page, **options: object) -> dict[str, list]:
    """What axe-core finds serious or critical, with the places."""
    result = page.evaluate("options => axe.run(document, options)", {"resultTypes": ["violations"], **options})
    found = [v for v in result["violations"] if v["impact"] in ("serious", "critical")]
    return {v["id"]: [(node["target"], node["failureSummary"][:300]) for node in v["nodes"][:4]] for v in found}


@pytest.mark.parametrize("name", PAGES)
def test_page(page: Page, base_url: str, axe: str, name: str) -> None:
    """One visit, for pages are large: by day at a desk and on a phone, then by night, with axe-core at either time."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.set_viewport_size(DESK)
    trouble = visit(page, base_url, name)
    assert page.evaluate(RAW_MATH) == [], "formulas that were not rendered"
    assert page.evaluate(RAW_MARKUP) == [], "Markdown that was not rendered"
    assert page.locator("mjx-merror").count() == 0
    assert page.locator("h1").count() >= 1
    for size in (PHONE, DESK):
        page.set_viewport_size(size)
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], page.evaluate(WIDE)
        assert page.evaluate(WIDE) == [], f"sticks out at {size['width']} px"
    page.evaluate(axe)
    for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):  # by night only colours differ
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
        told = grave(page, **rules)
        assert not told, f"{scheme}: {json.dumps(told, indent=1)}"
    assert trouble.found == []


def film_plays(page: Page) -> None:
    film = page.locator(".dclib-film").first
    film.scroll_into_view_if_needed()
    caption = film.locator(".film-caption")
    expect(film.locator("canvas").first).to_be_visible()
    before = caption.inner_text()
    film.get_by_role("button", name="Play").click()
    expect(caption).not_to_have_text(before, timeout=5000)
    film.get_by_role("button", name="Pause").click()
    film.locator("input[type=range]").fill("0")
    first = caption.inner_text()
    film.locator("input[type=range]").press("ArrowRight")
    expect(caption).not_to_have_text(first)


def drawings_play(page: Page) -> None:
    film = page.locator(".dclib-samples").first
    film.scroll_into_view_if_needed()
    last = film.get_attribute("data-frame")
    film.get_by_role("button", name="Play").click()
    expect(film).not_to_have_attribute("data-frame", last, timeout=5000)
    film.get_by_role("button", name="Pause").click()


def plane_is_walked(page: Page) -> None:
    walk = page.locator(".dclib-walk").first
    plane = walk.locator(".walk-stage canvas")
    plane.scroll_into_view_if_needed()
    before = walk.get_attribute("data-place")
    box = plane.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 5, box["y"] + 5, steps=5)
    page.mouse.up()
    expect(walk).not_to_have_attribute("data-place", before)


def board_answers(page: Page) -> None:
    board = page.locator(".dclib-sketch").first
    board.scroll_into_view_if_needed()
    expect(board.locator(".sketch-map")).to_be_visible()
    board.get_by_role("button", name="Take a training digit").click()
    expect(board.locator(".sketch-status")).to_contain_text("claims it with q = ")
    expect(board.locator(".sketch-near canvas")).to_have_count(8)
    board.get_by_role("button", name="Clear").click()
    expect(board.locator(".sketch-near")).to_be_hidden()


def test_a_digit_is_drawn_on_the_first_page(page: Page, base_url: str) -> None:
    """With mouse and finger alike; what it takes weighs less than a megabyte and comes with the page."""
    trouble = visit(page, base_url, "book/index.html")
    board_answers(page)
    box = page.locator(".sketch-pad").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 40, steps=10)
    page.mouse.up()
    expect(page.locator(".sketch-status")).to_contain_text("claims it with q = ")
    assert len(page.locator(".dclib-sketch script").first.inner_text()) < 1e6
    assert trouble.found == []


@pytest.mark.parametrize(
    "words, chapter",
    [
        ("soft assignment target distribution", "notebooks/autoencoders/dec"),
        ("adjusted rand index", "notebooks/foundations/metrics"),
    ],
)
def test_search_finds_a_chapter(page: Page, base_url: str, words: str, chapter: str) -> None:
    trouble = visit(page, base_url, f"search.html?q={words.replace(' ', '+')}")
    expect(page.locator(f"#search-results a[href*='{chapter}']").first).to_be_visible(timeout=10000)
    assert trouble.found == []


def test_search_from_any_page(page: Page, base_url: str) -> None:
    page.set_viewport_size(DESK)
    visit(page, base_url, "book/notation.html")
    page.keyboard.press("Control+k")
    field = page.locator("input[type=search]:visible").first
    field.fill("digits")
    field.press("Enter")
    expect(page.locator("#search-results li a").first).to_be_visible(timeout=10000)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter(page: Page, base_url: str, chapter: str) -> None:
    """A chapter can be launched, its films play, what is folded opens, and every exercise has a solution."""
    page.set_viewport_size(DESK)
    visit(page, base_url, chapter + ".html")
    found = page.locator(".dropdown-launch-buttons a").evaluate_all("a => a.map(x => x.href)")
    links = [unquote(href) for href in found]
    assert f"https://colab.research.google.com/github/{SLUG}/blob/notebooks/{chapter}.ipynb" in links
    assert f"https://mybinder.org/v2/gh/{SLUG}/notebooks?urlpath=lab/tree/{chapter}.ipynb" in links
    assert page.locator("div.exercise").count() == page.locator("div.solution").count()
    text = (ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8")
    toys = {"film": film_plays, "sketch": board_answers, "samples": drawings_play, "walk": plane_is_walked}
    for kind, play in toys.items():
        if f"dclib-{kind}" in text:
            play(page)
    # a fold within a fold, in a folded solution or in plumbing is hidden
    outer = ":not(details details):not(.solution details):not(.tag_plumbing details)"
    for plumbing in page.locator(".tag_plumbing").all():
        expect(plumbing).to_be_hidden()
    folds = page.locator(f"details.sd-dropdown{outer}, details.hide{outer}")
    for fold in folds.all():
        content = fold.locator("> :not(summary)").first
        expect(content).to_be_hidden()
        fold.locator("> summary").click()
        expect(content).to_be_visible()
    for solution in page.locator(".solution.dropdown, .admonition.toggle").all():
        body = solution.locator("> *:not(.admonition-title)").first
        expect(body).to_be_hidden()
        solution.locator(".toggle-button").first.click()
        expect(body).to_be_visible()


def test_the_leaderboard_sorts_filters_and_can_be_downloaded(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/book/leaderboard.html")
    rows = page.locator(".leaderboard tbody tr:visible")
    assert page.locator("select[data-filter=data]").input_value() == "mnist" and rows.count() > 20
    assert all(rows.nth(i).get_attribute("data-data") == "mnist" for i in range(rows.count()))
    heading = page.locator(".leaderboard thead th", has_text="ACC")
    for order, falling in (("descending", True), ("ascending", False)):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == order
        accs = [float(cell) for cell in rows.locator("td:nth-child(4)").evaluate_all("c => c.map(x => x.dataset.by)")]
        assert accs == sorted(accs, reverse=falling)
    page.locator("select[data-filter=data]").select_option("usps")  # mnist need not have a row of ours
    page.locator("select[data-filter=whose]").select_option("ours")
    page.locator("[data-find]").fill("idec")
    names = rows.all_inner_texts()
    assert 1 < len(names) < 10 and all("IDEC" in name for name in names)
    page.locator("input[data-box=plain]").check()
    assert 0 < rows.count() < len(names)
    assert all(rows.nth(i).locator("td:nth-child(13)").inner_text() == "nothing" for i in range(rows.count()))
    page.locator("input[data-box=unseen]").check()
    assert not any("labels had a say" in text for text in rows.all_inner_texts())
    assert page.locator(".board-chart path.best.ours").count() > 1, "progress over the years, ours"
    assert f"{rows.count()} of" in page.locator("[data-count]").inner_text()
    for kind in ("csv", "json"):
        answer = page.request.get(f"{base_url}/_static/leaderboard.{kind}")
        assert answer.ok and "xie2016unsupervised" in answer.text()


def test_missing_page(page: Page, base_url: str) -> None:
    answer = page.goto(f"{base_url}/some/where/deep/that-is-not.html")
    page.wait_for_load_state("networkidle")
    assert answer.status == 404
    assert "no cluster" in page.locator("main article h1").inner_text()
    assert page.evaluate("getComputedStyle(document.body).fontFamily").startswith('"Source Serif 4"')
    inside = [a for a in page.locator("a").evaluate_all("a => a.map(x => x.href)") if a.startswith(base_url)]
    assert len(inside) > 3
    for href in {address.partition("#")[0] for address in inside} - {page.url}:
        assert page.request.get(href).status == 200, href


def test_root_leads_to_the_first_page(page: Page, base_url: str) -> None:
    page.goto(base_url + "/")
    page.wait_for_url("**/book/index.html")
    expect(page.locator("main .cover img")).to_be_visible()


def test_theme_switch(page: Page, base_url: str) -> None:
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESK)
    visit(page, base_url, "book/notation.html")
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    button = page.locator("button.theme-switch-button:visible").first
    for _ in range(3):
        button.click()
        if page.evaluate("document.documentElement.dataset.theme") == "dark":
            break
    assert page.evaluate(colour) != before


def test_formulas_and_figures_are_numbered(page: Page, base_url: str) -> None:
    for chapter in ("notebooks/foundations/metrics", "notebooks/autoencoders/dec"):
        visit(page, base_url, chapter + ".html")
        assert page.locator(".eqno").count() >= 3, chapter
        broken = [
            a
            for a in page.locator("main a.reference.internal[href^='#']").evaluate_all(
                "a => a.map(x => x.getAttribute('href'))"
            )
            if page.locator(f"[id='{a[1:]}']").count() == 0
        ]
        assert not broken, broken


def test_no_page_tells_where_it_was_built() -> None:
    pages = (path for path in SITE.rglob("*.html") if "_modules" not in path.parts)
    assert [path.name for path in pages if str(ROOT) in path.read_text(encoding="utf-8")] == []


def test_sizes() -> None:
    mathjax = sum(path.stat().st_size for path in (SITE / "_static" / "mathjax").rglob("*") if path.is_file())
    assert mathjax < 3e6, "MathJax was not pruned"
    assert re.search(r"<loc>https://", (SITE / "sitemap.xml").read_text(encoding="utf-8"))

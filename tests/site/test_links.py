"""Every link and every file that a page asks for exists on the site; nothing is loaded from elsewhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
BASE = urlsplit(yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]).path
LOADED = {("script", "src"), ("img", "src"), ("source", "src"), ("iframe", "src")}
FETCHED_LINKS = {"stylesheet", "icon", "shortcut icon", "preload", "modulepreload"}


class Links(HTMLParser):
    """The ids of a page, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.ids |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag == "link" and given.get("rel") in FETCHED_LINKS:
            self.loads.add(given["href"])
        self.loads |= {given[key] for name, key in LOADED if name == tag and key in given}


def read_site() -> dict[Path, Links]:
    found = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.relative_to(SITE).parts)
    return {path: Links(path.read_text(encoding="utf-8")) for path in found}


@pytest.fixture(scope="module")
def site() -> dict[Path, Links]:
    return read_site()


def target(page: Path, address: str) -> tuple[Path, str]:
    """The file and the fragment that an address on `page` means."""
    parts = urlsplit(address)
    path = unquote(parts.path)
    if path.startswith(BASE):
        file = SITE / path.removeprefix(BASE)
    else:
        file = page.parent / path if path else page
    file = file.resolve()
    return (file / "index.html" if file.is_dir() else file), unquote(parts.fragment)


def test_links_resolve(site: dict[Path, Links]) -> None:
    broken = []
    for page, found in site.items():
        for address in found.links | found.loads:
            if urlsplit(address).scheme or address.startswith("//"):
                continue
            file, fragment = target(page, address)
            ids = site[file].ids if file in site else None
            if not file.is_file() or (fragment and ids is not None and fragment not in ids):
                broken.append(f"{page.relative_to(SITE)} -> {address}")
    assert not broken, "\n".join(sorted(broken))


def test_nothing_is_loaded_from_elsewhere(site: dict[Path, Links]) -> None:
    outside = [
        f"{page.relative_to(SITE)} loads {address}"
        for page, found in site.items()
        for address in found.loads
        if urlsplit(address).scheme in ("http", "https") or address.startswith("//")
    ]
    assert not outside, "\n".join(outside)


def test_every_page_can_be_reached(site: dict[Path, Links]) -> None:
    home = SITE / "book" / "index.html"
    seen, todo = {home}, [home]
    while todo:
        page = todo.pop()
        for address in site[page].links:
            if not urlsplit(address).scheme:
                file, _ = target(page, address)
                if file in site and file not in seen:
                    seen.add(file)
                    todo.append(file)
    alone = {page.relative_to(SITE).as_posix() for page in site.keys() - seen}
    assert alone <= {"404.html", "index.html", "genindex.html", "py-modindex.html", "search.html"} | {
        name for name in alone if name.startswith("_modules/")
    }, alone

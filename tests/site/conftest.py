"""The built site on a loopback server, as it will be published: under its path, with its 404 page."""

import functools
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
BASE = urlsplit(CONFIG["html"]["baseurl"]).path
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)


def missing() -> str | None:
    """What stops the browser tests on this machine."""
    if not (SITE / "index.html").is_file():
        return "no site in _build/html: run `make book` first"
    return None if BROWSER else "no browser: install chromium"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip with a reason where the tests cannot run; with REQUIRE_BROWSER set, that is a failure."""
    reason = missing()
    if reason and os.environ.get("REQUIRE_BROWSER"):
        pytest.exit(reason, returncode=1)
    for item in items:
        if reason and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


class PublishedSite(http.server.SimpleHTTPRequestHandler):
    """Serves the site below BASE, and the 404 page for what is not there, as GitHub Pages does."""

    def translate_path(self, path: str) -> str:
        inside = path.removeprefix(BASE) if path.startswith(BASE) else "no-such-place/"
        return super().translate_path("/" + inside)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        body = (SITE / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    """The address of the site, without a slash at its end."""
    handler = functools.partial(PublishedSite, directory=str(SITE))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{BASE}".rstrip("/")
    server.shutdown()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict, browser_flags: list[str]) -> dict:
    return {**browser_type_launch_args, "executable_path": BROWSER, "args": browser_flags}


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm; it is no part of the repository."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is missing: the accessibility checks need axe-core")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "axe-core@4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not source.is_file():
        pytest.skip(f"npm could not install axe-core: {done.stderr.strip()[-300:]}")
    return source.read_text(encoding="utf-8")

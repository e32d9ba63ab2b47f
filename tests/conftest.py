"""What all tests share: the quick profile, no windows, no network beyond this machine."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("DCLIB_PROFILE", "quick")
os.environ.setdefault("MPLBACKEND", "Agg")
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):  # several processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
elif "xdist" in sys.modules:
    import dclib.methods  # noqa: F401 - a worker's warning is rebuilt here, by one thread each; two first imports collide
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HERE = ("127.", "localhost", "::1", "0.0.0.0")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that lets tests marked ``network`` run."""
    parser.addoption("--network", action="store_true", help="also run the tests marked network")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests marked ``network`` unless they were asked for."""
    for item in items:
        if item.get_closest_marker("network") and not config.getoption("--network"):
            item.add_marker(pytest.mark.skip(reason="needs --network"))


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other machines, so that no test leans on the network unseen."""
    if request.node.get_closest_marker("network"):
        return
    connect = socket.socket.connect

    def guarded(sock: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(HERE):
            raise OSError(f"a test tried to reach {address[0]}; mark it network, or serve it on loopback")
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def unused_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    return unused_port()


@pytest.fixture(scope="session")
def browser_flags() -> list[str]:
    """Return what a browser is started with, so that it stays quiet and asks for nothing by itself."""
    return FLAGS


@pytest.fixture(scope="module")
def chromium(browser_flags: list[str]) -> Iterator:
    """A browser, for elements that run in one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=browser_flags)
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium) -> Iterator[Callable]:
    """Open files as pages; at the end no error may have been raised and no request may have left them."""
    trouble, contexts = [], []

    def opener(path: Path, **options: object):
        context = chromium.new_context(**{"viewport": {"width": 900, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else trouble.append(r.url))
        page.goto(path.as_uri())
        return page

    yield opener
    for context in contexts:
        context.close()
    assert trouble == []

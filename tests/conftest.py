"""What all tests share: the quick profile, no windows, no network beyond this machine."""

import os
import socket

import pytest

os.environ.setdefault("DCLIB_PROFILE", "quick")
os.environ.setdefault("MPLBACKEND", "Agg")
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):  # several processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
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


@pytest.fixture
def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

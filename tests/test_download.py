"""Downloads against a server on loopback that is slow, stalls, truncates, sends wrong bytes, or is down."""

import bz2
import gzip
import hashlib
import io
import resource
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dclib import download
from dclib.download import DownloadError, Patience, RemoteFile, cache_dir, cached, fetch, ready, unpack, unpack_folder

CONTENT = b"the strokes of a pen, eight points each\n" * 500
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


def deliver(handler: BaseHTTPRequestHandler, body: bytes = CONTENT) -> None:
    """Answer with the whole body."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def late(handler: BaseHTTPRequestHandler) -> None:
    """Answer well, after half a second."""
    time.sleep(0.5)
    deliver(handler)


def wrong(handler: BaseHTTPRequestHandler) -> None:
    """Answer with as many bytes, one of them another."""
    deliver(handler, b"T" + CONTENT[1:])


def large(handler: BaseHTTPRequestHandler) -> None:
    """Answer with a small archive of much."""
    deliver(handler, gzip.compress(CONTENT * 10))


def page(handler: BaseHTTPRequestHandler) -> None:
    """Answer with a log-in page and the status of success, as captive portals do."""
    deliver(handler, b"<html>please log in</html>")


def packed_wrong(handler: BaseHTTPRequestHandler) -> None:
    """Answer with half of a gzip archive, as if that were all."""
    deliver(handler, gzip.compress(CONTENT)[:60])


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Announce the whole and hang up half way."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])


def stall(handler: BaseHTTPRequestHandler) -> None:
    """Send half, then nothing, with the line open."""
    cut(handler)
    handler.wfile.flush()
    handler.server.closing.wait(30)


def mute(handler: BaseHTTPRequestHandler) -> None:
    """Accept the request and never answer."""
    handler.server.closing.wait(30)


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Send a little now and then, so that the line is never silent."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    for i in range(0, len(CONTENT), 500):
        if handler.server.closing.wait(0.05):
            return
        handler.wfile.write(CONTENT[i : i + 500])


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Send for ever, and say nothing of how much."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.closing.is_set():
        handler.wfile.write(CONTENT)


def gone(handler: BaseHTTPRequestHandler) -> None:
    """Answer that there is no such file."""
    handler.send_error(404)


def archive(handler: BaseHTTPRequestHandler) -> None:
    """Answer with the content packed by gzip."""
    deliver(handler, gzip.compress(CONTENT))


def folder(handler: BaseHTTPRequestHandler) -> None:
    """Answer with an archive of a folder."""
    deliver(handler, FOLDER)


def another_folder(handler: BaseHTTPRequestHandler) -> None:
    """Answer with an archive that unpacks well and is another one."""
    deliver(handler, tar_of(first=CONTENT, second=b"too"))


def bzipped(handler: BaseHTTPRequestHandler) -> None:
    """Answer with the content packed by bzip2."""
    deliver(handler, bz2.compress(CONTENT))


BEHAVIOURS = (
    deliver, late, wrong, page, packed_wrong, large, cut, stall, mute, drip, endless, gone, archive, bzipped, folder,
    another_folder,
)  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Answers /name with the behaviour of that name, and keeps count."""

    def do_GET(self) -> None:
        """Note the path and behave as it says."""
        self.server.gets.append(self.path)
        behaviour = {one.__name__: one for one in BEHAVIOURS}[self.path.strip("/")]
        with suppress(BrokenPipeError, ConnectionResetError):
            behaviour(self)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A server on loopback; `server.gets` lists the paths asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.gets, server.closing = True, [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(server: ThreadingHTTPServer) -> Callable[[str], str]:
    """The address of a behaviour; of "down", a port where nobody listens."""

    def address(behaviour: str) -> str:
        if behaviour != "down":
            return f"http://127.0.0.1:{server.server_port}/{behaviour}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{free.getsockname()[1]}/"

    return address


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, short patience, no proxy."""
    monkeypatch.setenv("DCLIB_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PATIENCE", Patience(silence=2.0, grace=1.0, pace=50_000.0, lock=30.0))
    return tmp_path / "cache"


def a_file(*urls: str, path: str = "set/pen.txt") -> RemoteFile:
    """A file of the known content, at these addresses."""
    return RemoteFile(path, urls, (DIGEST,))


def read(file: RemoteFile) -> bytes:
    """The content of a file of the cache, fetched if need be."""
    return fetch(file).read_bytes()


def tar_of(**members: bytes) -> bytes:
    """A packed tar archive of a folder "pens" with these files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"pens/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


FOLDER = tar_of(first=CONTENT, second=b"two")


def whole(folder: Path) -> None:
    """Refuse a folder that is not the archive's."""
    if (folder / "first").read_bytes() != CONTENT:
        raise ValueError("another first")
    (folder / "second").read_bytes()


def a_folder(*urls: str) -> RemoteFile:
    """A folder that travels as an archive, as CIFAR-10 does."""
    digest = "sha256:" + hashlib.sha256(FOLDER).hexdigest()
    return RemoteFile("pens", urls, (digest,), "pens.tar.gz", unpack_folder, whole)


def everything(folder: Path) -> dict[str, float]:
    """Each path below a folder with the time of its last change."""
    return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_a_file_is_fetched_once_and_kept(server, url, cache):
    file = a_file(url("deliver"))
    assert read(file) == CONTENT
    assert (cache / "set/pen.txt").read_bytes() == CONTENT
    assert not list(cache.rglob("*.incoming"))
    assert read(file) == CONTENT
    assert server.gets == ["/deliver"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("down", "refused"),
        ("gone", "404"),
        ("mute", "timed out"),
        ("stall", "timed out"),
        ("drip", "too slow"),
        ("cut", "IncompleteRead"),
        ("wrong", "checksum"),
        ("page", "checksum"),
        ("packed_wrong", "Compressed file ended"),
    ],
)
def test_the_next_mirror_is_tried(fault, reason, server, url, cache):
    start = time.monotonic()
    assert read(a_file(url(fault), url("deliver"))) == CONTENT
    assert time.monotonic() - start < 10
    assert server.gets[-1] == "/deliver"
    with pytest.raises(DownloadError, match=reason):
        fetch(a_file(url(fault), path="again.txt"))
    assert not (cache / "again.txt").exists()


def test_a_long_download_shows_how_far_it_is(url, monkeypatch, capsys):
    monkeypatch.setattr(download, "PATIENCE", Patience(pace=1.0))
    assert read(a_file(url("drip"))) == CONTENT
    shown = capsys.readouterr().err
    assert "pen.txt" in shown and "/20.0k [" in shown and "B/s" in shown


def test_one_clear_error_when_all_mirrors_fail(url, cache):
    urls = [url(fault) for fault in ("down", "gone", "wrong")]
    with pytest.raises(DownloadError) as caught:
        fetch(a_file(*urls))
    message = str(caught.value)
    assert isinstance(caught.value, OSError)
    for wanted in (
        *urls,
        "refused",
        "404",
        "checksum",
        "DCLIB_DATA",
        "mnist-10k",
        str(cache / "set/pen.txt"),
    ):
        assert wanted in message
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize("body", ["deliver", "endless"])
def test_a_body_that_is_too_large_or_without_end_is_cut_off(body, url, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", Patience(most=1_000))
    with pytest.raises(DownloadError, match="too large"):
        fetch(a_file(url(body)))


def test_a_body_is_counted_once(url, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", Patience(most=len(CONTENT) + 10_000))
    assert read(a_file(url("deliver"))) == CONTENT


def test_a_plain_file_may_travel_packed(url, cache):
    assert read(a_file(url("archive"))) == CONTENT
    assert (cache / "set/pen.txt").read_bytes() == CONTENT


def test_a_packed_file_is_kept_packed(url, cache):
    file = RemoteFile("pen.bz2", (url("bzipped"),), (DIGEST,), unpack=shutil.copyfile)
    assert read(file) == bz2.compress(CONTENT)
    assert fetch(file) == cache / "pen.bz2"


def test_the_digest_may_be_of_the_file_as_it_is(url):
    digest = "md5:" + hashlib.md5(bz2.compress(CONTENT), usedforsecurity=False).hexdigest()
    assert unpack(read(RemoteFile("pen.bz2", (url("bzipped"),), (digest,), unpack=shutil.copyfile))) == CONTENT


@pytest.mark.parametrize(
    "damage",
    [b"", CONTENT[:100], b"T" + CONTENT[1:], gzip.compress(CONTENT)[:40]],
    ids=["empty", "cut short", "a byte changed", "a torn archive"],
)
def test_a_damaged_copy_is_named_and_fetched_again(damage, server, url, cache):
    place = cache / "set/pen.txt"
    place.parent.mkdir(parents=True)
    place.write_bytes(damage)
    with pytest.warns(UserWarning, match="pen.txt is damaged"):
        assert read(a_file(url("deliver"))) == CONTENT
    assert place.read_bytes() == CONTENT
    assert server.gets == ["/deliver"]


def test_a_damaged_copy_is_not_used_when_no_mirror_answers(url, cache):
    place = cache / "set/pen.txt"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT[:-1])
    with pytest.warns(UserWarning), pytest.raises(DownloadError, match="pen.txt is damaged"):
        fetch(a_file(url("down")))


def test_what_a_killed_download_left_is_not_used(url, cache):
    aside = cache / "set/pen.txt.incoming"
    aside.mkdir(parents=True)
    (aside / "pen.txt").write_bytes(CONTENT[:100])
    assert cached(a_file()) == (None, [])
    assert read(a_file(url("deliver"))) == CONTENT
    assert not aside.exists()


def test_a_download_that_is_killed_leaves_no_file_and_no_lock(server, url, cache):
    process = subprocess.Popen([sys.executable, "-c", script(url("stall"), "fetch(file)")])
    while "/stall" not in server.gets:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (cache / "set/pen.txt").exists()
    assert read(a_file(url("deliver"))) == CONTENT


def test_a_copy_that_lies_packed_is_used(server, url, cache):
    cache.mkdir()
    (cache / "pen.gz").write_bytes(gzip.compress(CONTENT))
    file = RemoteFile("set/pen", (url("deliver"),), (DIGEST,), "pen.gz")
    assert file.found() == cache / "pen.gz"
    assert read(file) == CONTENT
    assert file.found() == cache / "set/pen"
    assert server.gets == []


def test_a_damaged_copy_that_lies_packed_is_named_and_not_used(server, url, cache):
    cache.mkdir()
    (cache / "pen.gz").write_bytes(gzip.compress(CONTENT)[:-9])
    with pytest.warns(UserWarning, match="pen.gz is damaged"):
        assert read(RemoteFile("pen", (url("deliver"),), (DIGEST,), "pen.gz")) == CONTENT
    assert server.gets == ["/deliver"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_lies_packed_in_a_cache_that_cannot_be_written_is_lent_unpacked(kind, server, url, cache, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    there, packed = a_file(path="there.txt"), RemoteFile("pen", (url("deliver"),), (DIGEST,), "pen.gz")
    cache.mkdir()
    (cache / "there.txt").write_bytes(CONTENT)
    (cache / "pen.gz").write_bytes(gzip.compress(CONTENT))
    (cache / "pens.tar.gz").write_bytes(FOLDER)
    before = everything(cache)
    monkeypatch.setattr(download, "FileLock", refuse)
    with ready([there, packed] if kind == "file" else [a_folder(url("folder"))]) as lent:
        for name in ["pen", "there.txt"] if kind == "file" else ["pens/first"]:
            assert (lent / name).read_bytes() == CONTENT
    assert lent != cache and not lent.exists()
    assert everything(cache) == before and server.gets == []


def test_a_cache_that_holds_everything_is_lent_itself(url, cache):
    with ready([a_file(url("deliver")), a_folder(url("folder"))]) as lent:
        assert lent == cache and (lent / "set/pen.txt").read_bytes() == (lent / "pens/first").read_bytes() == CONTENT
    with ready([]) as lent:
        assert lent == cache


def test_a_folder_travels_as_an_archive(server, url, cache):
    for _ in range(2):
        assert fetch(a_folder(url("folder"))) == cache / "pens"
    assert sorted(path.name for path in cache.iterdir() if path.suffix != ".lock") == ["pens"]
    assert server.gets == ["/folder"]


@pytest.mark.parametrize("fault", ["another_folder", "page", "archive"])
def test_an_archive_is_verified_before_it_is_unpacked(fault, server, url, cache, monkeypatch):
    with pytest.raises(DownloadError, match="checksum"):
        fetch(a_folder(url(fault)))
    assert not (cache / "pens").exists()
    assert fetch(a_folder(url(fault), url("folder"))) == cache / "pens"


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_damaged_folder_is_named_and_fetched_again(damage, server, url, cache):
    place = fetch(a_folder(url("folder")))
    (place / "first").write_bytes(b"T" + CONTENT[1:])
    if damage == "missing":
        (place / "second").unlink()
    with pytest.warns(UserWarning, match="pens is damaged"):
        fetch(a_folder(url("folder")))
    whole(place)
    assert server.gets == ["/folder"] * 2


def test_a_cache_that_holds_the_file_is_only_read(url, cache, monkeypatch):
    fetch(a_file(url("deliver")))
    before = everything(cache)
    monkeypatch.setattr(download, "FileLock", None)  # whoever takes a lock fails
    cache.chmod(0o500)
    try:
        assert read(a_file(url("down"))) == CONTENT
    finally:
        cache.chmod(0o700)
    assert everything(cache) == before


def test_a_cache_that_cannot_be_written_is_named(url, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(a_file(url("deliver")))


@pytest.mark.parametrize("full_at", [5_000, len(CONTENT) + 5_000])
def test_a_full_disk_leaves_no_half_file(full_at, url, cache):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    packed = len(CONTENT) < full_at  # the archive fits, and what is in it does not
    resource.setrlimit(resource.RLIMIT_FSIZE, (full_at, limits[1]))
    try:
        with pytest.raises(DownloadError, match="File too large"):
            fetch(RemoteFile("set/pen.txt", (url("large" if packed else "deliver"),), (DIGEST,)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def script(address: str, *commands: str) -> str:
    """A program that knows the file at this address."""
    return "\n".join(
        [
            "import sys; from dclib.download import *",
            f"file = RemoteFile('set/pen.txt', ({address!r},), ({DIGEST!r},))",
            *commands,
        ]
    )


def test_two_processes_at_once_download_once(server, url, cache):
    wait = "print('ready', flush=True); sys.stdin.readline()"
    command = [sys.executable, "-c", script(url("late"), wait, "print(len(fetch(file).read_bytes()))")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    pair = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in pair:
        assert process.stdout.readline() == "ready\n"
    for process in pair:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=30)[0] for process in pair] == [f"{len(CONTENT)}\n"] * 2
    assert server.gets == ["/late"]


def test_another_process_that_never_finishes_is_not_waited_for_long(url, cache, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE", Patience(lock=0.2))
    (cache / "set").mkdir(parents=True)
    with download.FileLock(f"{cache / 'set/pen.txt'}.lock"), pytest.raises(DownloadError, match=r"\.lock"):
        fetch(a_file(url("deliver")))


def test_no_warning_on_a_sound_cache(url, cache):
    fetch(a_file(url("deliver")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fetch(a_file(url("deliver")))


def test_the_cache_is_where_the_variable_says(monkeypatch):
    monkeypatch.setenv("DCLIB_DATA", "~/data")
    assert cache_dir() == Path.home() / "data"
    monkeypatch.delenv("DCLIB_DATA")
    assert cache_dir().name == "dclib"


def test_unpack_knows_packed_bytes_from_plain():
    assert unpack(gzip.compress(CONTENT)) == unpack(bz2.compress(CONTENT)) == unpack(CONTENT) == CONTENT

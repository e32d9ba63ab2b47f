"""R's data frames and Debian's packages, written here byte by byte, and damaged ones."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from dclib import catalogue
from dclib.download import DownloadError, fetch
from dclib.rda import member_of_deb, read_rda

ATTRIBUTES, TAG, OBJECT = 0x200, 0x400, 0x100
END = struct.pack(">i", 254)


def whole(*values):
    return struct.pack(f">{len(values)}i", *values)


def text(value):
    return whole(0x40009, len(value)) + value.encode()


def strings(*values):
    return whole(16, len(values)) + b"".join(map(text, values))


class Writer:
    """Writes a data frame as R's ``save`` does; a name that occurs again is a reference."""

    def __init__(self):
        self.symbols = []

    def symbol(self, name):
        if name in self.symbols:
            return whole((self.symbols.index(name) + 1) << 8 | 255)
        self.symbols.append(name)
        return whole(1) + text(name)

    def pairs(self, **values):
        return b"".join(whole(2 | TAG) + self.symbol(name) + value for name, value in values.items()) + END

    def factor(self, codes, levels):
        values = whole(13 | ATTRIBUTES | OBJECT, len(codes), *codes)
        return values + self.pairs(levels=strings(*levels), **{"class": strings("factor")})

    def frame(self, name, columns):
        head = b"RDX2\nX\n" + whole(2, 0x2030A, 0x20300) + whole(2 | TAG) + self.symbol(name)
        made = [self.factor(*value) if isinstance(value, tuple) else real(value) for value in columns.values()]
        body = whole(19 | ATTRIBUTES | OBJECT, len(columns)) + b"".join(made)
        return head + body + self.pairs(names=strings(*columns), **{"class": strings("data.frame")}) + END


def real(values):
    return whole(14, len(values)) + struct.pack(f">{len(values)}d", *values)


ROWS = np.arange(18.0).reshape(2, 9) - 3
COLUMNS = {f"V{i + 1}": ROWS[:, i] for i in range(9)}
STATES = [name.replace(" ", ".") for name in catalogue.VALVES]


def shuttle(columns=COLUMNS, states=STATES):
    return Writer().frame("Shuttle", {**columns, "Class": ((2, 1), states)})


def tar_of(raw, name="./usr/lib/R/site-library/mlbench/data/Shuttle.rda", mode="w:xz"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(raw)
        archive.addfile(member, io.BytesIO(raw))
    return stream.getvalue()


def deb(data):
    found = b"!<arch>\n"
    for name, raw in {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": data}.items():
        found += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(raw):<10}`\n".encode() + raw + b"\n" * (len(raw) % 2)
    return found


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_frame_comes_back_however_it_is_packed(pack):
    frame = read_rda(pack(shuttle()))["Shuttle"]
    assert list(frame) == [*COLUMNS, "Class"] and frame["Class"].tolist() == [STATES[1], STATES[0]]
    assert all(np.array_equal(frame[name], values) for name, values in COLUMNS.items())


@pytest.mark.parametrize("raw", [b"", b"RDX3\nX\n", b"<html>please log in</html>", shuttle()[:200], shuttle()[:-60]])
def test_what_is_no_frame_or_half_of_one_is_refused(raw):
    with pytest.raises(ValueError, match="data of R"):
        read_rda(raw)


def test_an_item_that_is_not_read_is_named():
    with pytest.raises(ValueError, match="kind 3"):
        read_rda(b"RDX2\nX\n" + whole(2, 0, 0) + whole(2 | TAG, 1) + text("f") + whole(3))


def test_a_member_of_a_package_is_found_behind_an_odd_one():
    assert member_of_deb(deb(b"inside"), "data.tar.xz") == b"inside"
    for raw, name, why in ((b"no", "data.tar.xz", "no Debian"), (deb(b"x"), "data.tar.gz", "has no data.tar.gz")):
        with pytest.raises(ValueError, match=why):
            member_of_deb(raw, name)


@pytest.mark.parametrize("sent", [deb(tar_of(shuttle())), tar_of(shuttle(), "mlbench/data/Shuttle.rda", "w:gz")])
def test_shuttle_is_the_same_from_debian_and_from_the_source(sent, tmp_path):
    (tmp_path / "sent").write_bytes(sent)
    catalogue.unpack_shuttle(tmp_path / "sent", tmp_path / "shuttle.csv")
    lines = (tmp_path / "shuttle.csv").read_text().splitlines()
    assert lines[0] == ",".join(str(int(v)) for v in ROWS[0]) + ",2" and lines[1].endswith(",1")
    x, y = catalogue.read_shuttle(tmp_path)
    assert x.min() == 0 and x.max() == 1 and y.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (deb(tar_of(b"x", "other")), "holds no data/Shuttle"),
        (deb(tar_of(shuttle({"V1": ROWS[:, 0]}))), "other columns or classes"),
        (deb(tar_of(shuttle(states=["Up", "Down"]))), "other columns or classes"),
    ],
)
def test_another_package_or_table_is_refused(sent, why, tmp_path):
    (tmp_path / "sent").write_bytes(sent)
    with pytest.raises(ValueError, match=why):
        catalogue.unpack_shuttle(tmp_path / "sent", tmp_path / "shuttle.csv")


def test_shuttle_is_fetched_from_the_second_mirror_if_the_first_sends_another_table(tmp_path, monkeypatch):
    bodies = {"/wrong": deb(tar_of(shuttle({k: v + 1 for k, v in COLUMNS.items()}))), "/right": deb(tar_of(shuttle()))}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bodies[self.path])

        def log_message(self, *args):
            pass

    (tmp_path / "sent").write_bytes(bodies["/right"])
    catalogue.unpack_shuttle(tmp_path / "sent", tmp_path / "good")
    digest = "sha256:" + catalogue.pooch.file_hash(str(tmp_path / "good"))
    monkeypatch.setenv("DCLIB_DATA", str(tmp_path / "cache"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        urls = [f"http://127.0.0.1:{server.server_port}{path}" for path in bodies]
        file = replace(catalogue.SHUTTLE_FILE, urls=tuple(urls), digests=(digest,))
        assert fetch(file).read_bytes() == (tmp_path / "good").read_bytes()
        fetch(file).unlink()
        with pytest.raises(DownloadError, match="checksum"):
            fetch(replace(file, urls=tuple(urls[:1])))
    finally:
        server.shutdown()
        server.server_close()

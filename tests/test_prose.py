"""Numbers for the prose: quoted inside the book's tools, ignored outside them."""

import sys

import numpy as np

from dclib.prose import quote


def test_quote_glues_under_names_with_hyphens(monkeypatch):
    found = {}
    fake = type("fake", (), {"glue": staticmethod(lambda name, value, display: found.update({name: (value, display)}))})
    monkeypatch.setitem(sys.modules, "myst_nb", fake)
    quote(dec_acc="0.9", n=np.int64(3))
    assert found == {"dec-acc": ("0.9", False), "n": (3, False)}
    assert type(found["n"][0]) is int, "else the page has np.int64(3)"


def test_quote_does_nothing_where_myst_nb_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    quote(dec_acc="0.9")

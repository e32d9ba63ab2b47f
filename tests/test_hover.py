"""The map of texts: what it holds, and what it refuses."""

import base64
import json
import re

import numpy as np
import pytest

from dclib.hover import first_words, hover_map

PLACES = np.random.default_rng(0).normal(size=(30, 2))
LABELS, TEXTS = np.arange(30) % 3, [f"text number {i} <b>" for i in range(30)]


def test_a_map_holds_texts_and_names_and_a_picture():
    made = hover_map(PLACES, LABELS, TEXTS, ["first", "second", "third"], n_points=20)
    held = json.loads(base64.b64decode(re.search(r'"texts":"([^"]+)"', made.html)[1]))
    assert len(held) == 20 and set(held) <= set(TEXTS) and "second" in made.html and "<b>" not in made.html
    assert "http" not in made.html and made._repr_png_()[:4] == b"\x89PNG"
    assert made.html == hover_map(PLACES, LABELS, TEXTS, ["first", "second", "third"], n_points=20).html


def test_first_words_end_between_words():
    assert first_words("a  short\ntext", 20) == "a short text"
    assert first_words("one two three", 9) == "one two …" and first_words("x" * 30, 5) == "xxxxx …"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((PLACES[:, :1], LABELS, TEXTS), "two axes"),
        ((PLACES, LABELS[:5], TEXTS), "one of each"),
        ((PLACES, LABELS, TEXTS, ["one"]), "1 names"),
    ],
)
def test_what_does_not_fit_is_refused(args, words):
    with pytest.raises(ValueError, match=words):
        hover_map(*args)


def test_a_map_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("dclib.hover.HOVER_BYTES", 1000)
    with pytest.raises(ValueError, match="fewer points"):
        hover_map(PLACES, LABELS, TEXTS)

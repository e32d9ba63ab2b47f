"""The recipe of each method: the paper's beside what would run."""

import pytest

from dclib import recipes
from dclib.methods import METHODS


def test_every_method_with_a_paper_has_a_recipe():
    assert recipes.PAPER.keys() == METHODS.keys() - {"autoencoder-spectral"}
    for name, paper in recipes.PAPER.items():
        assert [*paper, "added"] == list(recipes.ROWS) == list(recipes.ours(name, "book")), name
    with pytest.raises(ValueError, match="unknown recipe 'dek'"):
        recipes.recipe("dek")


def test_ours_is_what_the_profile_would_run(monkeypatch):
    told = recipes.ours("dec", "full")
    assert told["network"].startswith("D–256–256–10") and told["added"] == "augmentation, whitening, over-clustering"
    assert told["pretraining"].startswith("60 epochs") and "20 epochs with 10 K clusters" in told["second phase"]
    monkeypatch.setattr(METHODS["dec"], "additions", {"whiten": False, "overcluster": 0})
    monkeypatch.setitem(METHODS["dec"].profiles, "full", {"hidden": (5, 6), "overcluster": 0, "epochs": 7})
    told = recipes.ours("dec", "full")
    assert told["network"].startswith("D–5–6–10") and told["added"] == "augmentation"
    assert told["second phase"].startswith("7 epochs at most")
    assert recipes.ours("dbc", "book")["network"].startswith("convolutions of stride 2, channels–16–32–64–10")
    assert "target = squared" in recipes.ours("depict", "book")["settings"]


def test_the_table_has_both_sides():
    rows = recipes.recipe("dcn").rows
    assert list(rows) == list(recipes.ROWS) and set(rows["added"]) == {"the paper's", "ours, book", "ours, full"}
    assert rows["added"]["the paper's"] == "nothing"

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
    assert told["network"].startswith("D–256–256–10") and told["added"] == "augmentation"
    assert told["pretraining"] == "18,000 steps, Adam, one cycle to 0.002"
    assert told["second phase"] == "4,000 steps at most; Adam, 0.001 falling to 0; new target every epoch"
    assert "until 0.1% change cluster" in recipes.ours("dec", "book")["second phase"]
    monkeypatch.setitem(METHODS["dec"].profiles, "full", {"hidden": (5, 6), "refine_steps": 70, "update_interval": 9})
    told = recipes.ours("dec", "full")
    assert told["network"].startswith("D–5–6–10")
    assert told["second phase"].startswith("70 steps at most") and "every 9 steps" in told["second phase"]
    assert recipes.ours("dbc", "book")["network"].startswith("convolutions of stride 2, channels–16–32–64–10")
    assert recipes.ours("depict", "book")["settings"] == "noise = 0.1, start_epochs = 3, target = squared"
    assert recipes.ours("autoencoder-kmeans", "book")["second phase"] == "none"


def test_the_profile_paper_is_told_as_it_runs():
    told = recipes.ours("dec", "paper")
    assert told["added"] == "nothing" and recipes.ours("dec", "full")["added"] == "augmentation"
    assert told["network"] == recipes.PAPER["dec"]["network"]
    assert told["pretraining"] == "300 epochs, SGD (momentum 0.9), 0.1 throughout"
    assert "20,000 steps at most; SGD (momentum 0.9), 0.01 throughout" in told["second phase"]
    assert "new target every 140 steps; until 0.1% change cluster" in told["second phase"]
    told = recipes.ours("dcn", "paper")["second phase"]
    assert told == "20,000 steps at most; Adam, 0.0001 throughout; new target every epoch"


def test_the_table_has_both_sides():
    rows = recipes.recipe("dcn").rows
    sides = {"the paper's", "ours, book", "ours, full", "ours, paper"}
    assert list(rows) == list(recipes.ROWS) and set(rows["added"]) == sides
    assert rows["added"]["the paper's"] == "nothing"
    assert set(recipes.recipe("dbc").rows["added"]) == sides - {"ours, paper"}, "another network than that profile's"


def test_a_recipe_says_what_images_get_and_names_no_target_where_there_is_none():
    table = {row: columns["ours, book"] for row, columns in recipes.recipe("vade").rows.items()}
    assert "likelihood = bernoulli" in table["settings"] and "target" not in table["second phase"]
    assert "new target every epoch" in recipes.recipe("dec").rows["second phase"]["ours, book"]

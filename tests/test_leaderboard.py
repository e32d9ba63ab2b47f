"""The leaderboard: published beside measured, ablations on request, and the board of all figures."""

import json

import pytest

from dclib import cli, leaderboard, results
from dclib.baselines import BASELINES
from dclib.methods import METHODS

PUBLISHED = [
    {"data": "digits", "n": 1797, "method": "dec", "acc": 0.8, "source": "Other 2021", "rerun": "by others"},
    {"data": "digits", "n": 1797, "method": "dec", "acc": 0.9, "source": "Somebody 2020", "chosen": "best of nine"},
    {"data": "digits", "n": 1797, "method": "dec", "augmented": True, "acc": 0.95, "source": "Third 2022"},
    {"data": "mnist", "n": 70000, "method": "dec", "acc": 0.5, "source": "Ten", "runs": [0.4, 0.6]},
]
AFFINE = {"parameters": {"augment": "RandomAffine()"}}


def invented(seed: int, acc: float, **changes) -> dict:
    run = {"method": "dec", "data": "digits", "profile": "book", "variant": "", "seed": seed, "n": 1797}
    cost = {"seconds": 2.0 + seed, "busy": False, "peak_memory_mib": 100.0 + seed, "device": "cpu"}
    return run | {"acc": acc, "nmi": acc / 2, "ari": acc / 4} | cost | changes


@pytest.fixture
def board(tmp_path):
    """A folder of published figures, and records of DEC, DEC with augmentation, an ablation and k-means."""
    (tmp_path / "published.json").write_text(json.dumps(PUBLISHED))
    for seed, acc in enumerate((0.5, 0.6)):
        results.save(invented(seed, acc, variant="augment=None"), tmp_path)
        results.save(invented(seed, acc + 0.2, **AFFINE), tmp_path)
        results.save(invented(seed, acc + 0.3, variant="epochs=3", **AFFINE), tmp_path)
        results.save(invented(seed, acc - 0.2, method="k-means"), tmp_path)
    results.save(invented(0, 0.4, data="mnist-10k", n=10000), tmp_path)
    return tmp_path


def test_leaderboard_puts_the_published_figure_beside_ours(board):
    lines = leaderboard.leaderboard(board, "digits").splitlines()
    kmeans, augmented, plain = lines[2:5]
    assert "| k-means | – | 0.350 ± 0.071 |" in kmeans
    assert "| DEC + augmentation | 0.950 (Third 2022) | 0.750 ± 0.071 |" in augmented
    assert "| DEC | 0.900† (Somebody 2020); 0.800‡ (Other 2021) | 0.550 ± 0.071 |" in plain and "| 2 |" in plain
    assert lines[5:] == ["", leaderboard.LEGEND]
    assert len(leaderboard.leaderboard(board, data="usps").splitlines()) == 2


def test_a_subset_stands_beside_the_whole_and_says_so(board):
    assert "0.500 ± 0.141 (Ten, n = 70,000)" in leaderboard.leaderboard(board, "mnist-10k")


def test_ablations_are_shown_on_request_without_a_published_figure(board):
    assert "epochs=3" not in leaderboard.leaderboard(board)
    (line,) = [line for line in leaderboard.leaderboard(board, variants=True).splitlines() if "epochs=3" in line]
    assert "| DEC + augmentation, epochs=3 | – | 0.850 ± 0.071 |" in line


def test_an_ablation_that_stands_alone_is_shown(tmp_path):
    results.save(invented(0, 0.5, variant="epochs=3"), tmp_path)
    results.save(invented(0, 0.5, method="k-means"), tmp_path)
    assert [row.name for row in leaderboard.standings(tmp_path)] == ["k-means", "DEC, epochs=3"]
    results.save(invented(0, 0.4), tmp_path)
    assert [row.name for row in leaderboard.standings(tmp_path)] == ["k-means", "DEC"]
    assert len(leaderboard.standings(tmp_path, variants=True)) == 3


def test_leaderboard_as_json_has_numbers(board, capsys):
    assert cli.main(["leaderboard", "--out", str(board), "--data", "digits", "--json", "--variants"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["name"] == "k-means" and len(rows) == 4
    (plain,) = [row for row in rows if row["name"] == "DEC"]
    assert plain["acc"]["mean"] == pytest.approx(0.55) and plain["seeds"] == 2
    assert [known["acc"] for known in plain["published"]] == [0.9, 0.8]
    (lone,) = json.loads(leaderboard.leaderboard_json(board, "mnist-10k"))
    assert lone["acc"] == {"mean": 0.4, "sd": None}


def test_the_board_holds_every_row_with_the_same_fields():
    rows = leaderboard.board()
    assert len({frozenset(row) for row in rows}) == 1
    assert {row["whose"] for row in rows} == {"published", "re-run", "ours"}
    own = [row for row in rows if row["whose"] == "ours"]
    assert len(own) == len(leaderboard.standings(variants=True)) and all(row["seeds"] == 5 for row in own)
    assert len(rows) - len(own) == len(results.published())
    assert all(row["year"] > 1950 and row["source"] and row["family"] for row in rows)
    assert rows == sorted(rows, key=lambda row: (row["data"], -row["acc"]))


def test_the_board_says_what_a_point_was_whether_k_was_told_and_where_the_code_is():
    rows, root = leaderboard.board(), results.CHECKOUT.parents[1]
    assert all((root / row["code"]).is_file() for row in rows if row["code"])
    assert {row["method"] for row in rows if not row["code"]} == {
        "n2d",
        "spc",
        "scan",
        "contrastive-clustering",
        "turtle",
    }
    assert all(row["k_given"] for row in rows) and BASELINES.keys() >= leaderboard.WITHOUT_K
    inputs = {(row["data"], row["method"]): row["input"] for row in rows}
    assert inputs["mnist", "dec"] == "pixels" and inputs["mnist-test", "features-kmeans"] == "frozen features"
    assert inputs["20newsgroups", "rim"] == "tf-idf" and inputs["arrowhead", "dtc"] == "sequences"
    assert inputs["cifar10", "turtle"] == "CLIP and DINOv2 features"


def test_the_board_says_what_was_added_and_how_labels_had_a_say():
    rows, facts = leaderboard.board(), results.shipped("methods.json")
    assert all((" + " in row["name"].removeprefix(facts[row["method"]]["name"])) == bool(row["added"]) for row in rows)
    assert any(row["name"].endswith("10,000 points merged + information of two views") for row in rows), "a comma stays"
    (xie,) = [r for r in rows if r["key"] == "xie2016unsupervised" and (r["method"], r["data"]) == ("dec", "mnist")]
    assert "best of nine" in xie["chosen"] and xie["whose"] == "published" and xie["added"] == []
    (trials,) = [r for r in rows if r["key"] == "guo2020keras" and (r["method"], r["data"]) == ("dec", "mnist")]
    assert trials["seeds"] == 10 and trials["acc_sd"] == pytest.approx(0.0474, abs=1e-3)


def test_a_row_of_ours_with_a_setting_found_by_accuracy_says_so(tmp_path):
    def about(method, data, **parameters):
        return results.found_by_accuracy(method, data, parameters)

    assert about("features-kmeans", "mnist-test", layer=5, pool="max") == "stage and pooling, on draws of mnist-10k"
    assert about("features-kmeans", "mnist-test", layer=5, pool="mean") is None
    assert about("features-kmeans", "mnist-test", layer=-1, pool="mean") is None
    assert "docstrings" in about("rim", "20newsgroups", weight=0.3) and about("rim", "usps", weight=0.1) is None
    assert "after reported seeds" in about("jule", "mnist", information_epochs=15)
    assert about("jule", "mnist", information_epochs=0) is None
    assert "spectral start" in about("dec", "mnist-10k", start="spectral")
    assert about("dec", "usps", start="spectral") is None, "USPS had no part in it"
    both = about("idec", "mnist-10k", start="spectral", weight=1.0)
    assert "γ" in both and "spectral" in both and about("idec", "usps", weight=0.1) is None

    ours = {(row["method"], row["data"], row["note"]): row for row in leaderboard.board() if row["whose"] == "ours"}
    middle = ours["features-kmeans", "mnist-test", "layer=5, pool=max"]
    assert "mnist-10k" in middle["chosen"] and ours["features-kmeans", "mnist-test", None]["chosen"] is None
    for seed, variant in ((0, "layer=5,pool=max"), (1, "")):
        how = {"layer": 5, "pool": "max"} if variant else {"layer": -1, "pool": "mean"}
        results.save(invented(seed, 0.5, method="features-kmeans", variant=variant, parameters=how), tmp_path)
    marked, plain = sorted(leaderboard.leaderboard(tmp_path, variants=True).splitlines()[2:4], key=len, reverse=True)
    assert "layer=5" in marked and "0.500†" in marked and leaderboard.CHOSEN not in plain


def test_facts_of_every_method_are_there():
    facts = results.shipped("methods.json")
    assert {row["method"] for row in results.published()} | METHODS.keys() | BASELINES.keys() == facts.keys()
    book = results.CHECKOUT.parents[1]
    assert all((book / f"{fact['chapter']}.ipynb").is_file() for fact in facts.values() if fact["chapter"])


def test_augmentation_that_is_part_of_a_method_is_no_addition_and_hides_no_published_figure():
    of_others = [row for row in leaderboard.board() if row["method"] == "iic" and row["whose"] != "ours"]
    assert of_others and all(row["added"] == [] and row["name"] == "IIC" for row in of_others)
    (row,) = (row for row in results.summarise(results.records(data="mnist", method="iic")) if not row.variant)
    assert leaderboard.beside(row), "the paper augments, and so do we: they compare"


def test_seconds_beside_other_work_say_that_they_are_a_bound():
    ours = [row for row in leaderboard.board() if row["whose"] == "ours"]
    assert all(row["seconds"] > 0 for row in ours) and any(row["at_most"] for row in ours)


def test_a_published_row_says_its_runs_its_own_name_and_a_score_that_is_no_accuracy():
    rows = [row for row in leaderboard.board() if row["whose"] != "ours"]
    assert {row["seeds"] for row in rows if "five trials" in (row["note"] or "")} == {5}
    assert all(row["score"] == "purity" for row in rows if "purity" in (row["note"] or ""))
    assert any(row["name"] == "ConvDEC + augmentation" and row["method"] == "dbc" for row in rows)

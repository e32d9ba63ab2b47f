"""Records: what a run writes down, how rows are made of them, and that nothing is lost or chosen on the way."""

import json
import os
import time

import numpy as np
import pytest
import torch

from dclib import provenance, results
from dclib.baselines import BASELINES
from dclib.curves import Curve
from dclib.data import load
from dclib.methods import METHODS
from dclib.training import has_bfloat16

QUICK = {"profile_name": "quick", "device": "cpu"}


@pytest.fixture(scope="module")
def record() -> dict:
    return results.run("dec", "digits", 3, **QUICK, epochs=1)


def invented(seed: int, acc: float, **changes) -> dict:
    run = {"method": "dec", "data": "digits", "profile": "book", "variant": "", "seed": seed, "n": 1797}
    cost = {"seconds": 2.0 + seed, "busy": False, "peak_memory_mib": 100.0 + seed, "device": "cpu"}
    return run | {"acc": acc, "nmi": acc / 2, "ari": acc / 4} | cost | changes


def test_a_record_says_all_that_is_needed_to_repeat_it(record):
    assert record["seed"] == 3 and record["variant"] == "epochs=1" and record["profile"] == "quick"
    assert record["n"] == sum(record["cluster_sizes"]) == 1797
    assert {"acc", "nmi", "ari"} <= set(record) and 0 < record["acc"] <= 1
    assert record["loss"] > 0, "of the last epoch"
    assert results.run("k-means", "digits", 0)["loss"] is None
    assert record["seconds"] > 0 and record["peak_memory_mib"] > 1 and isinstance(record["busy"], bool)
    assert record["parameters"]["epochs"] == 1 and record["parameters"]["random_state"] == 3
    assert "RandomAffine" in str(record["parameters"]["augment"])
    assert {"python", "torch", "numpy", "scikit-learn"} <= set(record["versions"])
    json.dumps(record)


def test_the_same_seed_gives_the_same_record(record):
    again = results.run("dec", "digits", 3, **QUICK, epochs=1)
    scores = ("acc", "nmi", "ari", "cluster_sizes", "loss", "parameters")
    assert [again[key] for key in scores] == [record[key] for key in scores]


def test_a_curve_looks_and_changes_nothing(record):
    watched = results.run("dec", "digits", 3, **QUICK, epochs=1, curve=True)
    curve = watched.pop("curve")
    assert [watched[key] for key in ("acc", "loss", "cluster_sizes")] == [
        record[key] for key in ("acc", "loss", "cluster_sizes")
    ]
    assert {len(values) for values in curve.values()} == {2}, "where the clusters start, and after the one epoch"
    assert curve["acc"][-1] == round(watched["acc"], 4) and curve["nmi"][-1] == round(watched["nmi"], 4)
    assert 0 < curve["seconds"][-1] <= watched["seconds"]
    assert "curve" not in results.run("k-means", "digits", 0, curve=True), "a baseline is one step"


def test_a_method_that_answers_has_a_curve_from_its_first_epoch():
    record = results.run("dac", "digits", 0, **QUICK, pretrain_epochs=4, curve=True)
    assert record["curve"]["epoch"] == [1, 2, 3, 4]
    assert sorted(record["curve"]["seconds"]) == record["curve"]["seconds"]


def test_a_game_has_a_curve_by_kmeans_on_its_codes():
    watched = results.run("clustergan", "digits", 0, **QUICK, pretrain_epochs=3, curve=True)
    curve, plain = watched.pop("curve"), results.run("clustergan", "digits", 0, **QUICK, pretrain_epochs=3)
    assert curve["epoch"] == [1, 2, 3] and min(curve["acc"]) > 0.1, "as if training ended there"
    assert watched["acc"] == plain["acc"] and watched["loss"] == plain["loss"], "looking changes nothing"
    assert results.run("vae", "digits", 0, **QUICK, curve=True)["curve"]["epoch"] == [], "a mixture, not k-means"


def test_the_clock_of_a_curve_stands_still_while_it_looks(monkeypatch):
    data = load("digits")
    curve = Curve(data.x[:200], data.y[:200])
    model = METHODS["dac"](10, hidden=(8,), pretrain_epochs=3, random_state=0, callback=curve)
    look = type(model).predict

    def slow(self, x):
        time.sleep(0.5)
        return look(self, x)

    monkeypatch.setattr(type(model), "predict", slow)
    model.fit(data.x[:200])
    assert curve.spent > 1.5 and curve.found["seconds"][-1] < model.seconds_ - 1.4
    assert curve.found["cpu"][-1] > 0 and sorted(curve.found["cpu"]) == curve.found["cpu"]


def test_a_record_says_how_pure_the_groups_are_before_they_are_merged():
    found = results.run("deepcluster", "digits", 0, **QUICK, pretrain_epochs=2, n_groups=40)
    assert found["acc"] < found["purity_of_groups"] <= 1
    assert (
        found["purity_of_groups"]
        > results.run("deepcluster", "digits", 0, **QUICK, pretrain_epochs=2, n_groups=10)["acc"]
    )


def test_changes_are_none_for_a_record_of_now_and_names_what_differs(record):
    stored = json.loads(json.dumps(record))
    assert results.changes(stored, epochs=1) == {}
    assert results.changes(stored, epochs=2) == {"epochs": (1, 2)}
    older = stored | {"dclib": "0", "parameters": {**stored["parameters"], "gone": [1], "device": "cuda"}}
    assert list(results.changes(older, epochs=1).items()) == [
        ("dclib", ("0", stored["dclib"])),
        ("gone", ([1], results.UNSET)),
    ]


def test_what_a_record_lacks_was_made_later_and_is_as_by_default(record):
    stored = json.loads(json.dumps(record))
    fewer = {key: value for key, value in stored["parameters"].items() if key != "reconstruct"}
    transform = "RandomAffine(shape=(8, 8), degrees=15.0, shift=0.1, zoom=0.1)"
    older = stored | {"parameters": fewer | {"augment": transform}}
    assert results.changes(older, epochs=1, augment={}) == {}
    turned = stored | {"parameters": fewer | {"augment": transform.replace("15", "20")}}
    assert [*results.changes(turned, epochs=1, augment={})] == ["augment"]


def test_saved_and_read_again(record, tmp_path):
    path = results.save(record, tmp_path)
    assert path == tmp_path / "digits" / "dec" / "quick-epochs=1-seed3.json"
    assert results.records(tmp_path) == [record]
    assert results.records(tmp_path, method="dec", variant="epochs=1") == [record]
    assert results.records(tmp_path, variant="") == []


def test_records_come_by_seed(tmp_path):
    for seed in (10, 2, 1):
        results.save(invented(seed, 0.5), tmp_path)
    assert [record["seed"] for record in results.records(tmp_path)] == [1, 2, 10]


def test_a_row_has_mean_and_sample_deviation_over_every_seed():
    accs = [0.70, 0.80, 0.96]
    (row,) = results.summarise([invented(seed, acc) for seed, acc in enumerate(accs)])
    assert row.acc == pytest.approx((np.mean(accs), np.std(accs, ddof=1)))
    assert (row.seeds, row.seconds, row.memory) == (3, pytest.approx(3.0), 102.0)


def test_rows_of_the_same_seeds_are_compared_in_pairs():
    plain, better = ([invented(seed, acc) for seed, acc in enumerate(accs)] for accs in ([0.5, 0.6], [0.7, 0.9]))
    told = results.paired(plain, better)
    assert told == {"difference": "+0.250 ± 0.071", "higher on": "2 of 2 seeds", "p": 0.5}
    assert results.paired(better, plain, "nmi")["difference"] == "-0.125 ± 0.035"
    for nothing in ((plain, plain), (plain, better[:1]), ([], better), ([], [])):
        assert set(results.paired(*nothing).values()) == {"–"}


def test_variants_and_profiles_make_rows_of_their_own_best_first():
    found = [invented(0, 0.5), invented(0, 0.9, variant="epochs=3"), invented(0, 0.7, profile="full")]
    assert [row.acc[0] for row in results.summarise(found)] == [0.9, 0.7, 0.5]


def test_rows_come_by_data_set_with_kmeans_first():
    found = [invented(0, 0.9), invented(0, 0.3, method="k-means"), invented(0, 0.5, data="a")]
    assert [(row.data, row.method) for row in results.summarise(found)] == [
        ("a", "dec"),
        ("digits", "k-means"),
        ("digits", "dec"),
    ]


AFFINE = {"parameters": {"augment": "RandomAffine()"}}


@pytest.mark.parametrize(
    ("changes", "name", "ablation"),
    [
        ({"method": "k-means"}, "k-means", False),
        ({}, "DEC", False),
        (AFFINE, "DEC + augmentation", False),
        ({"variant": "augment=None"}, "DEC", False),
        ({"variant": "start=spectral", "parameters": {"start": "spectral"}}, "DEC + spectral start", False),
        ({"variant": "augment=None", "method": "dbc"}, "DBC", False),
        (AFFINE | {"variant": "reconstruct=clean"}, "DEC + augmentation", True),
        ({"variant": "augment=None,epochs=3"}, "DEC, epochs=3", True),
        (
            AFFINE | {"variant": "augment={'zoom': 0, 'degrees': 10},start=kmeans"},
            "DEC + augmentation, degrees=10, zoom=0",
            True,
        ),
        ({"parameters": {"start": "spectral", "units": "white"}}, "DEC + spectral start + white units", False),
        ({"method": "k-means", "variant": "n_init=1"}, "k-means, n_init=1", True),
    ],
)
def test_a_row_is_named_for_a_reader(changes, name, ablation):
    (row,) = results.summarise([invented(0, 0.5, **changes)])
    assert (row.name, row.ablation) == (name, ablation)


def test_a_mark_is_one_part_of_a_rows_marks():
    assert not [words for *_, words in results.FOUND_BY_ACCURACY if ";" in words], "marks are joined by semicolons"


def test_a_record_says_what_precision_was_at_hand(record):
    assert record["bfloat16"] is has_bfloat16(torch.device("cpu"))


def test_a_transform_is_one_variant_in_whatever_order_its_settings_come():
    settings = {"zoom": 0, "degrees": 10}
    said = [
        results.identity("dec", "usps", 0, "full", augment=dict(s))
        for s in (settings.items(), [*settings.items()][::-1])
    ]
    assert said[0] == said[1] and said[0]["variant"] == "augment={'degrees': 10, 'zoom': 0}"


def test_every_name_belongs_to_a_method():
    assert results.NAMES.keys() == METHODS.keys() | BASELINES.keys() - {results.KMEANS}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_as_it_comes_has_nothing_added_and_for_images_the_augmentation(method):
    cls = METHODS[method]
    own = ("groups merged by paths",) if method == "deepcluster" else ()
    assert results.added(method, cls().get_params()) == own
    images = ("augmentation", *own) if cls.augmented and not cls.viewed else own
    assert results.added(method, cls.for_data(load("mnist-10k"), "book").get_params()) == images


def test_rows_stand_in_pairs_with_the_first():
    sizes = {"cluster_sizes": [10, 10, 0]}
    plain, better = ([invented(seed, acc, **sizes) for seed in (0, 1)] for acc in (0.5, 0.7))
    found = results.in_pairs({"plain": plain, "better": better, "not yet": []})
    assert found["plain"]["difference"] == "–" and found["better"]["difference"] == "+0.200 ± 0.000"
    assert found["better"]["higher on"] == "2 of 2 seeds" and found["better"]["effective clusters"] == pytest.approx(2)
    assert found["not yet"]["ACC"] == "–" and np.isnan(found["not yet"]["effective clusters"])
    assert "NMI" in results.in_pairs({"plain": plain}, "nmi")["plain"]


def test_an_addition_counts_only_where_it_acts():
    assert results.added("dec", {"reconstruct": "clean", "augment": None}) == ()
    assert results.added("vade", {"start": "mixture"}) == () and results.added("dec", {"start": "kmeans"}) == ()
    assert results.added("vade", {"start": "kmeans"}) == ("k-means start",)


def test_a_row_says_what_was_added():
    (plain,) = ([invented(0, 0.5)],)
    assert results.row(plain)["added"] == "nothing" and results.row([])["added"] == "–"
    assert results.row([invented(0, 0.5, **AFFINE)])["added"] == "augmentation"


def test_compared_has_a_row_for_each_method_and_set_by_seed(tmp_path):
    for seed in (1, 0):
        results.save(invented(seed, 0.5), tmp_path)
        results.save(invented(seed, 0.7, variant="weight=2"), tmp_path)
    own = invented(0, 0.5)
    methods = {"plain": own["method"], "heavy": (own["method"], "weight=2"), "absent": "nobody"}
    found = results.compared(methods, {own["data"]: own["profile"]}, tmp_path)
    assert list(found) == ["plain", "heavy", "absent"]
    assert [[r["seed"] for r in runs] for runs in found.values()] == [[0, 1], [0, 1], []]
    assert results.accuracies(found) == {"plain": [0.5, 0.5], "heavy": [0.7, 0.7]}
    both = results.compared(methods, {own["data"]: own["profile"], "elsewhere": "full"}, tmp_path)
    assert list(both)[:4] == [f"{own['data']}: {m}" for m in methods] + ["elsewhere: plain"]
    assert not both["elsewhere: plain"]


def test_one_seed_has_no_spread():
    (row,) = results.summarise([invented(0, 0.5)])
    assert results.spread(row.acc) == "0.500" and results.spread((0.5, 0.1)) == "0.500 ± 0.100"


def test_row_shows_gaps_as_gaps():
    assert set(results.row([]).values()) == {"–"}
    assert results.row([invented(0, 0.5), invented(1, 0.6)])["ACC"] == "0.550 ± 0.071"


def test_published_by_augmentation(tmp_path):
    rows = [{"data": "digits", "method": "dec", "acc": acc} for acc in (0.8, 0.9, 0.95)]
    rows[-1]["augmented"] = True
    (tmp_path / "published.json").write_text(json.dumps(rows))
    found = {flag: results.published("digits", "dec", tmp_path, flag) for flag in (None, True, False)}
    accs = {flag: [r["acc"] for r in known] for flag, known in found.items()}
    assert accs == {None: [0.8, 0.9, 0.95], True: [0.95], False: [0.8, 0.9]}


def test_every_published_figure_has_a_source_and_a_known_method():
    rows = results.published()
    assert rows
    for row in rows:
        assert row["source"] and row["method"] in results.shipped("methods.json") and row["n"] > 0
        perfect = row["data"] == "cmu-pie"  # the one published figure that is exactly 1
        scores = [row[key] for key in ("acc", "nmi", "ari") if row[key] is not None]
        assert all(0 < score < 1 or (perfect and score == 1) for score in scores)
        if "runs" in row:
            assert np.mean(row["runs"]) == pytest.approx(row["acc"], abs=1e-5)


def test_published_keys_are_in_the_bibliography():
    bibliography = (results.CHECKOUT.parent / "references.bib").read_text(encoding="utf-8")
    assert all(f"{{{row['key']}," in bibliography for row in results.published())


def test_committed_records_are_whole_rows_of_five_seeds():
    for row in results.summarise(results.records()):
        assert row.seeds == 5, f"{row.method} {row.variant} on {row.data} has {row.seeds} seeds"


def test_kmeans_runs_on_the_points_themselves():
    record = results.run(results.KMEANS, "digits", 0, **QUICK, n_init=1)
    assert record["method"] == "k-means" and record["acc"] > 0.5 and record["parameters"]["n_init"] == 1


@pytest.mark.parametrize(("method", "data", "words"), [("decc", "digits", "'dec'"), ("dec", "digts", "'digits'")])
def test_unknown_names_are_answered_with_the_nearest(method, data, words):
    with pytest.raises(ValueError, match=words):
        results.run(method, data, 0)


def test_outside_a_checkout_the_books_records_are_read_and_ones_own_win(tmp_path, monkeypatch):
    shipped, own = tmp_path / "records", tmp_path / "results"
    monkeypatch.setattr(results, "SHIPPED", shipped)
    monkeypatch.setattr(results, "RESULTS", own)
    record = {"data": "d", "method": "m", "profile": "book", "variant": "", "seed": 0}
    results.save(record | {"acc": 0.1}, shipped), results.save(record | {"seed": 1, "acc": 0.2}, shipped)
    results.save(record | {"acc": 0.9}, own)
    (shipped / "published.json").write_text('[{"data": "d", "method": "m", "acc": 0.5}]')
    assert [r["acc"] for r in results.records(own)] == [0.9, 0.2]
    assert [r["acc"] for r in results.records(tmp_path / "elsewhere")] == []
    assert [r["acc"] for r in results.published("d", folder=own)] == [0.5]


def test_times_of_a_busy_machine_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = results.summarise([invented(0, 0.5), invented(1, 0.5) | {"busy": True}])
    assert row.seconds is None and results.scores_and_cost(row)["s a run"] == f"≤ {row.fastest:.0f}"
    older = invented(0, 0.5)
    del older["busy"]  # the first records do not say
    assert results.summarise([older])[0].seconds is None
    threads = torch.get_num_threads()
    for others, busy in ((0.9, False), (1.1, True)):
        monkeypatch.setattr(os, "getloadavg", lambda others=others: (threads + others, 0.0, 0.0))
        assert provenance.busy() is busy
    assert not provenance.busy(2)


OWN = {"dcn": ("λ = 1",), "idec": ("γ = 1",), "dbc": ("divided by size",), "depict": ("squared target",)}


@pytest.mark.parametrize("method", METHODS)
def test_a_setting_that_the_paper_has_otherwise_is_named(method):
    assert results.otherwise(method, METHODS[method]().get_params()) == OWN.get(method, ())


def test_what_is_otherwise_is_no_addition_and_no_change():
    paper = METHODS["dcn"]().get_params() | {"weight": 0.001}
    assert results.otherwise("dcn", paper) == () and results.added("dcn", paper | {"weight": 0.1}) == ()
    assert results.otherwise("idec", {"weight": 0.47}) == () and results.otherwise("dbc", {"balance": False}) == ()
    how = {"method": "dcn", "variant": "epochs=3,weight=0.1", "parameters": paper | {"weight": 0.1}}
    (row,) = results.summarise([invented(0, 0.5) | how])
    assert row.name == "DCN, λ = 0.1, epochs=3" and row.changes == ("epochs=3",) and row.ablation
    assert results.row([invented(0, 0.5) | how])["added"] == "nothing; λ = 0.1"
    graph = {"method": "autoencoder-spectral", "parameters": {"vectors": 3, "steps": 16}, "data": "mnist"}
    (row,) = results.summarise([invented(0, 0.5) | graph])
    assert row.otherwise == ("3K vectors", "16 steps of a walk") and row.chosen
    (row,) = results.summarise([invented(0, 0.5) | graph | {"parameters": {"vectors": 1, "steps": 0}}])
    assert not row.otherwise and row.chosen is None


def test_a_step_that_the_paper_lacks_is_named_unless_it_does_nothing():
    own = METHODS["deepcluster"]().get_params()
    assert results.added("deepcluster", own) == ("groups merged by paths",)
    assert results.added("deepcluster", own | {"merge": "ward"}) == ("groups merged by ward",)
    assert results.added("deepcluster", own | {"n_groups": 10}) == ()

"""Records: what a run writes down, how rows are made of them, and that nothing is lost or chosen on the way."""

import itertools
import json

import numpy as np
import pytest

from dclib import cli, results
from dclib.methods import METHODS

QUICK = {"profile_name": "quick", "device": "cpu"}


@pytest.fixture(scope="module")
def record() -> dict:
    return results.run("dec", "digits", 3, **QUICK, epochs=1)


def invented(seed: int, acc: float, **changes) -> dict:
    run = {"method": "dec", "data": "digits", "profile": "book", "variant": "", "seed": seed, "n": 1797}
    cost = {"seconds": 2.0 + seed, "peak_memory_mib": 100.0 + seed, "device": "cpu"}
    return run | {"acc": acc, "nmi": acc / 2, "ari": acc / 4} | cost | changes


def test_a_record_says_all_that_is_needed_to_repeat_it(record):
    assert record["seed"] == 3 and record["variant"] == "epochs=1" and record["profile"] == "quick"
    assert record["n"] == sum(record["cluster_sizes"]) == 1797
    assert {"acc", "nmi", "ari"} <= set(record) and 0 < record["acc"] <= 1
    assert record["seconds"] > 0 and record["peak_memory_mib"] > 1
    assert record["parameters"]["epochs"] == 1 and record["parameters"]["random_state"] == 3
    assert "RandomAffine" in str(record["parameters"]["augment"])
    assert {"python", "torch", "numpy", "scikit-learn"} <= set(record["versions"])
    json.dumps(record)


def test_the_same_seed_gives_the_same_record(record):
    again = results.run("dec", "digits", 3, **QUICK, epochs=1)
    scores = ("acc", "nmi", "ari", "cluster_sizes", "parameters")
    assert [again[key] for key in scores] == [record[key] for key in scores]


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
BARE = "augment=None,overcluster=0,whiten=False"


@pytest.mark.parametrize(
    ("changes", "name", "ablation"),
    [
        ({"method": "k-means"}, "k-means", False),
        ({}, "DEC", False),
        (AFFINE, "DEC + augmentation", False),
        ({"variant": "augment=None"}, "DEC", False),
        ({"variant": BARE}, "DEC, bare", False),
        (AFFINE | {"variant": "whiten=False"}, "DEC + augmentation, whiten=False", True),
        ({"variant": "augment=None,epochs=3"}, "DEC, augment=None,epochs=3", True),
        ({"method": "k-means", "variant": "n_init=1"}, "k-means, n_init=1", True),
    ],
)
def test_a_row_is_named_for_a_reader(changes, name, ablation):
    (row,) = results.summarise([invented(0, 0.5, **changes)])
    assert (row.name, row.ablation) == (name, ablation)


def test_every_name_belongs_to_a_method():
    assert {method for method, _ in results.NAMES} <= {results.KMEANS, *METHODS}


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


PUBLISHED = [
    {"data": "digits", "n": 1797, "method": "dec", "acc": 0.8, "source": "Other 2021", "rerun": "by others"},
    {"data": "digits", "n": 1797, "method": "dec", "acc": 0.9, "source": "Somebody 2020", "chosen": "best of nine"},
    {"data": "digits", "n": 1797, "method": "dec", "augmented": True, "acc": 0.95, "source": "Third 2022"},
    {"data": "mnist", "n": 70000, "method": "dec", "acc": 0.5, "source": "Ten", "runs": [0.4, 0.6]},
]


@pytest.fixture
def board(tmp_path):
    """A folder of published figures, and records of DEC, DEC with augmentation, an ablation and k-means."""
    (tmp_path / "published.json").write_text(json.dumps(PUBLISHED))
    for seed, acc in enumerate((0.5, 0.6)):
        results.save(invented(seed, acc, variant="augment=None"), tmp_path)
        results.save(invented(seed, acc + 0.2, **AFFINE), tmp_path)
        results.save(invented(seed, acc + 0.3, variant="whiten=False", **AFFINE), tmp_path)
        results.save(invented(seed, acc - 0.2, method="k-means"), tmp_path)
    results.save(invented(0, 0.4, data="mnist-10k", n=10000), tmp_path)
    return tmp_path


def test_leaderboard_puts_the_published_figure_beside_ours(board):
    lines = results.leaderboard(board, "digits").splitlines()
    kmeans, augmented, plain = lines[2:5]
    assert "| k-means | – | 0.350 ± 0.071 |" in kmeans
    assert "| DEC + augmentation | 0.950 (Third 2022) | 0.750 ± 0.071 |" in augmented
    assert "| DEC | 0.900† (Somebody 2020); 0.800‡ (Other 2021) | 0.550 ± 0.071 |" in plain and "| 2 |" in plain
    assert lines[5:] == ["", results.LEGEND]
    assert len(results.leaderboard(board, data="usps").splitlines()) == 2


def test_a_subset_stands_beside_the_whole_and_says_so(board):
    assert "0.500 ± 0.141 (Ten, n = 70,000)" in results.leaderboard(board, "mnist-10k")


def test_ablations_are_shown_on_request_without_a_published_figure(board):
    assert "whiten" not in results.leaderboard(board)
    (line,) = [line for line in results.leaderboard(board, variants=True).splitlines() if "whiten" in line]
    assert "| DEC + augmentation, whiten=False | – | 0.850 ± 0.071 |" in line


def test_an_ablation_that_stands_alone_is_shown(tmp_path):
    results.save(invented(0, 0.5, variant="epochs=3"), tmp_path)
    results.save(invented(0, 0.5, method="k-means"), tmp_path)
    assert [row.name for row in results.standings(tmp_path)] == ["k-means", "DEC, epochs=3"]
    results.save(invented(0, 0.4), tmp_path)
    assert [row.name for row in results.standings(tmp_path)] == ["k-means", "DEC"]
    assert len(results.standings(tmp_path, variants=True)) == 3


def test_leaderboard_as_json_has_numbers(board, capsys):
    assert cli.main(["leaderboard", "--out", str(board), "--data", "digits", "--json", "--variants"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["name"] == "k-means" and len(rows) == 4
    (plain,) = [row for row in rows if row["name"] == "DEC"]
    assert plain["acc"]["mean"] == pytest.approx(0.55) and plain["seeds"] == 2
    assert [known["acc"] for known in plain["published"]] == [0.9, 0.8]
    (lone,) = json.loads(results.leaderboard_json(board, "mnist-10k"))
    assert lone["acc"] == {"mean": 0.4, "sd": None}


def test_published_by_augmentation(board):
    accs = {flag: [r["acc"] for r in results.published("digits", "dec", board, flag)] for flag in (None, True, False)}
    assert accs == {None: [0.8, 0.9, 0.95], True: [0.95], False: [0.8, 0.9]}


def test_the_frontier_is_what_no_cheaper_row_beats():
    rng = np.random.default_rng(0)
    for _ in range(50):
        pairs = rng.integers(0, 6, (8, 2))
        rows = results.summarise(
            invented(0, int(acc), variant=str(i), seconds=int(cost)) for i, (acc, cost) in enumerate(pairs)
        )
        kept = results.frontier(rows)
        points = {(row.seconds, row.acc[0]) for row in kept}
        better = {(c, a) for a, c in pairs if not any(d <= c and b >= a and (b, d) != (a, c) for b, d in pairs)}
        assert points == better and len(kept) == len(points)
        assert [row.seconds for row in kept] == sorted(row.seconds for row in kept)


def test_pairs_are_matched_by_seed():
    first = [invented(seed, acc) for seed, acc in ((0, 0.1), (1, 0.2), (5, 0.3))]
    second = [invented(seed, acc) for seed, acc in ((5, 0.9), (0, 0.4), (1, 0.6))]
    assert results.paired_differences(first, second) == pytest.approx([0.3, 0.4, 0.6])
    assert results.paired_differences(first, second, "nmi") == pytest.approx([0.15, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"\[0, 1, 5\] and \[0, 1\]"):
        results.paired_differences(first, second[1:])


@pytest.mark.parametrize("m", range(1, 9))
def test_sign_flip_test_counts_all_signs(m):
    rng = np.random.default_rng(m)
    for d in (rng.normal(size=m), rng.integers(-3, 4, m), np.abs(rng.normal(size=m)), np.full(m, 0.1)):
        sums = [
            sum(s * x for s, x in zip(signs, d.tolist(), strict=True)) for signs in itertools.product((1, -1), repeat=m)
        ]
        assert results.sign_flip_test(d) == np.mean([abs(v) >= abs(sum(d.tolist())) - 1e-12 for v in sums])
        assert results.sign_flip_test(d) >= 2 / 2**m


def test_sign_flip_test_of_what_is_clear_by_hand():
    assert results.sign_flip_test([1, 2, 3, 4, 5]) == 1 / 16
    assert results.sign_flip_test([3, 2, 1, -1, 2]) == 6 / 32
    assert results.sign_flip_test([0, 0]) == results.sign_flip_test([1, -1]) == 1
    assert results.sign_flip_test(np.full(5, 0.1)) == results.sign_flip_test(np.full(5, 1e-9)) == 1 / 16


@pytest.mark.parametrize("d", [[], [[1.0]], [1.0, np.nan], [1.0] * 17])
def test_sign_flip_test_refuses_what_it_can_not_count(d):
    with pytest.raises(ValueError, match="1 to 16"):
        results.sign_flip_test(d)


@pytest.mark.parametrize("k", range(1, 8))
def test_expected_best_is_the_mean_over_all_picks(k):
    scores = np.random.default_rng(1).integers(0, 5, 7) / 5  # with ties
    picks = [max(pick) for pick in itertools.combinations(scores, k)]
    assert results.expected_best(scores, k) == pytest.approx(np.mean(picks))


@pytest.mark.parametrize("k", [0, 4, -1])
def test_expected_best_needs_enough_runs(k):
    with pytest.raises(ValueError, match=f"k is {k}"):
        results.expected_best([0.1, 0.2, 0.3], k)


def test_every_published_figure_has_a_source_and_a_known_method():
    rows = results.published()
    assert rows
    for row in rows:
        assert row["source"] and row["method"] in (results.KMEANS, *METHODS) and row["n"] > 0
        assert all(row[key] is None or 0 < row[key] < 1 for key in ("acc", "nmi", "ari"))
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

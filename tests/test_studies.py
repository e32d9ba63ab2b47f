"""Studies: rows are measured once and kept, means and paired differences are those of NumPy."""

import json

import numpy as np
import pytest

from benchmarks import applications
from dclib import results, studies


def scored(row: str, data: str, seed: int) -> dict[str, float]:
    return {"auroc": 0.5 + 0.1 * seed + (0.05 if row == "new" else 0.0)}


@pytest.fixture
def rows(tmp_path, monkeypatch):
    for row in ("old", "new"):
        for seed in (1, 0, 2):
            applications.run("made", row, "toy", seed, scored, tmp_path / "applications")
    monkeypatch.setattr(results, "_places", lambda folder: [tmp_path])
    return studies.read("made")


def test_a_run_is_measured_once_and_again_when_asked(tmp_path):
    seen = []

    def measure(row, data, seed):
        seen.append(seed)
        return {"auroc": len(seen)}

    first, second = (applications.run("made", "row", "toy", 0, measure, tmp_path) for _ in range(2))
    assert first == second and seen == [0]
    again = applications.run("made", "row", "toy", 0, measure, tmp_path, again=True)
    assert again["scores"] == {"auroc": 2.0} and len(applications.read(tmp_path / "made.json")) == 1


def test_the_command_measures_the_rows_it_names(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["made", "--seeds", "0-1", "--row", "new"])
    applications.main("made", [("old", "toy"), ("new", "toy")], scored, tmp_path)
    assert [(r["row"], r["seed"]) for r in applications.read(tmp_path / "made.json")] == [("new", 0), ("new", 1)]
    assert capsys.readouterr().out.count("\n") == 2


def test_rows_are_means_over_seeds(rows):
    assert studies.values(rows, "auroc") == {"new": [0.55, 0.65, 0.75], "old": [0.5, 0.6, 0.7]}
    found = studies.table(rows, ["auroc"])["old"]
    assert found["auroc"] == f"{0.6:.3f} ± {np.std([0.5, 0.6, 0.7], ddof=1):.3f}" and found["seeds"] == "3"
    assert studies.read("made", row="old", seed=2)[0]["scores"] == {"auroc": 0.7}
    assert studies.read("not there") == []


def test_differences_are_paired_by_seed(rows):
    found = studies.differences(rows, "old", "auroc")
    assert found == {"new": {"difference": "+0.050 ± 0.000", "higher on": "3 of 3 seeds", "p": 0.25}}
    with pytest.raises(ValueError, match="has the seeds"):
        studies.differences([run for run in rows if run["seed"] or run["row"] == "old"], "old", "auroc")


def test_each_study_of_the_book_has_unique_rows_with_five_seeds():
    for path in sorted((results.SHIPPED / "applications").glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))["rows"]
        keys = [(run["row"], run["data"], run["seed"]) for run in kept]
        assert len(keys) == len(set(keys)), path.name
        for row, data in {key[:2] for key in keys}:
            seeds = sorted(seed for r, d, seed in keys if (r, d) == (row, data))
            assert seeds[:5] == [0, 1, 2, 3, 4], (path.name, row, data, seeds)

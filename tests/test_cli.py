"""The command line: what it prints, writes and returns, and how it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dclib import __version__, cli, provenance
from dclib.baselines import BASELINES
from dclib.methods import METHODS
from dclib.results import records, summarise


@pytest.fixture
def run(capsys):
    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = cli.main(arguments)
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


FAST = ("--data", "digits", "--profile", "quick", "--device", "cpu", "--quiet")


@pytest.mark.parametrize(("text", "expected"), [("0-4", [0, 1, 2, 3, 4]), ("7", [7]), ("0,2,5-6", [0, 2, 5, 6])])
def test_seeds(text, expected):
    assert cli.seeds(text) == expected


@pytest.mark.parametrize("text", ["", "a", "4-0", "1-", "-1", "0;1"])
def test_seeds_that_are_none_are_refused(run, text):
    code, _, err = run("run", "dec", f"--seeds={text}", *FAST)
    assert code == 2 and "0-4" in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs=20", ("epochs", 20)),
        ("hidden=[64]", ("hidden", [64])),
        ("augment=null", ("augment", None)),
        ("a=b=c", ("a", "b=c")),
    ],
)
def test_setting(text, expected):
    assert cli.setting(text) == expected


def test_run_writes_one_record_a_seed_and_a_summary(run, tmp_path):
    code, out, _ = run("run", "dec", *FAST, "--seeds", "0-1", "--out", str(tmp_path), "--set", "epochs=1")
    found = sorted(tmp_path.glob("digits/dec/*.json"))
    assert code == 0 and len(found) == 2
    assert json.loads(found[0].read_text())["parameters"]["epochs"] == 1
    assert out.count("seed ") == 2 and "dec on digits, 2 seeds: ACC 0." in out and "±" in out


def one_record(run, tmp_path) -> tuple[tuple[str, ...], Path]:
    """Run one seed of k-means and return the command and the path of its record."""
    arguments = ("run", "k-means", *FAST, "--out", str(tmp_path), "--set", "n_init=1")
    assert run(*arguments)[0] == 0
    (path,) = tmp_path.glob("digits/k-means/*.json")
    return arguments, path


def change(path: Path, **fields: object) -> None:
    """Change fields of a record."""
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_run_resumes_from_the_records_that_are_there_and_says_so(run, tmp_path):
    arguments, path = one_record(run, tmp_path)
    change(path, acc=9.0, when="2001-02-03T04:05:06+00:00")
    out = run(*arguments)[1]
    assert "seed 0: recorded on 2001-02-03, ACC 9." in out and "again" not in out
    out = run(*arguments, "--again")[1]
    assert "seed 0: ACC 0." in out and "recorded" not in out


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dclib": "0.0.1"}, f"(dclib 0.0.1 → {__version__})"),
        ({"parameters": {"n_init": 7}}, "(n_init 7 → 1)"),
        ({"parameters": {"old": True}}, "(old True → unset)"),
        ({"parameters": {"tol": None}, "dclib": "9"}, f"(dclib 9 → {__version__}, tol None → 0.0001)"),
    ],
)
def test_run_goes_again_where_version_or_parameters_differ_and_says_so_in_one_line(run, tmp_path, fields, words):
    arguments, path = one_record(run, tmp_path)
    known = json.loads(path.read_text())["parameters"]
    change(path, acc=9.0, **fields | {"parameters": known | fields.get("parameters", {})})
    out = run(*arguments)[1]
    (line,) = [line for line in out.splitlines() if "again" in line]
    assert line.startswith("seed 0: recorded on 2") and f"with other settings {words}; running again" in line
    assert "seed 0: ACC 0." in out and json.loads(path.read_text())["acc"] < 1
    assert "recorded on" in run(*arguments)[1] and "again" not in run(*arguments)[1]


def test_how_a_run_was_made_is_no_reason_to_run_it_again(run, tmp_path):
    arguments, path = one_record(run, tmp_path)
    change(path, acc=9.0, parameters=json.loads(path.read_text())["parameters"] | {"verbose": 3, "device": "cuda"})
    assert "ACC 9." in run(*arguments)[1]


def test_a_damaged_record_is_named_and_made_again(run, tmp_path):
    arguments, path = one_record(run, tmp_path)
    path.write_text(path.read_text()[:40])
    code, out, _ = run(*arguments)
    assert code == 0 and f"{path} is damaged; running again" in out and json.loads(path.read_text())["seed"] == 0


def test_a_record_stands_where_the_data_are_out_of_reach(run, tmp_path, monkeypatch):
    arguments, _ = one_record(run, tmp_path)

    def load(name):
        raise OSError("no network")

    monkeypatch.setattr("dclib.results.load", load)
    assert "recorded on" in run(*arguments)[1]
    assert run(*arguments, "--again")[0] == 1


def test_one_seed_is_one_seed(run, tmp_path):
    arguments, _ = one_record(run, tmp_path)
    assert "k-means on digits, 1 seed: ACC 0." in run(*arguments)[1]
    assert "k-means on digits, 2 seeds: ACC 0." in run(*arguments, "--seeds", "0-1")[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "decc"), "Did you mean 'dec'"),
        (("run", "dec", "--data", "mnits"), "Did you mean 'mnist'"),
        (("run", "dec", *FAST, "--set", "n_clusters=0"), "n_clusters"),
        (("run", "dec", *FAST, "--set", "epochs"), "name=value"),
        (("run", "dec", "--profile", "huge"), "invalid choice"),
        (("data", "get"), "needs the name"),
        (("data", "get", "mnits"), "Did you mean 'mnist'"),
        (("data", "fetch"), "invalid choice"),
        ((), "required"),
    ],
)
def test_a_wrong_command_returns_two_and_says_what_is_wrong(run, tmp_path, arguments, words):
    out = ("--out", str(tmp_path)) if arguments[:1] == ("run",) else ()
    code, _, err = run(*arguments, *out)
    assert code == 2 and words in err and "Traceback" not in err


def test_an_unknown_parameter_is_named(run, tmp_path):
    code, _, err = run("run", "dec", *FAST, "--set", "epoch=3", "--out", str(tmp_path))
    assert code == 2 and "'epochs'" in err


def test_data_list_names_every_set(run):
    code, out, _ = run("data", "list")
    assert code == 0 and all(name in out for name in ("digits", "mnist-10k", "20newsgroups", "bundled"))


def test_data_check_of_a_bundled_set_is_sound(run):
    assert run("data", "check", "digits", "mnist-10k")[0] == 0


def test_data_check_of_a_damaged_set_returns_one(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DCLIB_DATA", str(tmp_path))
    (tmp_path / "pendigits.tra").write_text("half a file")
    code, out, err = run("data", "check", "pendigits")
    assert code == 1 and "damaged" in out and "pendigits.tra" in err


def test_data_get_without_a_network_returns_one_and_says_what_to_do(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DCLIB_DATA", str(tmp_path))
    code, _, err = run("data", "get", "pendigits")
    assert code == 1 and "pendigits.tra" in err and "Traceback" not in err


def test_leaderboard_is_a_table(run, tmp_path):
    run("run", "k-means", *FAST, "--out", str(tmp_path), "--set", "n_init=1")
    code, out, _ = run("leaderboard", "--out", str(tmp_path), "--data", "digits")
    assert code == 0 and out.startswith("| data |") and "k-means" in out


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help")])
def test_help_shows_examples(run, arguments):
    code, out, _ = run(*arguments)
    assert code == 0 and "dclib run dec --data mnist-10k --seeds 0-4" in out


def test_help_names_every_method(run):
    assert set(cli.METHOD_NAMES) == set(METHODS) and set(cli.BASELINE_NAMES) == set(BASELINES)
    words = "".join(run("run", "--help")[1].split())  # lines may break within a name
    assert all(name in words for name in (*BASELINES, *METHODS))


def test_version_and_module(run):
    assert run("--version")[1].strip() == f"dclib {__version__}"
    shown = subprocess.run([sys.executable, "-m", "dclib", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == f"dclib {__version__}"


def test_methods_of_one_command_line_share_a_first_phase(run, tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    words = (*FAST, "--pretrained", str(kept), "--out", str(tmp_path))
    assert run("run", "autoencoder-kmeans", *words)[0] == 0 and len([*kept.iterdir()]) == 1

    def trained(self, phase):
        raise AssertionError("the first phase was trained again")

    with monkeypatch.context() as watching:
        watching.setattr("dclib.engine.Engine._make_movers", trained)
        assert run("run", "autoencoder-spectral", *words)[0] == 0
    assert run("run", "dec", *words)[0] == 0 and len([*kept.iterdir()]) == 1
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("*.json")]
    assert len(records) == 3 and not any("pretrained" in record["parameters"] for record in records)


def test_a_run_that_was_broken_off_goes_on(run, tmp_path, monkeypatch):
    whole, broken = ("run", "dec", *FAST, "--out", str(tmp_path / "whole")), str(tmp_path / "broken")

    def stop(self, x):
        raise KeyboardInterrupt

    assert run(*whole)[0] == 0
    with monkeypatch.context() as breaking:
        breaking.setattr("dclib.methods.dec.DEC.refresh", stop)
        assert run(*whole[:-1], broken)[0] == 130
    (part,) = (tmp_path / "broken").rglob("*.part")
    with monkeypatch.context() as watching:  # the first phase, the only one that reconstructs, is not trained again
        watching.setattr("dclib.base.DeepClusterer.representation_loss", stop)
        assert run(*whole[:-1], str(tmp_path / "fresh"))[0] == 130
        assert run(*whole[:-1], broken)[0] == 0
    assert not part.exists()
    (one,), (two,) = ([json.loads(p.read_text()) for p in (tmp_path / n).rglob("*.json")] for n in ("whole", "broken"))
    assert one["cluster_sizes"] == two["cluster_sizes"] and one["acc"] == two["acc"] and one["n"] == two["n"]


def test_a_run_on_a_busy_machine_has_no_time_in_the_summary(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(provenance, "busy", lambda *_: True)
    assert cli.main(["run", "k-means", *FAST, "--out", str(tmp_path)]) == 0
    assert "1 seed: ACC" in (said := capsys.readouterr().out) and "s a run" not in said


def test_restarts_keep_the_run_of_least_loss_with_the_time_of_all(run, tmp_path):
    arguments = ("run", "dac", *FAST, "--set", "thresholds=[0.9, 0.9]", "--seeds", "0", "--out", str(tmp_path))
    assert run(*arguments, "--restarts", "2")[0] == 0
    (path,) = tmp_path.glob("digits/dac/quick-restarts=2_thresholds=_0.9_0.9_-seed0.json")
    record = json.loads(path.read_text())
    paths = (next(place.glob("digits/dac/quick-thresholds*.json")) for place in (tmp_path, tmp_path / "restarts"))
    runs = [json.loads(place.read_text()) for place in paths]
    best = min(runs, key=lambda one: one["loss"])
    assert [one["seed"] for one in runs] == [0, 1000] and record["losses"] == [one["loss"] for one in runs]
    assert record["accuracies"] == [one["acc"] for one in runs]
    assert (record["seed"], record["kept"], record["acc"]) == (0, best["seed"], best["acc"])
    assert record["seconds"] == pytest.approx(sum(one["seconds"] for one in runs))
    assert "recorded on" in run(*arguments, "--restarts", "2")[1]
    (row,) = (row for row in summarise(records(tmp_path)) if "restarts" in row.variant)
    assert row.name == "DAC + augmentation + least loss of 2 runs, one threshold" and row.seeds == 1


def test_restarts_need_a_loss_to_choose_by(run, tmp_path):
    code, _, err = run("run", "k-means", *FAST, "--restarts", "2", "--out", str(tmp_path))
    assert code == 2 and "no loss" in err


@pytest.mark.parametrize("text", ["0", "-1", "two"])
def test_restarts_that_are_none_are_refused(run, text):
    code, _, err = run("run", "dac", f"--restarts={text}", *FAST)
    assert code == 2 and "1 or more" in err

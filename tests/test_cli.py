"""The command line: what it prints, writes and returns, and how it refuses."""

import json
import subprocess
import sys

import pytest

from dclib import __version__, cli


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


def test_run_resumes_from_the_records_that_are_there(run, tmp_path):
    arguments = ("run", "k-means", *FAST, "--out", str(tmp_path), "--set", "n_init=1")
    run(*arguments)
    (path,) = tmp_path.glob("digits/k-means/*.json")
    path.write_text(path.read_text().replace('"acc": 0.', '"acc": 9.'))
    assert "ACC 9." in run(*arguments)[1]
    assert "ACC 9." not in run(*arguments, "--again")[1]


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


def test_version_and_module(run):
    assert run("--version")[1].strip() == f"dclib {__version__}"
    shown = subprocess.run([sys.executable, "-m", "dclib", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == f"dclib {__version__}"


def test_a_run_that_was_broken_off_goes_on(run, tmp_path, monkeypatch):
    whole, broken = ("run", "dec", *FAST, "--out", str(tmp_path / "whole")), str(tmp_path / "broken")

    def stop(self, x):
        raise KeyboardInterrupt

    assert run(*whole)[0] == 0
    with monkeypatch.context() as breaking:
        breaking.setattr("dclib.methods.dec.DEC.refresh", stop)
        assert run(*whole[:-1], broken)[0] == 130
    (part,) = (tmp_path / "broken").rglob("*.part")
    with monkeypatch.context() as watching:  # the first phase is not trained again
        watching.setattr("dclib.base.DeepClusterer._pretrain", stop)
        assert run(*whole[:-1], broken)[0] == 0
    assert not part.exists()
    (one,), (two,) = ([json.loads(p.read_text()) for p in (tmp_path / n).rglob("*.json")] for n in ("whole", "broken"))
    assert one["cluster_sizes"] == two["cluster_sizes"] and one["acc"] == two["acc"] and one["n"] == two["n"]

"""The benchmarks measure what they say: tables, exponents, the clock, the large file, and one tiny run of each kind."""

import json
import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import budgets, common, from_classes, measure, peer_worker, peers, processes, profile_step, scale
from dclib import cli, results
from dclib.baselines import BASELINES, ON_FEATURES
from dclib.data import Dataset, load
from dclib.methods import METHODS
from dclib.metrics import clustering_accuracy
from dclib.networks import mlp_autoencoder

ON_LINUX = Path("/proc/self/status").exists()
linux = pytest.mark.skipif(not ON_LINUX, reason="memory is read from /proc")


def peer_record(run: str, seed: int, seconds: float, acc: float) -> dict:
    """A made-up record of peers.py."""
    shared = {"data": "made-up", "n": 300, "method": "dec", "profile": "book", "threads": 2}
    return {**shared, "run": run, "seed": seed, "seconds": seconds, "acc": acc, "peak_mib": 100.0 * seconds}


def size_record(n: int, seed: int, seconds: float, over: float) -> dict:
    """A made-up record of scale.py."""
    return {"n": n, "shape": [512, 512], "seed": seed, "seconds": seconds, "over_base_mib": over}


def part(n: int) -> Dataset:
    """The first digits."""
    data = load("mnist-10k")
    return Dataset(data.x[:n], data.y[:n], data.name, data.shape, data.classes)


@pytest.mark.parametrize("data", measure.IMAGES)
def test_the_leaderboard_shows_what_is_measured_in_two_phases(data: str) -> None:
    for method, how in measure.two_phases(data):
        assert results.identity(method, data, 0, "full", **how)["variant"] in results.SHOWN
        assert results.found_by_accuracy(method, data, how), "its mark says what was changed after seeds had been seen"


def test_exponent_is_the_slope_on_logarithmic_axes() -> None:
    sizes = [10, 20, 40, 70]
    assert common.exponent(sizes, [3 * n**1.5 for n in sizes]) == pytest.approx(1.5)
    assert common.exponent([1, 10, 100], [1, 10, 10]) == pytest.approx(0.5)  # least squares by hand
    assert math.isnan(common.exponent([10, 10], [1, 2])) and math.isnan(common.exponent([10, 20], [0, 2]))


def test_spread_and_seeds() -> None:
    assert [common.spread(values, 1) for values in ([], [1234.56], [1, 3])] == ["–", "1,234.6", "2.0 ± 1.4"]
    assert common.seeds_of("0-2") == [0, 1, 2] and common.seeds_of("0,3") == [0, 3] and common.seeds_of("4") == [4]


def test_fill_replaces_what_lies_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x -->\nold\n<!-- /x -->\nb <!-- y --><!-- /y -->\n")
    common.fill("x", "new", page)
    common.fill("x", "newer", page)
    assert page.read_text() == "a\n<!-- x -->\n\nnewer\n\n<!-- /x -->\nb <!-- y --><!-- /y -->\n"
    with pytest.raises(ValueError, match="once each"):
        common.fill("z", "new", page)


@pytest.mark.parametrize("name", ["peers", "scale", "million", "step", "processes", "shares", "machines"])
def test_the_readme_has_a_place_for_each_table(name: str) -> None:
    text = common.README.read_text(encoding="utf-8")
    assert text.count(f"<!-- {name} -->") == text.count(f"<!-- /{name} -->") == 1


def test_records_come_back_as_they_were_saved(tmp_path: Path) -> None:
    record = {"a": 1, "b": [1, 2], "c": {"d": "ü"}}
    common.save(record, tmp_path / "x" / "y.json")
    assert common.load_all(tmp_path) == [record]


def test_table_of_peers_compares_means() -> None:
    ours = [peer_record("dclib", seed, 2.0 + seed, 0.9) for seed in (0, 1)]
    theirs = [peer_record("ClustPy", seed, 9.0 + 2 * seed, 0.5) for seed in (0, 1)]
    failed = {**peer_record("ClustPy", 2, 0, 0), "error": "ValueError: no"}
    same = [peer_record("ClustPy, same work", 0, 5.0, 0.4)]
    head, _, *rows = peers.table([*ours, *theirs, failed, *same]).splitlines()
    assert head.count("|") == rows[0].count("|")
    assert [cell.strip() for cell in rows[0].strip("|").split("|")] == [
        "dec on made-up, n = 300, threads: 2",
        "its defaults",
        "2, 2",
        "0.900 ± 0.000",
        "0.500 ± 0.000",
        "2.5 ± 0.7",
        "10.0 ± 1.4",
        "4.0",
        "250 ± 71",
        "1,000 ± 141",
    ]
    assert "same work" in rows[1] and "| 2.0 |" in rows[1]
    assert len(rows) == 2
    assert len(peers.table(theirs).splitlines()) == 2  # nothing to compare with
    assert len(peers.table([*ours, {**theirs[0], "threads": 1}]).splitlines()) == 2


def test_a_failure_is_measured_again_and_a_result_is_not(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    assert not peers.is_measured(path)
    path.write_text('{"error": "no"}')
    assert not peers.is_measured(path)
    path.write_text('{"seconds": 1}')
    assert peers.is_measured(path)


def test_libraries_take_turns_and_only_methods_of_the_book_run() -> None:
    args = peers.options().parse_args(["--seeds", "0-1", "--methods", "dec"])
    runs = list(peers.jobs(args, part(300)))
    assert [r["library"] for r in runs] == ["dclib", "ClustPy", "ClustPy", "ClustPy", "ClustPy", "dclib"]
    same = [r["parameters"] for r in runs if r["run"].endswith("same work")]
    own = METHODS["dec"].for_data(part(300), "book")  # as the worker makes it
    assert same[0] == {
        "widths": [*own.hidden, own.latent_dim],
        "batch_size": own.batch_size,
        "pretrain_epochs": own.pretrain_epochs,
        "clustering_epochs": own.epochs,
    }
    assert len({peers.record_path(r, Path()) for r in runs}) == len(runs)
    assert set(peers.options().parse_args([]).methods) == set(peers.PEERS) & set(METHODS)


def test_clustpy_gets_the_scaling_of_its_documentation() -> None:
    x = np.random.default_rng(0).uniform(2, 5, (50, 4)).astype(np.float32)
    standard, unit = peer_worker.clustpy_input(x, "DEC"), peer_worker.clustpy_input(x, "VaDE")
    assert standard.dtype == unit.dtype == np.float32
    assert abs(standard.mean()) < 1e-5 and standard.std() == pytest.approx(1, abs=1e-5)
    assert unit.min() == 0 and unit.max() == 1


@linux
def test_a_tiny_run_of_dclib_has_every_field() -> None:
    args = peers.options().parse_args(["--seeds", "0", "--methods", "dec", "--profile", "quick", "--threads", "1"])
    job = next(peers.jobs(args, part(300)))
    record = peers.measure(job, part(300), Path(sys.executable))
    assert {
        "data",
        "n",
        "method",
        "profile",
        "run",
        "library",
        "seed",
        "threads",
        "parameters",
        "when",
        "seconds",
        "peak_mib",
        "base_mib",
        "versions",
        "acc",
        "nmi",
        "ari",
    } == set(record)
    assert record["seconds"] > 0 and 0.1 <= record["acc"] <= 1
    assert 50 < record["base_mib"] <= record["peak_mib"]
    assert json.loads(json.dumps(record)) == record


def test_a_failed_child_says_why() -> None:
    job = next(peers.jobs(peers.options().parse_args(["--methods", "dec"]), part(20)))
    bad = peers.measure({**job, "library": "dclib", "method": "nothing"}, part(20), Path(sys.executable))
    assert bad["error"] == "KeyError: 'nothing'" and bad["seed"] == 0 and "seconds" not in bad


def test_a_child_has_its_threads_and_no_gpu() -> None:
    found = common.child_environment(3)
    assert found["OMP_NUM_THREADS"] == found["MKL_NUM_THREADS"] == "3" and found["CUDA_VISIBLE_DEVICES"] == ""
    assert found.keys() >= os.environ.keys()


def test_the_memory_map_holds_moved_images(tmp_path: Path) -> None:
    images = load("mnist-10k").samples[:50]
    path = tmp_path / "x.npy"
    scale.make_memory_map(path, 2_000, images, chunk=300)
    x = np.load(path, mmap_mode="r")
    assert isinstance(x, np.memmap) and x.shape == (2_000, 784) and x.dtype == np.float32
    assert x.min() >= 0 and x.max() <= 1
    assert len(np.unique(x[:, ::7], axis=0)) == 2_000  # no two alike
    assert x.mean() == pytest.approx(images.mean(), abs=0.02)  # the noise, cut off at zero, adds 0.008
    moves = np.stack([np.roll(images, move, axis=(1, 2)) for move in scale.MOVES]).reshape(-1, 784)
    for row in np.array(x[[0, 299, 300, 1_999]]):
        assert np.square(moves - row).mean(axis=1).min() < 0.02**2  # one of the images, but for the noise
    again = tmp_path / "again.npy"
    scale.make_memory_map(again, 2_000, images, chunk=300)
    assert path.read_bytes() == again.read_bytes()


def test_table_of_sizes_gives_both_exponents() -> None:
    records = [size_record(n, seed, n / 100 + seed, (n / 100) ** 2) for n in (200, 400, 800) for seed in (0, 1)]
    lines = scale.table(records[::-1]).splitlines()
    assert lines[2] == "| 200 | 2.5 ± 0.7 | 12500 | 200 | 4 ± 0 |"
    slope = common.exponent([200, 400, 800], [2.5, 4.5, 8.5])
    assert lines[-1] == f"Seconds grow as n^{slope:.2f}, memory beside the data as n^2.00."


@linux
def test_a_tiny_file_is_measured_and_too_much_memory_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    command = [
        "scale",
        "--million",
        "--points",
        "1100",
        "--threads",
        "1",
        "--profile",
        "quick",
        "--results",
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", command)
    scale.main()
    [record] = common.load_all(tmp_path)
    assert record["n"] == 1_100 and record["over_base_mib"] >= 0 and record["seconds"] > 0
    assert [phase for phase, _ in record["epoch_seconds"]] == ["pretrain", "refine"]
    assert record["peak_mib"] >= max(row[1] for row in record["samples"]) - 1
    assert "1,100 points, a file of 3 MiB" in capsys.readouterr().out
    scale.draw_memory(record, tmp_path / "memory.png")
    assert (tmp_path / "memory.png").stat().st_size > 5_000

    path = next(tmp_path.glob("*.json"))
    common.save({**record, "over_base_mib": scale.MOST + 1}, path)
    with pytest.raises(SystemExit, match="more than 2 GB"):
        scale.main()


def test_a_size_beyond_the_data_is_refused() -> None:
    with pytest.raises(ValueError, match="has 20 points, not 30"):
        scale.measure_size(part(20), 30, {})


def test_plots_are_drawn(tmp_path: Path) -> None:
    runs = [peer_record(run, seed, 1.0 + seed, 0.5) for run in peers.LIBRARIES for seed in (0, 1)]
    peers.draw([*runs, {**runs[0], "error": "no"}], tmp_path / "peers.png")
    scale.draw([size_record(n, 0, n / 100, n / 10) for n in (100, 200)], tmp_path / "scale.png")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


def test_the_clock_charges_a_part_for_its_own_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = profile_step.Clock()
    sleep(1)
    with clock.part("outer"):
        sleep(2)
        clock.wrapped(sleep, "inner")(4)
        sleep(8)
    sleep(16)
    assert clock.lap() == {"rest": 17, "outer": 10, "inner": 4}
    assert clock.lap() == {"rest": 0}


def test_operations_of_a_step_by_hand() -> None:
    network = mlp_autoencoder(6, (4,), 2)  # products: 24 and 8 in, 8 and 24 out
    assert profile_step.operations(network, 10) == 2 * 10 * (3 * (24 + 8 + 8 + 24) - 24)
    network.decoder[0].weight.requires_grad_(False)
    assert profile_step.operations(network, 10) == 2 * 10 * (3 * (24 + 8 + 24) - 24)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_profile_accounts_for_the_whole_step(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    how = {"pretrain_optimizer": optimizer, "optimizer": optimizer}
    monkeypatch.setattr(profile_step, "LENGTHS", profile_step.LENGTHS | how)
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer]
    before = torch.Tensor.__getitem__, torch.Tensor.backward, kind.step
    rows = profile_step.profile_rows("quick", part(300), rate=1e9)
    assert (torch.Tensor.__getitem__, torch.Tensor.backward, kind.step) == before
    assert [row[0] for row in rows] == ["quick, pretrain", "quick, refine"]
    for row in rows:
        assert len(row) == len(profile_step.HEAD)
        *parts, whole, floor, times = map(float, row[1:-2])
        assert all(seconds > 0 for seconds in parts)
        assert sum(parts) == pytest.approx(whole, abs=0.01)
        assert whole / floor == pytest.approx(times, rel=0.05, abs=0.06)
    assert rows[0][-2:] == ["–", "–"] and float(rows[1][-2]) > 0 and float(rows[1][-1]) > 0


@pytest.mark.parametrize("name", [*measure.IMAGES, *measure.ROWS])
def test_every_row_that_is_planned_can_run(name: str) -> None:
    shape = (28, 28) if name in measure.IMAGES else (16,)
    x = np.random.default_rng(0).random((40, math.prod(shape)), dtype=np.float32)
    data, rows = Dataset(x, None, name, shape, tuple("abc")), set()
    for profile, method, how in measure.plan(name, measure.parts_of(name)):
        words = [f"{key}={json.dumps(value)}" for key, value in how.items()]
        model = results.make(method, data, 0, profile, device="cpu", pretrained="kept", **dict(map(cli.setting, words)))
        assert (profile, method, *words) not in rows, "measured twice"
        rows.add((profile, method, *words))
        if method in METHODS:
            model._validate_params()
            assert model.n_clusters == 3 and model.pretrained == "kept"
            assert model.pretrain_epochs and getattr(model, "epochs", 1), "an untrained network is no row"
            viewed = name in measure.IMAGES and "augment" not in how and profile != "paper" and model.augmented
            assert (model.augment is not None) == viewed
            if method in measure.SEQUENTIAL or "network" in how:
                continue  # they read points in another shape
            model.n_features_in_ = x.shape[1]
            code = model.code(model.build(x.shape[1]).encoder(torch.as_tensor(x)))
            noise = 5 if name == "pendigits" and profile == "full" else 30
            width = {"gan-features": 128, "infogan": 128, "clustergan": noise + 3}
            width |= {"jule": 160, "dac": 128, "imsat": 1200, "iic": 128, "deepcluster": 128}
            assert code.shape == (40, width.get(method, 10))
    unfit = {*ON_FEATURES} if name not in measure.IMAGES else set()
    unfit.add("sc-deep-cluster")  # for counts: benchmarks/single_cells.py
    unfit |= {*measure.SHAPES, *measure.SEQUENTIAL} if name not in measure.SERIES else set()
    assert {method for _, method, *_ in rows} == (METHODS.keys() | BASELINES.keys()) - unfit


def test_a_job_of_a_size_can_be_sent_to_a_child() -> None:
    args = scale.options().parse_args([])
    assert tuple(args.sizes) == (10_000, 20_000, 40_000, 70_000)
    job = scale.job_of(part(20), args, 0, scale.FEW)
    assert job["n_clusters"] == 10 and job["threads"] == 1 and json.dumps(job)


def step_record(network: str, batch: int, n_processes: int, step_ms: float, split: bool = False) -> dict:
    """A made-up record of processes.py."""
    how = {"network": network, "batch": batch, "processes": n_processes, "split": split}
    return {**how, "step_ms": step_ms, "message_bytes": 2**20, "message_ms": 2.0}


def test_the_paper_exercise_adds_up() -> None:
    records = [step_record(n, m, 1, 1 + m / 100) for n in processes.NETWORKS for m in (16, 64, 256, 1024)]
    records += [step_record(n, m, 2, 2.0, split) for n in processes.NETWORKS for m in (256, 1024) for split in (0, 1)]
    a, b = processes.line(records, "256-256-10")
    assert (a, b) == pytest.approx((1e-3, 1e-5), rel=1e-6), "1 ms a step and 10 µs a point"
    assert processes.predicted(a, b, 1e6, 400, 1) == pytest.approx(5e-3), "one machine sends nothing"
    four = 1e-3 + 1e-3 + 6 * (1e6 / 4 / processes.BANDWIDTH + processes.LATENCY)
    assert processes.predicted(a, b, 1e6, 400, 4) == pytest.approx(four)
    first = processes.table(records).splitlines()[2]
    assert [cell.strip() for cell in first.split("|")][3:-1] == [
        "1.0", "2.00 ± 0.00", "3.56", "2.00", "2.00", "1.78", "1.78",
    ]  # fmt: skip
    assert processes.paper(records).splitlines()[2].split("|")[3].strip() == "1.0"
    one, two = ({"losses": {"a": 2.0, "b": loss}} for loss in (1.0, 1.5))
    assert processes.moved(one, two).splitlines()[2:] == ["| b | 5e-01 |", "| a | 0e+00 |"]


def test_two_processes_are_timed(tmp_path: Path) -> None:
    job = {"data": "digits", "n": 300, "epochs": 2, "network": "small", "hidden": [8], "seed": 0, "batch": 64}
    record = processes.measure({**job, "processes": 2, "split": True})
    assert record["step_ms"] > 0 and record["message_ms"] > 0 and len(record["epoch_seconds"]) == 4


def test_the_unit_of_a_budget_is_the_one_that_explains() -> None:
    runs = [
        {"n": n, "steps": steps, "epochs": round(256 * steps / n), "seed": 0, "error": 1 / np.log(steps)}
        | {"kmeans": np.log(steps), "spectral": 0.1 * np.log(steps) + 1e-3 * (n == 10_000)}
        for n in budgets.SIZES
        for steps in budgets.STEPS
    ]
    assert budgets.explained(runs, "error", "steps") > 0.99 > 0.8 > budgets.explained(runs, "error", "epochs")
    assert "| 10,000 | 4,000 | 102 |" in budgets.table(runs) and "| steps | 1.00 | 1.00 |" in budgets.table(runs)


def test_a_row_that_fails_does_not_stop_the_others_and_is_named(monkeypatch, capsys) -> None:
    asked = []
    monkeypatch.setattr(measure.cli, "main", lambda words: asked.append(words) or int(words[1] == "dec"))
    assert measure.main(["--data", "pendigits", "--parts", "paper", "--seeds", "3"]) == 1
    assert [words[1] for words in asked] == [*measure.ONE_CODE]
    assert capsys.readouterr().out.splitlines()[-1] == "failed: pendigits paper dec {} seed 3"
    assert measure.main(["--data", "pendigits", "--parts", "baselines", "--seeds", "3"]) == 0


@pytest.mark.parametrize("name", ["imsat", "iic"])
def test_a_taught_network_begins_at_the_classes(name) -> None:
    points = load("digits")
    how = {"hidden": (64,), "latent_dim": 64, "pretrain_epochs": 1, "device": "cpu"}
    found = from_classes.measure(name, points, 0, "full", **how)
    plain = METHODS[name].for_data(points, "full", random_state=0, **how).fit(points.x)
    assert found["curve"]["epoch"] == [1] and found["profile"] == "full"
    assert found["curve"]["acc"][0] > clustering_accuracy(points.y, plain.labels_) + 0.15

"""Two processes give the answer of one: launched with torchrun, as a reader would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from torch.multiprocessing import ProcessRaisedException

from dclib import DCN, DEC, DEPICT, parallel, results
from dclib.augment import RandomAffine
from dclib.engine import Mover
from dclib.methods import METHODS
from dclib.metrics import clustering_accuracy
from dclib.networks import mlp_autoencoder
from dclib.phases import Batch, update
from dclib.training import fit_kmeans
from tests import test_engine as toys
from tests.conftest import unused_port

SMALL = ("hidden=[64]", "pretrain_epochs=15", "epochs=5", "start=spectral", "augment=null")


def run(folder: Path, processes: int) -> dict:
    """Run DEC on the digits in ``processes`` processes and return its record."""
    settings = [word for setting in SMALL for word in ("--set", setting)]
    command = ["-m", "dclib", "run", "dec", "--data", "digits", "--out", str(folder), "--quiet", *settings]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] * (processes > 1)
    done = subprocess.run(
        [sys.executable, *launcher, *command],
        env=os.environ | {"OMP_NUM_THREADS": "1", "DCLIB_PROFILE": "book"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("seed 0: ACC") == 1, "one process speaks"
    (path,) = folder.glob("digits/dec/*.json")
    return json.loads(path.read_text())


def test_two_processes_give_the_accuracy_of_one(tmp_path):
    one, two = (run(tmp_path / str(processes), processes) for processes in (1, 2))
    assert two["processes"] == 2 and one["processes"] == 1
    assert two["acc"] == pytest.approx(one["acc"], abs=0.02)  # sums in another order, and then 300 steps
    assert one["acc"] > 0.6
    assert two["n"] == one["n"] == 1797 and sum(two["cluster_sizes"]) == 1797


def test_one_process_passes_through_untouched():
    value, network = torch.arange(5.0), torch.nn.Linear(2, 1)
    with parallel.together(split=True):
        assert parallel.n_processes() == 1 and parallel.rank() == 0 and not parallel.is_split()
        for same in (parallel.share, parallel.from_first, parallel.summed, parallel.over_points, parallel.all_rows):
            assert same(value) is value
        assert parallel.gathered(value, 5) is value and parallel.own_rows(value, 5) is value
        assert parallel.told_by_first((1, "a")) == (1, "a") and parallel.largest(3) == 3
        assert parallel.averaging(network, len) is len
    assert parallel.my_rows(7) == slice(0, 7)


def test_batch_norm_on_several_gpus_sees_the_whole_mini_batch(monkeypatch):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    assert parallel.synced(network, torch.device("cuda")) is network, "one process has the whole anyway"
    monkeypatch.setattr(parallel, "n_processes", lambda: 2)
    assert parallel.synced(network, torch.device("cpu")) is network
    kinds = [type(layer) for layer in parallel.synced(network, torch.device("cuda"))]
    assert kinds == [torch.nn.Conv2d, torch.nn.SyncBatchNorm]


def test_a_file_is_read_where_it_is(tmp_path):
    assert parallel.file_from_first(tmp_path / "none") is None
    (tmp_path / "some").write_bytes(b"abc")
    assert parallel.file_from_first(tmp_path / "some") == b"abc"


def spawn(work, folder: Path, port: int, processes: int, *arguments) -> list[dict]:
    """Run ``work`` in several processes, as ``torchrun`` would; return what each returned."""
    for attempts_left in (2, 1, 0):
        try:
            torch.multiprocessing.spawn(_in_process, (work, str(folder), port, processes, arguments), nprocs=processes)
            break
        except ProcessRaisedException as error:  # between the choice of the port and its use somebody else took it
            if "EADDRINUSE" not in str(error) or not attempts_left:
                raise
            port = unused_port()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]


def _in_process(rank: int, work, folder: str, port: int, processes: int, arguments) -> None:
    group = {"RANK": rank, "WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in group.items()}
    torch.set_num_threads(1)
    Path(folder, f"{rank}.json").write_text(json.dumps(work(rank, Path(folder), *arguments)))
    parallel.finish()


def _talk(rank: int, folder: Path) -> dict:
    (folder / f"of{rank}").write_bytes(bytes([rank]) * 5)
    with parallel.together():
        mine = parallel.share(torch.arange(10))
        norm = torch.nn.BatchNorm1d(2)
        norm.running_mean.fill_(float(rank))
        parallel.mean_buffers(norm)
        found = {
            "buffer": norm.running_mean.tolist(),
            "share": mine.tolist(),
            "joined": parallel.gathered(mine[:, None] * 2, 10).flatten().tolist(),
            "first": parallel.from_first(torch.tensor([rank])).tolist(),
            "told": parallel.told_by_first({"rank": [rank, None, "\u00e9"]}),
            "file": [*parallel.file_from_first(folder / f"of{rank}")],
            "no file": parallel.file_from_first(folder / f"other{rank}" if rank else "nowhere"),
            "sum": parallel.summed(torch.tensor([rank])).tolist(),
            "points": parallel.over_points(torch.tensor([rank])).tolist(),
            "largest": parallel.largest(rank),
            "everyone": [int(value) for value in parallel.everyones(torch.tensor(rank))],
        }
    with parallel.together(split=True):
        own = torch.arange(rank + 1) + 10 * rank  # one row, two rows, three rows
        rows = parallel.all_rows(own)
        found |= {"rows": rows.tolist(), "own": parallel.own_rows(rows, rank + 1).tolist()}
        found |= {"split": [parallel.share(own).tolist(), parallel.gathered(own, 6).tolist()]}
        found |= {"split sum": parallel.over_points(torch.tensor(rank)).item()}
    rows = parallel.my_rows(7)
    assert parallel.n_processes() == 1, "outside the block each process is alone"
    return found | {"mine": [rows.start, rows.stop]}


def test_three_processes_share_gather_and_sum(tmp_path, free_port):
    found = spawn(_talk, tmp_path, free_port, 3)
    assert [each["share"] for each in found] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert [each["mine"] for each in found] == [[0, 3], [3, 5], [5, 7]]
    for rank, each in enumerate(found):
        np.testing.assert_array_equal(each["joined"], np.arange(10) * 2)
        assert each["first"] == [0] and each["sum"] == [3] and each["points"] == [rank] and each["split sum"] == 3
        assert each["told"] == {"rank": [0, None, "é"]} and each["file"] == [0] * 5 and each["no file"] is None
        assert each["buffer"] == [1.0, 1.0] and each["largest"] == 2 and each["everyone"] == [0, 1, 2]
        assert each["rows"] == [0, 10, 11, 20, 21, 22]
        own = [10 * rank + k for k in range(rank + 1)]
        assert each["own"] == own and each["split"] == [own, own]


def _gradient(rank: int, folder: Path) -> dict:
    """Take a step on five points; with more than one process, on a share of them, and once on no point at all."""
    torch.manual_seed(0)
    network, x = mlp_autoencoder(4, (8,), 2), torch.randn(5, 4)
    found = {}
    with parallel.together():
        for name, n in (("five", 5), ("one", 1)):
            mover = Mover(network, update(lambda batch: (network(batch.view) - batch.x).square().mean(), 0.1), 1)
            mine = [parallel.share(part) for part in (x[:n], x[:n], torch.arange(n))]
            mover.step(Batch(*mine, network.encoder), len(mine[2]) / n, torch.autocast("cpu", enabled=False))
            found[name] = [value.grad.tolist() for value in network.parameters()]
    return found


def test_the_gradient_of_shares_is_that_of_the_whole(tmp_path, free_port):
    (tmp_path / "one").mkdir(), (tmp_path / "three").mkdir()
    whole = _gradient(0, tmp_path)
    for each in spawn(_gradient, tmp_path / "three", free_port, 3):
        for name in ("five", "one"):
            for mine, theirs in zip(each[name], whole[name], strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-7)


IN_TWO_PHASES = {"n_merged": 100, "information_epochs": 2, "augment": RandomAffine((4, 4))}
RUNS = {name: (cls, {}) for name, cls in METHODS.items()} | {"jule, in two phases": (METHODS["jule"], IN_TWO_PHASES)}


def _fit_every_method(rank: int, folder: Path, split: bool) -> dict:
    x = np.random.default_rng(0).standard_normal((101, 16)).astype(np.float32)
    x = x[parallel.my_rows(101)] if split else x
    found = {}
    for name, (cls, change) in RUNS.items():
        how = cls.settings("quick") | {"shape": (4, 4) if cls.convolutional else None, "batch_size": 50} | change
        model = cls(**how | {"n_clusters": 4, "random_state": 0}).fit(x, split=split)  # a batch of one: a process has
        state = {key: float(value.double().sum()) for key, value in model.network_.state_dict().items()}  # no point
        losses = [record["loss"] for record in model.history_]
        found[name] = {"n": len(model.labels_), "labels": model.labels_.tolist(), "state": state, "losses": losses}
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict:
    """What one process finds."""
    return json.loads(json.dumps(_fit_every_method(0, tmp_path_factory.mktemp("alone"), False)))


def test_every_method_ends_in_the_same_state_in_both_processes_and_in_one(tmp_path, free_port, alone):
    first, second = spawn(_fit_every_method, tmp_path, free_port, 2, False)
    assert first.keys() == RUNS.keys()
    for name in RUNS:
        assert first[name]["labels"] == second[name]["labels"], name
        assert first[name]["state"] == pytest.approx(second[name]["state"], rel=1e-5, abs=1e-4), name
        shares = {"dbc", "den", "depict", "gan-features", "infogan", "clustergan"}  # batch norm, neighbours, dropout
        shares |= {"jule", "dac", "imsat", "iic", "deepcluster"}  # and pairs, or the mean answer, of a mini-batch
        few = {"dac": 0.1, "jule, in two phases": 0.05}  # few pairs are chosen, or drawn
        own = few.get(name, 2e-2 if name in shares else 1e-5)
        near = 1e-3 if name == "iic" else 0.0  # whose information begins near zero
        assert first[name]["losses"][0] == pytest.approx(alone[name]["losses"][0], rel=own, abs=near), name


def test_every_method_trains_on_rows_of_its_own(tmp_path, free_port):
    first, second = spawn(_fit_every_method, tmp_path, free_port, 2, True)
    for name in RUNS:
        assert (first[name]["n"], second[name]["n"]) == (51, 50), name
        assert first[name]["state"] == pytest.approx(second[name]["state"], rel=1e-5, abs=1e-4), name
        assert first[name]["losses"] == pytest.approx(second[name]["losses"], rel=1e-6), name


def _fit_every_toy(rank: int, folder: Path) -> dict:
    found = {}
    for cls in toys.TOYS:
        model = toys.small(cls, batch_size=61).fit(toys.points(cls))  # the last mini-batch has another length
        state = {key: float(value.double().sum()) for key, value in model.network_.state_dict().items()}
        found[cls.__name__] = {"state": state, "labels": model.labels_.tolist(), "end": model.history_[-1]["losses"]}
    return found


def test_every_family_trains_in_two_processes_and_both_end_alike(tmp_path, free_port):
    """Two players, heads made anew, a K that shrinks, two views: each with gradients of its own to average."""
    first, second = spawn(_fit_every_toy, tmp_path, free_port, 2)
    for name, mine in first.items():
        assert mine["state"] == pytest.approx(second[name]["state"], rel=1e-5, abs=1e-4), name
        assert mine["labels"] == second[name]["labels"] and mine["end"] == pytest.approx(second[name]["end"]), name


def _split_blobs(rank: int, folder: Path) -> dict:
    x, y = make_blobs(400, centers=4, n_features=8, random_state=1)
    order = y.argsort()  # sorted by group: each process has two of the four, and a constant of its own to find
    mine = parallel.my_rows(400)
    model = DEC(4, hidden=(32,), pretrain_epochs=15, epochs=3, random_state=0)
    model.fit(x[order][mine].astype(np.float32) + 50, split=True)
    with parallel.together(split=True):
        z = torch.as_tensor(x[order][mine])
        kmeans = fit_kmeans(z, 4)
    return {
        "labels": model.labels_.tolist(),
        "offset": model.offset_,
        "scale": model.scale_,
        "centres": kmeans.cluster_centers_.tolist(),
    }


def test_split_data_is_clustered_as_one_set(tmp_path, free_port):
    x, y = make_blobs(400, centers=4, n_features=8, random_state=1)
    found = spawn(_split_blobs, tmp_path, free_port, 2)
    labels = [label for each in found for label in each["labels"]]
    assert clustering_accuracy(np.sort(y), labels) > 0.99
    for each in found:
        assert each["offset"] == found[0]["offset"] and each["scale"] == found[0]["scale"]
        expected = KMeans(4, n_init=20, random_state=0).fit(x).cluster_centers_
        np.testing.assert_allclose(np.sort(each["centres"], axis=0), np.sort(expected, axis=0), atol=1e-6)


class Watched(DEC):
    """Notes the steps before each refresh."""

    def refresh(self, x):
        self.steps_ = [*getattr(self, "steps_", ()), self._engine.place["step"]]
        return super().refresh(x)


def _stretches(rank: int, folder: Path, split: bool) -> dict:
    x = np.random.default_rng(0).standard_normal((101, 16)).astype(np.float32)
    how = DEC.settings("quick") | {"n_clusters": 4, "random_state": 0, "batch_size": 20, "epochs": 3, "tol": 0}
    model = Watched(**how, update_interval=8).fit(x[parallel.my_rows(101)] if split else x, split=split)
    return {"steps": np.diff(model.steps_).tolist(), "end": float(model.network_.centroids.sum())}


@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
def test_as_many_steps_lie_between_two_refreshes_as_in_one_process(tmp_path, free_port, split):
    first, second = spawn(_stretches, tmp_path, free_port, 2, split)
    assert first == second and first["steps"] == [8, 8]


def _share_a_folder(rank: int, folder: Path) -> dict:
    """Fit with a folder for first phases, on machines without a common disk."""
    own = folder / f"machine{rank}"
    own.mkdir(exist_ok=True)
    os.chdir(own)
    x = np.random.default_rng(0).standard_normal((101, 16)).astype(np.float32)
    found = []
    for cls in (DEC, DCN):
        how = cls.settings("quick") | {"n_clusters": 4, "random_state": 0, "batch_size": 20}
        models = [cls(**how, pretrained=kept).fit(x) for kept in (None, "kept")]
        found.append([[record["loss"] for record in model.history_] for model in models])
    return {"losses": found, "files": len([*own.glob("kept/*")])}


def test_two_machines_keep_and_take_a_first_phase_together(tmp_path, free_port):
    each = spawn(_share_a_folder, tmp_path, free_port, 2)
    assert [found["files"] for found in each] == [1, 0], "the first machine alone writes"
    for trained, kept in each[0]["losses"] + each[1]["losses"]:
        assert trained == kept


def _hard_cases(rank: int, folder: Path) -> dict:
    x = np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32)
    how = DEC.settings("quick") | {"n_clusters": 2, "random_state": 0}

    def refused(points):
        try:
            DEC(**how).fit(points, split=True)
        except ValueError as error:
            return str(error)

    few = DEC(**how).fit(x[:59] if rank == 0 else x[59:], split=True)
    alike = DEC(**how).fit(np.full((20, 16), float(rank)), split=True)
    own = (lambda model: model.transform(x[:7])) if rank == 0 else None
    return {
        "few": [len(few.labels_), float(few.network_.centroids.sum())],
        "alike": len(alike.labels_),
        "fewer than processes": DEC(**how).fit(x[:2]).labels_.tolist(),
        "callback": float(DEC(**how, callback=own).fit(x).network_.centroids.sum()),
        "NaN": refused(np.where(rank == 1, np.nan, x)),
        "widths": refused(x[:, rank:]),
    }


def test_no_process_waits_for_one_that_has_less_or_goes(tmp_path, free_port):
    first, second, third = spawn(_hard_cases, tmp_path, free_port, 3)
    assert [each["few"][0] for each in (first, second, third)] == [59, 1, 1]
    for name in ("fewer than processes", "callback", "alike"):
        assert first[name] == second[name] == third[name]
    assert first["few"][1] == second["few"][1]
    assert "NaN" in second["NaN"] and first["NaN"] == third["NaN"] and "process 1 stopped" in first["NaN"]
    assert "a point has 14 values in one process and 16 in another" in first["widths"] == third["widths"]


class Killed(Exception):
    pass


def _apart(rank: int, folder: Path, stop_after: int, split: bool, cls: type = DEPICT) -> dict:
    """Train in a folder that the other process does not see, with a checkpoint there."""
    own = folder / f"machine{rank}"
    own.mkdir(exist_ok=True)
    os.chdir(own)
    x = np.random.default_rng(0).standard_normal((120, 16)).astype(np.float32)
    x = x[parallel.my_rows(120)] if split else x

    def stop(model):
        if len(model.history_) == stop_after:
            raise Killed

    how = {"shape": (4, 4), "hidden": (4,), "pretrain_epochs": 2, "batch_size": 31, "random_state": 0}
    more = {"epochs": 3, "start_epochs": 1, "n_init": 2, "tol": 0} if cls is DEPICT else {"pretrain_epochs": 4}
    model = cls(4, **how | more, checkpoint="run.dclib", callback=stop)
    try:
        model.fit(x, split=split)
    except Killed:
        return {"files": sorted(path.name for path in own.iterdir())}
    losses = [record["loss"] for record in model.history_]
    return {"labels": model.labels_.tolist(), "losses": losses, "files": [*map(str, own.iterdir())]}


@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
def test_two_machines_without_a_common_disk_go_on_to_the_same_bits(tmp_path, free_port, split):
    (whole_folder := tmp_path / "whole").mkdir(), (broken := tmp_path / "broken").mkdir()
    whole = spawn(_apart, whole_folder, free_port, 2, -1, split)
    for epochs in (1, 4) if split else (3,):
        killed = spawn(_apart, broken, free_port, 2, epochs, split)
        assert [each["files"] for each in killed] == [["run.dclib"], []], "the first machine alone writes"
        resumed = spawn(_apart, broken, free_port, 2, -1, split)
        for mine, theirs in zip(resumed, whole, strict=True):
            assert mine["losses"] == theirs["losses"] and mine["labels"] == theirs["labels"]
            assert mine["files"] == [], "a finished run leaves no checkpoint"


@pytest.mark.parametrize("name", ["jule", "deepcluster"])
def test_what_was_found_of_each_point_goes_back_to_its_process(tmp_path, free_port, name):
    (whole_folder := tmp_path / "whole").mkdir(), (broken := tmp_path / "broken").mkdir()
    whole = spawn(_apart, whole_folder, free_port, 2, -1, True, METHODS[name])
    spawn(_apart, broken, free_port, 2, 2, True, METHODS[name])
    resumed = spawn(_apart, broken, free_port, 2, -1, True, METHODS[name])
    for mine, theirs in zip(resumed, whole, strict=True):
        assert mine["losses"] == theirs["losses"] and mine["labels"] == theirs["labels"]


def test_records_name_the_processes():
    assert results.run("k-means", "digits", 0)["processes"] == 1

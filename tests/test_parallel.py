"""Two processes give the answer of one: launched with torchrun, as a reader would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dclib import parallel, results
from dclib.methods import METHODS

SMALL = ("hidden=[64]", "pretrain_epochs=8", "epochs=6", "overcluster_epochs=6", "n_init=10")


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
    assert two["acc"] == pytest.approx(one["acc"], abs=0.005)
    assert two["n"] == one["n"] == 1797 and sum(two["cluster_sizes"]) == 1797


def test_one_process_passes_through_untouched():
    value = torch.arange(5.0)
    with parallel.together():
        assert parallel.n_processes() == 1 and parallel.rank() == 0
        assert parallel.share(value) is value and parallel.from_first(value) is value
        assert parallel.summed(value) is value and parallel.gathered(value, 5) is value


def _work(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with parallel.together():
        mine = parallel.share(torch.arange(10))
        layer = torch.nn.Linear(2, 1, bias=False)
        torch.nn.init.constant_(layer.weight, float(rank))
        parallel.same_start(layer)
        if rank < 2:  # the third has no gradient at all
            (layer.weight.sum() * (rank + 1)).backward()
        parallel.sum_gradients(layer)
        norm = torch.nn.BatchNorm1d(2)
        norm.running_mean.fill_(float(rank))
        parallel.mean_buffers(norm)
        found = {
            "buffer": norm.running_mean.tolist(),
            "share": mine.tolist(),
            "joined": parallel.gathered(mine[:, None] * 2, 10).flatten().tolist(),
            "first": parallel.from_first(torch.tensor([rank])).tolist(),
            "sum": parallel.summed(torch.tensor([rank])).tolist(),
            "weight": layer.weight.tolist(),
            "gradient": layer.weight.grad.tolist(),
        }
    assert parallel.n_processes() == 1, "outside the block each process is alone"
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    parallel.finish()


def test_three_processes_share_gather_and_sum(tmp_path, free_port):
    torch.multiprocessing.spawn(_work, (free_port, str(tmp_path)), nprocs=3)
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    assert [each["share"] for each in found] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    for each in found:
        np.testing.assert_array_equal(each["joined"], np.arange(10) * 2)
        assert each["first"] == [0] and each["sum"] == [3]
        assert each["buffer"] == [1.0, 1.0]
        assert each["weight"] == [[0.0, 0.0]] and each["gradient"] == [[3.0, 3.0]]


def _fit_every_method(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    x = np.random.default_rng(0).standard_normal((101, 16)).astype(np.float32)
    found = {}
    for name, cls in METHODS.items():
        how = cls.settings("quick") | {"shape": (4, 4) if cls.convolutional else None, "batch_size": 50}
        model = cls(**how | {"n_clusters": 4, "random_state": 0}).fit(x)  # a batch of one: a process has no point
        state = {key: float(value.double().sum()) for key, value in model.network_.state_dict().items()}
        found[name] = {"labels": model.labels_.tolist(), "state": state}
    Path(folder, f"{rank}.json").write_text(json.dumps(found))
    parallel.finish()


def test_every_method_ends_in_the_same_state_in_both_processes(tmp_path, free_port):
    torch.multiprocessing.spawn(_fit_every_method, (free_port, str(tmp_path)), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first.keys() == METHODS.keys()
    for name in METHODS:
        assert first[name]["labels"] == second[name]["labels"], name
        assert first[name]["state"] == pytest.approx(second[name]["state"], rel=1e-5, abs=1e-4), name


def test_records_name_the_processes():
    assert results.run("k-means", "digits", 0)["processes"] == 1

"""What a second process is worth, measured here with one thread each, and from that, on paper, what 64 machines are."""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import (
    FOLDER,
    MIB,
    RESULTS,
    ROOT,
    ChildError,
    child_environment,
    fill,
    load_all,
    markdown,
    save,
    seeds_of,
    spread,
)
from dclib.plots import INK, PALETTE, panels

WORKER = "benchmarks.processes_worker"
NETWORKS = {"256-256-10": [256, 256], "500-500-2000-10": [500, 500, 2000]}
BATCHES = (256, 1024)
SMALLER = (16, 64)  # mini-batches that only one process is timed on, to tell the cost of a step from that of a point
BANDWIDTH, LATENCY = (
    10e9 / 8,
    50e-6,
)  # of the network between machines that the paper exercise assumes: 10 Gbit/s, 50 µs
MACHINES = (1, 2, 4, 8, 16, 32, 64)


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Run the worker in ``job["processes"]`` processes, launched by ``torchrun``; return the record of the first.

    Raises
    ------
    ChildError
        If a process fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        question, out = Path(folder, "job.json"), Path(folder, "record.json")
        question.write_text(json.dumps(job), encoding="utf-8")
        launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={job['processes']}", "-m"]
        command = [sys.executable, "-m", *launcher * (job["processes"] > 1), WORKER, str(question), str(out)]
        done = subprocess.run(command, cwd=ROOT, env=child_environment(1), capture_output=True, text=True)
        if done.returncode:
            raise ChildError(f"{WORKER} ended with {done.returncode}:\n" + "\n".join(done.stderr.splitlines()[-8:]))
        found = json.loads(out.read_text(encoding="utf-8"))
    return {**job, "when": datetime.now(UTC).isoformat(timespec="seconds"), **found}


def jobs(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return every run, one and two processes in turn, so that a slow minute of the machine meets both."""
    shared = {"data": args.data, "n": args.points, "epochs": args.epochs}
    found = []
    for seed in args.seeds:
        for network, hidden in NETWORKS.items():
            own = {**shared, "network": network, "hidden": hidden, "seed": seed}
            found += [{**own, "batch": m, "processes": p, "split": False} for m in BATCHES for p in (1, 2)]
            found += [{**own, "batch": m, "processes": 2, "split": True} for m in BATCHES]
            found += [{**own, "batch": m, "processes": 1, "split": False} for m in SMALLER]
    return found


def path_of(job: dict[str, Any], folder: Path) -> Path:
    """Return where the record of a run lies."""
    how = "split" if job["split"] else "whole"
    return folder / job["network"] / f"batch{job['batch']}-{how}{job['processes']}-seed{job['seed']}.json"


def measure_losses(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the records of every method's first loss, in one process and in two, measured if they are not there."""
    found = []
    for processes in (1, 2):
        path = args.results / f"losses{processes}.json"
        job = {"data": args.data, "n": min(args.points, 2000), "batch": 128, "seed": 0, "processes": processes}
        if args.again or not path.exists():
            save(measure(job), path)
        found.append(json.loads(path.read_text(encoding="utf-8")))
    return found


def moved(one: dict[str, Any], two: dict[str, Any]) -> str:
    """Return how far each method's first loss moves with a second process, as a Markdown table, the farthest first."""
    apart = {name: abs(two["losses"][name] / loss - 1) for name, loss in one["losses"].items()}
    rows = [[name, f"{value:.0e}"] for name, value in sorted(apart.items(), key=lambda pair: -pair[1])]
    return markdown(("method", "relative difference"), rows)


def steps_of(
    records: list[dict[str, Any]], network: str, batch: int, processes: int, split: bool = False
) -> list[float]:
    """Return the milliseconds a step of the runs that fit."""
    wanted = {"network": network, "batch": batch, "processes": processes, "split": split}
    return [r["step_ms"] for r in records if all(r[key] == value for key, value in wanted.items())]


def line(records: list[dict[str, Any]], network: str) -> tuple[float, float]:
    """Return a and b in seconds: a step of one process on m points takes a + b m, by least squares over m."""
    sizes = sorted({r["batch"] for r in records if r["network"] == network})
    times = [float(np.mean(steps_of(records, network, m, 1))) / 1e3 for m in sizes]
    b, a = np.polyfit(sizes, times, 1, w=1 / np.array(times))
    return max(float(a), 0.0), float(b)


def predicted(a: float, b: float, n_bytes: float, batch: int, machines: int) -> float:
    """Return the seconds of a step that machines share: the time of a share, and a ring that sums ``n_bytes``."""
    hops = 2 * (machines - 1)
    return a + b * batch / machines + hops * (n_bytes / machines / BANDWIDTH + LATENCY)


def table(records: list[dict[str, Any]]) -> str:
    """Return measured times of a step and their ratio as a Markdown table."""
    rows = []
    for network in NETWORKS:
        for batch in BATCHES:
            one, two = (steps_of(records, network, batch, p) for p in (1, 2))
            own = steps_of(records, network, batch, 2, split=True)
            message = [r for r in records if r["network"] == network and r["processes"] == 2]
            mib, ms = message[0]["message_bytes"] / MIB, [r["message_ms"] for r in message]
            ratio = [f"{np.mean(one) / np.mean(each):.2f}" for each in (two, own)]
            times = [spread(each, 2) for each in (one, two, own)]
            rows.append([network, str(batch), f"{mib:.1f}", spread(ms, 2), *times, *ratio])
    head = ("network", "batch", "message, MiB", "ms to sum it", "ms a step, 1", "2, whole", "2, split")
    return markdown((*head, "times as fast, whole", "split"), rows)


def paper(records: list[dict[str, Any]]) -> str:
    """Return the speed-up that many machines would have, as a Markdown table."""
    rows = []
    for network in NETWORKS:
        a, b = line(records, network)
        n_bytes = next(r["message_bytes"] for r in records if r["network"] == network)
        for batch, words in ((4096, "4,096 in all"), (None, "256 a machine")):
            times = [predicted(a, b, n_bytes, batch or 256 * p, p) for p in MACHINES]
            gain = [times[0] / t * (1 if batch else p) for t, p in zip(times, MACHINES, strict=True)]
            rows.append([network, words, *(f"{value:.1f}" for value in gain)])
    return markdown(("network", "mini-batch", *map(str, MACHINES)), rows)


def draw(records: list[dict[str, Any]], path: Path) -> None:
    """Plot the paper's speed-ups for a fixed mini-batch, and the measured ones of two processes."""
    figure, ax = panels(size=(6.4, 4.0))
    for (network, colour), marker in zip(zip(NETWORKS, PALETTE, strict=False), "os", strict=True):
        a, b = line(records, network)
        n_bytes = next(r["message_bytes"] for r in records if r["network"] == network)
        times = [predicted(a, b, n_bytes, 4096, p) for p in MACHINES]
        ax.plot(MACHINES, times[0] / np.array(times), "--", color=colour, label=f"{network}, on paper")
        seen = [np.mean(steps_of(records, network, m, 1)) / np.mean(steps_of(records, network, m, 2)) for m in BATCHES]
        ax.plot([2] * len(BATCHES), seen, marker, color=colour, label=f"{network}, measured on one machine")
    ax.plot(MACHINES, MACHINES, color=INK, linewidth=1, linestyle=":", label="no cost of sharing")
    ax.set(xscale="log", yscale="log", xlabel="machines", ylabel="times as fast", xticks=MACHINES, yticks=MACHINES)
    ax.set_xticklabels(MACHINES), ax.set_yticklabels(MACHINES), ax.minorticks_off()
    ax.legend(labelcolor=INK, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=__doc__)
    parser.add_argument("--data", default="mnist-10k")
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=2, help="of each phase; the first is not counted")
    parser.add_argument("--seeds", type=seeds_of, default=[0, 1], help="0-2 or 0,3")
    parser.add_argument("--results", type=Path, default=RESULTS / "processes")
    parser.add_argument("--again", action="store_true", help="measure what has a record, too")
    return parser


def main() -> None:
    """Run the command."""
    args = options().parse_args()
    for job in jobs(args):
        path = path_of(job, args.results)
        if args.again or not path.exists():
            save(record := measure(job), path)
            print(f"{path.relative_to(args.results)}: {record['step_ms']:.2f} ms a step", flush=True)
    records = [record for record in load_all(args.results) if "network" in record]
    losses = moved(*measure_losses(args))
    print(table(records), paper(records), losses, sep="\n\n")
    if args.results == RESULTS / "processes":
        fill("shares", losses)
        fill("processes", table(records))
        fill("machines", paper(records))
        draw(records, FOLDER / "processes.png")


if __name__ == "__main__":
    main()

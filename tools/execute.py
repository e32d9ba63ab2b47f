"""Execute chapters in place under the ``book`` profile, tidy what is stored, record the measured run time.

A chapter that fails is left as it was. The title box carries ``<!-- runtime --><!-- /runtime -->``; the
measured time and the machine are written between the two comments, and with a fingerprint of the code into
the notebook's metadata, so that a test can tell when the stored outputs are not those of the stored code.
"""

import argparse
import ast
import contextlib
import hashlib
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from tools import chapters
from tools.chapters import ROOT, Chapter

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3"}
BUSY = 0.5  # processes that were running before: above it, a time is a bound
WIDGET = "application/vnd.jupyter.widget-view+json"
RUNTIME = re.compile(r"(<!-- runtime -->)(.*?)(<!-- /runtime -->)", re.S)
PROGRESS_BAR = re.compile(r"\d+%\||\d+it \[")
KEEP = {"notebook": {"kernelspec", "language_info", "dclib", "mystnb"}, "cell": {"tags", "mystnb"}}


# --- what is stored ---


def is_noise(output: NotebookNode) -> bool:
    """Whether an output is a progress bar or the view of a widget, dead on a page without a kernel."""
    bar = output.get("name") == "stderr" and PROGRESS_BAR.search(output.get("text", ""))
    return bool(bar) or WIDGET in output.get("data", {})


def normalise(nb: NotebookNode) -> None:
    """Strip what differs from run to run and machine to machine; ids, counts and outputs stay."""
    for key in set(nb.metadata) - KEEP["notebook"]:
        del nb.metadata[key]
    nb.metadata["kernelspec"], nb.metadata["language_info"] = dict(KERNEL), dict(LANGUAGE)
    for cell in nb.cells:
        for key in set(cell.metadata) - KEEP["cell"]:
            del cell.metadata[key]
        cell.source = cell.source.rstrip()
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_noise(output)]


def outline(node: object) -> str:
    """Return a syntax tree as text that is the same in every version of Python (``ast.dump`` is not)."""
    if isinstance(node, ast.AST):
        filled = {key: value for key, value in ast.iter_fields(node) if value not in (None, [])}
        return f"{type(node).__name__}({', '.join(f'{key}={outline(value)}' for key, value in filled.items())})"
    return f"[{', '.join(map(outline, node))}]" if isinstance(node, list) else repr(node)


def fingerprint(nb: NotebookNode) -> str:
    """Return a hash of the code, the setup cell aside; comments, layout and docstrings don't count."""
    parts = []
    for cell in nb.cells:
        if cell.cell_type == "code" and not chapters.is_setup(cell):
            tree = chapters.parse(cell.source)
            for node in chapters.documented(tree):
                node.body = node.body[1:]
            parts += [outline(tree), *re.findall(r"^[ \t]*[%!].*", cell.source, re.M)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


# --- what is measured ---


def machine() -> str:
    """Describe the machine, e.g. ``2 cores of AMD EPYC, no GPU``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{cores} core{'s' * (cores != 1)} of {processor()}, {gpu() or 'no GPU'}"


def processor() -> str:
    """Name the processor, without trade marks and clock rate."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        name = match[1] if match else name
    return " ".join(re.sub(r"\((R|TM)\)|\bCPU\b|\bProcessor\b|\d+-Core\b|@.*", "", name).split())


def gpu() -> str | None:
    """Name the GPU that PyTorch would use, or return None."""
    import torch  # here, because it takes seconds and only this line needs it

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def runtime_text(record: dict) -> str:
    """Return the sentence of the title box, e.g. ``41 s on 2 cores of AMD EPYC, no GPU``; a bound if it was busy."""
    minutes, seconds = divmod(round(record["seconds"]), 60)
    bound = "at most " if record.get("load_before", 0) > BUSY else ""
    return bound + (f"{minutes} min " if minutes else "") + f"{seconds} s on {record['machine']}"


def write_runtime(nb: NotebookNode, record: dict) -> None:
    """Store the measurement in the metadata and between the runtime comments of the first cell."""
    nb.metadata["dclib"] = record
    text = runtime_text(record)
    nb.cells[0].source = RUNTIME.sub(lambda match: match[1] + text + match[3], nb.cells[0].source)


def problems(chapter: Chapter) -> list[str]:
    """Say what the record of the last run lacks: right profile, present code, time shown in the box."""
    record, advice = chapter.nb.metadata.get("dclib", {}), f"run python -m tools.execute {chapter.file}"
    shown = RUNTIME.search(chapter.nb.cells[0].source) if chapter.nb.cells else None
    if record.get("profile") != "book":
        return [f"was not executed under the book profile: {advice}"]
    if not shown:
        return ["the title box lacks <!-- runtime --><!-- /runtime -->"]
    stale = record.get("code") != fingerprint(chapter.nb)
    untrue = shown[2] != runtime_text(record)
    return [f"code changed since the outputs were stored: {advice}"] * stale + [
        f"the run time in the title box is not the measured one, {runtime_text(record)!r}"
    ] * untrue


# --- running ---


@contextlib.contextmanager
def kernel_environment(profile: str) -> Iterator[dict[str, str]]:
    """Yield an environment for kernels: the profile, and an IPython folder that keeps them quiet."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "profile_default", "ipython_kernel_config.py")
        config.parent.mkdir()
        config.write_text("c.IPKernelApp.log_level = 40\nc.HistoryManager.enabled = False\n")
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "DCLIB_PROFILE": profile, "IPYTHONDIR": folder, "PYTHONPATH": path}
        env.pop("MPLBACKEND", None)  # else the kernel would not draw into the notebook
        yield env


def execute(chapter: Chapter, profile: str = "book", timeout: int = 900) -> dict:
    """Execute a chapter in memory, tidy it, and return the record of the run.

    Raises
    ------
    CellExecutionError, CellTimeoutError, DeadKernelError
        If a cell fails, takes longer than ``timeout`` seconds, or ends its kernel.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    client = NotebookClient(
        chapter.nb,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(chapter.path.parent)}},
    )
    with kernel_environment(profile) as env:
        start = time.perf_counter()
        client.execute(env=env)
        seconds = time.perf_counter() - start
    normalise(chapter.nb)
    return {
        "profile": profile,
        "seconds": round(seconds, 1),
        "machine": machine(),
        "load_before": round(load, 1),
        "code": fingerprint(chapter.nb),
    }


def plain(error: Exception) -> str:
    """Return the text of an error without the colours of a terminal."""
    return re.sub(r"\x1b\[[\d;]*m", "", str(error))


def run(chapter: Chapter, dry: bool = False, profile: str = "book") -> bool:
    """Execute one chapter and, unless ``dry``, store it; return whether it succeeded."""
    print(f"{chapter.file}: running", flush=True)
    try:
        record = execute(chapter, profile)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"{chapter.file}: FAILED, left as it was\n{plain(error)}", file=sys.stderr)
        return False
    if not dry:
        write_runtime(chapter.nb, record)
        chapters.write(chapter)
    print(f"{chapter.file}: {runtime_text(record)}")
    if record["load_before"] > BUSY and not dry:
        print(f"  the machine was busy (load {record['load_before']}): run again when it is idle")
    return True


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0 if every chapter ran."""
    parser = argparse.ArgumentParser(prog="python -m tools.execute", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (default: all chapters)")
    parser.add_argument("--profile", default="book", help="quick and full imply --dry")
    parser.add_argument("--dry", action="store_true", help="run, fail on errors, write nothing")
    parser.add_argument("--stale", action="store_true", help="only chapters whose outputs are out of date")
    args = parser.parse_args(argv)
    todo = [chapters.read(path) for path in args.paths or chapters.files()]
    todo = [chapter for chapter in todo if problems(chapter) or not args.stale]
    dry = args.dry or args.profile != "book"
    return int([run(chapter, dry, args.profile) for chapter in todo].count(False) > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Run every chapter under nbval: all cells run, and those tagged nbval-check-output give what they store.

The profile is ``quick`` unless ``DCLIB_PROFILE`` says otherwise: a tagged output must not depend on it.
"""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import nbformat.v4
import pytest
from packaging.requirements import Requirement

from tools import chapters, execute, sync

OPTIONS = [
    "--nbval-lax",
    "--nbval-current-env",
    "--nbval-cell-timeout=180",
    "--no-header",
    "--tb=short",
    "-q",
    "--nbval-sanitize-with",
    str(chapters.ROOT / "tests" / "nbval_sanitize.cfg"),
    "-p",
    "no:cacheprovider",
]


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of every file below a folder."""
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def nbval(notebook: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run one notebook in a process of its own; return that and the files it wrote beside itself."""
    before = snapshot(notebook.parent)
    with execute.kernel_environment(os.environ["DCLIB_PROFILE"]) as env:
        command = [sys.executable, "-m", "pytest", *OPTIONS, *options, str(notebook)]
        done = subprocess.run(command, env=env, cwd=chapters.ROOT, capture_output=True, text=True)
    return done, sorted({path.name for path, _ in snapshot(notebook.parent).items() ^ before.items()})


def lacking(name: str) -> str | None:
    """Return an extra that a chapter needs and that is not installed, if there is one."""
    project = tomllib.loads((chapters.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    there = {entry.metadata["Name"].lower() for entry in metadata.distributions()}
    wanted = {extra: project["optional-dependencies"][extra] for extra in sync.EXTRAS.get(name, [])}
    return next((extra for extra, texts in wanted.items() if {Requirement(t).name for t in texts} - there), None)


@pytest.mark.parametrize("path", chapters.files(), ids=lambda p: chapters.read(p).name)
def test_chapter_runs_and_gives_what_it_stores(path: Path) -> None:
    if extra := lacking(chapters.read(path).name):
        pytest.skip(f'the extra "{extra}" is not installed: pip install "dclib[{extra}]"')
    done, written = nbval(path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert not written, "running a chapter must leave nothing beside it"


def test_nbval_itself(tmp_path: Path) -> None:
    checked = ["nbval-check-output"]
    cells = [  # source, stored output, tags, passes
        ("1 + 1", "2", checked, True),
        ("2 + 1", "2", checked, False),
        ("3 + 1", "2", [], True),
        ("1 / 0", "2", [], False),
        ("import os; os.environ['DCLIB_PROFILE']", repr(os.environ["DCLIB_PROFILE"]), checked, True),
        ("object()", "<object at 0x123456789>", checked, True),
        ("{'third': 1 / 3}", "{'third': 0.33333333333339}", checked, True),
        ("{'third': 1 / 3}", "{'third': 0.33333433333333}", checked, False),
        ("open('left_behind.txt', 'w').close(); 1", "1", [], True),
    ]
    nb = nbformat.v4.new_notebook()
    for count, (source, output, tags, _) in enumerate(cells, 1):
        result = nbformat.v4.new_output("execute_result", {"text/plain": output}, execution_count=count)
        nb.cells.append(nbformat.v4.new_code_cell(source, execution_count=count, outputs=[result]))
        nb.cells[-1].metadata["tags"] = tags
    nbformat.write(nb, tmp_path / "some.ipynb")
    done, written = nbval(tmp_path / "some.ipynb", "-rA")
    results = [re.search(rf"^(PASSED|FAILED) .*::Cell {i}\b", done.stdout, re.M)[1] for i in range(len(cells))]
    assert results == ["PASSED" if passes else "FAILED" for *_, passes in cells], done.stdout
    assert written == ["left_behind.txt"]

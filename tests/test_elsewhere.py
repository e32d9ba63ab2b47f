"""Binder and Colab, as far as they can be tried here: what the branch of plain notebooks holds, and what pip does."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tools import check_wheel, plain
from tools.chapters import ROOT, files
from tools.sync import SETUP, urls

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What Colab had in February 2026, by github.com/googlecolab/backend-info (pip-freeze.gpu.txt); it will have newer ones.
COLAB_PYTHON = "3.12"
COLAB = {
    "numpy": "2.0.2",
    "scipy": "1.16.3",
    "scikit-learn": "1.6.1",
    "torch": "2.10.0+cu128",
    "torchvision": "0.25.0+cu128",
    "matplotlib": "3.10.0",
    "pillow": "11.3.0",
    "cycler": "0.12.1",
    "threadpoolctl": "3.6.0",
    "tqdm": "4.67.3",
    "pooch": "1.9.0",
    "filelock": "3.24.3",
    "umap-learn": "0.5.11",
}


def asked() -> list[Requirement]:
    """What the first cell of every chapter asks for; some ask for more (``tools.sync.EXTRAS``)."""
    return [Requirement(text) for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["umap"])]


def test_colab_needs_nothing_but_the_package() -> None:
    """pip changes only what breaks a bound; so on Colab it must find every bound kept, and none from above."""
    assert SpecifierSet(PROJECT["requires-python"]).contains(COLAB_PYTHON)
    for requirement in asked():
        assert [clause.operator for clause in requirement.specifier] == [">="], requirement
        assert requirement.specifier.contains(COLAB[requirement.name]), f"Colab would get another {requirement.name}"


def pip_of_the_first_cell() -> list[str]:
    """Return the arguments of the first cell's pip."""
    line = next(line.strip() for line in SETUP.format(address="ADDRESS").splitlines() if "%pip" in line)
    return [part.strip('"') for part in re.findall(r'"[^"]*"|\S+', line.removeprefix("%pip "))]


def test_the_first_cell_upgrades_nothing() -> None:
    assert pip_of_the_first_cell() == ["install", "-q", "dclib[umap] @ git+ADDRESS"]


def pretend(folder: Path, name: str, version: str) -> None:
    """Make pip believe that a package is installed."""
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (about / "INSTALLER").write_text("pip\n")
    (about / "RECORD").write_text("".join(f"{about.name}/{file},,\n" for file in ("METADATA", "INSTALLER", "RECORD")))


def test_pip_leaves_what_colab_has(tmp_path: Path) -> None:
    """The first cell's command where Colab's versions are: the wheel in place of the address, and no network."""
    made = subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip("python -m venv gives no pip here: on Debian, install python3-venv")
    python = tmp_path / "venv" / "bin" / "python"
    there = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    for name, version in COLAB.items():
        pretend(there, name, version)
    wheel = check_wheel.build(tmp_path)
    *words, what = pip_of_the_first_cell()
    command = [python, "-m", "pip", *words, "--no-index", what.replace("git+ADDRESS", wheel.as_uri())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True).stdout
    found = {entry["name"]: entry["version"] for entry in json.loads(listed)}
    assert {name: found[name] for name in COLAB} == COLAB
    assert found.keys() - COLAB.keys() <= {"dclib", "pip", "setuptools"} and "dclib" in found


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the branch `notebooks` would hold, were the chapters plain as they are."""
    site, out = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("out") / "plain"
    for path in files():
        target = site / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    plain.gather(site, out)
    return out


def test_a_notebook_that_a_reader_changed_stays(tmp_path: Path) -> None:
    site, out = tmp_path / "site" / "notebooks" / "start", tmp_path / "plain"
    site.mkdir(parents=True)
    first, second, old = (site / name for name in ("first_run.ipynb", "second.ipynb", "old.ipynb"))
    for path in (first, second, old):
        shutil.copyfile(ROOT / plain.FIRST, path)
    plain.gather(tmp_path / "site", out)
    mine, extra = out / first.relative_to(tmp_path / "site"), out / "notes.txt"
    mine.write_text(mine.read_text().replace("digits", "my digits"))
    extra.write_text("mine")
    changed = mine.read_bytes()
    second.write_text(second.read_text().replace("digits", "figures"))
    old.unlink()
    for _ in range(2):  # and stays again
        plain.gather(tmp_path / "site", out)
        assert mine.read_bytes() == changed and extra.read_text() == "mine"
        assert (out / second.relative_to(tmp_path / "site")).read_bytes() == second.read_bytes()
        assert not (out / old.relative_to(tmp_path / "site")).exists()


def test_binder_installs_what_the_environment_says(branch: Path) -> None:
    ours, theirs = (yaml.safe_load((root / "environment.yml").read_text())["dependencies"] for root in (ROOT, branch))
    assert [entry for entry in ours if isinstance(entry, str)] == [entry for entry in theirs if isinstance(entry, str)]
    assert theirs[-1] == {"pip": [f"dclib[features,text] @ git+{urls(ROOT)['Repository']}"]}
    assert {"jupyterlab", "ipykernel", "pip"} <= {Requirement(entry).name for entry in theirs if isinstance(entry, str)}
    assert not (branch / "binder").exists()  # a folder of this name would hide what lies here


def test_binder_begins_with_the_first_chapter(branch: Path) -> None:
    script = branch / "postBuild"
    assert script.stat().st_mode & 0o111 and script.read_text().startswith("#!/bin/bash\n")
    name = re.search(r"workspaces import (\S+)", script.read_text())[1]
    space = json.loads((branch / name).read_text())
    opened = [entry["data"]["path"] for key, entry in space["data"].items() if key.startswith("notebook:")]
    assert opened == [plain.FIRST] and (branch / plain.FIRST).is_file()
    assert space["metadata"]["id"] == "default"  # the one that /lab opens
    assert set(space["data"]["layout-restorer:data"]["main"]["dock"]["widgets"]) == {f"notebook:{plain.FIRST}"}


def test_the_branch_leads_to_every_chapter(branch: Path) -> None:
    text = (branch / "README.md").read_text(encoding="utf-8")
    slug = urls(ROOT)["Repository"].removeprefix("https://github.com/")
    rows = re.findall(r"^\| \[(.+)\]\((\S+)\) \| \[Binder\]\((\S+)\), \[Colab\]\((\S+)\) \|$", text, re.M)
    assert rows[0][1] == plain.FIRST
    assert sorted(path for _, path, *_ in rows) == sorted(p.relative_to(ROOT).as_posix() for p in files())
    for title, path, binder, colab in rows:
        assert nbformat.read(branch / path, 4).cells[0].source.startswith(f"# {title}")
        assert binder == f"https://mybinder.org/v2/gh/{slug}/notebooks?urlpath=lab/tree/{path}"
        assert colab == f"https://colab.research.google.com/github/{slug}/blob/notebooks/{path}"

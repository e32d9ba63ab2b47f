"""Where a result comes from: a commit is dclib's own or none, and the rest is what the machine says."""

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from dclib import provenance

ROOT = Path(__file__).resolve().parents[1]


def repository(top: Path, name: str, package: str = "dclib") -> Path:
    """Make a repository whose pyproject.toml has a name, with one commit that holds all, and return the package."""
    folder = top / package
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (top / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *words], cwd=top, check=True)
    return folder


def head(top: Path) -> str:
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, cwd=top, check=True, capture_output=True, text=True).stdout.strip()


def test_in_its_own_checkout_the_commit_is_known_and_marked_when_the_package_differs(tmp_path):
    package = repository(tmp_path, "dclib")
    assert provenance.commit(package) == head(tmp_path)
    (tmp_path / "notes.txt").write_text("not the package")
    assert provenance.commit(package) == head(tmp_path)
    (package / "new.py").write_text("")
    assert provenance.commit(package) == head(tmp_path) + "+"


@pytest.mark.parametrize(
    ("name", "package"),
    [("thesis", ".venv/lib/python3/site-packages/dclib"), ("dclib", "vendor/dclib"), ("thesis", "dclib")],
)
def test_somebody_elses_repository_has_no_commit_of_dclib(tmp_path, name, package):
    assert provenance.commit(repository(tmp_path, name, package)) is None


def test_without_a_repository_a_readable_pyproject_or_git_there_is_no_commit(tmp_path, monkeypatch):
    (tmp_path / "plain" / "dclib").mkdir(parents=True)
    assert provenance.commit(tmp_path / "plain" / "dclib") is None
    package = repository(tmp_path / "own", "dclib")
    (tmp_path / "own" / "pyproject.toml").write_text("[project")
    assert provenance.commit(package) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit() is None


def test_surroundings_say_where_and_when():
    found = provenance.surroundings(torch.device("cpu"))
    assert found["device"].startswith(f"cpu: {torch.get_num_threads()} threads")
    assert found["versions"]["torch"] == version("torch") and found["dclib"] and found["when"].endswith("+00:00")
    assert found["commit"] == provenance.commit()


def test_peak_memory_is_that_of_this_process():
    provenance.reset_peak_memory()
    before = provenance.peak_memory()
    block = bytearray(64 * 2**20)
    block[::4096] = b"\1" * len(block[::4096])
    assert provenance.peak_memory() > before + 50
    assert provenance._peak_memory_elsewhere() > 50


def test_the_commit_of_every_record_stands_in_the_history():
    def git(*words):
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)

    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("the history is not here: no git, or a shallow clone")
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "book" / "results").rglob("*.json"))
    named = sorted(set(re.findall(r'"commit": "([0-9a-f]+)\+?"', text)))
    assert named
    assert [c for c in named if git("merge-base", "--is-ancestor", c, "HEAD").returncode] == []

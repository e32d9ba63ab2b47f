"""Build the wheel, install it in an environment of its own outside the repository, and train there."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".uv" / "bin" / "uv"
PACKED = ("dclib/", "book/results/", "pyproject.toml", "README.md", "LICENSE")
TRAIN = """
import dclib
from dclib import DEC, load

data = load("digits")
model = DEC.for_data(data, "quick", random_state=0).set_params(pretrain_epochs=2, epochs=1, verbose=0).fit(data.x)
assert len(set(model.labels_)) > 1 and load("mnist-10k").x.shape == (10_000, 784)
print(dclib.__file__)
"""
RUN = ("run", "dec", "--data", "digits", "--profile", "quick", "--set", "pretrain_epochs=2", "--set", "epochs=1")


def run(*command: str | Path, cwd: Path = ROOT, **more: str) -> str:
    """Run a command with a bare environment and return what it printed; end with that if it fails."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "UV_COMPILE_BYTECODE", "DCLIB_PROFILE", "DCLIB_DATA")
    bare = {key: value for key, value in os.environ.items() if key not in ours}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=bare | more, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def tracked() -> list[str]:
    """The files of the repository that the package is made of, as paths relative to it."""
    names = run("git", "ls-files").splitlines()
    return [name for name in names if name.startswith(PACKED) and (ROOT / name).is_file()]


def build(folder: Path) -> Path:
    """Build the wheel into a folder from a copy of the repository's files; no network is needed."""
    source = folder / "source"
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    run(sys.executable, "-c", code, cwd=source)
    return next(folder.glob("*.whl"))


def missing(wheel: Path) -> list[str]:
    """What of the package is not in its wheel: modules, assets, the mark of typed code, records."""
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = [name.replace("book/results/", "dclib/records/") for name in tracked()]
    return [name for name in wanted if name.startswith("dclib/") and name not in held]


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel and what it asks for, in the versions of this environment; return the new one's programs."""
    (folder / "locked.txt").write_text(run(UV, "pip", "freeze", "-q", "-p", sys.executable, "--exclude-editable"))
    run(UV, "venv", "-q", "-p", sys.executable, folder / "venv")
    mark = ROOT / ".venv" / ".torch"
    backend = ["--torch-backend", "cpu"] if mark.is_file() and mark.read_text().strip() == "cpu" else []
    programs = folder / "venv" / "bin"
    run(UV, "pip", "install", "-q", "-p", programs / "python", *backend, "-c", folder / "locked.txt", wheel)
    return programs


def train(programs: Path, folder: Path) -> dict[str, object]:
    """Train from Python and from the command line in an empty folder; return the record that was written there."""
    folder.mkdir()
    used = run(programs / "python", "-c", TRAIN, cwd=folder, DCLIB_DATA="cache").strip()
    if not Path(used).is_relative_to(programs.parent):
        sys.exit(f"what was imported is not the wheel's: {used}")
    run(programs / "dclib", *RUN, cwd=folder, DCLIB_DATA="cache")
    found = list(folder.rglob("*.json"))
    if len(found) != 1:
        sys.exit(f"one record should lie in the working folder; there are {found}")
    return json.loads(found[0].read_text(encoding="utf-8"))


def main() -> None:
    """Run the command."""
    with TemporaryDirectory(prefix="dclib-") as name:
        folder = Path(name)
        wheel = build(folder)
        if lacking := missing(wheel):
            sys.exit(f"{wheel.name} lacks {lacking}")
        programs = install(wheel, folder)
        record = train(programs, folder / "work")
        board = run(programs / "dclib", "leaderboard", "--data", "mnist-10k", cwd=folder)
        if record["data"] != "digits" or not 0 < record["acc"] <= 1 or "DEC" not in board:
            sys.exit(f"an unlikely record {record}, or no leaderboard: {board}")
        print(f"{wheel.name}: alone, it trains ({record['method']}, ACC {record['acc']:.3f}) and keeps records")


if __name__ == "__main__":
    main()

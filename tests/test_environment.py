"""The files that set up an environment agree with each other, and the lock is what it should be."""

import ast
import email
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import check_wheel, cpu_lock

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CONDA_NAMES = {"pytorch-cpu": "torch", "pytorch": "torch", "python-igraph": "igraph"}
LOCKED_GROUPS = ("book", "lab", "test", "course")


def group(name: str) -> list[Requirement]:
    """The requirements of a dependency group, included groups and all."""
    found = []
    for entry in PROJECT["dependency-groups"][name]:
        found += group(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
    return found


def asked() -> list[Requirement]:
    """What the package and its extras ask for."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    texts = [*PROJECT["project"]["dependencies"], *(text for extra in extras for text in extra)]
    return [Requirement(text) for text in texts]


def direct() -> dict[str, Requirement]:
    """Everything that the lock must hold because pyproject.toml asks for it."""
    return {canonicalize_name(r.name): r for r in [*asked(), *(r for name in LOCKED_GROUPS for r in group(name))]}


def conda() -> dict[str, Requirement]:
    """The conda part of environment.yml, under the names of PyPI."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    found = [Requirement(entry) for entry in entries if isinstance(entry, str)]
    return {CONDA_NAMES.get(r.name, r.name): r for r in found}


def by_pip() -> set[str]:
    """The requirements of the extras that the pip part of environment.yml asks of the package itself."""
    *_, pip = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    extras = re.fullmatch(r"-e \.\[([\w,]+)\]", pip["pip"][0])[1].split(",")
    return {Requirement(text).name for extra in extras for text in PROJECT["project"]["optional-dependencies"][extra]}


def test_conda_environment_is_in_step() -> None:
    have, known = conda(), direct()
    for wanted in asked():
        assert wanted.name in have or wanted.name in by_pip(), f"environment.yml lacks {wanted.name}"
    for name, requirement in have.items():
        if name in known:
            assert requirement.specifier == known[name].specifier, name
        else:
            assert name in ("python", "pip"), f"environment.yml has {name}, pyproject.toml has not"
    lowest = PROJECT["project"]["requires-python"]
    assert lowest in str(have["python"].specifier).split(","), "the lowest Python differs"
    assert by_pip() and not by_pip() & have.keys()


def imported(tree: ast.AST) -> set[str]:
    """The packages that a module imports, wherever in it, but for those that it tries and can do without."""
    tried = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.Try) and "ImportError" in {ast.unparse(h.type) for h in block.handlers if h.type}
        for step in block.body
        for node in ast.walk(step)
    }
    found = set()
    for node in set(ast.walk(tree)) - tried:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_what_the_package_imports_is_declared() -> None:
    declared = {canonicalize_name(r.name) for r in asked()}
    homes = packages_distributions()
    for path in (ROOT / "dclib").rglob("*.py"):
        names = imported(ast.parse(path.read_text(encoding="utf-8"))) - sys.stdlib_module_names - {"dclib"}
        for name in names:
            homes_of_name = {canonicalize_name(home) for home in homes.get(name, [name])}
            assert homes_of_name & declared, f"{path.name} imports {name}, which pyproject.toml does not ask for"


def test_the_package_asks_for_nothing_that_it_does_not_import() -> None:
    names = set().union(*(imported(ast.parse(p.read_text(encoding="utf-8"))) for p in (ROOT / "dclib").rglob("*.py")))
    homes = {canonicalize_name(home) for name in names for home in packages_distributions().get(name, [])}
    wanted = {canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]}
    assert wanted <= homes, f"nothing imports {wanted - homes}"
    assert all(str(Requirement(text).specifier).startswith(">=") for text in PROJECT["project"]["dependencies"])


def test_lock_names_no_address() -> None:
    assert not re.findall(r"://|--index|--extra-index|--find-links|git\+|file:|@ ", LOCK)


def test_lock_pins_and_hashes_everything() -> None:
    for name, entry in cpu_lock.entries(LOCK).items():
        assert re.match(rf"{re.escape(name)}==[\w.+!]+( ; .+)? \\$", entry.splitlines()[0]), entry[:100]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), f"{name} has no hash"
        assert "+" not in entry.splitlines()[0].split("==")[1].split()[0], f"{name} is a local build"


def test_lock_is_in_step_with_pyproject() -> None:
    entries, asked = cpu_lock.entries(LOCK), direct()
    for name, requirement in asked.items():
        assert name in entries, f"{name} is not locked: run `make lock`"
        version = re.match(r"\S+?==([\w.]+)", entries[name])[1]
        assert requirement.specifier.contains(version), f"{name} {version} breaks {requirement}: run `make lock`"
    own = {name for name, entry in entries.items() if "pyproject.toml" in entry.partition("# via")[2]}
    assert own == set(asked), "run `make lock`"


def test_cpu_lock_leaves_out_cuda_and_nothing_else() -> None:
    entries = cpu_lock.entries(LOCK)
    kept = cpu_lock.entries(cpu_lock.without_cuda(LOCK))
    dropped = entries.keys() - kept.keys()
    assert {"torch", "torchvision"} <= dropped and any(name.startswith("nvidia") for name in dropped)
    for name in dropped - {"torch", "torchvision"}:  # only these, or another dropped package, ask for what is left out
        assert cpu_lock.asked_by(entries[name]) <= dropped, name
    for name, entry in kept.items():
        assert entry == entries[name]
        assert not re.match(r"nvidia|cuda|triton", name)


def test_cpu_torch_has_its_dependencies_in_the_lock() -> None:
    needed = {"filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec", "numpy", "pillow"}
    assert needed <= cpu_lock.entries(cpu_lock.without_cuda(LOCK)).keys()
    assert re.fullmatch(r"torch==\d+(\.\d+)+ torchvision==\d+(\.\d+)+", " ".join(cpu_lock.torch_versions(LOCK)))


def test_cpu_setup_takes_torch_and_torchvision_from_one_place() -> None:
    """The two are compiled together: one of PyPI beside one of the CPU index fails on import."""
    command = ["make", "-n", "-o", ".uv/bin/uv", "-W", "requirements.lock", "setup", "TORCH=cpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    first, second, series, third = re.findall(r"uv pip install .*", done.stdout)[:4]
    assert "--torch-backend cpu $(" in first and "cpu_lock.py --torch" in first, done.stdout
    assert ".venv/cpu.lock" in second and "torch-backend" not in second
    assert all(word in series for word in ("--no-deps", "--require-hashes", "series.lock"))
    assert "--no-deps" in third and "-e ." in third
    ask = [sys.executable, "tools/cpu_lock.py", "requirements.lock"]
    rest, two = (
        subprocess.run([*ask, *more], cwd=ROOT, capture_output=True, text=True).stdout for more in ([], ["--torch"])
    )
    assert not re.search(r"^torch(vision)?==", rest, re.M) and len(two.split()) == 2


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CONTRIBUTING.md",
        ".ci/run",
        *(p.relative_to(ROOT).as_posix() for p in sorted((ROOT / ".github" / "workflows").glob("*.yml"))),
    ],
)
def test_commands_that_files_name_exist(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`|run: |step \S+ )make ([a-z-]+)", text, re.M))
    assert named, path
    assert named <= make_targets()
    for module in re.findall(r"python -m (tools\.\w+)", text):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), module


def test_readme_shows_the_three_commands_first() -> None:
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:25]
    for wanted in ("make test", "make book", "make lab", "make setup TORCH=cpu", "![", "git clone"):
        assert any(wanted in line for line in first_screen), wanted


@pytest.mark.parametrize("path", ["README.md", "book/index.md", "_toc.yml"])
def test_every_chapter_is_listed(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    chapters = [p.relative_to(ROOT).with_suffix("").as_posix() for p in (ROOT / "notebooks").glob("*/*.ipynb")]
    assert [name for name in chapters if name not in text] == []


def test_shell_scripts_parse() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")]).returncode == 0
    done = subprocess.run(["make", "-n", "help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def toc_files(node: object) -> list[str]:
    """Every `file:` of the table of contents, in order, and its root."""
    if isinstance(node, list):
        return [name for item in node for name in toc_files(item)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("root", "file") if key in node]
    return own + [name for value in node.values() for name in toc_files(value)]


def test_table_of_contents_holds_every_page() -> None:
    listed = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    found = [*(ROOT / "book").rglob("*.md"), *(ROOT / "notebooks").rglob("*.ipynb")]
    names = {p.relative_to(ROOT).with_suffix("").as_posix() for p in found if ".ipynb_checkpoints" not in p.parts}
    assert len(listed) == len(set(listed))
    assert set(listed) == names


def test_api_pages_cover_the_package() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "book" / "api").glob("*.md"))
    shown = set(re.findall(r"(?:api-module|automodule):: (dclib[\w.]*)", text))
    modules = {
        p.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for p in (ROOT / "dclib").rglob("*.py")
        if p.name != "__main__.py"
    }
    assert modules - shown - {"dclib"} == set()


def test_citation_is_in_step() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"].split(" AND ")[0]  # of the code
    assert citation["repository-code"] == PROJECT["project"]["urls"]["Repository"]
    assert citation["url"] == PROJECT["project"]["urls"]["Book"]


def test_the_wheel_brings_code_digits_and_records(tmp_path: Path) -> None:
    """Readers on Colab install from the repository's address; a chapter then needs all of these."""
    wheel = check_wheel.build(tmp_path)
    assert check_wheel.missing(wheel) == []
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "dclib").rglob("*.py")}
    assert modules <= names and "dclib/records/published.json" in names
    assert any(name.startswith("dclib/records/mnist-10k/dec/") for name in names)
    assert any(name.startswith("dclib/assets/mnist") for name in names) and "dclib/py.typed" in names
    with zipfile.ZipFile(wheel) as archive:
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(about))
    assert metadata["License-Expression"] == "MIT AND CC-BY-4.0 AND CC-BY-SA-3.0"
    for path in ("LICENSE", "LICENSE-TEXT", "dclib/assets/README.md"):  # one for each, in this order
        assert any(name.endswith(f".dist-info/licenses/{path}") for name in names), path

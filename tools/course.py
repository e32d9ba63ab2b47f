"""Build the course: from each master in ``course/assignments`` a student's notebook, a solution and an autograder.

A master is a notebook in otter-grader's assign format, kept as text in jupytext's percent format. A cell tagged
``sealed`` holds a run with a planted fault: the student's notebook has it compressed, without docstrings and telling
names, so that the fault is found in what the run does and not in its source.
"""

import argparse
import ast
import base64
import contextlib
import itertools
import json
import os
import re
import resource
import sys
import tempfile
import textwrap
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from otter.assign import main as otter_assign
from otter.test_files import ExceptionTestFile

from tools.chapters import ROOT, tags
from tools.execute import KERNEL, LANGUAGE, kernel_environment, machine
from tools.sync import urls

MASTERS = ROOT / "course" / "assignments"
OUT = ROOT / "_build" / "course"
RUNTIMES = ROOT / "course" / "runtimes.json"
FINDINGS = ROOT / "course" / "findings.md"
HEADING = re.compile(
    r"^## (?P<title>.+)\n\n\*\*Question (?P<number>\d+)\*\* · (?P<points>\d+) points? · (?P<minutes>\d+) minutes", re.M
)
CHAPTER = re.compile(r"\]\(book:([\w/]+)\)")  # a link to a chapter; the book's address is in pyproject.toml
SETUP = '''\
# Install what a bare machine lacks, and unpack the tests that this notebook carries. Nothing to read here.
import base64, importlib.util, json, os, zlib

for module, wanted in {{"dclib": "dclib @ git+{repository}", "otter": "otter-grader>=7"}}.items():
    if importlib.util.find_spec(module) is None:
        %pip install -q "{{wanted}}"
tests = """
{tests}
"""
os.makedirs("tests-{name}", exist_ok=True)
for name, text in json.loads(zlib.decompress(base64.b64decode(tests))).items():
    with open(f"tests-{name}/{{name}}.py", "w", encoding="utf-8") as file:
        file.write(text)

import otter

grader = otter.Notebook(tests_dir="tests-{name}")'''
SEALED = '''\
# A run with a planted fault, sealed: look at what it does. (The solutions have it in clear.)
import base64, zlib

exec(zlib.decompress(base64.b64decode("""
{code}
""")))'''


@dataclass(frozen=True)
class Question:
    """One question of an assignment.

    Attributes
    ----------
    name, title
        As in the notebook.
    points, minutes
        What it is worth, and the time it should take.
    manual
        Whether a person marks it, by the rubric in the instructor's guide.
    """

    name: str
    title: str
    points: int
    minutes: int
    manual: bool


@dataclass(frozen=True)
class Assignment:
    """One assignment in its three forms.

    Attributes
    ----------
    name
        As its files are called, e.g. ``01-metrics``.
    student, solution
        Notebooks.
    tests
        The source of each question's tests, hidden ones and all.
    questions
        In the order of the notebook.
    archive
        otter-grader's autograder, as bytes of a zip file.
    """

    name: str
    student: NotebookNode
    solution: NotebookNode
    tests: Mapping[str, str]
    questions: tuple[Question, ...]
    archive: bytes

    @property
    def title(self) -> str:
        """The heading of the notebook."""
        return next(c.source for c in self.solution.cells if c.cell_type == "markdown").splitlines()[0].lstrip("# ")

    @property
    def points(self) -> int:
        """Points of all questions together."""
        return sum(question.points for question in self.questions)


def masters() -> list[Path]:
    """Return the masters of all assignments, in order."""
    return sorted(MASTERS.glob("*.py"))


def packed(text: str) -> str:
    """Return text compressed, as lines of printable signs."""
    return "\n".join(textwrap.wrap(base64.b64encode(zlib.compress(text.encode(), 9)).decode(), 110))


def read(path: Path) -> NotebookNode:
    """Read a master as a notebook whose cells have the same ids in every build."""
    nb = jupytext.read(path, fmt="py:percent")
    nb.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    nb.nbformat, nb.nbformat_minor = 4, 5
    book = urls(ROOT)["Book"].rstrip("/")
    for number, cell in enumerate(nb.cells):
        cell.id = f"{path.stem}-{number:03}"
        cell.source = CHAPTER.sub(rf"]({book}/notebooks/\1.html)", cell.source)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nb


def questions(nb: NotebookNode) -> Iterator[Question]:
    """Yield the questions of a master, as their headings announce them."""
    text = "\n".join(cell.source for cell in nb.cells)
    for match in HEADING.finditer(text):
        block, name = text[: match.start()].rpartition("# BEGIN QUESTION")[2], f"q{match['number']}"
        if not re.search(rf"^name: {name}$", block, re.M):
            raise ValueError(f"question {name} does not follow its own `# BEGIN QUESTION`")
        manual = "\nmanual: true" in block
        if manual and f"\npoints: {match['points']}\n" not in block:
            raise ValueError(f"question {name}: the heading announces {match['points']} points, its config does not")
        yield Question(name, match["title"], int(match["points"]), int(match["minutes"]), manual)


class Disguise(ast.NodeTransformer):
    """Take docstrings away, and give functions the names of a table."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """Rename a function and take its docstring away."""
        node.name = self.names.get(node.name, node.name)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Rename where the function is used."""
        node.id = self.names.get(node.id, node.id)
        return node


def disguised(code: str, used: Collection[str]) -> str:
    """Return code without comments and docstrings, and with its functions that nobody else uses renamed.

    They become ``p1``, ``p2`` and so on. After a cell has run, ``help(f)`` and ``f?`` would show a function's name,
    arguments and docstring.

    Parameters
    ----------
    code
        Of one cell.
    used
        Names that the rest of the notebook uses: they stay, and no function gets one of them.
    """
    tree = ast.parse(code)
    free = (name for name in map("p{}".format, itertools.count(1)) if name not in used)
    mine = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name not in used]
    return ast.unparse(Disguise(dict(zip(mine, free, strict=False))).visit(tree))


def model_answers(nb: NotebookNode) -> dict[str, str]:
    """Return the prose of a master's solutions, by the name of the question."""
    found: dict[str, str] = {}
    name, inside = "", False
    for cell in nb.cells:
        if cell.cell_type == "raw":
            name = (re.findall(r"^name: (q\d+)$", cell.source, re.M) or [name])[0]
            inside = "BEGIN SOLUTION" in cell.source
        elif inside and cell.cell_type == "markdown":
            found[name] = f"{found[name]}\n\n{cell.source}" if name in found else cell.source
    return found


def findings() -> str:
    """Return what came out, for teachers, with the model answer below each section.

    Raises
    ------
    ValueError
        If the sections are not the questions that a person marks, in order.
    """
    head, *sections = re.split(r"^(?=### )", FINDINGS.read_text(encoding="utf-8"), flags=re.M)
    wanted = []
    for path in masters():
        nb = read(path)
        said = model_answers(nb)
        manual = (question for question in questions(nb) if question.manual)
        wanted += [(f"### {path.stem}, {q.name}: {q.title} ({q.points} points)", said[q.name]) for q in manual]
    titles = [section.splitlines()[0] for section in sections]
    if titles != [title for title, _ in wanted]:
        raise ValueError(f"{FINDINGS.name} has other sections than the questions marked by hand: {titles}")
    text = "\n".join(
        f"{section.rstrip()}\n\n*A model answer*: {answer}\n"
        for section, (_, answer) in zip(sections, wanted, strict=True)
    )
    return head + text


def seal(cell: NotebookNode, used: Collection[str] = ()) -> None:
    """Disguise and compress the code of a cell in place."""
    cell.source = SEALED.format(code=packed(disguised(cell.source, used)))
    cell.metadata.setdefault("jupyter", {})["source_hidden"] = True


def names_outside_seals(nb: NotebookNode) -> set[str]:
    """Return the words of a notebook's tests and of its code cells that are not sealed."""
    cells = [cell.source for cell in nb.cells if cell.cell_type == "code" and "sealed" not in tags(cell)]
    return set(re.findall(r"\w+", "\n".join([*cells, *nb.metadata["otter"]["tests"].values()])))


def setup_cell(name: str, tests: Mapping[str, str]) -> NotebookNode:
    """Return the first cell of an assignment, which brings what the notebook needs."""
    source = SETUP.format(name=name, tests=packed(json.dumps(tests)), repository=urls(ROOT)["Repository"])
    cell = nbformat.v4.new_code_cell(source, id=f"{name}-setup")
    cell.metadata.update({"tags": ["setup"], "jupyter": {"source_hidden": True}, "deletable": False})
    return cell


def finish(nb: NotebookNode, name: str, sealed: bool) -> NotebookNode:
    """Give a notebook of otter's its first cell and, where asked, its seals; give every cell an id of its own."""
    tests = nb.metadata["otter"]["tests"]
    if sealed:
        used = names_outside_seals(nb)
        for cell in nb.cells:
            if "sealed" in tags(cell):
                seal(cell, used)
    title, *rest = nb.cells
    nb.cells = [title, setup_cell(name, tests), *rest]
    for number, cell in enumerate(nb.cells):
        cell.id = f"cell-{number:03}"
    nbformat.validate(nb)
    return nb


@contextlib.contextmanager
def kernels(profile: str = "book") -> Iterator[None]:
    """Give kernels that others start the environment of the book's own: quiet, and with this checkout's package."""
    before = dict(os.environ)
    with kernel_environment(profile) as env:
        os.environ.update(env)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def processor_seconds(solution: NotebookNode) -> float:
    """Run a solution in an empty folder and return the seconds of processor time that it took, start and all."""
    nb, before = nbformat.from_dict(solution), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder, kernel_environment("book") as env:
        where = {"metadata": {"path": folder}}
        NotebookClient(nb, timeout=900, kernel_name="python3", resources=where).execute(env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def assign(path: Path, check: bool = False) -> Assignment:
    """Build one assignment from its master; with ``check``, grade the solution by otter's own autograder.

    Raises
    ------
    RuntimeError
        If the solution doesn't get full marks.
    ValueError
        If the points of a heading are not those of its tests.
    """
    master, name = read(path), path.stem
    asked = tuple(questions(master))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        shared = (MASTERS.parent / "otter.yml").read_text(encoding="utf-8")
        needs = f'requirements: ["dclib @ git+{urls(ROOT)["Repository"]}"]\n'  # of the machine that grades
        (work / "otter.yml").write_text(shared + needs, encoding="utf-8")
        nbformat.write(master, work / f"{name}.ipynb")
        with kernels():
            otter_assign(str(work / f"{name}.ipynb"), str(work / "dist"), no_pdfs=True, no_run_tests=not check)
        made = work / "dist"
        both = {kind: nbformat.read(made / kind / f"{name}.ipynb", 4) for kind in ("student", "autograder")}
        archive = next((made / "autograder").glob("*.zip")).read_bytes()
    for nb in both.values():
        nb.cells = [cell for cell in nb.cells if not cell.source.startswith("# Initialize Otter")]  # ours does it
    tests = dict(both["autograder"].metadata["otter"]["tests"])
    for question in asked:
        if not question.manual:
            worth = ExceptionTestFile.from_string(tests[question.name]).possible
            if worth != question.points:
                raise ValueError(f"{name}, {question.name}: {question.points} points announced, {worth} in its tests")
    student, solution = (finish(both[kind], name, kind == "student") for kind in ("student", "autograder"))
    return Assignment(name, student, solution, tests, asked, archive)


def write(assignment: Assignment, out: Path = OUT) -> None:
    """Write the three forms of an assignment below ``out``."""
    forms = {"student": assignment.student, "solutions": assignment.solution}
    for folder, nb in forms.items():
        (out / folder).mkdir(parents=True, exist_ok=True)
        text = nbformat.v4.writes_json(nb).rstrip("\n") + "\n"
        (out / folder / f"{assignment.name}.ipynb").write_text(text, encoding="utf-8")
    (out / "solutions" / "FINDINGS.md").write_text(findings(), encoding="utf-8")
    (out / "autograder").mkdir(parents=True, exist_ok=True)
    (out / "autograder" / f"{assignment.name}.zip").write_bytes(assignment.archive)
    (out / "questions").mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(question) for question in assignment.questions], indent=1, ensure_ascii=False) + "\n"
    (out / "questions" / f"{assignment.name}.json").write_text(text, encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.course", description=__doc__.splitlines()[0])
    parser.add_argument("masters", nargs="*", type=Path, help="masters (default: all)")
    parser.add_argument("--fast", action="store_true", help="do not grade the solutions")
    parser.add_argument(
        "--time", action="store_true", help="measure how long solutions run, for the guide (not graded)"
    )
    args = parser.parse_args(argv)
    taken = json.loads(RUNTIMES.read_text()) if RUNTIMES.is_file() else {}
    for path in args.masters or masters():
        built = assign(path, check=not (args.fast or args.time))
        if args.time:
            taken[built.name] = {"seconds": round(processor_seconds(built.solution), 1), "machine": machine()}
        write(built)
        minutes = sum(question.minutes for question in built.questions)
        print(f"{built.name}: {len(built.questions)} questions, {built.points} points, {minutes} minutes", flush=True)
    if args.time:
        RUNTIMES.write_text(json.dumps(dict(sorted(taken.items())), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

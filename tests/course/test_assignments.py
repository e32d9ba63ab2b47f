"""The course: full marks for the solution, none for the blank, and what typical wrong answers lose."""

import ast
import base64
import contextlib
import functools
import inspect
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import nbformat
import pytest
import yaml
from marking import WRONG, Wrong, marks
from nbclient import NotebookClient
from otter.check import notebook as otter_notebook
from otter.check.utils import IPythonInterpreter

from tools import course
from tools.chapters import ROOT, tags
from tools.execute import kernel_environment

NAMES = [path.stem for path in course.masters()]
NUMBERS = {5: "five", 11: "eleven"}
LIGHT = "07-leaderboard"  # it trains nothing


@functools.cache
def built(name: str) -> course.Assignment:
    return course.assign(course.MASTERS / f"{name}.py")


def by_machine(assignment: course.Assignment) -> dict[str, int]:
    """The points of each question that a machine marks."""
    return {question.name: question.points for question in assignment.questions if not question.manual}


# --- marks ---


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_gets_full_marks(name: str, tmp_path: Path) -> None:
    assert marks(built(name), built(name).solution, tmp_path) == by_machine(built(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_blank_gets_none(name: str, tmp_path: Path) -> None:
    assert set(marks(built(name), built(name).student, tmp_path).values()) == {0}


def left_blank(assignment: course.Assignment, question: str) -> nbformat.NotebookNode:
    """The solution with one question as the student gets it."""

    def parts(nb: nbformat.NotebookNode) -> tuple[list, list, list]:
        """The cells before, in and after the question."""
        checks = [i + 1 for i, cell in enumerate(nb.cells) if cell.source.startswith("grader.check(")]
        end = next(i + 1 for i, cell in enumerate(nb.cells) if cell.source == f'grader.check("{question}")')
        start = max([0, *(place for place in checks if place < end)])
        return nb.cells[:start], nb.cells[start:end], nb.cells[end:]

    (before, _, after), (_, blank, _) = parts(assignment.solution), parts(assignment.student)
    return nbformat.v4.new_notebook(cells=[*before, *blank, *after], metadata=assignment.solution.metadata)


@pytest.mark.parametrize("name", NAMES)
def test_a_first_question_left_blank_costs_its_own_points_only(name: str, tmp_path: Path) -> None:
    wanted = by_machine(built(name)) | {"q1": 0}
    if name == "08-project":  # the protocol runs on the data of question 1
        wanted["q2"] = 0
    assert marks(built(name), left_blank(built(name), "q1"), tmp_path) == wanted


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_answer_loses_its_points_and_no_others(wrong: Wrong, tmp_path: Path) -> None:
    assignment = built(wrong.assignment)
    wanted = by_machine(assignment)
    wanted[wrong.question] -= wrong.loses
    assert wrong.loses > 0 and marks(assignment, wrong.put_into(assignment.solution), tmp_path) == wanted


def test_the_guide_has_the_table_of_wrong_answers() -> None:
    text = (ROOT / "book" / "course" / "marking.md").read_text(encoding="utf-8")
    for wrong in WRONG:
        most = by_machine(built(wrong.assignment))[wrong.question]
        assert f"| {wrong.assignment} | {wrong.question} | {wrong.what} | {wrong.loses} of {most} |" in text, wrong
    said = " ".join(wrong.what for wrong in WRONG)
    for kind in ("a sign", "not detached", "purity for accuracy", "mean over the wrong axis", "labels leaked"):
        assert kind in said


def test_otters_archive_gives_the_same_marks(tmp_path: Path) -> None:
    """As a teacher would: the zip file and a folder of notebooks, graded by otter in kernels of their own."""
    assignment = built(LIGHT)
    course.write(assignment, tmp_path)
    handed_in = tmp_path / "handed_in"
    handed_in.mkdir()
    wrong = next(wrong for wrong in WRONG if wrong.assignment == LIGHT)
    nbformat.write(wrong.put_into(assignment.solution), handed_in / "ada.ipynb")
    command = [sys.executable, "-m", "tools.marks", LIGHT, str(handed_in), "--built", str(tmp_path)]
    with kernel_environment("quick") as env:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    head, row = (handed_in / "marks.csv").read_text().splitlines()
    found = dict(zip(head.split(","), row.split(","), strict=True))
    wanted = by_machine(assignment)
    wanted[wrong.question] -= wrong.loses
    assert found["submission"] == "ada.ipynb" and found["q4 by hand (of 5)"] == ""
    assert {name: float(found[name]) for name in wanted} == wanted
    assert float(found["by machine"]) == sum(wanted.values())


# --- the forms ---


@pytest.mark.parametrize("name", NAMES)
def test_announcements_are_true(name: str) -> None:
    assignment = built(name)
    intro = next(cell.source for cell in assignment.student.cells if cell.cell_type == "markdown")
    by_hand = sum(question.points for question in assignment.questions if question.manual)
    assert f"**{assignment.points} points**, {NUMBERS[by_hand]} of" in intro.replace("\n", " ")
    chapter = re.search(r"\*\*Read first\*\* .*?\]\(https://\S+/(notebooks/\S+)\.html\)", intro.replace("\n", " "))
    assert (ROOT / f"{chapter[1]}.ipynb").is_file()
    minutes = sum(question.minutes for question in assignment.questions)
    said = "four hours" if minutes == 240 else f"about {minutes} minutes"
    assert f"**Time** {said}" in intro.replace("\n", " ")
    assert [question.name for question in assignment.questions] == [
        f"q{number}" for number in range(1, len(assignment.questions) + 1)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_assignment_asks_for_judgement_and_diagnosis(name: str) -> None:
    text = "\n".join(cell.source for cell in built(name).student.cells if cell.cell_type == "markdown")
    assert re.search(r"^\*\*Question \d\*\* .* · a figure and two sentences$", text, re.M)
    assert re.search(r"^\*\*Question \d\*\* .* · find the fault$", text, re.M)
    assert any("sealed" in tags(cell) for cell in built(name).student.cells)
    rubrics = (ROOT / "book" / "course" / "marking.md").read_text(encoding="utf-8")
    for question in built(name).questions:
        if question.manual:
            assert f"### {name}, {question.name}: {question.title} ({question.points} points)" in rubrics


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_may_show_something_else_and_needs_no_earlier_answer(name: str) -> None:
    """As the guide says: write what your own figure shows; and what to use where a function of yours doesn't work."""
    nb = built(name).student
    asks = [cell.source for cell in nb.cells if "· a figure and two sentences" in cell.source]
    assert len(asks) == 1 and "Write what **your own** figure shows" in " ".join(asks[0].split())
    master = (course.MASTERS / f"{name}.py").read_text(encoding="utf-8")
    before, _, after = master.partition("· a figure and two sentences")
    answers = re.findall(r"^# %%\n(?:(?!# %%).)*?# BEGIN SOLUTION", before, re.M | re.S)
    mine = set(re.findall(r"^def (\w+)", "".join(answers), re.M)) - {"trained"}
    if [f for f in mine if re.search(rf"\b{f}\(", after)]:
        assert re.search(r"\(If your .+? (?:does|do)\s+not\s+work", asks[0], re.S)


def test_findings_are_for_teachers(tmp_path: Path) -> None:
    course.write(built(LIGHT), tmp_path)
    text = (tmp_path / "solutions" / "FINDINGS.md").read_text(encoding="utf-8")
    manual = [(name, q) for name in NAMES for q in built(name).questions if q.manual]
    assert len(manual) == text.count("\n### ") == text.count("*A model answer*: ")
    for name, question in manual:
        assert f"### {name}, {question.name}: " in text
    assert "is better on these digits than k-means" in " ".join(text.split())
    given = "\n".join(cell.source for name in NAMES for cell in built(name).student.cells)
    public = given + "".join(path.read_text(encoding="utf-8") for path in (ROOT / "book" / "course").glob("*.md"))
    lines = [line for line in course.FINDINGS.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert [line for line in lines if line in public] == [] and "Often seen" not in public


def test_findings_that_fit_no_question_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "findings.md"
    odd.write_text(course.FINDINGS.read_text(encoding="utf-8").replace("### 01-metrics, q4", "### 01-metrics, q3"))
    monkeypatch.setattr(course, "FINDINGS", odd)
    with pytest.raises(ValueError, match="other sections than the questions marked by hand"):
        course.findings()


def carried(nb: nbformat.NotebookNode) -> dict[str, str]:
    """The tests that a notebook's first code cell unpacks."""
    source = next(cell.source for cell in nb.cells if "setup" in tags(cell))
    return json.loads(zlib.decompress(base64.b64decode(re.search(r'tests = """(.*?)"""', source, re.S)[1])))


@pytest.mark.parametrize("name", NAMES)
def test_the_student_sees_no_solution(name: str) -> None:
    assignment = built(name)
    code = "\n".join(cell.source for cell in assignment.student.cells if cell.cell_type == "code")
    assert "SOLUTION" not in code and not any(cell.get("outputs") for cell in assignment.student.cells)
    master = (course.MASTERS / f"{name}.py").read_text(encoding="utf-8")
    answers = re.findall(r"^ *# BEGIN SOLUTION(?: NO PROMPT)?\n(.+?)^ *# END SOLUTION$", master, re.M | re.S)
    lines = [line for answer in answers for line in answer.splitlines() if len(line.strip()) > 30]
    assert len(lines) > 5 and [line for line in lines if line in code] == []
    blocks = re.findall(r"^# # BEGIN SOLUTION$(.+?)^# # END SOLUTION$", master, re.M | re.S)
    written = [text for block in blocks for text in re.findall(r"^# %% \[markdown\]\n# (.+)", block, re.M)]
    assert written
    prose = "\n".join(cell.source for cell in assignment.student.cells if cell.cell_type == "markdown")
    assert [text for text in written if text in prose] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_student_carries_the_tests_that_he_may_see(name: str) -> None:
    tests = carried(built(name).student)
    assert tests == built(name).student.metadata["otter"]["tests"]
    assert not any("hidden=True" in text for text in tests.values())
    assert any("hidden=True" in text for text in built(name).tests.values())


def unsealed(source: str) -> str:
    """The code inside a sealed cell."""
    return zlib.decompress(base64.b64decode(re.search(r'b64decode\("""(.*?)"""', source, re.S)[1])).decode()


@pytest.mark.parametrize("name", NAMES)
def test_a_sealed_run_is_in_clear_for_the_teacher(name: str) -> None:
    student, solution = built(name).student, built(name).solution
    sealed = [cell.source for cell in student.cells if "sealed" in tags(cell)]
    clear = [cell.source for cell in solution.cells if "sealed" in tags(cell)]
    used = course.names_outside_seals(student)
    assert [unsealed(source) for source in sealed] == [course.disguised(code, used) for code in clear]
    assert not any(inside.splitlines()[-1] in "\n".join(sealed) for inside in clear)


@pytest.mark.parametrize("name", NAMES)
def test_no_help_on_what_is_sealed(name: str) -> None:
    """What `help(f)` and `f?` would show after the cell has run: no docstring, and no name but the needed ones."""
    student, solution = built(name).student, built(name).solution
    clear = "\n".join(cell.source for cell in solution.cells if "sealed" in tags(cell))
    telling = [node.name for node in ast.walk(ast.parse(clear)) if isinstance(node, ast.FunctionDef)]
    assert telling and clear.count('"""') >= 2 * len(telling), "the teacher's version explains each function"
    with contextlib.redirect_stdout(io.StringIO()):
        space: dict = {"__name__": "__main__"}
        for cell in student.cells:
            if cell.cell_type == "code" and "setup" not in tags(cell):
                before = set(space)
                with contextlib.nullcontext() if "sealed" in tags(cell) else contextlib.suppress(Exception):
                    exec(cell.source, space)
                if "sealed" in tags(cell):
                    functions = [f for key in set(space) - before if inspect.isfunction(f := space[key])]
                    assert [f for f in functions if inspect.getdoc(f) is not None] == []
                    needed = course.names_outside_seals(student)
                    odd = [f.__name__ for f in functions if f.__name__ not in needed]
                    assert all(re.fullmatch(r"p\d+", word) for word in odd) and not set(odd) & set(telling)
                    break


def test_a_disguise_changes_no_answer() -> None:
    code = '''
def leaks_a_little(x, y=2):
    """Say what is wrong."""
    # and here too
    return helper(x) + y


def helper(x):
    """Only this."""


def needed(x):
    "One line."
    return leaks_a_little(x)


table = {"A": leaks_a_little, "B": helper}
'''
    hidden = course.disguised(code.replace("helper(x) +", "x +"), {"needed", "p1"})
    space: dict = {}
    exec(hidden, space)
    assert space["needed"](3) == 5 and space["table"]["B"](0) is None
    assert [f.__name__ for f in (space["table"]["A"], space["table"]["B"], space["needed"])] == ["p2", "p3", "needed"]
    assert not any(word in hidden for word in ("wrong", "here", "leaks", "helper", "One line"))


def test_a_build_repeats() -> None:
    again = course.assign(course.MASTERS / f"{LIGHT}.py")
    assert again.student == built(LIGHT).student and again.solution == built(LIGHT).solution


def test_points_that_differ_from_the_heading_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (course.MASTERS / f"{LIGHT}.py").read_text(encoding="utf-8")
    path = tmp_path / "assignments" / f"{LIGHT}.py"
    path.parent.mkdir()
    path.write_text(text.replace("**Question 1** · 5 points", "**Question 1** · 6 points"), encoding="utf-8")
    shutil.copy(course.MASTERS.parent / "otter.yml", tmp_path)
    monkeypatch.setattr(course, "MASTERS", path.parent)
    with pytest.raises(ValueError, match="q1: 6 points announced, 5 in its tests"):
        course.assign(path)


def test_the_archive_names_what_a_grader_must_install(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(built(LIGHT).archive)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {f"tests/{name}.py" for name in by_machine(built(LIGHT))} <= set(archive.namelist())
        assert "dclib @ git+https://" in archive.read("environment.yml").decode()


def test_run_times_in_the_guide_are_the_measured_ones() -> None:
    text = (ROOT / "book" / "course" / "teaching.md").read_text(encoding="utf-8")
    taken = json.loads(course.RUNTIMES.read_text(encoding="utf-8"))
    assert list(taken) == NAMES
    for name, found in taken.items():
        assert f"| {name} | {found['seconds']:.0f} s |" in text, name
        assert found["seconds"] < 2 * 300, "five minutes on two cores"


# --- the student ---


def test_a_lone_notebook_in_an_empty_folder(tmp_path: Path) -> None:
    """The tests travel in the notebook. With the first answer filled in, the first check passes, the second fails."""
    nb, solution = (nbformat.from_dict(form) for form in (built(LIGHT).student, built(LIGHT).solution))
    first = next(i for i, cell in enumerate(nb.cells) if cell.source == 'grader.check("q1")')
    answer = next(cell for cell in solution.cells if "def chance_first" in cell.source)
    cells = [*nb.cells[: first - 1], answer, nb.cells[first], nbformat.v4.new_code_cell('grader.check("q2")')]
    few = nbformat.v4.new_notebook(cells=cells, metadata=nb.metadata)
    with kernel_environment("book") as env:
        where = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(few, timeout=300, kernel_name="python3", resources=where).execute(env=env)
    passed, failed = (cell.outputs[-1]["data"]["text/plain"] for cell in few.cells[-2:])
    assert passed == "q1 results: All test cases passed!" and "Test case failed" in failed
    assert sorted(path.name for path in tmp_path.iterdir()) == [".OTTER_LOG", f"tests-{LIGHT}"]


def test_colab_where_the_notebook_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """otter refuses tests in a notebook's metadata there; ours are in files that the first cell unpacks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(IPythonInterpreter.COLAB.value, "check_strs", ["None"])  # what get_ipython() is here
    assert IPythonInterpreter.COLAB.value.running()
    with pytest.raises(ValueError, match="does not exist"):
        otter_notebook.Notebook("some.ipynb")
    source = next(cell.source for cell in built(LIGHT).student.cells if "setup" in tags(cell))
    space: dict = {}
    exec(re.sub(r"^( +)%pip.*", r"\1pass", source, flags=re.M), space)
    assert not space["grader"].check("q1", {}).passed_all
    space["nothing"] = None
    assert space["grader"].interpreter is IPythonInterpreter.COLAB


# --- the site ---


def test_the_site_does_not_index_the_masters() -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert "course" in config["exclude_patterns"]
    assert config["only_build_toc_files"]

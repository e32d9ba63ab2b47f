"""Mark a notebook within this process, by otter-grader's own checker and the tests of an autograder's archive.

otter starts a kernel for each notebook, which imports PyTorch anew; here the cells run in a namespace of their own. One
assignment is graded both ways, and the marks are compared.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import otter
from nbformat import NotebookNode
from otter.execute import Checker

from tools.chapters import tags
from tools.course import Assignment


@contextlib.contextmanager
def grading(folder: Path) -> Iterator[None]:
    """otter's grading mode: `grader.check` runs all tests in ``folder`` and notes their results."""
    was, backend = Path.cwd(), matplotlib.get_backend()
    matplotlib.use("agg")
    os.chdir(folder)
    otter.Notebook.init_grading_mode(str(folder))
    try:
        yield
    finally:
        otter.Notebook._grading_mode, otter.Notebook._tests_dir_override = False, None
        Checker.disable_tracking()
        Checker.clear_results()
        os.chdir(was)
        matplotlib.use(backend)


def marks(assignment: Assignment, nb: NotebookNode, folder: Path) -> dict[str, float]:
    """Run a notebook cell by cell, failing cells and all, and return the points of each question that a machine marks."""
    for name, text in assignment.tests.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    space: dict = {"__name__": "__main__"}
    with grading(folder), contextlib.redirect_stdout(io.StringIO()):
        exec("import otter\ngrader = otter.Notebook()", space)
        for cell in nb.cells:
            if cell.cell_type == "code" and "setup" not in tags(cell):
                with contextlib.suppress(Exception):
                    exec(compile(cell.source, cell.id, "exec"), space)
        for name in assignment.tests:
            Checker.check_if_not_already_checked(str(folder / f"{name}.py"), space)
        results = {test.name: test.score for test in Checker.get_results()}
    return {name: round(results[name], 6) for name in assignment.tests}

"""The book is the library: what a chapter shows of ``dclib`` is what it holds, down to the character."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat.v4
import pytest

from tools import chapters, execute, new_chapter, sync
from tools.chapters import Chapter

MODULE = '''"""A sample."""

import numpy as np


def double(x: np.ndarray, by: float = 2.0) -> np.ndarray:
    """Return x, scaled.

    Derived in :doc:`/notebooks/part/chapter`.

    Parameters
    ----------
    x
        Numbers, (n,).
    """
    # a comment
    return x * by + 1  # (n,)


class Pair:
    """Two numbers.

    Derived in :doc:`/notebooks/part/chapter`.
    """

    def total(self) -> int:
        """Return the sum.

        No more to say.
        """
        return self.a + self.b
'''
CELL = '''# dclib/sample.py
def double(x: np.ndarray, by: float = 2.0) -> np.ndarray:
    """Return x, scaled."""
    # a comment
    return x * by + 1  # (n,)


class Pair:
    """Two numbers."""

    def total(self) -> int:
        """Return the sum."""
        return self.a + self.b'''
PYPROJECT = '[project.urls]\nRepository = "https://github.com/someone/book"\nBook = "https://someone.github.io/book/"\n'


# --- the book itself ---


@pytest.mark.parametrize("path", chapters.files(), ids=lambda p: chapters.read(p).name)
def test_chapter_shows_the_library(path: Path) -> None:
    problems = sync.check_chapter(chapters.read(path))
    assert not problems, "\n".join(map(str, problems))


def test_addresses_agree_with_pyproject() -> None:
    problems = list(sync.sync_addresses(chapters.ROOT))
    assert not problems, "\n".join(map(str, problems))


def test_docstrings_and_chapters_link_each_other() -> None:
    problems = list(sync.check_derived(chapters.ROOT))
    assert not problems, "\n".join(map(str, problems))


# --- the test itself: it fails when it should ---


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A book of one module and one chapter, in step."""
    (tmp_path / "dclib").mkdir()
    (tmp_path / "dclib" / "sample.py").write_text(MODULE)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    path = new_chapter.create("part/chapter", "A title", tmp_path)
    chapter = chapters.read(path, tmp_path)
    chapter.nb.cells.insert(3, nbformat.v4.new_code_cell(CELL, id="shown", execution_count=3))
    chapters.write(chapter)
    assert sync.check(tmp_path) == []
    return path


def edit(path: Path, change: Callable[[Chapter], None]) -> list[str]:
    """Change a chapter of the book and return what the check says."""
    root = path.parents[2]
    chapter = chapters.read(path, root)
    change(chapter)
    chapters.write(chapter)
    return [str(problem) for problem in sync.check(root)]


def replace(old: str, new: str) -> Callable[[Chapter], None]:
    """Return a change that replaces text in the library cell."""

    def change(chapter: Chapter) -> None:
        cell = chapter.nb.cells[3]
        assert old in cell.source
        cell.source = cell.source.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    "old, new, function, kind",
    [
        ("+ 1", "+ 2", "double", "syntax tree differs"),
        ("x * by", "x / by", "double", "syntax tree differs"),
        ("x * by", "y * by", "double", "syntax tree differs"),
        ("by: float", "by: int", "double", "syntax tree differs"),
        ("self.b", "self.a", "Pair", "syntax tree differs"),
        ("2.0", "2.00", "double", "text differs"),
        ("a comment", "another comment", "double", "text differs"),
        ("Two numbers.", "Two figures.", "Pair", "text differs"),
        ("Return the sum.", "Return a sum.", "Pair", "text differs"),
    ],
)
def test_a_changed_function_is_named(book: Path, old: str, new: str, function: str, kind: str) -> None:
    problems = edit(book, replace(old, new))
    assert len(problems) == 1
    assert problems[0].startswith(
        f"notebooks/part/chapter.ipynb, cell 4 (id shown), {function}: {kind} from dclib/sample.py"
    )
    assert re.search(r"^    -.*\n    \+.*", problems[0], re.M)


def test_no_single_character_can_change_unseen(book: Path) -> None:
    chapter = chapters.read(book, book.parents[2])
    for place, old in enumerate(CELL):
        cell = chapter.nb.cells[3]
        cell.source = CELL[:place] + ("x" if old != "x" else "y") + CELL[place + 1 :]
        assert sync.check_chapter(chapter), f"changing character {place}, {old!r}, passed"


@pytest.mark.parametrize("path", chapters.files(), ids=lambda p: chapters.read(p).name)
def test_real_chapters_fail_when_one_character_changes(path: Path) -> None:
    chapter = chapters.read(path)
    for number, cell in chapter.code():
        for pattern in (r"(?<=\n)(?!#).*\d", r"(?<=\n)(?!#).* [-+*/=<>] ", r"(?<=\n)    .*\b[a-z]+\b"):
            if chapters.library_module(cell) and (match := re.search(pattern, cell.source)):
                text, place = cell.source, match.end() - 1 - match[0].endswith(" ")
                cell.source = text[:place] + ("7" if text[place] != "7" else "8") + text[place + 1 :]
                assert any(f"cell {number} " in str(p) for p in sync.check_chapter(chapter)), cell.source
                cell.source = text


@pytest.mark.parametrize(
    "change, expected",
    [
        (
            replace("def double", "import os\n\n\ndef double"),
            "whole functions and classes of dclib/sample.py only, not `import os`",
        ),
        (replace("def double", "def duoble"), "has no such function or class; did you mean double?"),
        (replace("sample.py", "simple.py"), "there is no dclib/simple.py"),
        (replace("return x", "return (x"), "is not Python"),
        (replace("# dclib/sample.py\n", ""), "make `# dclib/sample.py` the first line"),
        (lambda c: c.nb.cells.pop(3), "no such chapter, or it does not show it"),
        (lambda c: c.nb.cells.pop(1), "the setup cell must be cell 2"),
        (lambda c: c.nb.cells[1].metadata.pop("tags"), "the tag hide-cell is missing"),
        (
            lambda c: c.nb.cells[1].update(source=c.nb.cells[1].source.replace("someone", "else")),
            "setup cell: text differs",
        ),
    ],
)
def test_other_breaks_are_found(book: Path, change: Callable[[Chapter], None], expected: str) -> None:
    assert expected in "\n".join(edit(book, change))


def test_a_docstring_without_its_link_is_found(book: Path) -> None:
    module = book.parents[2] / "dclib" / "sample.py"
    module.write_text(MODULE.replace("    Derived in :doc:`/notebooks/part/chapter`.\n", "", 1))
    assert [str(p) for p in sync.check(book.parents[2])] == [
        "dclib/sample.py, double: the docstring lacks the line `Derived in :doc:`/notebooks/part/chapter`.`"
    ]


# --- make sync ---


def test_sync_rewrites_a_stub_and_keeps_ids_and_outputs(book: Path) -> None:
    output = nbformat.v4.new_output("stream", text="kept")

    def stub(chapter: Chapter) -> None:
        chapter.nb.cells[3].update(source="# dclib/sample.py\ndef double(): ...\nclass Pair: ...", outputs=[output])
        chapter.nb.cells.pop(1)

    assert edit(book, stub)
    assert sync.main(["--check", "--root", str(book.parents[2])]) == 1
    assert sync.main(["--root", str(book.parents[2])]) == 0
    cells = chapters.read(book).nb.cells
    assert cells[3].source == CELL
    assert (cells[3].id, cells[3].outputs, cells[3].execution_count, cells[1].id) == (
        "shown",
        [output],
        3,
        "setup",
    )
    before = book.read_bytes()
    assert sync.main(["--root", str(book.parents[2])]) == 0
    assert book.read_bytes() == before


def test_methods_of_a_class_are_shown_and_compared(book: Path) -> None:
    chapter = chapters.read(book, book.parents[2])
    text = "```python\n# dclib/sample.py, class Pair: total\n```"
    chapter.nb.cells.append(nbformat.v4.new_markdown_cell(text))
    assert any("text differs" in str(problem) for problem in sync.check_chapter(chapter))
    sync.rewrite(chapter)
    assert chapter.nb.cells[-1].source.splitlines()[2:] == [
        "class Pair:",
        "    def total(self) -> int:",
        '        """Return the sum."""',
        "        return self.a + self.b",
        "```",
    ]
    assert not [*sync.check_methods(chapter, 1, chapter.nb.cells[-1])]
    chapter.nb.cells[-1].source = text.replace("total", "product")
    assert any("has no 'product'" in str(problem) for problem in sync.check_chapter(chapter))


def test_sync_never_drops_code_that_is_not_the_librarys(book: Path) -> None:
    edit(book, replace("# dclib/sample.py\n", "# dclib/sample.py\nassert True\n"))
    assert sync.main(["--root", str(book.parents[2])]) == 1
    assert "assert True" in chapters.read(book).nb.cells[3].source


def test_the_address_is_changed_in_one_place(book: Path) -> None:
    root = book.parents[2]
    files = {
        "_config.yml": "repository:\n  url: {repo}\n  branch: main\nhtml:\n  baseurl: {site}/\n",
        "CITATION.cff": 'title: x\nrepository-code: "{repo}"\nurl: "{site}/"\n',
        "README.md": "git clone {repo}.git\n[peer](https://github.com/other/dec)\n{repo}/issues {site}/a\n",
        "book/intro.md": "https://mybinder.org/v2/gh/someone/book/main\n",
        ".github/workflows/x.yml": "pip install git+{repo}@main\n",
    }
    fill = {"repo": "https://github.com/someone/book", "site": "https://someone.github.io/book"}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.format(**fill))
    assert sync.check(root) == []
    (root / "pyproject.toml").write_text(PYPROJECT.replace("someone", "new-home"))
    assert len(sync.check(root)) == len(files) + 2  # and the chapter, as text and as setup cell
    assert sync.main(["--root", str(root)]) == 0
    for name, text in files.items():
        expected = text.format(**{k: v.replace("someone", "new-home") for k, v in fill.items()})
        assert (root / name).read_text() == expected.replace("gh/someone", "gh/new-home")
    (root / "README.md").write_text("git clone https://github.com/stale/book\n")
    assert "address differs" in str(sync.check(root)[0])


def test_fingerprint_sees_code_and_not_comments() -> None:
    def fingerprint(source: str) -> str:
        return execute.fingerprint(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]))

    base = fingerprint('def f():\n    """Say."""\n    return 1')
    assert base == fingerprint('def f():\n    """Say it."""\n    return 1  # one')
    assert base != fingerprint('def f():\n    """Say."""\n    return 2')
    assert fingerprint("%pip install a") != fingerprint("%pip install b")

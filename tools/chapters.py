"""Read and write chapters: the notebooks below ``notebooks/``, their cells, names and code."""

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat.v4
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
SETUP_MARK = "# Colab and other bare machines:"
LIBRARY_CELL = re.compile(r"# (dclib/[\w/]+\.py)[ \t]*(?:\n|$)")
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (file, cell, function), what, and a short diff or quotation."""

    where: str
    what: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + "".join(f"\n    {line}" for line in self.detail.splitlines())


@dataclass(frozen=True)
class Chapter:
    """One notebook of the book: its file, the root of its repository and its content."""

    path: Path
    root: Path
    nb: NotebookNode

    @property
    def name(self) -> str:
        """The chapter as people call it, e.g. ``foundations/metrics``."""
        return self.file.removeprefix("notebooks/").removesuffix(".ipynb")

    @property
    def file(self) -> str:
        """The notebook's path from the repository root."""
        path, root = self.path.resolve(), self.root.resolve()
        return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()

    @property
    def docname(self) -> str:
        """The absolute name by which Sphinx knows the page, e.g. ``/notebooks/foundations/metrics``."""
        return "/" + self.file.removesuffix(".ipynb")

    def where(self, number: int) -> str:
        """Name cell ``number`` (counted from 1 over all cells) for a message."""
        return f"{self.file}, cell {number} (id {self.nb.cells[number - 1].get('id', 'none')})"

    def code(self) -> Iterator[tuple[int, NotebookNode]]:
        """Yield (number, cell) for every code cell."""
        return ((i, cell) for i, cell in enumerate(self.nb.cells, 1) if cell.cell_type == "code")

    def prose(self) -> Iterator[tuple[int, str]]:
        """Yield (number, text) for every Markdown cell."""
        return ((i, cell.source) for i, cell in enumerate(self.nb.cells, 1) if cell.cell_type == "markdown")


def read(path: Path, root: Path = ROOT) -> Chapter:
    """Read one notebook, without repairing it."""
    return Chapter(Path(path), root, nbformat.reads(Path(path).read_text(encoding="utf-8"), nbformat.NO_CONVERT))


def files(root: Path = ROOT) -> list[Path]:
    """Return the paths of all chapters, sorted; checkpoints and other hidden folders are left out."""
    found = sorted((root / "notebooks").rglob("*.ipynb"))
    return [p for p in found if not any(part.startswith(".") for part in p.relative_to(root).parts)]


def write(chapter: Chapter) -> None:
    """Write the notebook beside itself and rename it, so that a killed run leaves the old one whole."""
    aside = chapter.path.with_suffix(".ipynb.part")
    text = nbformat.v4.writes_json(chapter.nb).rstrip("\n") + "\n"
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, chapter.path)


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def is_setup(cell: NotebookNode) -> bool:
    """Whether this is the folded cell that installs the package on a bare machine."""
    return cell.cell_type == "code" and cell.source.startswith(SETUP_MARK)


def is_plumbing(cell: NotebookNode) -> bool:
    """Whether this cell only takes numbers for the prose; the site leaves it out, plain notebooks fold it."""
    return "plumbing" in tags(cell)


def library_module(cell: NotebookNode) -> str | None:
    """Return the module that a library cell shows, e.g. ``dclib/metrics.py``; None for any other cell."""
    match = LIBRARY_CELL.match(cell.source) if cell.cell_type == "code" else None
    return match and match[1]


def parse(source: str) -> ast.Module:
    """Parse the code of a cell; lines of IPython magic count as ``pass``.

    Raises
    ------
    SyntaxError
        If what remains is not Python.
    """
    plain = re.sub(r"^([ \t]*)[%!].*$", r"\1pass", source, flags=re.M)
    return compile(plain, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def documented(tree: ast.AST) -> list[ast.AST]:
    """Return every module, class and function in ``tree`` that has a docstring."""
    kinds = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [n for n in ast.walk(tree) if isinstance(n, kinds) and ast.get_docstring(n, clean=False) is not None]


def code_lines(source: str) -> int:
    """Count the lines of code: neither blank nor comment nor docstring."""
    lines = {i for i, line in enumerate(source.splitlines(), 1) if line.strip() and not line.strip().startswith("#")}
    for node in documented(parse(source)):
        lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)

"""Keep the book and the library the same: rewrite library cells, setup cells and addresses, or check them.

A code cell whose first line is ``# dclib/<path>.py`` shows whole functions and classes of that module.
The names in the cell say which and in what order (``def name(): ...`` is enough to start); everything
else comes from the library: signature, body and comments as they are, each docstring cut to its first line.

Some methods of a class are shown in a fenced block of a Markdown cell, which is read and not run. Its first line is
``# dclib/<path>.py, class Name: method, method``; the rest comes from the library.
"""

import argparse
import ast
import contextlib
import copy
import difflib
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import nbformat.v4
from nbformat import NotebookNode

from tools import chapters
from tools.chapters import ROOT, Chapter, Definition, Problem

SETUP = (
    chapters.SETUP_MARK
    + """ install the book's package where it is missing.
import importlib.util

if importlib.util.find_spec("dclib") is None:
    %pip install -q "dclib[umap] @ git+{address}"
"""
)
EXTRAS = {  # what a chapter needs that others do not, by its name
    "features/pretrained_features": ["features", "images"],
    "applications/segmentation": ["images", "features"],
    "applications/text": ["text"],
    "applications/single_cells": ["cells"],
}
SLUG = r"[\w.-]+/[\w-]+(?:\.(?!git\b)[\w-]+)*"
OWN_LINKS = [  # links that can only mean this book's own repository
    rf"(?<=colab\.research\.google\.com/github/){SLUG}",
    rf"(?<=mybinder\.org/v2/gh/){SLUG}",
    rf"(?<=git\+https://github\.com/){SLUG}",
    rf"(?<=git clone https://github\.com/){SLUG}",
]
METHODS = re.compile(r"```python\n# (dclib/\S+\.py), class (\w+): ([\w, ]+)\n(.*?)```", re.S)
DERIVED = re.compile(r"Derived in\s(.*?)(?:\n\s*\n|\Z)", re.S)
DOC_ROLE = re.compile(r":doc:`(?:[^`<]*<)?([^`<>]+)>?`")


# --- the library cells ---


@lru_cache(maxsize=1024)
def definitions(source: str) -> dict[str, Definition]:
    """Return the top-level functions and classes of a module or cell by name; they are not to be changed."""
    return {node.name: node for node in chapters.parse(source).body if isinstance(node, Definition)}


def names_shown(cell: NotebookNode) -> list[str]:
    """Return the names that a cell defines; none if it cannot be parsed, which other checks report."""
    with contextlib.suppress(SyntaxError):
        return list(definitions(cell.source))
    return []


def segment(source: str, node: Definition) -> str:
    """Return the lines of a definition, decorators included, as they are written."""
    start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return "\n".join(source.splitlines()[start - 1 : node.end_lineno])


def shown(source: str, node: Definition) -> str:
    """Return a definition as a chapter shows it: every docstring in it cut to its first line."""
    lines = source.splitlines()
    for inner in sorted(chapters.documented(node), key=lambda n: -n.lineno):
        doc = inner.body[0].value
        if doc.lineno < doc.end_lineno:
            start, end = lines[doc.lineno - 1], lines[doc.end_lineno - 1]
            quote = re.match(r"[rRuU]?(\"\"\"|''')", start[doc.col_offset :])
            text = [start[doc.col_offset + quote.end() :], *lines[doc.lineno : doc.end_lineno]]
            summary = next((t.strip() for t in text if t.strip()), "").removesuffix(quote[1])
            rest = end.encode()[doc.end_col_offset :].decode()
            lines[doc.lineno - 1] = start[: doc.col_offset] + quote[0] + summary + quote[1] + rest
            lines[doc.lineno : doc.end_lineno] = [None] * (doc.end_lineno - doc.lineno)
    start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return "\n".join(line for line in lines[start - 1 : node.end_lineno] if line is not None)


def tree(node: Definition) -> str:
    """Return a definition's syntax tree as text, docstrings aside."""
    bare = copy.deepcopy(node)
    for inner in chapters.documented(bare):
        inner.body = inner.body[1:]
    return ast.dump(bare)


def render(module: str, names: list[str], root: Path) -> str:
    """Return the source of the library cell that shows ``names`` of ``module``."""
    source = (root / module).read_text(encoding="utf-8")
    known = definitions(source)
    return f"# {module}\n" + "\n\n\n".join(shown(source, known[name]) for name in names)


def render_methods(module: str, name: str, wanted: str, root: Path) -> str:
    """Return the block that shows the methods ``wanted`` of a class.

    Raises
    ------
    KeyError
        If the module has no such class, or the class no such method of its own.
    """
    source = (root / module).read_text(encoding="utf-8")
    owner = definitions(source)[name]
    own = {node.name: node for node in owner.body if isinstance(node, Definition)}
    bases = f"({', '.join(map(ast.unparse, owner.bases))})" if owner.bases else ""
    bodies = "\n\n".join(shown(source, own[method.strip()]) for method in wanted.split(","))
    return f"```python\n# {module}, class {name}: {wanted}\nclass {name}{bases}:\n{bodies}\n```"


def check_methods(chapter: Chapter, number: int, cell: NotebookNode) -> Iterator[Problem]:
    """Compare the blocks of a Markdown cell that show methods with the library."""
    for block in METHODS.finditer(cell.source):
        module, name, wanted, _ = block.groups()
        try:
            right = render_methods(module, name, wanted, chapter.root)
        except (OSError, KeyError) as error:
            yield Problem(f"{chapter.where(number)}, {name}", f"{module} has no {error}")
            continue
        if right != block[0]:
            yield Problem(f"{chapter.where(number)}, {name}", f"text differs from {module}", diff(right, block[0]))


def diff(library: str, cell: str, limit: int = 12) -> str:
    """Return the lines that differ: ``-`` in the library, ``+`` in the cell."""
    lines = list(difflib.unified_diff(library.splitlines(), cell.splitlines(), n=0, lineterm=""))
    changed = [line for line in lines[2:] if not line.startswith("@@")]
    return "\n".join(changed[:limit] + ["…"] * (len(changed) > limit))


def unparsable(chapter: Chapter, number: int, cell: NotebookNode) -> Problem | None:
    """Say that a cell is not Python, or return None."""
    try:
        chapters.parse(cell.source)
    except SyntaxError as error:
        return Problem(chapter.where(number), f"is not Python: {error}")
    return None


def unreadable(chapter: Chapter, number: int, cell: NotebookNode) -> Problem | None:
    """Say why a library cell can be neither compared nor rewritten, or return None."""
    module, where = chapters.library_module(cell), chapter.where(number)
    if not (chapter.root / module).is_file():
        return Problem(where, f"there is no {module}")
    if problem := unparsable(chapter, number, cell):
        return problem
    body = chapters.parse(cell.source).body
    others = [node for node in body if not isinstance(node, Definition)]
    if others or not body:
        what = ast.unparse(others[0]) if others else "nothing"
        return Problem(where, f"a library cell holds whole functions and classes of {module} only, not `{what}`")
    known = definitions((chapter.root / module).read_text(encoding="utf-8"))
    for node in body:
        if node.name not in known:
            near = difflib.get_close_matches(node.name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return Problem(f"{where}, {node.name}", f"{module} has no such function or class{hint}")
    return None


def check_cell(chapter: Chapter, number: int, cell: NotebookNode) -> Iterator[Problem]:
    """Compare a library cell with the library, function by function, then as a whole."""
    if problem := unreadable(chapter, number, cell):
        yield problem
        return
    module, mine = chapters.library_module(cell), definitions(cell.source)
    source = (chapter.root / module).read_text(encoding="utf-8")
    known, found = definitions(source), False
    for name, node in mine.items():
        theirs, here = shown(source, known[name]), segment(cell.source, node)
        if theirs != here:
            found = True
            kind = "text differs" if tree(node) == tree(known[name]) else "syntax tree differs"
            yield Problem(f"{chapter.where(number)}, {name}", f"{kind} from {module}", diff(theirs, here))
    whole = render(module, list(mine), chapter.root)
    if not found and whole != cell.source:
        yield Problem(
            f"{chapter.where(number)}, {', '.join(mine)}",
            f"text differs from {module}",
            diff(whole, cell.source) or "(white space)",
        )


def public(root: Path) -> dict[str, str]:
    """Return the module of every public function and class of the library, the command line aside."""
    modules = [p for p in sorted((root / "dclib").rglob("*.py")) if p.name != "cli.py"]
    return {
        name: path.relative_to(root).as_posix()
        for path in modules
        for name in definitions(path.read_text(encoding="utf-8"))
        if not name.startswith("_")
    }


def check_untagged(chapter: Chapter) -> Iterator[Problem]:
    """Find cells that define a function of the library without saying that it is the library's."""
    known = public(chapter.root)
    for number, cell in chapter.code():
        if not chapters.library_module(cell):
            if problem := unparsable(chapter, number, cell):
                yield problem
            for name in [n for n in names_shown(cell) if n in known]:
                yield Problem(
                    f"{chapter.where(number)}, {name}",
                    f"{known[name]} has a function of this name: "
                    f"make `# {known[name]}` the first line of the cell, or choose another name",
                )


# --- the setup cell ---


def urls(root: Path) -> dict[str, str]:
    """Return ``Repository`` and ``Book``, the addresses, from pyproject.toml: the one place to change."""
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    return {key: value.removesuffix(".git").rstrip("/") for key, value in table.items()}


def setup(chapter: Chapter) -> str:
    """Return the setup cell of a chapter: with the extras that it needs."""
    text = SETUP.format(address=urls(chapter.root)["Repository"]).rstrip("\n")
    return text.replace("dclib[umap]", f"dclib[{','.join(['umap', *EXTRAS.get(chapter.name, [])])}]")


def check_setup(chapter: Chapter) -> Iterator[Problem]:
    """Check that cell 2, and no other, is the folded setup cell with the right address."""
    text = setup(chapter)
    found = [i for i, cell in chapter.code() if chapters.is_setup(cell)]
    if found != [2]:
        yield Problem(chapter.file, f"the setup cell must be cell 2 and nowhere else (found: {found or 'none'})")
    for number in found:
        cell = chapter.nb.cells[number - 1]
        if cell.source != text:
            yield Problem(chapter.where(number), "setup cell: text differs", diff(text, cell.source))
        if "hide-cell" not in chapters.tags(cell):
            yield Problem(chapter.where(number), "setup cell: the tag hide-cell is missing")


def write_setup(chapter: Chapter) -> None:
    """Put the setup cell in its place, keeping the id and the output of one that is there."""
    cells = chapter.nb.cells
    found = [cell for cell in cells if chapters.is_setup(cell)]
    cell = found[0] if found else nbformat.v4.new_code_cell(id="setup")
    cells[:] = [c for c in cells if not chapters.is_setup(c)]
    cell.source = setup(chapter)
    cell.metadata["tags"] = sorted({*chapters.tags(cell), "hide-cell"})
    cells.insert(1, cell)


# --- the address ---


def address_files(root: Path) -> list[Path]:
    """Return the text files that may carry the addresses; ``_config.yml``, which knows the old ones, last."""
    names = [
        "README.md",
        "CONTRIBUTING.md",
        "CITATION.cff",
        "environment.yml",
        "book/**/*.md",
        ".github/**/*.yml",
        ".github/**/*.md",
        "notebooks/**/*.ipynb",
        "_config.yml",
    ]
    return [path for name in names for path in sorted(root.glob(name)) if path.is_file()]


def old_urls(root: Path) -> dict[str, str]:
    """Return the addresses that ``_config.yml`` holds: those in force before pyproject.toml was changed."""
    config = root / "_config.yml"
    text = config.read_text(encoding="utf-8") if config.is_file() else ""
    keys = {
        "Repository": r"^repository:\s*\n(?:[ \t]+.*\n)*?[ \t]+url:[ \t]*",
        "Book": r"^[ \t]+baseurl:[ \t]*",
    }
    found = {
        key: re.search(pattern + r"[\"']?([^\s\"']+?)/?[\"']?[ \t]*$", text, re.M) for key, pattern in keys.items()
    }
    return {key: match[1].removesuffix(".git") for key, match in found.items() if match}


def readdress(text: str, old: dict[str, str], new: dict[str, str]) -> str:
    """Return ``text`` with the old addresses, and every link that can only be ours, set to the new ones."""
    for key in sorted(old.keys() & new.keys(), key=lambda k: -len(old[k])):
        text = re.sub(re.escape(old[key]) + r"(?![\w-])", lambda _, key=key: new[key], text)
    text = re.sub(r"(?m)^(repository-code:[ \t]*[\"']?)[^\s\"']+", rf"\g<1>{new['Repository']}", text)
    slug = new["Repository"].removeprefix("https://github.com/")
    for pattern in OWN_LINKS:
        text = re.sub(pattern, slug, text)
    return text


def sync_addresses(root: Path, write: bool = False) -> Iterator[Problem]:
    """Check the addresses in every file that carries them; with ``write``, set them first."""
    new, old = urls(root), old_urls(root)
    for path in address_files(root):
        text = path.read_text(encoding="utf-8")
        right = readdress(text, old, new)
        if right != text and write:
            path.write_text(right, encoding="utf-8")
            print(f"{path.relative_to(root)}: address set")
        elif right != text:
            yield Problem(path.relative_to(root).as_posix(), "address differs from pyproject.toml", diff(right, text))


# --- "Derived in" ---


def derived_in(root: Path = ROOT) -> dict[tuple[str, str], list[str]]:
    """Return, for each (module, function) that a chapter shows, the absolute docnames of the chapters."""
    index: dict[tuple[str, str], list[str]] = {}
    for chapter in (chapters.read(path, root) for path in chapters.files(root)):
        for _, cell in chapter.code():
            if module := chapters.library_module(cell):
                for name in names_shown(cell):
                    pages = index.setdefault((module, name), [])
                    pages += [chapter.docname] * (chapter.docname not in pages)
    return index


def derived_links(node: Definition) -> list[str]:
    """Return the docnames in the "Derived in" paragraph of a docstring."""
    paragraph = DERIVED.search(ast.get_docstring(node) or "")
    return DOC_ROLE.findall(paragraph[1]) if paragraph else []


def names_used(root: Path, docname: str) -> set[str]:
    """Return the words in the code of a chapter (none where there is no such chapter)."""
    path = root / (docname.lstrip("/") + ".ipynb")
    code = chapters.read(path, root).code() if path.is_file() else ()
    return {name for _, cell in code for name in re.findall(r"\w+", cell.source)}


def check_derived(root: Path) -> Iterator[Problem]:
    """Check that a shown function links to its chapters, and that each link leads to one that shows it.

    A class may also be linked to a chapter that uses it without showing its text.
    """
    index = derived_in(root)
    for path in sorted((root / "dclib").rglob("*.py")):
        module = path.relative_to(root).as_posix()
        for name, node in definitions(path.read_text(encoding="utf-8")).items():
            links, pages = derived_links(node), index.get((module, name), [])
            for page in [p for p in pages if p not in links]:
                yield Problem(f"{module}, {name}", f"the docstring lacks the line `Derived in :doc:`{page}`.`")
            for link in [k for k in links if k not in pages]:
                if not (isinstance(node, ast.ClassDef) and name in names_used(root, link)):
                    yield Problem(f"{module}, {name}", f"`Derived in {link}`: no such chapter, or it does not show it")


# --- all of it ---


def check_chapter(chapter: Chapter) -> list[Problem]:
    """Return all that keeps one chapter from being the library."""
    cells = [p for i, cell in chapter.code() if chapters.library_module(cell) for p in check_cell(chapter, i, cell)]
    texts = [
        p
        for i, cell in enumerate(chapter.nb.cells, 1)
        if cell.cell_type == "markdown"
        for p in check_methods(chapter, i, cell)
    ]
    return [*check_setup(chapter), *cells, *texts, *check_untagged(chapter)]


def check(root: Path = ROOT) -> list[Problem]:
    """Return all that is out of step in the book at ``root``."""
    found = [p for path in chapters.files(root) for p in check_chapter(chapters.read(path, root))]
    return [*found, *sync_addresses(root), *check_derived(root)]


def rewrite(chapter: Chapter) -> bool:
    """Rewrite the library and setup cells of a chapter from the library; return whether anything changed."""
    before = copy.deepcopy(chapter.nb)
    for number, cell in chapter.code():
        module = chapters.library_module(cell)
        if module and not unreadable(chapter, number, cell):
            cell.source = render(module, list(definitions(cell.source)), chapter.root)
    for cell in chapter.nb.cells:
        if cell.cell_type == "markdown":
            with contextlib.suppress(OSError, KeyError):
                cell.source = METHODS.sub(lambda b: render_methods(*b.groups()[:3], chapter.root), cell.source)
    write_setup(chapter)
    if chapter.nb != before:
        chapters.write(chapter)
    return chapter.nb != before


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0 if everything is in step at the end."""
    parser = argparse.ArgumentParser(prog="python -m tools.sync", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="report, write nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this one)")
    args = parser.parse_args(argv)
    if not args.check:
        for problem in sync_addresses(args.root, write=True):
            print(problem)
        for path in chapters.files(args.root):
            chapter = chapters.read(path, args.root)
            if rewrite(chapter):
                print(f"{chapter.file}: rewritten from the library")
    problems = check(args.root)
    print(*problems, sep="\n", end="\n" if problems else "")
    print(
        f"book and library: {len(problems)} problem{'s' * (len(problems) != 1)}"
        + (" (python -m tools.sync mends what it can)" if problems and args.check else "")
    )
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())

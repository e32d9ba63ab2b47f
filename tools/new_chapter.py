"""Start a chapter: write a notebook with the headings of the anatomy and a TODO for each gap.

``python -m tools.new_chapter autoencoders/idec "Improved deep embedded clustering"``
"""

import argparse
import sys
from pathlib import Path

import nbformat
import nbformat.v4

from tools import chapters, execute, sync
from tools.chapters import ROOT, Chapter

BOX = """# {title}

:::{{admonition}} Before you start
:class: tip
- **You will be able to** TODO
- **Read first** TODO
- **Run time** <!-- runtime -->not measured yet<!-- /runtime -->
:::"""
SECTIONS = {
    "The idea": "TODO: in plain words, with one picture.",
    "A toy you can check by hand": "TODO: five points, the naive loop.",
    "The derivation": "TODO: numbered equations, each step justified.\n\n$$ TODO $$ (eq-{slug}-first)",
    "The code": "TODO: an equation, a cell: `# dclib/….py`, `def name(): ...`, then `make sync`.",
    "Training, step by step": "**Predict.** TODO\n\nTODO: the open loop; read each plot aloud.\n\n**Try it.** TODO",
    "The estimator": "TODO: the same in three lines, and the check that the numbers agree.",
    "Does it work?": "TODO: five seeds, the parent method, the published figure, the cost.",
    "Where it fails": "TODO: break it on purpose.",
    "Takeaways": "TODO",
    "Quiz": "1. TODO\n\n   ```{{dropdown}} Answer\n   TODO\n   ```",
    "Exercises": """````{{exercise}} TODO
:label: ex-{slug}-1

**Difficulty** ●○○ · **10 minutes**

TODO

```{{dropdown}} Hint
TODO
```
````""",
}
SOLUTION = "```{{solution-start}} ex-{slug}-1\n:class: dropdown\n```\n\nTODO"
REFERENCES = "## References\n\n```{bibliography}\n:filter: docname in docnames\n```"


def skeleton(title: str, slug: str) -> nbformat.NotebookNode:
    """Return the notebook; ``slug`` begins the labels of its equations and exercises."""
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [text(BOX.format(title=title)), code('from dclib import load\n\ndata = load("mnist-10k")')]
    cells += [text(f"## {head}\n\n{body.format(slug=slug)}") for head, body in SECTIONS.items()]
    cells += [
        text(SOLUTION.format(slug=slug)),
        code('assert "TODO"'),
        text("```{solution-end}\n```"),
        text(REFERENCES),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"{slug}-{number:02d}"
    return nbformat.v4.new_notebook(cells=cells)


def create(name: str, title: str, root: Path = ROOT) -> Path:
    """Write the skeleton of chapter ``name`` (``folder/file``) and return its path.

    Raises
    ------
    FileExistsError
        If the chapter is there already.
    """
    path = root / "notebooks" / f"{name}.ipynb"
    if path.exists():
        raise FileExistsError(f"{path.relative_to(root)} is there already")
    path.parent.mkdir(parents=True, exist_ok=True)
    chapter = Chapter(path, root, skeleton(title, path.stem.replace("_", "-")))
    execute.normalise(chapter.nb)
    sync.write_setup(chapter)
    chapters.write(chapter)
    return path


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.new_chapter", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="folder/file, e.g. autoencoders/idec")
    parser.add_argument("title")
    args = parser.parse_args(argv)
    path = create(args.name, args.title).relative_to(ROOT).as_posix()
    print(
        f"{path}: written. Add it to _toc.yml, fill the TODOs, then:\n"
        f"  python -m tools.sync && python -m tools.execute {path} && python -m tools.rules {path}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

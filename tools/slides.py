"""Make slides of chapters, by nbconvert and reveal.js, from the chapters' own equations, code, pictures and sentences.

``course/slides.yml`` says what is on a slide, by section and by cell; only the titles are written there. All the prose
of the section becomes the speaker's notes (press S). The source is the plain notebook that the site's build makes, in
which numbers and references are resolved. reveal.js comes from the package sphinx-revealjs and MathJax from the built
site, so that slides read without a network.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import sphinx_revealjs
import yaml
from nbconvert import SlidesExporter
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools.chapters import ROOT

LIST = ROOT / "course" / "slides.yml"
TEMPLATES = ROOT / "course"
SITE, OUT = ROOT / "_build" / "html", ROOT / "_build" / "course" / "slides"
HEADING = re.compile(r"^#{1,4} (.+)$", re.M)
FENCED = re.compile(r"^```.*?^```", re.S | re.M)
FOLDED = re.compile(r"<details>.*?</details>", re.S)
CITATION, LINK = re.compile(r" ?\[\[[^\]]*\]\([^)]*\)\]"), re.compile(r"\[([^\[\]]*)\]\([^)]*\)")
MATH = re.compile(r"\$\$.*?\$\$", re.S)
ITEMS = re.compile(r"(?:^(?:[-*]|\d+\.) .+(?:\n(?!\n|[-*] |\d+\. ).+)*\n?)+", re.M)
TOGETHER = re.compile(r" ± |\d+ of \d+ seeds")  # what a narrow column would break in two lines
KEPT = ("image/png", "text/markdown", "text/plain")  # no films: a slide is a picture
REVEAL = Path(sphinx_revealjs.__file__).parent / "_static" / "revealjs"


@dataclass
class Section:
    """A heading of a chapter and what stands below it, up to the next: its prose, and the code cells by id."""

    title: str
    prose: str = ""
    code: dict[str, NotebookNode] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """The sentences of the running text."""
        text = LINK.sub(r"\1", CITATION.sub("", self.prose))
        text = ITEMS.sub("\n\n", MATH.sub("\n\n", FENCED.sub("", FOLDED.sub("", text))))
        paragraphs = [" ".join(block.split()) for block in text.split("\n\n") if block.strip()]
        return [part.strip() for block in paragraphs for part in re.split(r"(?<=[.?:]) (?=[A-Z*`$])", block)]


def sections(nb: NotebookNode) -> dict[str, Section]:
    """Split a plain notebook at its headings; of two with the same title the first is kept."""
    found: dict[str, Section] = {}
    now = Section("")
    for cell in nb.cells:
        if cell.cell_type == "code":
            now.code[cell.id] = cell
            continue
        hidden = FENCED.sub(lambda match: match[0].replace("\n#", "\n\x00#"), cell.source)  # comments are no headings
        pieces = [piece.replace("\x00", "") for piece in HEADING.split(hidden)]
        now.prose += "\n\n" + pieces[0]
        for title, prose in zip(pieces[1::2], pieces[2::2], strict=True):
            now = Section(re.sub(r"[*`]", "", title).strip(), prose)
            found.setdefault(now.title, now)
    return found


def code_cell(cell: NotebookNode, shown: str) -> NotebookNode:
    """Return a code cell with its code, or with its picture or table alone."""
    outputs = []
    for output in cell.outputs if shown == "output" else []:
        kind = next((kind for kind in KEPT if kind in output.get("data", {})), None)
        if kind:
            text = TOGETHER.sub(lambda match: match[0].replace(" ", "\N{NO-BREAK SPACE}"), output.data[kind])
            outputs.append(nbformat.from_dict({"output_type": "display_data", "metadata": {}, "data": {kind: text}}))
    if shown == "output" and not outputs:
        raise ValueError(f"cell {cell.id} has no picture or table")
    made = new_code_cell(cell.source if shown == "code" else "", outputs=outputs)
    made.metadata["tags"] = ["output-alone"] if shown == "output" else []
    return made


def element(section: Section, wanted: str) -> NotebookNode:
    """Return one element of a slide: ``math 2``, ``list``, ``code ID``, ``output ID``, or a sentence by its beginning.

    Raises
    ------
    ValueError
        If the section has no such thing.
    """
    kind, _, which = wanted.partition(" ")
    if kind in ("code", "output"):
        if which not in section.code:
            raise ValueError(f"section {section.title!r} has no cell {which!r}; it has {list(section.code)}")
        return code_cell(section.code[which], kind)
    if kind in ("math", "list"):
        found = (MATH if kind == "math" else ITEMS).findall(FOLDED.sub("", section.prose))
        place = int(which or 1)
        if place > len(found):
            raise ValueError(f"section {section.title!r} has {len(found)} of {kind!r}, not {place}")
        return new_markdown_cell(found[place - 1].strip())
    found = [sentence for sentence in section.sentences() if sentence.startswith(wanted)]
    if not found:
        raise ValueError(f"section {section.title!r} has no sentence that begins with {wanted!r}")
    return new_markdown_cell(found[0])


def slide(title: str, section: Section, wanted: list[str]) -> Iterator[NotebookNode]:
    """Yield the cells of one slide: title, elements, and the section's prose as notes."""
    yield new_markdown_cell(f"## {title}", metadata={"slideshow": {"slide_type": "slide"}})
    yield from (element(section, one) for one in wanted)
    notes = MATH.sub("(equation)", section.prose).strip()
    if notes:
        yield new_markdown_cell(notes, metadata={"slideshow": {"slide_type": "notes"}})


def deck(nb: NotebookNode, slides: list[dict]) -> NotebookNode:
    """Return the notebook of a chapter's slides."""
    parts = sections(nb)
    name = next(iter(parts))
    cells = [new_markdown_cell(f"# {name}", metadata={"slideshow": {"slide_type": "slide"}})]
    section = ""
    for one in slides:
        section = one.get("section", section)
        if section not in parts:
            raise ValueError(f"the chapter has no section {section!r}; it has {list(parts)}")
        cells += slide(one.get("title", section), parts[section], one["show"])
    for number, cell in enumerate(cells):
        cell.id = f"slide-{number:03}"
    return new_notebook(cells=cells, metadata={"title": re.sub(r"[*$]", "", name)})


def html(nb: NotebookNode) -> str:
    """Return the slides as one page, which looks for reveal.js and MathJax beside it."""
    exporter = SlidesExporter(extra_template_basedirs=[str(TEMPLATES)], template_name="slides")
    exporter.reveal_url_prefix, exporter.reveal_theme, exporter.reveal_number = "reveal.js", "white", "c/t"
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    bare = TagRemovePreprocessor(enabled=True, remove_input_tags={"output-alone"})
    exporter.register_preprocessor(bare, enabled=True)
    return exporter.from_notebook_node(nb)[0]


def supplies(site: Path, out: Path) -> None:
    """Put reveal.js and MathJax beside the slides."""
    for name in ("dist", "plugin/notes"):
        shutil.copytree(REVEAL / name, out / "reveal.js" / name, ignore=shutil.ignore_patterns("*.map", "*.esm.js"))
    shutil.copytree(site / "_static" / "mathjax", out / "mathjax")


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.slides", description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=SITE, help="the built site")
    args = parser.parse_args(argv)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    supplies(args.site, OUT)
    for name, slides in yaml.safe_load(LIST.read_text(encoding="utf-8")).items():
        made = deck(nbformat.read(args.site / "notebooks" / f"{name}.ipynb", 4), slides)
        path = OUT / f"{Path(name).name}.html"
        path.write_text(html(made), encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(slides) + 1} slides")
    return 0


if __name__ == "__main__":
    sys.exit(main())

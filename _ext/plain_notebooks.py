"""Plain notebooks: every chapter as JupyterLab, Colab and code hosts can show it, from the build's document tree.

By the time a page is written, Sphinx has resolved all that MyST's roles and directives stand for: numbers of equations,
citations, links, values glued from the stored run. From that tree each chapter is written once more, as a notebook of
plain Markdown and the chapter's own code cells: beside the page, as ``notebooks/part/chapter.ipynb``.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urljoin

import nbformat
import nbformat.v4
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
ADMONITIONS = {"note": "Note", "tip": "Tip", "warning": "Warning", "hint": "Hint", "important": "Important"}
MARKS = re.compile(r"([\\`*<])")
KEPT = {"hide-input", "hide-output", "hide-cell"}  # tags that say what is folded
ALOUD = """import dclib.prose

dclib.prose.aloud = True  # the text has the numbers of the stored run: print those of this one"""
PAPERMILL = "application/papermill.record/"


class PlainNotebook:
    """Writes one chapter.

    Parameters
    ----------
    app
        The build.
    docname
        Which page.
    """

    def __init__(self, app: Sphinx, docname: str) -> None:
        self.app, self.docname = app, docname
        self.source = nbformat.read(app.env.doc2path(docname), nbformat.NO_CONVERT)
        self.page = urljoin(app.config.html_baseurl, f"{docname}.html")
        self.cells: list[nbformat.NotebookNode] = []
        self.text: list[str] = []
        self.depth = 0
        self.folded: list[str] = []  # ids of headings whose cells are folded

    # -- cells --------------------------------------------------------------------------------------------------------

    def write(self, doctree: nodes.document) -> nbformat.NotebookNode:
        """Return the notebook of a resolved document tree."""
        self.blocks(doctree.children)
        self.flush()
        own = self.source.metadata
        meta = {key: own[key] for key in ("kernelspec", "language_info") if key in own}
        meta["colab"] = {"collapsed_sections": self.folded}
        return nbformat.v4.new_notebook(cells=self.cells, metadata=meta)

    def flush(self, **metadata: object) -> str:
        """Make a Markdown cell of the text so far, and return its id."""
        text = "\n\n".join(part for part in self.text if part.strip())
        self.text = []
        if not text:
            return ""
        cell = nbformat.v4.new_markdown_cell(text, id=f"text-{len(self.cells)}", metadata=metadata)
        self.cells.append(cell)
        return cell.id

    def code_cell(self, node: nodes.container) -> None:
        """Take over a code cell of the chapter, folded where the page folds it."""
        self.flush()
        own = self.source.cells[node["cell_index"]]
        tags = set(own.metadata.get("tags", ()))
        hidden = {"source_hidden": bool(tags & {"hide-input", "hide-cell"})}
        hidden |= {"outputs_hidden": True} if tags & {"hide-output", "hide-cell"} else {}
        metadata = {"jupyter": hidden} if any(hidden.values()) else {}
        metadata |= {"tags": sorted(tags & KEPT)} if tags & KEPT else {}
        source = f"{own.source}\n\n{ALOUD}" if own.source.startswith("# Colab") else own.source
        alt = own.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        outputs = [kept for output in own.outputs if (kept := shown(output, alt)) is not None]
        cell = nbformat.v4.new_code_cell(source, id=own.id, metadata=metadata, outputs=outputs)
        cell.execution_count = own.execution_count
        self.cells.append(cell)

    # -- blocks -------------------------------------------------------------------------------------------------------

    def blocks(self, children: Iterable[nodes.Node]) -> None:
        """Write blocks one below the other."""
        for node in children:
            self.block(node)

    def block(self, node: nodes.Node) -> None:
        """Write one block: what a class of node needs is the method of its name."""
        if isinstance(node, nodes.container) and node.get("nb_element") == "cell_code":
            self.code_cell(node)
        elif isinstance(node, nodes.Inline | nodes.Text):
            self.text.append(self.inline(node))
        else:
            write = getattr(self, f"block_{type(node).__name__}", None)
            if write is None:
                logger.warning("%s: no plain form of a %s", self.docname, type(node).__name__)
            (write or self.block_container)(node)

    def inner(self, children: Iterable[nodes.Node]) -> str:
        """Return blocks as text. No code cell may be among them."""
        outer, self.text = self.text, []
        self.blocks(children)
        found, self.text = "\n\n".join(part for part in self.text if part.strip()), outer
        return found

    def block_section(self, node: nodes.section) -> None:
        self.depth += 1
        self.blocks(node.children)
        self.depth -= 1

    def block_title(self, node: nodes.title) -> None:
        self.text.append(f"{'#' * self.depth} {self.inlines(node)}")

    def block_paragraph(self, node: nodes.paragraph) -> None:
        self.text.append(self.inlines(node))

    def block_rubric(self, node: nodes.rubric) -> None:
        self.text.append(f"**{self.inlines(node)}**")

    def block_math_block(self, node: nodes.math_block) -> None:
        number = self.number("displaymath", node)
        tag = f"\n\\tag{{{number}}}" if number and not node.get("no-wrap") else ""
        self.text.append(f"$$\n{self.latex(node.astext()).strip()}{tag}\n$$")

    def block_literal_block(self, node: nodes.literal_block) -> None:
        language = node.get("language", "").replace("ipython3", "python").replace("default", "")
        self.text.append(f"```{language}\n{node.astext()}\n```")

    def block_bullet_list(self, node: nodes.bullet_list) -> None:
        self.text.append("\n".join(self.item("- ", item) for item in node.children))

    def block_enumerated_list(self, node: nodes.enumerated_list) -> None:
        first = node.get("start", 1)
        self.text.append("\n".join(self.item(f"{number}. ", item) for number, item in enumerate(node.children, first)))

    def item(self, mark: str, node: nodes.Node) -> str:
        text = self.inner(node.children)
        return mark + text.replace("\n", "\n" + " " * len(mark)).replace(" " * len(mark) + "\n", "\n")

    def block_definition_list(self, node: nodes.definition_list) -> None:
        for item in node.children:
            term, *rest = item.children
            self.text.append(f"**{self.inlines(term)}**: {self.inner(r for d in rest for r in d.children)}")

    def block_block_quote(self, node: nodes.Node) -> None:
        self.text.append(quoted(self.inner(node.children)))

    def block_admonition(self, node: nodes.Node) -> None:
        title, *rest = node.children
        known = isinstance(title, nodes.title)
        name = self.inlines(title) if known else ADMONITIONS.get(type(node).__name__, type(node).__name__.capitalize())
        self.text.append(quoted(f"**{name}**\n\n{self.inner(rest if known else node.children)}"))

    block_note = block_tip = block_warning = block_hint = block_important = block_admonition

    def block_dropdown_main(self, node: nodes.Element) -> None:
        title, *rest = node.children
        self.text.append(details(self.inlines(title).strip(), self.inner(rest)))

    def block_container(self, node: nodes.Element) -> None:
        self.blocks(node.children)

    def block_image(self, node: nodes.image) -> None:
        self.text.append(self.inline(node))

    def block_figure(self, node: nodes.figure) -> None:
        self.blocks(node.children)

    def block_caption(self, node: nodes.caption) -> None:
        self.text.append(f"*{self.inlines(node)}*")

    def block_table(self, node: nodes.table) -> None:
        for title in node.findall(nodes.title):
            self.text.append(f"**{self.inlines(title)}**")
        rows = [[self.cell(entry) for entry in row.findall(nodes.entry)] for row in node.findall(nodes.row)]
        lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
        self.text.append("\n".join("| " + " | ".join(line) + " |" for line in lines))

    def cell(self, node: nodes.entry) -> str:
        return self.inner(node.children).replace("\n\n", "<br>").replace("\n", " ").replace("|", "\\|")

    def block_transition(self, node: nodes.transition) -> None:
        self.text.append("---")

    def block_exercise_enumerable_node(self, node: nodes.Node) -> None:
        title, *rest = node.children
        name = self.inlines(title).strip().removeprefix("(").removesuffix(")")
        self.text.append(f"### Exercise {self.number('exercise', node)}: {name}")
        self.blocks(child for part in rest for child in (part.children if isinstance(part, nodes.section) else [part]))

    block_exercise_node = block_exercise_enumerable_node

    def block_solution_node(self, node: nodes.Node) -> None:
        """A solution has code cells: it is a folded section, not a fold in a cell."""
        self.flush()
        self.text.append("#### Solution")
        self.folded.append(self.flush(**{"jp-MarkdownHeadingCollapsed": True}))
        _, *rest = node.children
        self.blocks(child for part in rest for child in (part.children if isinstance(part, nodes.section) else [part]))
        self.flush()

    def block_proof_node(self, node: nodes.Node) -> None:
        self.text.append(quoted(self.inner(node.children)))

    def block_bibliography(self, node: nodes.Node) -> None:
        self.blocks(node.children)

    def block_citation(self, node: nodes.Node) -> None:
        label, *rest = node.children
        self.text.append(f"- **{self.inlines(label)}** {self.inner(rest)}")

    def nothing(self, node: nodes.Node) -> None:
        """Write nothing: what only the page needs."""

    block_target = block_comment = block_substitution_definition = block_raw = block_colspec = nothing
    block_index = block_toctree = block_meta = nothing

    # -- inline -------------------------------------------------------------------------------------------------------

    def inlines(self, node: nodes.Element) -> str:
        """Return the text of an element's children."""
        return "".join(map(self.inline, node.children))

    def inline(self, node: nodes.Node) -> str:
        """Return one inline node as Markdown."""
        if isinstance(node, nodes.Text):
            return MARKS.sub(r"\\\1", re.sub(r"\s*\n\s*", " ", node.astext()))
        known: dict[type, Callable[[nodes.Element], str]] = {
            nodes.emphasis: lambda n: f"*{self.inlines(n)}*",
            nodes.strong: lambda n: f"**{self.inlines(n)}**",
            nodes.literal: lambda n: f"`{n.astext()}`",
            nodes.math: lambda n: f"${self.latex(n.astext())}$",
            nodes.reference: self.link,
            nodes.image: lambda n: f"![{n.get('alt', '')}]({self.absolute(n['uri'])})",
            nodes.raw: lambda n: "",
            nodes.target: lambda n: "",
            nodes.superscript: lambda n: f"<sup>{self.inlines(n)}</sup>",
        }
        write = next((write for kind, write in known.items() if isinstance(node, kind)), self.inlines)
        return write(node)

    def link(self, node: nodes.reference) -> str:
        """Return a link to the site; to an equation of the chapter itself, its number alone."""
        text = self.inlines(node)
        if (place := node.get("refid")) is not None:
            return text if place.startswith("equation-") else f"[{text}]({self.page}#{place})"
        return f"[{text}]({urljoin(self.page, node.get('refuri', ''))})"

    def absolute(self, uri: str) -> str:
        """Return the address of a picture on the site."""
        name = self.app.builder.images.get(uri, Path(uri).name)
        return urljoin(self.app.config.html_baseurl, f"_images/{name}")

    def latex(self, text: str) -> str:
        """Return LaTeX with the book's own macros written out, for only the site knows them."""
        for name, body in self.app.config.mathjax3_config["tex"]["macros"].items():
            text = expanded(text, name, *((body, 0) if isinstance(body, str) else body))
        return text

    def number(self, kind: str, node: nodes.Element) -> str:
        """Return the number that the page gives a node, e.g. ``"2.3"``; empty if it has none."""
        known = self.app.env.toc_fignumbers.get(self.docname, {}).get(kind, {})
        found = next((known[name] for name in node.get("ids", ()) if name in known), ())
        return ".".join(map(str, found))


def expanded(text: str, name: str, body: str, n_arguments: int) -> str:
    r"""Return LaTeX in which ``\name{…}{…}`` is written out.

    Arguments may hold braces, in pairs.
    """
    start = re.compile(rf"\\{name}(?![A-Za-z])\s*")
    while (found := start.search(text)) is not None:
        place, arguments = found.end() if n_arguments else found.start() + len(name) + 1, []
        for _ in range(n_arguments):
            end = closing(text, place)
            arguments.append(text[place + 1 : end])
            place = end + 1
        written = body
        for number, argument in enumerate(arguments, 1):
            written = written.replace(f"#{number}", argument)
        text = text[: found.start()] + written + text[place:]
    return text


def closing(text: str, start: int) -> int:
    """Return the place of the brace that closes the one at ``start``.

    Raises
    ------
    ValueError
        If there is none.
    """
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise ValueError(f"no brace closes {text[start : start + 30]!r}")


def quoted(text: str) -> str:
    """Return Markdown as a block quote."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def details(title: str, text: str) -> str:
    """Return a fold that JupyterLab, Colab and code hosts all know."""
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>"


def shown(output: nbformat.NotebookNode, alt: str) -> nbformat.NotebookNode | None:
    """Return an output, its picture described, without what only the book's tools read; ``None`` if nothing is left."""
    if "data" not in output:
        return output
    kept = {kind: value for kind, value in output.data.items() if not kind.startswith(PAPERMILL)}
    said = {kind: {**output.metadata.get(kind, {}), "alt": alt} for kind in kept if alt and kind.startswith("image/")}
    return nbformat.from_dict({**output, "data": kept, "metadata": {**output.metadata, **said}}) if kept else None


def write_plain(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Write the plain notebook of a page that was made from one."""
    if app.builder.format != "html" or not str(app.env.doc2path(docname)).endswith(".ipynb"):
        return
    path = Path(app.outdir, f"{docname}.ipynb")
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(PlainNotebook(app, docname).write(doctree), path)


def setup(app: Sphinx) -> dict:
    app.connect("doctree-resolved", write_plain, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

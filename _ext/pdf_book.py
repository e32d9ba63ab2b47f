"""The book on paper: parts and chapters, boxes for what the site folds, and no code that a reader would skip.

Only the LaTeX builder sees any of it; ``python -m tools.pdf`` runs that. The look is in ``book/_latex/book.sty``.
"""

import re
from collections.abc import Iterator
from urllib.parse import urljoin

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.latex import LaTeXTranslator
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node, solution_node
from sphinxcontrib.bibtex.nodes import bibliography, raw_latex

LEFT_OUT = ("book/api/",)  # pages that only the site has; links to them lead there
WEB_ONLY = {"cover", "actions"}  # of the front page: what the title page has, and buttons
ALIVE = re.compile(r'class="dclib-(\w+)"')  # elements that move: on paper stands their picture, and where they do
WORDS = {"film": "A film: it plays ", "sketch": "A drawing to play with: it moves "}
SIGN = re.compile(r"[^\x00-\u036f\u2010-\u2027\u202f]")  # neither Latin nor punctuation: the text font may lack it
LONG_TABLE, LINE, SHORT = 14, 84, 32  # rows of a table that may break; characters of a line, of an unbroken cell
SETTINGS = {
    "papersize": "a4paper",
    "pointsize": "10pt",
    "pxunit": ".55bp",
    "extraclassoptions": "oneside,openany",
    "passoptionstopackages": r"\PassOptionsToPackage{table}{xcolor}",
    "fontpkg": r"\usepackage{bookfonts}",
    "fncychap": "",
    "fvset": r"\fvset{fontsize=\bookcodesize}",
    "geometry": r"\usepackage[a4paper,textwidth=150mm,textheight=236mm,top=30mm,headsep=8mm,footskip=12mm]{geometry}",
    "maketitle": r"\booktitlepage",
    "tocdepth": r"\setcounter{tocdepth}{0}",
    "secnumdepth": r"\setcounter{secnumdepth}{1}",
    "printindex": "",
    "transition": r"\bookrule",
}


def latex_macros(macros: dict[str, str | list]) -> str:
    """LaTeX definitions of the macros that MathJax is given."""
    lines = []
    for name, given in macros.items():
        body, count = (given, 0) if isinstance(given, str) else given
        arguments = f"[{count}]" if count else ""
        lines.append(rf"\providecommand{{\{name}}}{{}}\renewcommand{{\{name}}}{arguments}{{{body}}}")
    return "\n".join(lines)


def configure(app: Sphinx, config: Config) -> None:
    """Set what the LaTeX builder reads; the HTML builder reads none of it."""
    macros = latex_macros(config.mathjax3_config["tex"]["macros"])
    site = rf"\newcommand{{\booksite}}{{{config.html_baseurl}}}"
    config.latex_elements = {
        **SETTINGS,
        **config.latex_elements,
        "preamble": "\n".join((r"\usepackage{book}", site, macros)),
    }
    config.latex_engine, config.latex_toplevel_sectioning = "xelatex", "part"
    config.latex_additional_files = ["book/_latex/book.sty", "book/_latex/bookfonts.sty", "book/_static/cover.png"]
    config.latex_documents = [(config.root_doc, "deep-clustering.tex", config.project, config.author, "manual")]
    config.latex_table_style = ["booktabs", "nocolorrows"]
    config.latex_domain_indices, config.today_fmt = False, "%d %B %Y"


# ---- what becomes of single elements -----------------------------------------------------------------------------


class Translator(LaTeXTranslator):
    """Sphinx' translator, with signs that no text font need have."""

    def encode(self, text: str) -> str:
        return SIGN.sub(r"\\booksign{\g<0>}", super().encode(text))


class Box(nodes.Admonition, nodes.Element):
    """A LaTeX environment with a title: ``environment``, and a title as its first child."""


def visit_box(self: LaTeXTranslator, node: nodes.Element) -> None:
    kind = {Box: node.get("environment"), solution_node: "booksolution"}.get(type(node), "bookexercise")
    label = f"exercise:{node['label']}" if kind == "bookexercise" else node.get("label")
    self.body.append("\n" + (rf"\phantomsection\label{{{label}}}" if label else "") + rf"\begin{{{kind}}}")
    self.context.append(rf"\end{{{kind}}}" + "\n")


def depart_box(self: LaTeXTranslator, node: nodes.Element) -> None:
    self.body.append(self.context.pop())


def latex(text: str) -> nodes.raw:
    return nodes.raw("", text, format="latex")


def page_of(node: nodes.Node) -> str:
    """The name of the page that a node comes from."""
    while node is not None and "docname" not in node:
        node = node.parent
    return node["docname"] if node is not None else ""


def components(tree: nodes.Element, kind: str) -> list[nodes.container]:
    """The containers that sphinx-design made for a component."""
    return [node for node in tree.findall(nodes.container) if node.get("design_component") == kind]


class PrintedElements(SphinxPostTransform):
    """Folds become boxes, cards paragraphs, films pictures; hidden code and what only the site can use go."""

    default_priority = 1  # before MyST-NB selects among the forms of an output
    builders = ("latex",)

    def run(self, **options: object) -> None:
        for page in self.document.findall(addnodes.start_of_file):
            for child in page.children:
                child.parent = page
        for page in list(self.document.findall(addnodes.start_of_file)):
            if page["docname"].startswith(LEFT_OUT):
                page.parent.remove(page)
        self.drop_cells()
        self.note_films()
        self.fold()
        self.cards()
        self.gather_bibliography()

    def drop_cells(self) -> None:
        """Leave out code that the site hides; outputs that can be seen stay."""
        for cell in list(self.document.findall(nodes.container)):
            if cell.get("nb_element") != "cell_code":
                continue
            tags = {name.removeprefix("tag_") for name in cell["classes"]}
            if tags & {"hide-cell", "hide-input", "plumbing"}:
                for part in list(cell.children):
                    if "plumbing" in tags or part.get("nb_element") == "cell_code_source":
                        cell.remove(part)

    def note_films(self) -> None:
        """Below the picture of what moves stands where to see it move."""
        for bundle in list(self.document.findall(nodes.container)):
            if bundle.get("nb_element") != "mime_bundle":
                continue
            found = next((match for part in bundle.children if (match := ALIVE.search(part.astext()))), None)
            if found is None:
                continue
            address = urljoin(self.config.html_baseurl, f"{page_of(bundle)}.html")
            place = nodes.reference("", "on the site", refuri=address)
            words = nodes.Text(WORDS.get(found[1], "It moves "))
            note = nodes.paragraph("", "", latex(r"\bookaside "), words, place, nodes.Text("."))
            bundle.parent.insert(bundle.parent.index(bundle) + 1, note)

    def fold(self) -> None:
        """What the site folds is shown with its title."""
        for node in components(self.document, "dropdown"):
            title, *rest = node.children if node["has_title"] else (nodes.rubric("", "More"), *node.children)
            box = Box("", nodes.title("", "", *title.children), *rest, environment="bookfold")
            node.replace_self(box)

    def cards(self) -> None:
        """A card becomes a paragraph that begins with its title."""
        for card in components(self.document, "card"):
            title = next(iter(components(card, "card-title")), None)
            body = components(card, "card-body")[0]
            paragraphs = [part for part in body.children if isinstance(part, nodes.paragraph)]
            if title is not None and paragraphs:
                paragraphs[0].insert(0, nodes.Text(" "))
                paragraphs[0].insert(0, nodes.strong("", title.astext().strip() + "."))
            card.replace_self(paragraphs)
        for node in list(self.document.findall(nodes.container)):
            if WEB_ONLY & set(node["classes"]):
                node.parent.remove(node)

    def gather_bibliography(self) -> None:
        """One list of works at the end, instead of one in each chapter and one of all."""
        for node in list(self.document.findall(bibliography)):
            around, page = node.parent, page_of(node)
            around.remove(node)
            if page == "book/bibliography":
                self.document.append(node)
                file = next(n for n in self.document.findall(addnodes.start_of_file) if n["docname"] == page)
                file.parent.remove(file)
            elif isinstance(around, nodes.section) and len(around) == 1:
                around.parent.remove(around)


class PrintedReferences(SphinxPostTransform):
    """Citations lead to the one list of works, and links to pages that were left out to the site."""

    default_priority = 30  # when references are resolved
    builders = ("latex",)

    def run(self, **options: object) -> None:
        self.to_the_site()
        self.to_the_bibliography()

    def to_the_site(self) -> None:
        kept = {page["docname"] for page in self.document.findall(addnodes.start_of_file)} | {self.config.root_doc}
        for link in self.document.findall(nodes.reference):
            page, _, place = link.get("refuri", "").removeprefix("%").partition("#")
            if link.get("refuri", "").startswith("%") and page not in kept:
                link["refuri"] = urljoin(self.config.html_baseurl, f"{page}.html" + (f"#{place}" if place else ""))
                link["internal"] = False

    def to_the_bibliography(self) -> None:
        entries = self.env.get_domain("cite").citations
        whole = {entry.key: entry for entry in entries if entry.bibliography_key.docname == "book/bibliography"}

        def anchor(entry: object) -> str:
            return f"cite.{entry.bibliography_key.docname}:{entry.citation_id}"

        moved = {anchor(entry): anchor(whole[entry.key]) for entry in entries}
        for node in self.document.findall(raw_latex):
            node.rawsource = re.sub(
                r"(?<=\\hyperlink\{)[^}]+", lambda match: moved.get(match[0], match[0]), node.rawsource
            )


class PrintedTables(SphinxPostTransform):
    """Columns that fit the page: short ones stay on a line, long ones share the rest, long tables break."""

    default_priority = 50  # when the cells have their text
    builders = ("latex",)

    def run(self, **options: object) -> None:
        for table in list(self.document.findall(nodes.table)):
            rows = [list(row.findall(nodes.entry)) for row in table.findall(nodes.row)]
            for entry in (entry for row in rows for entry in row if not entry.astext().strip()):
                entry.clear()
            widths = [max(len(entry.astext()) for entry in column) for column in zip(*rows, strict=True)]
            long = len(rows) > LONG_TABLE
            if long:
                table["classes"].append("longtable")
                self.open_folds(table)
            parts = [addnodes.tabular_col_spec(spec=columns(widths, long)), table.deepcopy()]
            if room(widths) > LINE:
                parts = [latex(r"\begingroup\booksmalltable"), *parts, latex(r"\endgroup")]
            table.replace_self(parts)

    def open_folds(self, node: nodes.Node) -> None:
        """A fold with a rule at its side cannot hold a table that breaks."""
        while (node := node.parent) is not None:
            if isinstance(node, Box):
                node["environment"] = "bookopenfold"


def room(widths: list[int]) -> int:
    """The characters that a line of a table takes, with what stands between its columns."""
    return sum(widths) + 3 * len(widths)


def columns(widths: list[int], long: bool) -> str:
    """The columns of a table in LaTeX, from the most characters that a cell of each has."""
    if room(widths) <= LINE:
        return "l" * len(widths)
    if long:  # such a table knows no natural width
        shares = [min(max(width, 8), 40) for width in widths]
        return "".join(rf">{{\raggedright\arraybackslash}}\X{{{share}}}{{{sum(shares)}}}" for share in shares)
    kinds, kept = ["L"] * len(widths), [0] * len(widths)
    for place in sorted(range(len(widths)), key=widths.__getitem__):
        kept[place] = widths[place]
        if room(kept) <= LINE and widths[place] <= SHORT:  # small type leaves the others a fifth of the line at least
            kinds[place] = "l"
    return "".join(kinds)


# ---- parts and chapters ------------------------------------------------------------------------------------------


class PrintedStructure(SphinxPostTransform):
    """The front page becomes a chapter, and the captions of the table of contents become parts.

    A numbered caption stands for nothing: the pages below it are parts themselves, so that chapters, equations and
    exercises have the numbers that they have on the site.
    """

    default_priority = 40
    builders = ("latex",)

    def run(self, **options: object) -> None:
        front = next(self.document.findall(nodes.section))
        parts = [node for node in front.children if "toctree-wrapper" in node.get("classes", ())]
        trees = list(self.env.get_doctree(self.config.root_doc).findall(addnodes.toctree))
        about = nodes.section("", nodes.title("", "About this book"), ids=["about-this-book"])
        about.extend(self.front_page(front, parts))
        front[1:] = []
        for part, tree in zip(parts, trees, strict=True):
            if tree["numbered"]:
                front += [latex(r"\booknumbered"), *part.children]
                continue
            name = tree["caption"]
            section = nodes.section("", nodes.title("", name), ids=[nodes.make_id(f"part-{name}")])
            section.extend([*([] if part is not parts[0] else [about]), *part.children])
            front += [latex(r"\bookunnumbered"), section]

    def front_page(self, front: nodes.section, parts: list[nodes.Node]) -> Iterator[nodes.Node]:
        """What of the front page belongs in a book: neither its table of contents nor what only runs in a page."""
        for node in front.children[1:]:
            tables = any(node.findall(nodes.table))
            alive = any(ALIVE.search(part.astext()) for part in node.findall(nodes.raw))
            if node not in parts and not (isinstance(node, nodes.section) and (tables or alive)):
                yield node


def translate(app: Sphinx) -> None:
    """Set the translator; not for HTML, where the theme adapts its own only as long as there is no other."""
    if app.builder.format == "latex":
        app.set_translator("latex", Translator, override=True)


def setup(app: Sphinx) -> dict:
    for name in ("sphinx_exercise", "sphinxcontrib.bibtex"):
        app.setup_extension(name)
    for kind in (Box, exercise_node, exercise_enumerable_node, solution_node):
        app.add_node(kind, override=True, latex=(visit_box, depart_box))
    for transform in (PrintedElements, PrintedReferences, PrintedStructure, PrintedTables):
        app.add_post_transform(transform)
    app.connect("config-inited", configure, priority=900)  # the root is known by then
    app.connect("builder-inited", translate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

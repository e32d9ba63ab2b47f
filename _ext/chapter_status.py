"""The directive `chapter-status`: a table of every chapter, what its last execution took and where."""

import os
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import chapters, execute

HEADINGS = ("Chapter", "Stored outputs", "Time", "Profile", "Machine", "Cells", "Size")


def clock(seconds: float | None) -> str:
    """Seconds as a reader says them."""
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def facts(path: Path) -> list[str]:
    """One chapter's cells of the table, from the notebook file alone."""
    chapter = chapters.read(path)
    run = chapter.nb.metadata.get("dclib", {})
    state = "; ".join(text.split(":")[0] for text in execute.problems(chapter)) or "up to date"
    code = sum(1 for _ in chapter.code())
    return [
        state,
        clock(run.get("seconds")),
        run.get("profile", "–"),
        run.get("machine", "–"),
        str(code),
        f"{path.stat().st_size / 1024:.0f} KiB",
    ]


def entry(*children: nodes.Node) -> nodes.entry:
    return nodes.entry("", nodes.paragraph("", "", *children))


class ChapterStatus(SphinxDirective):
    """A table with one row for each notebook of the table of contents, in its order."""

    def run(self) -> list[nodes.Node]:
        group = nodes.tgroup(cols=len(HEADINGS))
        group += [nodes.colspec(colwidth=1) for _ in HEADINGS]
        group += nodes.thead("", nodes.row("", *(entry(nodes.Text(text)) for text in HEADINGS)))
        group += nodes.tbody("", *(self.row(name) for name in self.chapters()))
        return [nodes.table("", group, classes=["chapter-status"])]

    def chapters(self) -> list[str]:
        """Notebooks of the book; the page is read again whenever one of them changes."""
        order = {name: place for place, name in enumerate(self.config.external_site_map)}
        found = [name for name in self.env.found_docs if self.path(name).suffix == ".ipynb"]
        for name in found:
            self.env.note_dependency(os.fspath(self.path(name)))
        return sorted(found, key=lambda name: (order.get(name, len(order)), name))

    def path(self, name: str) -> Path:
        return Path(self.env.doc2path(name))

    def row(self, name: str) -> nodes.row:
        link = addnodes.pending_xref(
            "",
            nodes.inline("", name),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{name}",
            refdoc=self.env.docname,
            refexplicit=False,
            refwarn=True,
        )
        return nodes.row("", entry(link), *(entry(nodes.Text(text)) for text in facts(self.path(name))))


def setup(app: Sphinx) -> dict:
    app.add_directive("chapter-status", ChapterStatus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The directive `drawing-board`: the board on which a reader draws, taken from the stored output of a chapter."""

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

BOARD = 'class="dclib-sketch"'


class DrawingBoard(SphinxDirective):
    """Show the board that a cell of a notebook made; the argument is the notebook's path from the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(name)
        cells = nbformat.read(path, nbformat.NO_CONVERT).cells
        shown = (output.get("data", {}).get("text/html", "") for cell in cells for output in cell.get("outputs", ()))
        html = next((html for html in shown if BOARD in html), None)
        if html is None:
            raise self.error(f"{name} has no output with a drawing board: execute it first")
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> dict:
    app.add_directive("drawing-board", DrawingBoard)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

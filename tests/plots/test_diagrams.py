"""Diagrams: every method of the book has one; arrows lead between its boxes, and none crosses a box."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dclib import plots
from dclib.methods import METHODS

every_diagram = pytest.mark.parametrize("name", plots.DIAGRAMS)


def test_every_method_has_a_diagram():
    assert METHODS.keys() - {"autoencoder-spectral"} <= plots.DIAGRAMS.keys()
    with pytest.raises(ValueError, match="unknown diagram 'idek'.*'idec'"):
        plots.diagram("idek")


@every_diagram
def test_arrows_join_boxes_and_a_loss_is_where_they_end(name):
    found = plots.DIAGRAMS[name]
    starts, ends = {start for start, *_ in found.arrows}, {end for _, end, *_ in found.arrows}
    assert starts | ends == found.nodes.keys(), "no box stands alone"
    for box, node in found.nodes.items():
        assert node.kind != "loss" or box not in starts
        assert node.kind != "held" or all(stop for start, _, *stop in found.arrows if start == box and name != "den")
    assert len(found.alt.split()) > 20 and found.alt.endswith(".")


@every_diagram
def test_boxes_neither_overlap_nor_leave_the_picture_and_no_arrow_crosses_one(name):
    figure, found = plots.diagram(name), plots.DIAGRAMS[name]
    FigureCanvasAgg(figure).draw()
    renderer, (ax,) = figure.canvas.get_renderer(), figure.axes
    names, texts = list(found.nodes), ax.texts[: len(found.nodes)]
    boxes = {name: text.get_bbox_patch().get_window_extent(renderer) for name, text in zip(names, texts, strict=True)}
    for i, one in enumerate(names):
        assert boxes[one].x0 >= 0 and boxes[one].x1 <= figure.bbox.x1 and boxes[one].y0 >= 0
        assert not any(boxes[one].overlaps(boxes[other]) for other in names[i + 1 :]), one
    middle = {box: np.array([(b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2]) for box, b in boxes.items()}
    for start, end, *_ in found.arrows:
        for t in np.linspace(0, 1, 101):
            x, y = (1 - t) * middle[start] + t * middle[end]
            crossed = [box for box in names if box not in (start, end) and boxes[box].contains(x, y)]
            assert not crossed, (start, end, crossed)

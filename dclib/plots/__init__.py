"""Pictures of the book: maps of codes, galleries, curves, scores and tables, all in one style.

:mod:`~dclib.plots.style` holds the colours and the frame of a drawing function; the figures lie in
:mod:`~dclib.plots.maps`, :mod:`~dclib.plots.images`, :mod:`~dclib.plots.segments`, :mod:`~dclib.plots.charts`,
:mod:`~dclib.plots.scores` and :mod:`~dclib.plots.diagrams`.
"""

from dclib.plots.charts import curves, dot_plot, histograms, line_panels, lines, stage_bars
from dclib.plots.diagrams import DIAGRAMS, Diagram, Node, diagram
from dclib.plots.images import cluster_gallery, reconstructions, sample_gallery
from dclib.plots.maps import (
    clouds,
    clustering_grid,
    discriminant_axes,
    latent_scatter,
    pca_axes,
    project,
    push_gallery,
    space_gallery,
)
from dclib.plots.scores import ScoreTable, confusion, score_curves, score_scatter, seeds_plot
from dclib.plots.segments import segmentation, segmentations
from dclib.plots.style import INK, MARKERS, PALETTE, STYLE, Picture, drawn, panels, same_scale, use_style

__all__ = [
    "DIAGRAMS",
    "INK",
    "MARKERS",
    "PALETTE",
    "STYLE",
    "Diagram",
    "Node",
    "Picture",
    "ScoreTable",
    "clouds",
    "cluster_gallery",
    "clustering_grid",
    "confusion",
    "curves",
    "diagram",
    "discriminant_axes",
    "dot_plot",
    "drawn",
    "histograms",
    "latent_scatter",
    "line_panels",
    "lines",
    "panels",
    "pca_axes",
    "project",
    "push_gallery",
    "reconstructions",
    "same_scale",
    "sample_gallery",
    "score_curves",
    "score_scatter",
    "seeds_plot",
    "segmentation",
    "segmentations",
    "space_gallery",
    "stage_bars",
    "use_style",
]

"""Pictures: every function draws in the book's style and leaves no state behind."""

import sys

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from dclib import plots
from dclib.plots import charts, diagrams, images, maps, scores

DIGITS = load_digits()
X, Y = (DIGITS.data / 16).astype(np.float32), DIGITS.target
DRAWINGS = {
    "latent_scatter": lambda ax: plots.latent_scatter(X[:200], Y[:200], centroids=X[:10], ax=ax),
    "clouds": lambda ax: plots.clouds({"a": X[:20], "b": X[:9, :] / 2}, cross=X[:1], ax=ax),
    "sample_gallery": lambda ax: plots.sample_gallery(X, shape=(8, 8), ax=ax),
    "cluster_gallery": lambda ax: plots.cluster_gallery(X, Y, shape=(8, 8), ax=ax),
    "reconstructions": lambda ax: plots.reconstructions(X, X * 1.5, shape=(8, 8), ax=ax),
    "confusion": lambda ax: plots.confusion(Y, (Y + 3) % 10, ax=ax),
    "seeds_plot": lambda ax: plots.seeds_plot({"a": [0.8, 0.9], "b": [0.5]}, published={"a": 0.84}, ax=ax),
    "lines": lambda ax: plots.lines(X[0], {"a": X[1]}, diagonal=True, ax=ax),
    "score_curves": lambda ax: plots.score_curves([2, 4, 8], {"ACC": [0.1, 0.2, 0.3]}, ax=ax),
    "histograms": lambda ax: plots.histograms({"a": X[:, 0], "b": X[:, 1]}, marks={"mean": 0.5}, ax=ax),
    "dot_plot": lambda ax: plots.dot_plot(X[:60, 2:5], Y[:60], ["a", "b", "c"], ax=ax),
    "diagram": lambda ax: plots.diagram("dec", ax=ax),
    "segmentation": lambda ax: plots.segmentation(np.dstack([DIGITS.images[0] / 16] * 3), DIGITS.images[0] > 7, ax=ax),
    "score_scatter": lambda ax: plots.score_scatter({"a": ([1, 2], [0.5, 0.7]), "b": ([3], [0.6])}, ax=ax),
}


def luminance(colour: str) -> float:
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a: str, b: str) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_return_a_figure_or_the_axes_given(name: str) -> None:
    before = dict(rcParams)
    figure = DRAWINGS[name](None)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    axes = Figure().subplots()
    assert DRAWINGS[name](axes) is axes
    assert isinstance(axes, Axes)
    assert dict(rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_every_drawing_is_tested_here() -> None:
    drawn = {k for k, v in vars(plots).items() if hasattr(v, "__wrapped__")}
    assert drawn == set(DRAWINGS)


def test_the_package_offers_every_public_figure_of_its_modules() -> None:
    modules = [charts, diagrams, images, maps, scores]
    public = {n for m in modules for n, v in vars(m).items() if getattr(v, "__module__", "") == m.__name__}
    assert {name for name in public if not name.startswith("_")} <= set(plots.__all__)


def test_ink_is_the_best_grey_for_both_pages() -> None:
    def worst(colour: str) -> float:
        return min(contrast(colour, "#ffffff"), contrast(colour, "#121212"))

    assert worst(plots.INK) >= 4.3
    assert worst(plots.INK) == max(worst(f"#{level:02x}{level:02x}{level:02x}") for level in range(256))


def test_palette_is_ten_colours_that_stand_out_with_their_outline() -> None:
    assert len(set(plots.PALETTE)) == 10
    for colour in plots.PALETTE:  # a mark has a thin edge of INK, so one of the two is seen on either page
        for page in ("#ffffff", "#121212"):
            assert max(contrast(colour, page), contrast(plots.INK, page)) >= 3


def test_use_style_sets_colours_for_both_pages() -> None:
    from matplotlib import rc_context

    with rc_context():
        plots.use_style()
        assert rcParams["figure.facecolor"] == "none"
        assert rcParams["text.color"] == plots.INK


def test_panels_gives_one_axes_or_an_array() -> None:
    assert isinstance(plots.panels()[1], Axes)
    assert plots.panels(2, 3)[1].shape == (2, 3)


def test_same_scale_gives_all_axes_the_widest_limits() -> None:
    _, axes = plots.panels(1, 2)
    axes[0].plot([0, 1], [0, 5])
    axes[1].plot([-3, 0.5], [1, 2])
    plots.same_scale(axes)
    assert axes[0].get_xlim() == axes[1].get_xlim() and axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[0].get_xlim()[0] < -3 and axes[0].get_xlim()[1] > 1 and axes[1].get_ylim()[1] > 5

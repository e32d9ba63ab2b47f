"""Pictures cut into regions: borders where labels change, mean colours, panels."""

import numpy as np
import pytest

from dclib import plots
from dclib.plots.segments import borders, filled

labels = np.array([[0, 0, 1], [0, 2, 1]])
image = np.random.default_rng(0).random((2, 3, 3))


def test_a_border_lies_between_each_two_pixels_that_differ():
    sides = {tuple(map(tuple, side)) for side in borders(labels)}
    assert sides == {
        ((1.5, -0.5), (1.5, 0.5)),  # 0 | 1 in the first row
        ((0.5, 0.5), (0.5, 1.5)),  # 0 | 2 in the second
        ((1.5, 0.5), (1.5, 1.5)),  # 2 | 1
        ((0.5, 0.5), (1.5, 0.5)),  # 0 above 2
    }


def test_mean_colours_are_those_of_each_label_whatever_its_number():
    shown = filled(image, labels * 7 - 3, "mean")
    assert np.allclose(shown[labels == 0], image[labels == 0].mean(axis=0))
    assert (filled(image, labels, "picture") == image).all()
    assert len(np.unique(filled(image * 0, labels, "palette").reshape(-1, 3), axis=0)) == 3


def test_a_figure_shows_the_picture_with_its_borders():
    ax = plots.segmentation(image, labels, title="cut").axes[0]
    assert ax.get_title(loc="left") == "cut" and len(ax.collections[0].get_segments()) == 4
    assert len(plots.segmentation(image).axes[0].collections[0].get_segments()) == 0


def test_panels_hide_what_is_left_over():
    figure = plots.segmentations(image, {"a": None, "b": labels, "c": labels}, n_columns=2)
    assert [ax.get_visible() for ax in figure.axes] == [True, True, True, False]
    several = plots.segmentations(np.stack([image, 1 - image]), {"a": None, "b": None})
    assert np.allclose(several.axes[1].images[0].get_array(), 1 - image)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"labels have shape \(2, 2\)"):
        plots.segmentation(image, labels[:, :2])
    with pytest.raises(ValueError, match="'mean'"):
        plots.segmentation(image, labels, fill="means")


def test_a_file_of_few_colours_is_smaller_and_looks_alike():
    import io

    from PIL import Image

    photo = np.random.default_rng(1).random((40, 60, 3)).cumsum(axis=1) / 60
    figures = [plots.segmentations(photo, {"a": None}, n_colours=n) for n in (256, 256, None)]
    small, again, whole = (figure._repr_png_() for figure in figures)
    assert small == again and len(small) < 0.7 * len(whole)
    one, other = (np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"), dtype=float) for png in (small, whole))
    assert np.abs(one - other).mean() < 8

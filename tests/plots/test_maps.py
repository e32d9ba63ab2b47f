"""Codes in the plane: the axes are what they should be, the galleries have their panels."""

import numpy as np
from matplotlib.colors import to_rgb
from sklearn.datasets import load_digits

from dclib import plots

DIGITS = load_digits()
X, Y = (DIGITS.data / 16).astype(np.float32), DIGITS.target


def test_project_pads_one_dimension_and_keeps_two() -> None:
    z = np.arange(6.0)
    assert plots.project(z[:, None]).shape == (6, 2)
    assert (plots.project(z.reshape(3, 2)) == z.reshape(3, 2)).all()


def test_pca_axes_are_orthonormal_and_signed() -> None:
    axes = plots.pca_axes(X)
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-5)
    assert (axes[np.abs(axes).argmax(axis=0), [0, 1]] > 0).all()


def test_discriminant_axes_find_the_plane_of_the_clusters() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    z = rng.normal(size=(400, 5)) * [9, 9, 9, 1, 1]  # the clusters differ in the last two directions only
    z[:, 3:] += np.array([[0, 0], [8, 0], [0, 8], [8, 8]])[labels]
    axes = plots.discriminant_axes(z, labels, shrinkage=0)
    assert np.abs(axes[3:]).max() > 20 * np.abs(axes[:3]).max()
    assert plots.discriminant_axes(z, labels // 2).shape == (5, 2)  # two clusters: principal directions
    assert np.isfinite(plots.discriminant_axes(z * [1, 0, 0, 1, 1], labels)).all()  # dead directions


def test_space_gallery_has_a_panel_a_space() -> None:
    assert len(plots.space_gallery({"x": X, "x again": X}, Y).axes) == 2


def test_space_gallery_can_give_all_panels_the_same_axes() -> None:
    cloud = np.random.default_rng(0).normal(size=(len(Y), 2))
    spaces = {"cloud": cloud, "smaller": 0.1 * cloud}
    for same in (True, False):
        large, little = (ax.get_xlim() for ax in plots.space_gallery(spaces, Y, same_axes=same).axes)
        assert (large == little) == same


def test_clustering_grid_has_a_row_a_data_set_and_greys_noise() -> None:
    x, labels = X[:6, 20:22], np.array([-1, 0, 0, 1, 1, 1])
    figure = plots.clustering_grid(
        {"a": x, "b": x},
        {name: {"one": labels, "two": labels, "three": labels} for name in "ab"},
        {"a": {"two": "0.50"}},
    )
    assert len(figure.axes) == 6
    assert [ax.get_title() for ax in figure.axes] == ["one", "two", "three", "", "", ""]
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "0.50", "", "", "", ""]
    assert figure.axes[3].get_ylabel() == "b"
    drawn = figure.axes[0].collections[0].get_facecolors()[:, :3]
    np.testing.assert_allclose(drawn[[0, 1, 3]], [to_rgb(c) for c in (plots.INK, plots.PALETTE[1], plots.PALETTE[0])])
    assert len(plots.clustering_grid({"a": x}, {"a": {"one": labels}}).axes) == 1


def test_push_gallery_has_a_panel_a_loss_and_hides_the_rest() -> None:
    z, arrows = X[:5, 20:22], np.eye(5, 2)
    figure = plots.push_gallery(z, {"a": arrows, "b": 9 * arrows, "c": 0 * arrows}, centroids=z[:2], n_columns=2)
    assert [ax.get_title("left") for ax in figure.axes] == ["a", "b", "c", ""]
    assert [ax.get_visible() for ax in figure.axes] == [True, True, True, False]
    first, second, _ = (ax.collections[1] for ax in figure.axes[:3])
    np.testing.assert_allclose(np.hypot(first.U, first.V), np.hypot(second.U, second.V))

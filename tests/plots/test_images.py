"""Sheets of images: order and colour."""

import numpy as np
import pytest

from dclib import plots


def test_cluster_gallery_starts_with_the_nearest_image() -> None:
    z = np.arange(6.0)[:, None]
    x = np.arange(6)[:, None] * np.ones((1, 4)) / 6
    axes = plots.cluster_gallery(x, np.zeros(6, int), shape=(2, 2), z=z, centroids=[[4.1]], n_columns=3).axes[0]
    sheet = axes.images[0].get_array()
    assert sheet[1, 1] == pytest.approx(4 / 6)


def test_galleries_take_colour() -> None:
    x = np.random.default_rng(0).random((5, 48))
    assert plots.sample_gallery(x, shape=(4, 4, 3)).axes[0].images[0].get_array().shape[-1] == 4

"""Autoencoder + k-means: the start that DEC refines, and k-means on its own codes."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

from dclib import DEC, AutoencoderKMeans
from dclib.phases import Batch

SMALL = dict(hidden=(16,), latent_dim=3, pretrain_epochs=3, batch_size=64, n_init=5, random_state=5)


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    return make_blobs(300, centers=4, n_features=12, random_state=3)[0].astype(np.float32)


def test_labels_are_kmeans_of_the_codes(blobs):
    model = AutoencoderKMeans(4, **SMALL).fit(blobs)
    reference = KMeans(4, n_init=5, random_state=5).fit(model.transform(blobs).astype(np.float64))
    np.testing.assert_array_equal(model.labels_, reference.labels_)
    np.testing.assert_allclose(model.centroids_, reference.cluster_centers_, atol=1e-5)


def test_it_is_where_dec_begins(blobs):
    start = AutoencoderKMeans(4, **SMALL).fit(blobs)
    still = DEC(4, **SMALL, epochs=0).fit(blobs)
    assert start.transform(blobs).tobytes() == still.transform(blobs).tobytes()
    np.testing.assert_array_equal(start.labels_, still.labels_)


def test_pretraining_lowers_the_reconstruction_error(blobs):
    losses = [r["loss"] for r in AutoencoderKMeans(4, **SMALL | dict(pretrain_epochs=15)).fit(blobs).history_]
    assert losses[-1] < 0.8 * losses[0]


def test_a_clean_target_is_the_point_and_a_view_is_what_was_seen(blobs):
    for reconstruct, aim in (("clean", "x"), ("view", "view")):
        model = AutoencoderKMeans(2, hidden=(8,), pretrain_epochs=0, reconstruct=reconstruct, random_state=0).fit(blobs)
        batch = Batch(torch.randn(5, 12), torch.randn(5, 12), torch.arange(5), model.network_.encoder)
        expected = (model.network_(batch.view) - getattr(batch, aim)).square().mean()
        torch.testing.assert_close(model.representation_loss(batch), expected)

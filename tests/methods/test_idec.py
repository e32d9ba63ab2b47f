"""IDEC: the joint loss is the sum it says, the decoder trains on, and γ trades reconstruction for clusters."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import IDEC, AutoencoderKMeans
from dclib.base import Batch
from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution

SMALL = dict(
    hidden=(16,), latent_dim=3, pretrain_epochs=3, epochs=3, batch_size=64, n_init=2, random_state=5, tol=0.0,
    overcluster=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    return make_blobs(300, centers=4, n_features=12, random_state=3)[0].astype(np.float32)


@pytest.mark.parametrize("weight", [0.0, 0.1, 3.0])
def test_loss_is_mean_squared_error_plus_gamma_times_kl(blobs, weight):
    model = IDEC(4, **SMALL, weight=weight).fit(blobs)
    x = torch.as_tensor(blobs) / model.scale_
    model.refresh(x)
    index, network = torch.tensor([4, 2, 9]), model.network_
    view = x[index] + 0.1
    p = target_distribution(soft_assignment(network.encoder(x), network.centroids))[index]
    z = network.encoder(view)
    error = (network.decoder(z) - view).square().sum() / view.numel()
    expected = error + weight * kl_divergence(p, soft_assignment(z, network.centroids))
    torch.testing.assert_close(model.loss(Batch(x[index], view, index, network.encoder)), expected)


def test_the_decoder_gets_the_reconstructions_gradient_and_no_other(blobs):
    model = IDEC(4, **SMALL, weight=2.0).fit(blobs)
    x = torch.as_tensor(blobs) / model.scale_
    model.refresh(x)
    everyone = torch.arange(len(x))
    decoder = list(model.network_.decoder.parameters())
    decoder = [value for value in decoder if value.requires_grad]
    both = torch.autograd.grad(model.loss(Batch(x, x, everyone, model.network_.encoder)), decoder)
    alone = torch.autograd.grad(model.representation_loss(Batch(x, x, everyone, model.network_.encoder)), decoder)
    for mine, theirs in zip(both, alone, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_without_clustering_loss_the_code_is_an_autoencoders(blobs):
    longer = AutoencoderKMeans(4, hidden=(16,), latent_dim=3, pretrain_epochs=3, random_state=5).fit(blobs)
    model = IDEC(4, **SMALL | dict(epochs=10), weight=0.0).fit(blobs)
    assert model.history_[-1]["loss"] < longer.history_[-1]["loss"]


def test_a_larger_gamma_costs_reconstruction(blobs):
    def error(weight):
        model = IDEC(4, **SMALL | dict(epochs=20, pretrain_epochs=20), weight=weight).fit(blobs)
        x = torch.as_tensor(blobs) / model.scale_
        return float((model.network_(x) - x).square().mean().detach())

    assert error(0.01) < error(1.0) < error(100.0)

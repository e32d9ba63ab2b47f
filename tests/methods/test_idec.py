"""IDEC: the joint loss is the sum it says, the decoder trains on, and γ trades reconstruction for clusters."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import IDEC, AutoencoderKMeans
from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution
from dclib.methods.idec import forces
from dclib.phases import Batch

SMALL = dict(
    hidden=(16,), latent_dim=3, pretrain_epochs=3, epochs=3, batch_size=64, n_init=2, random_state=5, tol=0.0,
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


def test_forces_are_the_slopes_of_each_loss_in_the_order_of_the_weights():
    generator = torch.Generator().manual_seed(0)
    a, b, fixed = (torch.randn(2, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    a.requires_grad_(), b.requires_grad_()
    losses = lambda: [(a**3).sum(), (a * b).sum() + fixed.sum()]  # noqa: E731
    found = forces(losses(), [a, fixed, b])
    for k, force in enumerate(found):
        slopes = []
        for value in (a, b):
            for i, j in np.ndindex(2, 3):
                ends = []
                for step in (1e-6, -1e-6):
                    with torch.no_grad():
                        value[i, j] += step
                        ends.append(float(losses()[k]))
                        value[i, j] -= step
                slopes.append((ends[0] - ends[1]) / 2e-6)
        torch.testing.assert_close(force, torch.tensor(slopes, dtype=torch.float64), atol=1e-6, rtol=1e-6)
    assert not found[0][6:].any()  # the first loss does not know b


def test_no_force_is_lost_between_the_parts_and_the_joint_loss(blobs):
    model = IDEC(4, **SMALL, weight=0.7).fit(blobs)
    x = torch.as_tensor(blobs) / model.scale_
    model.refresh(x)
    batch = Batch(x, x, torch.arange(len(x)), model.network_.encoder)
    weights = list(model.network_.parameters())
    parts = forces([model.representation_loss(batch), model.clustering_loss(batch)], weights)
    (joint,) = forces([model.loss(batch)], weights)
    torch.testing.assert_close(parts[0] + 0.7 * parts[1], joint)

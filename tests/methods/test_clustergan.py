"""ClusterGAN: the penalty against closed forms and finite differences, latent groups, and a game on easy groups."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import ClusterGAN
from dclib.methods.clustergan import gradient_penalty
from dclib.metrics import clustering_accuracy
from dclib.phases import Batch

X, Y = make_blobs(600, centers=3, n_features=4, random_state=3)
SMALL = {"hidden": (32,), "latent_dim": 3, "random_state": 0, "device": "cpu"}


def points(m=40, d=3):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(m, d, generator=generator, dtype=torch.float64) for _ in range(2))


def test_of_a_linear_critic_it_is_the_squared_gap_of_its_slope_from_one():
    real, drawn = points()
    w = torch.tensor([2.0, -1.0, 2.0], dtype=torch.float64, requires_grad=True)  # of length 3
    found = gradient_penalty(lambda x: x @ w, real, drawn)
    assert float(found) == pytest.approx(4)
    (slope,) = torch.autograd.grad(found, w)  # d (‖w‖ − 1)² / dw = 2 (‖w‖ − 1) w / ‖w‖
    torch.testing.assert_close(slope, 2 * 2 * w.detach() / 3)


def test_of_a_quadratic_critic_it_is_the_mean_over_places_between():
    real, drawn = points()
    torch.manual_seed(5)
    found = gradient_penalty(lambda x: x.square().sum(dim=1) / 2, real, drawn)  # the slope at x̂ is x̂
    torch.manual_seed(5)
    share = torch.rand(40, 1)
    between = share * real + (1 - share) * drawn
    torch.testing.assert_close(found, (between.norm(dim=1) - 1).square().mean())


def test_its_gradient_is_that_of_finite_differences():
    real, drawn = points(6, 2)
    torch.manual_seed(1)
    critic = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()

    def penalty():
        torch.manual_seed(2)
        return gradient_penalty(lambda x: critic(x)[:, 0], real, drawn)

    weight = critic[0].weight
    (slope,) = torch.autograd.grad(penalty(), weight)
    for i, j in ((0, 0), (3, 1)):
        with torch.no_grad():
            weight[i, j] += 1e-6
        up = float(penalty().detach())
        with torch.no_grad():
            weight[i, j] -= 2e-6
        down = float(penalty().detach())
        with torch.no_grad():
            weight[i, j] += 1e-6
        assert (up - down) / 2e-6 == pytest.approx(float(slope[i, j]), abs=1e-5)


def test_no_gradient_of_the_penalty_reaches_the_points():
    real, drawn = (value.requires_grad_() for value in points())
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    gradient_penalty(lambda x: x @ w, real, drawn).backward()
    assert real.grad is None and drawn.grad is None and w.grad is not None


def test_latent_groups_are_narrow_and_far_apart():
    model = ClusterGAN(3, **SMALL, pretrain_epochs=1).fit(X)
    torch.manual_seed(0)
    z_n, z_c = model.draw_latents(5000, None).split((3, 3), dim=1)
    assert float(z_n.std()) == pytest.approx(0.1, rel=0.05)
    assert (z_c.sum(dim=1) == 1).all() and set(z_c.unique().tolist()) == {0.0, 1.0}
    assert model.width_ == 6 and model.transform(X).shape == (600, 6)
    np.testing.assert_allclose(model.transform(X)[:, 3:].sum(axis=1), 1, atol=1e-5)


def test_the_losses_are_the_papers():
    model = ClusterGAN(3, **SMALL, pretrain_epochs=1, weight_n=2.0, weight_c=3.0).fit(X)
    x = torch.as_tensor((X - model.offset_) / model.scale_).float()
    batch = Batch(x, x, torch.arange(len(x)), model.encode)
    network = model.network_
    torch.manual_seed(0)
    found = model.generator_loss(batch)
    torch.manual_seed(0)
    latents = model.draw_latents(len(x), None)
    low, high = model.range_
    drawn = low + (high - low) * network.generator(latents).sigmoid()
    answer = network.encoder(drawn)
    c = latents[:, 3:].argmax(dim=1)
    expected = -network.judge(drawn).mean() + 2 * (answer[:, :3] - latents[:, :3]).square().mean()
    expected = expected - 3 * answer[:, 3:].log_softmax(dim=1)[torch.arange(len(x)), c].mean()
    torch.testing.assert_close(found, expected)


def test_who_moves_and_how_often():
    model = ClusterGAN(3, **SMALL, pretrain_epochs=1).fit(X)
    critic, drawing = model.moves()
    assert critic.descents[0].parts == ("judge",) and critic.every == 1
    assert drawing.descents[0].parts == ("generator", "encoder") and drawing.every == 5
    still = ClusterGAN(3, **SMALL, pretrain_epochs=1, batch_size=200).fit(X)  # three steps: none of the generator's
    first = ClusterGAN(3, **SMALL, pretrain_epochs=0, batch_size=200).fit(X)
    assert first.transform(X).tobytes() == still.transform(X).tobytes()


@pytest.fixture(scope="module")
def played():
    how = SMALL | {"batch_size": 60, "pretrain_epochs": 120, "pretrain_lr": 1e-3, "generator_lr": 1e-3}
    return ClusterGAN(3, **how).fit(X)


def test_easy_groups_are_found_after_a_game(played):
    losses = played.history_[-1]["losses"]
    assert losses["L_c"] < 0.1 and losses["L_n"] < 0.05
    assert clustering_accuracy(Y, played.labels_) > 0.95


def test_samples_of_a_cluster_are_its_own(played):
    for k in range(3):
        assert (played.predict(played.sample(100, cluster=k)) == k).mean() > 0.9

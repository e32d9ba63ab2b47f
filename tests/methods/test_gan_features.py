"""GAN features: the players' losses on known densities, who moves in which step, and samples of a cluster."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch.nn.functional import binary_cross_entropy_with_logits

from dclib import ClusterGAN, GANFeatures, InfoGAN
from dclib.data import load
from dclib.methods.gan_features import discriminator_loss, non_saturating_loss
from dclib.metrics import clustering_accuracy

X, Y = make_blobs(400, centers=4, n_features=8, random_state=1)
SMALL = {"hidden": (32,), "latent_dim": 16, "noise_dim": 8, "random_state": 0, "device": "cpu"}


def test_the_losses_are_cross_entropies():
    generator = torch.Generator().manual_seed(0)
    real, drawn = (3 * torch.randn(50, generator=generator, dtype=torch.float64) for _ in range(2))
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    expected = binary_cross_entropy_with_logits(real, ones) + binary_cross_entropy_with_logits(drawn, zeros)
    torch.testing.assert_close(discriminator_loss(real, drawn), expected)
    torch.testing.assert_close(non_saturating_loss(drawn), binary_cross_entropy_with_logits(drawn, ones))


def test_scores_of_any_size_leave_the_losses_finite():
    far = torch.tensor([-1e4, 1e4])
    assert torch.isfinite(discriminator_loss(far, far)) and torch.isfinite(non_saturating_loss(far))


def test_the_best_discriminator_is_the_share_of_the_data_and_its_loss_a_divergence():
    x = torch.linspace(-12, 12, 40_001, dtype=torch.float64)
    p, q = (torch.distributions.Normal(m, s).log_prob(x).exp() for m, s in ((-1.0, 1.0), (1.5, 0.7)))
    step = x[1] - x[0]

    def value(score):  # −E_p log D − E_q log(1 − D), by integration
        soft = torch.nn.functional.softplus
        return float(((p * soft(-score) + q * soft(score)) * step).sum())

    best = p.log() - q.log()  # D* = p / (p + q)
    middle = (p + q) / 2
    js = float(((p * (p / middle).log() + q * (q / middle).log()) * step).sum()) / 2
    assert value(best) == pytest.approx(2 * math.log(2) - 2 * js, abs=1e-6)
    for shift in (0.1, -0.1):
        assert value(best + shift) > value(best)


@pytest.mark.parametrize("cls", [GANFeatures, InfoGAN, ClusterGAN])
def test_images_get_batch_norm_in_the_discriminator_and_rows_do_not(cls):
    norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)

    def found(shape, **how):
        x = np.random.default_rng(0).random((30, 64))
        fit = cls(3, hidden=(4, 8), shape=shape, pretrain_epochs=1, random_state=0, device="cpu", **how).fit(x)
        return [type(module) for module in fit.network_.encoder if isinstance(module, norms)]

    if cls is ClusterGAN:  # the gradient penalty is one point's
        assert found((8, 8)) == found(None) == []
    else:
        assert found((8, 8)) == found((8, 8), critic_norm=True) == [norms[1], norms[0]]
        assert found(None) == found((8, 8), critic_norm=False) == []
        assert found(None, critic_norm=True) == [norms[0], norms[0]]


def test_each_player_moves_in_its_own_step_alone():
    model = GANFeatures(4, **SMALL, pretrain_epochs=1).fit(X)
    critic, drawing = (set(u.descents[0].parts) for u in model.moves())
    assert critic == {"encoder", "head"} and drawing == {"generator"}
    still = {"pretrain_lr": 1e-30}, {"generator_lr": 1e-30}
    before = [GANFeatures(4, **SMALL, pretrain_epochs=0, **how).fit(X).network_ for how in still]
    after = [GANFeatures(4, **SMALL, pretrain_epochs=2, **how).fit(X).network_ for how in still]
    for name, fixed in (("encoder", 0), ("head", 0), ("generator", 1)):
        for i in range(2):
            pairs = zip(
                before[i].get_submodule(name).parameters(), after[i].get_submodule(name).parameters(), strict=True
            )
            same = all(torch.allclose(one, other, atol=1e-20, rtol=0) for one, other in pairs)
            assert same == (i == fixed), name


def test_the_generator_comes_near_the_data():
    model = GANFeatures(4, **SMALL, pretrain_epochs=150).fit(X)
    first = GANFeatures(4, **SMALL, pretrain_epochs=1).fit(X)

    def gap(fit):
        drawn = fit.sample(400)
        return np.linalg.norm(drawn[:, None] - X, axis=2).min(axis=1).mean()

    assert gap(model) < 0.8 * gap(first)
    assert model.sample(400).min() >= X.min() - 1e-3 and model.sample(400).max() <= X.max() + 1e-3
    assert clustering_accuracy(Y, model.labels_) > 0.95


def test_a_sample_of_a_cluster_is_predicted_into_it_or_refused_by_name():
    model = GANFeatures(4, **SMALL, pretrain_epochs=150).fit(X)
    k = int(np.bincount(model.predict(model.sample(500)), minlength=4).argmax())
    drawn = model.sample(20, cluster=k)
    assert drawn.shape == (20, 8) and (model.predict(drawn) == k).mean() > 0.9
    with torch.no_grad():
        model.network_.centroids[k] = 1e6
    with pytest.raises(ValueError, match=f"draws too few points of cluster {k}"):
        model.sample(1, cluster=k)


def test_images_come_as_images():
    images = load("digits").x.reshape(-1, 8, 8)[:200]
    model = GANFeatures(10, hidden=(4, 8), latent_dim=16, pretrain_epochs=1, random_state=0).fit(images)
    assert model.shape_ == (8, 8) and model.sample(3).shape == (3, 8, 8)
    noise = np.random.default_rng(0).random((30, 7, 9))
    odd = GANFeatures(3, hidden=(3, 4, 5), latent_dim=8, pretrain_epochs=1, random_state=0).fit(noise)
    assert odd.sample(2).shape == (2, 7, 9)


def test_the_papers_profile_has_the_papers_rates_and_noise():
    paper, book = (GANFeatures.as_written(name) for name in ("paper", "book"))
    assert paper["pretrain_lr"] == paper["generator_lr"] == 2e-4 and paper["noise_dim"] == 100
    assert not {"generator_lr", "noise_dim"} & book.keys()
    assert "generator_lr" not in InfoGAN.as_written("paper")  # its own is 1e-3, the default

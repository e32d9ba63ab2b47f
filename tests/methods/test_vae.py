"""The VAE's formulas against integrals, closed forms and finite differences; its bound against a known evidence."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture
from torch import nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from dclib import VAE
from dclib.augment import RandomAffine
from dclib.data import load
from dclib.methods.vae import bernoulli_error, gaussian_error, kl_to_standard_normal, reparametrised
from dclib.metrics import clustering_accuracy

X, Y = make_blobs(300, centers=4, n_features=6, random_state=2)
SMALL = {"hidden": (32,), "latent_dim": 3, "pretrain_epochs": 20, "random_state": 0, "device": "cpu"}


def places(m=5, d=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(m, d, generator=generator, dtype=torch.float64) for _ in range(2))


def test_the_divergence_is_that_of_torch_and_of_a_million_draws():
    mean, log_var = places()
    found = kl_to_standard_normal(mean, log_var)
    q = Normal(mean, (log_var / 2).exp())
    torch.testing.assert_close(found, kl_divergence(q, Normal(torch.zeros(()).double(), 1.0)))
    z = q.sample((200_000,))
    gaps = q.log_prob(z) - Normal(0, 1).log_prob(z)
    error = gaps.std(dim=0) / math.sqrt(len(z))
    assert ((gaps.mean(dim=0) - found).abs() < 5 * error).all()


def test_the_gradient_of_the_divergence_is_that_of_finite_differences():
    mean, log_var = (value.requires_grad_() for value in places())
    assert torch.autograd.gradcheck(kl_to_standard_normal, (mean, log_var))
    slopes = torch.autograd.grad(kl_to_standard_normal(mean, log_var).sum(), (mean, log_var))
    torch.testing.assert_close(slopes, (mean.detach(), (log_var.detach().exp() - 1) / 2))


def test_a_draw_has_the_right_moments_and_its_gradient_is_that_of_the_expectation():
    mean, log_var = (value.requires_grad_() for value in places(1, 2))
    epsilon = torch.randn(400_000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z = reparametrised(mean, log_var, epsilon)
    torch.testing.assert_close(z.mean(dim=0), mean[0], atol=0.01, rtol=0)
    torch.testing.assert_close(z.var(dim=0), log_var[0].exp(), atol=0, rtol=0.02)
    z.square().sum(dim=1).mean().backward()  # E z² = μ² + σ²
    torch.testing.assert_close(mean.grad, 2 * mean.detach(), atol=0.02, rtol=0)
    torch.testing.assert_close(log_var.grad, log_var.detach().exp(), atol=0.02, rtol=0.02)


def test_the_errors_are_minus_the_log_likelihoods_summed_over_values():
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randn(4, 2, 5, generator=generator)
    coins = (torch.rand(4, 2, 5, generator=generator) > 0.5).float()
    expected = -Bernoulli(logits=drawn).log_prob(coins).sum(dim=(1, 2))
    torch.testing.assert_close(bernoulli_error(drawn, coins), expected)
    x, log_noise = torch.randn(4, 2, 5, generator=generator), torch.tensor(-0.7)
    expected = -Normal(drawn, log_noise.exp()).log_prob(x).sum(dim=(1, 2))
    torch.testing.assert_close(gaussian_error(drawn, x, log_noise), expected)


def linear_gaussian():
    """A model whose evidence is known: x = W z + noise, and the encoder that is its posterior."""
    generator = torch.Generator().manual_seed(5)
    w, noise = torch.randn(4, 2, generator=generator), 0.6
    precision = torch.eye(2) + w.T @ w / noise**2
    q = torch.linalg.eigh(precision)[1]  # turn the latent space so that the posterior is diagonal
    w = w @ q
    variance = 1 / torch.diagonal(torch.eye(2) + w.T @ w / noise**2)
    network = nn.Module()
    network.encoder, network.decoder = nn.Linear(4, 4), nn.Linear(2, 4, bias=False)
    with torch.no_grad():
        network.encoder.weight[:2] = variance[:, None] * w.T / noise**2
        network.encoder.weight[2:] = 0
        network.encoder.bias[:2], network.encoder.bias[2:] = 0, variance.log()
        network.decoder.weight.copy_(w)
    return network, noise, w


def test_the_bound_is_the_evidence_where_the_posterior_is_exact():
    network, noise, w = linear_gaussian()
    cover = w @ w.T + noise**2 * torch.eye(4)
    x = MultivariateNormal(torch.zeros(4), cover).sample((200,)).numpy()
    model = VAE(2, network=network, noise=noise, pretrain_epochs=0, random_state=0, device="cpu").fit(x)
    model.offset_, model.scale_ = 0.0, 1.0  # the unit in which the network was built
    evidence = MultivariateNormal(torch.zeros(4), cover).log_prob(torch.as_tensor(x)).numpy()
    many = model.score_samples(x, draws=2000)
    np.testing.assert_allclose(many.mean(), evidence.mean(), atol=0.05)
    with torch.no_grad():
        model.network_.encoder.bias[2:] += 1  # a posterior that is too wide costs KL(q ‖ p(z | x)), a constant here
    gap = 2 * (math.e - 1 - 1) / 2
    np.testing.assert_allclose(evidence.mean() - model.score_samples(x, draws=4000).mean(), gap, atol=0.1)


def test_the_score_is_a_density_in_the_unit_of_the_data():
    model = VAE(4, **SMALL).fit(X)
    wide = VAE(4, **SMALL).fit(X * 4)
    np.testing.assert_allclose(wide.score_samples(X * 4), model.score_samples(X) - 6 * math.log(4), atol=1e-3)
    far = model.score_samples(X + 50)
    assert far.max() < model.score_samples(X).min(), "points far from all others are less likely"


def test_a_learned_noise_is_that_of_the_reconstruction():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 1)) @ rng.standard_normal((1, 8)) + 0.1 * rng.standard_normal((600, 8))
    model = VAE(2, **SMALL | {"pretrain_epochs": 150, "pretrain_lr": 1e-2, "latent_dim": 1}).fit(x)
    found = float(model.network_.log_noise.detach().exp()) * model.scale_
    assert 0.09 < found < 0.11
    assert not VAE(2, **SMALL, noise=0.5).fit(x).network_.log_noise.requires_grad


def test_a_trained_networks_noise_stays():
    first = VAE(4, **SMALL).fit(X)
    taken = VAE(4, **SMALL | {"pretrain_epochs": 0}, network=first.network_).fit(X)
    assert float(taken.network_.log_noise) == float(first.network_.log_noise) != 0
    told = VAE(4, **SMALL | {"pretrain_epochs": 0}, network=first.network_, noise=0.5).fit(X)
    assert float(told.network_.log_noise) == pytest.approx(math.log(0.5))


def test_the_clusters_of_a_mixture_are_scikit_learns():
    model = VAE(4, **SMALL).fit(X)
    z = model.transform(X)
    network = model.network_
    theirs = GaussianMixture(4)
    theirs.weights_ = network.logits.softmax(dim=0).numpy()
    theirs.means_, factors = model.centroids_, network.factors.numpy()
    theirs.covariances_ = factors @ factors.transpose(0, 2, 1)
    theirs.precisions_cholesky_ = np.linalg.inv(factors).transpose(0, 2, 1)
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(z), atol=1e-4)
    np.testing.assert_array_equal(model.predict_proba(X).argmax(axis=1), model.predict(X))


@pytest.mark.parametrize("start", ["kmeans", "spectral"])
def test_other_clusters_are_those_of_the_nearest_centroid(start):
    model = VAE(4, **SMALL, start=start).fit(X)
    nearest = np.linalg.norm(model.transform(X)[:, None] - model.centroids_, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(model.labels_, nearest)
    np.testing.assert_array_equal(model.predict_proba(X).argmax(axis=1), nearest)


def test_beta_trades_the_divergence_for_the_error():
    ends = [VAE(4, **SMALL, beta=beta, noise=0.3).fit(X).history_[-1]["losses"] for beta in (0.1, 1.0, 10.0)]
    divergences, errors = ([end[name] for end in ends] for name in ("KL", "L_R"))
    assert divergences == sorted(divergences, reverse=True) and errors == sorted(errors)


def test_a_large_beta_collapses_the_posterior():
    model = VAE(4, **SMALL | {"pretrain_epochs": 60}, beta=1000.0, noise=1.0).fit(X)
    assert model.history_[-1]["losses"]["KL"] < 0.05
    assert np.abs(model.transform(X)).max() < 0.5


def test_samples_have_unit_and_shape_of_the_data_and_come_from_their_cluster():
    model = VAE(4, **SMALL | {"pretrain_epochs": 60}, beta=0.1).fit(X)
    assert model.sample(7).shape == (7, 6)
    np.testing.assert_array_equal(model.sample(7), model.sample(7))
    assert (model.sample(7) != model.sample(7, random_state=1)).any()
    for k in range(4):
        drawn = model.sample(100, cluster=k)
        assert (model.predict(drawn) == k).mean() > 0.8
        own = X[model.labels_ == k].mean(axis=0)
        assert np.linalg.norm(drawn.mean(axis=0) - own) < 0.5 * X.std() * math.sqrt(6)
    for wrong in ({"cluster": 4}, {"cluster": -1}, {"cluster": 0.5}, {"n": 0}, {"n": 2.5}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
            model.sample(**wrong)


def test_images_give_images_and_coins():
    digits = load("digits")
    images = digits.x.reshape(-1, 8, 8)[:300]
    model = VAE(10, **SMALL, likelihood="bernoulli").fit(images)
    drawn = model.sample(5)
    assert drawn.shape == (5, 8, 8) and drawn.min() >= images.min() and drawn.max() <= images.max()
    conv = VAE(10, **SMALL | {"hidden": (4, 8), "pretrain_epochs": 2}, shape=(8, 8)).fit(images)
    assert conv.transform(images).shape == (300, 3)
    assert VAE.for_data(digits).likelihood == "bernoulli" and VAE.for_data(digits).augment is None
    seen = VAE.for_data(digits, "quick", augment=RandomAffine((8, 8)), random_state=0).fit(digits.x[:200])
    assert np.isfinite(seen.score_samples(digits.x[:5])).all()


def test_the_coins_score_is_no_density():
    digits = load("digits").x[:200]
    model = VAE(10, **SMALL, likelihood="bernoulli").fit(digits)
    score = model.score_samples(digits)
    assert (score < 0).all()
    np.testing.assert_allclose(
        VAE(10, **SMALL, likelihood="bernoulli").fit(16 * digits).score_samples(16 * digits), score, rtol=1e-4
    )


def test_it_finds_blobs():
    assert clustering_accuracy(Y, VAE(4, **SMALL).fit(X).labels_) > 0.98

"""Anomaly scores against scipy, copies, brute force, and what their papers prove."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks import anomalies as study
from dclib import AutoencoderKMeans, anomaly, load
from dclib.training import seeded


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_energy_is_the_mixtures_negative_log_density():
    torch.manual_seed(0)
    z, gamma = torch.randn(60, 3), torch.rand(60, 4).softmax(dim=1)
    share, mean, covariance = anomaly.mixture_of(z, gamma)
    each = [multivariate_normal(m, c).logpdf(z) for m, c in zip(mean, covariance, strict=True)]
    expected = -logsumexp(np.log(share.numpy())[:, None] + each, axis=0)
    assert np.allclose(anomaly.energy(z, share, mean, covariance), expected, atol=1e-4)


def test_hard_memberships_give_each_groups_own_moments(rng):
    z = rng.normal(size=(50, 2))
    gamma = np.eye(2)[np.arange(50) % 2]
    share, mean, covariance = anomaly.mixture_of(*(torch.as_tensor(a, dtype=torch.float32) for a in (z, gamma)))
    assert np.allclose(share, 0.5) and np.allclose(mean[0], z[::2].mean(axis=0), atol=1e-6)
    assert np.allclose(covariance[1], np.cov(z[1::2].T, bias=True), atol=1e-5)


def test_residuals_are_relative_distance_and_cosine():
    x, x_hat = torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 0.0]])
    assert torch.allclose(anomaly.residuals(x, x_hat), torch.tensor([[0.8, 0.6]]))


def test_a_network_without_biases_keeps_zero_and_one_with_them_can_be_constant():
    network = anomaly.one_class_network((5, 4, 3))
    assert network(torch.zeros(2, 5)).abs().max() == 0
    assert all(layer.bias is None for layer in network if hasattr(layer, "bias"))
    assert anomaly.one_class_network((5, 4, 3), bias=True)[-1].bias is not None


def test_a_centre_keeps_off_zero_and_keeps_its_signs():
    z = torch.tensor([[0.02, -0.04, 3.0], [0.0, -0.02, 1.0]])
    assert torch.allclose(anomaly.centre_of(z), torch.tensor([0.1, -0.1, 2.0]))


def test_the_best_radius_leaves_a_share_nu_outside(rng):
    d, nu = torch.as_tensor(rng.exponential(size=2000)), 0.2
    radii = torch.linspace(0, 3, 3000, dtype=torch.float64)
    losses = torch.stack([anomaly.soft_boundary(d, r, nu) for r in radii])
    assert abs(float((d > radii[losses.argmin()] ** 2).double().mean()) - nu) < 0.002


def test_deep_svdd_draws_training_points_to_its_centre(rng):
    x = torch.as_tensor(rng.normal(1, 0.2, (200, 6)), dtype=torch.float32)
    with seeded(0):
        before, centre = anomaly.fit_svdd(x, (6, 8, 3), 20, 0)
        start = anomaly.squared_distance(before(x), centre).mean()
    with seeded(0):
        network, same = anomaly.fit_svdd(x, (6, 8, 3), 20, 60)
    assert torch.equal(centre, same) and anomaly.squared_distance(network(x), centre).mean() < start / 2


def test_dagmm_finds_a_point_far_away(rng):
    x = torch.as_tensor(rng.normal(1, 0.2, (300, 6)), dtype=torch.float32)
    with seeded(0):
        score = anomaly.fit_dagmm(x, (6, 8, 2), 60)
    far = score(torch.full((1, 6), -9.0))
    assert torch.isfinite(far).all() and far > torch.quantile(score(x), 0.99)


def test_average_precision_at_a_rate_is_that_of_copies(rng):
    y, score = np.repeat([1, 0], [20, 90]), rng.normal(size=110).round(1)
    many = np.r_[np.tile(score[:20], 9), np.tile(score[20:], 38)]  # 180 among 3,600
    copied = average_precision_score(np.repeat([1, 0], [180, 3420]), many)
    assert np.isclose(anomaly.average_precision_at(0.05, y, score), copied)


@pytest.mark.parametrize(("rate", "y"), [(0.0, [0, 1]), (1.5, [0, 1]), (0.1, [0, 0]), (0.1, [1, 1])])
def test_average_precision_refuses_a_rate_that_is_none_and_points_of_one_kind(rate, y):
    with pytest.raises(ValueError, match=f"rate={rate}"):
        anomaly.average_precision_at(rate, y, [0.1, 0.2])


def test_conformal_p_counts_at_or_above_and_keeps_its_promise(rng):
    assert np.allclose(anomaly.conformal_p([0, 1, 2], [1, 3, -1]), [3 / 4, 1 / 4, 1])
    draws = rng.standard_normal((4000, 20))
    found = np.array([anomaly.conformal_p(row[1:], row[:1])[0] for row in draws])
    assert abs((found <= 0.1).mean() - 2 / 20) < 0.02


def test_the_reconstruction_error_is_in_the_unit_of_the_data(rng):
    x = rng.normal(5, 2, (60, 6)).astype(np.float32)
    model = AutoencoderKMeans(2, hidden=(8,), latent_dim=2, pretrain_epochs=2, n_init=1, random_state=0).fit(x)
    again = AutoencoderKMeans(2, hidden=(8,), latent_dim=2, pretrain_epochs=2, n_init=1, random_state=0).fit(10 * x)
    ours = anomaly.reconstruction_error(model, x)
    assert ours.shape == (60,) and np.allclose(anomaly.reconstruction_error(again, 10 * x), 100 * ours, rtol=0.02)


@pytest.mark.parametrize("row", study.DETECTORS)
def test_each_row_of_the_study_ranks_and_repeats(row, monkeypatch):
    digits = load("digits")
    monkeypatch.setattr(study, "load", lambda name: digits)
    monkeypatch.setattr(study, "STEPS", 8)
    study.halves.cache_clear(), study.fitted.cache_clear()
    try:
        first = study.measure(row, "mnist-10k, 5 % dirty", 1)
        study.fitted.cache_clear()
        second = study.measure(row, "mnist-10k, 5 % dirty", 1)
    finally:
        study.halves.cache_clear(), study.fitted.cache_clear()
    assert all(0 <= first[key] <= 1 and first[key] == second[key] for key in ("auroc", "ap", "hits"))


def test_a_dirty_training_set_has_the_share_that_its_name_says(monkeypatch):
    digits = load("digits")
    monkeypatch.setattr(study, "halves", lambda name, seed: (digits.x, digits.y, digits.x[:50], digits.y[:50]))
    clean, _, y = study.one_normal("any", 3, 0)
    dirty, _, _ = study.one_normal("any", 3, 0, 0.2)
    assert np.isclose(1 - len(clean) / len(dirty), 0.2, atol=0.002) and y.tolist() == (digits.y[:50] != 3).tolist()
    assert study.judged(np.arange(4.0), np.array([0, 0, 1, 1])) == {"auroc": 1.0, "ap": 1.0, "hits": 1.0}
    assert roc_auc_score([0, 1], [0, 1]) == 1

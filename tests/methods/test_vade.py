"""VaDE's formulas against enumeration, Monte Carlo, finite differences and scikit-learn; second phase and samples."""

import copy
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from dclib import VaDE
from dclib.methods.vade import kl_to_mixture, log_joint
from dclib.methods.vae import kl_to_standard_normal
from dclib.metrics import clustering_accuracy

X, Y = make_blobs(300, centers=4, n_features=6, random_state=2)
SMALL = {"hidden": (32,), "latent_dim": 3, "pretrain_epochs": 20, "epochs": 10, "random_state": 0, "device": "cpu"}


def toy(seed=0):
    generator = torch.Generator().manual_seed(seed)
    draw = {"dtype": torch.float64, "generator": generator}
    logits, means, log_vars = torch.randn(3, **draw), 2 * torch.randn(3, 2, **draw), torch.randn(3, 2, **draw)
    mean, log_var = torch.randn(5, 2, **draw), torch.randn(5, 2, **draw)
    return mean, log_var, logits, means, log_vars


def mixture(logits, means, log_vars):
    return MixtureSameFamily(Categorical(logits=logits), Independent(Normal(means, (log_vars / 2).exp()), 1))


def test_the_joint_sums_to_the_density_and_its_softmax_is_scikit_learns():
    mean, _, logits, means, log_vars = toy()
    joint = log_joint(mean, logits, means, log_vars)
    torch.testing.assert_close(joint.logsumexp(dim=1), mixture(logits, means, log_vars).log_prob(mean))
    theirs = GaussianMixture(3, covariance_type="diag")
    theirs.weights_, theirs.means_ = logits.softmax(dim=0).numpy(), means.numpy()
    theirs.covariances_ = log_vars.exp().numpy()
    theirs.precisions_cholesky_ = (-log_vars / 2).exp().numpy()
    np.testing.assert_allclose(joint.softmax(dim=1), theirs.predict_proba(mean.numpy()), atol=1e-10)


def test_far_from_all_components_the_responsibilities_are_still_right():
    _, _, logits, means, log_vars = toy()
    far = torch.full((1, 2), 1e4, dtype=torch.float64)
    widest = log_joint(far, logits, means, log_vars)
    assert widest.softmax(dim=1).max() > 0.999
    released = widest.exp() + 1e-10  # as the released code has it: every component alike
    torch.testing.assert_close(released / released.sum(), torch.full((1, 3), 1 / 3, dtype=torch.float64))


def test_the_divergence_is_that_of_a_million_draws_with_every_component_counted():
    mean, log_var, logits, means, log_vars = toy()
    log_gamma = log_joint(mean + 0.3, logits, means, log_vars).log_softmax(dim=1)
    found = kl_to_mixture(mean, log_var, log_gamma, logits, means, log_vars)
    torch.manual_seed(0)
    q = Independent(Normal(mean, (log_var / 2).exp()), 1)
    z = q.sample((200_000,))  # (S, m, 2)
    joint = torch.stack([log_joint(part, logits, means, log_vars) for part in z.unbind(dim=1)], dim=1)
    gaps = (log_gamma.exp() * (q.log_prob(z)[..., None] + log_gamma - joint)).sum(dim=2)
    error = gaps.std(dim=0) / math.sqrt(len(z))
    assert ((gaps.mean(dim=0) - found).abs() < 5 * error).all()


def test_with_one_standard_component_it_is_the_vaes():
    mean, log_var, *_ = toy()
    none = torch.zeros(5, 1, dtype=torch.float64)
    one = torch.zeros(1, 2, dtype=torch.float64)
    found = kl_to_mixture(mean, log_var, none, torch.zeros(1, dtype=torch.float64), one, one)
    torch.testing.assert_close(found, kl_to_standard_normal(mean, log_var).sum(dim=1))


def test_the_gradient_of_the_divergence_is_that_of_finite_differences():
    parts = [part.requires_grad_() for part in toy()]

    def divergence(mean, log_var, *mixture):
        log_gamma = log_joint(mean + 0.3, *mixture).log_softmax(dim=1)  # moves with all but the variance of q
        return kl_to_mixture(mean, log_var, log_gamma, *mixture)

    assert torch.autograd.gradcheck(divergence, parts)


def test_the_best_gamma_weighs_the_mean_logarithm_not_the_mean():
    mean, log_var, logits, means, log_vars = toy()
    expected = log_joint(mean, logits, means, log_vars) - (log_var.exp()[:, None] / log_vars.exp()).sum(dim=2) / 2
    best = kl_to_mixture(mean, log_var, expected.log_softmax(dim=1), logits, means, log_vars)
    torch.manual_seed(0)
    for _ in range(50):
        other = (expected + 0.3 * torch.randn(5, 3)).log_softmax(dim=1)
        assert (kl_to_mixture(mean, log_var, other, logits, means, log_vars) > best).all()


def test_no_code_is_closer_to_the_mixture_than_the_bound_says():
    mean, log_var, logits, means, log_vars = toy()
    log_gamma = log_joint(mean, logits, means, log_vars).log_softmax(dim=1)
    found = kl_to_mixture(mean, log_var, log_gamma, logits, means, log_vars)
    torch.manual_seed(1)
    q, p = Independent(Normal(mean, (log_var / 2).exp()), 1), mixture(logits, means, log_vars)
    z = q.sample((50_000,))
    assert (found > (q.log_prob(z) - p.log_prob(z)).mean(dim=0) - 0.02).all()


@pytest.mark.parametrize("start", ["mixture", "kmeans", "spectral"])
def test_the_start_has_equal_weights_and_the_moments_of_the_clusters(start):
    model = VaDE(4, **SMALL | {"epochs": 0}, start=start).fit(X)
    z, network = model.transform(X), model.network_
    assert network.logits.softmax(dim=0).tolist() == [0.25] * 4
    for k in range(4):
        own = z[model.labels_ == k]
        np.testing.assert_allclose(model.centroids_[k], own.mean(axis=0), atol=0.05 * z.std())
        np.testing.assert_allclose(network.log_vars[k].detach().exp(), own.var(axis=0), rtol=0.2)


def test_the_second_phase_lowers_its_loss_and_moves_the_mixture():
    model = VaDE(4, **SMALL | {"epochs": 30}).fit(X)
    start = VaDE(4, **SMALL | {"epochs": 0}).fit(X)
    losses = [record["loss"] for record in model.history_ if record["phase"] == "refine"]
    assert losses[-1] < losses[0] and set(model.history_[-1]["losses"]) == {"L_R", "KL"}
    for name in ("centroids", "log_vars", "logits"):
        assert not torch.equal(getattr(model.network_, name), getattr(start.network_, name)), name
    still = VaDE(4, **SMALL, mixture_lr=1e-30).fit(X)
    np.testing.assert_allclose(still.centroids_, start.centroids_, atol=1e-6)


def test_the_weights_follow_groups_of_unequal_size():
    x, y = make_blobs([950, 25, 25], n_features=8, random_state=1)
    model = VaDE(3, random_state=0, device="cpu", epochs=60, mixture_lr=0.02).fit(x)
    assert clustering_accuracy(y, model.labels_) > 0.99
    shares = sorted(model.network_.logits.detach().softmax(dim=0).tolist())
    np.testing.assert_allclose(shares, [0.025, 0.025, 0.95], atol=0.03)


def test_the_first_spread_is_in_the_unit_of_the_codes():
    model = VaDE(4, **SMALL | {"epochs": 0}).fit(X)
    with torch.no_grad():
        _, log_var = model.posterior(torch.as_tensor((X - model.offset_) / model.scale_).float())
    ratio = (log_var - model.network_.log_vars.mean(dim=0)).exp()
    assert 0.02 < float(ratio.detach().median()) < 0.5, "about a tenth"


def test_the_probabilities_are_the_responsibilities_of_the_mean_codes():
    model = VaDE(4, **SMALL).fit(X)
    z, network = torch.as_tensor(model.transform(X)), model.network_
    joint = log_joint(z, network.logits, network.centroids, network.log_vars).detach()
    found = model.predict_proba(X)
    np.testing.assert_allclose(found, joint.softmax(dim=1), atol=1e-6)
    np.testing.assert_array_equal(found.argmax(axis=1), model.predict(X))
    np.testing.assert_array_equal(model.labels_, model.predict(X))


def test_samples_come_from_their_component():
    model = VaDE(4, **SMALL | {"epochs": 100}).fit(X)
    for k in range(4):
        assert (model.predict(model.sample(100, cluster=k)) == k).mean() > 0.9
    shares = np.bincount(model.predict(model.sample(2000)), minlength=4) / 2000
    np.testing.assert_allclose(shares, model.network_.logits.detach().softmax(dim=0), atol=0.05)


def test_the_score_is_higher_on_points_like_those_it_was_trained_on():
    model = VaDE(4, **SMALL).fit(X)
    assert model.score_samples(X).mean() > model.score_samples(X + 20).mean() + 10
    np.testing.assert_allclose(model.score_samples(X)[:10], model.score_samples(X[:10]), rtol=1e-4)


def test_the_score_is_the_bound_of_draws_that_share_no_code_with_it():
    model = VaDE(4, **SMALL).fit(X)
    network, x = copy.deepcopy(model.network_).double(), torch.as_tensor((X[:20] - model.offset_) / model.scale_)
    with torch.no_grad():
        mean, log_factor = network.encoder(x).chunk(2, dim=1)
        q = Independent(Normal(mean, ((log_factor + network.log_unit) / 2).exp()), 1)
        torch.manual_seed(1)
        z, others = q.sample((4000,)), q.sample((4000,))
        components = Independent(Normal(network.centroids, (network.log_vars / 2).exp()), 1)
        log_pi = network.logits.log_softmax(dim=0)
        log_gamma = (log_pi + components.log_prob(z[:, :, None])).log_softmax(dim=2)
        expected = log_pi + components.log_prob(others[:, :, None]).mean(dim=0)  # E_q log p(z, c), (20, 4)
        prior = (log_gamma.exp() * (expected - log_gamma)).sum(dim=2)
        seen = Normal(network.decoder(z), network.log_noise.exp()).log_prob(x).sum(dim=2)
        bound = (seen + prior - q.log_prob(others).mean(dim=0)).mean(dim=0).numpy()
    score = model.score_samples(X[:20], draws=4000)
    np.testing.assert_allclose(score, bound - X.shape[1] * math.log(model.scale_), atol=0.15)


def test_settings_of_the_paper():
    known = VaDE.settings("paper")
    assert known["hidden"] == (500, 500, 2000) and known["batch_size"] == 100 and known["epochs"] == 21_000
    assert known["lr"] == known["mixture_lr"] == 2e-3 and VaDE().start == "mixture"

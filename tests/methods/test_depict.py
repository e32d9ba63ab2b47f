"""DEPICT: its target minimises the paper's objective, noise reaches one encoder only, and balance keeps clusters."""

import numpy as np
import pytest
import torch
from torch import nn

from dclib import DEPICT, load
from dclib.methods.depict import TARGETS, balanced_target, cross_entropy
from dclib.networks import activations, conv_autoencoder, mlp_autoencoder
from dclib.phases import Batch


@pytest.fixture
def p() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, 4, generator=generator, dtype=torch.float64).mul(2).add(torch.arange(4) / 2).softmax(dim=1)


def objective(q: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """KL(Q‖P) + KL(f‖u), the paper's eq. 4, written out."""
    f, n_clusters = q.mean(dim=0), q.shape[1]
    return (q * (q / p).log()).sum(dim=1).mean() + (f * (f * n_clusters).log()).sum()


def test_balanced_target_is_the_double_loop(p):
    expected = torch.zeros_like(p)
    for i in range(40):
        for k in range(4):
            expected[i, k] = p[i, k] / sum(float(p[j, k]) for j in range(40)) ** 0.5
        expected[i] /= expected[i].sum()
    torch.testing.assert_close(balanced_target(p), expected)


def test_balanced_target_comes_close_to_the_minimum_of_the_papers_objective(p):
    logits = p.log().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = objective(logits.softmax(dim=1), p)
        loss.backward()
        return loss

    optimizer.step(closure)
    least, at_p, ours = (float(objective(q, p)) for q in (logits.softmax(1).detach(), p, balanced_target(p)))
    assert least < ours < at_p
    assert ours - least < 0.25 * (at_p - least), "the closed form is one damped step from p towards the minimum"


def test_the_exact_minimum_divides_by_the_size_of_the_target_itself(p):
    """The stationary point is q ∝ p / f(q); the paper's √ is one damped step of that fixed point."""
    q = p
    for _ in range(500):
        q = (q * (p / q.mean(dim=0)) / 1).sqrt()  # damped, so that it does not swing
        q = q / q.sum(dim=1, keepdim=True)
    again = p / q.mean(dim=0)
    torch.testing.assert_close(again / again.sum(dim=1, keepdim=True), q, atol=1e-6, rtol=0)
    nearby = [objective((q.log() + 0.01 * torch.randn_like(q)).softmax(dim=1), p) for _ in range(20)]
    assert objective(q, p) < min(nearby)


def test_cross_entropy_is_minus_q_log_p(p):
    logits = torch.randn(40, 4, dtype=torch.float64)
    by_hand = -sum(p[i, k] * torch.softmax(logits[i], 0)[k].log() for i in range(40) for k in range(4)) / 40
    torch.testing.assert_close(cross_entropy(p, logits), by_hand)
    assert torch.autograd.gradcheck(lambda value: cross_entropy(p, value), (logits.requires_grad_(),))


def test_squared_target_grows_the_large_cluster_less_than_plain_and_balanced_evens_out(p):
    sizes = {name: target(p).mean(dim=0) for name, target in TARGETS.items()}
    spread = {name: float(size.max() - size.min()) for name, size in sizes.items()}
    assert spread["balanced"] < spread["plain"]


@pytest.mark.parametrize("network", [mlp_autoencoder(16, (8, 6), 3), conv_autoencoder((4, 4), (3, 5), 3)])
def test_activations_are_what_each_relu_answers(network):
    x = torch.randn(7, 16)
    seen = []
    hooks = [m.register_forward_hook(lambda *a: seen.append(a[2])) for m in network.modules() if isinstance(m, nn.ReLU)]
    z = network.encoder(x)
    inner = len(seen)
    x_hat = network.decoder(z)
    for hook in hooks:
        hook.remove()
    down, up = activations(network.encoder, x), activations(network.decoder, z)
    for mine, theirs in zip(down, [*seen[:inner], z], strict=True):
        torch.testing.assert_close(mine, theirs)
    for mine, theirs in zip(up, [*seen[inner:], x_hat], strict=True):
        torch.testing.assert_close(mine, theirs)
    shapes = [h.shape for h in [x, *down[:-1]]]
    assert [h.shape for h in up[::-1]] == shapes, "each layer of the decoder draws one of the encoder's"


def test_noise_thins_the_input_of_each_layer_and_nothing_else():
    network = nn.Sequential(nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 1000))
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(1000)), network[0].bias.zero_()
        network[2].weight.copy_(torch.eye(1000)), network[2].bias.zero_()
    torch.manual_seed(0)
    first, last = activations(network, torch.ones(1, 1000), noise=0.25)
    assert 0.2 < float((first == 0).float().mean()) < 0.3, "only the noise of the input is seen in the first answer"
    assert 0.38 < float((last == 0).float().mean()) < 0.5
    assert float(first.mean()) == pytest.approx(1, abs=0.1)


SMALL = dict(hidden=(4,), pretrain_epochs=2, epochs=2, tol=0, n_init=2, random_state=0)


def test_loss_is_layer_wise_error_plus_cross_entropy_of_noisy_answers_with_clean_targets():
    digits = load("digits")
    model = DEPICT(10, shape=(8, 8), **SMALL, noise=0.0, target="balanced").fit(digits.x)
    x = torch.as_tensor(digits.x / model.scale_)
    clusters = model.refresh(x)
    network, index = model.network_, torch.tensor([4, 2, 9])
    answers = (network.encoder(x) @ network.centroids.T + network.bias).softmax(dim=1)
    assert torch.equal(clusters, answers.argmax(dim=1))
    target = balanced_target(answers)[index]
    view = x[index] + 0.1
    down, up = activations(network.encoder, view), activations(network.decoder, network.encoder(view))
    error = (up[-1] - view).square().mean() + (up[-2] - down[0]).square().mean()
    logits = network.encoder(view) @ network.centroids.T + network.bias
    expected = error - (target * logits.log_softmax(1)).sum(1).mean()
    batch = Batch(x[index], view, index, network.encoder)
    torch.testing.assert_close(model.loss(batch), expected)
    model.noise = 0.5
    torch.manual_seed(0)
    noisy = model.loss(batch)
    assert not torch.isclose(noisy, expected)
    torch.testing.assert_close(model.refresh(x), clusters), "targets see no noise"


def test_clean_activations_get_no_gradient():
    digits = load("digits")
    model = DEPICT(10, shape=(8, 8), **SMALL, noise=0.0).fit(digits.x)
    x = torch.as_tensor(digits.x[:9] / model.scale_)
    first = next(model.network_.encoder.parameters())
    (got,) = torch.autograd.grad(model.representation_loss(Batch(x, x, torch.arange(9), model.network_.encoder)), first)
    down, up = activations(model.network_.encoder, x), activations(model.network_.decoder, model.network_.encoder(x))
    held = (up[-1] - x).square().mean() + (up[-2] - down[0].detach()).square().mean()
    (expected,) = torch.autograd.grad(held, first)
    torch.testing.assert_close(got, expected)


def test_the_start_learns_the_clusters_of_kmeans():
    digits = load("digits")
    found = []

    def note(model):
        if model.history_ and model.history_[-1]["phase"] == "start":
            found.append((model.labels_.copy(), model.predict(digits.x)))

    how = SMALL | dict(hidden=(16,), pretrain_epochs=5, lr=1e-2, start_epochs=30, noise=0.0)
    DEPICT(10, shape=(8, 8), **how, callback=note).fit(digits.x)
    kmeans, learnt = found[-1]
    assert (kmeans == learnt).mean() > 0.95
    assert (kmeans == learnt).mean() > (found[0][0] == found[0][1]).mean()


def test_probabilities_agree_with_labels():
    digits = load("digits")
    model = DEPICT(10, shape=(8, 8), **SMALL).fit(digits.x)
    p = model.predict_proba(digits.x)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(p.argmax(axis=1), model.labels_)

"""IMSAT: entropies, divergences, the perturbation against an exact Hessian, its radius, and easy groups."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import IMSAT
from dclib.direct import still_statistics
from dclib.graphs import nearest
from dclib.methods.imsat import divergence, entropy, unit
from dclib.metrics import clustering_accuracy
from dclib.phases import Batch

X, Y = make_blobs(600, centers=3, n_features=8, random_state=1)
SMALL = {"hidden": (64,), "latent_dim": 32, "random_state": 0, "device": "cpu"}


def test_entropy_and_divergence_are_sums():
    torch.manual_seed(0)
    one, other = torch.randn(2, 7, 4, dtype=torch.float64)
    p, q = one.softmax(dim=1), other.softmax(dim=1)
    torch.testing.assert_close(entropy(p), -(p * p.log()).sum(dim=1))
    torch.testing.assert_close(divergence(one, other), (p * (p / q).log()).sum(dim=1))
    assert entropy(torch.tensor([1.0, 0.0])) < 1e-20 and float(divergence(one, one).abs().max()) == 0


def test_answers_that_are_certain_have_a_slope():
    logits = torch.tensor([[300.0, 0.0, -300.0], [0.0, 300.0, -300.0]], requires_grad=True)
    p = logits.softmax(dim=1)
    assert (p == 0).any()
    (slope,) = torch.autograd.grad(entropy(p).mean() - entropy(p.mean(dim=0)), logits)
    assert torch.isfinite(slope).all()


def test_unit_makes_points_of_any_shape_one_long():
    r = torch.randn(5, 1, 3, 4)
    torch.testing.assert_close(unit(r).flatten(1).norm(dim=1), torch.ones(5))
    assert torch.isfinite(unit(torch.zeros(2, 3))).all()


def test_the_loss_is_written_out():
    model = IMSAT(3, **SMALL, pretrain_epochs=1, perturb="none", weight=0.3, balance=2.0).fit(X)
    x = torch.as_tensor((X[:50] - model.offset_) / model.scale_).float()
    batch = Batch(x, x + 0.1, torch.arange(50), model.encode)
    with torch.no_grad():
        found = model.representation_loss(batch)
        p, q = (model.answers(model.encode(view)).softmax(dim=1) for view in (x, x + 0.1))
        kl, mean = (p * (p / q).log()).sum(dim=1).mean(), p.mean(dim=0)
        information = -2.0 * (mean * mean.log()).sum() + (p * p.log()).sum(dim=1).mean()
    assert float(found) == pytest.approx(float(kl - 0.3 * information), rel=1e-4)


def test_the_answer_that_should_stay_is_held():
    model = IMSAT(3, **SMALL, pretrain_epochs=1, perturb="none", weight=0.0).fit(X)
    x = torch.as_tensor((X[:50] - model.offset_) / model.scale_).float()
    weights = [*model.network_.parameters()]

    def slopes(loss):
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, allow_unused=True) if g is not None])

    found = slopes(model.representation_loss(Batch(x, x + 0.3, torch.arange(50), model.encode)))
    logits, moved = (model.answers(model.encode(view)) for view in (x, x + 0.3))
    p = logits.softmax(dim=1)
    held = slopes(-(p.detach() * moved.log_softmax(dim=1)).sum(dim=1).mean())
    torch.testing.assert_close(found, held, atol=1e-5, rtol=1e-3)
    logits, moved = (model.answers(model.encode(view)) for view in (x, x + 0.3))
    free = slopes(divergence(logits, moved).mean())
    assert float((free - held).norm()) > 0.1 * float(held.norm()), "else the check could not tell"


def test_a_power_step_turns_towards_the_first_eigenvector_of_the_hessian():
    torch.manual_seed(0)
    model = IMSAT(3, hidden=(16,), latent_dim=16, pretrain_epochs=30, random_state=0, probe=1e-3, device="cpu").fit(X)
    model.network_.double().eval()
    x = torch.as_tensor((X[:1] - model.offset_) / model.scale_)
    logits = model.network_.answer(model.network_.encoder(x)).detach()
    model.answers = lambda z: model.network_.answer(z)

    def change(r):
        return divergence(logits, model.network_.answer(model.network_.encoder(x + r))).sum()

    hessian = torch.autograd.functional.hessian(change, torch.zeros_like(x)).reshape(8, 8)
    values, vectors = torch.linalg.eigh(hessian)
    assert values[0] > -1e-6 * values[-1], "at zero the divergence is smallest"
    direction = unit(torch.randn(1, 8, dtype=torch.float64))
    for _ in range(60):
        direction = model.worst(x, logits, direction)
    assert float((direction[0] @ vectors[:, -1]).abs()) > 0.99
    assert float(change(0.05 * direction)) > float(change(0.05 * unit(torch.randn(1, 8, dtype=torch.float64))))


def test_each_point_has_its_own_radius():
    seen = []
    model = IMSAT(3, **SMALL, pretrain_epochs=1, radius=0.5, n_neighbors=4, callback=lambda m: seen.append(m._reach))
    model.fit(X)
    distance, _ = nearest((X - model.offset_) / model.scale_, 4)
    np.testing.assert_allclose(seen[0], 0.5 * distance[:, -1], rtol=1e-3)
    x = torch.randn(4, 8)
    model._reach = torch.tensor([0.0, 1.0, 2.0, 3.0])
    for perturb in ("random", "adversarial"):
        model.perturb = perturb
        logits = model.answers(model.encode(x)).detach()
        moved = model.moved(Batch(x, x, torch.arange(4), model.encode), logits)
        torch.testing.assert_close((moved - x).norm(dim=1), model._reach, atol=1e-5, rtol=1e-5)


def test_perturbed_passes_leave_the_running_means_alone():
    layer = torch.nn.Sequential(torch.nn.BatchNorm1d(3)).train()
    with still_statistics(layer):
        layer(torch.randn(9, 3) + 5)
    assert not layer[0].running_mean.any() and layer[0].momentum == 0.1
    layer(torch.randn(9, 3) + 5)
    assert layer[0].running_mean.all()


@pytest.mark.parametrize("perturb", ["adversarial", "random"])
def test_easy_groups_are_found(perturb):
    model = IMSAT(3, **SMALL, pretrain_epochs=60, batch_size=100, perturb=perturb).fit(X)
    assert clustering_accuracy(Y, model.labels_) > 0.95
    last = model.history_[-1]["losses"]
    assert last["H(Y)"] > 0.95 * np.log(3) and last["H(Y | X)"] < 0.3
    np.testing.assert_array_equal(model.predict_proba(X).argmax(axis=1), model.labels_)


def test_a_large_group_is_split_since_clusters_of_equal_size_carry_most():
    few = np.concatenate([X[Y == 0], X[Y == 1][:20]])
    model = IMSAT(2, **SMALL, pretrain_epochs=60, batch_size=60).fit(few)
    assert np.bincount(model.labels_, minlength=2).min() > 60, "and not 20, the size of the small group"

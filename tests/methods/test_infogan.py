"""InfoGAN: its bound on a table where the information is known, who reads the code, and a game on easy groups."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import InfoGAN
from dclib.methods.infogan import information_bound
from dclib.metrics import clustering_accuracy
from dclib.phases import Batch

X, Y = make_blobs(600, centers=3, n_features=4, random_state=3)
SMALL = {"hidden": (64,), "latent_dim": 32, "noise_dim": 4, "n_codes": 1, "random_state": 0, "device": "cpu"}


def test_the_bound_is_the_information_at_the_posterior_and_below_it_elsewhere():
    torch.manual_seed(0)
    given_c = torch.rand(3, 5, dtype=torch.float64)
    given_c /= given_c.sum(dim=1, keepdim=True)  # p(x | c), c uniform over 3, x of 5
    joint = given_c / 3
    information = float((joint * (joint / joint.sum(dim=0) * 3).log()).sum())
    counts = (joint * 3e4).round().long()
    c, x = (index.repeat_interleave(counts.flatten()) for index in (torch.arange(15) // 5, torch.arange(15) % 5))
    posterior = (joint / joint.sum(dim=0)).T.log()  # (5, 3)
    assert float(information_bound(posterior[x], c)) == pytest.approx(information, abs=1e-3)
    for _ in range(20):
        worse = posterior + 0.5 * torch.randn(5, 3, dtype=torch.float64)
        assert float(information_bound(worse[x], c)) < information + 1e-3
    assert float(information_bound(torch.zeros(15, 3), torch.arange(15) % 3)) == pytest.approx(0, abs=1e-6)
    sure = torch.nn.functional.one_hot(torch.arange(3)).double() * 1e3
    assert float(information_bound(sure, torch.arange(3))) == pytest.approx(math.log(3))


def test_latent_points_are_noise_a_one_hot_and_numbers():
    model = InfoGAN(3, **SMALL, pretrain_epochs=1).fit(X)
    torch.manual_seed(0)
    noise, c, codes = model.draw_latents(3000, None).split((4, 3, 1), dim=1)
    assert noise.abs().max() <= 1 and codes.abs().max() <= 1 and abs(float(noise.mean())) < 0.05
    assert (c.sum(dim=1) == 1).all() and set(c.unique().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(c.mean(dim=0), 1 / 3, atol=0.05)
    assert (model.draw_latents(9, 2)[:, 6] == 1).all()


def test_the_numbers_cost_half_their_squared_error():
    model = InfoGAN(3, **SMALL, pretrain_epochs=1).fit(X)
    latents = model.draw_latents(7, None)
    h = torch.randn(7, 32)
    with torch.no_grad():
        read, error = model.misread(h, latents)
        logits, means = model.network_.reader(h).split((3, 1), dim=1)
    torch.testing.assert_close(read, information_bound(logits, latents[:, 4:7].argmax(dim=1)))
    torch.testing.assert_close(error, ((latents[:, 7:] - means) ** 2).sum(dim=1).mean() / 2)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_both_players_are_paid_for_what_is_read(weight):
    model = InfoGAN(3, **SMALL, pretrain_epochs=1, weight=weight).fit(X)
    model.weight, x = weight, torch.as_tensor((X - model.offset_) / model.scale_).float()
    batch = Batch(x, x, torch.arange(len(x)), model.encode)
    for loss, parts in ((model.critic_loss, ("reader",)), (model.generator_loss, ("reader", "generator"))):
        model.network_.zero_grad(set_to_none=True)
        loss(batch).backward()
        for name in parts:
            moved = any(
                p.grad is not None and bool(p.grad.any()) for p in model.network_.get_submodule(name).parameters()
            )
            assert moved == (weight > 0 or name == "generator"), (name, loss)


def test_the_reader_moves_with_the_critic_alone():
    model = InfoGAN(3, **SMALL, pretrain_epochs=1).fit(X)
    critic, drawing = (set(u.descents[0].parts) for u in model.moves())
    assert critic == {"encoder", "head", "reader"} and drawing == {"generator"}


@pytest.fixture(scope="module")
def played():
    return InfoGAN(3, **SMALL | {"batch_size": 60, "pretrain_epochs": 120, "pretrain_lr": 1e-3}).fit(X)


def test_easy_groups_are_read_after_a_game(played):
    assert played.history_[-1]["losses"]["L_I"] > 0.8 * math.log(3)
    assert played.history_[-1]["used"] > 2.9, "every code is in use"
    assert clustering_accuracy(Y, played.labels_) > 0.95
    assert [record["phase"] for record in played.history_] == ["pretrain"] * 120


def test_samples_are_read_as_what_they_were_drawn_with(played):
    for k in range(3):
        drawn = played.sample(100, cluster=k)
        assert (played.predict(drawn) == k).mean() > 0.9
    proba = played.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(proba.argmax(axis=1), played.labels_)


def test_without_its_weight_nobody_reads_the_code():
    how = SMALL | {"batch_size": 60, "pretrain_epochs": 60, "pretrain_lr": 1e-3}
    deaf = InfoGAN(3, **how, weight=0.0).fit(X)
    assert deaf.history_[-1]["losses"]["L_I"] < 0.1

"""IIC: the joint table by counting, information in closed form, its maximum, which head answers, and easy groups."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.metrics import mutual_info_score
from torch.nn.functional import one_hot

from dclib import IIC
from dclib.methods.iic import joint_of_views, mutual_information
from dclib.metrics import clustering_accuracy

X, Y = make_blobs(600, centers=3, n_features=8, random_state=1)
SMALL = {"hidden": (64,), "latent_dim": 32, "n_heads": 3, "overclusters": 9, "random_state": 0, "device": "cpu"}


def test_hard_answers_are_counted():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 4, (2, 500))
    p, q = (one_hot(torch.as_tensor(labels), 4).double() for labels in (one, other))
    joint = joint_of_views(p, q)
    counted = np.histogram2d(one, other, bins=4, range=[[0, 4]] * 2)[0] / 500
    np.testing.assert_allclose(joint, (counted + counted.T) / 2)
    both = np.concatenate([one, other]), np.concatenate([other, one])
    assert float(mutual_information(joint)) == pytest.approx(mutual_info_score(*both), abs=1e-6)


def test_information_is_greatest_when_answers_agree_and_are_of_equal_size():
    best = float(mutual_information(torch.eye(5, dtype=torch.float64) / 5))
    assert best == pytest.approx(math.log(5), abs=1e-5)
    torch.manual_seed(0)
    for _ in range(50):
        joint = torch.rand(5, 5, dtype=torch.float64) ** 4
        assert 0 <= float(mutual_information((joint + joint.T) / (2 * joint.sum()))) < best
    assert float(mutual_information(torch.full((5, 5), 1 / 25))) == pytest.approx(0, abs=1e-6)
    free = torch.randn(5, 5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([free], 0.1)
    for _ in range(500):
        table = free.flatten().softmax(dim=0).view(5, 5)
        optimizer.zero_grad()
        (-mutual_information((table + table.T) / 2)).backward()
        optimizer.step()
    assert best - 0.3 < float(mutual_information((table + table.T) / 2).detach()) <= best + 1e-6


@pytest.fixture(scope="module")
def fitted():
    return IIC(3, **SMALL, pretrain_epochs=60, batch_size=100, noise=0.2).fit(X)


def test_easy_groups_are_found(fitted):
    assert clustering_accuracy(Y, fitted.labels_) > 0.95
    assert fitted.history_[-1]["losses"]["I"] > 0.8 * math.log(3)
    np.testing.assert_array_equal(fitted.predict_proba(X).argmax(axis=1), fitted.labels_)


def test_the_head_of_most_information_answers(fitted):
    assert fitted.information_.shape == (3,) and fitted.head_ == int(fitted.information_.argmax())
    logits = fitted.answers(torch.as_tensor(fitted.transform(X)).float())
    own = logits[:, 3 * fitted.head_ : 3 * fitted.head_ + 3].argmax(dim=1)
    assert logits.shape == (600, 3 * (3 + 9)) and np.mean(own.numpy() == fitted.labels_) > 0.999


def test_heads_and_auxiliary_heads_take_turns(fitted):
    losses = fitted.history_[0]["losses"]
    assert set(losses) == {"I", "I of auxiliary heads"}
    alone = IIC(3, **SMALL | {"overclusters": 0}, pretrain_epochs=1).fit(X)
    assert set(alone.history_[0]["losses"]) == {"I"}


def test_heads_are_tables_of_their_own(fitted):
    z = torch.as_tensor(fitted.transform(X[:40])).float()
    main, auxiliary = fitted.heads(z, False), fitted.heads(z, True)
    assert main.shape == (3, 40, 3) and auxiliary.shape == (3, 40, 9)
    torch.testing.assert_close(main.sum(dim=2), torch.ones(3, 40))
    torch.testing.assert_close(main[1], fitted.answers(z)[:, 3:6].softmax(dim=1))

"""DAC: the constraint layer, which pairs are chosen, the loss of a pair, thresholds, and easy groups."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import DAC
from dclib.methods.dac import label_features, pair_labels, thresholds_at
from dclib.metrics import clustering_accuracy
from dclib.phases import Batch

X, Y = make_blobs(600, centers=3, n_features=8, random_state=1)
SMALL = {"hidden": (64,), "latent_dim": 32, "random_state": 0, "device": "cpu"}


def test_label_features_have_length_one_and_no_negative_part():
    logits = torch.tensor([[0.0, 1.0, -2.0], [1e4, 0.0, 0.0], [-1e4, -1e4, -1e4]], dtype=torch.float64)
    found = label_features(logits)
    assert (found >= 0).all() and torch.isfinite(found).all()
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(found[0], logits[0].softmax(dim=0) / logits[0].softmax(dim=0).norm())


def test_pairs_between_the_thresholds_are_left_out():
    together, chosen = pair_labels(torch.tensor([0.2, 0.455, 0.7, 0.95, 1.0]), 0.95, 0.455)
    assert together.tolist() == [False, False, False, True, True]
    assert chosen.tolist() == [True, False, False, True, True]
    together, chosen = pair_labels(torch.tensor([0.2, 0.5, 0.7]), 0.5, 0.5)
    assert chosen.all() and together.tolist() == [False, True, True]


@pytest.mark.parametrize("lam", np.linspace(0, 0.45, 10))
def test_thresholds_are_the_papers(lam):
    found = thresholds_at(lam / 0.45, (0.95, 0.455), (0.5, 0.5))
    assert found == pytest.approx((0.95 - lam, 0.455 + 0.1 * lam))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_the_loss_is_the_mean_over_the_chosen_pairs(loss):
    model = DAC(3, **SMALL, pretrain_epochs=1, loss=loss).fit(X)
    model._limits, x = (0.9, 0.6), torch.as_tensor((X[:20] - model.offset_) / model.scale_).float()
    features, terms = label_features(model.answers(model.encode(x))).double(), []
    for i in range(20):
        for j in range(20):
            s = features[i] @ features[j]
            if s >= 0.9 or s < 0.6:
                r, s = float(s >= 0.9), s.clamp(1e-7, 1 - 1e-7)
                terms.append(-(s if r else 1 - s).log() if loss == "cross_entropy" else (s - r) ** 2)
    batch = Batch(x, x, torch.arange(20), model.encode)
    with torch.no_grad():
        found = model.representation_loss(batch)
    assert float(found) == pytest.approx(float(torch.stack(terms).mean()), rel=1e-3)
    assert float(batch.parts["chosen"]) == pytest.approx(len(terms) / 400)


def test_with_augmentation_pairs_are_labelled_on_the_points_as_they_are():
    model = DAC(3, **SMALL, pretrain_epochs=1).fit(X)
    model._limits, x = (0.9, 0.6), torch.as_tensor((X[:20] - model.offset_) / model.scale_).float()
    both = Batch(x, x + 5, torch.arange(20), model.encode), Batch(x, x, torch.arange(20), model.encode)
    for batch in both:
        model.representation_loss(batch)
    assert both[0].parts == both[1].parts


@pytest.mark.parametrize("value", [(0.4, 0.6), (1.2, 0.5), (0.5,), (0.9, -0.1)])
def test_thresholds_that_cannot_be_are_refused(value):
    with pytest.raises(ValueError, match="thresholds="):
        DAC(3, **SMALL, thresholds=value).fit(X)


GROUPS, GROUP = make_blobs(600, centers=5, n_features=8, random_state=1)


def test_easy_groups_are_found_and_the_thresholds_close_in():
    model = DAC(5, **SMALL, pretrain_epochs=60, batch_size=60).fit(GROUPS)
    assert clustering_accuracy(GROUP, model.labels_) > 0.95
    upper, lower = ([record[name] for record in model.history_] for name in ("upper", "lower"))
    assert (upper[0], lower[0]) == (0.95, 0.455) and (upper[-1], lower[-1]) == (0.5, 0.5)
    assert model.history_[-1]["losses"]["chosen"] == pytest.approx(1)
    np.testing.assert_array_equal(model.predict_proba(GROUPS).argmax(axis=1), model.labels_)


def test_below_a_low_threshold_there_is_no_pair_to_tell_apart():
    how = {"thresholds": (0.05, 0.05), "last_thresholds": (0.05, 0.05), "pretrain_epochs": 30, "batch_size": 60}
    model = DAC(5, **SMALL, **how).fit(GROUPS)
    assert model.history_[-1]["losses"]["together"] > 0.99, "every pair seems one"
    assert clustering_accuracy(GROUP, model.labels_) < 0.5

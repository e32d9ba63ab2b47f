"""DTC: each dissimilarity against a loop over pairs, the loss against its parts, the map against brute force."""

import numpy as np
import pytest
import torch

from dclib import DTC
from dclib.methods import dtc
from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution
from dclib.methods.dtc import DISSIMILARITIES, TemporalDecoder, TemporalEncoder, occlusion, student_t
from dclib.metrics import clustering_accuracy
from dclib.phases import Batch

RNG = np.random.default_rng(0)
Z, W = RNG.normal(size=(7, 12, 2)), RNG.normal(size=(3, 12, 2))
SMALL = dict(hidden=(8, 8), pretrain_epochs=2, epochs=2, random_state=0, tol=0.0)
Y = np.arange(120) % 2
X = (np.sin(np.arange(30) * (0.3 + 0.5 * Y[:, None]) + RNG.random((120, 1))) + 0.1 * RNG.normal(size=(120, 30))).astype(
    np.float32
)


def ed(a, b):
    return np.sqrt(sum((a[t] - b[t]) ** 2 for t in range(len(a))))


def ce(a):
    return np.sqrt(sum((a[t + 1] - a[t]) ** 2 for t in range(len(a) - 1)))


def acf(a, lag):
    a = a - a.mean()
    return sum(a[t] * a[t + lag] for t in range(len(a) - lag)) / sum(value**2 for value in a)


BY_HAND = {
    "euclidean": ed,
    "cid": lambda a, b: ed(a, b) * max(ce(a), ce(b)) / min(ce(a), ce(b)),
    "correlation": lambda a, b: np.sqrt(2 * (1 - np.corrcoef(a, b)[0, 1])),
    "acf": lambda a, b: np.sqrt(sum((acf(a, lag) - acf(b, lag)) ** 2 for lag in range(1, 11))),
}


@pytest.mark.parametrize("name", DISSIMILARITIES)
def test_a_dissimilarity_is_its_formula_pair_by_pair(name):
    found = DISSIMILARITIES[name](torch.as_tensor(Z), torch.as_tensor(W))
    expected = [[sum(BY_HAND[name](z[:, c], w[:, c]) for c in range(2)) for w in W] for z in Z]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", DISSIMILARITIES)
def test_gradients_are_finite_also_at_zero_and_for_a_constant(name):
    z = torch.as_tensor(Z).clone()
    z[0], z[1] = torch.as_tensor(W[0]), 1.0
    z.requires_grad_()
    DISSIMILARITIES[name](z, torch.as_tensor(W)).sum().backward()
    assert z.grad.isfinite().all()
    one = torch.ones(2, 1, 1, requires_grad=True)
    DISSIMILARITIES[name](one, torch.zeros(3, 1, 1)).sum().backward()
    assert one.grad.isfinite().all()


def test_what_each_is_blind_to():
    z, w = torch.as_tensor(Z), torch.as_tensor(W)
    for name, same in {"correlation": True, "acf": True, "euclidean": False, "cid": False}.items():
        scaled = DISSIMILARITIES[name](3 * z + 5, w)
        assert torch.allclose(scaled, DISSIMILARITIES[name](z, w), rtol=1e-3) == same, name
    wave = torch.sin(torch.arange(300) * 2 * torch.pi / 20).reshape(1, 300, 1)
    moved = wave.roll(5, dims=1)
    assert dtc.autocorrelation(wave, moved) < 0.1 < dtc.correlation(wave, moved)


def test_with_euclid_and_one_channel_q_is_decs():
    z, w = torch.as_tensor(Z[..., :1]), torch.as_tensor(W[..., :1])
    expected = soft_assignment(z.flatten(1), w.flatten(1))
    torch.testing.assert_close(student_t(dtc.euclidean(z, w)), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(30,), (30, 2), (31, 1), (1,), (2, 3)])
@pytest.mark.parametrize("pool", [1, 4])
def test_the_code_is_as_long_as_the_pooling_leaves_it(shape, pool):
    encoder = TemporalEncoder(shape[1] if len(shape) > 1 else 1, (6, 5), 2, 10, pool)
    x = torch.randn(4, *shape)
    z = encoder(x)
    assert z.shape == (4, 2 * -(-shape[0] // pool))
    assert TemporalDecoder(shape, 2, 10, pool)(z).shape == x.shape


def test_both_ways_adds_the_states_of_two_lstms():
    layer, x = dtc.BothWays(3, 4), torch.randn(2, 6, 3)
    found = layer(x)
    states = layer.lstm(x)[0]
    torch.testing.assert_close(found, states[..., :4] + states[..., 4:])
    changed = x.clone()
    changed[:, -1] += 1
    assert (layer(changed)[:, 0] != found[:, 0]).any(), "the first step knows of the last"


@pytest.mark.parametrize("name", DISSIMILARITIES)
def test_the_loss_is_reconstruction_plus_gamma_times_kl(name):
    model = DTC(2, dissimilarity=name, weight=0.7, **SMALL).fit(X)
    x = torch.as_tensor((X - model.offset_) / model.scale_).float()
    model.refresh(x)
    index, network = torch.tensor([4, 2, 9]), model.network_
    sequences = model.as_sequences(network.encoder(x))
    q = student_t(DISSIMILARITIES[name](sequences, model.as_sequences(network.centroids)))
    error = (network.decoder(network.encoder(x[index])) - x[index]).square().mean()
    expected = error + 0.7 * kl_divergence(target_distribution(q)[index], q[index])
    torch.testing.assert_close(model.loss(Batch(x[index], x[index], index, network.encoder)), expected)


def test_it_finds_slow_and_fast_waves():
    model = DTC(2, hidden=(16, 16), pretrain_epochs=60, epochs=20, random_state=0).fit(X)
    assert clustering_accuracy(Y, model.labels_) > 0.9
    assert model.sequences_.shape == (2, 15, 1) and model.predict_proba(X).shape == (120, 2)


@pytest.mark.parametrize("most", [4000, 30])
def test_linkage_starts_at_the_means_of_complete_linkage(monkeypatch, most):
    monkeypatch.setattr(dtc, "MOST_LINKED", most)
    model = DTC(3, **SMALL | {"epochs": 0}).fit(X)
    z = torch.as_tensor(model.transform(X))
    labels = model.labels_of_start(z, 1, 0)
    means = np.stack([z[labels == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(model.centroids_, means, atol=1e-4)


def test_the_map_is_what_a_covered_window_costs():
    def probability(x):
        p = 1 / (1 + np.exp(-x[:, 5:8].sum(axis=1)))  # three steps alone speak
        return np.stack([p, 1 - p], axis=1)

    x = np.zeros((2, 12))
    x[0, 5:8], x[1, 5:8] = (2.0, 4.0, 2.0), (-2.0, -4.0, -2.0)
    found = occlusion(probability, x, 1)
    assert (found[:, 6] > 0).all() and (np.abs(np.delete(found, [4, 5, 6, 7, 8], axis=1)) < 1e-12).all()
    covered = x.copy()
    covered[:, 6] = (x[:, 5] + x[:, 7]) / 2
    own = probability(x).argmax(axis=1)
    lost = probability(x)[[0, 1], own] - probability(covered)[[0, 1], own]
    np.testing.assert_allclose(found[:, 6], lost, atol=1e-12)
    assert occlusion(probability, x[..., None].repeat(2, 2)[..., 0], 4).shape == (2, 12)
    with pytest.raises(ValueError, match="width=13 should be from 1 to 12"):
        occlusion(probability, x, 13)


def test_a_fitted_model_has_a_map_of_every_shape():
    for x in (X, X[..., None]):
        model = DTC(2, **SMALL).fit(x)
        assert model.heat(x[:3]).shape == (3, 30) and model.heat(x[:3], width=5).shape == (3, 30)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dissimilarity": "dtw"}, "dissimilarity.*dtw"),
        ({"pool_size": 0}, "pool_size.*0"),
        ({"kernel": 0}, "kernel.*0"),
    ],
)
def test_a_parameter_out_of_range_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        DTC(2, **SMALL | change).fit(X)


def test_unequal_lengths_and_images_are_refused():
    with pytest.raises(ValueError, match="resampled"):
        DTC(2, **SMALL).fit([row[: 20 + i % 5, None] for i, row in enumerate(X)])
    with pytest.raises(ValueError, match=r"not points of shape \(3, 2, 5\)"):
        DTC(2, **SMALL).fit(X.reshape(120, 3, 2, 5))


def test_linkage_is_complete_and_does_not_chain():
    model = DTC(2, pretrain_epochs=1, epochs=0, random_state=0, device="cpu").fit(
        np.random.default_rng(0).random((12, 6))
    )
    chain = torch.zeros(11, model.width_)
    chain[:, 0] = torch.tensor([*range(10), 11.0])  # single linkage would leave the last one alone
    assert min(np.bincount(model.labels_of_start(chain, n_init=1, random_state=0))) > 1

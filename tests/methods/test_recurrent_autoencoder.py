"""The recurrent autoencoder: gates against their formulas, time against finite differences, what it finds."""

import numpy as np
import pytest
import torch

from dclib import RecurrentAutoencoder, load
from dclib.metrics import clustering_accuracy
from dclib.recurrent import RecurrentEncoder, recurrent_autoencoder


def gru_by_hand(cell, x):
    """The last state of a GRU by its formulas, one step after the other."""
    (w, u), (b, c) = (cell.weight_ih_l0, cell.weight_hh_l0), (cell.bias_ih_l0, cell.bias_hh_l0)
    h = torch.zeros(len(x), cell.hidden_size)
    for step in x.unbind(1):
        (r, z, n), (p, q, m) = (step @ w.T + b).chunk(3, 1), (h @ u.T + c).chunk(3, 1)
        reset, update = torch.sigmoid(r + p), torch.sigmoid(z + q)
        h = update * h + (1 - update) * torch.tanh(n + reset * m)
    return h


def lstm_by_hand(cell, x):
    """The last state of an LSTM by its formulas."""
    (w, u), b = (cell.weight_ih_l0, cell.weight_hh_l0), cell.bias_ih_l0 + cell.bias_hh_l0
    h = c = torch.zeros(len(x), cell.hidden_size)
    for step in x.unbind(1):
        i, f, g, o = (step @ w.T + h @ u.T + b).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return h


@pytest.mark.parametrize(("cell", "by_hand"), [("gru", gru_by_hand), ("lstm", lstm_by_hand)])
def test_the_code_is_a_linear_map_of_the_last_state(cell, by_hand):
    torch.manual_seed(0)
    encoder, x = RecurrentEncoder(3, (6,), 4, cell), torch.randn(5, 7, 3)
    torch.testing.assert_close(encoder(x), encoder.head(by_hand(encoder.layers[0], x)))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gradients_through_time_are_finite_differences(cell):
    torch.manual_seed(0)
    network = recurrent_autoencoder((6, 2), (4,), 3, cell).double()
    x = torch.randn(3, 6, 2, dtype=torch.float64, requires_grad=True)
    aim = x.detach().clone()
    assert torch.autograd.gradcheck(lambda x: network.error(network(x), aim), x)


def test_it_reads_slow_and_fast_waves_apart():
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = np.sin(np.arange(16) * (0.3 + 0.6 * y[:, None]) + 0.3 * rng.normal(size=(200, 1)))
    model = RecurrentAutoencoder(2, hidden=(32,), latent_dim=4, pretrain_epochs=60, random_state=0).fit(x)
    assert clustering_accuracy(y, model.labels_) > 0.95
    assert model.history_[-1]["loss"] < 0.3 * model.history_[0]["loss"]


def test_rows_are_sequences_of_one_channel():
    x = np.random.default_rng(0).normal(size=(60, 9)).astype(np.float32)
    how = dict(hidden=(8,), latent_dim=3, pretrain_epochs=2, random_state=0)
    rows, steps = RecurrentAutoencoder(3, **how).fit(x), RecurrentAutoencoder(3, **how).fit(x[..., None])
    assert rows.transform(x).tobytes() == steps.transform(x[..., None]).tobytes()
    assert rows.point_shape_ == (9,) and steps.point_shape_ == (9, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"cell": "rnn"}, "cell.*rnn"), ({"window": 0}, "window.*0"), ({"backwards": "yes"}, "backwards.*yes")],
)
def test_a_parameter_out_of_range_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        RecurrentAutoencoder(3, **change).fit(np.random.default_rng(0).normal(size=(20, 5)))


def test_images_with_colours_are_no_sequences():
    with pytest.raises(ValueError, match=r"not points of shape \(3, 4, 4\)"):
        RecurrentAutoencoder(3, pretrain_epochs=1).fit(np.random.default_rng(0).normal(size=(20, 3, 4, 4)))


def test_for_data_reads_long_sequences_in_windows():
    digits = load("digits")
    assert RecurrentAutoencoder.for_data(digits).window == 1
    assert RecurrentAutoencoder.for_data(load("mnist-10k"), window=4).window == 4

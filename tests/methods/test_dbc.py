"""DBC: the boosted target against the double loop and DEC's, batch norm's two modes, and the convolutional network."""

import numpy as np
import pytest
import torch
from torch import nn

from dclib import DBC, DEC, load
from dclib.methods.dbc import boosted_target
from dclib.methods.dec import soft_assignment, target_distribution
from dclib.networks import conv_autoencoder


@pytest.fixture
def q() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return soft_assignment(draw(9, 3), draw(4, 3))


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("balance", [True, False])
def test_boosted_target_is_the_double_loop(q, power, balance):
    expected = torch.zeros_like(q)
    for i in range(9):
        for j in range(4):
            size = sum(float(q[k, j]) for k in range(9))
            expected[i, j] = float(q[i, j]) ** power / (size ** (power - 1) if balance else 1)
        expected[i] /= expected[i].sum()
    torch.testing.assert_close(boosted_target(q, power, balance), expected)


def test_power_one_boosts_nothing_power_two_is_decs_and_more_is_harder(q):
    torch.testing.assert_close(boosted_target(q, 1.0), q)
    torch.testing.assert_close(boosted_target(q, 2.0), target_distribution(q))
    sure = [float(boosted_target(q, power, balance=False).max(dim=1).values.mean()) for power in (1, 2, 4, 8)]
    assert sure == sorted(sure)


@pytest.mark.parametrize("balance", [True, False])
def test_a_high_power_of_small_answers_is_the_hard_label(balance):
    q = torch.rand(9000, 150, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    score = q / q.sum(dim=0) if balance else q
    r = boosted_target(q, 1e6, balance)  # q to this power is zero in every float
    assert torch.isfinite(r).all() and (r.argmax(dim=1) == score.argmax(dim=1)).float().mean() > 0.99


def test_iterated_without_division_it_is_one_higher_power(q):
    twice = boosted_target(boosted_target(q, 2.0, balance=False), 3.0, balance=False)
    torch.testing.assert_close(twice, boosted_target(q, 6.0, balance=False))


@pytest.mark.parametrize("shape", [(28, 28), (16, 16), (8, 8), (7, 5), (1, 9), (1, 1)])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_decoder_ends_at_the_shape_of_the_image(shape, batch_norm):
    network = conv_autoencoder(shape, (4, 6), 3, batch_norm=batch_norm)
    x = torch.randn(5, shape[0] * shape[1])
    assert network.encoder(x).shape == (5, 3) and network(x).shape == x.shape
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == (4 if batch_norm else 0)


def test_a_convolution_is_the_loop_over_places():
    network = conv_autoencoder((6, 6), (2,), 3)
    layer = network.encoder[1]
    x = torch.randn(1, 36)
    image = nn.functional.pad(x.view(6, 6), (1, 1, 1, 1))
    expected = torch.zeros(2, 3, 3)
    for channel in range(2):
        for row in range(3):
            for column in range(3):
                patch = image[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
                expected[channel, row, column] = (patch * layer.weight[channel, 0]).sum() + layer.bias[channel]
    torch.testing.assert_close(layer(network.encoder[0](x))[0], expected)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


SMALL = dict(hidden=(4,), pretrain_epochs=2, epochs=2, tol=0, n_init=2, random_state=0)


def test_targets_are_computed_in_evaluation_mode(digits):
    modes = []

    class Watched(DBC):
        def refresh(self, x):
            modes.append(self.network_.training)
            return super().refresh(x)

    Watched(10, shape=(8, 8), **SMALL).fit(digits.x)
    assert modes and not any(modes)
    modes.clear()
    network = conv_autoencoder((8, 8), (4,), batch_norm=True)
    Watched(10, shape=(8, 8), network=network, **SMALL | dict(pretrain_epochs=0)).fit(digits.x)
    assert modes and not any(modes), "a network that comes from outside may be in training mode"


def test_a_code_does_not_depend_on_its_company(digits):
    model = DBC(10, shape=(8, 8), **SMALL).fit(digits.x)
    alone = np.concatenate([model.transform(digits.x[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, model.transform(digits.x)[:5], atol=1e-4)
    model.network_.train()
    x = torch.as_tensor(digits.x / model.scale_)
    assert not torch.allclose(model.network_.encoder(x[:5]), model.network_.encoder(x)[:5], atol=1e-2)


def test_a_last_mini_batch_of_one_point_is_no_trouble(digits):
    model = DBC(4, shape=(1, 1), **SMALL | {"hidden": (2,)}, batch_size=16)
    x = np.linspace(0, 1, 17, dtype=np.float32)[:, None]
    assert len(model.fit(x).labels_) == 17


def test_for_data_gives_images_a_convolutional_network(digits):
    assert DBC.for_data(digits).shape == (8, 8) and DEC.for_data(digits).shape is None
    kinds = {type(layer) for layer in DEC(3, shape=(8, 8), hidden=(4,)).build(64).modules()}
    assert nn.Conv2d in kinds and nn.BatchNorm2d not in kinds
    assert nn.Conv2d not in {type(layer) for layer in DBC(3).build(5).modules()}


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((8, 9), "64 values.*asks for 72"),
        ((64,), "2 or 3 values"),
        ((8, 0), r"shape\[1\] = 0"),
        ((8, 8.0), r"shape\[1\]"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(digits, shape, words):
    with pytest.raises(ValueError, match=words):
        DBC(10, shape=shape, **SMALL).fit(digits.x)

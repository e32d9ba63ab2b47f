"""DEN: its terms against loops, the kernel that underflows, the code that shrinks unless its size is divided out."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import DEN, load
from dclib.base import Batch
from dclib.graphs import nearest
from dclib.methods.den import group_loss, heat_kernel, locality_loss

SMALL = dict(hidden=(16,), latent_dim=6, pretrain_epochs=3, batch_size=64, n_init=2, random_state=5)


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    return make_blobs(300, centers=4, n_features=12, random_state=3)[0].astype(np.float32)


@pytest.fixture
def codes() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return draw(9, 5), draw(9, 5)


def test_locality_loss_is_the_loop(codes):
    z, near = codes
    similarity = heat_kernel((z - near).square().sum(1), 2.0)
    by_hand = sum(
        float(torch.exp(-((z[i] - near[i]) ** 2).sum() / 2) * ((z[i] - near[i]) ** 2).sum()) for i in range(9)
    )
    assert float(locality_loss(z, near, similarity)) == pytest.approx(by_hand / 9)


@pytest.mark.parametrize("size", [1, 2, 5, 7])
def test_group_loss_is_the_loop(codes, size):
    z, _ = codes
    by_hand = 0.0
    for row in z:
        for start in range(0, 5, size):
            group = row[start : start + size]
            by_hand += len(group) ** 0.5 * float((group**2).sum()) ** 0.5
    assert float(group_loss(z, size)) == pytest.approx(by_hand / 9)


def test_group_loss_prefers_one_group_at_equal_length():
    one, two = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    assert one.norm() == two.norm() and group_loss(one, 2) < group_loss(two, 2)
    assert group_loss(one, 1) == group_loss(two, 1), "with groups of one, plain sparsity"


def test_a_width_of_one_underflows_on_digits_and_the_median_does_not():
    x = load("mnist-10k").x[:1000]
    squared = torch.as_tensor(np.square(nearest(x, 5)[0]))
    assert heat_kernel(squared, 1.0).median() < 1e-6
    assert float(heat_kernel(squared, float(squared.median())).median()) == pytest.approx(np.exp(-1), rel=1e-3)


def test_loss_is_the_sum_of_three(blobs):
    model = DEN(4, **SMALL, locality=0.7, sparsity=0.3, scale_free=False, n_neighbors=1)
    kept = {}

    class Kept(DEN):
        def representation_loss(self, batch):
            value = super().representation_loss(batch)
            if not kept:
                z, network = batch.z, self.network_
                near = network.encoder(self._points[self._near[batch.index, 0]])
                error = (network.decoder(z) - batch.view).square().mean()
                local = locality_loss(z, near, self._similarity[batch.index, 0])
                kept["pair"] = value.detach(), (error + 0.7 * local + 0.3 * group_loss(z, 2)).detach()
            return value

    Kept(**model.get_params()).fit(blobs)
    torch.testing.assert_close(*kept["pair"])


def test_neighbours_are_those_of_brute_force(blobs):
    x = torch.as_tensor(blobs)
    squared, place = DEN(4, n_neighbors=3)._neighbours(x)
    distance = torch.cdist(x.double(), x.double()).square()
    distance.fill_diagonal_(torch.inf)
    expected = distance.topk(3, largest=False)
    np.testing.assert_array_equal(place, expected.indices.numpy())
    np.testing.assert_allclose(squared, expected.values.numpy(), rtol=1e-3)


def test_the_code_shrinks_unless_its_size_is_divided_out(blobs):
    def size(**how):
        model = DEN(4, **SMALL | dict(pretrain_epochs=30), whiten=False, locality=2.0, sparsity=1.0, **how).fit(blobs)
        return np.square(model.transform(blobs)).sum(axis=1).mean()

    assert size(scale_free=False) < 0.2 * size(scale_free=True)


def test_locality_brings_neighbours_together():
    x = make_blobs(300, centers=4, n_features=12, random_state=3, cluster_std=6)[0].astype(np.float32)
    near = nearest(x, 1)[1][:, 0]

    def apart(locality):
        model = DEN(4, **SMALL | dict(pretrain_epochs=30), whiten=False, locality=locality, sparsity=0.0).fit(x)
        z = model.transform(x)
        return np.square(z - z[near]).sum(axis=1).mean() / z.var(axis=0).sum()

    assert apart(2.0) < 0.7 * apart(0.0)


def test_scale_free_terms_do_not_change_with_the_scale_of_the_code(blobs):
    model = DEN(4, **SMALL).fit(blobs)
    x = torch.as_tensor(blobs[:20] / model.scale_)
    model._points, model._near = x, torch.arange(20).roll(1)[:, None]
    model._similarity = torch.ones(20, 1)

    class Scaled(torch.nn.Module):
        def forward(self, x):
            return 1000 * model.network_.encoder(x)

    plain, scaled = Batch(x, x, torch.arange(20), model.network_.encoder), None
    with torch.no_grad():
        error = (model.network_.decoder(plain.z) - x).square().mean()
        terms = model.representation_loss(plain) - error
        network, model.network_ = model.network_, None
        from types import SimpleNamespace

        encoder = Scaled()
        encoder.forward = lambda x: 1000 * network.encoder(x)
        model.network_ = SimpleNamespace(encoder=encoder, decoder=lambda z: network.decoder(z / 1000))
        scaled = Batch(x, x, torch.arange(20), encoder)
        torch.testing.assert_close(model.representation_loss(scaled) - error, terms, rtol=1e-3, atol=1e-4)

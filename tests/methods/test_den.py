"""DEN: its terms against loops, the kernel that underflows, the code that shrinks unless its size is divided out."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import DEN, load
from dclib.graphs import nearest
from dclib.methods.den import group_loss, heat_kernel, in_white, locality_loss

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
    model = DEN(4, **SMALL, locality=0.7, sparsity=0.3, units="raw", n_neighbors=1, group_size=2)
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
        model = DEN(4, **SMALL | dict(pretrain_epochs=30), locality=2.0, sparsity=1.0, **how).fit(blobs)
        return np.square(model.transform(blobs)).sum(axis=1).mean()

    assert size(units="raw") < 0.2 * size(units="white")


def test_locality_brings_neighbours_together():
    x = make_blobs(300, centers=4, n_features=12, random_state=3, cluster_std=6)[0].astype(np.float32)
    near = nearest(x, 1)[1][:, 0]

    def apart(locality):
        how = SMALL | dict(pretrain_epochs=30, n_neighbors=1, sparsity=0.0, units="white")
        model = DEN(4, **how, locality=locality).fit(x)
        z = torch.as_tensor(model.transform(x))
        return float(locality_loss(*in_white(z, z[near]), torch.ones(len(z))))

    assert apart(2.0) < 0.8 * apart(0.0)


def test_white_codes_have_unit_covariance_and_the_distance_of_mahalanobis(codes):
    z, near = codes[0].repeat(5, 1), codes[1].repeat(5, 1)
    white, white_near = in_white(z, near)
    both = torch.cat([z, near])
    covariance = torch.cov(both.T, correction=0)
    torch.testing.assert_close(
        torch.cov(torch.cat([white, white_near]).T, correction=0), torch.eye(5).double(), atol=0.02, rtol=0
    )
    gap = z - near
    inverse = torch.linalg.inv(covariance + 1e-3 * covariance.diagonal().mean() * torch.eye(5))
    torch.testing.assert_close((white - white_near).square().sum(1), ((gap @ inverse) * gap).sum(1))


@pytest.mark.parametrize("units, change", [("raw", (1e6, 1e3)), ("size", (1, 1)), ("white", (1, 1))])
def test_terms_when_the_code_is_a_thousand_times_as_large(codes, units, change):
    z, near = codes
    model = DEN(4, units=units)
    before, after = (torch.stack(model._terms(c * z, c * near, torch.ones(9))) for c in (1, 1000))
    torch.testing.assert_close(after / before, torch.tensor(change).double())


def test_only_the_white_terms_see_neither_a_flat_code_nor_one_long_code(codes):
    z, near = codes
    near = torch.cat([z[:, :1] + 0.1 * near[:, :1], near[:, 1:]], dim=1)  # the first direction is the smoothest
    flat = torch.diag(torch.tensor([1, 0.3, 0.3, 0.3, 0.3]).double())
    long = torch.ones(9, 1).double()
    long[0] = 1000

    def change(units):
        terms = lambda z, near: DEN(4, units=units)._terms(z, near, torch.ones(9))  # noqa: E731
        (local, grouped), (flatter, _) = terms(z, near), terms(z @ flat, near @ flat)
        _, longer = terms(long * z, near)
        return float(flatter / local), float(longer / grouped)

    assert change("white") == pytest.approx((1, 1), abs=0.02)
    assert max(change("size")) < 0.6


@pytest.mark.parametrize("units", ["white", "size"])
def test_a_mini_batch_of_one_is_no_catastrophe(codes, units):
    z, near = (part[:1].requires_grad_() for part in codes)
    terms = DEN(4, units=units)._terms(z, near, torch.ones(1))
    sum(terms).backward()
    assert all(float(term.detach()) < 10 for term in terms) and torch.isfinite(z.grad).all()
    same = DEN(4, units=units)._terms(z, z, torch.ones(1))
    assert float(same[0].detach()) == 0

"""DEC's formulas against brute force, the paper's gradients and finite differences; what its training moves."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import DEC
from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution
from dclib.phases import Batch


@pytest.fixture
def codes() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return draw(7, 3), draw(4, 3)


def naive_q(z: torch.Tensor, centroids: torch.Tensor, alpha: float) -> torch.Tensor:
    q = torch.zeros(len(z), len(centroids), dtype=z.dtype)
    for i in range(len(z)):
        for j in range(len(centroids)):
            q[i, j] = (1 + ((z[i] - centroids[j]) ** 2).sum() / alpha) ** (-(alpha + 1) / 2)
        q[i] = q[i] / q[i].sum()
    return q


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0, 9.0])
def test_soft_assignment_is_the_double_loop(codes, alpha):
    torch.testing.assert_close(soft_assignment(*codes, alpha), naive_q(*codes, alpha))


def test_target_is_the_double_loop(codes):
    q = soft_assignment(*codes)
    f = [sum(q[i, j] for i in range(7)) for j in range(4)]
    expected = torch.tensor([[q[i, j] ** 2 / f[j] for j in range(4)] for i in range(7)])
    torch.testing.assert_close(target_distribution(q), expected / expected.sum(1, keepdim=True))


def test_target_sharpens_and_favours_small_clusters():
    q = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.4, 0.6]], dtype=torch.float64)
    p = target_distribution(q)
    assert (p.max(1).values > q.max(1).values)[2] and p[2, 1] > p[0, 0]  # the second cluster is the smaller one


def test_kl_is_nonnegative_zero_at_equality_and_takes_zeros(codes):
    q = soft_assignment(*codes)
    assert kl_divergence(q, q).abs() < 1e-15
    assert kl_divergence(target_distribution(q), q) > 0
    one_hot = torch.eye(4, dtype=torch.float64)[q.argmax(1)]
    torch.testing.assert_close(kl_divergence(one_hot, q), -q.max(1).values.log().mean())


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_gradients_are_the_papers(codes, alpha):
    """Xie et al. 2016, eq. 4 and 5, with P held fixed; the loss here is a mean, so n times its gradient is theirs."""
    z, centroids = (value.requires_grad_() for value in codes)
    q = soft_assignment(z, centroids, alpha)
    p = target_distribution(q).detach()
    dz, dcentroids = torch.autograd.grad(kl_divergence(p, q) * len(z), (z, centroids))
    difference = z[:, None] - centroids
    kernel = 1 / (1 + difference.square().sum(2) / alpha)
    pull = (alpha + 1) / alpha * (kernel * (p - q))[:, :, None] * difference
    torch.testing.assert_close(dz, pull.sum(1))
    torch.testing.assert_close(dcentroids, -pull.sum(0))


def test_gradient_agrees_with_finite_differences(codes):
    z, centroids = codes
    p = target_distribution(soft_assignment(z, centroids))
    z.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: kl_divergence(p, soft_assignment(z, centroids)), (z,))


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    return make_blobs(300, centers=4, n_features=12, random_state=3)[0].astype(np.float32)


SMALL = dict(
    hidden=(16,),
    latent_dim=3,
    pretrain_epochs=3,
    epochs=3,
    batch_size=64,
    n_init=2,
    random_state=5,
    tol=0.0,
)


def test_predict_proba_is_q_and_agrees_with_labels(blobs):
    model = DEC(4, **SMALL).fit(blobs)
    q = model.predict_proba(blobs)
    np.testing.assert_allclose(q.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(q.argmax(1), model.labels_)
    np.testing.assert_array_equal(model.predict(blobs), model.labels_)


def test_second_phase_trains_encoder_and_centroids_and_leaves_the_decoder(blobs):
    states = []
    DEC(
        4,
        **SMALL,
        callback=lambda m: states.append({k: v.clone() for k, v in m.network_.state_dict().items()}),
    ).fit(blobs)
    start, end = next(state for state in states if "centroids" in state), states[-1]
    moved = {name: not torch.equal(start[name], end[name]) for name in start}
    assert moved["centroids"] and any(moved[name] for name in moved if name.startswith("encoder"))
    assert not any(moved[name] for name in moved if name.startswith("decoder"))


def test_target_is_fixed_within_an_epoch_and_carries_no_gradient(blobs):
    kept = []

    class Watched(DEC):
        def clustering_loss(self, batch):
            kept.append(self._target)
            return super().clustering_loss(batch)

    model = Watched(4, **SMALL).fit(blobs)
    assert len(kept) == 3 * 5 and len({id(p) for p in kept}) == 3, "five steps an epoch, one target an epoch"
    assert all(p.shape == (300, 4) and not p.requires_grad for p in kept)
    assert not hasattr(model, "_target"), "scratch is gone after fit"


def test_second_phase_lowers_the_loss_against_a_fixed_target(blobs):
    before, after = (
        torch.as_tensor(DEC(4, **SMALL | dict(epochs=epochs, lr=3e-4)).fit(blobs).predict_proba(blobs))
        for epochs in (0, 1)
    )
    p = target_distribution(before)
    assert kl_divergence(p, after) < kl_divergence(p, before)


def test_stops_when_few_points_change_cluster(blobs):
    patient = DEC(4, **SMALL | dict(epochs=30)).fit(blobs)
    eager = DEC(4, **SMALL | dict(epochs=30, tol=0.9)).fit(blobs)
    refined = [[r for r in model.history_ if r["phase"] == "refine"] for model in (patient, eager)]
    assert len(refined[0]) == 30 and len(refined[1]) == 1


def test_alpha_out_of_range_is_refused(blobs):
    with pytest.raises(ValueError, match="alpha"):
        DEC(4, alpha=0.0).fit(blobs)


def test_targets_come_from_the_points_and_predictions_from_their_views():
    """The published order of DEC-DA: swapped, or both alike, the loss is another number."""
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    seen = []

    def shifted(points):
        seen.append(points)
        return points + 1

    model = DEC(3, hidden=(8,), pretrain_epochs=1, epochs=1, tol=0, augment=shifted, random_state=0)
    model.fit(x.numpy())
    points = torch.cat(seen)
    clean = torch.as_tensor((x.numpy() - np.float32(model.offset_)) / np.float32(model.scale_))
    assert all((points[:, None] == clean).all(dim=2).any(dim=1)), "only points as they are get augmented"
    model.refresh(clean)
    encoder, index = model.network_.encoder, torch.tensor([4, 2, 9])
    p = target_distribution(model.soft_assign(encoder(clean)))[index]
    q = model.soft_assign(encoder(clean[index] + 1))
    batch = Batch(clean[index], clean[index] + 1, index, model.network_.encoder)
    torch.testing.assert_close(model.clustering_loss(batch), kl_divergence(p, q))
    model.clustering_loss(batch).backward()
    assert not model._target.requires_grad, "P is held fixed"

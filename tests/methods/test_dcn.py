"""DCN: its loss and its centroids against the paper's one-point-at-a-time loop, and the collapse without a decoder."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import DCN
from dclib.methods.dcn import kmeans_loss, running_means

SMALL = dict(
    hidden=(16,), latent_dim=3, pretrain_epochs=5, epochs=3, batch_size=64, n_init=2, random_state=5, tol=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def blobs() -> np.ndarray:
    return make_blobs(300, centers=4, n_features=12, random_state=3)[0].astype(np.float32)


@pytest.fixture
def codes() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return draw(20, 3), draw(4, 3), torch.randint(3, (20,), generator=generator)  # the last cluster gets none


def test_running_means_are_the_papers_loop(codes):
    z, centroids, labels = codes
    counts = torch.tensor([100.0, 1.0, 7.0, 5.0], dtype=torch.float64)
    expected, seen = centroids.clone(), counts.clone()
    for point, label in zip(z, labels.tolist(), strict=True):  # eq. 8: m ← m − (1/c)(m − z), c counts this point too
        seen[label] += 1
        expected[label] -= (expected[label] - point) / seen[label]
    moved, total = running_means(centroids, counts, z, labels)
    torch.testing.assert_close(moved, expected)
    torch.testing.assert_close(total, seen)
    torch.testing.assert_close(moved[3], centroids[3])


def test_loss_is_half_the_mean_squared_distance_and_its_gradient_points_away(codes):
    z, centroids, labels = codes
    z.requires_grad_(), centroids.requires_grad_()
    loss = kmeans_loss(z, centroids, labels)
    by_hand = sum(float(((z[i] - centroids[labels[i]]) ** 2).sum().detach()) for i in range(20)) / 40
    assert float(loss) == pytest.approx(by_hand)
    loss.backward()
    torch.testing.assert_close(z.grad, (z - centroids[labels]).detach() / 20)
    assert centroids.grad is None, "no gradient reaches the centroids"


def test_centroids_move_by_running_means_alone(blobs):
    model = DCN(4, **SMALL | dict(epochs=0)).fit(blobs)
    before = model.centroids_
    still = DCN(4, **SMALL, start_count=10**7).fit(blobs)
    np.testing.assert_allclose(still.centroids_, before, atol=1e-3)  # the first points weigh next to nothing
    moved = DCN(4, **SMALL, start_count=1).fit(blobs)
    assert np.abs(moved.centroids_ - before).max() > 0.01
    counts = moved.network_.counts
    assert float(counts.sum()) == 4 + 3 * 300, "each point was counted once an epoch"


def test_without_reconstruction_each_cluster_shrinks_to_a_point_and_the_points_go():
    class NoDecoder(DCN):
        def loss(self, batch):
            return self.clustering_loss(batch)

    wide = make_blobs(300, centers=4, n_features=12, random_state=3, cluster_std=5)[0].astype(np.float32)

    def scatter_and_error(cls):
        model = cls(4, **SMALL | dict(epochs=60, lr=3e-3), weight=0.2).fit(wide)
        scatter = np.square(model.transform(wide) - model.centroids_[model.labels_]).sum(axis=1).mean()
        x = torch.as_tensor(wide) / model.scale_
        return scatter, float((model.network_(x) - x).square().mean().detach())

    (bare, bare_error), (joint, error) = scatter_and_error(NoDecoder), scatter_and_error(DCN)
    assert bare < 0.4 * joint and bare_error > 1.5 * error

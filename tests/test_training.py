"""Seeds, devices, mini-batches and the k-means start."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import nn

from dclib.data import load
from dclib.methods import DAC
from dclib.metrics import clustering_accuracy
from dclib.networks import Autoencoder, conv_features, mlp, mlp_autoencoder
from dclib.training import (
    STARTS,
    NonFiniteLossError,
    autocast,
    batches,
    check_finite,
    copy_state,
    descend,
    fit_kmeans,
    has_bfloat16,
    in_batches,
    pick_device,
    placed,
    root_mean_square,
    seed_of,
    seeded,
    start_at_kmeans,
    start_at_labels,
    without_denormals,
)


def test_seeded_repeats_and_restores():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with seeded(5):
        first = torch.rand(2)
    torch.testing.assert_close(torch.rand(2), expected)
    with seeded(5):
        torch.testing.assert_close(torch.rand(2), first)


def test_seeded_restores_after_an_error():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(5):
        raise KeyError
    assert torch.equal(torch.get_rng_state(), state)


def test_seed_of_takes_all_that_scikit_learn_takes():
    assert seed_of(7) == 7 and seed_of(np.int64(7)) == 7
    assert seed_of(np.random.RandomState(0)) == seed_of(np.random.RandomState(0))
    assert seed_of(None) >= 0


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 10), (10, 99), (1, 1)])
def test_batches_visit_every_point_once(n, size):
    found = list(batches(n, size))
    assert sorted(torch.cat(found).tolist()) == list(range(n))
    assert all(len(index) == size for index in found[:-1])


def test_batches_are_shuffled_anew_each_time():
    with seeded(0):
        first, second = torch.cat(list(batches(50, 8))), torch.cat(list(batches(50, 8)))
    assert not torch.equal(first, second) and not torch.equal(first, torch.arange(50))


def test_in_batches_equals_one_pass_and_keeps_no_graph(monkeypatch):
    monkeypatch.setattr("dclib.training.EVALUATION_BATCH", 7)
    layer, x = torch.nn.Linear(3, 2), torch.randn(20, 3)
    torch.testing.assert_close(in_batches(layer, x), layer(x))
    assert not in_batches(layer, x).requires_grad


def test_kmeans_finds_the_best_of_its_starts_and_repeats():
    z = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    one, again = (fit_kmeans(z, 5, n_init=10, random_state=3) for _ in range(2))
    assert one.cluster_centers_.tobytes() == again.cluster_centers_.tobytes()
    assert one.inertia_ <= KMeans(5, n_init=1, random_state=3).fit(z.double().numpy()).inertia_ + 1e-9


def test_pick_device():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="unknown device 'cdua'.*'cuda'"):
        pick_device("cdua")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="'cuda:3' is not on this machine"):
            pick_device("cuda:3")


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_check_finite_names_the_place(loss):
    check_finite(0.0, "nowhere")
    with pytest.raises(NonFiniteLossError, match="epoch 3"):
        check_finite(loss, "epoch 3")


def test_copied_state_does_not_follow_the_network():
    layer = torch.nn.Linear(2, 2)
    state = copy_state(layer)
    with torch.no_grad():
        layer.weight.add_(1)
    assert not torch.equal(state["weight"], layer.weight)


def test_mlp_has_a_linear_output():
    layers = mlp((4, 8, 8, 2))
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert (layers(torch.randn(200, 4)) < 0).any()


def test_autoencoder_mirrors_itself():
    network = mlp_autoencoder(784)
    assert [tuple(layer.weight.shape) for layer in network.encoder if isinstance(layer, torch.nn.Linear)] == [
        (500, 784), (500, 500), (2000, 500), (10, 2000),
    ]  # fmt: skip
    assert [layer.out_features for layer in network.decoder if isinstance(layer, torch.nn.Linear)] == [
        2000,
        500,
        500,
        784,
    ]
    x = torch.randn(3, 784)
    torch.testing.assert_close(network(x), network.decoder(network.encoder(x)))
    assert isinstance(network, Autoencoder)


def test_root_mean_square():
    x = np.array([[3, 4], [0, 0]], dtype=np.float32)
    assert root_mean_square(x) == pytest.approx(2.5)
    assert root_mean_square(np.full((50, 4), 1e30, dtype=np.float32)) == pytest.approx(1e30, rel=1e-6)


def test_root_mean_square_in_parts_is_the_same(monkeypatch):
    x = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    whole = root_mean_square(x)
    assert whole == pytest.approx(np.sqrt(np.mean(x.astype(np.float64) ** 2)), rel=1e-9)
    monkeypatch.setattr("dclib.points.CHUNK", 100)
    assert root_mean_square(x) == pytest.approx(whole, rel=1e-12)


def test_kmeans_of_many_points_restarts_on_some_and_ends_on_all(monkeypatch):
    z = torch.randn(3000, 4, generator=torch.Generator().manual_seed(0)) + 5 * torch.eye(4)[torch.arange(3000) % 4]
    exact = fit_kmeans(z, 4, n_init=5)
    monkeypatch.setattr("dclib.training.RESTART_SAMPLE", 500)
    quick = fit_kmeans(z, 4, n_init=5)
    assert len(quick.labels_) == 3000 and quick.inertia_ == pytest.approx(exact.inertia_, rel=1e-3)


def test_denormals_are_zero_inside_the_block_only():
    tiny = torch.full((64,), 1e-40)
    with without_denormals():
        assert (tiny * 1).eq(0).all()
        with without_denormals():
            pass
        assert (tiny * 1).eq(0).all()
    assert (tiny * 1).ne(0).all()


def test_autocast_follows_the_device_and_what_was_asked(monkeypatch):
    cpu, layer, x = torch.device("cpu"), torch.nn.Linear(3, 3), torch.randn(2, 3)
    for has, asked, expected in [
        (True, "auto", torch.bfloat16),
        (False, "auto", torch.float32),
        (True, "float32", torch.float32),
        (False, "bfloat16", torch.bfloat16),
    ]:
        monkeypatch.setattr("dclib.training.has_bfloat16", lambda device, has=has: has)
        with autocast(cpu, asked):
            assert layer(x).dtype == expected
    with pytest.raises(ValueError, match="'bfloat61'.*'bfloat16'"):
        autocast(cpu, "bfloat61")


def test_images_on_a_gpu_have_their_channels_last_and_nothing_else_changes(monkeypatch):
    network = conv_features((8, 8), (4, 6), 5)
    assert placed(network, torch.device("cpu"))[1].weight.is_contiguous(), "a processor's are left alone"
    gpu = SimpleNamespace(type="cuda")
    asked = []
    monkeypatch.setattr(nn.Module, "to", lambda self, device, memory_format: asked.append((device, memory_format)))
    placed(network, gpu)
    assert asked == [(gpu, torch.channels_last)]
    monkeypatch.undo()
    x = load("digits").x[:200]
    how = {"shape": (8, 8), "hidden": (4, 6), "pretrain_epochs": 2, "random_state": 0, "precision": "float32"}
    plain = DAC(10, **how, device="cpu").fit(x)
    monkeypatch.setattr("dclib.base.placed", lambda net, device: placed(net, device, torch.channels_last))
    last = DAC(10, **how, device="cpu").fit(x)
    layouts = [
        model.network_.encoder[4].weight.is_contiguous(memory_format=torch.channels_last) for model in (plain, last)
    ]
    assert layouts == [False, True], "six filters of four channels"
    losses = [[epoch["loss"] for epoch in model.history_] for model in (plain, last)]
    assert np.allclose(*losses, rtol=1e-4), "the layout decides no result"


def test_has_bfloat16_reads_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert has_bfloat16(torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert not has_bfloat16(torch.device("cpu"))


def test_descend_is_one_step_down_the_gradient():
    w = torch.tensor([3.0], requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    assert descend(w.square().sum(), optimizer, schedule) == 9
    assert float(w.detach()) == pytest.approx(3 - 0.1 * 6)
    descend(w.square().sum(), optimizer)  # the schedule has halved the rate, and no old gradient is left
    assert float(w.detach()) == pytest.approx(2.4 - 0.05 * 4.8)
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_start_at_kmeans_places_the_centroids_and_tells_the_clusters() -> None:
    x = torch.cat([torch.zeros(5, 2), torch.ones(5, 2)]) + torch.rand(10, 2) / 9
    network = Autoencoder(torch.nn.Identity(), torch.nn.Identity())
    labels = start_at_kmeans(network, x, 2, n_init=2)
    assert isinstance(network.centroids, torch.nn.Parameter) and len(set(labels[:5])) == len(set(labels[5:])) == 1
    for k in (0, 1):
        torch.testing.assert_close(network.centroids[k].detach(), x[labels == k].mean(dim=0))


def bars() -> tuple[torch.Tensor, np.ndarray]:
    """Four bars side by side, longer than they are apart: k-means cuts across them."""
    y = np.repeat(np.arange(4), 300)
    x = np.random.default_rng(0).normal(size=(1200, 2)) * [2.5, 0.3] + np.column_stack([0 * y, 2 * y])
    return torch.as_tensor(x).float(), y


def wide_and_narrow() -> tuple[torch.Tensor, np.ndarray]:
    """A wide group beside a narrow one: k-means gives the narrow one a share of the wide one."""
    y = np.repeat([0, 1], [500, 100])
    x = np.random.default_rng(0).normal(size=(600, 2)) * np.where(y, 0.3, 3)[:, None] + np.column_stack([8 * y, 0 * y])
    return torch.as_tensor(x).float(), y


@pytest.mark.parametrize(("start", "points", "most"), [("spectral", bars, 0.6), ("mixture", wide_and_narrow, 0.96)])
def test_other_starts_find_what_kmeans_cuts_across(start, points, most):
    z, y = points()
    n_clusters = len(set(y))
    assert clustering_accuracy(y, fit_kmeans(z, n_clusters).labels_) < most
    labels = STARTS[start](z, n_clusters)
    assert clustering_accuracy(y, labels) > 0.98 and labels.dtype == np.int64
    np.testing.assert_array_equal(labels, STARTS[start](z, n_clusters))


def test_centroids_start_at_the_means_of_the_labels():
    z, labels = torch.arange(12.0).view(6, 2), np.array([1, 0, 1, 2, 2, 0])
    network = torch.nn.Module()
    start_at_labels(network, z, labels, 4)
    for k in range(3):
        torch.testing.assert_close(network.centroids[k].detach(), z[labels == k].mean(dim=0))
    torch.testing.assert_close(network.centroids[3].detach(), z.mean(dim=0))  # an empty cluster

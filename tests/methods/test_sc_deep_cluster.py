"""scDeepCluster: likelihoods against SciPy, brute force and finite differences; what it takes for counts."""

import math

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy import stats

from dclib import SCDeepCluster
from dclib.cells import Tissue
from dclib.methods.sc_deep_cluster import (
    CountDecoder,
    LogNormalised,
    NotCountsWarning,
    first_no_count,
    log_normalised,
    log_ways,
    nb_log_likelihood,
    noisy_code,
    size_factors,
    zinb_log_likelihood,
)
from dclib.metrics import clustering_accuracy
from dclib.networks import Autoencoder, mlp, mlp_autoencoder
from dclib.phases import Batch

CELLS = Tissue(shares=(0.5, 0.5), n_genes=60, de_share=0.3, de_scale=1.0).draw(240, seed=0)
X = CELLS.counts
SMALL = dict(hidden=(32,), pretrain_epochs=2, epochs=2, n_init=2, batch_size=64, random_state=0, device="cpu")
COUNTS = torch.tensor([0, 1, 2, 7, 40, 900, 100_000], dtype=torch.float64)
MEANS = torch.tensor([1e-5, 0.02, 1.0, 30.0, 1e6], dtype=torch.float64)
THETAS = torch.tensor([1e-4, 0.3, 5.0, 1e4], dtype=torch.float64)
GRID = torch.cartesian_prod(COUNTS, MEANS, THETAS).T


def small(**changes):
    return SCDeepCluster(**dict(n_clusters=2) | SMALL | changes)


def test_the_negative_binomial_is_scipys():
    x, mean, theta = GRID
    expected = stats.nbinom.logpmf(x, theta, theta / (theta + mean))
    np.testing.assert_allclose(nb_log_likelihood(x, mean, theta), expected, rtol=1e-7, atol=1e-7)


def test_single_precision_keeps_the_digits_of_a_large_dispersion():
    x, mean, theta = GRID[:, (GRID[0] < 1000) & (GRID[0] > 0) & (GRID[2] == 1e4)]
    exact = nb_log_likelihood(x, mean, theta)
    np.testing.assert_allclose(nb_log_likelihood(x.float(), mean.float(), theta.float()), exact, rtol=1e-4)


@pytest.mark.parametrize("pi", [1e-12, 0.2, 0.999])
def test_the_zero_inflated_one_is_its_sum(pi):
    x, mean, theta = GRID
    nb = stats.nbinom.pmf(x, theta, theta / (theta + mean))
    logit = torch.full_like(mean, math.log(pi / (1 - pi)))
    there = nb > 1e-300
    expected = np.log(pi * (x == 0).numpy() + (1 - pi) * nb, where=there, out=np.zeros_like(nb))
    found = zinb_log_likelihood(x, mean, theta, logit).numpy()
    np.testing.assert_allclose(found[there], expected[there], rtol=1e-6, atol=1e-9)
    assert np.isfinite(found).all()


def test_the_limits_are_the_poisson_and_the_negative_binomial():
    x, mean = torch.arange(30.0).double(), torch.full((30,), 4.5).double()
    far = nb_log_likelihood(x, mean, torch.full((30,), 1e8).double())
    np.testing.assert_allclose(far, stats.poisson.logpmf(x, 4.5), rtol=1e-5)
    theta, never = torch.full((30,), 2.0).double(), torch.full((30,), -torch.inf).double()
    assert torch.equal(zinb_log_likelihood(x, mean, theta, never), nb_log_likelihood(x, mean, theta))
    almost = zinb_log_likelihood(x[:1], mean[:1], theta[:1], torch.tensor([60.0]).double())
    assert abs(float(almost)) < 1e-20, "every zero is an extra one: its probability is 1"


def test_probabilities_add_up_to_one():
    x = torch.arange(5_000).double()
    for mean, theta, logit in ((0.3, 0.2, -1.0), (20.0, 3.0, 2.0)):
        found = zinb_log_likelihood(x, *(torch.tensor(value).double() for value in (mean, theta, logit)))
        assert float(found.exp().sum()) == pytest.approx(1)


def test_gradients_are_those_of_finite_differences_and_finite_at_the_clips():
    x = torch.tensor([0.0, 0.0, 1.0, 5.0, 300.0]).double()
    some = [torch.tensor(values).double().requires_grad_() for values in
            ([0.1, 3.0, 1.0, 8.0, 250.0], [0.5, 2.0, 9.0, 1.0, 30.0], [-2.0, 1.0, 0.0, 3.0, -1.0])]  # fmt: skip
    assert torch.autograd.gradcheck(lambda *args: zinb_log_likelihood(x, *args), some)
    for logit in (-200.0, 200.0):
        mean, theta = (each.float().requires_grad_() for each in GRID[1:])
        wide = torch.full_like(mean, logit).requires_grad_()
        zinb_log_likelihood(GRID[0].float(), mean, theta, wide).sum().backward()
        assert all(each.grad.isfinite().all() for each in (mean, theta, wide))


def test_size_factors_are_totals_over_the_median_total():
    counts = torch.tensor([[1.0, 3.0], [4.0, 4.0], [10.0, 10.0], [0.0, 0.0], [5.0, 3.0]])
    np.testing.assert_allclose(size_factors(counts), np.array([4, 8, 20, 1, 8]) / 8)
    np.testing.assert_allclose(size_factors(counts, torch.tensor(2.0)), [2, 4, 10, 0.5, 4])
    logs = log_normalised(counts, size_factors(counts))
    assert float(logs[0, 1]) == pytest.approx(math.log(1 + 3 / 0.5)) and float(logs[3].sum()) == 0
    assert float(log_ways(torch.tensor(3.0), torch.tensor(2.0))) == pytest.approx(math.log(4)), "Γ(5) / Γ(2) / 3!"


def test_what_the_encoder_reads_is_scanpys_recipe():
    """``normalize_total``, ``log1p``, ``scale``, with the median of all cells as their target."""
    layer = LogNormalised(60)
    means = layer.measure(torch.as_tensor(X).float())
    total = X.sum(axis=1, keepdims=True)
    scaled = X / (total / np.median(total))
    logs = np.log1p(scaled)
    expected = (logs - logs.mean(axis=0)) / logs.std(axis=0, ddof=1)
    np.testing.assert_allclose(layer(torch.as_tensor(X).float()), expected, atol=1e-4)
    np.testing.assert_allclose(means, scaled.mean(axis=0), rtol=1e-5)
    twice = layer(torch.as_tensor(2 * X).float())
    np.testing.assert_allclose(twice, expected, atol=1e-4, err_msg="a cell read twice as deeply is the same cell")


def test_noise_is_added_to_the_input_and_to_what_each_relu_gets():
    encoder, x = mlp((6, 5, 4, 3)), torch.randn(7, 6)
    torch.testing.assert_close(noisy_code(encoder, x, torch.ones_like, 0.0), encoder(x))
    h = x + 0.5
    for layer in encoder:
        h = layer(h + 0.5 if isinstance(layer, torch.nn.ReLU) else h)
    torch.testing.assert_close(noisy_code(encoder, x, torch.ones_like, 0.5), h)


def test_the_loss_is_the_mean_negative_log_likelihood_of_the_counts():
    model = small(noise=0.0).fit(X)
    x = torch.as_tensor(X[:50]).float()
    batch = Batch(x, x, torch.arange(50), model.encode)
    with torch.no_grad():
        found = float(model.representation_loss(batch))
    told = model.count_model(X[:50])
    p = told["dispersion"] / (told["dispersion"] + told["mean"])
    pmf = (1 - told["pi"]) * stats.nbinom.pmf(X[:50], told["dispersion"], p) + told["pi"] * (X[:50] == 0)
    assert found == pytest.approx(-np.log(pmf).mean(), rel=1e-4)


@pytest.mark.parametrize("likelihood", ["zinb", "nb", "gaussian", "auto"])
def test_finds_two_types_and_more_training_fits_better(likelihood):
    model = small(likelihood=likelihood, pretrain_epochs=25, noise=1.0).fit(X)
    assert clustering_accuracy(CELLS.types, model.labels_) > 0.9
    assert model.counts_ and model.likelihood_ == ("zinb" if likelihood == "auto" else likelihood)
    assert (model.offset_, model.scale_) == (0.0, 1.0)
    first, *_, last = [record["loss"] for record in model.history_ if record["phase"] == "pretrain"]
    assert last < first


NO_COUNTS = [(X - 1, "X holds -1"), (X + 0.5, r"X holds \d+\.5"), (np.log1p(X), "raw counts")]


@pytest.mark.parametrize(("x", "words"), NO_COUNTS)
def test_what_is_no_count_is_refused_by_name(x, words):
    for likelihood in ("zinb", "nb"):
        with pytest.raises(ValueError, match=words):
            small(likelihood=likelihood).fit(x)
    with pytest.warns(NotCountsWarning, match="gaussian"):
        assert small().fit(x).likelihood_ == "gaussian"
    small(likelihood="gaussian").fit(x)
    with pytest.raises(ValueError, match=words):
        small().fit(X).predict(x)


def test_the_first_value_that_is_no_count():
    assert first_no_count(X) is None and first_no_count(X.astype(np.float32)) is None
    assert first_no_count(np.array([[1, 2], [3, -4]])) == -4 and first_no_count(np.array([[True, False]])) is None
    assert first_no_count(np.array([[1, 2.5]])) == 2.5


def test_sparse_counts_are_refused_with_the_remedy():
    with pytest.raises(TypeError, match="toarray"):
        small().fit(scipy.sparse.csr_matrix(X))
    assert len(small().fit(scipy.sparse.csr_matrix(X).toarray()).labels_) == len(X)


def test_awkward_counts():
    x = X.copy()
    x[0], x[:, 1], x[5, 2] = 0, 0, 10**6
    for likelihood in ("zinb", "nb", "gaussian"):
        model = small(likelihood=likelihood).fit(x)
        assert np.isfinite(model.transform(x)).all() and np.isfinite(model.transform(np.zeros_like(x[:2]))).all()


def test_bfloat16_layers_and_likelihoods_in_single_precision(monkeypatch):
    seen = set()

    def watched(x, *others):
        seen.update(each.dtype for each in (x, *others))
        return zinb_log_likelihood(x, *others)

    monkeypatch.setattr("dclib.methods.sc_deep_cluster.zinb_log_likelihood", watched)
    small(precision="bfloat16").fit(X)
    assert seen == {torch.float32}


def test_a_saved_model_and_a_broken_run_of_counts(tmp_path):
    whole = small(tol=0.0).fit(X)
    again = SCDeepCluster.load(whole.save(tmp_path / "model.dclib"))
    assert again.transform(X).tobytes() == whole.transform(X).tobytes()
    assert again.count_model(X)["mean"].tobytes() == whole.count_model(X)["mean"].tobytes()

    def stop(model):
        if len(model.history_) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(tol=0.0, checkpoint=tmp_path / "run.dclib", callback=stop).fit(X)
    resumed = small(tol=0.0, checkpoint=tmp_path / "run.dclib").fit(X)
    assert resumed.transform(X).tobytes() == whole.transform(X).tobytes()


def test_a_large_memory_map_of_counts(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    expected = small().fit(X)
    monkeypatch.setattr("dclib.points.IN_MEMORY", 0)
    model = small().fit(np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.testing.assert_array_equal(model.labels_, expected.labels_)


def test_a_network_of_ones_own():
    with pytest.raises(ValueError, match="decoder should return 3 tensors"):
        small(network=mlp_autoencoder(60, (16,), 4)).fit(X)
    own = Autoencoder(mlp((60, 16, 4)), CountDecoder((4, 16, 60)))
    model = small(network=own).fit(X)
    assert model.width_ == 4 and model.count_model(X)["mean"].shape == X.shape
    with pytest.raises(ValueError, match="no model of counts"):
        small(likelihood="gaussian").fit(X).count_model(X)


def test_a_decoder_starts_at_the_mean_of_each_gene():
    decoder = CountDecoder((4, 16, 60), inflated=False)
    decoder.start_at(torch.linspace(0, 9, 60))
    mean, dispersion = decoder(torch.zeros(2, 4))
    torch.testing.assert_close(mean[0, 1:] / mean[0, 30] * 9 * 30 / 59, torch.linspace(0, 9, 60)[1:], rtol=0.8, atol=0)
    assert (dispersion > 0).all() and decoder.zeros is None

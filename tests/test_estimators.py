"""What every method must do: scikit-learn's contract, bad input, repeatability. METHODS says which there are."""

import importlib
import re
import warnings

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.utils.estimator_checks import check_estimator

from dclib.direct import AnsweringClusterer
from dclib.methods import METHODS, VAE, ClusterGAN, InfoGAN, VaDE
from dclib.metrics import clustering_accuracy
from dclib.networks import mlp_autoencoder
from dclib.profiles import PROFILES
from dclib.refining import RefiningClusterer
from dclib.training import CollapseWarning, DeadUnitsWarning, NonFiniteLossError, OutlierWarning

X, Y = make_blobs(200, centers=4, n_features=8, random_state=1)
X = X.astype(np.float32)
every_method = pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)

# These read clusters off an answer that takes many steps to learn: tests/methods has a longer run of each
LEARNED = (InfoGAN, AnsweringClusterer)
settled = {name: cls for name, cls in METHODS.items() if not issubclass(cls, LEARNED)}
settled_method = pytest.mark.parametrize("cls", settled.values(), ids=settled)

refining = {name: cls for name, cls in METHODS.items() if issubclass(cls, RefiningClusterer)}
refining_method = pytest.mark.parametrize("cls", refining.values(), ids=refining)


def small(cls, **changes):
    return cls(**cls.settings("quick") | dict(n_clusters=4, random_state=0) | changes)


@every_method
def test_scikit_learns_contract(cls):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reports = check_estimator(small(cls, n_clusters=3), on_fail=None)
    failed = {report["check_name"]: report["exception"] for report in reports if report["status"] == "failed"}
    if issubclass(cls, LEARNED):
        failed.pop("check_clustering", None)  # asks for good clusters of a short run
    assert not failed
    assert sum(report["status"] == "passed" for report in reports) > 40


@settled_method
def test_finds_easy_clusters(cls):
    how = {"hidden": (32,), "pretrain_epochs": 10}
    found = [small(cls, **how, random_state=seed).fit(X).labels_ for seed in range(3)]
    assert np.median([clustering_accuracy(Y, labels) for labels in found]) > 0.95


@every_method
def test_same_seed_same_bits_and_other_seed_other_bits(cls):
    first, again, other = (small(cls, random_state=seed).fit(X) for seed in (3, 3, 4))
    assert first.transform(X).tobytes() == again.transform(X).tobytes()
    np.testing.assert_array_equal(first.labels_, again.labels_)
    assert [r["loss"] for r in first.history_] == [r["loss"] for r in again.history_]
    assert first.transform(X).tobytes() != other.transform(X).tobytes()


@every_method
def test_leaves_the_global_random_state_alone(cls):
    torch.manual_seed(7), np.random.seed(7)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(7), np.random.seed(7)
    small(cls).fit(X)
    torch.testing.assert_close(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.rand(3), expected[1])


@every_method
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(n_clusters=0), "n_clusters.*0"),
        (dict(n_clusters=2.5), "n_clusters.*2.5"),
        (dict(n_clusters=201), r"n_samples=200.*n_clusters=201"),
        (dict(batch_size=0), "batch_size.*0"),
        (dict(latent_dim=0), "latent_dim.*0"),
        (dict(pretrain_epochs=-1), "pretrain_epochs.*-1"),
        (dict(pretrain_lr=-0.1), "pretrain_lr.*-0.1"),
        (dict(device="gpu"), "gpu.*cpu"),
        (dict(precision="bf16"), "precision.*bf16"),
        (dict(checkpoint=3), "checkpoint.*3"),
        (dict(hidden=(32, 0)), "hidden.*0"),
    ],
)
def test_a_parameter_out_of_range_is_named(cls, change, words):
    with pytest.raises(ValueError, match=words):
        small(cls, **change).fit(X)


def spoilt(value: float) -> np.ndarray:
    x = X.copy()
    x[3, 2] = value
    return x


@every_method
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (spoilt(np.nan), "NaN"),
        (spoilt(np.inf), "infinity"),
        (X[:, 0], "1D array"),
        (X[:0], "0 sample"),
        (X[:, :0], "0 feature"),
        (np.ones_like(X), "same"),
        (np.zeros_like(X), "same"),
        (X.astype(np.float64) * 1e200, "multiply X by a constant"),
        (X.astype(np.float64) * 1e-200, "multiply X by a constant"),
    ],
    ids=["nan", "infinity", "rank 1", "no point", "no feature", "constant", "zero", "huge", "tiny"],
)
def test_bad_points_are_refused_before_training(cls, x, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        small(cls).fit(x)


@every_method
@pytest.mark.parametrize(
    "x",
    [
        X.astype(np.float64),
        X.astype(np.float16),
        (X * 10).astype(np.int64),
        np.asfortranarray(X),
        torch.as_tensor(X),
    ],
    ids=["float64", "float16", "integer", "Fortran", "tensor"],
)
def test_takes_every_kind_of_array(cls, x):
    model = small(cls).fit(x)
    assert model.labels_.shape == (200,) and isinstance(model.transform(x), np.ndarray)


def with_constant_columns() -> np.ndarray:
    return np.hstack([X, np.zeros((200, 2)), np.full((200, 1), 7.0)]).astype(np.float32)


def read_only() -> np.ndarray:
    x = X.copy()
    x.flags.writeable = False
    return x


@every_method
@pytest.mark.parametrize(
    "x",
    [with_constant_columns(), read_only(), X[:, :1], X[::2, ::-1], np.rint(X * 9).astype(np.uint8), X > 0, X * 1e-30],
    ids=["constant columns", "read-only", "one column", "strided", "bytes", "booleans", "tiny"],
)
def test_takes_awkward_points(cls, x):
    model = small(cls).fit(x)
    assert np.isfinite(model.transform(x)).all() and len(model.labels_) == len(x)


@every_method
def test_sparse_points_are_refused_with_the_remedy(cls):
    with pytest.raises(TypeError, match="(?i)sparse.*toarray"):
        small(cls).fit(scipy.sparse.csr_array(X))


@every_method
def test_one_huge_outlier_is_named(cls):
    x = X.copy()
    x[17, 3] = 1e6
    with pytest.warns(OutlierWarning, match="point 17 alone holds 100"):
        assert np.isfinite(small(cls).fit(x).transform(x)).all()


@every_method
def test_dead_units_are_named_with_the_phase_and_the_remedy(cls, monkeypatch):
    def dead(self, n_features):
        network = mlp_autoencoder(n_features, (16, 8), 4)
        if cls in (VAE, VaDE, ClusterGAN):  # log variances, or K logits, beside the code
            network.encoder[4] = torch.nn.Linear(8, 8)
        network.log_noise = torch.nn.Parameter(torch.zeros(()))
        with torch.no_grad():
            network.encoder[2].bias.fill_(-1e6)
        return network

    monkeypatch.setattr(cls, "build", dead)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small(cls, latent_dim=4).fit(X)
    told = {
        kind: [str(w.message) for w in caught if w.category is kind] for kind in (DeadUnitsWarning, CollapseWarning)
    }
    assert re.search(r"100% of the units of hidden layer 2.*phase 'pretrain'.*learning rate", told[DeadUnitsWarning][0])
    assert "all codes are the same at epoch 2, the end of phase 'pretrain'" in told[CollapseWarning][0]
    assert any("only 1 of 4 clusters have a point at the end of training" in words for words in told[CollapseWarning])
    own = (CollapseWarning, DeadUnitsWarning)
    places = {w.filename for w in caught if issubclass(w.category, own)}
    assert places == {__file__}, "warnings point at the caller's line"


@every_method
def test_a_large_memory_map_stays_one_and_gives_the_same(cls, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", X)
    expected = small(cls).fit(X)
    monkeypatch.setattr("dclib.points.IN_MEMORY", 0)
    monkeypatch.setattr("dclib.points.CHUNK", 1000)  # many small parts
    released = []
    monkeypatch.setattr("dclib.points.release", lambda x: released.append(type(x)))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = small(cls).fit(mapped)
    np.testing.assert_array_equal(model.labels_, expected.labels_)
    assert set(released) == {np.memmap} and len(released) > 20
    np.testing.assert_allclose(model.transform(mapped), expected.transform(X), rtol=1e-4, atol=1e-5)
    np.save(tmp_path / "whole.npy", np.rint(X).astype(np.int16))
    small(cls).fit(np.load(tmp_path / "whole.npy", mmap_mode="r"))
    np.save(tmp_path / "bad.npy", spoilt(np.nan))
    with pytest.raises(ValueError, match="NaN"):
        small(cls).fit(np.load(tmp_path / "bad.npy", mmap_mode="r"))


@settled_method
def test_bfloat16_trains_and_keeps_the_state_in_float32(cls):
    model = small(cls, precision="bfloat16", pretrain_epochs=10).fit(X)
    values = model.network_.state_dict().values()
    assert {value.dtype for value in values if value.is_floating_point()} == {torch.float32}
    assert clustering_accuracy(Y, model.labels_) > 0.9
    single = small(cls, precision="float32", pretrain_epochs=10).fit(X)
    assert [record["loss"] for record in model.history_] != [record["loss"] for record in single.history_]
    assert model.history_[-1]["loss"] == pytest.approx(single.history_[-1]["loss"], rel=0.5)


@every_method
def test_losses_are_computed_in_float32_whatever_the_layers_multiply_in(cls, monkeypatch):
    seen = []

    def watched(function):
        def call(*args, **kwargs):
            seen.extend((function.__name__, a.dtype) for a in args if torch.is_tensor(a) and a.is_floating_point())
            return function(*args, **kwargs)

        return call

    losses = {"soft_assignment", "kl_divergence", "kmeans_loss", "locality_loss", "group_loss", "cross_entropy"}
    losses |= {"kl_to_standard_normal", "gaussian_error", "kl_to_mixture", "discriminator_loss", "gradient_penalty"}
    losses |= {"triplet_loss", "label_features", "divergence", "joint_of_views"}
    for name in METHODS.keys() - {"autoencoder-kmeans", "autoencoder-spectral"}:
        module = importlib.import_module(f"dclib.methods.{name.replace('-', '_')}")
        for loss in losses:
            if hasattr(module, loss):
                monkeypatch.setattr(module, loss, watched(getattr(module, loss)))
    small(cls, precision="bfloat16").fit(X)
    assert {kind for _, kind in seen} <= {torch.float32}, seen
    assert seen or cls.__name__ in ("AutoencoderKMeans", "AutoencoderSpectral", "RecurrentAutoencoder")


@every_method
def test_takes_read_only_memory_maps(cls, tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(small(cls).fit(mapped).labels_, small(cls).fit(X).labels_)


@every_method
def test_scale_of_the_input_does_not_matter(cls):
    np.testing.assert_array_equal(small(cls).fit(X).labels_, small(cls).fit(X * 256).labels_)


@every_method
@pytest.mark.parametrize("power", [160, -160])
def test_doubles_that_no_float_can_hold(cls, power):
    x = np.ldexp(X.astype(np.float64), power)
    np.testing.assert_array_equal(small(cls).fit(X.astype(np.float64)).labels_, small(cls).fit(x).labels_)


@settled_method
def test_one_point_a_cluster(cls):
    assert len(set(small(cls, n_clusters=6).fit(X[:6]).labels_)) > 3


@every_method
def test_predicts_points_it_has_not_seen(cls):
    model = small(cls).fit(X[:150])
    assert set(model.predict(X[150:])) <= set(range(4))
    with pytest.raises(ValueError, match="7 features"):
        model.predict(X[:, :7])


@every_method
def test_history_has_one_record_an_epoch_and_the_callback_sees_each(cls):
    seen = []
    model = small(cls, callback=lambda m: seen.append(len(m.history_))).fit(X)
    pretrain = [record for record in model.history_ if record["phase"] == "pretrain"]
    assert [record["epoch"] for record in pretrain] == [1, 2]
    assert seen[-1] == len(model.history_) and sorted(seen) == seen
    own = {"used"} if issubclass(cls, LEARNED) else set()
    own |= {"upper", "lower"} if cls is METHODS["dac"] else {"clusters"} if cls is METHODS["jule"] else set()
    own |= {"groups", "kept"} if cls is METHODS["deepcluster"] else set()
    assert set(model.history_[0]) == {"phase", "epoch", "loss", "losses", "changed", "seconds"} | own


@every_method
def test_takes_a_trained_network_as_it_is(cls):
    still = {name: 0 for name in ("epochs", "start_epochs") if name in cls().get_params()}
    first = small(cls, **still).fit(X)
    second = clone(first).set_params(network=first.network_, pretrain_epochs=0).fit(X)
    np.testing.assert_allclose(first.transform(X), second.transform(X), atol=1e-4)
    assert second.network_ is not first.network_


@every_method
def test_a_diverging_run_stops_by_name_and_keeps_the_last_good_state(cls):
    model = small(cls, pretrain_lr=1e30, pretrain_epochs=5)
    with pytest.raises(NonFiniteLossError, match=r"epoch \d of.*'pretrain'.*learning rate"):
        model.fit(X)
    assert all(torch.isfinite(value).all() for value in model.network_.state_dict().values())


@every_method
def test_a_last_step_that_spoils_the_weights_is_noticed(cls):
    model = small(cls, pretrain_lr=1e38, pretrain_epochs=1, batch_size=200)  # the only loss was computed before it
    if cls.__name__ in ("RecurrentAutoencoder", "DTC"):  # gates saturate: of weights without bound, codes have one
        with pytest.raises(NonFiniteLossError) if cls.__name__ == "DTC" else pytest.warns(CollapseWarning):
            model.fit(X)
        return
    with pytest.raises(NonFiniteLossError, match="became nan in epoch 1 of phase 'pretrain'"):
        model.fit(X)
    assert all(torch.isfinite(value).all() for value in model.network_.state_dict().values())


@refining_method
def test_a_collapse_is_warned_of(cls, monkeypatch):
    monkeypatch.setattr(cls, "refresh", lambda self, x: torch.zeros(len(x), dtype=torch.int64))
    monkeypatch.setattr(cls, "loss", lambda self, batch: batch.z.square().mean())
    with pytest.warns(CollapseWarning, match=r"1\.0 of 4 clusters.*refresh 1 of phase 'refine'"):
        small(cls).fit(X)


@every_method
def test_profiles_are_valid_parameters(cls):
    for name in PROFILES:
        assert set(cls.settings(name)) <= set(cls().get_params())
    budgets = {"pretrain_steps", "refine_steps"}
    assert set(cls.as_written("book")) <= budgets, "the defaults are the book's, but for the budget"


@every_method
def test_an_unknown_profile_is_named(cls):
    with pytest.raises(ValueError, match="'quikc'.*'quick'"):
        cls.settings("quikc")

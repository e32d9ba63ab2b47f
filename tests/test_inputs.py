"""Points of any shape and kind: what the answer may not depend on, what is refused, and in which words."""

import pickle
import threading
import warnings

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from torch import nn

from dclib import DBC, DEC, IDEC, VAE, AutoencoderKMeans, ClusterGAN, VaDE
from dclib.augment import RandomAffine
from dclib.direct import AnsweringClusterer
from dclib.methods import METHODS
from dclib.metrics import clustering_accuracy
from dclib.networks import Autoencoder, mlp, mlp_autoencoder
from dclib.points import middle
from dclib.training import CollapseWarning, NonFiniteLossError, warn_of_collapse, warn_of_other_sizes

X, Y = make_blobs(200, centers=4, n_features=12, random_state=1)
X = X.astype(np.float32)
every_method = pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
learned = (METHODS["infogan"], AnsweringClusterer)  # they read clusters off an answer, which takes many steps to learn
settled = {name: cls for name, cls in METHODS.items() if not issubclass(cls, learned)}
settled_method = pytest.mark.parametrize("cls", settled.values(), ids=settled)
sequential = (METHODS["recurrent-autoencoder"], METHODS["dtc"])  # to them a row is a sequence, read step by step


def small(cls, **changes):
    return cls(**cls.settings("quick") | dict(n_clusters=4, random_state=0, device="cpu") | changes)


# -- what the answer does not depend on -----------------------------------------------------------------------------


@settled_method
@pytest.mark.parametrize("constant", [1e4, -3e5])
def test_a_constant_added_to_all_values_changes_nothing(cls, constant):
    x = np.rint(X * 64) / 64  # so that the sums are exact
    one, other = (small(cls, pretrain_epochs=10).fit(x.astype(np.float64) + shift) for shift in (0, constant))
    np.testing.assert_array_equal(one.labels_, other.labels_)
    assert clustering_accuracy(Y, other.labels_) > (0.6 if cls in sequential else 0.95)
    assert other.offset_ == one.offset_ + constant


@every_method
def test_integers_are_what_they_are(cls):
    whole = np.rint(X * 1000)
    expected = small(cls).fit(whole.astype(np.float64))
    for kind in (np.int64, np.int32, np.int16):
        found = small(cls).fit(whole.astype(kind))
        np.testing.assert_array_equal(found.labels_, expected.labels_)
        np.testing.assert_allclose(found.transform(whole.astype(kind)), expected.transform(whole), rtol=0.01, atol=0.01)


def test_time_stamps_in_nanoseconds_are_not_one_point():
    stamps = 1_764_300_000_000_000_000 + (np.float64(X) * 1e9).astype(np.int64)
    model = small(AutoencoderKMeans, pretrain_epochs=20).fit(stamps)
    assert clustering_accuracy(Y, model.labels_) > 0.95


def test_the_middle_of_an_image_is_its_background_and_follows_a_constant():
    image = np.zeros((50, 64))
    image[:, :20] = np.random.default_rng(0).random((50, 20))
    assert middle(image) == 0 and middle(1 - image) == 1 and middle(image + 7) == 7
    assert middle(np.tile(image, (40, 30))) == 0, "more than a million values"


def test_bfloat16_and_tensors_and_devices_are_taken():
    x = torch.as_tensor(X).bfloat16()
    model = small(DEC, device=torch.device("cpu")).fit(x)
    np.testing.assert_array_equal(model.labels_, small(DEC).fit(x.float()).labels_)
    assert model.predict(x).shape == (200,)
    assert clone(model).fit(X.tolist()).labels_.shape == (200,)


# -- shapes ---------------------------------------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize("shape", [(200, 3, 4), (200, 3, 2, 2), (200, 12)], ids=["(n, H, W)", "(n, C, H, W)", "(n, T)"])
def test_points_of_any_rank_are_taken(cls, shape):
    x, how = X.reshape(shape), {"hidden": (8,)}
    if cls in sequential and len(shape) == 4:
        with pytest.raises(ValueError, match=r"reads sequences \(T,\) or \(T, C\), not points of shape \(3, 2, 2\)"):
            small(cls, **how).fit(x)
        return
    model = small(cls, **how).fit(x)
    shown = model.transform(x)
    assert model.n_features_in_ == 12 and shown.shape == (200, model.width_)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    if not cls.convolutional and (cls not in sequential or len(shape) == 2):  # rows are read as steps of one channel
        np.testing.assert_array_equal(small(cls, **how).fit(X).labels_, model.labels_)


def test_images_give_a_convolutional_method_its_shape():
    grey, colour = (np.random.default_rng(0).random(size, np.float32) for size in ((60, 8, 8), (60, 3, 8, 8)))
    for x, channels in ((grey, 1), (colour, 3)):
        model = DBC(4, hidden=(4,), pretrain_epochs=1, epochs=1, random_state=0).fit(x)
        first = next(layer for layer in model.network_.encoder.modules() if isinstance(layer, nn.Conv2d))
        assert model.shape_ == x.shape[1:] and first.in_channels == channels
        flat = DBC(4, shape=x.shape[1:], hidden=(4,), pretrain_epochs=1, epochs=1, random_state=0)
        flat.fit(x.reshape(60, -1))
        np.testing.assert_array_equal(flat.labels_, model.labels_)
    rows = DBC(4, pretrain_epochs=1, epochs=1).fit(X).network_.encoder[0]
    assert rows.out_features == 256, "rows are no images: the widths of a fully connected network"


class Sequences(nn.Module):
    """Reads (n, T, C) and nothing else; the code has five values."""

    def __init__(self, n_out=5):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv1d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6, n_out))
        self.decoder = nn.Sequential(nn.Linear(5, 12), nn.Unflatten(1, (4, 3)))


@every_method
def test_a_network_of_ones_own_gets_points_as_they_are_and_sets_the_width_of_the_code(cls):
    if cls is METHODS["depict"]:
        pytest.skip("compares layer by layer, which asks for a mirrored network")
    x, network = X.reshape(200, 4, 3), Sequences(10 if cls in (VAE, VaDE) else 5)  # of two halves, mean and variance
    model = small(cls, network=network, latent_dim=10).fit(x)
    assert model.transform(x).shape == (200, 5) and model.width_ == 5
    assert len(model.get_feature_names_out()) == 5
    with pytest.raises(ValueError, match=r"network= can't read points of shape \(12,\)"):
        small(cls, network=network).fit(X)


@pytest.mark.parametrize(
    ("cls", "width", "words"),
    [(VAE, 5, "mean and log variance need an even number"), (ClusterGAN, 4, "K = 4 are for z_c alone")],
)
def test_a_network_too_narrow_for_what_its_code_holds_is_refused(cls, width, words):
    with pytest.raises(ValueError, match=words):
        small(cls, network=Sequences(width)).fit(X.reshape(200, 4, 3))


@pytest.mark.parametrize(
    ("network", "x", "words"),
    [
        (nn.Linear(12, 3), X, "network= has no encoder"),
        (mlp_autoencoder(7, (4,), 2), X, r"network= can't read points of shape \(12,\)"),
        (mlp_autoencoder(12, (4,), 2), X.reshape(200, 2, 6), r"points of shape \(2, 6\); X.reshape\(len\(X\), -1\)"),
        (Autoencoder(mlp((12, 3)), mlp((3, 11))), X, r"draws points of shape \(11,\), and the data has \(12,\)"),
        (Autoencoder(nn.Unflatten(1, (3, 4)), nn.Flatten()), X, r"makes codes of shape \(2, 3, 4\)"),
    ],
    ids=["no encoder", "other width", "rank", "decoder", "code of rank 3"],
)
def test_a_network_that_does_not_fit_is_refused_before_training(network, x, words):
    with pytest.raises(ValueError, match=words):
        small(DEC, network=network).fit(x)


def test_a_network_without_a_decoder_is_enough_where_nothing_is_reconstructed():
    network = nn.Module()
    network.encoder = mlp((12, 8, 3))
    model = small(DEC, network=network, pretrain_epochs=0).fit(X)
    assert model.width_ == 3
    for refused in (small(DEC, network=network), small(IDEC, network=network, pretrain_epochs=0)):
        with pytest.raises(ValueError, match="no decoder, and the method reconstructs"):
            refused.fit(X)


def test_points_of_another_shape_than_the_network_reads_are_refused():
    x = X.reshape(200, 3, 4)
    model = small(DBC, hidden=(4,)).fit(x)
    for same in (X, x, x[:, None]):
        np.testing.assert_array_equal(model.predict(same), model.labels_)
    with pytest.raises(ValueError, match=r"points are of shape \(4, 3\), and the network reads \(3, 4\)"):
        model.predict(X.reshape(200, 4, 3))
    with pytest.raises(ValueError, match=r"points are of shape \(2, 6\), and the network reads \(3, 4\)"):
        small(DBC, hidden=(4,), shape=(3, 4)).fit(X.reshape(200, 2, 6))
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        small(DEC).fit(np.empty((0, 3, 4)))


# -- augmentation ---------------------------------------------------------------------------------------------------


def test_an_augmentation_of_another_shape_is_refused_by_name():
    with pytest.raises(ValueError, match="RandomAffine is set up for images of 28 × 28, and a point has 12 values"):
        small(DEC, augment=RandomAffine((28, 28))).fit(X)
    with pytest.raises(ValueError, match="padding_mode 'bordr'.*'border'"):
        RandomAffine((28, 28), padding_mode="bordr")
    with pytest.raises(ValueError, match="shape should have 2 or 3 values"):
        RandomAffine((784,))


# -- words ----------------------------------------------------------------------------------------------------------


@every_method
def test_a_parameter_out_of_range_is_refused_before_training(cls):
    known = cls().get_params()
    for name, value in {"epochs": -3, "tol": 7.0, "update_interval": 0, "schedule": "cosine", "n_init": 0}.items():
        if name in known:
            with pytest.raises(ValueError, match=f"'{name}' parameter of {cls.__name__} must be"):
                small(cls, **{name: value}).fit(X)


def test_constraints_are_the_class_and_its_parents():
    assert "epochs" in METHODS["dcn"]._parameter_constraints
    for cls in METHODS.values():
        assert cls().get_params().keys() == cls._parameter_constraints.keys()


@every_method
def test_a_misspelt_parameter_names_the_method_and_the_nearest_one(cls):
    with pytest.raises(TypeError, match=f"{cls.__name__} has no parameter 'n_cluster'.*'n_clusters'"):
        cls(n_cluster=3)
    with pytest.raises(TypeError, match=f"{cls.__name__} has no parameter 'pretrain_epoch'.*'pretrain_epochs'"):
        cls(3, pretrain_epoch=3)


def test_a_subclass_that_passes_no_keywords_on_can_be_cloned():
    class Brief(DEC):
        def __init__(self, n_clusters: int = 4, *, speed: float = 1e-3) -> None:
            super().__init__(n_clusters, hidden=(8,), pretrain_epochs=1, epochs=1, lr=speed, random_state=0)
            self.speed = speed

    model = clone(Brief(3, speed=0.01))
    assert model.get_params() == {"n_clusters": 3, "speed": 0.01} and model.lr == 0.01
    assert model.fit(X).labels_.shape == (200,)
    with pytest.raises(TypeError, match="Brief has no parameter 'epochs'"):
        Brief(epochs=2)


def test_predict_after_a_fit_that_broke_off_says_not_fitted():
    model = small(DEC, pretrain_lr=1e30, pretrain_epochs=5)
    with pytest.raises(NonFiniteLossError):
        model.fit(X)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.set_params(pretrain_lr=1e-3)
    assert model.fit(X).predict(X).shape == (200,)
    with pytest.raises(ValueError, match="n_samples=3"):
        model.fit(X[:3])
    labels = model.predict(X)
    for refused in (X[:3, :5], X.astype(np.float64) * 1e300, np.full((9, 12), np.nan)):
        with pytest.raises(ValueError, match="n_samples=3|out of a float's range|NaN"):
            model.fit(refused)
        np.testing.assert_array_equal(model.predict(X), labels, "a fit that was refused leaves the earlier one")


# -- unequal groups -------------------------------------------------------------------------------------------------


@settled_method
@pytest.mark.parametrize("seed", range(3))
def test_unequal_groups_are_found_by_default(cls, seed):
    if cls is METHODS["deepcluster"]:
        pytest.skip("its groups are of about n / k points: tests/methods/test_deepcluster.py says what it finds")
    if cls in sequential:
        pytest.skip("groups of points in no order are no sequences")
    x, y = make_blobs([950, 25, 25], n_features=8, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        model = cls(3, random_state=0, device="cpu").fit(x)
    glued = 0.03 if cls is VAE else 0.005  # its prior draws groups together
    assert clustering_accuracy(y, model.labels_) == pytest.approx(1, abs=glued)


def test_the_warning_is_silent_on_the_right_sizes_and_speaks_on_the_wrong_ones():
    right, wrong, start = np.array([950, 25, 25]), np.array([496, 454, 50]), np.array([948, 26, 26])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_collapse(right, start, 3, "the end"), warn_of_other_sizes(right, start, 3)
        warn_of_collapse(np.array([90, 80, 10]), np.array([60, 60, 60]), 3, "the end")
        warn_of_other_sizes(np.array([60, 60, 60]), np.array([90, 80, 10]), 3)
    words = r"sizes \[948, 26, 26\] at the start became \[496, 454, 50\].*merged, or it split"
    with pytest.warns(CollapseWarning, match=words):
        warn_of_other_sizes(wrong, start, 3)
    with pytest.warns(CollapseWarning, match=r"only 1\.3 of 4 clusters.*they started with 4\.0"):
        warn_of_collapse(np.array([190, 4, 3, 3]), np.array([50, 50, 50, 50]), 4, "the end")


def test_sizes_that_changed_in_training_are_told():
    class Lopsided(DEC):
        def _start(self, x):
            super()._start(x)
            self.start_sizes_ = np.array([948, 26, 26])

    x = make_blobs(1000, centers=3, n_features=8, random_state=3)[0]
    with pytest.warns(CollapseWarning, match=r"sizes \[948, 26, 26\] at the start became") as told:
        small(Lopsided, n_clusters=3).fit(x)
    assert {w.filename for w in told} == {__file__}


# -- what is kept, and what it costs --------------------------------------------------------------------------------


@every_method
def test_scratch_is_neither_kept_nor_pickled(cls):
    model = small(cls).fit(X)
    model.predict(X.astype(np.float64))
    assert [name for name in vars(model) if name.startswith("_")] == ["_fitted"]
    found = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(found.predict(X), model.labels_)
    largest = max(value.size for value in vars(model).values() if isinstance(value, np.ndarray))
    assert largest <= len(X)


def test_predicting_one_row_copies_no_network(monkeypatch):
    model, copies = small(DEC).fit(X), []
    monkeypatch.setattr("dclib.base.copy.deepcopy", lambda value: copies.append(value) or value.__class__)
    for _ in range(3):
        model.predict(X[:1]), model.transform(X[:1]), model.predict_proba(X[:1])
    assert copies == []


def test_doubles_take_one_copy_until_the_weights_change():
    model = small(DEC).fit(X)
    first = model.transform(X.astype(np.float64))
    with torch.no_grad():
        next(model.network_.encoder.parameters()).mul_(2)
    assert not np.allclose(first, model.transform(X.astype(np.float64)))
    np.testing.assert_allclose(model.transform(X.astype(np.float64)), model.transform(X), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float16, np.float32])
def test_a_memory_map_gives_the_answer_of_an_array_and_keeps_what_is_written_there(kind, tmp_path, monkeypatch):
    x = (np.rint(X - X.min()) * (1500 if kind is np.float16 else 4)).astype(kind)
    np.zeros_like(x).tofile(tmp_path / "x")
    expected = small(DEC).fit(x)
    monkeypatch.setattr("dclib.points.IN_MEMORY", 10)
    for mode in ("c", "r+"):  # private: what is written is in memory alone
        mapped = np.memmap(tmp_path / "x", kind, mode, shape=x.shape)
        mapped[:] = x
        model = small(DEC).fit(mapped)
        np.testing.assert_array_equal(mapped, x)
        np.testing.assert_array_equal(model.labels_, expected.labels_)
        assert model.scale_ == expected.scale_


def test_soft_assignments_of_many_points_are_not_all_in_memory_at_once():
    model, rows = small(DEC).fit(X), []
    known = model.soft_assign
    model.soft_assign = lambda z: rows.append(len(z)) or known(z)
    many = np.tile(X, (100, 1))
    assert model.predict(many).shape == (20_000,) and model.predict_proba(many).shape == (20_000, 4)
    assert max(rows) < 10_000


# -- threads --------------------------------------------------------------------------------------------------------


def test_fits_in_threads_repeat():
    alone = [small(DEC, random_state=seed).fit(X).transform(X) for seed in range(4)]
    fits = Parallel(4, backend="threading")(delayed(small(DEC, random_state=seed).fit)(X) for seed in range(4))
    for expected, model in zip(alone, fits, strict=True):
        assert model.transform(X).tobytes() == expected.tobytes()


def test_a_fit_inside_a_callback_does_not_wait_for_itself():
    inner = []
    callback = lambda model: inner.append(small(AutoencoderKMeans).fit(X).labels_) if not inner else None  # noqa: E731
    thread = threading.Thread(target=lambda: small(DEC, callback=callback).fit(X), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive() and len(inner) == 1


# -- starts ---------------------------------------------------------------------------------------------------------


@settled_method
@pytest.mark.parametrize("start", ["spectral", "mixture"])
def test_every_method_starts_where_it_is_told(cls, start):
    model = small(cls, start=start, hidden=(32,), pretrain_epochs=10).fit(X)
    assert clustering_accuracy(Y, model.labels_) > (0.5 if cls in sequential else 0.95)
    with pytest.raises(ValueError, match="start.*'spectrall'"):
        small(cls, start="spectrall").fit(X)


def test_the_start_is_that_of_the_labels():
    still = {"epochs": 0, "hidden": (16,)}
    by_kmeans, by_graph = (small(DEC, start=start, **still).fit(X) for start in ("kmeans", "spectral"))
    assert by_kmeans.transform(X).tobytes() == by_graph.transform(X).tobytes(), "the start draws nothing from training"
    z = by_graph.transform(X)
    found = [z[by_graph.labels_ == k].mean(axis=0) for k in range(4)]
    np.testing.assert_allclose(by_graph.centroids_, found, atol=0.05)

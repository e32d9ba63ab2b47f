"""A run that is killed goes on to the same result; a fitted estimator survives its file."""

import multiprocessing
import random
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch import nn

from dclib import DEC, inputs, store
from dclib.augment import RandomAffine
from dclib.base import DeepClusterer
from dclib.methods import METHODS
from dclib.networks import Autoencoder, mlp_autoencoder

X, _ = make_blobs(400, centers=4, n_features=16, random_state=1, cluster_std=6)
X = X.astype(np.float32)
every_method = pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)


def small(cls, **changes):
    augment = RandomAffine((4, 4))  # random numbers of its own, which a checkpoint has to carry
    return cls(**cls.settings("quick") | dict(n_clusters=4, random_state=0, augment=augment) | changes)


class Killed(Exception):
    pass


def killed_after(epochs):
    def count(model):
        if len(model.history_) == epochs:
            raise Killed

    return count


@every_method
def test_a_run_broken_off_after_any_epoch_goes_on_to_the_same_bits(cls, tmp_path):
    path = tmp_path / "run.dclib"
    longer = {"pretrain_epochs": 3} | ({"tol": 0} if "tol" in cls().get_params() else {})
    whole = small(cls, **longer).fit(X)
    for epochs in range(1, len(whole.history_)):
        with pytest.raises(Killed):
            small(cls, **longer, checkpoint=path, callback=killed_after(epochs)).fit(X)
        assert path.exists()
        resumed = small(cls, **longer, checkpoint=path).fit(X)
        np.testing.assert_array_equal(resumed.labels_, whole.labels_)
        assert resumed.transform(X).tobytes() == whole.transform(X).tobytes()
        assert [r["loss"] for r in resumed.history_] == [r["loss"] for r in whole.history_]
        assert not path.exists(), "a finished run leaves no checkpoint"


def test_a_seed_that_was_drawn_is_kept(tmp_path):
    path, seeds = tmp_path / "run.dclib", []

    def note(model):
        seeds.append(model.seed_)
        if len(seeds) == 3:
            raise Killed

    with pytest.raises(Killed):
        small(DEC, random_state=None, checkpoint=path, callback=note).fit(X)
    small(DEC, random_state=None, checkpoint=path, callback=note).fit(X)
    assert len(set(seeds)) == 1 and len(seeds) > 4


@pytest.mark.parametrize(
    ("change", "points", "words"),
    [
        ({"n_clusters": 5}, X, "n_clusters is 4, and here it is 5"),
        ({"random_state": 1}, X, "random_state is 0, and here it is 1"),
        ({}, X + 1, "data is"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, points, words):
    path = tmp_path / "run.dclib"
    with pytest.raises(Killed):
        small(DEC, checkpoint=path, callback=killed_after(2)).fit(X)
    with pytest.raises(ValueError, match=words):
        small(DEC, checkpoint=path, **change).fit(points)
    assert path.exists()


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "run.dclib"
    path.write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(ValueError, match=r"run\.dclib is not a checkpoint"):
        small(DEC, checkpoint=path).fit(X)


def _train(path, result):
    torch.set_num_threads(1)
    model = DEC(4, hidden=(32,), pretrain_epochs=8, epochs=8, tol=0, n_init=2, random_state=0)
    model.set_params(augment=RandomAffine((4, 4)), checkpoint=path).fit(X)
    np.save(result, model.labels_)


def _run(context, path, result, seconds=None):
    """Train in a process of its own; kill it after ``seconds``. Return whether it was killed."""
    process = context.Process(target=_train, args=(path, result))
    process.start()
    process.join(seconds)
    if alive := process.is_alive():
        process.kill()  # SIGKILL
        process.join()
    return alive


def test_ten_kills_at_random_moments_change_nothing(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dclib", __name__])
    path, whole, broken = tmp_path / "run.dclib", tmp_path / "whole.npy", tmp_path / "broken.npy"
    _run(context, tmp_path / "warm.dclib", tmp_path / "warm.npy")  # the server has to import first
    start = time.perf_counter()
    _run(context, tmp_path / "other.dclib", whole)
    seconds = time.perf_counter() - start
    rng, kills = random.Random(time.time_ns()), 0
    while kills < 10:
        killed = _run(context, path, broken, rng.uniform(0, seconds))
        kills += killed
        if not killed and kills < 10:  # it came to its end before ten kills: once more from the start
            np.testing.assert_array_equal(np.load(broken), np.load(whole))
    _run(context, path, broken)
    np.testing.assert_array_equal(np.load(broken), np.load(whole))
    assert not list(tmp_path.glob("*run.dclib*"))  # neither the checkpoint nor half of one


@every_method
@pytest.mark.parametrize("reader", ["own class", "base class"])
def test_a_saved_estimator_comes_back_whole(cls, reader, tmp_path):
    model = small(cls, hidden=(32, 16), device="cpu").fit(X)
    path = model.save(tmp_path / "model.dclib")
    found = (cls if reader == "own class" else DeepClusterer).load(path)
    assert type(found) is cls
    np.testing.assert_array_equal(found.predict(X), model.predict(X))
    assert found.transform(X).tobytes() == model.transform(X).tobytes()
    np.testing.assert_array_equal(found.labels_, model.labels_)
    np.testing.assert_array_equal(found.centroids_, model.centroids_)
    assert found.history_ == model.history_ and found.scale_ == model.scale_
    assert found.get_params() == model.get_params() | {"device": "auto"}
    assert found.save(tmp_path / "again.dclib").stat().st_size == path.stat().st_size
    np.testing.assert_array_equal(found.fit(X).labels_, model.labels_)


def test_feature_names_are_kept(tmp_path):
    model = small(DEC).fit(X)
    model.feature_names_in_ = np.array([f"pen {j}" for j in range(16)], dtype=object)  # as a data frame leaves them
    found = DEC.load(model.save(tmp_path / "model.dclib"))
    assert found.feature_names_in_.tolist() == model.feature_names_in_.tolist()
    assert found.feature_names_in_.dtype == object


def test_an_estimator_around_ones_own_network_asks_for_it(tmp_path):
    network = mlp_autoencoder(16, (8,), 10)
    model = small(DEC, network=network).fit(X)
    path = model.save(tmp_path / "model.dclib")
    with pytest.raises(ValueError, match="network="):
        DEC.load(path)
    again = DEC.load(path, network=mlp_autoencoder(16, (8,), 10))
    assert again.transform(X).tobytes() == model.transform(X).tobytes()


def test_what_cant_be_stored_is_dropped_by_name(tmp_path):
    model = DEC.load(small(DEC, augment=nn.Dropout(0.1), callback=print, verbose=0).fit(X).save(tmp_path / "m"))
    assert model.augment is None and model.callback is None


def test_a_wrong_file_is_refused(tmp_path):
    path = small(METHODS["autoencoder-kmeans"]).fit(X).save(tmp_path / "model.dclib")
    with pytest.raises(ValueError, match="holds a AutoencoderKMeans, not a DEC"):
        DEC.load(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        DeepClusterer.load(path)
    store.write(path, "checkpoint", {})
    with pytest.raises(ValueError, match="holds a checkpoint, not a estimator"):
        DeepClusterer.load(path)


def test_an_unfitted_estimator_has_nothing_to_save(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        DEC(4).save(tmp_path / "model.dclib")


class Brief(DEC):
    """A method that passes no keywords on."""

    def __init__(self, n_clusters: int = 4, *, speed: float = 1e-3) -> None:
        super().__init__(n_clusters, hidden=(8,), pretrain_epochs=1, epochs=1, lr=speed, random_state=0)
        self.speed = speed


class Twice(METHODS["autoencoder-kmeans"]):
    """A method with two first phases, which keeps a tensor."""

    def phases(self, n):
        return [self.pretraining(), *super().phases(n)]

    def conclude(self):
        self.prior_ = torch.ones(4)


def untouched():
    return Autoencoder(nn.Identity(), nn.Identity())


@pytest.mark.parametrize(
    ("model", "network"),
    [
        (Brief(4), None),
        (small(Twice), None),
        (small(DEC, hidden=np.array([17])), None),
        (small(DEC, hidden=range(8, 6, -1)), None),
        (small(METHODS["dbc"], shape=torch.Size([4, 4]), hidden=(4,)), None),
        (small(METHODS["autoencoder-kmeans"], network=untouched(), pretrain_epochs=0), untouched()),
    ],
    ids=["no keywords", "two first phases", "array", "range", "torch.Size", "no weight"],
)
def test_unusual_estimators_come_back_whole(model, network, tmp_path):
    path = model.fit(X).save(tmp_path / "model.dclib")
    found = type(model).load(path, network=network)
    assert found.transform(X).tobytes() == model.transform(X).tobytes()
    np.testing.assert_array_equal(found.fit(X).labels_, model.labels_)
    assert isinstance(getattr(found, "prior_", torch.ones(1)), torch.Tensor), "a tensor comes back as one"


def test_another_array_of_widths_is_another_run(tmp_path):
    path = tmp_path / "run.dclib"
    with pytest.raises(Killed):
        small(DEC, hidden=np.array([17]), checkpoint=path, callback=killed_after(1)).fit(X)
    with pytest.raises(ValueError, match=r"hidden is \[17\], and here it is \[18\]"):
        small(DEC, hidden=np.array([18]), checkpoint=path).fit(X)


# -- networks after the first phase, kept in a folder ---------------------------------------------------------------


def files(folder):
    return sorted(path.name for path in folder.glob("*"))


def told_apart(first, second, x=X):
    """Return whether two estimators keep first phases of their own in one folder, and fit both."""
    first.fit(X)
    before = files(first.pretrained)
    second.fit(x)
    return len(files(first.pretrained)) == len(before) + 1


@every_method
def test_a_kept_first_phase_gives_the_bits_of_a_trained_one(cls, tmp_path):
    longer = {"pretrain_epochs": 3} | ({"tol": 0} if "tol" in cls().get_params() else {})
    whole, phases = small(cls, **longer).fit(X), []
    for _ in range(2):
        phases.clear()
        found = small(cls, **longer, pretrained=tmp_path, callback=lambda m: phases.append(len(m.history_))).fit(X)
        assert found.transform(X).tobytes() == whole.transform(X).tobytes()
        np.testing.assert_array_equal(found.labels_, whole.labels_)
        assert [r["loss"] for r in found.history_] == [r["loss"] for r in whole.history_]
        assert len(files(tmp_path)) == 1
    assert not phases or phases[0] == 3, "the second time the first phase is not trained"
    assert found.seconds_ > sum(record["seconds"] for record in found.history_[:3]), "what it took is counted"


def test_methods_of_one_first_phase_share_its_file(tmp_path):
    names = ("autoencoder-kmeans", "autoencoder-spectral", "dec", "idec", "dcn")
    start = [small(METHODS[name], pretrained=tmp_path).fit(X).history_[:2] for name in names]
    assert len(files(tmp_path)) == 1 and all(records == start[0] for records in start), "to the second"
    for name in names:
        alone = small(METHODS[name]).fit(X)
        np.testing.assert_array_equal(alone.labels_, small(METHODS[name], pretrained=tmp_path).fit(X).labels_)
    for name in ("dbc", "den", "depict"):
        small(METHODS[name], pretrained=tmp_path).fit(X)
    assert len(files(tmp_path)) == 4
    for name in ("vae", "vade", "gan-features", "infogan", "clustergan", "jule", "dac", "imsat", "iic", "deepcluster"):
        small(METHODS[name], pretrained=tmp_path).fit(X)
    for name in ("recurrent-autoencoder", "dtc"):
        small(METHODS[name], pretrained=tmp_path).fit(X)
    assert len(files(tmp_path)) == 16, "no two of these train the same first phase"


class Moved(RandomAffine):
    """An augmentation of somebody else."""

    def __call__(self, x):
        return super().__call__(x) + 1


@pytest.mark.parametrize(
    ("cls", "change"),
    [
        (DEC, {"random_state": 1}),
        (DEC, {"pretrain_lr": 1e-3}),
        (DEC, {"pretrain_epochs": 1}),
        (DEC, {"pretrain_optimizer": "sgd"}),
        (DEC, {"pretrain_schedule": "constant"}),
        (DEC, {"hidden": (31,)}),
        (DEC, {"latent_dim": 9}),
        (DEC, {"batch_size": 64}),
        (DEC, {"precision": "float32"}),
        (DEC, {"reconstruct": "clean"}),
        (DEC, {"augment": None}),
        (DEC, {"augment": RandomAffine((4, 4), degrees=3)}),
        (METHODS["den"], {"locality": 0.3}),
        (METHODS["depict"], {"noise": 0.2}),
        (METHODS["dbc"], {"batch_norm": False}),
        (METHODS["dbc"], {"shape": (4, 4)}),
    ],
    ids=str,
)
def test_another_first_phase_is_kept_beside(cls, change, tmp_path):
    assert told_apart(small(cls, pretrained=tmp_path), small(cls, pretrained=tmp_path, **change))


def test_other_points_are_another_first_phase(tmp_path):
    for number, x in enumerate((X + 1, X[:-1], X.astype(np.float64))):
        folder = tmp_path / str(number)
        assert told_apart(small(DEC, pretrained=folder), small(DEC, pretrained=folder), x)


@pytest.mark.parametrize(
    "change",
    [{"n_clusters": 3}, {"n_init": 3}, {"start": "spectral"}, {"epochs": 1}, {"lr": 1e-4}, {"alpha": 2.0}],
    ids=str,
)
def test_what_comes_after_the_first_phase_does_not_tell_it_apart(change, tmp_path):
    assert not told_apart(small(DEC, pretrained=tmp_path), small(DEC, pretrained=tmp_path, **change))


class Warmed(DEC):
    """Another first phase, though each hook of it is DEC's."""

    def phases(self, n):
        return [replace(self.pretraining(), epochs=1), *super().phases(n)]


@pytest.mark.parametrize(
    ("cls", "change"),
    [
        (DEC, {"augment": lambda x: x + 1}),
        (DEC, {"augment": Moved((4, 4))}),
        (DEC, {"augment": nn.Dropout(0.1)}),
        (DEC, {"network": mlp_autoencoder(16, (8,), 10)}),
        (DEC, {"random_state": None}),
        (Warmed, {}),
        (Twice, {}),
    ],
    ids=["lambda", "class of augmentation", "module", "network", "no seed", "class", "other phases"],
)
def test_what_cant_be_told_is_neither_kept_nor_taken(cls, change, tmp_path):
    small(cls, pretrained=tmp_path, **change).fit(X)
    assert not files(tmp_path)
    small(DEC, pretrained=tmp_path).fit(X)
    found = small(cls, pretrained=tmp_path, **change).fit(X)
    assert len(files(tmp_path)) == 1
    if found.random_state is not None:
        assert found.transform(X).tobytes() == small(cls, **change).fit(X).transform(X).tobytes()


def test_a_hook_of_the_estimators_own_is_not_told(tmp_path):
    model = small(DEC, pretrained=tmp_path)
    model.encode = lambda x: model.network_.encoder(x)
    assert model.fit(X) and not files(tmp_path)


def test_names_of_features_are_not_kept_for_others(tmp_path, monkeypatch):
    validate = inputs.validate_data

    def as_of_a_frame(model, x, **how):
        points = validate(model, x, **how)
        model.feature_names_in_ = np.array([f"pen {j}" for j in range(16)], dtype=object)
        return points

    with monkeypatch.context() as frames:
        frames.setattr(inputs, "validate_data", as_of_a_frame)
        assert small(DEC, pretrained=tmp_path).fit(X).feature_names_in_[0] == "pen 0"
    assert not hasattr(small(DEC, pretrained=tmp_path).fit(X), "feature_names_in_") and len(files(tmp_path)) == 1


@pytest.mark.parametrize("kept", [False, True], ids=["trained", "kept"])
@pytest.mark.parametrize(
    "change",
    [{"optimizer": "sgd", "schedule": "constant", "update_interval": 2}, {"schedule": "one_cycle"}],
    ids=["as in the paper", "one cycle"],
)
def test_a_run_killed_after_a_kept_first_phase_goes_on_to_the_same_bits(kept, change, tmp_path):
    folder, path = tmp_path / "kept", tmp_path / "run.dclib"
    how = {"epochs": 4, "tol": 0} | change
    whole = small(DEC, **how).fit(X)
    if kept:
        small(METHODS["dcn"], pretrained=folder).fit(X)
    for epochs in (2, 3, 5):
        with pytest.raises(Killed):
            small(DEC, **how, pretrained=folder, checkpoint=path, callback=killed_after(epochs)).fit(X)
        assert path.exists()
        resumed = small(DEC, **how, pretrained=folder, checkpoint=path).fit(X)
        assert resumed.transform(X).tobytes() == whole.transform(X).tobytes()
        assert [r["loss"] for r in resumed.history_] == [r["loss"] for r in whole.history_]
        np.testing.assert_array_equal(resumed.labels_, whole.labels_)
        assert not path.exists() and len(files(folder)) == 1, "kept, even if the kill was in the first phase"


def test_a_damaged_kept_network_is_named(tmp_path):
    small(DEC, pretrained=tmp_path).fit(X)
    (path,) = tmp_path.iterdir()
    whole, middle = path.read_bytes(), path.stat().st_size // 2
    there = slice(middle, middle + 256)  # more than the padding between two tensors, which nobody reads
    flipped = whole[:middle] + bytes(byte ^ 255 for byte in whole[there]) + whole[middle + 256 :]
    for damaged in (whole[:-100], whole[:50], b"x", flipped):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=path.name):
            small(METHODS["idec"], pretrained=tmp_path).fit(X)
        assert path.read_bytes() == damaged, "it stays for whoever wants to look"

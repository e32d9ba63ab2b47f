"""Profiles: budgets in steps whatever the number of points, and the paper's settings where a data set has its own."""

import numpy as np
import pytest

from dclib import DBC, DCN, DEC, DEPICT, AutoencoderKMeans
from dclib.data import Dataset, load
from dclib.methods import METHODS
from dclib.profiles import by_profile

every_method = pytest.mark.parametrize("cls", METHODS.values(), ids=METHODS)
SIZES = {"usps": 9_298, "mnist": 70_000}


def data_of(name: str, n: int | None = None) -> Dataset:
    """Return blank images, as many as the data set has, that take no memory."""
    x = np.broadcast_to(np.float32(0), (n or SIZES[name], 16))
    return Dataset(x, None, name, (4, 4), tuple("abc"))


def steps(model, n: int) -> dict[str, tuple[int, int]]:
    """Return the steps of each phase of an estimator on ``n`` points, and those of one of its epochs."""
    a_pass = -(-n // model.batch_size)
    found = {"pretrain_steps": (model.pretrain_epochs * a_pass, a_pass)}
    if hasattr(model, "epochs"):
        an_epoch = model.update_interval or a_pass
        found["refine_steps"] = (model.epochs * an_epoch, an_epoch)
    return found


@every_method
@pytest.mark.parametrize("profile", ["book", "full", "paper"])
@pytest.mark.parametrize("name", SIZES)
def test_a_budget_in_steps_is_the_same_for_few_points_and_for_many(cls, profile, name):
    data = data_of(name)
    written, found = cls.as_written(profile, data), steps(cls.for_data(data, profile), len(data))
    for budget in written.keys() & {"pretrain_steps", "refine_steps"}:
        taken, an_epoch = found[budget]
        assert abs(taken - written[budget]) <= an_epoch / 2 or taken == an_epoch > written[budget], budget
    known = cls().get_params().keys() - {"n_clusters"}
    assert cls.settings(profile, data).keys() <= known, "steps are no parameters"
    if profile != "paper":
        assert "pretrain_steps" in written and ("refine_steps" in written) == ("epochs" in known)


def test_epochs_by_hand():
    assert DEC.settings("full", data_of("usps")) == {
        "batch_size": 256,
        "pretrain_epochs": 486,  # 18,000 / 37 steps
        "epochs": 108,  # 4,000 / 37
        "tol": 0.0,
    }
    assert DEC.settings("full", data_of("mnist"))["pretrain_epochs"] == 66  # 18,000 / 274
    assert DEC.settings("book") == DEC.settings("book", data_of("digits", 10_000)), "by default the bundled digits"
    many = DEC.settings("book", data_of("many", 10_000_000))
    assert many["pretrain_epochs"] == many["epochs"] == 1, "never none"


def test_what_differs_from_the_profile_decides_what_an_epoch_is():
    data = data_of("mnist")
    model = DEC.for_data(data, "full", batch_size=1000, update_interval=50)
    assert steps(model, len(data)) == {"pretrain_steps": (257 * 70, 70), "refine_steps": (4_000, 50)}
    model = DEC.for_data(data, "full", pretrain_epochs=3, epochs=4)
    assert (model.pretrain_epochs, model.epochs) == (3, 4), "who asks for epochs gets them"


def test_a_paper_may_have_other_settings_for_a_data_set():
    usps, mnist = (DEC.for_data(data_of(name), "paper") for name in SIZES)
    assert (usps.pretrain_epochs, usps.pretrain_optimizer, usps.pretrain_lr) == (50, "adam", 1e-3)
    assert (mnist.pretrain_epochs, mnist.pretrain_optimizer, mnist.pretrain_lr) == (300, "sgd", 0.1)
    assert (usps.update_interval, mnist.update_interval) == (30, 140)
    assert usps.hidden == mnist.hidden == (500, 500, 2000) and usps.optimizer == mnist.optimizer == "sgd"
    assert (usps.epochs, mnist.epochs) == (667, 143), "20,000 steps of 30 and of 140"
    assert AutoencoderKMeans.settings("paper", data_of("usps"))["pretrain_epochs"] == 50
    assert DCN.settings("paper", data_of("usps"))["update_interval"] is None, "a method's own comes last"
    assert DEC.settings("paper")["pretrain_epochs"] == 300 and DEC.settings("full", data_of("usps"))["tol"] == 0


def test_a_budget_in_epochs_takes_the_place_of_one_in_steps():
    depict = DEPICT.settings("paper", data_of("usps"))
    assert (depict["hidden"], depict["pretrain_epochs"], depict["epochs"]) == ((50, 50), 4_000, 4_000)
    assert depict["pretrain_lr"] == depict["lr"] == 1e-4 and "refine_steps" not in DEPICT.as_written("paper")
    convdec = DBC.settings("paper", data_of("usps"))
    assert convdec["hidden"] == (32, 64, 128) and convdec["pretrain_epochs"] == 500


def test_paper_augments_no_image():
    images = Dataset(np.zeros((1, 64), np.float32), None, "images", (8, 8), tuple("ab"))
    assert DEC.for_data(images, "paper").augment is None and DEC.for_data(images, "full").augment is not None


def test_paper_takes_what_full_does(monkeypatch):
    monkeypatch.setenv("DCLIB_PROFILE", "paper")
    assert by_profile(quick=1, book=2, full=3) == 3
    assert DEC.settings() == DEC.settings("paper")


def test_a_dict_changes_the_transform_of_the_images():
    images = load("digits")
    changed = DEC.for_data(images, "full", augment={"degrees": 10, "padding_mode": "border"}).augment
    assert (changed.degrees, changed.padding_mode, changed.shift) == (10, "border", 0.1)
    wide = METHODS["iic"].for_data(images, "full", augment={"zoom": 0}).augment
    assert (wide.degrees, wide.zoom) == (25, 0), "the method's own transform, but for what was asked"


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("digits", {"degree": 10}, "degrees"),
        ("digits", {"shape": (2, 2)}, "shape"),
        ("usps", {"zoom": 0}, "image"),
    ],
)
def test_a_transform_that_cannot_be_is_refused(name, settings, words):
    data = load("digits") if name == "digits" else data_of("usps")
    with pytest.raises(ValueError, match=words):
        DEC.for_data(data, "full", augment=settings)


def test_points_of_ones_own_need_a_name_and_a_number_of_clusters():
    x = load("digits").x
    with pytest.raises(TypeError, match="Dataset"):
        DEC.for_data(x, "quick")
    mine = Dataset(x, None, "mine", (8, 8))
    with pytest.raises(ValueError, match="mine does not say .* n_clusters"):
        DEC.for_data(mine, "quick")
    assert DEC.for_data(mine, "quick", n_clusters=7).n_clusters == 7

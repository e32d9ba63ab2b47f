"""Pictures with regions: sizes, names, outlines where they should be, mosaics without colour."""

import numpy as np
import pytest

from dclib import pictures

pytest.importorskip("skimage")


@pytest.mark.parametrize("name", pictures.OUTLINES)
def test_every_region_is_there_and_fits_its_picture(name):
    shown = pictures.load_picture(name, 60)
    assert shown.image.shape[:2] == shown.regions.shape and shown.image.shape[0] == 60
    assert shown.image.min() >= 0 and shown.image.max() <= 1
    assert np.unique(shown.regions).tolist() == list(range(len(shown.names)))


def test_outlines_lie_on_what_they_name():
    cup = pictures.load_picture("coffee", 400)
    at = {"coffee": (150, 290), "spoon": (290, 365), "saucer": (300, 140), "cup": (60, 290), "table": (350, 550)}
    assert all(cup.names[cup.regions[place]] == name for name, place in at.items())
    red, _, blue = cup.image[cup.regions == cup.names.index("saucer")].mean(axis=0)
    assert red > 3 * blue
    coins = pictures.load_picture("coins", 303)
    bright = [coins.image[coins.regions == k].mean() for k in (0, 1)]
    assert coins.names == ("cloth", "coins") and bright[1] > 1.5 * bright[0]


def test_an_ellipse_has_its_area_and_turns_clockwise():
    x, y = np.transpose(pictures.ellipse(3, 4, 5, 2, 90, n=400))
    area = abs(np.sum(x * np.roll(y, 1) - y * np.roll(x, 1))) / 2
    assert area == pytest.approx(np.pi * 10, rel=1e-3)
    assert np.ptp(y) == pytest.approx(10, abs=0.01) and np.ptp(x) == pytest.approx(4, abs=0.01)
    assert pictures.ellipse(0, 0, 2, 1, 90)[0] == pytest.approx((0, 2))


def test_a_mosaic_has_three_textures_of_one_brightness_and_repeats():
    one, same, other = (pictures.load_picture(f"mosaic-{seed}", 64) for seed in (7, 7, 8))
    assert (one.image == same.image).all() and (one.regions != other.regions).any()
    means = [one.image[one.regions == k].mean() for k in range(3)]
    assert np.ptp(means) < 0.1 and len(np.unique(one.regions)) == 3
    with pytest.raises(ValueError, match="n_pieces=2"):
        pictures.mosaic(0, n_pieces=2)


def test_unknown_pictures_are_refused():
    with pytest.raises(ValueError, match="coffee"):
        pictures.load_picture("coffe")

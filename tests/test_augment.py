"""Random affine maps: small, each image its own, the identity at zero."""

import pytest
import torch

from dclib.augment import RandomAffine
from dclib.training import seeded


@pytest.fixture
def blob() -> torch.Tensor:
    """Sixteen copies of a soft blob, off centre, 20 × 20."""
    axis = torch.arange(20.0)
    image = torch.exp(-((axis[:, None] - 12) ** 2 + (axis - 8) ** 2) / 8)
    return image.flatten().repeat(16, 1)


def centre(x: torch.Tensor) -> torch.Tensor:
    image, axis = x.view(-1, 20, 20), torch.arange(20.0)
    mass = image.sum((1, 2))
    return torch.stack([(image.sum(2) * axis).sum(1) / mass, (image.sum(1) * axis).sum(1) / mass], 1)


def test_nothing_moves_at_zero(blob):
    torch.testing.assert_close(RandomAffine((20, 20), 0, 0, 0)(blob), blob, atol=1e-5, rtol=0)


def test_shift_stays_within_its_reach_and_differs_from_image_to_image(blob):
    with seeded(0):
        moved = centre(RandomAffine((20, 20), degrees=0, shift=0.1, zoom=0)(blob)) - centre(blob)
    assert moved.abs().max() <= 2.01 and moved.abs().max() > 1
    assert len(moved.round(decimals=3).unique(dim=0)) == 16


def test_rotation_keeps_the_distance_to_the_middle(blob):
    with seeded(0):
        turned = centre(RandomAffine((20, 20), degrees=30, shift=0, zoom=0)(blob)) - 9.5
    radius = (centre(blob) - 9.5).norm(dim=1)
    torch.testing.assert_close(turned.norm(dim=1), radius, atol=0.05, rtol=0)
    angle = torch.atan2(turned[:, 0], turned[:, 1]) - torch.atan2(*(centre(blob) - 9.5).T)
    assert 0.2 < angle.abs().max() <= 0.53


def test_zoom_changes_the_mass(blob):
    with seeded(0):
        mass = RandomAffine((20, 20), degrees=0, shift=0, zoom=0.2)(blob).sum(1) / blob.sum(1)
    assert mass.min() < 0.9 and mass.max() > 1.1 and mass.min() > 0.65 and mass.max() < 1.6


def test_contrast_multiplies_all_values_of_an_image_by_one_number(blob):
    still = RandomAffine((20, 20), 0, 0, 0, contrast=0.4)
    torch.manual_seed(0)
    share = still(blob.repeat(50, 1)) / blob[0].clamp_min(1e-9)
    inked = share[:, blob[0] > 0.1]
    assert float(inked.std(dim=1).max()) < 1e-5, "one number an image"
    assert 0.6 <= float(inked.min()) < 0.65 and 1.35 < float(inked.max()) <= 1.4


def test_repeats_with_the_seed_and_keeps_the_original(blob):
    before = blob.clone()
    augment = RandomAffine((20, 20))
    with seeded(3):
        first = augment(blob)
    with seeded(3):
        assert torch.equal(first, augment(blob))
    assert torch.equal(blob, before) and first.shape == blob.shape


def test_the_grid_is_that_of_pytorch():
    augment, x = RandomAffine((5, 7)), torch.rand(3, 35)
    maps = augment.maps(x)
    ours = (maps.view(-1, 3) @ augment.places(x)).view(-1, 2, 5, 7).permute(0, 2, 3, 1)
    theirs = torch.nn.functional.affine_grid(maps, (3, 1, 5, 7), align_corners=False)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_every_channel_moves_alike_and_shapes_are_kept(padding):
    change = RandomAffine((3, 8, 8), padding_mode=padding)
    grey = torch.rand(5, 1, 8, 8).repeat(1, 3, 1, 1)
    for x in (grey, grey.flatten(1)):
        torch.manual_seed(0)
        moved = change(x)
        assert moved.shape == x.shape
        colours = moved.view(5, 3, 8, 8)
        assert torch.equal(colours[:, 0], colours[:, 1]) and torch.equal(colours[:, 0], colours[:, 2])
    torch.manual_seed(0)
    alone = RandomAffine((8, 8), padding_mode=padding)(grey[:, 0])
    torch.testing.assert_close(alone, colours[:, 0])


def test_padding_decides_what_comes_in_from_beyond_the_border():
    bright = torch.ones(50, 64)
    assert RandomAffine((8, 8))(bright).min() < 0.5, "zeros come in"
    for padding in ("border", "reflection"):
        torch.testing.assert_close(RandomAffine((8, 8), padding_mode=padding)(bright), bright)

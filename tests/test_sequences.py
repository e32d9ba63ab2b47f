"""Sequences of unequal length: what is padded, packed, moved and measured, against loops over single sequences."""

import numpy as np
import pytest
import torch
from torch import nn

from dclib import DCN, DEC, IDEC, VAE, AutoencoderKMeans, RecurrentAutoencoder
from dclib.recurrent import CELLS, last_state, recurrent_autoencoder
from dclib.sequences import at_the_end, check_ends, lengths_of, masked, padded, resampled, standardised, windows

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(3, 9, 60)
WAVES = [np.sin(np.outer(np.arange(n), [0.3, 0.9]) + RNG.random()).astype(np.float32) for n in LENGTHS]
PADDED = padded(WAVES)
SMALL = dict(hidden=(8,), latent_dim=3, pretrain_epochs=2, n_init=2, random_state=0)


def test_padding_keeps_every_value_and_only_adds_nan():
    assert PADDED.shape == (60, 8, 2) and PADDED.dtype == np.float32
    for row, wave in zip(PADDED, WAVES, strict=True):
        np.testing.assert_array_equal(row[: len(wave)], wave)
        assert np.isnan(row[len(wave) :]).all()
    assert padded([np.arange(3), np.arange(2)]).shape == (2, 3, 1)
    assert padded([torch.zeros(2, 4), torch.zeros(3, 4)], 5).shape == (2, 5, 4)
    assert padded([np.arange(3.0), np.arange(2.0)]).dtype == np.float64
    np.testing.assert_array_equal(lengths_of(torch.as_tensor(PADDED)), LENGTHS)


@pytest.mark.parametrize(
    ("sequences", "words"),
    [
        ([], "no sequence"),
        ([np.zeros((3, 2)), np.zeros((3, 1))], r"sequence 1 has shape \(3, 1\)"),
        ([np.zeros((3, 2)), np.zeros((0, 2))], "sequence 1 has 0 steps"),
        ([np.array([0.0, np.nan])], "sequence 0 contains NaN"),
        ([np.zeros((3, 2, 2))], r"sequence 0 has shape \(3, 2, 2\)"),
    ],
)
def test_what_is_no_list_of_sequences_is_refused(sequences, words):
    with pytest.raises(ValueError, match=words):
        padded(sequences)


def test_a_mask_is_nan_and_gaps_are_refused():
    mask = np.arange(8) < LENGTHS[:, None]
    np.testing.assert_array_equal(masked(np.nan_to_num(PADDED), mask), PADDED)
    with pytest.raises(ValueError, match="60 sequences of 8 steps"):
        masked(PADDED, mask[:, :7])
    for spoil, words in ((np.s_[4, 0, :], "sequence 4 at step 0"), (np.s_[5, 1, 1], "sequence 5 at step 1")):
        x = PADDED.copy()
        x[spoil] = np.nan
        with pytest.raises(ValueError, match=words):
            check_ends(x)
    with pytest.raises(ValueError, match="sequence 0: it has no step"):
        check_ends(np.full((1, 4, 2), np.nan))


def test_steps_move_to_the_end_and_windows_cut():
    x = torch.as_tensor(PADDED)
    moved = at_the_end(x)
    for row, wave in zip(moved.numpy(), WAVES, strict=True):
        np.testing.assert_array_equal(row[8 - len(wave) :], wave)
        assert np.isnan(row[: 8 - len(wave)]).all()
    cut = windows(x, 3)
    assert cut.shape == (60, 3, 6) and cut[:, 2, 4:].isnan().all()
    torch.testing.assert_close(cut[:, 1, 2:4], x[:, 4], equal_nan=True)
    assert windows(x, 1) is x or torch.equal(windows(x, 1).nan_to_num(), x.nan_to_num())


def test_normalisation_and_stretching():
    z = standardised(PADDED)
    np.testing.assert_allclose(np.nanmean(z, axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(z, axis=1), 1, atol=1e-4)
    assert (standardised(np.full((2, 5), 7.0)) == 0).all()
    longer = resampled(WAVES, 15)
    assert longer.shape == (60, 15, 2) and np.isfinite(longer).all()
    np.testing.assert_allclose(longer[:, -1], [wave[-1] for wave in WAVES])
    whole = PADDED[LENGTHS == 8]
    np.testing.assert_allclose(resampled(whole, 8), whole, rtol=1e-6)


# --- networks ---


@pytest.mark.parametrize("cell", CELLS)
def test_a_packed_sequence_ends_as_if_it_were_alone(cell):
    torch.manual_seed(0)
    layers = [CELLS[cell](2, 5, batch_first=True), CELLS[cell](5, 4, batch_first=True)]
    found = last_state(layers, torch.as_tensor(PADDED))
    for h, wave in zip(found, WAVES, strict=True):
        torch.testing.assert_close(h[None], last_state(layers, torch.as_tensor(wave)[None]))


@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("window", [1, 2])
def test_the_error_is_that_of_each_sequence_by_itself(backwards, window):
    torch.manual_seed(0)
    network = recurrent_autoencoder((8, 2), (6,), 3, backwards=backwards, window=window)
    x = torch.as_tensor(PADDED)
    drawn, single = network(x), []
    for row, wave in zip(drawn, WAVES, strict=True):
        n = -(-len(wave) // window) * window  # the windows that it touches
        own = (row[8 - n :] if backwards else row)[: len(wave)]
        single.append((own - torch.as_tensor(wave)).square().mean())
    torch.testing.assert_close(network.error(drawn, x), torch.stack(single).mean())
    network.error(drawn, x).backward()
    assert all(value.grad.isfinite().all() for value in network.parameters())


def test_written_backwards_the_last_step_comes_first():
    torch.manual_seed(0)
    forwards, backwards = (recurrent_autoencoder((8, 2), (6,), 3, backwards=each) for each in (False, True))
    backwards.load_state_dict(forwards.state_dict())
    z = torch.randn(4, 3)
    torch.testing.assert_close(backwards.decoder(z), forwards.decoder(z).flip(1))


@pytest.mark.parametrize("shape", [(8,), (8, 1), (7, 3)])
@pytest.mark.parametrize("window", [1, 3, 20])
def test_what_comes_out_has_the_shape_of_what_goes_in(shape, window):
    network = recurrent_autoencoder(shape, (6, 5), 3, "lstm", window=window)
    x = torch.randn(4, *shape)
    assert network(x).shape == x.shape and network.encoder(x).shape == (4, 3)


def test_what_is_no_sequence_is_refused():
    with pytest.raises(ValueError, match=r"not points of shape \(1, 8, 8\)"):
        recurrent_autoencoder((1, 8, 8))
    with pytest.raises(ValueError, match="hidden is empty"):
        recurrent_autoencoder((8,), ())


# --- estimators ---


@pytest.mark.parametrize(
    "make",
    [
        lambda **how: RecurrentAutoencoder(3, **how),
        lambda **how: AutoencoderKMeans(3, network="gru", **how),
        lambda **how: DEC(3, network="gru", epochs=2, **how),
        lambda **how: IDEC(3, network="lstm", epochs=2, **how),
        lambda **how: DCN(3, network="gru", epochs=2, **how),
    ],
    ids=["recurrent", "k-means", "DEC", "IDEC", "DCN"],
)
def test_lists_padding_and_masks_are_the_same_points(make):
    model = make(**SMALL).fit(WAVES)
    array = np.ma.masked_invalid(PADDED)
    for x in (PADDED, array, [torch.as_tensor(wave) for wave in WAVES], torch.as_tensor(PADDED)):
        np.testing.assert_array_equal(make(**SMALL).fit(x).labels_, model.labels_)
    np.testing.assert_allclose(model.transform(WAVES[:7]), model.transform(PADDED)[:7], atol=1e-6)
    np.testing.assert_array_equal(model.predict(WAVES), model.labels_)
    short = [wave for wave in WAVES if len(wave) < 6]
    assert model.transform(short).shape == (len(short), 3)
    with pytest.raises(ValueError, match="sequence 0 has 9 steps; expected 1 to 8"):
        model.predict([np.zeros((9, 2), np.float32)])
    values = np.concatenate(WAVES).ravel()
    assert model.offset_ == np.quantile(values.astype(float), 0.5, method="lower")
    assert model.scale_ == pytest.approx(np.sqrt(np.square(values - model.offset_).mean()))


def test_a_name_for_a_network_is_the_method_that_has_it():
    a = RecurrentAutoencoder(3, batch_size=32, **SMALL).fit(WAVES)
    b = AutoencoderKMeans(3, batch_size=32, network="gru", **SMALL).fit(WAVES)
    assert a.transform(WAVES).tobytes() == b.transform(WAVES).tobytes()


def test_what_comes_beyond_an_end_does_not_matter(tmp_path):
    model = RecurrentAutoencoder(3, **SMALL).fit(WAVES)
    longer = RecurrentAutoencoder(3, **SMALL).fit(padded(WAVES, 12))
    assert model.history_[0]["loss"] == pytest.approx(longer.history_[0]["loss"], rel=1e-5)
    path = model.save(tmp_path / "model")
    again = RecurrentAutoencoder.load(path)
    assert again.transform(WAVES).tobytes() == model.transform(WAVES).tobytes()


@pytest.mark.parametrize("network", ["gru", "lstm"])
def test_a_named_network_is_saved_and_shared(tmp_path, network):
    how = dict(network=network, epochs=2, batch_size=32, **SMALL)
    model = DEC(3, **how).fit(WAVES)
    again = DEC.load(model.save(tmp_path / "model"))
    assert again.network == network and again.transform(WAVES).tobytes() == model.transform(WAVES).tobytes()
    folder = tmp_path / "kept"
    first = DEC(3, pretrained=folder, **how).fit(WAVES)
    second = IDEC(3, pretrained=folder, **how).fit(WAVES)
    assert len([*folder.glob("*.dclib")]) == 1 and first.labels_.tobytes() == model.labels_.tobytes()
    assert first.history_[0]["loss"] == second.history_[0]["loss"]
    DEC(3, pretrained=folder, **how | {"network": "gru" if network == "lstm" else "lstm"}).fit(WAVES)
    assert len([*folder.glob("*.dclib")]) == 2, "another network is another first phase"


@pytest.mark.parametrize("cls", [AutoencoderKMeans, DEC])
def test_unequal_lengths_are_refused_by_who_cannot_read_them(cls):
    for x in (WAVES, PADDED, np.ma.masked_invalid(PADDED)):
        with pytest.raises(ValueError, match="does not read; dclib.sequences.resampled"):
            cls(3, **SMALL).fit(x)
    assert len(cls(3, **SMALL).fit(resampled(WAVES, 8)).labels_) == 60
    with pytest.raises(ValueError, match="contains NaN"):
        VAE(3, network="gru", **SMALL | {"latent_dim": 4}).fit(WAVES)  # whose loss is its own


def test_nan_inside_a_sequence_and_infinity_are_refused_by_place():
    for spoil, words in ((np.nan, "sequence 7 at step 1"), (np.inf, "infinity")):
        x = PADDED.copy()
        x[7, 1, 0] = spoil
        with pytest.raises(ValueError, match=words):
            RecurrentAutoencoder(3, **SMALL).fit(x)
    with pytest.raises(ValueError, match="NaN"):
        RecurrentAutoencoder(3, **SMALL).fit(PADDED[..., 0])  # a table with holes is no set of sequences
    with pytest.raises(ValueError, match="all 5 points are the same"):
        RecurrentAutoencoder(3, **SMALL).fit(PADDED[[0] * 5])


def test_a_network_of_ones_own_may_read_ends():
    network = recurrent_autoencoder((8, 2), (6,), 4)
    model = DEC(3, network=network, pretrain_epochs=1, epochs=1, random_state=0).fit(WAVES)
    assert model.width_ == 4 and model.point_shape_ == (8, 2)
    assert not any(isinstance(layer, nn.ReLU) for layer in model.network_.modules())

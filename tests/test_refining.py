"""The second phase: targets made anew after so many steps, optimisers and schedules by name."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from dclib import DEC
from dclib.methods import METHODS
from dclib.refining import RefiningClusterer

X = make_blobs(200, centers=4, n_features=8, random_state=1)[0].astype(np.float32)
refining = {name: cls for name, cls in METHODS.items() if issubclass(cls, RefiningClusterer)}
every_method = pytest.mark.parametrize("cls", refining.values(), ids=refining)


def small(cls, **changes):
    how = {"n_clusters": 4, "random_state": 0, "batch_size": 50, "tol": 0, "device": "cpu"}
    return cls(**cls.settings("quick") | how | changes)


@every_method
@pytest.mark.parametrize("interval", [1, 3, 6], ids=lambda n: f"{n} of 4 mini-batches")
def test_targets_are_made_anew_after_so_many_steps(cls, interval):
    stretches = []

    class Watched(cls):
        def refresh(self, x):
            stretches.append([])
            return super().refresh(x)

        def loss(self, batch):
            if stretches:  # DEPICT has learned the clusters of k-means before the first
                stretches[-1].append(batch.index)
            return super().loss(batch)

    model = small(Watched, epochs=4, update_interval=interval).fit(X)
    assert [[len(index) for index in each] for each in stretches] == [[50] * interval] * 4
    for each in stretches:
        seen = torch.cat(each).bincount(minlength=200)
        assert seen.min() >= 50 * interval // 200 and seen.max() <= -(-50 * interval // 200), "no point before its turn"
    assert not torch.equal(stretches[0][0], stretches[1][0])
    assert [r["epoch"] for r in model.history_ if r["phase"] == "refine"] == [1, 2, 3, 4]


def test_without_an_interval_a_pass_lies_between_two_targets():
    steps = []

    class Watched(DEC):
        def refresh(self, x):
            steps.append(self._engine.place["step"])
            return super().refresh(x)

    small(Watched, epochs=3).fit(X)
    assert np.diff(steps).tolist() == [4, 4]


def rates_of(optimizer: str, schedule: str, interval: int | None = None) -> tuple[dict, list[type]]:
    """Train with optimiser and schedule in both phases; return the learning rate of every step, by phase."""
    rates, kinds = {"pretrain": [], "refine": []}, []

    class Watched(DEC):
        def note_rate(self):
            (mover,) = self._engine.movers
            kinds.append(mover.optimizers[0])
            rates[self._at[0]].append(mover.optimizers[0].param_groups[0]["lr"])

        def representation_loss(self, batch):
            self.note_rate()
            return super().representation_loss(batch)

        def loss(self, batch):
            self.note_rate()
            return super().loss(batch)

    first = {"pretrain_optimizer": optimizer, "pretrain_schedule": schedule, "pretrain_lr": 0.02}
    second = {"optimizer": optimizer, "schedule": schedule, "lr": 0.02, "update_interval": interval}
    small(Watched, pretrain_epochs=5, epochs=5, **first, **second).fit(X)
    return rates, kinds


@pytest.mark.parametrize("interval", [None, 3])
@pytest.mark.parametrize("schedule", ["one_cycle", "half_cosine", "constant"])
def test_a_schedule_by_name_goes_over_the_whole_phase(schedule, interval):
    rates, _ = rates_of("adam", schedule, interval)
    for phase, found in rates.items():
        n = 15 if interval and phase == "refine" else 20
        assert len(found) == n
        if schedule == "constant":
            assert found == [0.02] * n
        if schedule == "half_cosine":
            assert found == pytest.approx([0.01 * (1 + math.cos(math.pi * k / n)) for k in range(n)])
        if schedule == "one_cycle":
            peak = int(np.argmax(found))
            assert max(found) == pytest.approx(0.02, rel=0.05) and 0 < peak < n / 2
            assert found[0] == pytest.approx(0.02 / 25) and found[-1] < 1e-3 * found[peak]
            assert np.all(np.diff(found[: peak + 1]) > 0) and np.all(np.diff(found[peak:]) < 0)


def test_an_optimiser_by_name():
    assert {type(each) for each in rates_of("adam", "constant")[1]} == {torch.optim.Adam}
    found = rates_of("sgd", "constant")[1]
    assert {type(each) for each in found} == {torch.optim.SGD} and found[0].param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize("name", ["pretrain_optimizer", "pretrain_schedule", "optimizer", "schedule"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' parameter of DEC must be a str among"):
        small(DEC, **{name: "adamm"}).fit(X)

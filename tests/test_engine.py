"""The engine carries every family: small methods that train, are killed, go on to the same bits, save and load.

Each stands for a family to come. They are not good methods; they have the parts that the real ones will have.
"""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from torch import nn
from torch.distributions import Normal
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cross_entropy, normalize

from dclib import DEC
from dclib.base import DeepClusterer
from dclib.networks import Autoencoder, mlp, mlp_autoencoder
from dclib.phases import Descent, Phase, Update, half_cosine, one_cycle, update
from dclib.training import NonFiniteLossError

X, Y = make_blobs(200, centers=4, n_features=12, random_state=1)
X = X.astype(np.float32)
IMAGES = (X[:, :, None] @ np.ones((1, 16), np.float32)).reshape(200, 3, 8, 8)
SERIES = X.reshape(200, 4, 3)


class Adversaries(DeepClusterer):
    """Two players in one phase: a critic, and a generator that moves every other step (GAN features)."""

    def build(self, n_features):
        network = Autoencoder(mlp((n_features, 16, 4)), nn.Identity())
        network.critic, network.generator = nn.Linear(4, 1), mlp((3, 16, n_features))
        return network

    def needs_decoder(self):
        return False

    def scores(self, x):
        return self.network_.critic(self.network_.encoder(x)).float()

    def critic_loss(self, batch):
        self.fake = self.network_.generator(torch.randn(len(batch.x), 3))
        real, false = self.scores(batch.view), self.scores(self.fake.detach())
        return batch.note("L_D", bce(real, torch.ones_like(real)) + bce(false, torch.zeros_like(false)))

    def player_loss(self, batch):
        score = self.scores(self.network_.generator(torch.randn(len(batch.x), 3)))
        return batch.note("L_G", bce(score, torch.ones_like(score)))

    def phases(self, n):
        players = (
            update(self.critic_loss, 1e-3, "encoder", "critic"),
            update(self.player_loss, 1e-3, "generator", every=2),
        )
        game = Phase("game", self.pretrain_epochs, players)
        return [game, Phase("start", begin=lambda x: self.start_clusters(x, self.n_clusters, 1))]


class Mixture(DeepClusterer):
    """Parameters of a mixture with an optimiser and a schedule of their own, on one loss with the network (VaDE)."""

    def start_clusters(self, x, n_clusters, n_init):
        super().start_clusters(x, n_clusters, n_init)
        self.network_.log_weights = nn.Parameter(torch.zeros(n_clusters))

    def log_density(self, z):
        distance = (z[:, None] - self.network_.centroids.to(z)).square().sum(dim=2)
        return self.network_.log_weights.to(z).log_softmax(0) - distance / 2

    def mixture_loss(self, batch):
        fit = batch.note("L_C", -self.log_density(batch.z).logsumexp(dim=1).mean())
        return self.representation_loss(batch) + 0.1 * fit

    def phases(self, n):
        network = Descent(1e-3, ("encoder", "decoder"), schedule=half_cosine)
        prior = Descent(1e-2, ("centroids", "log_weights"), lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9))
        joint = Update(self.mixture_loss, (network, prior))
        start = {"begin": lambda x: self.start_clusters(x, self.n_clusters, 1)}
        return [self.pretraining(), Phase("mixture", 2, (joint,), **start)]

    def assign(self, z):
        return self.log_density(z).argmax(dim=1)


class NewHeads(DeepClusterer):
    """A head made anew before each epoch, on pseudo-labels drawn so that all count alike (DeepCluster)."""

    def needs_decoder(self):
        return False

    def new_head(self, width, n_clusters):
        return nn.Linear(width, n_clusters)

    def relabel(self, x):
        self.start_clusters(x, 2 * self.n_clusters, 1)
        self.network_.centroids.requires_grad_(False)
        self._pseudo = torch.as_tensor(self.labels_)
        self.install("head", "new_head", self.width_, 2 * self.n_clusters)

    def balanced_order(self, n):
        return torch.multinomial(1 / torch.bincount(self._pseudo)[self._pseudo].double(), n, replacement=True)

    def head_loss(self, batch):
        return cross_entropy(self.network_.head(batch.z).float(), self._pseudo[batch.index])

    def phases(self, n):
        learn = Update(self.head_loss, (Descent(1e-2, ("encoder",)), Descent(1e-1, ("head",))))
        return [Phase("learn", self.pretrain_epochs, (learn,), before_epoch=self.relabel, order=self.balanced_order)]


class Merging(DeepClusterer):
    """A number of clusters that shrinks by one an epoch, with centroids that are trained (JULE)."""

    def begin(self, x):
        self.start_clusters(x, self.n_clusters + self.pretrain_epochs, 1)
        self.merges_ = []

    def merge(self, x):
        centroids = self.network_.centroids.detach()
        apart = torch.cdist(centroids, centroids).fill_diagonal_(torch.inf)
        first, second = divmod(int(apart.argmin()), len(centroids))
        centroids[first] = (centroids[first] + centroids[second]) / 2
        kept = [k for k in range(len(centroids)) if k != second]
        self.network_.centroids = nn.Parameter(centroids[kept].clone())
        self.merges_ = [*self.merges_, [first, second]]

    def pull(self, batch):
        return torch.cdist(batch.z, self.network_.centroids).min(dim=1).values.mean() + self.representation_loss(batch)

    def phases(self, n):
        learn = update(self.pull, 1e-2)
        return [Phase("merge", self.pretrain_epochs, (learn,), begin=self.begin, before_epoch=self.merge)]


class Information(DeepClusterer):
    """No reconstruction, no pretraining, no start: a softmax that says as much as it can (IMSAT)."""

    def build(self, n_features):
        network = nn.Module()
        network.encoder = mlp((n_features, 16, self.n_clusters))
        return network

    def needs_decoder(self):
        return False

    def information_loss(self, batch):
        p = batch.z.softmax(dim=1)
        marginal, each = p.mean(dim=0), p
        h_y, h_yx = (-(q * q.clamp_min(1e-9).log()).sum(dim=-1).mean() for q in (marginal, each))
        return batch.note("H(Y|X)", h_yx) - 4 * batch.note("H(Y)", h_y)

    def phases(self, n):
        return [Phase("inform", self.pretrain_epochs, (update(self.information_loss, 1e-2),))]

    def assign(self, z):
        return z.argmax(dim=1)


class Pairs(Information):
    """Pairs above one threshold and below another, which move towards each other epoch by epoch (DAC)."""

    def tighten(self, x):
        self.thresholds_ = getattr(self, "thresholds_", [0.95, 0.45])
        self.thresholds_ = [self.thresholds_[0] - 0.05, self.thresholds_[1] + 0.02]
        return {"gap": self.thresholds_[0] - self.thresholds_[1]}

    def pair_loss(self, batch):
        p = normalize(batch.z.softmax(dim=1))
        similar, (upper, lower) = p @ p.T, self.thresholds_
        same, other = (similar >= upper).float(), (similar <= lower).float()
        return (other * similar - same * similar.clamp_min(1e-6).log()).mean()

    def phases(self, n):
        learn = update(self.pair_loss, 1e-3, schedule=one_cycle)
        return [Phase("pairs", self.pretrain_epochs, (learn,), before_epoch=self.tighten)]


class Views(Information):
    """Two views of each point, which should get the same answer (contrastive clustering)."""

    def agreement(self, batch):
        (other,) = batch.others
        assert not torch.equal(batch.view, other)
        a, b = (normalize(z.float()) for z in (batch.z, self.encode(other)))
        return cross_entropy(a @ b.T / 0.5, torch.arange(len(a)))

    def phases(self, n):
        return [Phase("contrast", self.pretrain_epochs, (update(self.agreement, 1e-2),), views=2)]


class Stages(Information):
    """A second stage on the points that the first one is sure of (SCAN)."""

    def choose(self, x):
        self._sure = torch.cat([self.encode(x).softmax(dim=1).max(dim=1).values]).argsort()[-60:]

    def confirm(self, batch):
        return cross_entropy(batch.z, batch.z.detach().argmax(dim=1))

    def phases(self, n):
        order = {"order": lambda n: self._sure[torch.randperm(len(self._sure))], "size": 60}
        again = update(self.confirm, 1e-3, schedule=one_cycle)
        return [*super().phases(n), Phase("confirm", 2, (again,), before_epoch=self.choose, **order)]


class Variational(DeepClusterer):
    """An encoder that returns a distribution; its mean is the code (VAE)."""

    def build(self, n_features):
        network = mlp_autoencoder(n_features, (16,), 6)
        network.decoder = mlp((3, 16, n_features))
        return network

    def code(self, output):
        return output[:, :3]

    def representation_loss(self, batch):
        mean, log_sd = self.network_.encoder(batch.view).float().chunk(2, dim=1)
        drawn = self.network_.decoder(mean + log_sd.exp() * torch.randn_like(mean))
        error = batch.note("L_R", (drawn - batch.view).square().sum(dim=1).mean())
        apart = torch.distributions.kl_divergence(Normal(mean, log_sd.exp()), Normal(0.0, 1.0))
        return error + batch.note("KL", apart.sum(dim=1).mean())


class Recurrent(DeepClusterer):
    """Sequences (n, T, C), read as they are by a network with a state."""

    keeps_shape = True

    class Encoder(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.cell = nn.GRU(width, 5, batch_first=True)

        def forward(self, x):
            return self.cell(x)[1][-1]

    def build(self, n_features):
        _, width = steps_and_width = self.point_shape_
        decoder = nn.Sequential(nn.Linear(5, n_features), nn.Unflatten(1, steps_and_width))
        return Autoencoder(self.Encoder(width), decoder)


class Colour(DeepClusterer):
    """Images in colour, read by the book's own convolutional network."""

    convolutional = True


def jitter(x):
    return x + 0.05 * torch.randn_like(x)


TOYS = [Adversaries, Mixture, NewHeads, Merging, Information, Pairs, Views, Stages, Variational, Recurrent, Colour]
every_toy = pytest.mark.parametrize("cls", TOYS, ids=lambda cls: cls.__name__)


def points(cls):
    return {"Recurrent": SERIES, "Colour": IMAGES}.get(cls.__name__, X)


def small(cls, **changes):
    hidden = (4,) if cls is Colour else (16,)
    how = {"hidden": hidden, "latent_dim": 3, "pretrain_epochs": 3, "n_init": 1, "random_state": 0, "batch_size": 64}
    return cls(4, **how | {"augment": jitter, "device": "cpu"} | changes)


class Killed(Exception):
    pass


def killed_after(epochs):
    def count(model):
        if len(model.history_) == epochs:
            raise Killed

    return count


@every_toy
def test_it_trains(cls):
    model = small(cls).fit(points(cls))
    before = small(cls, pretrain_epochs=0)
    assert len(model.history_) >= 3 and np.isfinite([record["loss"] for record in model.history_]).all()
    assert model.labels_.shape == (200,) and model.transform(points(cls)).shape == (200, model.width_)
    if cls not in (Merging, Mixture, NewHeads, Pairs, Stages):  # they need an epoch to be anything
        start = {name: value.clone() for name, value in before.fit(points(cls)).network_.state_dict().items()}
        moved = {name.split(".")[0] for name, value in model.network_.state_dict().items() if name in start}
        for part in moved - {"centroids"}:
            names = [name for name in start if name.startswith(part)]
            assert any(not torch.equal(start[name], model.network_.state_dict()[name]) for name in names), part


@every_toy
def test_a_killed_run_goes_on_to_the_same_bits(cls, tmp_path):
    path, x = tmp_path / "run.dclib", points(cls)
    whole = small(cls).fit(x)
    for epochs in range(1, len(whole.history_)):
        with pytest.raises(Killed):
            small(cls, checkpoint=path, callback=killed_after(epochs)).fit(x)
        resumed = small(cls, checkpoint=path).fit(x)
        np.testing.assert_array_equal(resumed.labels_, whole.labels_)
        assert [r["loss"] for r in resumed.history_] == [r["loss"] for r in whole.history_]
        for name, value in whole.network_.state_dict().items():
            assert torch.equal(value, resumed.network_.state_dict()[name]), name


@every_toy
def test_a_saved_model_comes_back_whole(cls, tmp_path):
    x = points(cls)
    model = small(cls).fit(x)
    found = cls.load(model.save(tmp_path / "model.dclib"))
    assert found.transform(x).tobytes() == model.transform(x).tobytes()
    np.testing.assert_array_equal(found.predict(x), model.predict(x))
    assert [*found.network_.state_dict()] == [*model.network_.state_dict()]
    fixed = [{n for n, p in each.network_.named_parameters() if not p.requires_grad} for each in (found, model)]
    assert fixed[0] == fixed[1]


@every_toy
def test_scratch_is_gone_after_fit(cls):
    left = [name for name in vars(small(cls).fit(points(cls))) if name.startswith("_") and name != "_fitted"]
    assert left == []


def test_each_player_moves_alone():
    seen = []

    class Watched(Adversaries):
        def critic_loss(self, batch):
            seen.append(("critic", *self.moved()))
            return super().critic_loss(batch)

        def player_loss(self, batch):
            seen.append(("player", *self.moved()))
            return super().player_loss(batch)

        def moved(self):
            now = {n: p.detach().clone() for n, p in self.network_.named_parameters()}
            old, self._old = getattr(self, "_old", now), now
            moved = tuple(sorted({n.split(".")[0] for n in now if not torch.equal(now[n], old[n])}))
            trained = {n.split(".")[0] for n, p in self.network_.named_parameters() if p.requires_grad}
            return moved, tuple(sorted(trained))

    small(Watched, pretrain_epochs=1).fit(X)
    assert [player for player, *_ in seen] == ["critic", "critic", "player"] * 2, "every other step"
    assert seen[1][1] == seen[2][1] == ("critic", "encoder") and seen[3][1] == ("generator",)
    assert {(player, trained) for player, _, trained in seen} == {
        ("critic", ("critic", "encoder")),
        ("player", ("generator",)),
    }, "the other player's gradient is not even computed"


def test_losses_are_recorded_by_name():
    for cls, names in ((Adversaries, {"L_D", "L_G"}), (Variational, {"L_R", "KL"}), (Information, {"H(Y)", "H(Y|X)"})):
        record = small(cls).fit(X).history_[0]
        assert set(record["losses"]) == names
    record = small(Adversaries).fit(X).history_[0]
    assert record["loss"] == pytest.approx(sum(record["losses"].values()), rel=1e-6)
    record = small(Variational).fit(X).history_[-1]
    assert record["loss"] == pytest.approx(record["losses"]["L_R"] + record["losses"]["KL"], rel=1e-6)
    assert small(Pairs).fit(X).history_[1]["gap"] == pytest.approx(0.5 - 2 * 0.07)


def test_a_new_head_is_trained_and_forgets_the_old_ones_momentum():
    heads = []

    class Watched(NewHeads):
        def relabel(self, x):
            super().relabel(x)
            heads.append((self.network_.head, self.network_.head.weight.detach().clone()))

    small(Watched).fit(X)
    assert len(heads) == 3 and len({id(head) for head, _ in heads}) == 3
    for head, before in heads:
        assert not torch.equal(head.weight, before)


def test_an_optimiser_keeps_the_state_of_what_stays_and_drops_that_of_what_goes():
    kept = []

    class Watched(Merging):
        def merge(self, x):
            super().merge(x)
            (mover,) = self._engine.movers or [None]
            if mover:
                (optimizer,) = mover.optimizers
                kept.append({int(state["step"]) for state in optimizer.state.values()})

        def pull(self, batch):
            (optimizer,) = self._engine.movers[0].optimizers
            trained = {id(p) for p in optimizer.param_groups[0]["params"]}
            assert trained == {id(p) for p in self.network_.parameters()}
            assert set(map(id, optimizer.state)) <= trained
            return super().pull(batch)

    small(Watched).fit(X)
    assert kept == [{4}, {4, 8}] or kept == [{4}, {8, 4}]


def test_a_part_that_is_not_there_is_named():
    class Typo(Information):
        def phases(self, n):
            return [Phase("learn", 1, (update(self.information_loss, 1e-2, "encodr"),))]

    with pytest.raises(ValueError, match="'encodr'.*'encoder'"):
        small(Typo).fit(X)


def test_the_schedule_of_a_subset_ends_where_it_should():
    rates = []

    class Watched(Stages):
        def confirm(self, batch):
            rates.append(self._engine.movers[0].optimizers[0].param_groups[0]["lr"])
            return super().confirm(batch)

    small(Watched, batch_size=20).fit(X)
    assert len(rates) == 2 * 3 and rates[-1] < 0.1 * max(rates), "two epochs of three steps, one whole cycle"


def players(every, **how):
    """Return the game with another pace of the second player."""

    class Game(Adversaries):
        def phases(self, n):
            (critic, _), start = super().phases(n)[0].updates, super().phases(n)[1]
            return [Phase("game", 3, (critic, update(self.player_loss, 1e-3, "generator", every=every, **how))), start]

    return Game


def test_every_counts_the_steps_of_the_phase_and_not_those_of_an_epoch():
    losses = [record["losses"] for record in small(players(5)).fit(X).history_]  # three epochs of four steps
    assert ["L_G" in each for each in losses] == [False, True, True]


def test_the_schedule_of_a_player_that_waits_ends_where_it_should(tmp_path):
    rates = []

    class Watched(players(3, schedule=one_cycle)):
        def player_loss(self, batch):
            rates.append(self._engine.movers[1].optimizers[0].param_groups[0]["lr"])
            return super().player_loss(batch)

    whole = small(Watched).fit(X)
    assert len(rates) == 4 and rates[-1] < 1e-3 * max(rates), "every third of twelve steps, one whole cycle"
    with pytest.raises(Killed):
        small(Watched, checkpoint=tmp_path / "run", callback=killed_after(1)).fit(X)
    resumed = small(Watched, checkpoint=tmp_path / "run").fit(X)
    assert [r["loss"] for r in resumed.history_] == [r["loss"] for r in whole.history_]


def test_divergence_is_told_even_if_a_part_was_made_anew_since():
    class Breaks(Merging):
        def pull(self, batch):
            return super().pull(batch) * (torch.nan if len(self.history_) == 2 else 1)

    with pytest.raises(NonFiniteLossError, match="epoch 3 of phase 'merge'"):
        small(Breaks).fit(X)


def test_a_module_made_in_a_phase_without_epochs_answers_as_in_evaluation():
    class Head(NewHeads):
        def new_head(self, width, n_clusters):
            return nn.Sequential(nn.Dropout(0.9), nn.Linear(width, n_clusters))

        def phases(self, n):
            return [Phase("head", begin=self.relabel)]

        def assign(self, z):
            return self.network_.head(z.float()).argmax(dim=1)

    model = small(Head).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.predict(X))


def test_a_second_fit_knows_nothing_of_the_first():
    model = small(Pairs).fit(X)
    gaps = [record["gap"] for record in model.history_]
    assert [record["gap"] for record in model.fit(X).history_] == gaps


def test_refinement_may_follow_any_phase():
    class Warm(DEC):
        def phases(self, n):
            return [Phase("warm", 2, (update(self.representation_loss, 1e-3),)), self.refinement()]

    model = small(Warm, epochs=2).fit(X)
    assert [record["phase"] for record in model.history_][:3] == ["warm", "warm", "refine"]
    assert model.start_sizes_.shape == (4,)


def test_an_order_of_no_point_is_named():
    class Unsure(Stages):
        def choose(self, x):
            self._sure = torch.zeros(0, dtype=torch.int64)

    with pytest.raises(ValueError, match="order of phase 'confirm' returned no place"):
        small(Unsure).fit(X)


def test_an_optimiser_may_have_groups_of_its_own():
    def grouped(parameters, lr):
        return torch.optim.Adam([{"params": [p], "weight_decay": 1e-3 * p.ndim} for p in parameters], lr)

    class Grouped(Information):
        def phases(self, n):
            return [Phase("inform", 2, (update(self.information_loss, 1e-2, optimizer=grouped),))]

    class Remade(Merging):
        def phases(self, n):
            learn = update(self.pull, 1e-2, optimizer=grouped)
            return [Phase("merge", 2, (learn,), begin=self.begin, before_epoch=self.merge)]

    assert len(small(Grouped).fit(X).history_) == 2
    with pytest.raises(ValueError, match="optimiser of several groups"):
        small(Remade, pretrain_epochs=2).fit(X)

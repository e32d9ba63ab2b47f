"""Every method's ``fit`` against one plain loop, bit for bit: order, optimisers, schedules, modes, targets, starts.

The loop knows nothing of phases, checkpoints or processes. What a method is stands in a few lines of its own below,
written with the formulas that the other tests hold against brute force.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn.functional import mse_loss, normalize, one_hot

from dclib.augment import RandomAffine
from dclib.methods import METHODS
from dclib.methods.dbc import boosted_target
from dclib.methods.dcn import kmeans_loss, running_means
from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution
from dclib.methods.den import group_loss, heat_kernel, in_white, locality_loss
from dclib.methods.depict import TARGETS, cross_entropy
from dclib.networks import activations
from dclib.training import without_denormals

AS_PAPER = {
    "pretrain_optimizer": "sgd",
    "pretrain_schedule": "half_cosine",
    "optimizer": "sgd",
    "schedule": "constant",
    "update_interval": 3,  # a pass is four mini-batches
}
X = make_blobs(330, centers=5, n_features=16, random_state=1, cluster_std=6)[0].astype(np.float32)


class Plain:
    """Autoencoder + k-means: what a method does unless it says otherwise."""

    def __init__(self, model, network, x):
        self.model, self.network, self.x = model, network, x

    def places(self, x):
        return self.network.encoder(x)

    def first(self, view, x, index):
        return self.error(self.network.encoder(view), view, x)

    def error(self, z, view, x):
        return mse_loss(self.network.decoder(z), view if self.model.reconstruct == "view" else x)

    def begin(self, centres):
        self.network.centroids = nn.Parameter(centres)

    def clusters(self, x):
        return torch.cdist(self.places(x), self.network.centroids).argmin(dim=1)

    def refresh(self):
        self.assigned = self.clusters(self.x)
        return self.assigned

    def after(self, x):
        pass


class DEC(Plain):
    def q(self, x):
        return soft_assignment(self.network.encoder(x), self.network.centroids)

    def target(self, q):
        return target_distribution(q)

    def clusters(self, x):
        return self.q(x).argmax(dim=1)

    def refresh(self):
        q = self.q(self.x)
        self.p = self.target(q)
        return q.argmax(dim=1)

    def second(self, view, x, index):
        return kl_divergence(self.p[index], self.q(view))


class IDEC(DEC):
    def second(self, view, x, index):
        z = self.network.encoder(view)
        l_c = kl_divergence(self.p[index], soft_assignment(z, self.network.centroids))
        return mse_loss(self.network.decoder(z), view) + self.model.weight * l_c


class DBC(DEC):
    def target(self, q):
        return boosted_target(q, self.model.power, self.model.balance)


class DCN(Plain):
    def begin(self, centres):
        self.network.centroids = nn.Parameter(centres, requires_grad=False)
        self.counts = torch.full((len(centres),), 100.0)

    def second(self, view, x, index):
        z = self.network.encoder(view)
        l_r = self.error(z, view, x)
        return l_r + self.model.weight * kmeans_loss(z, self.network.centroids, self.assigned[index])

    def after(self, x):
        places, centroids = self.places(x), self.network.centroids
        moved, self.counts = running_means(centroids, self.counts, places, self.clusters(x))
        centroids.copy_(moved)


class DEPICT(Plain):
    def begin(self, centres):
        self.network.centroids = nn.Parameter(normalize(centres))
        self.network.bias = nn.Parameter(torch.zeros(len(centres)))

    def answers(self, z):
        return z @ self.network.centroids.T + self.network.bias

    def clusters(self, x):
        return self.answers(self.network.encoder(x)).argmax(dim=1)

    def refresh(self):
        p = self.answers(self.network.encoder(self.x)).softmax(dim=1).clamp_min(1e-12)
        self.p = TARGETS[self.model.target](p)
        return p.argmax(dim=1)

    def both(self, view):
        clean = [h.detach() for h in (view, *activations(self.network.encoder, view))]
        *_, z = activations(self.network.encoder, view, self.model.noise)
        drawn = activations(self.network.decoder, z)[::-1]
        return sum(mse_loss(mine, aim) for mine, aim in zip(drawn, clean, strict=False)), z

    def first(self, view, x, index):
        return self.both(view)[0]

    def second(self, view, x, index):
        error, z = self.both(view)
        return error + cross_entropy(self.p[index], self.answers(z))


class DEN(Plain):
    def __init__(self, model, network, x):
        super().__init__(model, network, x)
        squared, near = (torch.as_tensor(each) for each in model._neighbours(x))
        self.near, self.similarity = near, heat_kernel(squared, float(squared.median())).float()

    def first(self, view, x, index):
        column = torch.randint(self.near.shape[1], index.shape)
        near = self.model.augment(self.x[self.near[index, column]])
        z, z_near = self.network.encoder(view), self.network.encoder(near)
        if self.model.units == "white":
            local = locality_loss(*in_white(z, z_near), self.similarity[index, column]) / z.shape[1]
            grouped = group_loss(normalize(z), self.model.group_size)
        else:
            local = locality_loss(z, z_near, self.similarity[index, column])
            grouped = group_loss(z, self.model.group_size)
        return self.error(z, view, x) + self.model.locality * local + self.model.sparsity * grouped


RULES = {"autoencoder-kmeans": Plain, "dec": DEC, "idec": IDEC, "dbc": DBC, "dcn": DCN, "depict": DEPICT, "den": DEN}


def reference(model, rules) -> SimpleNamespace:
    """Train as ``model`` says, in one plain loop."""
    torch.manual_seed(model.random_state)
    offset = np.quantile(X.astype(np.float64), 0.5, method="lower")
    unit = np.sqrt(np.mean(np.square((X - offset.astype(np.float32)).astype(np.float64))))
    x = torch.as_tensor((X - np.float32(offset)) / np.float32(unit))
    network = model.build(X.shape[1])
    told, losses = rules(model, network.eval(), x), []

    def descend(loss_of, epochs, lr, optimizer, schedule, refresh=None, interval=None):
        steps = interval or -(-len(x) // model.batch_size)
        optimizer = {
            "adam": lambda weights: torch.optim.Adam(weights, lr, fused=True),
            "sgd": lambda weights: torch.optim.SGD(weights, lr, momentum=0.9),
        }[optimizer](network.parameters())
        schedule = {
            "one_cycle": lambda n: torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=n),
            "half_cosine": lambda n: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n),
            "constant": lambda n: SimpleNamespace(step=lambda: None),
        }[schedule](epochs * steps)
        for _ in range(epochs):
            with torch.no_grad():
                refresh and refresh()
            total, order = 0.0, torch.randperm(len(x))
            while interval and len(order) < interval * model.batch_size:
                order = torch.cat([order, torch.randperm(len(x))])
            order = order[: interval * model.batch_size] if interval else order
            for index in order.split(model.batch_size):
                network.train()
                optimizer.zero_grad()
                loss = loss_of(model.augment(x[index]), x[index], index)
                loss.backward()
                optimizer.step(), schedule.step()
                total += loss.detach() * len(index)
                network.eval()
                if refresh:
                    with torch.no_grad():
                        told.after(x[index])
            losses.append(float(total) / len(order))

    descend(told.first, model.pretrain_epochs, model.pretrain_lr, model.pretrain_optimizer, model.pretrain_schedule)
    with torch.no_grad(), threadpool_limits(1):
        places = told.places(x).double().numpy()
        kmeans = KMeans(model.n_clusters, n_init=model.n_init, random_state=model.random_state).fit(places)
    told.begin(torch.as_tensor(kmeans.cluster_centers_, dtype=torch.float32))
    if hasattr(told, "second"):
        how = model.lr, model.optimizer, model.schedule
        if rules is DEPICT:
            told.p = one_hot(torch.as_tensor(kmeans.labels_).long(), model.n_clusters).float()
            descend(told.second, model.start_epochs, *how)
        descend(told.second, model.epochs, *how, told.refresh, model.update_interval)
    with torch.no_grad():
        return SimpleNamespace(z=network.encoder(x), labels=told.clusters(x), losses=losses, told=told)


def configured(name: str, **changes):
    """Return a method with everything switched on that the loop has to get right."""
    cls, how = METHODS[name], {"n_clusters": 5, "random_state": 3, "batch_size": 100, "n_init": 5}
    own = cls().get_params()
    how |= {"hidden": (32,), "latent_dim": 4, "pretrain_epochs": 3, "device": "cpu"}
    how |= {"precision": "float32", "augment": RandomAffine((4, 4))}
    how |= {"epochs": 3, "tol": 0} if "epochs" in own else {}
    how |= {"shape": (4, 4), "hidden": (3, 5)} if cls.convolutional else {}
    return cls(**how | changes)


@pytest.mark.parametrize("name", RULES)
def test_fit_is_the_plain_loop(name):
    model = configured(name)
    with without_denormals():
        expected = reference(configured(name), RULES[name])
    model.fit(X)
    assert [record["loss"] for record in model.history_] == expected.losses
    assert np.array_equal(model.transform(X), expected.z.numpy())
    assert np.array_equal(model.labels_, expected.labels.numpy())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("dcn", {"reconstruct": "clean"}),
        ("depict", {"target": "balanced"}),
        ("dbc", {"power": 3.0, "balance": False}),
        ("idec", {"weight": 0.1}),
        ("den", {"units": "white"}),
        ("dec", AS_PAPER),
        ("depict", AS_PAPER | {"update_interval": 7}),
    ],
)
def test_options_are_the_plain_loops(name, change):
    expected = reference(configured(name, **change), RULES[name])
    assert [record["loss"] for record in configured(name, **change).fit(X).history_] == expected.losses


def test_restarts_of_kmeans_are_as_many_as_asked_for(monkeypatch):
    asked = []

    class Counted(KMeans):
        def fit(self, *args):
            asked.append((self.n_clusters, self.n_init))
            return super().fit(*args)

    monkeypatch.setattr("dclib.training.KMeans", Counted)
    configured("dec", n_init=7).fit(X)
    assert asked == [(5, 7)]

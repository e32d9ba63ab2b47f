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
from dclib.cells import Tissue
from dclib.methods import METHODS
from dclib.methods.clustergan import gradient_penalty
from dclib.methods.dbc import boosted_target
from dclib.methods.dcn import kmeans_loss, running_means
from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution
from dclib.methods.den import group_loss, heat_kernel, in_white, locality_loss
from dclib.methods.depict import TARGETS, cross_entropy
from dclib.methods.dtc import DISSIMILARITIES, student_t
from dclib.methods.gan_features import discriminator_loss, non_saturating_loss
from dclib.methods.sc_deep_cluster import zinb_log_likelihood
from dclib.methods.vae import gaussian_error, kl_to_standard_normal, reparametrised
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


class DTC(IDEC):
    def q(self, x):
        return self.of(self.network.encoder(x))

    def of(self, z):
        distance = DISSIMILARITIES[self.model.dissimilarity]
        return student_t(distance(z[..., None], self.network.centroids[..., None]))

    def second(self, view, x, index):
        z = self.network.encoder(view)
        return mse_loss(self.network.decoder(z), view) + self.model.weight * kl_divergence(self.p[index], self.of(z))


class SCDeepCluster(IDEC):
    """On real values, which it takes as they are; ``Counted`` below has counts."""

    def first(self, view, x, index):
        h = view
        for layer in [None, *self.network.encoder]:
            if layer is None or isinstance(layer, nn.ReLU):
                h = h + self.model.noise * torch.randn(h.shape)
            h = h if layer is None else layer(h)
        return self.error(h, view, x)

    def second(self, view, x, index):
        return self.first(view, x, index) + self.model.weight * super(IDEC, self).second(view, x, index)


class Counted(SCDeepCluster):
    """On counts: what the encoder reads is made of them, and the error is a likelihood."""

    def __init__(self, model, network, x):
        super().__init__(model, network, x)
        self.total = x.sum(dim=1).clamp_min(1)
        self.typical = self.total.double().quantile(0.5).float()
        logs = self.logs(x).double()
        counted = (x / self.size(x)[:, None]).double().mean(dim=0).float()
        n, squares = len(x), logs.square().sum(dim=0)
        network.encoder[0].typical.copy_(self.typical)
        network.encoder[0].mean.copy_(logs.sum(dim=0) / n)
        network.encoder[0].spread.copy_(((squares - logs.sum(dim=0).square() / n) / (n - 1)).sqrt())
        with torch.no_grad():
            network.decoder.mean.bias.copy_(counted.clamp(1e-5, 1e6).log())

    def size(self, x):
        return x.sum(dim=1).clamp_min(1) / self.typical

    def logs(self, x):
        return (x / self.size(x)[:, None]).log1p()

    def first(self, view, x, index):
        net, noise = self.network, self.model.noise
        h = (self.logs(view) - net.encoder[0].mean) / net.encoder[0].spread
        h = h + noise * torch.randn(h.shape)
        for layer in net.encoder[1:]:
            h = layer(h + noise * torch.randn(h.shape) if isinstance(layer, nn.ReLU) else h)
        mean, theta, logit = net.decoder(h)
        return -zinb_log_likelihood(view, self.size(view)[:, None] * mean, theta, logit).mean()


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
RULES |= {"recurrent-autoencoder": Plain, "dtc": DTC, "sc-deep-cluster": SCDeepCluster}


def reference(model, rules, counts=None) -> SimpleNamespace:
    """Train as ``model`` says, in one plain loop."""
    torch.manual_seed(model.random_state)
    offset = np.quantile(X.astype(np.float64), 0.5, method="lower")
    unit = np.sqrt(np.mean(np.square((X - offset.astype(np.float32)).astype(np.float64))))
    x = torch.as_tensor((X - np.float32(offset)) / np.float32(unit) if counts is None else counts)
    model.point_shape_ = x.shape[1:]
    model.counts_, model.likelihood_ = counts is not None, "gaussian" if counts is None else "zinb"
    network = model.build(x.shape[1])
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
                loss = loss_of(model.augment(x[index]) if model.augment else x[index], x[index], index)
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
        return SimpleNamespace(z=told.places(x), labels=told.clusters(x), losses=losses, told=told)


def configured(name: str, **changes):
    """Return a method with everything switched on that the loop has to get right."""
    cls, how = METHODS[name], {"n_clusters": 5, "random_state": 3, "batch_size": 100, "n_init": 5}
    own = cls().get_params()
    how |= {"hidden": (32,), "latent_dim": 4, "pretrain_epochs": 3, "device": "cpu"}
    how |= {"precision": "float32", "augment": RandomAffine((4, 4))}
    how |= {"epochs": 3, "tol": 0} if "epochs" in own else {}
    how |= {"shape": (4, 4), "hidden": (3, 5)} if cls.convolutional else {}
    how |= {"noise": 2.5} if name == "sc-deep-cluster" else {}
    how |= {"start": "kmeans"} if name in ("vae", "dtc") else {}
    how |= {"hidden": (8, 8), "latent_dim": 1, "pool_size": 2} if name == "dtc" else {}
    return cls(**how | changes)


class VAE(Plain):
    def first(self, view, x, index):
        mean, log_var = self.network.encoder(view).chunk(2, dim=1)
        z = reparametrised(mean, log_var, torch.randn(len(index), mean.shape[1]))
        error = gaussian_error(self.network.decoder(z), view, self.network.log_noise).mean()
        return error + self.model.beta * kl_to_standard_normal(mean, log_var).sum(dim=1).mean()

    def places(self, x):
        return self.network.encoder(x).chunk(2, dim=1)[0]


class VaDE(VAE):
    """With one learning rate for network and mixture, as by default."""

    def first(self, view, x, index):
        return gaussian_error(self.network.decoder(self.places(view)), view, self.network.log_noise).mean()

    def begin(self, centres):
        z, net = self.places(self.x), self.network
        labels = torch.cdist(z, centres).argmin(dim=1)
        squares = (z - centres[labels]).double().square()
        pooled = squares.mean(dim=0)
        variances = torch.stack([squares[labels == k].mean(dim=0) for k in range(len(centres))]) + 1e-6 * pooled.mean()
        net.centroids, net.log_vars = nn.Parameter(centres), nn.Parameter(variances.log().float())
        net.logits = nn.Parameter(torch.zeros(len(centres)))
        self.unit = net.log_vars.detach().mean(dim=0) + np.log(0.1)

    def joint(self, z):
        gaussians = torch.distributions.Normal(self.network.centroids, (self.network.log_vars / 2).exp())
        return self.network.logits.log_softmax(dim=0) + gaussians.log_prob(z[:, None]).sum(dim=2)

    def clusters(self, x):
        return self.joint(self.places(x)).argmax(dim=1)

    def second(self, view, x, index):
        mean, log_var = self.network.encoder(view).chunk(2, dim=1)
        log_var = log_var + self.unit
        z = reparametrised(mean, log_var, torch.randn(len(index), mean.shape[1]))
        error = gaussian_error(self.network.decoder(z), view, self.network.log_noise).mean()
        gamma, net = self.joint(z).softmax(dim=1), self.network
        q = torch.distributions.Normal(mean[:, None], (log_var / 2).exp()[:, None])
        p = torch.distributions.Normal(net.centroids, (net.log_vars / 2).exp())
        codes = (gamma * torch.distributions.kl_divergence(q, p).sum(dim=2)).sum(dim=1)
        labels = (gamma * (gamma.log() - net.logits.log_softmax(dim=0))).sum(dim=1)
        return error + (codes + labels).mean()


RULES["vae"] = VAE


def game(model) -> list[float]:
    """Play a game of two players in one plain loop; return the sum of their losses, epoch by epoch."""
    torch.manual_seed(model.random_state)
    offset = np.quantile(X.astype(np.float64), 0.5, method="lower")
    unit = np.sqrt(np.mean(np.square((X - offset.astype(np.float32)).astype(np.float64))))
    x = torch.as_tensor((X - np.float32(offset)) / np.float32(unit))
    model.n_features_in_, model.shape_, k = X.shape[1], None, model.n_clusters
    net = SimpleNamespace(encoder=model.build(X.shape[1]).encoder)
    width, low, high = net.encoder(x[:2]).shape[1], x.min(), x.max()
    kind = type(model).__name__
    extra = {"GANFeatures": 0, "InfoGAN": k + getattr(model, "n_codes", 0)}
    net.generator = model.new_generator(width if kind == "ClusterGAN" else model.noise_dim + extra[kind])
    if kind == "ClusterGAN":
        net.judge = model.new_judge()
    else:
        net.head = model.new_head(width, 1)
    if kind == "InfoGAN":
        net.reader = model.new_reader(width)

    def latents(m):
        if kind == "GANFeatures":
            return torch.rand(m, model.noise_dim) * 2 - 1
        c = one_hot(torch.randint(k, (m,)), k).float()
        if kind == "ClusterGAN":
            return torch.cat([model.spread * torch.randn(m, width - k), c], dim=1)
        noise, codes = torch.rand(m, model.noise_dim) * 2 - 1, torch.rand(m, model.n_codes) * 2 - 1
        return torch.cat([noise, c, codes], dim=1)

    def draw(z):
        return low + (high - low) * net.generator(z).sigmoid()

    def read(h, z):
        answer, aim = net.reader(h), z[:, model.noise_dim :]
        codes = (aim[:, k:] - answer[:, k:]).square().sum(dim=1).mean() / 2
        return codes - (np.log(k) - nn.functional.cross_entropy(answer[:, :k], aim[:, :k].argmax(dim=1)))

    def critic(view):
        z = latents(len(view))
        with torch.no_grad():
            drawn = draw(z)
        if kind == "ClusterGAN":
            gap = net.judge(drawn).mean() - net.judge(view).mean()
            return gap + model.penalty * gradient_penalty(lambda at: net.judge(at)[:, 0], view, drawn)
        h = net.encoder(drawn)
        loss = discriminator_loss(net.head(net.encoder(view))[:, 0], net.head(h)[:, 0])
        return loss + model.weight * read(h, z) if kind == "InfoGAN" else loss

    def generator(view):
        z = latents(len(view))
        drawn = draw(z)
        h = net.encoder(drawn)
        if kind == "ClusterGAN":
            errors = mse_loss(h[:, :-k], z[:, :-k]), nn.functional.cross_entropy(h[:, -k:], z[:, -k:].argmax(dim=1))
            return -net.judge(drawn).mean() + model.weight_n * errors[0] + model.weight_c * errors[1]
        loss = non_saturating_loss(net.head(h)[:, 0])
        return loss + model.weight * read(h, z) if kind == "InfoGAN" else loss

    def adam(lr, *names):
        weights = [p for name, part in vars(net).items() if name in names for p in part.parameters()]
        return torch.optim.Adam(weights, lr, (0.5, 0.9 if kind == "ClusterGAN" else 0.999), fused=True)

    first = adam(model.pretrain_lr, *(("judge",) if kind == "ClusterGAN" else ("encoder", "head", "reader")))
    second = adam(model.generator_lr, "generator", *(("encoder",) if kind == "ClusterGAN" else ()))
    every, step, losses = 5 if kind == "ClusterGAN" else 1, 0, []
    for _ in range(model.pretrain_epochs):
        totals = {first: [0.0, 0], second: [0.0, 0]}
        for index in torch.randperm(len(x)).split(model.batch_size):
            step, view = step + 1, model.augment(x[index])
            for optimizer, loss_of in ((first, critic), (second, generator)):
                if optimizer is first or step % every == 0:
                    optimizer.zero_grad()
                    loss = loss_of(view)
                    loss.backward(inputs=[p for group in optimizer.param_groups for p in group["params"]])
                    optimizer.step()
                    totals[optimizer][0] += loss.detach() * len(index)
                    totals[optimizer][1] += len(index)
        losses.append(sum(float(total) / count for total, count in totals.values() if count))
    return losses


@pytest.mark.parametrize("name", ["gan-features", "infogan", "clustergan"])
def test_a_game_is_the_plain_loop(name):
    how = {"shape": None, "hidden": (32, 16), "pretrain_epochs": 6}
    with without_denormals():
        expected = game(configured(name, **how))
    assert [record["loss"] for record in configured(name, **how).fit(X).history_] == pytest.approx(expected, rel=1e-6)


def test_vade_is_the_plain_loop():
    how = {"start": "kmeans", "pretrain_epochs": 20}
    with without_denormals():
        expected = reference(configured("vade", **how), VaDE)
    model = configured("vade", **how).fit(X)
    assert [record["loss"] for record in model.history_] == pytest.approx(expected.losses, rel=1e-4)
    np.testing.assert_allclose(model.transform(X), expected.z.numpy(), atol=1e-3)
    assert np.mean(model.labels_ == expected.labels.numpy()) > 0.99


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
        ("dtc", {"dissimilarity": "cid", "weight": 0.3}),
        ("recurrent-autoencoder", {"cell": "lstm", "backwards": False, "window": 3}),
        ("depict", AS_PAPER | {"update_interval": 7}),
    ],
)
def test_options_are_the_plain_loops(name, change):
    expected = reference(configured(name, **change), RULES[name])
    assert [record["loss"] for record in configured(name, **change).fit(X).history_] == expected.losses


def test_counts_are_the_plain_loops_too():
    counts = Tissue(n_genes=40).draw(330, 0).counts.astype(np.float32)
    counts[3] = 0  # a cell of which nothing was read
    with without_denormals():
        expected = reference(configured("sc-deep-cluster", augment=None), Counted, counts)
    model = configured("sc-deep-cluster", augment=None).fit(counts)
    assert [record["loss"] for record in model.history_] == expected.losses
    assert np.array_equal(model.transform(counts), expected.z.numpy())
    assert np.array_equal(model.labels_, expected.labels.numpy())


def test_restarts_of_kmeans_are_as_many_as_asked_for(monkeypatch):
    asked = []

    class Counted(KMeans):
        def fit(self, *args):
            asked.append((self.n_clusters, self.n_init))
            return super().fit(*args)

    monkeypatch.setattr("dclib.training.KMeans", Counted)
    configured("dec", n_init=7).fit(X)
    assert asked == [(5, 7)]

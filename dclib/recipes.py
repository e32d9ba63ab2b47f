"""The paper's recipe beside ours: network, optimiser, budget and data, and what was added."""

from collections.abc import Mapping
from typing import Any

from dclib.checks import one_of
from dclib.methods import METHODS
from dclib.plots import ScoreTable
from dclib.results import added
from dclib.training import RESTART_SAMPLE

ROWS = ("network", "pretraining", "start", "second phase", "mini-batch", "settings", "added")
STACKED = "layer by layer with dropout, 50,000 steps each, then 100,000 steps together; SGD"
KMEANS = "k-means on all codes, 20 restarts"
# What the papers and, where they differ, their authors' released code say. A dash: not found.
PAPER: dict[str, dict[str, str]] = {
    "autoencoder-kmeans": {
        "network": "D–500–500–2000–10, ReLU, linear code",
        "pretraining": "300 epochs, SGD (USPS: 50 epochs, Adam)",
        "start": KMEANS,
        "second phase": "none",
        "mini-batch": "256",
        "settings": "as DEC-keras has it (Guo 2020)",
    },
    "dec": {
        "network": "D–500–500–2000–10, ReLU, linear code",
        "pretraining": STACKED,
        "start": KMEANS,
        "second phase": "SGD 0.01, momentum 0.9; new target every 160 steps on MNIST; until 0.1 % change cluster",
        "mini-batch": "256",
        "settings": "the interval of the target: the best of nine, by accuracy (Xie et al. 2016, section 4.3)",
    },
    "idec": {
        "network": "D–500–500–2000–10, ReLU, linear code",
        "pretraining": "DEC's weights",
        "start": KMEANS,
        "second phase": "Adam on MNIST, SGD 0.1 on USPS; new target every 140 or 30 steps; until 0.1 % change cluster",
        "mini-batch": "256",
        "settings": "γ = 0.1 beside the mean squared error of the values as they are (Guo et al. 2017 and their code)",
    },
    "dbc": {
        "network": "fully convolutional, batch normalisation, unpooling",
        "pretraining": "end to end",
        "start": "k-means on all codes",
        "second phase": "–",
        "mini-batch": "–",
        "settings": "the target is a power of q (Li et al. 2018)",
    },
    "dcn": {
        "network": "D–500–500–2000–10, the decoder's weights tied to the encoder's",
        "pretraining": "250 epochs layer by layer, 250 together; SGD 1e-4, momentum 0.9",
        "start": "k-means on all codes, 10 restarts",
        "second phase": "50 epochs, SGD; all of k-means again every 10 epochs in the released code",
        "mini-batch": "256",
        "settings": "λ = 2 in the released code, where a centroid starts at a count of 100 (Yang et al. 2017)",
    },
    "depict": {
        "network": "two convolutions of 50 filters, stride 2, leaky ReLU; tanh code of width K",
        "pretraining": "up to 4,000 epochs, Adam 1e-4, stopped on held-out reconstruction",
        "start": "k-means, 40 restarts (code: a linkage on USPS and mnist-test); the softmax layer learns its clusters",
        "second phase": "up to 4,000 epochs, Adam 1e-4; until the target stands still",
        "mini-batch": "100",
        "settings": "dropout 0.1; target: p over √f in the paper, DEC's in the code (Ghasedi Dizaji et al. 2017)",
    },
    "den": {
        "network": "–",
        "pretraining": "greedy, layer by layer, then together",
        "start": "k-means on all codes",
        "second phase": "none",
        "mini-batch": "–",
        "settings": "heat kernel of the neighbours, groups of units (Huang et al. 2014)",
    },
    "vae": {
        "network": "D–500–d, one hidden layer, tanh",
        "pretraining": "Adagrad, rate from the first steps; one draw a point (Kingma and Welling 2014)",
        "start": "none in the paper; a Gaussian mixture on the codes in that of VaDE",
        "second phase": "none",
        "mini-batch": "100",
        "settings": "Bernoulli decoder for MNIST, a sum over pixels",
    },
    "vade": {
        "network": "D–500–500–2000–10, ReLU; a head for the mean, one for the log variance",
        "pretraining": "a stacked autoencoder, as DEC's; released as weights only",
        "start": "diagonal Gaussian mixture on the codes, equal weights",
        "second phase": "3,000 epochs on MNIST; Adam 2e-3 for both (code: ε 1e-4), ×0.9 every 10 epochs, to 2e-4",
        "mini-batch": "100",
        "settings": "responsibilities of densities + 1e-10 in the released code (Jiang et al. 2017)",
    },
    "gan-features": {
        "network": "convolutions of stride 2, leaky ReLU, batch norm; the generator mirrors it",
        "pretraining": "Adam 2e-4, β1 = 0.5, for both players (Radford et al. 2016)",
        "start": "k-means on the discriminator's features (a row of Mukherjee et al. 2019)",
        "second phase": "none",
        "mini-batch": "128",
        "settings": "noise of 100 numbers between −1 and 1",
    },
    "infogan": {
        "network": "convolutions 64–128 (4 × 4), 1024; leaky ReLU, batch norm; Q 128 more; the generator mirrors",
        "pretraining": "5,000 steps, Adam with β1 = 0.5; discriminator and Q 2e-4, generator 1e-3",
        "start": "none: Q reads the clusters",
        "second phase": "none",
        "mini-batch": "128",
        "settings": "noise of 62, one of 10, two numbers; λ = 1 (Chen et al. 2016 and their code)",
    },
    "clustergan": {
        "network": "convolutions 64–128 (4 × 4), 1024; leaky ReLU; generator 1024–7·7·128–64–1, batch norm",
        "pretraining": "up to 500,000 steps of the generator, five of the critic for each; Adam 1e-4, β = (0.5, 0.9)",
        "start": "k-means on z_n beside the softmax of z_c",
        "second phase": "none",
        "mini-batch": "64",
        "settings": "d_n = 30, σ = 0.1, β_n = β_c = 10, penalty 10, one share a batch (Mukherjee et al. 2019, code)",
    },
    "jule": {
        "network": "one or two convolutions of 50 filters (5 × 5), batch norm, ReLU, pooling; 160; code of length one",
        "pretraining": "20 epochs a period, SGD 0.01, momentum 0.9, the rate falling as (1 + t / 10,000)^−0.75",
        "start": "chains of nearest neighbours in pixels, merged as training goes on",
        "second phase": "none",
        "mini-batch": "100",
        "settings": "K_s = 20, K_c = 5 above 100 clusters, η = 0.9, margin 0.2, γ = 1 (Yang et al. 2016, code)",
    },
    "dac": {
        "network": "three convolutions of 64, three of 128 (3 × 3), batch norm, pooling; softmax, length one",
        "pretraining": "until the thresholds meet; RMSProp 0.001 (20 rounds over MNIST in the released code)",
        "start": "none: the network answers",
        "second phase": "none",
        "mini-batch": "128 (code: pairs labelled in chunks of 1,000)",
        "settings": "u = 0.95 − λ, l = 0.455 + 0.1 λ (Chang et al. 2017); one threshold, 0.9 to 0.5, and images "
        "turned by up to 10 degrees, shifted by up to 0.1, zoomed by 0.95 to 1.05 (code)",
    },
    "imsat": {
        "network": "D–1200–1200–K, batch norm and ReLU on the hidden layers",
        "pretraining": "50 epochs, Adam 0.002",
        "start": "none: the network answers",
        "second phase": "none",
        "mini-batch": "250",
        "settings": "λ = 0.1, μ = 4, ξ = 10, ¼ of the distance to the 10th neighbour (Hu et al. 2017, code)",
    },
    "iic": {
        "network": "convolutions 64–128–256–512 (5 × 5), batch norm, pooling; five heads, five of 50 clusters",
        "pretraining": "3,200 epochs on MNIST, Adam 0.0001",
        "start": "none: the network answers",
        "second phase": "none",
        "mini-batch": "700 pairs: 140 points, five views of each; heads alternate by epochs",
        "settings": "views: crops of 16 to 24 of 28 pixels, 25 degrees, brightness, contrast (Ji et al. 2019, code)",
    },
    "deepcluster": {
        "network": "AlexNet or VGG-16 with batch norm; edges (Sobel) in the place of colours",
        "pretraining": "200 to 500 epochs, SGD 0.05, momentum 0.9, weight decay 1e-5",
        "start": "random weights; k-means on what they make of the data",
        "second phase": "none",
        "mini-batch": "256",
        "settings": "k = 10,000 for 1,000 classes, PCA to 256, whitened, length one (Caron et al. 2018, code)",
    },
    "recurrent-autoencoder": {
        "network": "one layer of LSTM units, 1,000 and more; the last state is the code",
        "pretraining": "SGD 0.7 falling (Sutskever et al. 2014); RMSProp with momentum (Srivastava et al. 2015)",
        "start": "none: the papers translate, and predict; k-means on the code is what clustering added",
        "second phase": "none",
        "mini-batch": "128 (Sutskever et al. 2014)",
        "settings": "the input, or the output, reversed",
    },
    "dtc": {
        "network": "50 filters of 10 steps, leaky ReLU, max pooling of P; LSTMs of 50 and 1 in both directions",
        "pretraining": "10 epochs, Adam (port of Forest 2019)",
        "start": "complete linkage by the dissimilarity; k-means in the port as well",
        "second phase": "up to 100 epochs, Adam; new target every epoch; until 0.1 % change cluster, five times (port)",
        "mini-batch": "64 (port)",
        "settings": "γ = 1, α = 1; P chosen set by set (Madiraju et al. 2018)",
    },
    "sc-deep-cluster": {
        "network": "D–256–64–32, ReLU, linear code; heads for mean, dispersion and extra zeros",
        "pretraining": "400 epochs at most, AMSGrad (stopped after 50 without a better loss, in the released code)",
        "start": KMEANS,
        "second phase": "Adadelta 1.0; new target every epoch; at most 20,000 steps; until 0.1 % change cluster",
        "mini-batch": "256",
        "settings": "noise σ = 2.5 on input and hidden layers, γ = 1 (Tian et al. 2019 and their code)",
    },
}
PROFILES = ("book", "full", "paper")
OPTIMIZERS = {
    "adam": "Adam",
    "adam_half": "Adam (β1 = 0.5)",
    "adam_short": "Adam (β1 = 0.5, β2 = 0.9)",
    "amsgrad": "Adam (AMSGrad)",
    "adadelta": "Adadelta (ρ = 0.95)",
    "sgd": "SGD (momentum 0.9)",
}
SCHEDULES = {"one_cycle": "one cycle to {:g}", "half_cosine": "{:g} falling to 0", "constant": "{:g} throughout"}
REFINING = {"epochs", "lr", "optimizer", "schedule", "update_interval", "tol"}
BUDGETS = {"pretrain_steps", "refine_steps"}


def ours(method: str, profile: str) -> dict[str, str]:
    """Return the recipe of a profile as ``PAPER`` has the paper's, from the parameters that would run.

    Parameters
    ----------
    method
        A key of :data:`dclib.methods.METHODS`.
    profile
        ``"book"``, ``"full"`` or ``"paper"``.
    """
    cls = METHODS[method]
    how = cls().get_params() | cls.for_images | cls.as_written(profile)
    widths = how["hidden"] or cls.channels
    images = {"augment": "on images"} if cls.augmented and "augment" not in cls.as_written(profile) else {}
    kind = "convolutions of stride 2, channels" if cls.convolutional else "D"
    return {
        "network": "–".join((kind, *map(str, widths), str(how["latent_dim"]))) + f", {cls.wiring}",
        "pretraining": f"{_budget(how, 'pretrain_steps', 'pretrain_epochs')}, {_descent(how, 'pretrain_')}",
        "start": _start(how) if cls.seeks else cls.begins,
        "second phase": _second(how, cls.renewed),
        "mini-batch": str(how["batch_size"]),
        "settings": _own(how),
        "added": ", ".join(added(method, how | images)) or "nothing",
    }


def _start(how: Mapping[str, Any]) -> str:
    if how["start"] == "linkage":
        return "complete linkage by the dissimilarity"
    if how["start"] == "mixture":  # restarts are k-means'; the mixture is fitted once, from where the best ends
        return f"mixture on at most {RESTART_SAMPLE:,} codes, from the best of {how['n_init']} runs of k-means"
    return f"{how['start'].replace('kmeans', 'k-means')} on all codes, {how['n_init']} restarts"


def _budget(how: Mapping[str, Any], steps: str, epochs: str) -> str:
    return f"{how[steps]:,} steps" if steps in how else f"{how[epochs]} epochs"


def _descent(how: Mapping[str, Any], of: str = "") -> str:
    return f"{OPTIMIZERS[how[f'{of}optimizer']]}, {SCHEDULES[how[f'{of}schedule']].format(how[f'{of}lr'])}"


def _second(how: Mapping[str, Any], renewed: str) -> str:
    if "epochs" not in how:
        return "none"
    budget = f"{_budget(how, 'refine_steps', 'epochs')} at most; {_descent(how)}"
    until = f"; until {how['tol']:.1%} change cluster" if how["tol"] else ""
    every = f"{how['update_interval']} steps" if how["update_interval"] else "epoch"
    return f"{budget}{f'; {renewed} every {every}' if renewed else ''}{until}"


def _own(how: Mapping[str, Any]) -> str:
    """Return the parameters that the method has for itself."""
    shared = METHODS["autoencoder-kmeans"]().get_params().keys() | REFINING | BUDGETS
    own = [f"{name} = {value}" for name, value in how.items() if name not in shared and value is not None]
    return ", ".join(own) or "none of its own"


def recipe(method: str) -> ScoreTable:
    """Return a table of the paper's recipe beside those of our profiles; all but ``"paper"`` augment images.

    The profile ``"paper"`` has the network of DEC, IDEC and DCN, and is shown beside papers that have it.

    Raises
    ------
    ValueError
        If there is no recipe of this name.
    """
    paper = PAPER[one_of(method, PAPER, "recipe")] | {"added": "nothing"}
    profiles = PROFILES if paper["network"].startswith("D–500–500–2000–10") else PROFILES[:-1]
    columns = {"the paper's": paper} | {f"ours, {profile}": ours(method, profile) for profile in profiles}
    return ScoreTable({row: {name: column[row] for name, column in columns.items()} for row in ROWS})

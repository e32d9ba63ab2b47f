# %% [raw]
# # ASSIGNMENT CONFIG
# name: 05-dcn
# config_file: otter.yml

# %% [markdown]
# # Assignment 5: DCN's trap
#
# **You will** fool DCN's loss by hand, split the fall of a loss into what is real and what is not, find the broken
# turn of a run, and say what a smaller loss is worth. **Read first** the chapter [DCN](book:autoencoders/dcn). **Time** about 85 minutes; the
# notebook runs in a minute on two cores, without a network. **20 points**, five of which your teacher gives.
#
# Replace every `...`. A cell `grader.check("q1")` runs the tests that you may see; others are run when you hand in.
# Hand in this notebook, saved.

# %%
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn.functional import mse_loss

from dclib import DCN, load
from dclib.methods.dcn import kmeans_loss, running_means
from dclib.metrics import clustering_accuracy
from dclib.networks import mlp_autoencoder

data = load("digits")
x, y = data.x[:1000], data.y[:1000]
points = torch.tensor(x[:200])
torch.manual_seed(0)
net = mlp_autoencoder(64, hidden=(48,), latent_dim=10).requires_grad_(False)
small = {"hidden": (64,), "pretrain_epochs": 15, "batch_size": 128, "tol": 0, "verbose": 0}

# %% [raw]
# # BEGIN QUESTION
# name: q1

# %% [markdown]
# ## A loss that can be fooled
#
# **Question 1** · 4 points · 20 minutes
#
# Make DCN's clustering loss a hundred times smaller without making anything better. `shrunk(net, a)` returns a **copy**
# of the network whose codes are `a` times those of `net` and whose reconstructions are the same, whatever the point. So
# $L_R$ stays, and with centroids that follow, $L_C$ is multiplied by $a^2$. Encoder and decoder are `nn.Sequential`; the
# last layer of the one and the first layer of the other are linear. The given network has to stay as it is.

# %% [raw]
# # BEGIN SOLUTION

# %%
def shrunk(net, a):
    """Return a copy of an autoencoder with `a` times its codes and the same reconstructions."""
    # BEGIN SOLUTION
    copied = copy.deepcopy(net)
    with torch.no_grad():
        copied.encoder[-1].weight.mul_(a), copied.encoder[-1].bias.mul_(a)
        copied.decoder[0].weight.div_(a)
    return copied
    # END SOLUTION


tiny = shrunk(net, 0.1)

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: The codes of shrunk(net, 0.1) are not a tenth of those of net.
""" # END TEST CONFIG
def test_codes(shrunk, net, points):
    import torch

    torch.testing.assert_close(shrunk(net, 0.1).encoder(points), 0.1 * net.encoder(points))

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: The reconstructions are not the same.
""" # END TEST CONFIG
def test_reconstructions(shrunk, net, points):
    import torch

    torch.testing.assert_close(shrunk(net, 0.1)(points), net(points))

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: It fails for another network, or changes the network that it is given.
""" # END TEST CONFIG
def test_another_network(shrunk):
    import copy

    import torch
    from dclib.networks import mlp_autoencoder

    torch.manual_seed(3)
    other = mlp_autoencoder(5, hidden=(7, 6), latent_dim=2).requires_grad_(False)
    kept, x = copy.deepcopy(other), torch.randn(9, 5)
    found = shrunk(other, -3.0)
    torch.testing.assert_close(found.encoder(x), -3.0 * other.encoder(x))
    torch.testing.assert_close(found(x), other(x))
    assert all(torch.equal(a, b) for a, b in zip(kept.parameters(), other.parameters(), strict=True))

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2

# %% [markdown]
# ## What the fall of a loss is made of
#
# **Question 2** · 5 points · 20 minutes
#
# Let $W$ be the mean squared distance of the codes to the means of their clusters, and $T$ that to the mean of all
# codes. Then $\log W = \log T + \log (W/T)$: a size and a shape. When a run takes $(z_0, c_0)$ to $(z_1, c_1)$, the fall
# of $\log W$ is the fall of the size and the fall of the shape. Only the second is clustering.
# `fall(z0, labels0, z1, labels1)` returns the two, size first; they are positive where something fell.

# %% [raw]
# # BEGIN SOLUTION

# %%
def fall(z0, labels0, z1, labels1):
    """Return by how much log T and log(W/T) fell, of codes (n, d) and their clusters (n,), as two numbers."""
    # BEGIN SOLUTION
    def scatters(z, labels):
        means = np.stack([z[labels == c].mean(axis=0) for c in labels])
        return ((z - means) ** 2).sum(axis=1).mean(), ((z - z.mean(axis=0)) ** 2).sum(axis=1).mean()

    (w0, t0), (w1, t1) = scatters(np.asarray(z0), labels0), scatters(np.asarray(z1), labels1)
    return float(np.log(t0 / t1)), float(np.log(w0 / t0) - np.log(w1 / t1))
    # END SOLUTION


fall(net.encoder(points).numpy(), y[:200], 0.1 * net.encoder(points).numpy(), y[:200])

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: A code that shrinks to a tenth has lost log 100 of its size and nothing of its shape.
""" # END TEST CONFIG
def test_pure_size(fall, x, y):
    import numpy as np

    assert np.allclose(fall(x, y, 0.1 * x, y), (np.log(100), 0), atol=1e-4)

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Four codes on a line, once with spread pairs and once with tight ones - compute W and T with a pencil.
""" # END TEST CONFIG
def test_by_hand(fall):
    import numpy as np

    labels = np.array([0, 0, 1, 1])
    wide, tight = np.array([[-3.0], [-1.0], [1.0], [3.0]]), np.array([[-2.0], [-2.0 + 1.0], [1.0], [2.0]])
    assert np.allclose(fall(wide, labels, tight, labels), (np.log(2), np.log(0.2) - np.log(0.1)))

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: In several dimensions the two parts are not those of the formula.
""" # END TEST CONFIG
def test_both(fall):
    import numpy as np

    rng = np.random.default_rng(6)
    z0, z1 = rng.normal(size=(50, 4)) + 1, 3 * rng.normal(size=(50, 4)) - np.arange(4)
    a, b = rng.integers(0, 3, 50), rng.integers(0, 4, 50)
    values = []
    for z, labels in ((z0, a), (z1, b)):
        w = sum(((z[labels == c] - z[labels == c].mean(axis=0)) ** 2).sum() for c in np.unique(labels))
        values.append((((z - z.mean(axis=0)) ** 2).sum(), w))
    (t0, w0), (t1, w1) = values
    assert np.allclose(fall(z0, a, z1, b), (np.log(t0 / t1), np.log((w0 / t0) / (w1 / t1))))

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3

# %% [markdown]
# ## Turns, one of them wrong
#
# **Question 3** · 6 points · 25 minutes · find the fault
#
# DCN takes turns: assign the mini-batch, move the network, move the centroids by running means. The next cell does the
# first and the last, without a network, on a stream of mini-batches of codes. `run` holds, for each mini-batch, the
# codes `z`, the clusters `labels` that were used, and the centroids before and after: `old`, `new`. Each centroid
# started as if it had already averaged 20 codes. One thing is wrong:
#
# - **a** a code is not given to its nearest centroid;
# - **b** a centroid moves to the mean of the mini-batch's codes, without its past;
# - **c** counts are not added up: they stay at their start;
# - **d** a cluster that gets no code of the mini-batch moves all the same;
# - **e** a centroid moves away from the mean of its codes, by the amount by which it should move towards it.
#
# Write `weight_of_new(step, j)`: the share $w$ for which
# $\mu_j^{\text{new}} = (1 - w)\, \mu_j^{\text{old}} + w\, \bar z_j$, where $\bar z_j$ is the mean of the codes of
# cluster $j$ in the step. Solve it by least squares over the coordinates; for a cluster without codes return 0. Which
# $w$ does DCN ask for in the first mini-batch, and which in the last? Set `fault` to a letter.

# %% tags=["sealed"]
def train_in_turns():
    """Run the turns on codes; the counts stay at their start, so that centroids never settle."""
    generator = torch.Generator().manual_seed(1)
    means = torch.randn(4, 3, generator=generator) * 3
    centroids, counts, kept = means + 0.5, torch.full((4,), 20.0), []
    for _ in range(30):
        z = means[torch.randint(4, (40,), generator=generator)] + torch.randn(40, 3, generator=generator)
        labels = torch.cdist(z, centroids).argmin(dim=1)
        new, _ = running_means(centroids, counts, z, labels)
        kept.append({"z": z, "labels": labels, "old": centroids, "new": new})
        centroids = new
    return kept


run = train_in_turns()

# %%
for place in (0, 10, 29):
    print("mini-batch", place, "has", torch.bincount(run[place]["labels"], minlength=4).tolist(), "codes of each cluster")

# %% [raw]
# # BEGIN SOLUTION

# %%
def weight_of_new(step, j):
    """Return the share of the mini-batch's mean in the new centroid j."""
    # BEGIN SOLUTION
    mine = step["z"][step["labels"] == j]
    if len(mine) == 0:
        return 0.0
    way = mine.mean(dim=0) - step["old"][j]
    return float((step["new"][j] - step["old"][j]) @ way / (way @ way))
    # END SOLUTION


# BEGIN SOLUTION NO PROMPT
for place in (0, 10, 29):
    n, before = (sum(int((step["labels"] == 0).sum()) for step in steps) for steps in (run[place : place + 1], run[:place]))
    print("found", weight_of_new(run[place], 0), "DCN", n / (20 + before + n), "a count of 20 gives", n / (20 + n))
# END SOLUTION
fault = "c"  # SOLUTION

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Two codes with mean 4, an old centroid at 0 and a new one at 1. The share is a quarter.
""" # END TEST CONFIG
def test_a_quarter(weight_of_new):
    import torch

    step = {"z": torch.tensor([[3.0], [5.0]]), "labels": torch.tensor([0, 0])}
    step |= {"old": torch.zeros(2, 1), "new": torch.tensor([[1.0], [0.0]])}
    assert abs(weight_of_new(step, 0) - 0.25) < 1e-6 and weight_of_new(step, 1) == 0

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: For a sound step the share is not what running_means gives.
""" # END TEST CONFIG
def test_sound(weight_of_new):
    import torch
    from dclib.methods.dcn import running_means

    generator = torch.Generator().manual_seed(5)
    z, old = torch.randn(30, 4, generator=generator), torch.randn(3, 4, generator=generator)
    labels = torch.arange(30) % 3
    new, _ = running_means(old, torch.tensor([10.0, 30.0, 90.0]), z, labels)
    step = {"z": z, "labels": labels, "old": old, "new": new}
    for j, count in enumerate((10, 30, 90)):
        assert abs(weight_of_new(step, j) - 10 / (count + 10)) < 1e-4

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: The fault is another one. How does the share develop over the run, and how should it?
""" # END TEST CONFIG
def test_fault(fault):
    assert str(fault).strip().lower() == "c"

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q4
# manual: true
# points: 5

# %% [markdown]
# ## What is a smaller loss worth?
#
# **Question 4** · 5 points · 20 minutes · a figure and two sentences
#
# Train DCN on `x` with λ = 0.01, 0.1, 1, 10, 100, fifteen epochs each, from the same first phase (`epochs=0` gives its
# end). Draw, against λ, the fall of $\log W$ from there as two parts, size and shape, and beside it the accuracy with
# that of the start. Then write **two sentences**: which part of the fall did λ buy, with a number, and what would a
# paper hide that reports the clustering loss alone? Write what **your own** figure shows, also where you expected
# something else. (If your `fall` does not work: $T$ is `z.var(axis=0).sum()`, and scikit-learn's
# `calinski_harabasz_score(z, labels)` grows as $W/T$ falls.)

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
start = DCN(10, epochs=0, random_state=0, **small).fit(x)
weights, parts, accuracies = [0.01, 0.1, 1, 10, 100], [], []
for weight in weights:
    model = DCN(10, weight=weight, epochs=15, random_state=0, **small).fit(x)
    parts.append(fall(start.transform(x), start.labels_, model.transform(x), model.labels_))
    accuracies.append(clustering_accuracy(y, model.labels_))
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
for values, name in zip(np.transpose(parts), ("size", "shape"), strict=True):
    left.plot(weights, values, "o-", label=f"fall of log {'T' if name == 'size' else 'W/T'} ({name})")
right.plot(weights, accuracies, "o-"), right.axhline(clustering_accuracy(y, start.labels_), color="grey")
for ax, name in ((left, "fall"), (right, "ACC, and that of the start")):
    ax.set_xscale("log"), ax.set_xlabel("λ"), ax.set_ylabel(name)
left.legend()
plt.show()
# END SOLUTION

# %% [markdown]
# λ buys mostly size: of the fall of $\log W$, from λ = 0.1 on, about three quarters are a smaller code, and beyond
# λ = 1 the shape gains nothing more, while the accuracy sinks to that of the start or below. A paper that reports the
# clustering loss alone would hide that most of its fall is a change of unit, which $L_R$ does not resist and which finds
# no cluster.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

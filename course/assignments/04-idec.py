# %% [raw]
# # ASSIGNMENT CONFIG
# name: 04-idec
# config_file: otter.yml

# %% [markdown]
# # Assignment 4: IDEC's balance
#
# **You will** measure what a code keeps of its neighbourhoods, draw the border of the best compromises, find out which
# weights a loss really moves, and choose γ without a label. **Read first** the chapter [IDEC](book:autoencoders/idec). **Time** about 90
# minutes; the notebook runs in a minute on two cores, without a network. **20 points**, five of which your teacher
# gives.
#
# Replace every `...`. A cell `grader.check("q1")` runs the tests that you may see; others are run when you hand in.
# Hand in this notebook, saved.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch.nn.functional import mse_loss

from dclib import IDEC, load
from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution
from dclib.metrics import clustering_accuracy
from dclib.networks import mlp_autoencoder

data = load("digits")
x, y = data.x[:1000], data.y[:1000]
small = {"hidden": (64,), "pretrain_epochs": 15, "batch_size": 128, "tol": 0, "verbose": 0}

# %% [raw]
# # BEGIN QUESTION
# name: q1

# %% [markdown]
# ## Who is still my neighbour?
#
# **Question 1** · 4 points · 20 minutes
#
# Trustworthiness weighs ranks. Build something plainer that anyone can picture: of the $k$ nearest neighbours of a
# point in the input, which share is among its $k$ nearest in the code? Average it over the points. A point is not its
# own neighbour.

# %% [raw]
# # BEGIN SOLUTION

# %%
def kept_neighbours(x, z, k=10):
    """Return the mean share of the k nearest neighbours in x (n, D) that are k nearest neighbours in z (n, d) too."""
    # BEGIN SOLUTION
    both = [NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False) for points in (x, z)]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(*both, strict=True)]))
    # END SOLUTION


kept_neighbours(x, x[:, :20])

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: A code that is twice the input keeps every neighbour.
""" # END TEST CONFIG
def test_the_same_space(kept_neighbours, x):
    assert kept_neighbours(x[:200], 2 * x[:200], 5) == 1

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: On random codes the share is not that of a count by hand. Is a point its own neighbour?
""" # END TEST CONFIG
def test_by_brute_force(kept_neighbours):
    import numpy as np

    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    for k in (1, 4):
        total = 0
        for i in range(40):
            near = []
            for space in (a, b):
                distance = ((space - space[i]) ** 2).sum(axis=1)
                distance[i] = np.inf
                near.append(set(np.argsort(distance)[:k]))
            total += len(near[0] & near[1]) / k
        assert abs(kept_neighbours(a, b, k) - total / 40) < 1e-9

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2

# %% [markdown]
# ## The border of the best compromises
#
# **Question 2** · 5 points · 25 minutes
#
# Every γ ends somewhere: at a pair $(L_R, L_C)$. A pair is *dominated* if another pair is at most as large in both
# losses and smaller in one. What is not dominated is the border of the best compromises, the *Pareto front*: only
# there does a choice remain to be made.
#
# `front(pairs)` returns the places (in `pairs`) of the pairs that are not dominated, in order of rising $L_R$; of two
# equal pairs both stay. `knee(pairs)` returns the place (in `pairs` again) of the pair of the front that lies furthest
# **below** the straight line between the front's two ends, when both losses are scaled to run from 0 to 1 over the
# front. Where none lies below, or where the front has fewer than three different pairs, it is the first of the front.

# %% [raw]
# # BEGIN SOLUTION

# %%
def front(pairs):
    """Return the places of the pairs (m, 2) that no other pair dominates, in order of the first loss."""
    # BEGIN SOLUTION
    pairs = np.asarray(pairs, dtype=float)
    free = [i for i, p in enumerate(pairs) if not ((pairs <= p).all(axis=1) & (pairs < p).any(axis=1)).any()]
    return sorted(free, key=lambda i: tuple(pairs[i]))
    # END SOLUTION


def knee(pairs):
    """Return the place of the pair of the front that lies furthest below the line between its ends."""
    # BEGIN SOLUTION
    places = front(pairs)
    edge = np.asarray(pairs, dtype=float)[places]
    if len(np.unique(edge, axis=0)) < 3:
        return places[0]
    scaled = (edge - edge.min(axis=0)) / np.ptp(edge, axis=0)
    return places[int(np.argmin(scaled.sum(axis=1)))]
    # END SOLUTION


pairs = [(0.30, 0.9), (0.32, 0.5), (0.50, 0.4), (0.9, 0.39), (0.6, 0.6)]
front(pairs), knee(pairs)

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Of these three pairs the last is dominated by the first.
""" # END TEST CONFIG
def test_a_small_front(front):
    assert list(front([(1, 1), (0.5, 2), (2, 1)])) == [1, 0]

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: On random pairs the front is not the set of pairs that nobody dominates.
""" # END TEST CONFIG
def test_front(front):
    import numpy as np

    pairs = np.random.default_rng(0).integers(0, 8, (40, 2)) / 8
    free = []
    for i, p in enumerate(pairs):
        if not any((o[0] <= p[0] and o[1] <= p[1]) and (o[0] < p[0] or o[1] < p[1]) for o in pairs):
            free.append(i)
    found = list(front(pairs))
    assert sorted(found) == free
    assert [pairs[i][0] for i in found] == sorted(pairs[i][0] for i in free)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: The knee depends on the unit of a loss, or is not the lowest point below the line.
""" # END TEST CONFIG
def test_knee(knee):
    pairs = [(0.30, 0.9), (0.32, 0.5), (0.50, 0.4), (0.9, 0.39), (0.6, 0.6)]
    assert knee(pairs) == 1
    assert knee([(100 * a, b / 50) for a, b in pairs]) == 1
    assert knee([(2.0, 1.0), (1.0, 1.0)]) == 1
    assert knee([(0, 1), (0.1, 0.95), (0.2, 0.1), (1, 0), (5, 5)]) == 2  # the second of the front lies above the line
    assert knee([(5, 1), (1, 0), (0.4, 0.1), (0, 1), (0.1, 0.35)]) == 4  # scaled over all pairs it would be another

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3

# %% [markdown]
# ## IDEC in name
#
# **Question 3** · 6 points · 25 minutes · find the fault
#
# A colleague's IDEC trains without a warning. Both losses fall. But its code drifts away as DEC's does, whatever γ he
# takes. `his_losses(net, x, p)` returns his $L_R$ and $L_C$ for the points `x` and the fixed target `p`. One of these is
# the case:
#
# - **a** $L_R$ does not reach the encoder;
# - **b** $L_R$ does not reach the decoder;
# - **c** $L_C$ does not reach the encoder;
# - **d** $L_C$ does not reach the centroids;
# - **e** $L_C$ reaches the decoder too.
#
# Write `feels(loss, net)`: a dictionary that says for `"encoder"`, `"decoder"` and `"centroids"` whether any of its
# parameters has a gradient of `loss` that is not zero. Set `fault` to a letter.

# %% tags=["sealed"]
def his_losses(net, x, p):
    """Return L_R, which sees a detached code, and L_C."""
    z = net.encoder(x)
    return mse_loss(net.decoder(z.detach()), x), kl_divergence(p, soft_assignment(z, net.centroids))

# %%
torch.manual_seed(0)
net = mlp_autoencoder(64, hidden=(32,), latent_dim=5)
points = torch.tensor(x[:100])
net.centroids = torch.nn.Parameter(net.encoder(points[:10]).detach())
p = target_distribution(soft_assignment(net.encoder(points), net.centroids)).detach()
his_losses(net, points, p)

# %% [raw]
# # BEGIN SOLUTION

# %%
def feels(loss, net):
    """Return, for encoder, decoder and centroids, whether a gradient of the loss reaches them."""
    # BEGIN SOLUTION
    parts = {"encoder": [*net.encoder.parameters()], "decoder": [*net.decoder.parameters()], "centroids": [net.centroids]}
    how = {"retain_graph": True, "allow_unused": True}
    found = {name: torch.autograd.grad(loss, weights, **how) for name, weights in parts.items()}
    return {name: any(g is not None and bool(g.abs().sum() > 0) for g in some) for name, some in found.items()}
    # END SOLUTION


fault = "a"  # SOLUTION
for loss in his_losses(net, points, p):
    print(feels(loss, net))

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 2
failure_message: The reconstruction error of a sound network reaches encoder and decoder, and no centroid.
""" # END TEST CONFIG
def test_sound(feels, net, points):
    from torch.nn.functional import mse_loss

    loss = mse_loss(net.decoder(net.encoder(points)), points)
    assert feels(loss, net) == {"encoder": True, "decoder": True, "centroids": False}

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 1
failure_message: A gradient that is there but zero does not count.
""" # END TEST CONFIG
def test_zero_is_nothing(feels, net, points):
    from torch.nn.functional import mse_loss

    loss = mse_loss(net(points), points) * 0 + net.centroids.square().sum()
    assert feels(loss, net) == {"encoder": False, "decoder": False, "centroids": True}

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: The fault is another one. Ask which parts feel each of his two losses.
""" # END TEST CONFIG
def test_fault(fault):
    assert str(fault).strip().lower() == "a"

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
# ## Choose γ, and distrust the axis
#
# **Question 4** · 5 points · 20 minutes · a figure and two sentences
#
# Train IDEC on `x` for γ = 0, 0.03, 0.1, 0.3, 1, 3, 10, from one seed's first phase. A fitted model's
# `history_[-1]["losses"]` has the two losses of the last epoch. Draw twice, with front and knee marked: the pairs
# $(L_R, L_C)$, and the pairs $(L_R, W/T)$, where `within_share` gives $W/T$ of the code, the share of its scatter that
# lies within clusters. Write beside each pair its share of kept neighbours. Then write **two sentences**: why can the
# first picture not be used to choose γ, and which γ would you take by the second, believing what? Only then look at
# the accuracies. Write what **your own** figure shows, also where you expected something else. (If your functions do
# not work: scikit-learn's `trustworthiness` for the kept neighbours; front and knee by eye.)

# %%
def within_share(z, labels):
    """Return W/T of codes z (n, d) and their clusters (n,)."""
    within = sum(((z[labels == c] - z[labels == c].mean(axis=0)) ** 2).sum() for c in np.unique(labels))
    return within / ((z - z.mean(axis=0)) ** 2).sum()

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
weights, losses, scatters, shares, accuracies = [0, 0.03, 0.1, 0.3, 1, 3, 10], [], [], [], []
for weight in weights:
    model = IDEC(10, weight=weight, epochs=15, random_state=0, **small).fit(x)
    last, z = model.history_[-1]["losses"], model.transform(x)
    losses.append((last["L_R"], last["L_C"])), scatters.append((last["L_R"], within_share(z, model.labels_)))
    shares.append(kept_neighbours(x, z))
    accuracies.append(clustering_accuracy(y, model.labels_))
figure, axes = plt.subplots(1, 2, figsize=(11, 4))
for ax, pairs, name in zip(axes, (losses, scatters), ("L_C", "W/T"), strict=True):
    ax.plot(*np.array(pairs)[front(pairs)].T, "-", color="grey"), ax.plot(*np.array(pairs).T, "o")
    ax.plot(*pairs[knee(pairs)], "s", markersize=12, fillstyle="none")
    for pair, weight, share in zip(pairs, weights, shares, strict=True):
        ax.annotate(f"γ={weight:g}: {share:.2f} kept", pair, xytext=(6, 4), textcoords="offset points", fontsize=8)
    ax.set_xlabel("L_R"), ax.set_ylabel(name)
plt.show()
print(dict(zip(weights, np.round(accuracies, 3), strict=True)))
# END SOLUTION

# %% [markdown]
# In the first picture γ = 0 dominates all, because each run is measured against its own target: the more γ sharpens
# the assignments, the sharper is the target and the larger the divergence from it, so $L_C$ is no common yardstick. By
# the second I would take γ = 0.3, the knee, believing that a compact code has better clusters and that both axes
# matter equally over the range that I happened to try.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

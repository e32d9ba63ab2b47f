# %% [raw]
# # ASSIGNMENT CONFIG
# name: 02-codes
# config_file: otter.yml

# %% [markdown]
# # Assignment 2: what an autoencoder buys
#
# **You will** measure a code on points that it has not seen, choose between partitions without a label, find out what
# is wrong with a colleague's training, and show what the autoencoder is worth beside the luck of the seed. **Read
# first** the chapter [Autoencoder + k-means](book:autoencoders/autoencoder_kmeans). **Time** about 85 minutes; the notebook runs in a minute on two cores,
# without a network. **20 points**, five of which your teacher gives.
#
# Replace every `...`. A cell `grader.check("q1")` runs the tests that you may see; others are run when you hand in.
# Hand in this notebook, saved.

# %%
import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from torch.nn.functional import mse_loss

from dclib import load
from dclib.metrics import clustering_accuracy
from dclib.networks import mlp_autoencoder
from dclib.training import batches

data = load("digits")
x, y = data.x, data.y
train, test = torch.tensor(x[:1200]), torch.tensor(x[1200:])


def trained(width, seed, epochs=20):
    """Return an autoencoder 64–48–width–48–64, trained on `train`."""
    torch.manual_seed(seed)
    net = mlp_autoencoder(64, hidden=(48,), latent_dim=width)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(epochs):
        for index in batches(len(train), 64):
            optimizer.zero_grad()
            mse_loss(net(train[index]), train[index]).backward()
            optimizer.step()
    return net.requires_grad_(False)


# %% [raw]
# # BEGIN QUESTION
# name: q1

# %% [markdown]
# ## A measure with a zero and a one
#
# **Question 1** · 4 points · 15 minutes
#
# "The error is 0.02" says nothing without a unit. Report instead the share of the variance **of new points** that a
# reconstruction explains:
#
# $$R^2 = 1 - \frac{\sum_i \lVert x_i - \hat x_i \rVert^2}{\sum_i \lVert x_i - \bar x \rVert^2},$$
#
# where $i$ runs over the test points and $\bar x$ is the **mean image of the training points**. So 0 is what you get by
# always answering with the mean image, 1 is perfect, and a network may well be below 0.

# %% [raw]
# # BEGIN SOLUTION

# %%
def explained(train, test, test_hat):
    """Return the share of the test points' variance that the reconstructions `test_hat` (n, D) explain, as a number."""
    # BEGIN SOLUTION
    mean = train.mean(dim=0)
    return float(1 - (test - test_hat).square().sum() / (test - mean).square().sum())
    # END SOLUTION


for width in (2, 5, 10):
    pca = PCA(width).fit(train)
    linear = torch.tensor(pca.inverse_transform(pca.transform(test)))
    print(width, "PCA", explained(train, test, linear), "autoencoder", explained(train, test, trained(width, 0)(test)))

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: A perfect reconstruction explains everything.
""" # END TEST CONFIG
def test_perfect(explained, train, test):
    assert abs(explained(train, test, test.clone()) - 1) < 1e-6

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Answering with the mean image of the training points explains nothing - exactly nothing.
""" # END TEST CONFIG
def test_the_mean_image(explained):
    import torch

    few = torch.tensor([[0.0, 2.0], [2.0, 6.0]])
    new = torch.tensor([[5.0, 1.0], [1.0, 1.0], [3.0, 8.0]])
    assert abs(explained(few, new, few.mean(dim=0).expand(3, 2))) < 1e-6

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: On other points the share is not that of the formula. Which mean do you subtract, and over what is it taken?
""" # END TEST CONFIG
def test_the_formula(explained):
    import numpy as np
    import torch

    rng = np.random.default_rng(4)
    few, new = rng.normal(size=(6, 6)) + np.arange(6), rng.normal(size=(6, 6)) + 2 * np.arange(6)
    guess = new + 0.3 * rng.normal(size=(6, 6))
    wanted = 1 - ((new - guess) ** 2).sum() / ((new - few.mean(axis=0)) ** 2).sum()
    assert abs(explained(*(torch.tensor(a) for a in (few, new, guess))) - wanted) < 1e-6

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2

# %% [markdown]
# ## Choose without looking
#
# **Question 2** · 5 points · 25 minutes
#
# Several codes of the same points have each been clustered, into the same number of clusters. Which partition do you
# keep? Inertias of different codes cannot be compared: a code that is twice as large has four times the inertia.
# Compare the partitions in **one** space, the pixels, and free of units: by the share of the scatter that lies
# **between** clusters,
#
# $$s = 1 - \frac{W}{T}, \qquad W = \sum_i \lVert x_i - m_{c_i} \rVert^2, \quad T = \sum_i \lVert x_i - \bar x \rVert^2,$$
#
# where $m_c$ is the mean pixel vector of the points in cluster $c$ and $\bar x$ that of all points. (With more clusters
# $s$ grows by itself, so it compares equal numbers only.) `choose` returns the **place** in the list of the candidate
# with the largest share. The true classes may have no part in it.

# %% [raw]
# # BEGIN SOLUTION

# %%
def between_share(x, labels):
    """Return 1 − W/T of a partition of the points x (n, D)."""
    # BEGIN SOLUTION
    within = sum(((x[labels == c] - x[labels == c].mean(axis=0)) ** 2).sum() for c in np.unique(labels))
    return 1 - within / ((x - x.mean(axis=0)) ** 2).sum()
    # END SOLUTION


def choose(x, candidates):
    """Return the place of the partition to keep, of a list of label vectors (n,)."""
    # BEGIN SOLUTION
    return int(np.argmax([between_share(x, labels) for labels in candidates]))
    # END SOLUTION


candidates = []
for seed in range(4):
    z = trained(10, seed, epochs=8).encoder(torch.tensor(x)).numpy()
    candidates.append(KMeans(10, n_init=1, random_state=seed).fit_predict(z))
print("kept", choose(x, candidates))

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Points on a line at 0, 1, 10, 11 in two pairs - compute W and T with a pencil.
""" # END TEST CONFIG
def test_by_hand(between_share):
    import numpy as np

    line = np.array([[0.0], [1.0], [10.0], [11.0]])
    assert np.isclose(between_share(line, np.array([3, 3, 7, 7])), 1 - 1 / 101)

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: The share must not depend on the unit of x, nor on a constant added to it.
""" # END TEST CONFIG
def test_no_units(between_share, x, y):
    import numpy as np

    assert np.isclose(between_share(5.0 * x + 3.0, y), between_share(x, y), atol=1e-4)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: choose does not keep the partition with the largest share. Did the classes have a say?
""" # END TEST CONFIG
def test_choice(choose, x, y):
    import numpy as np
    from sklearn.cluster import KMeans

    tight = KMeans(10, n_init=3, random_state=0).fit_predict(x)
    rough = KMeans(10, n_init=1, random_state=1).fit_predict(x[:, :16])  # the upper quarter of the image
    assert choose(x, [rough, y, tight]) == 2
    assert choose(x, [tight, rough, y]) == 0

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3

# %% [markdown]
# ## The loss falls, so it trains
#
# **Question 3** · 6 points · 25 minutes · find the fault
#
# A colleague's training loop prints a loss that falls, epoch by epoch. Yet it ends higher than that of the same network
# in anybody else's loop, and the network explains less of new images. The next cell trains his network; `before` and
# `after` are the network before and after. Something is not trained as it should be:
#
# - **a** nothing moves but the biases;
# - **b** the encoder does not move: the optimiser was given the decoder alone;
# - **c** the decoder does not move;
# - **d** all layers move, but each image has to give back another one;
# - **e** the first layer of the encoder does not move, the rest does.
#
# Write `moved(before, after)`. It returns a dictionary from the name of each parameter, as in `named_parameters()`, to
# how far it moved relative to its size,
# $\lVert w_{\text{after}} - w_{\text{before}} \rVert / \lVert w_{\text{before}} \rVert$. Then set `fault`.

# %% tags=["sealed"]
def colleagues_run():
    """Train an autoencoder whose first layer was left out of the optimiser."""
    torch.manual_seed(7)
    before = mlp_autoencoder(64, hidden=(48, 32), latent_dim=10)
    after = copy.deepcopy(before)
    chosen = [w for name, w in after.named_parameters() if not name.startswith("encoder.0.")]
    optimizer, losses = torch.optim.Adam(chosen, 3e-3), []
    for _ in range(10):
        total = 0.0
        for index in batches(len(train), 64):
            optimizer.zero_grad()
            loss = mse_loss(after(train[index]), train[index])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(index) / len(train)
        losses.append(total)
    return before.requires_grad_(False), after.requires_grad_(False), losses


before, after, losses = colleagues_run()

# %%
print([round(loss, 3) for loss in losses])

# %% [raw]
# # BEGIN SOLUTION

# %%
def moved(before, after):
    """Return, for the name of each parameter, how far it moved relative to its size."""
    # BEGIN SOLUTION
    old, new = dict(before.named_parameters()), dict(after.named_parameters())
    return {name: float((new[name] - old[name]).norm() / old[name].norm()) for name in old}
    # END SOLUTION


fault = "e"  # SOLUTION
moved(before, after)

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: A network has not moved away from itself.
""" # END TEST CONFIG
def test_it_stayed(moved, after):
    found = moved(after, after)
    assert found.keys() == dict(after.named_parameters()).keys()
    assert all(value == 0 for value in found.values())

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: A layer whose weights all grew by a tenth has moved by 0.1.
""" # END TEST CONFIG
def test_a_tenth(moved):
    import copy

    from dclib.networks import mlp_autoencoder

    old = mlp_autoencoder(6, hidden=(5,), latent_dim=2).requires_grad_(False)
    new = copy.deepcopy(old)
    new.decoder[0].weight.mul_(1.1)
    found = moved(old, new)
    assert abs(found["decoder.0.weight"] - 0.1) < 1e-5 and found["encoder.0.weight"] == 0

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: The fault is another one. Which parameters have moved by exactly nothing?
""" # END TEST CONFIG
def test_fault(fault):
    assert str(fault).strip().lower() == "e"

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
# ## What is it worth?
#
# **Question 4** · 5 points · 20 minutes · a figure and two sentences
#
# Cluster all digits with k-means, $K = 10$ and ten restarts: from the pixels, from ten principal components, and from
# the code of an autoencoder of width ten. Components and autoencoder are both fitted on `train` and applied to all
# points. Draw the accuracies of at least five seeds of each, **every seed as a point**. For the autoencoder a seed is
# another network and another k-means; for the others, another k-means alone. Then write **two sentences**: what did the
# autoencoder buy or cost, and by how much; and how do you know, or what would you need in order to know, that it was
# not the seed? Write what **your own** figure shows, also where you expected something else.

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
found = {"pixels": [], "PCA": [], "autoencoder": []}
for seed in range(5):
    spaces = {"pixels": x, "PCA": PCA(10).fit(x[:1200]).transform(x)}
    spaces["autoencoder"] = trained(10, seed).encoder(torch.tensor(x)).numpy()
    for name, space in spaces.items():
        labels = KMeans(10, n_init=10, random_state=seed).fit_predict(space)
        found[name].append(clustering_accuracy(y, labels))
for place, (name, values) in enumerate(found.items()):
    plt.plot([place] * len(values), values, "o", alpha=0.6, label=name)
plt.xticks(range(3), list(found)), plt.ylabel("ACC")
plt.show()
# END SOLUTION

# %% [markdown]
# On these small images the autoencoder costs some seven points of accuracy beside the pixels and six beside the ten
# components. Its five networks stray over nine points where k-means on the pixels strays by less than one, and still
# each of them lies below every run of the other two, so the gap is not the luck of one network; how large it is, five
# networks leave open by some points, and more of them with an interval for the difference of the means would tell.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

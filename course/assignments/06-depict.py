# %% [raw]
# # ASSIGNMENT CONFIG
# name: 06-depict
# config_file: otter.yml

# %% [markdown]
# # Assignment 6: DEPICT's balance
#
# **You will** dial the balance of a target to a wanted number of clusters, write the loss of a noisy answer, read from
# a run which balance it really used, and show what balance does to classes that are not balanced. **Read first** the
# chapter [DEPICT](book:autoencoders/depict). **Time** about 90 minutes; the notebook runs in a minute on two cores, without a network. **20
# points**, five of which your teacher gives.
#
# Replace every `...`. A cell `grader.check("q1")` runs the tests that you may see; others are run when you hand in.
# Hand in this notebook, saved.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from dclib import DEPICT, load
from dclib.methods.depict import balanced_target
from dclib.metrics import clustering_accuracy, effective_clusters

data = load("digits")
torch.manual_seed(0)
p = (2 * torch.randn(500, 6, dtype=torch.float64) + torch.tensor([2.0, 1.0, 0.5, 0.0, -0.5, -1.0])).softmax(dim=1)

# %% [raw]
# # BEGIN QUESTION
# name: q1

# %% [markdown]
# ## Balance on a dial
#
# **Question 1** · 5 points · 25 minutes
#
# DEPICT divides by $f^{1/2}$, and the exact minimum by $f$. In general $q_{ik} \propto p_{ik} / f_k^{\beta}$ with
# $f_k = \sum_i p_{ik}$, and rows that sum to one. Build this `dialled(p, beta)`.
#
# How strongly does it balance? The *effective number of clusters* is $e^H$, where $H$ is the entropy (in nats) of the
# shares $\frac1n \sum_i q_{ik}$. For answers like those of this notebook it grows with β from 0 to 1. Nothing
# guarantees that for every `p`, but where it does, bisection works. Build `beta_for(p, wanted)`: the β in $[0, 1]$ at
# which the target's effective number is `wanted`, to a ten-thousandth in β, by bisection. What cannot be reached gets
# the nearer end.

# %% [raw]
# # BEGIN SOLUTION

# %%
def dialled(p, beta):
    """Return the target q (n, K) of the answers p (n, K), balanced by the power beta of the clusters' sizes."""
    # BEGIN SOLUTION
    weight = p / p.sum(dim=0).pow(beta)
    return weight / weight.sum(dim=1, keepdim=True)
    # END SOLUTION


def effective(q):
    """Return the effective number of clusters of soft assignments q (n, K)."""
    # BEGIN SOLUTION
    share = q.mean(dim=0)
    return float(torch.exp(-torch.xlogy(share, share).sum()))
    # END SOLUTION


def beta_for(p, wanted):
    """Return the beta in [0, 1] at which the target of p has `wanted` effective clusters."""
    # BEGIN SOLUTION
    low, high = 0.0, 1.0
    if effective(dialled(p, low)) >= wanted:
        return low
    if effective(dialled(p, high)) <= wanted:
        return high
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if effective(dialled(p, middle)) < wanted else (low, middle)
    return (low + high) / 2
    # END SOLUTION


for beta in (0, 0.5, 1):
    print(beta, effective(dialled(p, beta)))

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: For beta = 1/2 this is DEPICT's target, for beta = 0 it is p.
""" # END TEST CONFIG
def test_depict(dialled, p):
    import torch
    from dclib.methods.depict import balanced_target

    torch.testing.assert_close(dialled(p, 0.5), balanced_target(p))
    torch.testing.assert_close(dialled(p, 0.0), p)

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Four clusters of equal size are four clusters; with shares 1/2, 1/4, 1/4 they are 2.83.
""" # END TEST CONFIG
def test_effective(effective):
    import torch

    assert abs(effective(torch.eye(4, dtype=torch.float64)) - 4) < 1e-9
    assert abs(effective(torch.eye(3, dtype=torch.float64)[[0, 0, 1, 2]]) - 2**1.5) < 1e-9

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: beta_for does not find the beta that made a target, or fails at the ends.
""" # END TEST CONFIG
def test_beta_for(beta_for):
    import torch

    generator = torch.Generator().manual_seed(4)
    p = (torch.randn(300, 5, generator=generator, dtype=torch.float64) - torch.arange(5) * 0.6).softmax(dim=1)

    def number(beta):
        weight = p / p.sum(dim=0) ** beta
        share = (weight / weight.sum(dim=1, keepdim=True)).mean(dim=0)
        return float(torch.exp(-(share * share.log()).sum()))

    numbers = [number(place / 50) for place in range(51)]
    assert numbers == sorted(numbers), "these answers allow bisection"
    for beta in (0.2, 0.77):
        assert abs(beta_for(p, number(beta)) - beta) < 2e-4
    assert beta_for(p, 1.0) < 2e-4 and beta_for(p, 5.0) > 1 - 2e-4

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2

# %% [markdown]
# ## Say it under noise
#
# **Question 2** · 4 points · 15 minutes
#
# Write the loss of one mini-batch. From the **clean** logits come the answers and their target, by `balanced_target`;
# the **noisy** logits have to give that target. It is the cross-entropy, a sum over clusters and a mean over points,
# and no gradient reaches the network through the target.

# %% [raw]
# # BEGIN SOLUTION

# %%
def noisy_loss(clean, noisy):
    """Return the cross-entropy of the noisy answers with the balanced target of the clean ones; both are logits (m, K)."""
    # BEGIN SOLUTION
    target = balanced_target(clean.softmax(dim=1)).detach()
    return -(target * noisy.log_softmax(dim=1)).sum(dim=1).mean()
    # END SOLUTION


noisy_loss(torch.zeros(3, 4), torch.zeros(3, 4))

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: If nothing is known, the loss of K answers is log K.
""" # END TEST CONFIG
def test_log_k(noisy_loss):
    import math

    import torch

    assert abs(float(noisy_loss(torch.zeros(5, 4), torch.zeros(5, 4))) - math.log(4)) < 1e-6

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: The gradient of the noisy logits should be (answers - target) / m, and the clean ones should have none.
""" # END TEST CONFIG
def test_gradients(noisy_loss):
    import torch
    from dclib.methods.depict import balanced_target

    generator = torch.Generator().manual_seed(8)
    clean = (2 * torch.randn(12, 5, generator=generator, dtype=torch.float64)).requires_grad_()
    noisy = (2 * torch.randn(12, 5, generator=generator, dtype=torch.float64)).requires_grad_()
    noisy_loss(clean, noisy).backward()
    target = balanced_target(clean.detach().softmax(dim=1))
    torch.testing.assert_close(noisy.grad, (noisy.detach().softmax(dim=1) - target) / 12)
    assert clean.grad is None or not clean.grad.any()

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3

# %% [markdown]
# ## Which balance was it?
#
# **Question 3** · 6 points · 30 minutes · find the fault
#
# In the next cell a softmax layer is trained towards its own targets. `run` has, for each epoch, the answers `p` of all
# points and the target `q` that was used. Until some epoch all is as it should be, β = ½. Then the large clusters
# begin to grow at the cost of the small. Every target is of the form $q_{ik} \propto p_{ik} f_k^{-\beta}$, with one β
# an epoch. So
#
# $$\log q_{ik} - \log p_{ik} = -\beta \log f_k + \text{something that is the same for all } k .$$
#
# Write `beta_of(p, q)`, which reads β from the two matrices. Set `first_bad` to the first epoch, counted from 0, that is
# wrong, and `beta_used` to its β.

# %% tags=["sealed"]
def drift():
    """Train a softmax layer; from epoch 9 on the size is multiplied where it should be divided, and by less."""
    torch.manual_seed(2)
    centres = torch.randn(4, 3, dtype=torch.float64) * 1.5
    x = centres[torch.randint(4, (400,))] + torch.randn(400, 3, dtype=torch.float64)
    weight = centres.clone().requires_grad_()
    bias = torch.tensor([0.3, 0.0, -0.2, 0.0], dtype=torch.float64).requires_grad_()
    optimizer, kept = torch.optim.Adam([weight, bias], 0.05), []
    for epoch in range(16):
        with torch.no_grad():
            answers = (x @ weight.T + bias).softmax(dim=1)
            aim = answers / answers.sum(dim=0).pow(0.5 if epoch < 9 else -0.35)
            aim = aim / aim.sum(dim=1, keepdim=True)
        kept.append({"p": answers, "q": aim})
        for _ in range(12):
            optimizer.zero_grad()
            (-(aim * (x @ weight.T + bias).log_softmax(dim=1)).sum(dim=1).mean()).backward()
            optimizer.step()
    return kept


run = drift()

# %%
for epoch in (0, 5, 10, 15):
    print(epoch, [round(float(share), 3) for share in run[epoch]["p"].mean(dim=0)])

# %% [raw]
# # BEGIN SOLUTION

# %%
def beta_of(p, q):
    """Return the beta with which q ∝ p / f^beta was made."""
    # BEGIN SOLUTION
    ratio = (q.log() - p.log())[0]
    size = p.sum(dim=0).log()
    ratio, size = ratio - ratio.mean(), size - size.mean()
    return float(-(ratio @ size) / (size @ size))
    # END SOLUTION


betas = [beta_of(epoch["p"], epoch["q"]) for epoch in run]  # SOLUTION
first_bad = next(place for place, beta in enumerate(betas) if abs(beta - 0.5) > 0.01)  # SOLUTION
beta_used = betas[first_bad]  # SOLUTION

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: The beta of DEPICT's own target is one half.
""" # END TEST CONFIG
def test_half(beta_of, p):
    from dclib.methods.depict import balanced_target

    assert abs(beta_of(p, balanced_target(p)) - 0.5) < 1e-6

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: For other powers, the exact one or a negative one, beta_of is wrong.
""" # END TEST CONFIG
def test_other_powers(beta_of, p):
    for beta in (1.0, 0.0, -0.7):
        weight = p / p.sum(dim=0) ** beta
        assert abs(beta_of(p, weight / weight.sum(dim=1, keepdim=True)) - beta) < 1e-6

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: It began at another epoch, or with another beta. Mind the sign.
""" # END TEST CONFIG
def test_fault(first_bad, beta_used):
    assert first_bad == 9 and abs(beta_used + 0.35) < 1e-3

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
# ## Balance and the unbalanced
#
# **Question 4** · 5 points · 20 minutes · a figure and two sentences
#
# Take all zeros and a share $r$ of the ones, fours and sevens of the digits, for $r = 1, 0.3, 0.1$. Train DEPICT,
# $K = 4$, with `target="balanced"` and with `target="plain"`, five seeds each (`small` has a quick setting). Draw for each
# $r$ and target the share of the points that lies in the **largest** cluster, beside the share of zeros in the data.
# Then write **two sentences**: what does balance do to the zeros, and how would you notice it without labels, and when
# would you not? Write what **your own** figure shows, also where you expected something else.

# %%
small = {"hidden": (64,), "pretrain_epochs": 30, "start_epochs": 10, "epochs": 15, "lr": 3e-4, "batch_size": 64, "tol": 0}

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
rng, shares = np.random.default_rng(0), (1, 0.3, 0.1)
largest = {target: np.zeros((5, 3)) for target in ("balanced", "plain")}
zeros = []
for place, share in enumerate(shares):
    keep = (data.y == 0) | (np.isin(data.y, (1, 4, 7)) & (rng.random(len(data.y)) < share))
    zeros.append(np.mean(data.y[keep] == 0))
    for target, found in largest.items():
        for seed in range(5):
            labels = DEPICT(4, target=target, random_state=seed, verbose=0, **small).fit(data.x[keep]).labels_
            found[seed, place] = np.bincount(labels).max() / len(labels)
for target, found in largest.items():
    plt.errorbar(shares, found.mean(axis=0), found.std(axis=0, ddof=1), fmt="o-", capsize=3, label=target)
plt.plot(shares, zeros, "k--", label="zeros in the data")
plt.xscale("log"), plt.xlabel("share of ones, fours and sevens that is kept"), plt.ylabel("largest cluster"), plt.legend()
plt.show()
# END SOLUTION

# %% [markdown]
# Where the classes are equal the two targets differ little; where four points in five are zeros, the largest cluster of
# the plain target has nearly as many points as there are zeros, and that of the balanced target fewer on every seed, on
# some only half of them, so balance has split the zeros. Without labels I would compare the sizes of runs with and
# without balance from one start, since a border that moves with the target was placed by the target and not by the
# points; where the sizes agree, as they do for equal classes, the sign is silent.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [raw]
# # ASSIGNMENT CONFIG
# name: 03-dec
# config_file: otter.yml

# %% [markdown]
# # Assignment 3: DEC's target and its gradient
#
# **You will** build a target with two knobs, derive a gradient that the chapter leaves out and check it, write the
# step that DEC takes, find where a run went wrong, and measure how hard a target should push. **Read first** the
# chapter [DEC](book:autoencoders/dec). **Time** about 100 minutes; the notebook runs in a minute on two cores, without a network. **22
# points**, five of which your teacher gives.
#
# Replace every `...`. A cell `grader.check("q1")` runs the tests that you may see; others are run when you hand in.
# Hand in this notebook, saved.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from dclib import DEC, load
from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution
from dclib.metrics import clustering_accuracy, effective_clusters

data = load("digits")
torch.manual_seed(0)
z = torch.cat([torch.randn(120, 2), torch.randn(40, 2) + 2.5, torch.randn(40, 2) + torch.tensor([3.0, -2.0])])
mu = torch.tensor([[0.0, 0.0], [2.5, 2.5], [3.0, -2.0]])
q = soft_assignment(z, mu)  # (200, 3)

# %% [raw]
# # BEGIN QUESTION
# name: q1

# %% [markdown]
# ## A target with two knobs
#
# **Question 1** · 4 points · 15 minutes
#
# DEC squares $q$ and divides by the soft size of the cluster. Both choices can be turned:
#
# $$p_{ij} = \frac{q_{ij}^a / f_j^b}{\sum_{j'} q_{ij'}^a / f_{j'}^b}, \qquad f_j = \sum_i q_{ij} .$$
#
# Build it. For $a = 2$, $b = 1$ it is DEC's target, for $a = 1$, $b = 0$ it is $q$.

# %% [raw]
# # BEGIN SOLUTION

# %%
def knobs(q, a=2.0, b=1.0):
    """Return the target p (n, K) of the soft assignments q (n, K)."""
    # BEGIN SOLUTION
    f = q.sum(dim=0)
    weight = q.pow(a) / f.pow(b)
    return weight / weight.sum(dim=1, keepdim=True)
    # END SOLUTION


knobs(q)[:3]

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: With a = 1 and b = 0 the target is q itself.
""" # END TEST CONFIG
def test_nothing_turned(knobs, q):
    import torch

    torch.testing.assert_close(knobs(q, 1.0, 0.0), q)

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Look at one row of a small q and compute it with a pencil.
""" # END TEST CONFIG
def test_by_hand(knobs):
    import torch

    small = torch.tensor([[0.5, 0.5], [0.9, 0.1]])
    torch.testing.assert_close(knobs(small, 2.0, 1.0)[0], torch.tensor([0.3, 0.7]))

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: Something is wrong for other values of a and b, or the rows don't sum to one.
""" # END TEST CONFIG
def test_other_values(knobs):
    import torch

    generator = torch.Generator().manual_seed(3)
    q = torch.rand(7, 4, generator=generator, dtype=torch.float64).softmax(dim=1)
    for a, b in ((2.0, 1.0), (3.0, 0.5), (1.5, 2.0)):
        p = knobs(q, a, b)
        size = [sum(float(q[i, j]) for i in range(7)) for j in range(4)]
        row = [float(q[2, j]) ** a / size[j] ** b for j in range(4)]
        torch.testing.assert_close(p[2], torch.tensor(row, dtype=torch.float64) / sum(row))

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2

# %% [markdown]
# ## The gradient that the chapter leaves out
#
# **Question 2** · 4 points · 30 minutes
#
# The number of degrees of freedom $\alpha$ is fixed at 1 in DEC. Could it be learned? Then its gradient is needed. With
# $d_{ij} = \lVert z_i - \mu_j \rVert^2$ the logits are
#
# $$s_{ij} = - \frac{\alpha + 1}{2} \log\left(1 + \frac{d_{ij}}{\alpha}\right), \qquad
# n \frac{\partial L_C}{\partial s_{ij}} = q_{ij} - p_{ij} .$$
#
# Derive $\partial L_C / \partial \alpha$ for a fixed $P$ with a pencil, and write it in closed form: the tests run it
# where autograd does not work. Then compare it with autograd yourself.

# %% [raw]
# # BEGIN SOLUTION

# %%
def alpha_gradient(z, mu, p, alpha):
    """Return the derivative of KL(P‖Q), a mean over points, with respect to alpha; p is held fixed."""
    # BEGIN SOLUTION
    distance = (z[:, None] - mu).square().sum(dim=2)
    q = soft_assignment(z, mu, alpha)
    slope = (alpha + 1) / 2 * distance / (alpha**2 + alpha * distance) - torch.log1p(distance / alpha) / 2
    return ((q - p) * slope).sum(dim=1).mean()
    # END SOLUTION


alpha_gradient(z, mu, target_distribution(q), 1.0)

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Where P and Q agree there is nothing to gain, and the gradient is zero. With another P it is not.
""" # END TEST CONFIG
def test_zero_where_p_is_q(alpha_gradient, z, mu, q):
    from dclib.methods.dec import target_distribution

    assert abs(float(alpha_gradient(z, mu, q, 1.0))) < 1e-6
    assert abs(float(alpha_gradient(z, mu, target_distribution(q), 1.0))) > 1e-3

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: Autograd disagrees.
""" # END TEST CONFIG
def test_autograd(alpha_gradient):
    import torch
    from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution

    generator = torch.Generator().manual_seed(1)
    z = torch.randn(30, 3, generator=generator, dtype=torch.float64)
    mu = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    for value in (0.5, 1.0, 4.0):
        alpha = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        q = soft_assignment(z, mu, alpha)
        p = target_distribution(q).detach()
        kl_divergence(p, q).backward()
        found = torch.as_tensor(alpha_gradient(z, mu, p, value), dtype=torch.float64)
        torch.testing.assert_close(found, alpha.grad)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 1
failure_message: It is no closed form. It uses autograd, or a difference of two losses.
""" # END TEST CONFIG
def test_closed_form(alpha_gradient):
    import contextlib
    from unittest import mock

    import torch
    from dclib.methods.dec import soft_assignment, target_distribution

    generator = torch.Generator().manual_seed(6)
    z, mu = torch.randn(30, 3, generator=generator), torch.randn(4, 3, generator=generator)
    p = target_distribution(soft_assignment(z, mu))
    distance = torch.cdist(z, mu).square()
    slope = distance / (1 + distance) - torch.log1p(distance) / 2  # of the logits, for alpha = 1
    wanted = float(((soft_assignment(z, mu) - p) * slope).sum(dim=1).mean())
    blocked = ["autograd.grad", "autograd.backward", "Tensor.backward", "func.grad", "func.jacrev", "func.jacfwd", "func.jvp"]
    with contextlib.ExitStack() as stack:
        for name in blocked:
            stack.enter_context(mock.patch(f"torch.{name}", None))
        stack.enter_context(mock.patch.dict(alpha_gradient.__globals__, kl_divergence=None))
        found = float(alpha_gradient(z, mu, p, 1.0))
    assert abs(found - wanted) < 1e-5

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3

# %% [markdown]
# ## One step
#
# **Question 3** · 3 points · 10 minutes
#
# Write one step of DEC on codes alone, without a network: `codes` and `centroids` are leaf tensors that `optimizer`
# moves. Compute $Q$, its target and the loss, step, and return the loss, as it was before the step, as a number. It
# will be called again and again. `soft_assignment`, `target_distribution` and `kl_divergence` are the library's.

# %% [raw]
# # BEGIN SOLUTION

# %%
def dec_step(codes, centroids, optimizer):
    """Take one step on KL(P‖Q), and return the loss before the step."""
    # BEGIN SOLUTION
    q = soft_assignment(codes, centroids)
    p = target_distribution(q).detach()
    loss = kl_divergence(p, q)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    # END SOLUTION


codes, centroids = z.clone().requires_grad_(), mu.clone().requires_grad_()
optimizer = torch.optim.Adam([codes, centroids], 0.02)
[dec_step(codes, centroids, optimizer) for _ in range(5)]

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: After fifty steps the codes should have moved, and the assignments should be firmer.
""" # END TEST CONFIG
def test_it_moves(dec_step, z, mu):
    import torch
    from dclib.methods.dec import soft_assignment

    codes, centroids = z.clone().requires_grad_(), mu.clone().requires_grad_()
    before = soft_assignment(codes, centroids).max(dim=1).values.mean()
    optimizer = torch.optim.Adam([codes, centroids], 0.02)
    for _ in range(50):
        assert isinstance(dec_step(codes, centroids, optimizer), float)
    assert soft_assignment(codes, centroids).max(dim=1).values.mean() > before

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 1
failure_message: The first step is not the force of the chapter. What does the gradient flow through?
""" # END TEST CONFIG
def test_the_force(dec_step):
    import torch
    from dclib.methods.dec import soft_assignment, target_distribution

    generator = torch.Generator().manual_seed(2)
    codes = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    centroids = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    q = soft_assignment(codes, centroids)
    difference = codes[:, None] - centroids
    kernel = 1 / (1 + difference.square().sum(dim=2))
    force = 2 / 20 * ((kernel * (target_distribution(q) - q))[:, :, None] * difference).sum(dim=1)
    moved = codes.clone().requires_grad_()
    dec_step(moved, centroids.clone().requires_grad_(), torch.optim.SGD([moved], 1.0))
    torch.testing.assert_close(moved.detach(), codes - force)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 1
failure_message: The second step is not that of the second loss alone, or the losses returned are not those before the steps.
""" # END TEST CONFIG
def test_the_second_step(dec_step):
    import torch
    from dclib.methods.dec import kl_divergence, soft_assignment, target_distribution

    generator = torch.Generator().manual_seed(9)
    codes = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    centroids = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    mine = [codes.clone().requires_grad_(), centroids.clone().requires_grad_()]
    optimizer, rate = torch.optim.SGD(mine, 0.5), 0.5
    for _ in range(2):
        q = soft_assignment(codes, centroids)
        p = target_distribution(q)
        difference = codes[:, None] - centroids
        kernel = 1 / (1 + difference.square().sum(dim=2))
        force = 2 / 20 * (kernel * (p - q))[:, :, None] * difference
        assert abs(dec_step(*mine, optimizer) - float(kl_divergence(p, q))) < 1e-9
        codes, centroids = codes - rate * force.sum(dim=1), centroids + rate * force.sum(dim=0)
    torch.testing.assert_close(mine[0].detach(), codes)
    torch.testing.assert_close(mine[1].detach(), centroids)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q4

# %% [markdown]
# ## A run that went wrong on the way
#
# **Question 4** · 6 points · 25 minutes · find the fault
#
# The next cell trains, for twelve epochs, and keeps in `run` for each epoch the $q$ of all points and the $p$ that was
# used. The loss looks fine. But from some epoch on, $P$ is no longer DEC's target. It may be that from then on
#
# - **a** $P$ is that of the epoch before: it is not renewed;
# - **b** the soft sizes $f_j$ are left out;
# - **c** $f_j$ counts the points whose largest $q$ is at $j$, instead of adding up $q$;
# - **d** each row of $P$ is one-hot;
# - **e** $f_j$ is multiplied instead of divided.
#
# Find out with `run` alone. Write `departure(q, p)`, the largest absolute difference between `p` and DEC's target of
# `q`. Set `first_bad` to the first epoch, counted from 0, at which $P$ is wrong, and `fault` to the letter.

# %% tags=["sealed"]
def train_for_a_while():
    """Run DEC on codes; from epoch 7 on the sizes are those of hard assignments."""
    codes, centroids = z.clone().requires_grad_(), (mu + 0.3).clone().requires_grad_()
    optimizer, kept = torch.optim.Adam([codes, centroids], 0.02), []
    for epoch in range(12):
        with torch.no_grad():
            q_all = soft_assignment(codes, centroids)
            hard = torch.bincount(q_all.argmax(dim=1), minlength=3).to(q_all.dtype)
            p_all = target_distribution(q_all, hard if epoch >= 7 else None)
        kept.append({"q": q_all, "p": p_all, "loss": float(kl_divergence(p_all, q_all))})
        for _ in range(5):
            optimizer.zero_grad()
            kl_divergence(p_all, soft_assignment(codes, centroids)).backward()
            optimizer.step()
    return kept


run = train_for_a_while()

# %%
print([round(epoch["loss"], 4) for epoch in run])

# %% [raw]
# # BEGIN SOLUTION

# %%
def departure(q, p):
    """Return the largest absolute difference between p and DEC's target of q."""
    # BEGIN SOLUTION
    return float((p - target_distribution(q)).abs().max())
    # END SOLUTION


first_bad = next(epoch for epoch, kept in enumerate(run) if departure(**{k: kept[k] for k in "qp"}) > 1e-5)  # SOLUTION
fault = "c"  # SOLUTION

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: The departure of DEC's own target is zero, and of q itself it is not.
""" # END TEST CONFIG
def test_departure(departure, q):
    import torch
    from dclib.methods.dec import target_distribution

    p = target_distribution(q)
    assert departure(q, p) < 1e-6
    shifted = p.clone()
    shifted[5, 1] -= 0.25
    assert abs(departure(q, shifted) - 0.25) < 1e-5

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: The fault began at another epoch.
""" # END TEST CONFIG
def test_first_bad(first_bad):
    assert first_bad == 7

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: The fault is another one. Make each suspect's P yourself and compare.
""" # END TEST CONFIG
def test_fault(fault):
    assert str(fault).strip().lower() == "c"

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q5
# manual: true
# points: 5

# %% [markdown]
# ## How hard should a target push?
#
# **Question 5** · 5 points · 20 minutes · a figure and two sentences
#
# `Pushed` below is DEC with your knobs. On the digits, for $a = 1.5, 2, 3, 5$ and $b = 1$, and for $a = 2$ and $b = 0$,
# draw the accuracy **gained over the run's own start**, with the spread over at least three seeds, beside the
# effective number of clusters at the end. Then write **two sentences**: does pushing harder help, and what would you
# look at to choose $a$ and $b$ on data without labels, and what can that not tell you? Write what **your own** figure
# shows, also where you expected something else. (If your `knobs` does not work, leave `target`
# out of the class, which is $a = 2$, $b = 1$, and draw twice the seeds of that alone.)

# %%
class Pushed(DEC):
    """DEC with the target of question 1."""

    def __init__(self, n_clusters=10, *, a=2.0, b=1.0, **shared):
        super().__init__(n_clusters, **shared)
        self.a, self.b = a, b

    def target(self, q, size):
        """Return p (n, K): here q holds all points, so `knobs` finds the sizes itself."""
        return knobs(q, self.a, self.b)


small = {"hidden": (64,), "pretrain_epochs": 15, "batch_size": 128, "tol": 0, "verbose": 0}

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
settings = [(1.5, 1.0), (2.0, 1.0), (3.0, 1.0), (5.0, 1.0), (2.0, 0.0)]
gain, used = np.zeros((3, 5)), np.zeros((3, 5))
for seed in range(3):
    start = DEC(10, epochs=0, random_state=seed, **small).fit(data.x)
    for place, (a, b) in enumerate(settings):
        model = Pushed(10, a=a, b=b, epochs=15, random_state=seed, **small).fit(data.x)
        gain[seed, place] = clustering_accuracy(data.y, model.labels_) - clustering_accuracy(data.y, start.labels_)
        used[seed, place] = effective_clusters(model.labels_)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
for ax, values, name in zip(axes, (gain, used), ("ACC gained", "effective clusters"), strict=True):
    ax.errorbar(range(5), values.mean(axis=0), values.std(axis=0, ddof=1), fmt="o", capsize=3)
    ax.set_xticks(range(5), [f"a={a:g}\nb={b:g}" for a, b in settings]), ax.set_ylabel(name)
plt.show()
# END SOLUTION

# %% [markdown]
# All five settings gain about two points, and they differ by less than the spread over three seeds, so pushing harder
# does not help in a way that these runs could show. The effective number of clusters needs no label and does respond:
# it falls as $a$ grows, and again where the division by size is left out, so I would keep $b = 1$ and an $a$ that leaves
# the sizes alone, although sizes cannot tell me whether the classes are equally large, or the clusters the classes.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

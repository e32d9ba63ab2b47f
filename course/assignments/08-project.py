# %% [raw]
# # ASSIGNMENT CONFIG
# name: 08-project
# config_file: otter.yml

# %% [markdown]
# # Assignment 8: a project on your own data
#
# **You will** bring data of your own, write down what you will do before you do it, test whether a pipeline has seen
# the labels, and report what you found, as it is. **Read first** any three chapters on methods, and [Metrics](book:foundations/metrics).
# **Time** four hours, in several sittings. **24 points**, eleven of which your teacher gives, by the rubric that the
# guide for teachers has and you may see.
#
# Everything here runs on a stand-in, 178 bottles of wine that come with scikit-learn, so that you can begin without
# data: too few to teach a network much, which is one more thing to find out about your own. Replace every `...`. A cell `grader.check("q1")` runs the tests that you may see; others are run when you hand
# in.
#
# The notebook must run in five minutes on two cores, without a network and on a machine that has not your files: keep
# at most 2,000 points, drawn at random if you have more, and put them **into the notebook** or beside it as one `.npz`
# file that you hand in with it.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_wine
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from dclib import DEC
from dclib.metrics import clustering_accuracy, nmi

# %% [raw]
# # BEGIN QUESTION
# name: q1

# %% [markdown]
# ## Data
#
# **Question 1** · 3 points · 60 minutes
#
# `mine()` returns `(x, y)`. `x` is a float array (n, D), with at least 150 different points and at most 2,000, at least
# four features, nothing missing, and no feature that never varies. `y` has something that is known about each point and that no
# method will see; at least two values, none in fewer than five points. Where did the data come from, and who may use
# them? Say so in a comment.

# %% [raw]
# # BEGIN SOLUTION

# %%
def mine():
    """Return the points x (n, D) and what is known about them, y (n,)."""
    # BEGIN SOLUTION
    # UCI wine data (Aeberhard and Forina, 1991), CC BY 4.0: chemical analyses of wines from three cultivars.
    wine = load_wine()
    return wine.data.astype(float), wine.target
    # END SOLUTION


x, y = mine()

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: x is not a float array (n, D) with n from 150 to 2,000 and D of at least four, or y does not fit it.
""" # END TEST CONFIG
def test_shape(mine):
    import numpy as np

    x, y = mine()
    assert isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.ndim == 2
    assert 150 <= len(x) == len(y) <= 2000 and x.shape[1] >= 4

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Something is missing, infinite or the same for all points, or there are not 150 different points.
""" # END TEST CONFIG
def test_clean(mine):
    import numpy as np

    x, _ = mine()
    assert np.isfinite(x).all() and (x.std(axis=0) > 0).all()
    assert len(np.unique(x, axis=0)) >= 150

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 1
failure_message: y has one value only, or one with fewer than five points; or mine() differs from call to call.
""" # END TEST CONFIG
def test_known(mine):
    import numpy as np

    (x, y), (again, _) = mine(), mine()
    _, counts = np.unique(y, return_counts=True)
    assert len(counts) >= 2 and counts.min() >= 5 and np.array_equal(x, again)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2

# %% [markdown]
# ## First the protocol, then the runs
#
# **Question 2** · 4 points · 45 minutes
#
# Write `protocol` **before** you run anything: a dictionary with
#
# - `"n_clusters"`: K and where it is from, as a pair. Either it is **given** by what the clusters are for:
#   `(K, "given: …")`, such as four leaflets to be printed; or it is **estimated** from the points:
#   `(K, estimate)`, with a function `x → K`. Counting the values of `y` is neither;
# - `"seeds"`: at least five;
# - `"methods"`: from names to functions `(x, seed) → labels`. One is `"k-means"`;
# - `"deep"`: the name of a method among them that trains a network, in PyTorch: the book's, or your own. The same seed
#   has to give the same labels;
# - `"score"`: a function `(y, labels) → number`, used once, at the end;
# - `"claim"`: the sentence that you expect to be true, and what result would prove it wrong.
#
# Put it together from parts of your own, above. `run(protocol, x)` returns, for each name, an array of labels (seeds,
# n). It does not take `y`. (Does the claim compare runs of one seed? Then say what they share.)

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
def silhouettes(x):
    z = StandardScaler().fit_transform(x)
    return {k: silhouette_score(z, KMeans(k, n_init=10, random_state=0).fit_predict(z)) for k in range(2, 9)}


def estimate(x):
    found = silhouettes(x)
    return max(found, key=found.get)


K = estimate(x)


def scaled_kmeans(x, seed):
    return KMeans(K, n_init=10, random_state=seed).fit_predict(StandardScaler().fit_transform(x))


def scaled_dec(x, seed):
    model = DEC(K, hidden=(32,), latent_dim=4, pretrain_epochs=40, epochs=20, batch_size=32, random_state=seed, verbose=0)
    return model.fit_predict(StandardScaler().fit_transform(x))


plan = {
    "n_clusters": (K, estimate),
    "seeds": range(5),
    "methods": {"k-means": scaled_kmeans, "DEC": scaled_dec},
    "deep": "DEC",
    "score": nmi,
    "claim": "DEC beats k-means on scaled features by NMI; wrong if its mean over the five seeds is not higher",
}
# END SOLUTION
protocol = plan  # SOLUTION


def run(protocol, x):
    """Return, for the name of each method, the labels (seeds, n) that it found."""
    # BEGIN SOLUTION
    methods = protocol["methods"].items()
    return {name: np.array([fit(x, seed) for seed in protocol["seeds"]]) for name, fit in methods}
    # END SOLUTION


found = run(protocol, x)

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: The protocol lacks something, has fewer than five seeds or two methods, or K is neither given nor estimated.
""" # END TEST CONFIG
def test_protocol(protocol, x):
    n_clusters, source = protocol["n_clusters"]
    if callable(source):
        assert source(x.copy()) == n_clusters
    else:
        assert source.startswith("given: ") and len(source.split()) >= 6
    assert int(n_clusters) >= 2 and len(protocol["claim"].split()) >= 10
    assert len(set(protocol["seeds"])) >= 5 and callable(protocol["score"])
    assert {"k-means", protocol["deep"]} <= protocol["methods"].keys() and protocol["deep"] != "k-means"

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: found does not have the labels (seeds, n) of every method.
""" # END TEST CONFIG
def test_found(found, protocol, x):
    import numpy as np

    assert found.keys() == protocol["methods"].keys()
    assert all(np.shape(labels) == (len(set(protocol["seeds"])), len(x)) for labels in found.values())

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: The deep method trains no PyTorch network, or puts all points into one cluster, or differs from run to run.
""" # END TEST CONFIG
def test_deep(protocol, found, x):
    import numpy as np
    from torch.optim.optimizer import register_optimizer_step_post_hook

    name, steps = protocol["deep"], []
    seed = next(iter(protocol["seeds"]))
    hook = register_optimizer_step_post_hook(lambda *_: steps.append(1))
    try:
        labels = np.asarray(protocol["methods"][name](x.copy(), seed))
    finally:
        hook.remove()
    assert len(steps) >= 20, "steps of an optimizer of PyTorch"
    assert labels.shape == (len(x),) and len(np.unique(labels)) >= 2
    assert np.array_equal(labels, found[name][0])

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 1
failure_message: run does not do what another protocol says.
""" # END TEST CONFIG
def test_another_protocol(run):
    import numpy as np

    points = np.arange(12.0).reshape(6, 2)
    other = {"seeds": [3, 1], "methods": {"a": lambda x, seed: np.full(len(x), seed), "b": lambda x, seed: x[:, 0] > 3}}
    found = run(other, points)
    assert np.array_equal(found["a"], [[3] * 6, [1] * 6]) and np.array_equal(found["b"][1], points[:, 0] > 3)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3

# %% [markdown]
# ## Who has seen the labels?
#
# **Question 3** · 6 points · 45 minutes · find the fault
#
# `pipelines` holds four pipelines of colleagues. Each takes `(x, y, seed)` and returns labels; each says that it needs
# `y` only to report a score. Some use it. What a pipeline finds must not change when `y` does.
#
# Write `leaks(pipeline, x, y)`: does the pipeline's answer depend on `y`? A pipeline may draw random numbers, but only
# from its seed. Some use `y` in such a small way that one other `y` may not show it. Set `leaky` to the set of the
# names of the pipelines that leak on the bottles of wine.

# %% tags=["sealed"]
def honest(x, y, seed):
    """Scale the columns, then k-means."""
    return KMeans(3, n_init=3, random_state=seed).fit_predict((x - x.mean(axis=0)) / x.std(axis=0))


def centred(x, y, seed):
    """Move each class a little away from the mean of all before k-means."""
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    for c in np.unique(y):
        z[y == c] += 0.3 * z[y == c].mean(axis=0)
    return KMeans(3, n_init=3, random_state=seed).fit_predict(z)


def picked(x, y, seed):
    """Draw five halves of the columns, and keep the one whose clusters are the most accurate."""
    rng, z = np.random.default_rng(seed), (x - x.mean(axis=0)) / x.std(axis=0)
    halves = [rng.choice(x.shape[1], x.shape[1] // 2, replace=False) for _ in range(5)]
    tries = [KMeans(3, n_init=3, random_state=seed).fit_predict(z[:, half]) for half in halves]
    return max(tries, key=lambda labels: clustering_accuracy(y, labels))


def renamed(x, y, seed):
    """Look at the number of points of y, and nothing else of it."""
    return KMeans(3, n_init=3, random_state=seed + len(y)).fit_predict(x)


pipelines = {"A": picked, "B": honest, "C": renamed, "D": centred}

# %%
bottles, growers = load_wine(return_X_y=True)
for name, pipeline in pipelines.items():
    print(name, round(clustering_accuracy(growers, pipeline(bottles, growers, 0)), 3))

# %% [raw]
# # BEGIN SOLUTION

# %%
def leaks(pipeline, x, y):
    """Return whether what the pipeline finds depends on y."""
    # BEGIN SOLUTION
    for seed in range(3):
        answer = pipeline(x.copy(), y.copy(), seed)
        for other in range(8):
            shuffled = np.random.default_rng(other).permutation(y)
            if not np.array_equal(answer, pipeline(x.copy(), shuffled, seed)):
                return True
    return False
    # END SOLUTION


leaky = {name for name, pipeline in pipelines.items() if leaks(pipeline, bottles, growers)}  # SOLUTION
leaky

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: A pipeline that returns y leaks, and one that rounds the first feature does not.
""" # END TEST CONFIG
def test_plain_cases(leaks):
    import numpy as np

    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 3
    assert leaks(lambda x, y, seed: y, x, y) and not leaks(lambda x, y, seed: x[:, 0] > 0, x, y)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: A pipeline that draws from its seed does not leak; one that chooses between two answers by y does.
""" # END TEST CONFIG
def test_harder_cases(leaks):
    import numpy as np

    x, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3

    def draws(x, y, seed):
        return np.random.default_rng(seed).integers(0, 3, len(x))

    def chooses(x, y, seed):
        return draws(x, y, seed) if np.mean(draws(x, y, seed) == y) > 0.33 else draws(x, y, seed + 1)

    assert not leaks(draws, x, y) and leaks(chooses, x, y)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: The pipelines that leak are others.
""" # END TEST CONFIG
def test_leaky(leaky):
    assert set(leaky) == {"A", "D"}

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
# ## What came out
#
# **Question 4** · 5 points · 30 minutes · a figure and two sentences
#
# Now use `y`, once. Draw the score of every run of every method as a point; join runs only where they share more than
# the number of their seed, such as a first phase. Then write **two sentences**: does the claim of your protocol stand,
# and what is the simplest thing that would explain the result? Write what **your own** figure shows, also where you
# expected something else. (If your `run` does not work, call your methods one by one.)

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
scores = {name: [protocol["score"](y, labels) for labels in runs] for name, runs in found.items()}
plt.plot(list(scores), np.array(list(scores.values())), "o", alpha=0.6)
plt.margins(x=0.5), plt.ylabel("NMI, a point a run")
plt.show()
print({name: (round(np.mean(some), 2), round(np.std(some, ddof=1), 2)) for name, some in scores.items()})
print("silhouettes", {k: round(float(value), 2) for k, value in silhouettes(x).items()})
unscaled, proline = KMeans(K, n_init=10, random_state=0), KMeans(K, n_init=10, random_state=0)
print("unscaled and proline alone agree to", round(nmi(unscaled.fit_predict(x), proline.fit_predict(x[:, -1:])), 2))
columns = np.random.default_rng(0).permuted(x, axis=0)
print("silhouette of columns permuted apart", round(float(silhouettes(columns)[K]), 2))
# END SOLUTION

# %% [markdown]
# The claim falls: the mean of DEC, 0.77, is not above that of k-means, 0.88, and no run of DEC reaches it. The simplest
# explanation is that the classes of these bottles are nearly round once the features are scaled, so that there is
# nothing for a network to straighten, and only 178 points to learn it from.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q5
# manual: true
# points: 6

# %% [markdown]
# ## Report
#
# **Question 5** · 6 points · 60 minutes
#
# On one page, for somebody who owns the data and knows no clustering: what was asked, what was done, what was found,
# how sure it is, and **what you tried that did not work**. Name each number's run. Say what would have made you drop
# the project.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# *What was asked.* Do chemical analyses alone fall into groups, and are the groups the three cultivars? *What was
# done.* The thirteen features were scaled to the same spread. The number of groups is the one with the best silhouette
# of k-means: three. k-means and DEC, a method with a network, were then run from seeds 0 to 4, with the settings that
# question 2 has, and compared with the cultivars once. *What was found.* Both find the cultivars almost. On a scale where
# 1 is full agreement, the five runs of k-means have 0.88 each and those of DEC 0.77 on average (question 4, the two
# columns of points). *How sure.* No run of DEC reaches k-means; that holds for these bottles and says nothing about
# other cellars. *What did not work.* Without scaling one feature, proline, decides nearly everything (question 4, the
# second line printed). I would have dropped the project if groups of bottles whose features had been shuffled apart had
# been as distinct; they are not (the last line).

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

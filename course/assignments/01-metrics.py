# %% [raw]
# # ASSIGNMENT CONFIG
# name: 01-metrics
# config_file: otter.yml

# %% [markdown]
# # Assignment 1: scores you can trust
#
# **You will** build a score that does not forget small classes, say how sure a difference between two methods is, find
# out what a colleague really computed, and show in one figure which score is blind. **Read first** the chapter
# [Metrics](book:foundations/metrics). **Time** about 80 minutes; the notebook runs in half a minute on two cores, without a network. **20
# points**, five of which your teacher gives.
#
# Replace every `...`. A cell `grader.check("q1")` runs the tests that you may see; others are run when you hand in.
# Hand in this notebook, saved.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

from dclib import load
from dclib.metrics import clustering_accuracy, contingency, match_labels, nmi, purity

data = load("digits")
x, y = data.x, data.y
labels = KMeans(10, n_init=10, random_state=0).fit_predict(x)
print("ACC", round(clustering_accuracy(y, labels), 3))

# %% [raw]
# # BEGIN QUESTION
# name: q1

# %% [markdown]
# ## Every class counts the same
#
# **Question 1** · 4 points · 15 minutes
#
# ACC counts points. Where one class has a hundredth of the points, a method may lose it whole and ACC falls by a
# hundredth. The *balanced* accuracy counts classes: the share of right points **in each class**, averaged over the
# classes. As in ACC, clusters are named by a one-to-one map, and the map is the best one **for this score**. A class
# without a cluster has none right.
#
# Build it from the table of counts. `contingency(y, labels)[0]` has a row for each class and a column for each cluster.

# %% [raw]
# # BEGIN SOLUTION

# %%
def balanced_accuracy(y, labels):
    """Return the mean over classes of the share of its points that the best one-to-one map gets right."""
    # BEGIN SOLUTION
    counts = contingency(y, labels)[0]
    shares = counts / counts.sum(axis=1, keepdims=True)
    rows, columns = linear_sum_assignment(shares, maximize=True)
    return shares[rows, columns].sum() / len(counts)
    # END SOLUTION


print("balanced", balanced_accuracy(y, labels))

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Nine cats in cluster 0 and one owl in cluster 1 are a perfect clustering, whatever clusters are called.
""" # END TEST CONFIG
def test_names_do_not_matter(balanced_accuracy):
    import numpy as np

    truth = np.array([0] * 9 + [1])
    assert np.isclose(balanced_accuracy(truth, 1 - truth), 1)

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Nine cats and one owl, all in one cluster. One class of two is right.
""" # END TEST CONFIG
def test_a_lost_class_costs_its_full_share(balanced_accuracy):
    import numpy as np

    truth = np.array([0] * 9 + [1])
    assert np.isclose(balanced_accuracy(truth, np.zeros(10, dtype=int)), 0.5)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: The map has to be one-to-one, and the best for this score.
""" # END TEST CONFIG
def test_one_to_one_and_best(balanced_accuracy):
    import itertools

    import numpy as np

    truth = np.repeat([0, 1], [100, 10])  # here the best map for points is not the best for classes
    found = np.repeat([0, 1, 0, 1], [60, 40, 9, 1])
    assert np.isclose(balanced_accuracy(truth, found), (0.4 + 0.9) / 2)
    rng = np.random.default_rng(5)
    for n_clusters in (2, 3, 5):
        truth = rng.choice(3, 60, p=[0.8, 0.15, 0.05])
        truth[:3] = 0, 1, 2
        found = np.where(rng.random(60) < 0.5, truth, rng.integers(0, n_clusters, 60))
        found[:n_clusters] = np.arange(n_clusters)
        n_clusters = found.max() + 1
        size = max(3, n_clusters)
        share = np.zeros((size, size))
        for i in range(3):
            for j in range(n_clusters):
                share[i, j] = np.mean(found[truth == i] == j)
        best = max(sum(share[i, p[i]] for i in range(3)) for p in itertools.permutations(range(size))) / 3
        assert np.isclose(balanced_accuracy(truth, found), best)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2

# %% [markdown]
# ## Is B better than A on these points?
#
# **Question 2** · 4 points · 20 minutes
#
# Two methods have labelled **the same** points. How much of their difference is due to these points, and not others,
# having been drawn? Answer by the *bootstrap*: draw $n$ points with replacement, take the difference of the two
# accuracies on what was drawn, and do so many times. The interval runs from the 2.5th to the 97.5th percentile of the
# differences.
#
# Clusters keep the names that `match_labels` gave them on all points, so what is drawn is whether a point is right:
# `right_a` and `right_b` are vectors of booleans. Both methods must see the same draw. Why would the interval be too
# wide otherwise?

# %% [raw]
# # BEGIN SOLUTION

# %%
def difference_interval(right_a, right_b, draws=2000, seed=0):
    """Return the 2.5th and the 97.5th percentile of the bootstrapped accuracy of b minus that of a."""
    # BEGIN SOLUTION
    gain = np.asarray(right_b, dtype=float) - np.asarray(right_a, dtype=float)
    index = np.random.default_rng(seed).integers(0, len(gain), (draws, len(gain)))
    return tuple(np.percentile(gain[index].mean(axis=1), [2.5, 97.5]))
    # END SOLUTION


right_a = match_labels(y, labels) == y
right_b = match_labels(y, KMeans(10, n_init=10, random_state=0).fit_predict(np.sqrt(x))) == y
print(right_b.mean() - right_a.mean(), difference_interval(right_a, right_b))

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: Two methods that are right on the same points never differ, in no draw.
""" # END TEST CONFIG
def test_equal_methods_do_not_differ(difference_interval):
    import numpy as np

    right = np.arange(100) % 3 > 0
    assert np.allclose(difference_interval(right, right), (0, 0))

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: The interval is not as wide as that of paired differences, or not in the right place.
""" # END TEST CONFIG
def test_width_is_that_of_pairs(difference_interval):
    import numpy as np

    rng = np.random.default_rng(3)
    a = rng.random(4000) < 0.7
    b = np.where(rng.random(4000) < 0.05, True, a)
    low, high = difference_interval(a, b)
    gain = b.astype(float) - a
    half = 1.96 * gain.std() / np.sqrt(4000)
    assert abs(low - (gain.mean() - half)) < half / 4 and abs(high - (gain.mean() + half)) < half / 4

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3

# %% [markdown]
# ## A number that cannot be
#
# **Question 3** · 7 points · 25 minutes · find the fault
#
# A colleague evaluates **your** labels with her own script and reports another accuracy. She says it is ACC, "the usual
# one". It is not. The next cell runs her script four times, and `reports` has for each run what went in and what came
# out, as `(y, labels, number)`: your labels in the order of the data; the same points shuffled; the same points sorted
# by class; and the first 500 alone. She may have
#
# - **a** let two clusters have the same class, which is purity;
# - **b** fitted the map of clusters to classes anew in every stretch of so many points, in the order of the data (the
#   last stretch may be shorter), and averaged over the stretches;
# - **c** left out the points of the smallest class;
# - **d** reported NMI under the name of ACC;
# - **e** fitted the map on the first half of the points and used it for all.
#
# Write `reproduce(y, labels)` so that it returns **her** number, to ten decimals, for these and for other labels. Then
# set `fault` to a letter and `honest` to the accuracy that she should have reported for your labels, all of them in
# the order of the data.

# %% tags=["sealed"]
def her_runs():
    """Return four runs of the colleague's script, which fits the map anew in each stretch of 60 points."""
    everything = np.arange(len(y))
    shuffled, by_class = np.random.default_rng(0).permutation(everything), np.argsort(y, kind="stable")
    kept = []
    for places in (everything, shuffled, by_class, everything[:500]):
        parts = [places[start : start + 60] for start in range(0, len(places), 60)]
        number = float(np.mean([clustering_accuracy(y[part], labels[part]) for part in parts]))
        kept.append((y[places], labels[places], number))
    return kept


reports = her_runs()

# %%
for her_y, her_labels, number in reports:
    print(len(her_y), "points: she reports", number, "and ACC is", clustering_accuracy(her_y, her_labels))

# %% [raw]
# # BEGIN SOLUTION

# %%
def reproduce(y, labels):
    """Return the colleague's score."""
    # BEGIN SOLUTION
    stretches = np.array_split(np.arange(len(y)), range(60, len(y), 60))
    return np.mean([clustering_accuracy(y[part], labels[part]) for part in stretches])
    # END SOLUTION


fault = "b"  # SOLUTION
honest = clustering_accuracy(y, labels)  # SOLUTION

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: honest is the accuracy of your labels on all points.
""" # END TEST CONFIG
def test_honest(honest, y, labels):
    import numpy as np
    from dclib.metrics import clustering_accuracy

    assert np.isclose(honest, clustering_accuracy(y, labels))

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: reproduce(y, labels) is not the number that she reports, for one of the four.
""" # END TEST CONFIG
def test_the_numbers_are_hers(reproduce, reports):
    assert all(abs(reproduce(y, labels) - number) < 1e-10 for y, labels, number in reports)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 3
failure_message: On other labels reproduce is not what her script gives.
""" # END TEST CONFIG
def test_the_number_is_hers_on_other_labels(reproduce):
    import numpy as np
    from dclib.metrics import clustering_accuracy

    rng = np.random.default_rng(1)
    for n in (1000, 600):
        truth = rng.integers(0, 10, n)
        found = rng.permutation(10)[np.where(np.arange(n) % 4, truth, truth[::-1])]
        parts = [slice(start, start + 60) for start in range(0, n, 60)]
        wanted = np.mean([clustering_accuracy(truth[part], found[part]) for part in parts])
        assert abs(reproduce(truth, found) - wanted) < 1e-10

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: The fault is another one.
""" # END TEST CONFIG
def test_fault(fault):
    assert str(fault).strip().lower() == "b"

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
# ## Which score goes blind?
#
# **Question 4** · 5 points · 20 minutes · a figure and two sentences
#
# Thin out the eights: keep a share $r$ of them, drawn at random, for at least five values of $r$ from 1 down to 0.05,
# which are nine eights. Cluster what is left with k-means, $K = 10$ and twenty restarts, and draw ACC, balanced accuracy
# and NMI against $r$, with a spread over at least five draws. Then write **two sentences**: which score shows that the eights are lost,
# and which one would you put into a table beside ACC, and why? Write what **your own** figure shows, also where you
# expected something else. (If your `balanced_accuracy` does not work, use `balanced_accuracy_score(y,
# match_labels(y, labels))` with scikit-learn's score: its map is that of ACC.)

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
shares = [1, 0.5, 0.2, 0.1, 0.05]
scores = {"ACC": clustering_accuracy, "balanced": balanced_accuracy, "NMI": nmi}
curves = {name: np.zeros((5, len(shares))) for name in scores}
for seed in range(5):
    rng = np.random.default_rng(seed)
    for place, share in enumerate(shares):
        keep = y != 8
        keep[rng.choice(np.flatnonzero(y == 8), round(share * np.sum(y == 8)), replace=False)] = True
        found = KMeans(10, n_init=20, random_state=seed).fit_predict(x[keep])
        for name, score in scores.items():
            curves[name][seed, place] = score(y[keep], found)
for name, values in curves.items():
    plt.errorbar(shares, values.mean(axis=0), values.std(axis=0, ddof=1), label=name, capsize=3)
plt.xscale("log"), plt.xlabel("share of the eights that is kept"), plt.ylabel("score"), plt.legend()
plt.show()
# END SOLUTION

# %% [markdown]
# As the eights go, ACC and NMI rise by five points, since they weigh points and a hard class has gone, while the
# balanced accuracy, which weighs classes, falls by some two points on average, and its spread grows: in some draws half
# of the few eights are still right, in others none is. Beside ACC I would put the balanced accuracy, because it alone
# of the three can tell a reader of the table that a class is missing, with its spread, since nine eights decide a tenth
# of it.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

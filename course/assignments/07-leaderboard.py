# %% [raw]
# # ASSIGNMENT CONFIG
# name: 07-leaderboard
# config_file: otter.yml

# %% [markdown]
# # Assignment 7: reading a leaderboard
#
# **You will** say how sure the first place of a table is, list what makes two of its rows incomparable, audit a folder
# of runs in which somebody has helped himself, and write down one claim that the book's records carry and one that
# they don't. **Read first** the chapter [The leaderboard](book:open_problems/leaderboard). **Time** about 95 minutes; the notebook trains nothing and
# runs in seconds, without a network. **21 points**, five of which your teacher gives.
#
# Replace every `...`. A cell `grader.check("q1")` runs the tests that you may see; others are run when you hand in.
# Hand in this notebook, saved.

# %%
import matplotlib.pyplot as plt
import numpy as np

from dclib import load
from dclib.leaderboard import board
from dclib.results import records


def plain(method):
    """Return the five runs of the paper's method, without additions."""
    found = records(data="mnist-10k", method=method)
    return [run for run in found if run["variant"] == "augment=None"] or [run for run in found if not run["variant"]]


runs = {method: plain(method) for method in ("k-means", "gmm", "autoencoder-kmeans", "dec", "idec", "dcn")}
scores = {method: [run["acc"] for run in some] for method, some in runs.items()}
for method, some in scores.items():
    print(f"{method:20}", np.round(some, 3))

# %% [raw]
# # BEGIN QUESTION
# name: q1

# %% [markdown]
# ## Who is first?
#
# **Question 1** · 5 points · 25 minutes
#
# A table has a first row. Would it still be first with other seeds? Draw five seeds from the five with replacement,
# **the same for all rows**; average; note who is first. In how many of the draws is it each row? One draw for all
# matters where rows share something, seed by seed: autoencoder + k-means, DEC, IDEC and DCN have the same first phase.
# k-means and the Gaussian mixture share nothing with the others but the number, and there it does no harm.
#
# `chance_first(scores, draws, seed)` takes a dictionary from names to equally long lists of scores, in the order of the
# seeds, and returns a dictionary from names to shares. If several rows are first, they share the draw equally.

# %% [raw]
# # BEGIN SOLUTION

# %%
def chance_first(scores, draws=4000, seed=0):
    """Return, for each row, the share of the draws of seeds in which its mean is the highest."""
    # BEGIN SOLUTION
    table = np.array(list(scores.values()))  # rows × seeds
    index = np.random.default_rng(seed).integers(0, table.shape[1], (draws, table.shape[1]))
    means = table[:, index].mean(axis=2)  # rows × draws
    first = means >= means.max(axis=0) - 1e-12
    return dict(zip(scores, (first / first.sum(axis=0)).mean(axis=1).tolist(), strict=True))
    # END SOLUTION


chance_first(scores)

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: A row that is better on every seed is first in every draw, and two equal rows share.
""" # END TEST CONFIG
def test_clear_cases(chance_first):
    import numpy as np

    found = chance_first({"low": [0.1, 0.2, 0.3], "high": [0.5, 0.6, 0.4]})
    assert np.isclose(found["high"], 1) and np.isclose(found["low"], 0)
    assert np.isclose(chance_first({"a": [0.1, 0.2], "b": [0.1, 0.2]})["a"], 0.5)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: A row that leads by a hair on every seed is always first, however far the seeds stray.
""" # END TEST CONFIG
def test_pairs(chance_first):
    import numpy as np

    base = np.array([0.5, 0.9, 0.6, 0.8, 0.7])
    assert np.isclose(chance_first({"a": base.tolist(), "b": (base + 0.001).tolist()})["b"], 1)

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: For two seeds the shares can be counted - one row wins three draws of four, or one of four.
""" # END TEST CONFIG
def test_counted(chance_first):
    import numpy as np

    found = chance_first({"a": [0.9, 0.3], "b": [0.5, 0.5]}, draws=20000)
    assert np.isclose(found["a"], 0.75, atol=0.02) and np.isclose(sum(found.values()), 1)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2

# %% [markdown]
# ## Like for like
#
# **Question 2** · 4 points · 20 minutes
#
# `board()` has every row of the leaderboard, published and ours, as a dictionary. Two rows are not alike if they differ
# in the data set, in the number of points, in what was added to the paper's method, in pretraining on other data, or
# in whether labels had a say (`chosen` is not `None`). `differences(a, b)` returns the set of those of the words `"data"`,
# `"n"`, `"added"`, `"pretraining"`, `"chosen"` that apply; what was added counts as a set, whatever its order.
#
# `nearest(row, rows)` returns, of all **published** rows (`whose` is `"published"`) of the same method, the one with the
# fewest differences; the first of several; `None` if there is none.

# %% [raw]
# # BEGIN SOLUTION

# %%
def differences(a, b):
    """Return the set of the reasons for which two rows of the board are not alike."""
    # BEGIN SOLUTION
    found = {key for key in ("data", "n", "pretraining") if a[key] != b[key]}
    if set(a["added"]) != set(b["added"]):
        found.add("added")
    if (a["chosen"] is None) != (b["chosen"] is None):
        found.add("chosen")
    return found
    # END SOLUTION


def nearest(row, rows):
    """Return the published row of the same method that differs from `row` in the fewest ways, or None."""
    # BEGIN SOLUTION
    same = [other for other in rows if other["whose"] == "published" and other["method"] == row["method"]]
    return min(same, key=lambda other: len(differences(row, other)), default=None)
    # END SOLUTION


ours = next(row for row in board() if row["name"] == "IDEC + augmentation" and row["data"] == "mnist-10k")
theirs = nearest(ours, board())
if theirs is not None and theirs is not ...:
    print(ours["name"], ours["acc"], "beside", theirs["acc"], "differ in", differences(ours, theirs))

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: A row is like itself, and unlike one on other data with an addition.
""" # END TEST CONFIG
def test_simple(differences):
    a = {"data": "mnist", "n": 70000, "added": [], "pretraining": "none", "chosen": None}
    assert differences(a, dict(a)) == set()
    assert differences(a, a | {"data": "usps", "n": 9298, "added": ["augmentation"]}) == {"data", "n", "added"}

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 1
failure_message: The order of what was added does not matter, and how labels were used does not either, only whether.
""" # END TEST CONFIG
def test_sets_and_labels(differences):
    a = {"data": "mnist", "n": 5, "added": ["x", "y"], "pretraining": "none", "chosen": "epoch by accuracy"}
    assert differences(a, a | {"added": ["y", "x"], "chosen": "setting by accuracy"}) == set()
    assert differences(a, a | {"chosen": None, "pretraining": "ImageNet"}) == {"chosen", "pretraining"}

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: nearest takes a row of another method, one of ours or a re-run, or not the most similar.
""" # END TEST CONFIG
def test_nearest(nearest):
    base = {"data": "mnist", "n": 9, "added": [], "pretraining": "none", "chosen": None, "method": "dec", "whose": "published"}
    far = base | {"data": "usps", "n": 8}
    wrong = [base | {"method": "dcn"}, base | {"whose": "ours"}, base | {"whose": "re-run"}]
    close = base | {"n": 8}
    assert nearest(base, [*wrong, far, close]) is close
    assert nearest(base, wrong) is None

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3

# %% [markdown]
# ## Somebody has helped himself
#
# **Question 3** · 7 points · 30 minutes · find the fault
#
# The next cell takes the records of five methods on the 10,000 digits and spoils four of them, each in its own way.
# `spoiled` maps the method to its records. The four ways are
#
# - `"missing"`: a seed of 0, …, 4 is not there;
# - `"copied"`: two seeds have the same run: the same accuracy, NMI and sizes of clusters;
# - `"mislabelled"`: the variant says `augment=None`, and the parameters say otherwise;
# - `"impossible"`: the accuracy is higher than any clustering with these sizes of clusters could reach.
#
# For the last, sort the sizes of the clusters and of the classes: at most $\sum_k \min(s_{(k)}, d_{(k)})$ points can be
# right under a one-to-one map. `audit(group)` returns the set of those of the four words that apply to a list of
# records. Set `suspects` to a dictionary from the four methods to their word.

# %%
class_sizes = np.bincount(load("mnist-10k").y)

# %% tags=["sealed"]
def spoil():
    """Return records of five methods, four of them spoiled."""
    import copy

    kept = copy.deepcopy(runs)
    del kept["k-means"]
    del kept["gmm"][3]
    kept["dec"][4] |= {key: kept["dec"][1][key] for key in ("acc", "nmi", "ari", "cluster_sizes")}
    run = max(kept["dcn"], key=lambda run: run["acc"])
    run["cluster_sizes"] = [2900, 1400, 1100, 1000, 950, 900, 850, 800, 95, 5]
    run["acc"] = 0.93
    for run in kept["idec"]:
        run["variant"] = "augment=None"
    kept["idec"][2]["parameters"] = kept["idec"][2]["parameters"] | {"augment": "RandomAffine(shape=(28, 28))"}
    return kept


spoiled = spoil()

# %%
for method, group in spoiled.items():
    print(f"{method:20}", np.round([run["acc"] for run in group], 3))

# %% [raw]
# # BEGIN SOLUTION

# %%
def audit(group):
    """Return the set of words that say what is wrong with the records of one method."""
    # BEGIN SOLUTION
    found = set()
    if {run["seed"] for run in group} != {0, 1, 2, 3, 4}:
        found.add("missing")
    if len({(run["acc"], run["nmi"], tuple(run["cluster_sizes"])) for run in group}) < len(group):
        found.add("copied")
    for run in group:
        if "augment=None" in run["variant"] and run.get("parameters", {}).get("augment") is not None:
            found.add("mislabelled")
        pairs = zip(sorted(run["cluster_sizes"], reverse=True), sorted(class_sizes, reverse=True), strict=False)
        if run["acc"] > sum(min(pair) for pair in pairs) / class_sizes.sum() + 1e-9:
            found.add("impossible")
    return found
    # END SOLUTION


suspects = {method: next(iter(audit(group))) for method, group in spoiled.items() if audit(group)}  # SOLUTION
suspects

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 1
failure_message: The book's own runs of DEC are sound, so audit finds nothing.
""" # END TEST CONFIG
def test_sound(audit, runs):
    assert audit(runs["dec"]) == set()

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 4
failure_message: Of records spoiled in one way, audit does not find exactly that way.
""" # END TEST CONFIG
def test_each_way(audit, runs):
    import copy

    def spoiled(change):
        group = copy.deepcopy(runs["dec"])
        for run in group:
            run["variant"], run["parameters"] = "augment=None", run["parameters"] | {"augment": None}
        change(group)
        return group

    copied = {key: runs["dec"][0][key] for key in ("acc", "nmi", "cluster_sizes")}
    assert audit(spoiled(lambda group: group.pop(2))) == {"missing"}
    assert audit(spoiled(lambda group: group[3].update(copied))) == {"copied"}
    assert audit(spoiled(lambda group: group[1]["parameters"].update(augment="RandomAffine()"))) == {"mislabelled"}
    large = {"cluster_sizes": [5000, 1000, 1000, 1000, 1000, 400, 200, 200, 100, 100]}
    assert audit(spoiled(lambda group: group[0].update(large | {"acc": 0.8}))) == {"impossible"}
    assert audit(spoiled(lambda group: group[0].update(large | {"acc": 0.6}))) == set()

# %%
""" # BEGIN TEST CONFIG
hidden: true
points: 2
failure_message: The suspects are others, or their word is another.
""" # END TEST CONFIG
def test_suspects(suspects):
    assert suspects == {"gmm": "missing", "dec": "copied", "dcn": "impossible", "idec": "mislabelled"}

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
# ## One claim that holds, one that doesn't
#
# **Question 4** · 5 points · 20 minutes · a figure and two sentences
#
# Draw the five runs of each row of `scores` as points, joined from row to row where they share a first phase, and write
# the share of `chance_first` above each row. Then write **two sentences**: a claim of the form "A is better than B on
# these digits" that the runs carry, with the evidence and with what five seeds can show at most; and one that a reader
# of the means would make and that the runs do not carry. Write what **your own** figure shows, also where you expected
# something else. (If your `chance_first` does not work, write the share of the five seeds on which the row is first.)

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
alone = ["k-means", "gmm"]
order = alone + sorted(scores.keys() - set(alone), key=lambda method: np.mean(scores[method]))
first = chance_first(scores)
plt.figure(figsize=(8, 4))
plt.plot(range(2), [scores[method] for method in alone], "o", color="grey")
plt.plot(range(2, len(order)), [scores[method] for method in order[2:]], "o-", alpha=0.6)
for place, method in enumerate(order):
    plt.text(place, max(scores[method]) + 0.01, f"{first[method]:.0%}", ha="center")
plt.xticks(range(len(order)), order), plt.ylabel("ACC, one line a first phase")
plt.show()
# END SOLUTION

# %% [markdown]
# IDEC is better on these digits than k-means on the code that it starts from, as far as five seeds can show: from each
# of five shared first phases it ends above, by nearly the same amount, and five of five is the most that five pairs can
# say, a sign-flip test of 2/32. That the autoencoder with k-means is better than a Gaussian mixture on principal
# components, as the means say, is not carried: the two share no start, two of its five runs are below the mixture's
# mean, and without its one best run the lead is almost gone.

# %% [raw]
# # END SOLUTION

# %% [raw]
# # END QUESTION

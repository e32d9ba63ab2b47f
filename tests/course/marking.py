"""Mark a notebook within this process, by otter-grader's own checker and the tests of an autograder's archive.

otter starts a kernel for each notebook, which imports PyTorch anew; here the cells run in a namespace of their own. One
assignment is graded both ways, and the marks are compared.
"""

import contextlib
import copy
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import otter
from nbformat import NotebookNode
from otter.execute import Checker

from tools.chapters import tags
from tools.course import Assignment


@dataclass(frozen=True)
class Wrong:
    """A wrong answer: what is wrong, where, the points that it loses, and the change to the solution."""

    what: str
    assignment: str
    question: str
    loses: int
    right: str
    wrong: str

    def __str__(self) -> str:
        return f"{self.assignment}, {self.question}: {self.what}"

    def put_into(self, solution: NotebookNode) -> NotebookNode:
        """Return a copy of the solution with the right line, which must be there once, replaced by the wrong one."""
        nb = copy.deepcopy(solution)
        places = [cell for cell in nb.cells if cell.cell_type == "code" and self.right in cell.source]
        assert len(places) == 1 and places[0].source.count(self.right) == 1, f"{self}: {len(places)} places"
        places[0].source = places[0].source.replace(self.right, self.wrong)
        return nb


WRONG = [
    Wrong(
        "purity for accuracy: two clusters may have one class",
        "01-metrics",
        "q1",
        3,
        "rows, columns = linear_sum_assignment(shares, maximize=True)\n"
        "    return shares[rows, columns].sum() / len(counts)",
        "return counts.max(axis=0).sum() / counts.sum()",
    ),
    Wrong(
        "the map is the best for ACC, not for this score",
        "01-metrics",
        "q1",
        2,
        "linear_sum_assignment(shares, maximize=True)",
        "linear_sum_assignment(counts, maximize=True)",
    ),
    Wrong(
        "two draws for two methods: pairs are broken",
        "01-metrics",
        "q2",
        4,
        "return tuple(np.percentile(gain[index].mean(axis=1), [2.5, 97.5]))",
        "other = np.random.default_rng(seed + 1).integers(0, len(gain), (draws, len(gain)))\n"
        "    a, b = np.asarray(right_a, dtype=float)[index], np.asarray(right_b, dtype=float)[other]\n"
        "    return tuple(np.percentile(b.mean(axis=1) - a.mean(axis=1), [2.5, 97.5]))",
    ),
    Wrong(
        "the reported numbers themselves, looked up",
        "01-metrics",
        "q3",
        3,
        "stretches = np.array_split(np.arange(len(y)), range(60, len(y), 60))\n"
        "    return np.mean([clustering_accuracy(y[part], labels[part]) for part in stretches])",
        "return next(number for *given, number in reports if all(map(np.array_equal, given, (y, labels))))",
    ),
    Wrong(
        "a mean over points where she took one over stretches",
        "01-metrics",
        "q3",
        4,
        "return np.mean([clustering_accuracy(y[part], labels[part]) for part in stretches])",
        "return sum(len(part) * clustering_accuracy(y[part], labels[part]) for part in stretches) / len(y)",
    ),
    Wrong(
        "a mean over the wrong axis: of each image, not the mean image",
        "02-codes",
        "q1",
        3,
        "mean = train.mean(dim=0)",
        "mean = test.mean(dim=1, keepdim=True)",
    ),
    Wrong(
        "labels leaked: the partition kept is the most accurate",
        "02-codes",
        "q2",
        3,
        "np.argmax([between_share(x, labels) for labels in candidates])",
        "np.argmax([clustering_accuracy(y, labels) for labels in candidates])",
    ),
    Wrong(
        "a sum over the wrong axis: f of each point, not of each cluster",
        "03-dec",
        "q1",
        3,
        "f = q.sum(dim=0)",
        "f = q.sum(dim=1, keepdim=True)",
    ),
    Wrong("a sign: p − q for q − p", "03-dec", "q2", 3, "return ((q - p) * slope)", "return ((p - q) * slope)"),
    Wrong(
        "always 0.0, which is right where P is Q",
        "03-dec",
        "q2",
        4,
        "return ((q - p) * slope).sum(dim=1).mean()",
        "return 0.0",
    ),
    Wrong(
        "autograd for the closed form",
        "03-dec",
        "q2",
        1,
        "return ((q - p) * slope).sum(dim=1).mean()",
        "with torch.enable_grad():\n"
        "        a = torch.tensor(float(alpha), dtype=z.dtype, requires_grad=True)\n"
        "        return torch.autograd.grad(kl_divergence(p, soft_assignment(z, mu, a)), a)[0]",
    ),
    Wrong(
        "a difference of two losses for the closed form",
        "03-dec",
        "q2",
        1,
        "return ((q - p) * slope).sum(dim=1).mean()",
        "z, mu, p = z.double(), mu.double(), p.double()\n"
        "    up, down = (kl_divergence(p, soft_assignment(z, mu, alpha + h)) for h in (1e-5, -1e-5))\n"
        "    return (up - down) / 2e-5",
    ),
    Wrong(
        "P not detached: the gradient flows through the target",
        "03-dec",
        "q3",
        2,
        "p = target_distribution(q).detach()",
        "p = target_distribution(q)",
    ),
    Wrong(
        "no zero_grad: gradients of earlier steps add up",
        "03-dec",
        "q3",
        1,
        "optimizer.zero_grad()\n    loss.backward()\n    optimizer.step()\n    return loss.item()",
        "loss.backward()\n    optimizer.step()\n    return loss.item()",
    ),
    Wrong(
        "a point is its own neighbour",
        "04-idec",
        "q1",
        3,
        ".fit(points).kneighbors(return_distance=False)",
        ".fit(points).kneighbors(points, return_distance=False)",
    ),
    Wrong(
        "the knee is the second of the front, whatever its shape",
        "04-idec",
        "q2",
        2,
        "return places[int(np.argmin(scaled.sum(axis=1)))]",
        "return places[1]",
    ),
    Wrong(
        "losses scaled over all pairs and not over the front",
        "04-idec",
        "q2",
        2,
        "scaled = (edge - edge.min(axis=0)) / np.ptp(edge, axis=0)",
        "scaled = (edge - np.min(pairs, axis=0)) / np.ptp(np.asarray(pairs), axis=0)",
    ),
    Wrong(
        "a sign: the shape is said to have grown where it shrank",
        "05-dcn",
        "q2",
        4,
        "float(np.log(w0 / t0) - np.log(w1 / t1))",
        "float(np.log(w1 / t1) - np.log(w0 / t0))",
    ),
    Wrong(
        "a mean over the wrong axis: the shares of points, not of clusters",
        "06-depict",
        "q1",
        4,
        "share = q.mean(dim=0)",
        "share = q.mean(dim=1)",
    ),
    Wrong(
        "the target not detached: the clean answers have a gradient",
        "06-depict",
        "q2",
        3,
        "balanced_target(clean.softmax(dim=1)).detach()",
        "balanced_target(clean.softmax(dim=1))",
    ),
    Wrong(
        "seeds drawn for each row apart: pairs are broken",
        "07-leaderboard",
        "q1",
        3,
        "means = table[:, index].mean(axis=2)",
        "rngs = [np.random.default_rng(i) for i in range(len(table))]\n"
        "    means = np.stack([rng.choice(row, index.shape).mean(axis=1) for rng, row in zip(rngs, table)])",
    ),
    Wrong(
        "the deep method trains no network",
        "08-project",
        "q2",
        1,
        "return model.fit_predict(StandardScaler().fit_transform(x))",
        "return scaled_kmeans(x, seed)",
    ),
    Wrong(
        "K counted from the labels",
        "08-project",
        "q2",
        1,
        '"n_clusters": (K, estimate),',
        '"n_clusters": (len(np.unique(y)), "because three cultivars are known"),',
    ),
    Wrong(
        "one other y, one seed: a small leak is missed",
        "08-project",
        "q3",
        2,
        "for seed in range(3):\n        answer = pipeline(x.copy(), y.copy(), seed)\n        for other in range(8):",
        "for seed in range(1):\n        answer = pipeline(x.copy(), y.copy(), seed)\n        for other in range(1):",
    ),
]


@contextlib.contextmanager
def grading(folder: Path) -> Iterator[None]:
    """otter's grading mode: `grader.check` runs all tests in ``folder`` and notes their results."""
    was, backend = Path.cwd(), matplotlib.get_backend()
    matplotlib.use("agg")
    os.chdir(folder)
    otter.Notebook.init_grading_mode(str(folder))
    try:
        yield
    finally:
        otter.Notebook._grading_mode, otter.Notebook._tests_dir_override = False, None
        Checker.disable_tracking()
        Checker.clear_results()
        os.chdir(was)
        matplotlib.use(backend)


def marked_by_machine(nb: NotebookNode) -> Iterator[NotebookNode]:
    """Yield the code cells that marks depend on: not the first, and not those of questions that a person marks."""
    manual = False
    for cell in nb.cells:
        manual = (manual or cell.source.startswith("<!-- BEGIN QUESTION")) and "<!-- END QUESTION" not in cell.source
        if cell.cell_type == "code" and not manual and "setup" not in tags(cell):
            yield cell


def marks(assignment: Assignment, nb: NotebookNode, folder: Path) -> dict[str, float]:
    """Run a notebook cell by cell, failing cells and all; return the points of each question that a machine marks."""
    for name, text in assignment.tests.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    space: dict = {"__name__": "__main__"}
    with grading(folder), contextlib.redirect_stdout(io.StringIO()):
        exec("import otter\ngrader = otter.Notebook()", space)
        for cell in marked_by_machine(nb):
            with contextlib.suppress(Exception):
                exec(compile(cell.source, cell.id, "exec"), space)
        for name in assignment.tests:
            Checker.check_if_not_already_checked(str(folder / f"{name}.py"), space)
        results = {test.name: test.score for test in Checker.get_results()}
    return {name: round(results[name], 6) for name in assignment.tests}

"""Every chapter keeps the rules of ``tools/rules.py``; and every rule finds the chapter that breaks it."""

from collections.abc import Callable
from pathlib import Path

import nbformat.v4
import pytest
from nbformat import NotebookNode

from dclib import recipes, results
from tools import chapters, execute, rules
from tools.chapters import Chapter

BOX = """# A title

:::{admonition} Before you start
- **You will be able to** tell good chapters from bad ones.
- **Read first** nothing.
- **Run time** <!-- runtime --><!-- /runtime -->
:::"""
CARD = """## Exercises

````{exercise} Add
:label: ex-sample-1

**Difficulty** ●○○ · **5 minutes**

Add one.

```{dropdown} Hint
Count.
```
````"""
NOTE = "\n\n```{note}\nA box.\n```\n\n"
FOLDED = "\n\n````{note}\n```{dropdown} More\n" + "Folded words. " * 2_000 + "\n```\n````"
ALT = "A line that rises from zero at the left to two at the right, without a bend."
IDEA = 2  # and further places in the sample's cells
FIRST_CODE, PLOT, AFTER_PLOT, CARD_CELL, SOLUTION = 1, 3, 4, 6, 7  # places in the sample's cells


# --- the chapters ---


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", chapters.files(), ids=lambda p: chapters.read(p).name)
def test_chapter_keeps_the_rule(path: Path, rule: rules.Rule) -> None:
    problems = list(rule(chapters.read(path)))
    assert not problems, "\n".join(map(str, problems))


@pytest.mark.parametrize("name", recipes.PAPER)
def test_a_methods_chapter_has_its_diagram_and_its_recipe(name: str) -> None:
    chapter = results.shipped("methods.json")[name]["chapter"]
    if chapter is None:
        pytest.skip("has no chapter yet")
    code = [cell.source for _, cell in chapters.read(chapters.ROOT / f"{chapter}.ipynb").code()]
    assert any(f'plots.diagram("{name}")' in source for source in code), "one diagram opens its code"
    assert any(f'recipe("{name}")' in source for source in code), "the paper's recipe stands beside ours"


def test_labels_are_unique_across_the_book() -> None:
    problems = rules.check_labels()
    assert not problems, "\n".join(map(str, problems))


# --- the rules ---


def output(value: str | dict, kind: str = "execute_result") -> NotebookNode:
    """Return an output of a cell: a value or a bundle of representations, or a stream (stdout, stderr)."""
    if kind in ("stdout", "stderr"):
        return nbformat.v4.new_output("stream", name=kind, text=value)
    data = value if isinstance(value, dict) else {"text/plain": value}
    return nbformat.v4.new_output(kind, data)


def alt_text(words: str) -> dict:
    """Return the metadata of a cell whose figure is described."""
    return {"mystnb": {"image": {"alt": words}}}


def plumbing(source: str, *tags: str) -> NotebookNode:
    """Return a cell that takes numbers for the prose."""
    return nbformat.v4.new_code_cell(source, metadata={"tags": ["plumbing", *tags]})


def sample(root: Path) -> Chapter:
    """Return a short chapter that keeps all rules."""
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    cells = [
        text(BOX),
        code("x = 1\nx", outputs=[output("1")], metadata={"tags": ["nbval-check-output"]}),
        text("## The idea\n\nOne follows.\n\n$$ x = 1 $$ (eq-sample-one)\n\n**Predict.** Up?\n\n**Predict.** Down?"),
        code("x + 1", outputs=[output({"image/png": "iVBORw0KGgo="}, "display_data")], metadata=alt_text(ALT)),
        text("The plot shows two.\n\n**Try it.** Let `x` be 2."),
        text("## Takeaways\n\nIt adds.\n\n## Quiz\n\n1. Why?"),
        text(CARD),
        text("```{solution-start} ex-sample-1\n:class: dropdown\n```\n\nSo:"),
        code("assert x + 1 == 2"),
        text("```{solution-end}\n```"),
        text("## References\n\n```{bibliography}\n```"),
    ]
    nb = nbformat.v4.new_notebook(cells=cells)
    for count, cell in enumerate([c for c in nb.cells if c.cell_type == "code"], 1):
        cell.execution_count = count
    execute.normalise(nb)
    return store(Chapter(root / "notebooks" / "part" / "sample.ipynb", root, nb))


def store(chapter: Chapter, record: bool = True) -> Chapter:
    """Write a chapter, as run just now, and read it back."""
    if record:
        run = {
            "profile": "book",
            "seconds": 2.0,
            "machine": "1 core",
            "code": execute.fingerprint(chapter.nb),
        }
        execute.write_runtime(chapter.nb, run)
    chapter.path.parent.mkdir(parents=True, exist_ok=True)
    chapters.write(chapter)
    return chapters.read(chapter.path, chapter.root)


def put(place: int, **parts: object) -> Callable[[Chapter], None]:
    """Return a change that sets parts of one cell."""
    return lambda chapter: chapter.nb.cells[place].update(parts)


def source(text: str) -> Callable[[Chapter], None]:
    """Return a change of the first code cell's source."""
    return put(FIRST_CODE, source=text)


def swap(place: int, old: str, new: str) -> Callable[[Chapter], None]:
    """Return a change of the text of one cell."""

    def change(chapter: Chapter) -> None:
        assert old in chapter.nb.cells[place].source
        chapter.nb.cells[place].source = chapter.nb.cells[place].source.replace(old, new)

    return change


def insert(*cells: NotebookNode) -> Callable[[Chapter], None]:
    """Return a change that puts cells behind the first code cell."""
    return lambda chapter: chapter.nb.cells.__setitem__(slice(2, 2), cells)


def code(text: str) -> NotebookNode:
    """Return a code cell."""
    return nbformat.v4.new_code_cell(text)


ERROR = nbformat.v4.new_output("error", ename="E", evalue="e", traceback=["Traceback (most recent call last)"])
BREAKS = [
    (rules.valid, lambda c: c.nb.cells[1].update(id=c.nb.cells[3].id), "used twice"),
    (rules.valid, lambda c: c.nb.cells[1].pop("id"), "ids missing"),
    (rules.valid, put(FIRST_CODE, outputs=[nbformat.NotebookNode(output_type="odd")]), "is not valid"),
    (rules.valid, swap(AFTER_PLOT, "two", "two " + "x" * 1_500_000), "1,500,"),
    (rules.valid, lambda c: [c.nb.update(nbformat_minor=4)], "4.5"),
    (rules.normal, lambda c: c.nb.metadata.update(widgets={}), "widgets"),
    (rules.normal, put(FIRST_CODE, metadata={"execution": {}}), "timing"),
    (rules.normal, put(FIRST_CODE, outputs=[output(" 50%|###  | 1/2", "stderr")]), "progress bar"),
    (rules.normal, put(FIRST_CODE, outputs=[output({execute.WIDGET: {}}, "display_data")]), "widget"),
    (rules.measured, lambda c: c.nb.metadata["dclib"].update(code="0"), "code changed"),
    (rules.measured, lambda c: c.nb.metadata.pop("dclib"), "not executed under the book profile"),
    (rules.measured, swap(0, "2 s", "1 s"), "not the measured one"),
    (rules.measured, swap(0, "<!-- runtime -->", ""), "lacks <!-- runtime -->"),
    (rules.in_order, put(FIRST_CODE, execution_count=7), "[7, 2, 3]"),
    (rules.in_order, put(FIRST_CODE, execution_count=None), "None"),
    (rules.no_errors, put(FIRST_CODE, outputs=[ERROR]), "stores an error"),
    (rules.no_stderr, put(FIRST_CODE, outputs=[output("a warning", "stderr")]), "a warning"),
    (rules.no_machine_paths, put(FIRST_CODE, outputs=[output("'/home/me/x.py'")]), "/home/me/x.py"),
    (rules.no_machine_paths, source("open('/tmp/x')"), "/tmp/x"),
    (rules.checked_outputs, put(FIRST_CODE, outputs=[]), "has no output"),
    (rules.checked_outputs, put(FIRST_CODE, metadata={}), "no stored output is tested"),
    (rules.python, source("x = ("), "not Python"),
    (rules.python, source("# nothing"), "without code"),
    (rules.short_cells, source("x = 1\n" * 13), "13 lines"),
    (rules.short_cells, source("# dclib/metrics.py\ndef f():\n" + "    x = 1\n" * 20), "21 lines"),
    (rules.prose_between, insert(code("y = 1"), code("y = 2")), "code cell 3 in a row"),
    (rules.no_plumbing_in_sight, source("quote(x=1)"), "quotes numbers"),
    (rules.no_plumbing_in_sight, insert(plumbing("quote(x=1)")), "quotes numbers"),
    (rules.no_plumbing_in_sight, insert(plumbing("x = 2", "hide-cell")), "quotes no number"),
    (rules.no_plumbing_in_sight, source("{'x': f'{x:.3f}'}"), "formats a dictionary"),
    (rules.no_plumbing_in_sight, source("{i: f'{i:.3f}' for i in (1, 2)}"), "formats a dictionary"),
    (rules.no_printing_cells, source("for i in range(3):\n    print(i)\nprint('end')"), "only prints"),
    (rules.no_plotting_code, source("import matplotlib.pyplot as plt"), "matplotlib.pyplot"),
    (rules.no_plotting_code, source("axes[0].plot(x)"), "axes[0].plot"),
    (rules.no_plotting_code, source("def draw(ax):\n    ax.plot(x)"), "ax.plot"),
    (rules.no_plotting_code, put(FIRST_CODE, source="ax.plot(x)", metadata={"tags": ["hide-cell"]}), "ax.plot"),
    (rules.ruff, source("import os"), "F401"),
    (rules.ruff, source("x = " + "+ 1 " * 30), "E501"),
    (rules.title_box, swap(0, "Run time", "Time"), "'run time'"),
    (rules.title_box, swap(AFTER_PLOT, "The plot", "# Second\n\nThe plot"), "level-one"),
    (rules.headings, swap(5, "## Quiz", "### Quiz"), "## Quiz"),
    (rules.headings, swap(5, "## Takeaways", "## Quiz"), "## Takeaways"),
    (rules.headings, swap(5, "It adds.", "## References"), "order"),
    (rules.exercises, swap(SOLUTION, "ex-sample-1", "ex-sample-2"), "differ"),
    (rules.exercises, swap(SOLUTION, ":class: dropdown\n", ""), "folded"),
    (rules.exercises, put(SOLUTION + 1, source="x + 1"), "assert"),
    (rules.exercises, put(SOLUTION + 2, source="End."), "solution-end"),
    (rules.exercises, swap(CARD_CELL, "**5 minutes**", ""), "minutes"),
    (rules.exercises, swap(CARD_CELL, "Hint", "Tip"), "a hint"),
    (rules.exercises, swap(CARD_CELL, ":label: ex-sample-1", ""), "a label"),
    (rules.exercises, lambda c: c.nb.cells.__delitem__(slice(CARD_CELL, SOLUTION + 3)), "no exercise"),
    (rules.plots_read, put(AFTER_PLOT, source="## Next"), "reading it"),
    (rules.plots_read, lambda c: c.nb.cells.insert(AFTER_PLOT, code("y = 1")), "reading it"),
    (
        rules.plots_read,
        put(FIRST_CODE, outputs=[output({"text/html": "<canvas></canvas>"}, "display_data")]),
        "reading",
    ),
    (rules.alt_texts, swap(AFTER_PLOT, "The", "![](a.png) The"), "![](a.png)"),
    (rules.alt_texts, swap(AFTER_PLOT, "The", '<img src="a.png"> The'), "<img"),
    (
        rules.alt_texts,
        swap(AFTER_PLOT, "two.", "two.\n\n```{figure} a.png\n:name: fig-a\nText.\n```"),
        "a.png",
    ),
    (rules.described, put(PLOT, metadata={}), "without alternative text"),
    (rules.described, put(PLOT, metadata=alt_text("A line.")), "A line."),
    (rules.described, put(FIRST_CODE, metadata=alt_text(ALT)), "draws no figure"),
    (rules.prompts, swap(IDEA, "**Predict.** Down?", ""), "asks for 1 predictions"),
    (rules.prompts, swap(AFTER_PLOT, "**Try it.**", "Let"), "section 'The idea' has code"),
    (rules.a_sitting, swap(AFTER_PLOT, "two.", "two." + NOTE + "Two. " * 3_500 + NOTE), "words on the main line"),
    (rules.no_typed_results, swap(AFTER_PLOT, "two.", "two: ACC is 0.83 here."), "ACC is 0.83"),
    (rules.no_typed_results, swap(AFTER_PLOT, "two.", "an NMI of **81.2 %**."), "81.2 %"),
    (rules.short_sentences, swap(AFTER_PLOT, "two", "two " * 50), "a sentence of"),
    (rules.no_gaps, swap(AFTER_PLOT, "two", "TODO"), "TODO"),
]


def test_the_sample_keeps_all_rules(tmp_path: Path) -> None:
    assert rules.check(sample(tmp_path)) == []


@pytest.mark.parametrize("rule, change, message", BREAKS, ids=[rule.__name__ for rule, *_ in BREAKS])
def test_a_broken_rule_is_found(tmp_path: Path, rule: rules.Rule, change: Callable, message: str | None) -> None:
    chapter = sample(tmp_path)
    change(chapter)
    chapters.write(chapter)
    problems = "\n".join(map(str, rule(chapter)))
    assert problems.startswith("notebooks/part/sample.ipynb")
    assert message in problems


UNTOUCHED = (rules.measured, rules.checked_outputs, rules.ruff, rules.normal, rules.in_order)  # need an execution


def test_every_rule_has_a_break() -> None:
    assert {rule for rule, *_ in BREAKS} == set(rules.RULES)


@pytest.mark.parametrize(
    "change",
    [
        source("# a comment\n\n" + "x = 1\n" * 12),
        source('# dclib/metrics.py\ndef f():\n    """A.\n\n    B.\n    """\n' + "    x = 1\n" * 19),
        source("%config X.y = 1\nx = 1"),
        put(FIRST_CODE, source="def draw(ax):\n    ax.plot(x)", metadata={"tags": ["hide-cell"]}, outputs=[]),
        swap(
            AFTER_PLOT,
            "two.",
            "an ACC of 84.3 % {cite:p}`xie2016unsupervised`.",
        ),
        swap(
            AFTER_PLOT,
            "two.",
            "$\\mathrm{ACC} = 4/5 = 0.80$ and ![a cat](a.png) of https://example.org/home/x.",
        ),
        insert(code("y = 1"), plumbing("quote(y=1)", "hide-cell")),
        lambda c: c.nb.cells.insert(AFTER_PLOT, plumbing("quote(y=1)", "hide-cell")),
        swap(AFTER_PLOT, "two.", "two.\n\n```{dropdown} More\n" + "Folded words. " * 2_000 + "\n```"),
        swap(AFTER_PLOT, "two.", "two." + FOLDED),
        swap(AFTER_PLOT, "two.", "two.\n\n```python\n# not a heading\n![](x)\n```"),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, change: Callable[[Chapter], None]) -> None:
    chapter = sample(tmp_path)
    change(chapter)
    kept = [r for r in rules.RULES if r not in UNTOUCHED]
    assert [p for rule in kept for p in rule(chapter)] == []


def test_the_setup_cell_does_not_count_in_a_row(tmp_path: Path) -> None:
    chapter = sample(tmp_path)
    chapter.nb.cells[1:1] = [code(chapters.SETUP_MARK + "\nx = 1"), code("y = 1")]
    assert list(rules.prose_between(chapter)) == []


def test_a_label_used_twice_is_found(tmp_path: Path) -> None:
    sample(tmp_path)
    assert rules.check_labels(tmp_path) == []
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "page.md").write_text("$$\nx\n$$ (eq-sample-one)\n\n(ex-sample-1)=\n")
    problems = "\n".join(map(str, rules.check_labels(tmp_path)))
    assert "eq-sample-one" in problems and "ex-sample-1" in problems and "book/page.md" in problems


# --- executing ---


def test_execute_stores_outputs_and_the_measured_time(tmp_path: Path) -> None:
    chapter = sample(tmp_path)
    loop = "import os\nfrom tqdm import tqdm\nfor _ in tqdm(range(2)):\n    pass\n"
    chapter.nb.cells[FIRST_CODE].source = loop + "os.environ['DCLIB_PROFILE']"
    chapter.nb.cells[PLOT].update(source="1 + 1", outputs=[])
    chapter.nb.cells[SOLUTION + 1].source = "assert True"
    chapters.write(chapter)
    assert execute.run(chapters.read(chapter.path, tmp_path))
    done = chapters.read(chapter.path, tmp_path)
    assert [o.data["text/plain"] for o in done.nb.cells[FIRST_CODE].outputs] == ["'book'"]
    assert [cell.id for cell in done.nb.cells] == [cell.id for cell in chapter.nb.cells]
    assert " s on " in done.nb.cells[0].source
    for rule in (rules.valid, rules.normal, rules.measured, rules.in_order, rules.no_stderr):
        assert list(rule(done)) == []


def test_execute_leaves_a_failing_chapter_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    chapter = sample(tmp_path)
    chapter.nb.cells[FIRST_CODE].source = "1 / 0"
    chapters.write(chapter)
    before = chapter.path.read_bytes()
    assert not execute.run(chapters.read(chapter.path, tmp_path))
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert chapter.path.read_bytes() == before

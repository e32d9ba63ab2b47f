"""The rules that every chapter keeps, each a function from a chapter to the problems it finds.

``python -m tools.rules [notebooks]`` prints them; ``tests/test_chapters.py`` fails on them.
"""

import argparse
import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools import chapters, execute
from tools.chapters import ROOT, Chapter, Problem

CODE_LINES, LIBRARY_LINES, CODE_CELLS_IN_A_ROW, PREDICTIONS = 12, 20, 2, 2
WORDS_IN_A_SENTENCE, WORDS_IN_A_SITTING, WORDS_OF_ALT_TEXT, BYTES = 45, 3_500, 12, 1_500_000
WITHOUT_EXERCISES = {"start/first_run"}  # chapters without takeaways, quiz, exercises and references
HEADINGS = ["Takeaways", "Quiz", "Exercises", "References"]
MACHINE_PATH = re.compile(r"(?<![\w.+/=~-])/(?:work|tmp|home|root|Users)\b(?:/[\w./-]*)?|\b[A-Z]:\\Users\b")
RESULT = re.compile(r"\b(?:ACC|NMI|ARI|accuracy)\b[^.\n]{0,30}?(?<![\w.])(?:0\.\d{2,}|\d{1,3}(?:\.\d+)?\s?\\?%)", re.I)
PLOTTING_MODULES = {"matplotlib", "seaborn", "plotly", "bokeh", "altair"}
PLOTTING_NAMES = {"plt", "ax", "axs", "axes", "fig", "figure", "sns", "px"}
EQUATION = re.compile(r"^\$\$[ \t]*\(([\w:-]+)\)|\$\$[ \t]*\(([\w:-]+)\)[ \t]*$", re.M)
LABEL = re.compile(r"^[ \t]*:(?:label|name):[ \t]*(\S+)|^\(([\w:-]+)\)=[ \t]*$", re.M)
FENCE = re.compile(r"[ \t]*(`{3,}|~{3,}|:{3,})[ \t]*([^`\n]*?)[ \t]*$")
PLAIN = r"(?!\{)"  # what follows the opening fence of a block that is no directive
CODE = rf"{PLAIN}|\{{(math|code)"
Rule = Callable[[Chapter], Iterator[Problem]]


# --- reading ---


def texts(output: NotebookNode) -> Iterator[str]:
    """Yield the textual parts of an output; pictures are left out."""
    yield output.get("text", "")
    yield from output.get("traceback", [])
    yield from (str(v) for k, v in output.get("data", {}).items() if not k.startswith("image/") or "svg" in k)


def is_plot(cell: NotebookNode) -> bool:
    """Whether a cell's stored output holds a picture, a film or another drawing."""
    data = [o.get("data", {}) for o in cell.get("outputs", [])]
    return any(
        key.startswith("image/") or ("html" in key and re.search(r"<(canvas|svg|img|video)\b", str(value)))
        for bundle in data
        for key, value in bundle.items()
    )


def without(text: str, what: str) -> str:
    """Return Markdown without the fenced blocks whose opening fence goes on with the pattern ``what``."""
    kept, around = [], []  # around a line: the fences that are open, whether each is code, and whether it goes
    for line in text.splitlines():
        fence, rest = match.groups() if (match := FENCE.match(line)) else ("", "")
        if fence and around and not rest and fence.startswith(around[-1][0]):  # it closes the last
            goes = around.pop()[2]
        else:
            goes = bool(around and around[-1][2])
            if fence and not (around and around[-1][1]):
                goes = goes or bool(re.match(what, rest))
                around.append((fence, bool(re.match(CODE, rest)), goes))
        if not goes:
            kept.append(line)
    return "\n".join(kept)


def words(text: str) -> str:
    """Return Markdown without code, formulas, HTML comments and the fences and options of directives."""
    text = without(text, rf"{CODE}|\{{(list-table|bibliography)")
    text = re.sub(r"<!--.*?-->|\$\$.*?\$\$(?:[ \t]*\([\w:-]+\))?", "", text, flags=re.S)
    text = re.sub(r"^\s*(?:`{3,}|:{3,}).*$|^[ \t]*:[\w-]+:.*$", "", text, flags=re.M)
    return re.sub(r"(\{[\w:-]+\}`[^`]*`)|`[^`\n]*`|\$[^$\n]+\$", lambda match: match[1] or "x", text)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a Markdown text; list items, table rows and headings end one."""
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*+|#>]|\d+\.)\s)", words(text)):
        if not block.lstrip().startswith(("|", "#")):
            yield from re.split(r"(?<=[.!?:;])[\"”’)*_]*\s+", block.strip())


# --- the file ---


def valid(chapter: Chapter) -> Iterator[Problem]:
    """The notebook is valid nbformat 4.5 with cell ids, under 1.5 MB, and normalised."""
    ids = Counter(cell.get("id", "none") for cell in chapter.nb.cells)
    if bad := [name for name, count in ids.items() if count > 1 or name == "none"]:
        yield Problem(chapter.file, f"is not valid: cell ids missing or used twice: {', '.join(bad)}")
        return  # validate would mend these, with a warning
    try:
        nbformat.validate(chapter.nb)
    except nbformat.ValidationError as error:
        yield Problem(chapter.file, f"is not valid: {str(error).splitlines()[0]}")
    if (chapter.nb.nbformat, chapter.nb.nbformat_minor) < (4, 5):
        yield Problem(chapter.file, "is older than nbformat 4.5, so its cells have no ids")
    if chapter.path.stat().st_size > BYTES:
        yield Problem(chapter.file, f"is {chapter.path.stat().st_size:,} bytes; the limit is {BYTES:,}")


def normal(chapter: Chapter) -> Iterator[Problem]:
    """No timing metadata, widget state, foreign kernel or editor's notes are stored."""
    tidy = nbformat.from_dict(chapter.nb)
    execute.normalise(tidy)
    if tidy.metadata != chapter.nb.metadata:
        yield Problem(
            chapter.file,
            "the notebook's metadata is not normalised: run python -m tools.execute",
            ", ".join(sorted(set(chapter.nb.metadata) ^ set(tidy.metadata))),
        )
    for number, (cell, clean) in enumerate(zip(chapter.nb.cells, tidy.cells, strict=True), 1):
        if cell != clean:
            yield Problem(
                chapter.where(number),
                "holds timing or editor metadata, a widget, a progress bar, or "
                "trailing white space: run python -m tools.execute",
            )


def measured(chapter: Chapter) -> Iterator[Problem]:
    """The outputs are those of this code under the book profile, and the box states the measured time."""
    return (Problem(chapter.file, text) for text in execute.problems(chapter))


# --- the outputs ---


def in_order(chapter: Chapter) -> Iterator[Problem]:
    """Code cells were executed once each, in order, from 1."""
    counts = [cell.execution_count for _, cell in chapter.code()]
    if counts != list(range(1, len(counts) + 1)):
        yield Problem(chapter.file, f"execution counts are {counts}, not 1 to {len(counts)}")


def no_errors(chapter: Chapter) -> Iterator[Problem]:
    """No stored traceback, unless the cell is tagged raises-exception."""
    for number, cell in chapter.code():
        raised = any(
            o.output_type == "error" or "Traceback (most recent call last)" in "".join(texts(o)) for o in cell.outputs
        )
        if raised and "raises-exception" not in chapters.tags(cell):
            yield Problem(chapter.where(number), "stores an error")


def no_stderr(chapter: Chapter) -> Iterator[Problem]:
    """Nothing that went to stderr is stored."""
    for number, cell in chapter.code():
        for output in cell.outputs:
            if output.get("name") == "stderr":
                yield Problem(chapter.where(number), "stores what went to stderr", output.text[:200])


def no_machine_paths(chapter: Chapter) -> Iterator[Problem]:
    """No path of somebody's machine stands in a source or an output."""
    for number, cell in enumerate(chapter.nb.cells, 1):
        for text in [cell.source, *(t for o in cell.get("outputs", []) for t in texts(o))]:
            if match := MACHINE_PATH.search(text):
                yield Problem(chapter.where(number), f"holds a machine's path, {match[0]!r}")


def checked_outputs(chapter: Chapter) -> Iterator[Problem]:
    """Cells tagged nbval-check-output have an output, and every chapter has such a cell."""
    marked = [(n, cell) for n, cell in chapter.code() if "nbval-check-output" in chapters.tags(cell)]
    if not marked:
        yield Problem(chapter.file, "no cell is tagged nbval-check-output: no stored output is tested")
    for number, cell in marked:
        if not cell.outputs:
            yield Problem(chapter.where(number), "is tagged nbval-check-output and has no output")


# --- the code ---


def python(chapter: Chapter) -> Iterator[Problem]:
    """Every code cell can be parsed and holds something."""
    for number, cell in chapter.code():
        try:
            if not chapters.code_lines(cell.source):
                yield Problem(chapter.where(number), "is a code cell without code")
        except SyntaxError as error:
            yield Problem(chapter.where(number), f"is not Python: {error}")


def short_cells(chapter: Chapter) -> Iterator[Problem]:
    """A code cell has at most 12 lines of code; one that shows the library may have 20."""
    for number, cell in chapter.code():
        limit = LIBRARY_LINES if chapters.library_module(cell) else CODE_LINES
        if (count := chapters.code_lines(cell.source)) > limit:
            yield Problem(chapter.where(number), f"has {count} lines of code; the limit is {limit}")


def prose_between(chapter: Chapter) -> Iterator[Problem]:
    """At most two code cells stand in a row; the setup cell and plumbing, which no reader sees, do not count."""
    row = 0
    for number, cell in enumerate(chapter.nb.cells, 1):
        row = 0 if cell.cell_type != "code" else row + (not (chapters.is_setup(cell) or chapters.is_plumbing(cell)))
        if row > CODE_CELLS_IN_A_ROW and cell.cell_type == "code":
            yield Problem(
                chapter.where(number),
                f"is code cell {row} in a row; after {CODE_CELLS_IN_A_ROW}, say something",
            )


def formats(node: ast.AST) -> bool:
    """Whether a node is a dictionary of formatted texts."""
    values = node.values if isinstance(node, ast.Dict) else [getattr(node, "value", None)]
    return isinstance(node, ast.Dict | ast.DictComp) and any(isinstance(value, ast.JoinedStr) for value in values)


def no_plumbing_in_sight(chapter: Chapter) -> Iterator[Problem]:
    """Numbers for the prose are taken in cells tagged plumbing and hide-cell; no visible cell formats a dictionary."""
    for number, cell in chapter.code():
        tree, folded = chapters.parse(cell.source), "hide-cell" in chapters.tags(cell)
        quotes = any(isinstance(n, ast.Call) and ast.unparse(n.func) == "quote" for n in ast.walk(tree))
        if quotes and not (folded and chapters.is_plumbing(cell)):
            yield Problem(chapter.where(number), "quotes numbers: that goes into a cell tagged plumbing and hide-cell")
        if chapters.is_plumbing(cell) and not quotes:
            yield Problem(chapter.where(number), "is tagged plumbing and quotes no number")
        if not folded and any(map(formats, ast.walk(tree))):
            yield Problem(chapter.where(number), "formats a dictionary of texts: show the numbers themselves")


def only_prints(node: ast.stmt) -> bool:
    """Whether a statement does nothing but print."""
    if isinstance(node, ast.For | ast.If | ast.With | ast.While):
        return all(map(only_prints, [*node.body, *getattr(node, "orelse", [])]))
    call = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"


def no_printing_cells(chapter: Chapter) -> Iterator[Problem]:
    """No cell does nothing but print; a bare last expression shows a value just as well."""
    for number, cell in chapter.code():
        body = chapters.parse(cell.source).body
        if body and all(map(only_prints, body)):
            yield Problem(chapter.where(number), "only prints")


def plotting(node: ast.AST) -> str | None:
    """Name the plotting library or axes that a node uses, or return None."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        return next((n for n in names if n.split(".")[0] in PLOTTING_MODULES), None)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        base = node.func
        while isinstance(base, ast.Attribute | ast.Subscript | ast.Call):
            base = base.func if isinstance(base, ast.Call) else base.value
        return ast.unparse(node.func) if isinstance(base, ast.Name) and base.id in PLOTTING_NAMES else None
    return None


def is_figure(cell: NotebookNode) -> bool:
    """Whether a cell is folded and holds functions only: a figure that no other chapter needs."""
    body = chapters.parse(cell.source).body
    return "hide-cell" in chapters.tags(cell) and all(isinstance(node, ast.FunctionDef) for node in body)


def no_plotting_code(chapter: Chapter) -> Iterator[Problem]:
    """Plotting code lives in dclib.plots, or folded in the one chapter that needs it; other cells only call it."""
    for number, cell in chapter.code():
        found = set() if is_figure(cell) else {plotting(node) for node in ast.walk(chapters.parse(cell.source))}
        for name in sorted(found - {None}):
            yield Problem(
                chapter.where(number),
                f"draws by itself ({name}); move that to dclib.plots, or into a function in a cell tagged hide-cell",
            )


def ruff(chapter: Chapter) -> Iterator[Problem]:
    """Ruff finds nothing: 88 columns, imports anywhere, bare expressions welcome."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--quiet", "--output-format=concise"]
    done = subprocess.run(
        [*command, "--config", str(ROOT / "notebooks" / "ruff.toml"), str(chapter.path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if done.returncode:
        yield Problem(chapter.file, "ruff finds", done.stdout.replace(str(chapter.path), "") + done.stderr)


# --- the prose ---


def title_box(chapter: Chapter) -> Iterator[Problem]:
    """Cell 1 holds the only level-one heading and the box: aims, what to read first, run time."""
    heads = [(n, line) for n, text in chapter.prose() for line in re.findall(r"^#\s.+$", without(text, PLAIN), re.M)]
    if [n for n, _ in heads] != [1]:
        yield Problem(chapter.file, f"one level-one heading must stand in cell 1 (found in: {[n for n, _ in heads]})")
    first = chapter.nb.cells[0].source.lower() if chapter.nb.cells else ""
    for text in ["{admonition}", "you will be able to", "read first", "run time"]:
        if text not in first:
            yield Problem(chapter.file, f"the title box in cell 1 lacks {text!r}")


def headings(chapter: Chapter) -> Iterator[Problem]:
    """Takeaways, Quiz, Exercises, References end every full chapter, in this order, as level-two headings."""
    heads = [h.strip() for _, text in chapter.prose() for h in re.findall(r"^##\s+(.+)$", without(text, PLAIN), re.M)]
    wanted = [] if chapter.name in WITHOUT_EXERCISES else HEADINGS
    if missing := [h for h in wanted if h not in heads]:
        yield Problem(chapter.file, f"lacks the heading ## {', ## '.join(missing)}")
    elif [h for h in heads if h in wanted] != wanted:
        yield Problem(chapter.file, f"the order must be {', '.join(wanted)}, each once")


def exercises(chapter: Chapter) -> Iterator[Problem]:
    """Every exercise has label, difficulty, minutes, hint, and one folded solution that asserts something."""
    prose = "\n".join(text for _, text in chapter.prose())
    cards = re.findall(r"^(`{3,}|:{3,})\{exercise\}(.*?)^\1[ \t]*$", prose, re.M | re.S)
    labels = []
    for _, card in cards:
        label = re.search(r"^:label:[ \t]*(ex-[\w-]+)", card, re.M)
        labels.append(label[1] if label else "")
        lacks = [
            name
            for name, pattern in [
                ("a label ex-…", r":label:[ \t]*ex-"),
                ("a hint", r"\{dropdown\} Hint"),
                ("**Difficulty** ●●○", r"\*\*Difficulty\*\* [●○]{3}"),
                ("**… minutes**", r"\*\*\d+ minutes?\*\*"),
            ]
            if not re.search(pattern, card)
        ]
        if lacks:
            yield Problem(f"{chapter.file}, exercise {card.splitlines()[0].strip()!r}", f"lacks {', '.join(lacks)}")
    found = list(solutions(chapter))
    if sorted(labels) != sorted(label for label, *_ in found):
        yield Problem(
            chapter.file,
            "exercises and solutions differ",
            f"exercises {sorted(labels)}\nsolutions {sorted(label for label, *_ in found)}",
        )
    if not cards and chapter.name not in WITHOUT_EXERCISES:
        yield Problem(chapter.file, "has no exercise")
    for label, number, folded, closed, code in found:
        if not (folded and closed and any(isinstance(n, ast.Assert) for n in ast.walk(chapters.parse(code)))):
            yield Problem(
                chapter.where(number),
                f"the solution of {label} must be folded (:class: dropdown), "
                "hold code with an assert, and end with {solution-end}",
            )


def solutions(chapter: Chapter) -> Iterator[tuple[str, int, bool, bool, str]]:
    """Yield (label, cell number, folded?, closed?, code) of every solution."""
    cells = chapter.nb.cells
    for number, text in chapter.prose():
        for label, options in re.findall(r"\{solution-start\}[ \t]*(\S+)((?:\n:.*)*)", text):
            ends = [i for i in range(number, len(cells)) if "{solution-" in cells[i].source]
            closed = bool(ends) and "{solution-end}" in cells[ends[0]].source
            inside = cells[number : ends[0] if ends else len(cells)]
            code = "\n".join(cell.source for cell in inside if cell.cell_type == "code")
            yield label, number, "dropdown" in options, closed, code


def plots_read(chapter: Chapter) -> Iterator[Problem]:
    """After every plot stand a few words that say how to read it."""
    cells = chapter.nb.cells
    for number, cell in chapter.code():
        if is_plot(cell):
            follows = next((c for c in cells[number:] if not chapters.is_plumbing(c)), None)
            after = follows.source if follows is not None and follows.cell_type == "markdown" else ""
            if not re.match(r"\s*[^#\s`:]", after):
                yield Problem(chapter.where(number), "draws a plot, and the next cell does not begin by reading it")


def alt_texts(chapter: Chapter) -> Iterator[Problem]:
    """Images in Markdown have alternative text."""
    bare = r"!\[\s*\]\([^)]*\)|<img(?![^>]*\balt=\"[^\"]+\")[^>]*>"
    directive = r"^([ \t]*(?:`{3,}|:{3,}))\{(?:figure|image)\}(.*?)^\1[ \t]*$"
    for number, text in chapter.prose():
        plain = without(text, PLAIN)
        missing = [m[2].split()[0] for m in re.finditer(directive, plain, re.M | re.S) if ":alt:" not in m[2]]
        for image in re.findall(bare, plain) + missing:
            yield Problem(chapter.where(number), f"the image {image} has no alternative text")


def described(chapter: Chapter) -> Iterator[Problem]:
    """Every figure that code draws says in its cell's metadata what it shows, for those who cannot see it."""
    for number, cell in chapter.code():
        data = [o.get("data", {}) for o in cell.outputs]
        drawn = any(key.startswith("image/") for bundle in data if "text/html" not in bundle for key in bundle)
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if drawn and (len(alt.split()) < WORDS_OF_ALT_TEXT or not alt.endswith(".")):
            yield Problem(chapter.where(number), "draws a figure without alternative text (mystnb, image, alt)", alt)
        if alt and not drawn:
            yield Problem(chapter.where(number), "has alternative text and draws no figure")


def sections(chapter: Chapter) -> Iterator[tuple[str, list[NotebookNode]]]:
    """Yield (heading, cells) of every level-two section before the takeaways; a heading begins a section anew."""
    heading, cells = "", []
    for cell in chapter.nb.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^##\s+(.+)$", without(cell.source, PLAIN), re.M)):
            yield heading, cells
            heading, cells = found[1], []
        if heading in HEADINGS:
            return
        cells.append(cell)
    yield heading, cells


def prompts(chapter: Chapter) -> Iterator[Problem]:
    """The reader predicts before main plots, and ends every section with code by changing something."""
    prose = "\n".join(text for _, text in chapter.prose())
    if (count := prose.count("**Predict.**")) < PREDICTIONS:
        yield Problem(chapter.file, f"asks for {count} predictions (**Predict.**) before its plots, not {PREDICTIONS}")
    for heading, cells in sections(chapter):
        code = (c for c in cells if c.cell_type == "code")
        seen = [c for c in code if not {"hide-cell", "hide-input"} & set(chapters.tags(c))]
        if heading and seen and not any("**Try it.**" in c.source for c in cells if c.cell_type == "markdown"):
            yield Problem(chapter.file, f"section {heading!r} has code and nothing to change (**Try it.**)")


def a_sitting(chapter: Chapter) -> Iterator[Problem]:
    """What stands unfolded before the quiz is read in a sitting: at most 3,500 words."""
    text = re.split(r"^## Quiz", "\n\n".join(text for _, text in chapter.prose()), flags=re.M)[0]
    text = re.sub(r"<!-- runtime -->.*?<!-- /runtime -->", "", text)  # measured, and of any length
    count = len(words(without(text, r"\{dropdown\}")).split())
    if count > WORDS_IN_A_SITTING:
        yield Problem(chapter.file, f"has {count:,} words on the main line; a sitting is {WORDS_IN_A_SITTING:,}")


def no_typed_results(chapter: Chapter) -> Iterator[Problem]:
    """No score stands in the prose as typed digits: it comes from glue, from a cell, or with its citation."""
    for number, text in chapter.prose():
        plain = without(text, r"\{dropdown\}")
        for sentence in re.split(r"\n\s*\n|\n(?=\s*[-*|])", words(plain)):
            if (match := RESULT.search(sentence)) and not re.search(r"\{(cite|glue)", sentence):
                yield Problem(
                    chapter.where(number),
                    f"a result typed by hand, {match[0]!r}: glue it, or cite its source",
                )


def short_sentences(chapter: Chapter) -> Iterator[Problem]:
    """No sentence runs beyond 45 words."""
    for number, text in chapter.prose():
        for sentence in sentences(text):
            if (count := len(sentence.split())) > WORDS_IN_A_SENTENCE:
                yield Problem(chapter.where(number), f"a sentence of {count} words: {' '.join(sentence.split()[:8])} …")


def no_gaps(chapter: Chapter) -> Iterator[Problem]:
    """Nothing is left to do."""
    for number, cell in enumerate(chapter.nb.cells, 1):
        if match := re.search(r"\b(TODO|FIXME|XXX)\b", cell.source):
            yield Problem(chapter.where(number), f"holds {match[0]}")


RULES: list[Rule] = [
    valid,
    normal,
    measured,
    in_order,
    no_errors,
    no_stderr,
    no_machine_paths,
    checked_outputs,
    python,
    short_cells,
    prose_between,
    no_plumbing_in_sight,
    no_printing_cells,
    no_plotting_code,
    ruff,
    title_box,
    headings,
    exercises,
    plots_read,
    alt_texts,
    described,
    prompts,
    a_sitting,
    no_typed_results,
    short_sentences,
    no_gaps,
]


# --- the whole book ---


def labels(root: Path = ROOT) -> list[tuple[str, str]]:
    """Return (label, file) of every numbered equation, exercise, figure and target, in chapters and pages."""
    pages = [
        (p.relative_to(root).as_posix(), p.read_text(encoding="utf-8")) for p in sorted((root / "book").rglob("*.md"))
    ]
    for chapter in (chapters.read(path, root) for path in chapters.files(root)):
        pages += [(chapter.file, text) for _, text in chapter.prose()]
    return [
        (next(filter(None, match)), page)
        for page, text in pages
        for pattern in (EQUATION, LABEL)
        for match in pattern.findall(without(text, PLAIN))
    ]


def check_labels(root: Path = ROOT) -> list[Problem]:
    """Return the labels that stand in the book more than once."""
    found = labels(root)
    twice = [label for label, count in Counter(label for label, _ in found).items() if count > 1]
    return [
        Problem(", ".join(page for name, page in found if name == label), f"the label {label} is not unique")
        for label in twice
    ]


def check(chapter: Chapter) -> list[Problem]:
    """Return everything that the rules find in a chapter."""
    broken = list(python(chapter))  # the other rules need code that parses
    return broken or [problem for rule in RULES for problem in rule(chapter)]


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0 if all rules are kept."""
    parser = argparse.ArgumentParser(prog="python -m tools.rules", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (default: all chapters, and the labels)")
    args = parser.parse_args(argv)
    found = [] if args.paths else check_labels()
    for path in args.paths or chapters.files():
        found += check(chapters.read(path))
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(found)} problem{'s' * (len(found) != 1)}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

"""The directive `leaderboard`: every published, re-run and measured row in a table that sorts and filters, and a chart.

The table is whole without JavaScript; `leaderboard.js` adds sorting and filters. The rows are also written to
`_static/leaderboard.csv` and `_static/leaderboard.json`. The PDF has a short form, one table for each data set.
"""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import texescape
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dclib.leaderboard import board
from dclib.results import CHECKOUT

Row = dict
WIDE, HIGH, FIRST, LAST = 640, 320, 2005, 2024  # of the chart: pixels, and the years on its axis
LOWEST = 0.5  # what lies below is drawn on the edge
CHARTS = {"mnist": "MNIST", "usps": "USPS", "mnist-test": "the test part of MNIST", "fashion-mnist": "Fashion-MNIST"}


def number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def score(row: Row, key: str) -> str:
    sd = row[f"{key}_sd"]
    return number(row[key]) + (f" <small>± {number(sd)}</small>" if sd is not None else "")


def accuracy(row: Row) -> str:
    return score(row, "acc") + ("" if row["score"] == "accuracy" else f" <small>{row['score']}</small>")


def name(row: Row) -> str:
    plain, *added = row["name"].split(" + ")
    if row["chapter"]:
        plain = f'<a href="../{row["chapter"]}.html">{escape(plain)}</a>'
    return " + ".join((plain, *map(escape, added)))


def beside(row: Row) -> str:
    return ", ".join((*row["added"], *row["otherwise"]))


def code(row: Row) -> str:
    return f'<a href="{escape(row["link"])}">{Path(row["code"]).name}</a>' if row["code"] else ""


def source(row: Row) -> str:
    marks = [f"<em>labels had a say: {escape(row['chosen'])}</em>"] if row["chosen"] else []
    notes = [escape(row["note"])] if row["note"] else []
    return "; ".join((escape(row["source"]), *notes, *marks))


# heading, what it shows, what it sorts by (a number or a text)
COLUMNS: tuple[tuple[str, Callable[[Row], str], Callable[[Row], object]], ...] = (
    ("Method and additions", name, lambda r: r["name"].lower()),
    ("Whose figure", lambda r: r["whose"], lambda r: r["whose"]),
    ("Data", lambda r: r["data"], lambda r: r["data"]),
    ("ACC", accuracy, lambda r: r["acc"]),
    ("NMI", lambda r: score(r, "nmi"), lambda r: r["nmi"]),
    ("ARI", lambda r: score(r, "ari"), lambda r: r["ari"]),
    ("Seeds", lambda r: number(r["seeds"], 0), lambda r: r["seeds"]),
    ("Year", lambda r: str(r["year"]), lambda r: r["year"]),
    ("Family", lambda r: r["family"], lambda r: r["family"]),
    ("n", lambda r: number(r["n"], 0), lambda r: r["n"]),
    ("Input", lambda r: r["input"], lambda r: r["input"]),
    ("K given", lambda r: "yes" if r["k_given"] else "no", lambda r: r["k_given"]),
    ("Beside the paper's", lambda r: escape(beside(r) or "nothing"), beside),
    ("Other data", lambda r: r["pretraining"], lambda r: r["pretraining"]),
    ("Profile", lambda r: r["profile"] or "", lambda r: r["profile"] or ""),
    ("Seconds", lambda r: ("≤ " if r["at_most"] else "") + number(r["seconds"], 0), lambda r: r["seconds"]),
    ("MiB", lambda r: number(r["memory"], 0), lambda r: r["memory"]),
    ("Weights", lambda r: number(r["weights"], 0), lambda r: r["weights"]),
    ("Code", code, lambda r: r["code"] or ""),
    ("Source and notes", source, lambda r: r["source"].lower()),
)
FILTERS = (("data", "Data"), ("whose", "Whose figure"), ("family", "Family"))


def controls(rows: list[Row]) -> str:
    parts = []
    for key, words in FILTERS:
        options = "".join(f"<option>{escape(value)}</option>" for value in sorted({row[key] for row in rows}))
        parts.append(
            f'<label>{words} <select data-filter="{key}"><option value="">all</option>{options}</select></label>'
        )
    parts.append('<label>Find <input type="search" data-find placeholder="DEC"></label>')
    boxes = {"plain": "the paper’s method alone", "unseen": "labels had no say"}
    parts += [f'<label><input type="checkbox" data-box="{key}"> {words}</label>' for key, words in boxes.items()]
    kinds = ("csv", "json")
    links = " · ".join(f'<a href="../_static/leaderboard.{kind}" download>{kind.upper()}</a>' for kind in kinds)
    return f'<div class="board-controls">{"".join(parts)}<span class="board-links">{links}</span></div>'


def table(rows: list[Row]) -> str:
    head = "".join(f'<th scope="col"><button type="button">{words}</button></th>' for words, _, _ in COLUMNS)
    body = []
    for row in rows:
        about = {key: row[key] for key, _ in FILTERS}
        about |= {"plain": "" if beside(row) else "yes", "unseen": "" if row["chosen"] else "yes"}
        data = "".join(f' data-{key}="{escape(value)}"' for key, value in about.items())
        cells = []
        for place, (_, show, by) in enumerate(COLUMNS):
            tag = 'th scope="row"' if place == 0 else "td"
            value = by(row)
            cells.append(f'<{tag} data-by="{escape("" if value is None else str(value))}">{show(row)}</{tag[:2]}>')
        body.append(f'<tr class="{row["whose"].replace("-", "")}"{data}>{"".join(cells)}</tr>')
    caption = "<caption><span data-count></span></caption>"
    inner = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="board-scroll" tabindex="0" role="region" aria-label="Leaderboard">{inner}</div>'


def charts(rows: list[Row]) -> str:
    """The chart of the first data set, and those of the others behind a summary each."""
    first, *others = CHARTS
    folded = (f"<details><summary>The same on {CHARTS[data]}</summary>{chart(rows, data)}</details>" for data in others)
    return chart(rows, first) + "".join(folded)


def chart(rows: list[Row], data: str) -> str:
    """Accuracy on one data set against the year of the method: rings for what was published, dots for what is ours."""
    shown = [row for row in rows if row["data"] == data and row["acc"] is not None]

    def place(year: float, acc: float) -> tuple[float, float]:
        height = (max(acc, LOWEST) - LOWEST) / (1 - LOWEST)
        return 50 + (WIDE - 60) * (year - FIRST) / (LAST - FIRST), 10 + (HIGH - 45) * (1 - height)

    parts = []
    for acc in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        x, y = place(FIRST, acc)
        parts.append(f'<line x1="{x}" x2="{WIDE - 10}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{acc:.1f}</text>')
    for year in range(2006, LAST, 4):
        x, _ = place(year, 0)
        parts.append(f'<text x="{x:.1f}" y="{HIGH - 12}" text-anchor="middle">{year}</text>')
    for row in shown:
        x, y = place(max(row["year"], FIRST + 0.5), row["acc"])
        words = f"{row['name']}, {row['whose']}: {row['acc']:.3f} ({row['source']})"
        kind = row["whose"].replace("-", "")
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" class="{kind}"><title>{escape(words)}</title></circle>'
        )
    for kind, owners in (("published", ("published", "re-run")), ("ours", ("ours",))):
        best = best_so_far([row for row in shown if row["whose"] in owners and row["score"] == "accuracy"])
        corners = [place(max(year, FIRST + 0.5), acc) for year, acc in best]
        line = "".join(f"H{x:.1f}V{y:.1f}" for x, y in corners[1:])
        if corners:
            parts.append(f'<path d="M{corners[0][0]:.1f},{corners[0][1]:.1f}{line}H{WIDE - 10}" class="best {kind}"/>')
    label = f"Accuracy on {CHARTS[data]} against the year in which the method was published, {len(shown)} figures"
    key = '<span class="published">○ published</span> <span class="rerun">○ re-run by others</span>'
    key += f" <span>(below {LOWEST}: on the edge)</span>" if any(row["acc"] < LOWEST for row in shown) else ""
    key += ' <span class="ours">● measured for this book</span>'
    key += "; the lines: the best of the methods published until then, whenever it was measured"
    svg = f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return f'<figure class="board-chart">{svg}<figcaption>{label}. {key}</figcaption></figure>'


def best_so_far(rows: list[Row]) -> list[tuple[int, float]]:
    """Year by year, the best accuracy of the methods published until then; only the years in which it rises."""
    best: list[tuple[int, float]] = []
    for year, group in groupby(sorted(rows, key=lambda r: r["year"]), lambda r: r["year"]):
        acc = max(row["acc"] for row in group)
        if not best or acc > best[-1][1]:
            best.append((year, acc))
    return best


def printed(rows: list[Row], site: str) -> str:
    """The short form for the PDF, in LaTeX: for each data set the highest accuracy first."""
    note = rf"The site has every column of this table, sorts it and filters it: \url{{{site}}}. *: labels had a say."
    lines = [rf"{{\bookaside {note}\par}}"]
    lines += [r"\begin{longtable}{@{}>{\raggedright}p{56mm}lrrr>{\raggedright\arraybackslash}p{38mm}@{}}"]
    heads = ("Method and additions", "Whose", "ACC", "NMI", "ARI", "Source")
    lines += [r"\toprule " + " & ".join(heads) + r" \\ \midrule \endhead \bottomrule \endfoot"]
    for data, group in groupby(sorted(rows, key=lambda r: (r["data"], -(r["acc"] or 0))), lambda r: r["data"]):
        lines += [rf"\multicolumn{{6}}{{@{{}}l}}{{\rule{{0pt}}{{2.6ex}}\textbf{{{data}}}}} \\* \nopagebreak"]
        lines += [" & ".join(printed_cells(row)) + r" \\" for row in group]
    return "\n".join((r"\begingroup\booksmalltable", *lines, r"\end{longtable}", r"\endgroup"))


def printed_cells(row: Row) -> Iterator[str]:
    yield texescape.escape(row["name"], "xelatex") + (r"\,*" if row["chosen"] else "")
    yield row["whose"]
    yield number(row["acc"]) + (f" ± {number(row['acc_sd'])}" if row["acc_sd"] is not None else "")
    yield from (number(row["nmi"]), number(row["ari"]))
    yield texescape.escape(row["source"], "xelatex")


class Leaderboard(SphinxDirective):
    """The chart, the controls and the table; the page is read again whenever a record changes."""

    def run(self) -> list[nodes.Node]:
        for path in CHECKOUT.rglob("*.json"):
            self.env.note_dependency(str(path))
        tree = f"{self.config.html_theme_options['repository_url']}/blob/main"
        rows = [row | {"link": f"{tree}/{row['code']}"} for row in board(CHECKOUT)]
        html = f'{charts(rows)}<div class="leaderboard">{controls(rows)}{table(rows)}</div>'
        paper = printed(rows, f"{self.config.html_baseurl}{self.env.docname}.html")
        return [
            nodes.raw("", f'{html}<script src="../_static/leaderboard.js" defer></script>', format="html"),
            nodes.raw("", paper, format="latex"),
        ]


def as_csv(rows: list[Row]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {key: " + ".join(row[key]) for key in ("added", "otherwise")} for row in rows)
    return out.getvalue()


def write_files(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        rows, folder = board(CHECKOUT), Path(app.outdir, "_static")
        (folder / "leaderboard.csv").write_text(as_csv(rows), encoding="utf-8")
        (folder / "leaderboard.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.add_directive("leaderboard", Leaderboard)
    app.connect("build-finished", write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

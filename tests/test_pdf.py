"""The PDF: what becomes of folds, films, tables and macros on paper; and, where it is built, that it is whole."""

import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from docutils import nodes

from _ext import pdf_book
from tools import pdf

ROOT = Path(__file__).resolve().parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
MACROS = CONFIG["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]
HOME = CONFIG["html"]["baseurl"]
DEFINED = re.compile(r"\\providecommand\{\\(\w+)\}\{\}\\renewcommand\{\\(\w+)\}(?:\[(\d)\])?\{(.*)\}")


def test_macros_are_those_of_the_site() -> None:
    lines = [DEFINED.fullmatch(line).groups() for line in pdf_book.latex_macros(MACROS).splitlines()]
    assert all(provided == renewed for provided, renewed, *_ in lines)
    assert {name: [body, int(count)] if count else body for name, _, count, body in lines} == MACROS


def test_the_configuration_names_the_extension() -> None:
    assert CONFIG["sphinx"]["local_extensions"]["pdf_book"] == "_ext"
    assert CONFIG["latex"]["use_jupyterbook_latex"] is False  # it would shape parts and cells its own way


def test_the_site_is_translated_by_its_theme() -> None:
    """A translator that is set for LaTeX keeps the theme from adapting that of HTML."""
    told = []

    def note(name: str, *_: object, **__: object) -> None:
        told.append(name)

    for form in ("html", "latex"):
        pdf_book.translate(SimpleNamespace(builder=SimpleNamespace(format=form), set_translator=note))
    assert told == ["latex"]
    app = SimpleNamespace(setup_extension=note, set_translator=None, connect=lambda *_, **__: None)
    app.add_node = app.add_post_transform = app.connect
    pdf_book.setup(app)  # which sets none itself


@pytest.mark.parametrize("widths", [[10, 10], [30, 30, 20], [8] * 9, [12, 40, 200], [60, 60, 60], [5, 90]])
def test_tables_fit_the_page(widths: list[int]) -> None:
    for long in (False, True):
        spec = pdf_book.columns(widths, long)
        shares = [int(share) for share in re.findall(r"\\X\{(\d+)\}", spec)]
        if not shares:
            fixed = [width for width, kind in zip(widths, spec, strict=True) if kind == "l"]
            assert sum(fixed) + 3 * len(widths) <= pdf_book.LINE and set(spec) <= {"l", "L"}
        else:
            assert long and len(shares) == len(widths) and f"{{{sum(shares)}}}" in spec
    assert ("L" in pdf_book.columns(widths, False)) == (pdf_book.room(widths) > pdf_book.LINE)


def cell(*tags: str) -> nodes.container:
    parts = [nodes.container(nb_element=f"cell_code_{part}") for part in ("source", "output")]
    classes = ["cell", *(f"tag_{tag}" for tag in tags)]
    return nodes.container("", *parts, nb_element="cell_code", classes=classes)


def test_code_that_the_site_hides_is_left_out() -> None:
    cells = {tag: cell(tag) for tag in ("plumbing", "hide-cell", "hide-input", "nbval-check-output")}
    pdf_book.PrintedElements.drop_cells(SimpleNamespace(document=nodes.container("", *cells.values())))
    left = {tag: [part["nb_element"] for part in node.children] for tag, node in cells.items()}
    both, output = ["cell_code_source", "cell_code_output"], ["cell_code_output"]
    assert left == {"plumbing": [], "hide-cell": output, "hide-input": output, "nbval-check-output": both}


def test_below_the_picture_of_a_film_stands_where_it_plays() -> None:
    film = nodes.container("", nodes.raw("", '<div class="dclib-film">', format="html"), nb_element="mime_bundle")
    plot = nodes.container("", nodes.image(uri="plot.png"), nb_element="mime_bundle")
    page = nodes.section("", film, plot, docname="notebooks/start/first_run")
    config = SimpleNamespace(html_baseurl=HOME)
    pdf_book.PrintedElements.note_films(SimpleNamespace(document=page, config=config))
    assert len(page) == 3 and page[2] is plot
    assert next(page[1].findall(nodes.reference))["refuri"] == f"{HOME}notebooks/start/first_run.html"


def test_a_fold_keeps_its_title() -> None:
    fold = nodes.container(
        "", nodes.rubric("", "Hint"), nodes.paragraph("", "Think."), design_component="dropdown", has_title=True
    )
    page = nodes.container("", fold)
    pdf_book.PrintedElements.fold(SimpleNamespace(document=page))
    assert isinstance(page[0], pdf_book.Box) and page[0]["environment"] == "bookfold"
    assert isinstance(page[0][0], nodes.title) and page[0].astext().split() == ["Hint", "Think."]


def test_what_the_extensions_write_is_defined() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "_ext").glob("*.py"))
    style = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "book" / "_latex").glob("*.sty"))
    used = set(re.findall(r"\\(book\w+)", code)) | set(re.findall(r'"(book(?:fold|openfold|exercise|solution))"', code))
    defined = set(re.findall(r"(?:newcommand|DeclareRobustCommand|newfontfamily)\{*\\(book\w+)", style + code))
    defined |= set(re.findall(r"newenvironment\{(book\w+)\}", style))
    assert len(used) > 8 and used <= defined


def test_a_log_tells_what_is_wrong() -> None:
    log = (
        "Missing character: There is no ● (U+25CF) in font A!\n"
        "Overfull \\hbox (30.5pt too wide) in paragraph\nOverfull \\hbox (2.5pt too wide) in paragraph\n"
        "LaTeX Warning: Reference `a' on page 1 undefined on input line 2.\n"
        "LaTeX Warning: Hyper reference `b' on page 1 undefined on input line 3.\n! Undefined control sequence.\n"
    )
    wrong, wide = pdf.trouble(log)
    assert len(wrong) == 4 and wide == 1
    assert pdf.trouble("LaTeX Warning: Label(s) may have changed.\n") == ([], 0)


def test_what_is_lacking_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    remedy = f"apt-get install --no-install-recommends {pdf.PACKAGES}"
    assert "latexmk, xelatex" in pdf.lacking() and remedy in pdf.lacking()
    assert remedy in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_site_gets_the_pdf_to_which_its_pages_lead() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/pages.yml").read_text(encoding="utf-8"))["jobs"]["build"]["steps"]
    commands = [step.get("run", step.get("uses", "")) for step in steps]
    copied = next(command for command in commands if command.startswith("install -D"))
    _, _, source, target = copied.split()
    assert source == f"{pdf.OUT.relative_to(ROOT)}/{pdf.NAME}.pdf"
    places = [commands.index(name) for name in ("make book", "make pdf", copied)]
    places.append(next(i for i, name in enumerate(commands) if "upload-pages-artifact" in name))
    assert places == sorted(places)
    address = HOME + target.removeprefix("_build/html/")
    for page in ("README.md", "book/index.md", "book/how_to_use.md"):
        assert f"]({address})" in (ROOT / page).read_text(encoding="utf-8"), page


def test_the_pdf_is_whole() -> None:
    path = pdf.OUT / f"{pdf.NAME}.pdf"
    if not path.is_file():
        pytest.skip("no PDF in _build/pdf: run `make pdf` first")
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is missing: install poppler-utils")
    text = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True).stdout
    assert text.count("\f") > 100
    title, contents = text.split("\f")[0], text.split("\f")[2]
    assert CONFIG["title"] in title and CONFIG["author"] in title and HOME in title
    assert "Contents" in contents and "Foundations" in contents and "Bibliography" in contents
    for words in ("(2.2.1)", "Solution to Exercise 2.2.1", "●○○", "Xie et al., 2016", "it plays on the site"):
        assert words in text, words
    assert not re.search(r"\{(?:cite|doc|eq|ref|glue)[:\w]*\}|\[\?\]|\(\?\?\)", text)
    assert "importlib.util.find_spec" not in text  # the folded first cell

"""The plain notebooks: in Markdown alone, with the numbers of the stored run, and running where they lie alone."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from html import escape
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, SITE
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from playwright.sync_api import Page, expect

from tools import chapters, plain

CHAPTERS = [path.relative_to(ROOT).as_posix() for path in chapters.files()]
MYST = re.compile(r"\{[a-z][a-z:.-]*\}`|^\s*:::|^\s*`{3,}\{|^\(\S+\)=$", re.M)
MACRO = re.compile(r"\\(?:R|E|KL|argmin|argmax)(?![A-Za-z])")
QUOTED = re.compile(r"\{glue:text\}`([\w.-]+?)(?::([^`]*))?`")
PAPERMILL = "application/papermill.record/text/plain"
OPENED = ("notebooks/autoencoders/dec", "notebooks/autoencoders/idec", "notebooks/foundations/metrics")


def read(name: str, root: Path = SITE) -> nbformat.NotebookNode:
    return nbformat.read(root / name, 4)


def markdown(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def quoted(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Return what the stored run of a chapter gave its prose, by name."""
    outputs = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    found = (o for o in outputs if "scrapbook" in o.get("metadata", {}) and PAPERMILL in o.get("data", {}))
    return {o.metadata["scrapbook"]["name"]: o.data[PAPERMILL].strip("'") for o in found}


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_role_directive_or_macro_is_left(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    text = re.sub(r"```.*?```|`[^`\n]*`", "", markdown(notebook), flags=re.S)
    assert not MYST.findall(markdown(notebook))
    assert not MACRO.findall(text)
    assert not any("papermill" in str(cell.get("outputs", "")) for cell in notebook.cells)
    assert len(markdown(notebook).split()) > 0.9 * len(markdown(read(name, ROOT)).split()) - 100


@pytest.mark.parametrize("name", CHAPTERS)
def test_code_and_numbers_are_those_of_the_chapter(name: str) -> None:
    source, text = read(name, ROOT), markdown(read(name))
    code = [cell.source for cell in source.cells if cell.cell_type == "code"]
    mine = [cell.source for cell in read(name).cells if cell.cell_type == "code"]
    assert [theirs for theirs in code if not any(own.startswith(theirs) for own in mine)] == []
    known = quoted(source)
    for number, form in QUOTED.findall(markdown(source)):
        value = format(float(known[number]), form) if form else known[number]
        assert value in text.replace("\\*", "*"), number


@pytest.mark.parametrize("name", CHAPTERS)
def test_runs_alone_in_an_empty_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = read(name)
    monkeypatch.setenv("DCLIB_PROFILE", "quick")
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [o.text for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs if "text" in o]
    assert not QUOTED.search(markdown(read(name, ROOT))) or any(": " in text for text in printed)


@pytest.mark.parametrize("name", CHAPTERS)
def test_becomes_html_without_a_stray_brace(name: str) -> None:
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(read(name))
    seen = re.sub(r"(?s)<(script|style|pre|code|svg)\b.*?</\1>|<[^>]*>|\$\$.*?\$\$|\$[^$]*\$", "", body)
    assert not MYST.findall(seen)
    assert "{glue" not in seen and "```" not in seen


@pytest.mark.parametrize("name", CHAPTERS)
def test_figures_are_described(name: str) -> None:
    outputs = [o for cell in read(name).cells if cell.cell_type == "code" for o in cell.outputs if "data" in o]
    figures = [o for o in outputs if "image/png" in o.data and "text/html" not in o.data]
    assert figures
    assert all(len(o.metadata["image/png"]["alt"].split()) >= 12 for o in figures)
    page, _ = HTMLExporter(template_name="basic").from_notebook_node(read(name))
    told = [escape(o.metadata["image/png"]["alt"], quote=False).replace('"', "&quot;") for o in figures]
    assert all(f'alt="{words}"' in page for words in told)


def test_what_the_branch_holds(tmp_path: Path) -> None:
    found = plain.gather(SITE, tmp_path / "plain")
    assert [path.relative_to(tmp_path / "plain").as_posix() for path in found] == sorted(CHAPTERS)
    environment = (tmp_path / "plain" / "environment.yml").read_text()
    assert "git+https" in environment and "-e ." not in environment
    with pytest.raises(FileNotFoundError, match="make book"):
        plain.gather(tmp_path / "nowhere", tmp_path / "other")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JupyterLab that shows the plain notebooks, with settings of its own."""
    folder = tmp_path_factory.mktemp("lab")
    plain.gather(SITE, folder / "plain")
    address, settings = folder / "address", {"JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_DATA_DIR": str(folder)}
    words = ["--no-browser", "--allow-root", "--port=0", "--IdentityProvider.token=", "--ServerApp.password="]
    programs = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["./postBuild"], cwd=folder / "plain", env=os.environ | settings | programs, check=True)
    command = [sys.executable, "-m", "jupyterlab", *words, f"--ServerApp.root_dir={folder / 'plain'}"]
    with address.open("w") as log, subprocess.Popen(command, stderr=log, env=os.environ | settings) as server:
        try:
            yield listening(address)
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:  # it may wait for a thread of its own that never ends
                server.kill()


def listening(log: Path, seconds: float = 90) -> str:
    """Return the address that a server says it listens on, once it answers."""
    for _ in range(int(2 * seconds)):
        if (found := re.search(r"http://(?:localhost|127\.0\.0\.1):(\d+)/lab", log.read_text())) is not None:
            address = f"http://127.0.0.1:{found[1]}"
            with urllib.request.urlopen(f"{address}/api"):
                return address
        time.sleep(0.5)
    raise TimeoutError(log.read_text())


@pytest.mark.parametrize("name", OPENED)
def test_in_jupyterlab(page: Page, lab: str, name: str) -> None:
    page.goto(f"{lab}/doc/tree/{name}.ipynb")
    shown = page.locator(".jp-NotebookPanel")
    heading = read(f"{name}.ipynb").cells[0].source.splitlines()[0].removeprefix("# ")
    expect(shown.locator("h1", has_text=heading)).to_be_visible(timeout=120_000)
    expect(shown.locator("mjx-container").first).to_be_attached(timeout=60_000)
    text = shown.inner_text()
    assert "{glue" not in text and "{eq}" not in text and "{cite" not in text


def test_jupyterlab_begins_with_the_first_chapter(page: Page, lab: str) -> None:
    """What Binder shows where an address names no notebook: the workspace that `postBuild` made."""
    page.goto(f"{lab}/lab", wait_until="commit")
    heading = read(plain.FIRST).cells[0].source.splitlines()[0].removeprefix("# ")
    expect(page.locator(".jp-NotebookPanel h1", has_text=heading)).to_be_visible(timeout=120_000)

"""Repairs and derived settings: one address for all, doubled scripts, MathJax files that no page loads."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config

# What the pages ask for: the loader with TeX input and CHTML output, and its fonts.
MATHJAX_KEPT = re.compile(r"^(tex-chtml\.js|output/chtml/fonts/woff-v2/.*\.woff2?|input/tex/extensions/.*)$")

# What the theme writes, and what a screen reader can use: names that say what is seen, and names where there were none.
REPAIRS = [
    (re.compile(r"<summary>(?=\s*<span class=\"toctree-toggle\")"), '<summary aria-label="Pages of this part">'),
    (re.compile(r"(<button class=\"btn search-button-field[^>]*?)\s*aria-label=\"Search\""), r"\1"),
    (re.compile(r"(<i class=\"theme-switch[^>]*?)\s*title=\"[^\"]*\""), r"\1"),
    (re.compile(r" aria-label=\"Toggle hidden content\""), ""),
    (re.compile(r"<div role=\"list\" class=\"citation-list\">"), '<div class="citation-list">'),
    # Readers elsewhere get the plain notebooks: beside the page, and on a branch of their own.
    (re.compile(r"_sources/(notebooks/[\w/-]+\.ipynb)"), r"\1"),
    (re.compile(r"(mybinder\.org/v2/gh/[\w.-]+/[\w.-]+)/main\?"), r"\1/notebooks?"),
    (re.compile(r"(colab\.research\.google\.com/github/[\w.-]+/[\w.-]+/blob)/main/"), r"\1/notebooks/"),
]


def repair_pages(app: Sphinx, exception: Exception | None) -> None:
    """Apply REPAIRS to every page."""
    for path in [] if exception or app.builder.format != "html" else Path(app.outdir).rglob("*.html"):
        text = repaired = path.read_text(encoding="utf-8")
        for pattern, replacement in REPAIRS:
            repaired = pattern.sub(replacement, repaired)
        if repaired != text:
            path.write_text(repaired, encoding="utf-8")


def spread_address(app: Sphinx, config: Config) -> None:
    """Derive from `html: baseurl` what else needs the site's address (the 404 page has absolute links)."""
    base = urlsplit(config.html_baseurl).path
    config.ogp_site_url = config.html_baseurl
    config.notfound_urls_prefix = base
    page = config.notfound_context
    config.notfound_context = {**page, "body": page["body"].replace("{base}", base)}


def drop_doubled_scripts(app: Sphinx, pagename: str, template: str, context: dict, doctree) -> None:
    """sphinx-thebe 0.3.1 adds its inline script twice: a JavaScript error on every page."""
    seen, kept = set(), []
    for script in context.get("script_files", []):
        body = getattr(script, "attributes", {}).get("body")
        if body and body in seen:
            continue
        seen.add(body)
        kept.append(script)
    context["script_files"] = kept


def prune_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """sphinx-mathjax-offline copies all of MathJax; keep what the pages load."""
    root = Path(app.outdir, "_static", "mathjax")
    if exception or not root.is_dir():
        return
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif not MATHJAX_KEPT.match(path.relative_to(root).as_posix()):
            path.unlink()


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", spread_address, priority=1)
    app.connect("html-page-context", drop_doubled_scripts, priority=999)
    app.connect("build-finished", repair_pages)
    app.connect("build-finished", prune_mathjax, priority=999)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Gather the plain notebooks of a built site into a folder that Binder, Colab and JupyterLab can open.

What is in it is what the branch ``notebooks`` holds: the chapters, an environment, the licences, and for Binder a
workspace in which JupyterLab begins, with the first chapter open.
"""

import argparse
import json
import re
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import nbformat

from tools.chapters import ROOT
from tools.sync import urls

README = """# {title}

The chapters of <{book}> as plain notebooks: for JupyterLab, Binder and Colab. They are made from {repository};
changes belong there.

| Chapter | Run it |
| --- | --- |
{rows}
"""
ROW = "| [{title}]({path}) | [Binder]({binder}), [Colab]({colab}) |"
BINDER = "https://mybinder.org/v2/gh/{slug}/notebooks?urlpath=lab/tree/{path}"
COLAB = "https://colab.research.google.com/github/{slug}/blob/notebooks/{path}"
FIRST = "notebooks/start/first_run.ipynb"
WORKSPACE = "start.jupyterlab-workspace"
POST_BUILD = f"""#!/bin/bash
# Binder runs this when its image is built: JupyterLab begins with the first chapter open.
jupyter lab workspaces import {WORKSPACE}
"""
TITLE = "Deep Clustering: derived, built, measured"
SITE, OUT = ROOT / "_build" / "html", ROOT / "_build" / "plain"


def environment(text: str, repository: str) -> str:
    """Return ``environment.yml`` with the package from its repository: the branch does not hold it."""
    return re.sub(r"- -e \.\[([\w,]+)\]", rf'- "dclib[\1] @ git+{repository}"', text)


def workspace(path: str = FIRST) -> str:
    """Return a workspace of JupyterLab, its default one, in which one notebook is open."""
    name = f"notebook:{path}"
    dock = {"type": "tab-area", "currentIndex": 0, "widgets": [name]}
    data = {
        "layout-restorer:data": {"main": {"dock": dock, "current": name}},
        name: {"data": {"path": path, "factory": "Notebook"}},
    }
    return json.dumps({"data": data, "metadata": {"id": "default"}}, indent=1)


def readme(out: Path, root: Path) -> str:
    """Return the page of the branch: the chapters in the order of the book, and where they run."""
    links = urls(root)
    slug, rows = links["Repository"].removeprefix("https://github.com/"), []
    order = re.findall(r"file: (notebooks/\S+)", (root / "_toc.yml").read_text(encoding="utf-8"))
    for name in (f"{name}.ipynb" for name in order if (out / f"{name}.ipynb").is_file()):
        title = nbformat.read(out / name, 4).cells[0].source.splitlines()[0].removeprefix("# ")
        addresses = {"binder": BINDER.format(slug=slug, path=name), "colab": COLAB.format(slug=slug, path=name)}
        rows.append(ROW.format(title=title, path=name, **addresses))
    return README.format(title=TITLE, book=links["Book"], repository=links["Repository"], rows="\n".join(rows))


def clear(out: Path) -> set[Path]:
    """Delete what was gathered into ``out`` before, and return the notebooks that a reader changed, which stay."""
    ledger, found = out.with_suffix(".json"), set()
    for name, digest in (json.loads(ledger.read_text(encoding="utf-8")) if ledger.is_file() else {}).items():
        if (path := out / name).is_file():
            if sha256(path.read_bytes()).hexdigest() == digest:
                path.unlink()
            else:
                found.add(path)
    return found


def gather(site: Path = SITE, out: Path = OUT, root: Path = ROOT) -> list[Path]:
    """Copy the notebooks of ``site`` to ``out``, with what belongs beside them; return their paths.

    A notebook that was changed there since the last time stays as it is, and so do files that were never gathered.

    Raises
    ------
    FileNotFoundError
        If the site has none.
    """
    found = sorted(site.glob("notebooks/*/*.ipynb"))
    if not found:
        raise FileNotFoundError(f"no plain notebooks in {site}: run `make book` first")
    ledger, changed = {}, clear(out)
    for path in found:
        target = out / path.relative_to(site)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target in changed:
            print(f"{target} was changed here and stays; delete it to get the new one")
        else:
            shutil.copyfile(path, target)
        ledger[str(path.relative_to(site))] = sha256(path.read_bytes()).hexdigest()
    out.with_suffix(".json").write_text(json.dumps(ledger, indent=1), encoding="utf-8")
    for name in ("LICENSE", "LICENSE-TEXT"):
        shutil.copyfile(root / name, out / name)
    text = (root / "environment.yml").read_text(encoding="utf-8")
    (out / "environment.yml").write_text(environment(text, urls(root)["Repository"]), encoding="utf-8")
    (out / "README.md").write_text(readme(out, root), encoding="utf-8")
    (out / WORKSPACE).write_text(workspace(), encoding="utf-8")
    (out / "postBuild").write_text(POST_BUILD, encoding="utf-8")
    (out / "postBuild").chmod(0o755)
    return [out / path.relative_to(site) for path in found]


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.plain", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    print(f"{len(gather(out=args.out))} plain notebooks in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

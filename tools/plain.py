"""Gather the plain notebooks of a built site into a folder that Binder, Colab and JupyterLab can open.

What is in it is what the branch ``notebooks`` holds: the chapters, an environment, the licences.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

from tools.chapters import ROOT
from tools.sync import urls

README = """# {title}

The chapters of <{book}> as plain notebooks: for JupyterLab, Binder and Colab. They are made from {repository};
changes belong there.
"""
TITLE = "Deep Clustering: derived, built, measured"
SITE, OUT = ROOT / "_build" / "html", ROOT / "_build" / "plain"


def environment(text: str, repository: str) -> str:
    """Return ``environment.yml`` with the package from its repository: the branch does not hold it."""
    return re.sub(r"- -e \.", f'- "dclib[umap] @ git+{repository}"', text)


def gather(site: Path = SITE, out: Path = OUT, root: Path = ROOT) -> list[Path]:
    """Copy the notebooks of ``site`` to ``out``, with what belongs beside them; return their paths.

    Raises
    ------
    FileNotFoundError
        If the site has none.
    """
    found = sorted(site.glob("notebooks/*/*.ipynb"))
    if not found:
        raise FileNotFoundError(f"no plain notebooks in {site}: run `make book` first")
    shutil.rmtree(out, ignore_errors=True)
    for path in found:
        target = out / path.relative_to(site)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    links = urls(root)
    for name in ("LICENSE", "LICENSE-TEXT"):
        shutil.copyfile(root / name, out / name)
    text = (root / "environment.yml").read_text(encoding="utf-8")
    (out / "environment.yml").write_text(environment(text, links["Repository"]), encoding="utf-8")
    page = README.format(title=TITLE, book=links["Book"], repository=links["Repository"])
    (out / "README.md").write_text(page, encoding="utf-8")
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

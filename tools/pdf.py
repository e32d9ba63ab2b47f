"""Build the PDF of the book from the same sources as the site: Sphinx writes LaTeX, and XeLaTeX sets it.

No network is needed, and ``_build/html`` is left alone. What becomes of folds, films and hidden code on paper is in
``_ext/pdf_book.py``; the look is in ``book/_latex/``.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.chapters import ROOT

OUT, NAME = ROOT / "_build" / "pdf", "deep-clustering"
# Of Debian and Ubuntu; what they depend on comes with them.
PACKAGES = "latexmk texlive-xetex texlive-fonts-recommended fonts-texgyre fonts-texgyre-math fonts-dejavu-core"
FILES = ("unicode-math.sty", "titlesec.sty", "pzdr.tfm", "texgyrepagella-regular.otf", "texgyrepagella-math.otf")
LATEXMK = ("latexmk", "-xelatex", "-dvi-", "-ps-", "-interaction=nonstopmode", "-halt-on-error", "-quiet")
WRONG = re.compile(r"^! .*|^Missing character: .*|^LaTeX Warning: (?:Hyper r|R)eference .*undefined.*", re.M)
OVERFULL = re.compile(r"^Overfull \\[hv]box \((\d+(?:\.\d+)?)pt too (?:wide|high)\)", re.M)
TOO_WIDE = 10.0  # points; less is not seen


def lacking() -> str:
    """What stops the build on this machine, with the remedy; empty if nothing does."""
    wanted = [name for name in ("latexmk", "xelatex", "kpsewhich") if shutil.which(name) is None]
    if not wanted:
        found = subprocess.run(["kpsewhich", *FILES], capture_output=True, text=True).stdout
        wanted = [name for name in FILES if name not in found]
    remedy = f"on Debian and Ubuntu: apt-get install --no-install-recommends {PACKAGES}"
    return f"the PDF needs {', '.join(wanted)}; {remedy}" if wanted else ""


def date_of_sources() -> dict[str, str]:
    """The time of the last commit, as the date of the book: the same sources give the same PDF."""
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    return {"SOURCE_DATE_EPOCH": done.stdout.strip()} if done.stdout.strip() else {}


def run(command: tuple[str | Path, ...], folder: Path, log: Path) -> None:
    """Run a command; if it fails, end with what it wrote of warnings and errors, or last."""
    environment = date_of_sources() | os.environ | {"FORCE_SOURCE_DATE": "1", "max_print_line": "10000"}
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run([*map(str, command)], cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line for line in lines if re.search(r"WARNING|ERROR|^! ", line)] or lines[-30:]
        sys.exit("\n".join((*told, f"{command[0]} failed; all that it wrote is in {log}")))


def trouble(log: str) -> tuple[list[str], int]:
    """What is wrong in a log of XeLaTeX (errors, signs that no font has, dead links); boxes too wide, counted."""
    wide = sum(float(width) > TOO_WIDE for width in OVERFULL.findall(log))
    return list(dict.fromkeys(match[0] for match in WRONG.finditer(log))), wide


def build(out: Path = OUT) -> Path:
    """Write the PDF below ``out`` and return its path."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    book = Path(sys.executable).with_name("jupyter-book")
    strict = ("-W", "--keep-going")
    run((book, "build", ".", "--builder", "latex", "--path-output", out, *strict), ROOT, out / "sphinx.log")
    latex = out / "_build" / "latex"
    run((*LATEXMK, f"{NAME}.tex"), latex, out / "latexmk.log")
    log = (latex / f"{NAME}.log").read_text(encoding="utf-8", errors="replace")
    wrong, wide = trouble(log)
    if wrong:
        sys.exit("\n".join(wrong))
    pdf = out / f"{NAME}.pdf"
    shutil.copyfile(latex / f"{NAME}.pdf", pdf)
    pages = re.search(r"Output written on .*\((\d+) pages", log)
    print(f"{pdf}: {pages[1]} pages, {pdf.stat().st_size / 1e6:.1f} MB, {wide} boxes too wide")
    return pdf


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.pdf", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    parser.add_argument("--packages", action="store_true", help="only say which packages of Debian it needs")
    args = parser.parse_args(argv)
    if args.packages:
        print(PACKAGES)
        return 0
    if reason := lacking():
        sys.exit(reason)
    build(args.out.resolve())
    return 0


if __name__ == "__main__":
    sys.exit(main())

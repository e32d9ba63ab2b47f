"""Mark a folder of notebooks by an assignment's autograder, without a server: one row a submission in ``marks.csv``.

What a machine marks is filled in; the columns of what a person marks are left empty. A submission's code runs on this
machine with your rights: grade what strangers hand in inside a container (the guide for teachers says how).
"""

import argparse
import csv
import json
import sys
from pathlib import Path

from otter.api import grade_submission

from tools.course import OUT, kernels


def columns(questions: list[dict]) -> list[str]:
    """Return the heading of each question's column."""
    return [q["name"] + (f" by hand (of {q['points']})" if q["manual"] else "") for q in questions]


def row(path: Path, archive: Path, questions: list[dict]) -> dict[str, object]:
    """Grade one notebook and return its row; one that cannot be graded has no points and says why."""
    marked: dict[str, object] = {"submission": path.name, **dict.fromkeys(columns(questions), "")}
    machine = {q["name"]: 0.0 for q in questions if not q["manual"]}
    try:
        with kernels():
            results = grade_submission(str(path), str(archive), quiet=True)
        machine |= {name: round(results.get_result(name).score, 3) for name in machine}
    except Exception as error:  # a broken notebook must not stop the others
        marked["trouble"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return marked | machine | {"by machine": round(sum(machine.values()), 3)}


def table(name: str, folder: Path, built: Path = OUT) -> list[dict[str, object]]:
    """Grade every notebook and every zip file in a folder, in the order of their names."""
    found = json.loads((built / "questions" / f"{name}.json").read_text(encoding="utf-8"))
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".ipynb", ".zip"))
    rows = []
    for path in paths:
        rows.append(row(path, built / "autograder" / f"{name}.zip", found))
        print(f"{path.name}: {rows[-1]['by machine']:g} points by machine {rows[-1].get('trouble', '')}", flush=True)
    return rows


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.marks", description=__doc__.splitlines()[0])
    parser.add_argument("assignment", help="its name, e.g. 01-metrics")
    parser.add_argument("folder", type=Path, help="where the submissions are; marks.csv is written there")
    parser.add_argument("--built", type=Path, default=OUT, help="what `make course` built")
    args = parser.parse_args(argv)
    rows = table(args.assignment, args.folder, args.built)
    if not rows:
        sys.exit(f"no notebooks in {args.folder}")
    heads = list(dict.fromkeys(key for row in rows for key in row))
    with open(args.folder / "marks.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, heads)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{args.folder / 'marks.csv'}: {len(rows)} submissions")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The ``dclib`` command: train and record, look after data, print the leaderboard.

What a command needs is imported when it runs, so that help and refusals come at once.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dclib import __version__
from dclib.profiles import PROFILES

BASELINE_NAMES = (
    *("k-means", "gmm", "umap-gmm", "umap-hdbscan", "rim", "k-shape", "dtw-kmeans"),
    *("features-kmeans", "features-gmm", "features-spectral"),
)
METHOD_NAMES = sorted(path.stem.replace("_", "-") for path in Path(__file__).with_name("methods").glob("[!_]*.py"))

WHAT = "Train methods and record the runs, look after data sets, print the leaderboard."
EXAMPLES = """examples:
  dclib run dec --data mnist-10k --seeds 0-4        five runs, five records, one summary; images are augmented
  dclib run dec --set augment=null                  the paper's DEC, which augments nothing
  dclib run dec --set 'augment={"degrees": 10}'     another transform
  dclib run dec --data mnist --profile full         longer, on all 70,000 digits
  dclib run dec --data digits --set epochs=20 --set hidden=[64]
  dclib run dac --data mnist --restarts 3           three runs a seed; the one of least loss counts
  torchrun --nproc-per-node 2 -m dclib run dec      DEC, shared by two processes
  dclib data list                                   what there is, and what is already here
  dclib data get mnist                              download now, so that training can go offline
  dclib data check                                  verify the checksum of everything cached
  dclib leaderboard --data mnist-10k                published beside reproduced; --variants for ablations, --json

exit codes: 0 all well, 1 a run or a check failed, 2 the command was wrong"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 all well, 1 something failed, 2 the command was wrong."""
    options = _parser().parse_args(arguments)
    try:
        return options.do(options)
    except ValueError as error:
        print(f"dclib: {error}", file=sys.stderr)
        return 2
    except (OSError, ArithmeticError) as error:
        print(f"dclib: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dclib: stopped", file=sys.stderr)
        return 130


def seeds(text: str) -> list[int]:
    """Read ``"0-4"``, ``"7"`` or ``"0,2,5-6"`` as a list of seeds.

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is anything else.
    """
    try:
        found = [seed for part in text.split(",") for seed in _range(part)]
    except ValueError:
        found = []
    if not found:
        raise argparse.ArgumentTypeError(f"seeds {text!r} are not a list of whole numbers such as 0-4 or 0,2,5")
    return found


def setting(text: str) -> tuple[str, Any]:
    """Read ``name=value``, where the value is JSON, e.g. ``epochs=20`` or ``hidden=[500,500]``.

    Raises
    ------
    argparse.ArgumentTypeError
        If there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=value")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def restarts(text: str) -> int:
    """Read how often a seed is trained, at least once.

    Raises
    ------
    argparse.ArgumentTypeError
        If the text is anything else.
    """
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"restarts {text!r} are not a whole number, 1 or more")
    return int(text)


def _range(text: str) -> range:
    first, dash, last = text.strip().partition("-")
    return range(int(first), int(last if dash else first) + 1)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("dclib", description=WHAT, epilog=EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"dclib {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_run(
        commands.add_parser(
            "run",
            help="train a method over seeds and write one record a run",
            epilog=EXAMPLES,
            formatter_class=raw,
        )
    )
    _add_data(
        commands.add_parser("data", help="list, fetch and verify data sets", epilog=EXAMPLES, formatter_class=raw)
    )
    _add_leaderboard(commands.add_parser("leaderboard", help="print published and reproduced figures side by side"))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", help=f"one of: {', '.join((*BASELINE_NAMES, *METHOD_NAMES))}")
    parser.add_argument("--data", default="mnist-10k", help="data set (default: %(default)s; see 'dclib data list')")
    parser.add_argument("--seeds", type=seeds, default=[0], metavar="0-4", help="seeds to run (default: 0)")
    parser.add_argument("--profile", choices=PROFILES, help="size of the run (default: DCLIB_PROFILE, else book)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="parameters",
        help="a parameter of the method, as JSON; may be repeated",
    )
    _add_out(parser)
    parser.add_argument(
        "--pretrained",
        type=Path,
        metavar="FOLDER",
        help="keep networks after the first phase here; methods that share it train it once",
    )
    parser.add_argument(
        "--restarts", type=restarts, default=1, metavar="N", help="train N times a seed and keep the run of least loss"
    )
    parser.add_argument("--curve", action="store_true", help="record the accuracy after each epoch too")
    parser.add_argument("--again", action="store_true", help="run seeds whose record is already there")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.set_defaults(do=_run)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, help="folder of the records (default: the checkout's, else ./results)")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "get", "check"))
    parser.add_argument("names", nargs="*", help="data sets (default for check: all that are here)")
    parser.set_defaults(do=_data)


def _add_leaderboard(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="only this data set")
    parser.add_argument("--variants", action="store_true", help="show ablations too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a Markdown table")
    _add_out(parser)
    parser.set_defaults(do=_leaderboard)


def _run(options: argparse.Namespace) -> int:
    from dclib import parallel

    try:
        return _run_seeds(options)
    finally:
        parallel.finish()


def _run_seeds(options: argparse.Namespace) -> int:
    from dclib import parallel

    first = parallel.rank() == 0  # of several processes, one speaks and writes
    for seed in options.seeds:
        record, when = _record(options, seed, first)
        if first:
            scores = "  ".join(f"{key.upper()} {record[key]:.4f}" for key in ("acc", "nmi", "ari"))
            print(f"seed {seed}: {when}{scores}  {record['seconds']:.1f} s", flush=True)
    if first:
        _print_summary(options)
    return 0


def _record(options: argparse.Namespace, seed: int, first: bool) -> tuple[dict[str, Any], str]:
    """Return the record of a seed, and when it was written if it was there: else train it."""
    from dclib import parallel

    with parallel.together():  # machines may share no disk: what the first one finds on its own is what counts
        record, why = parallel.told_by_first(_recorded(options, seed) if first else None)
    if record:
        return record, f"recorded on {record['when'][:10]}, "
    if why and first:
        print(f"seed {seed}: {why}; running again", flush=True)
    return (_train if options.restarts == 1 else _train_often)(options, seed, first), ""


def _train_often(options: argparse.Namespace, seed: int, first: bool) -> dict[str, Any]:
    """Run one seed from several random states; the record is of the run of least loss, the others lie in a folder."""
    from dclib import results

    once = argparse.Namespace(**vars(options) | {"restarts": 1})
    aside = argparse.Namespace(**vars(once) | {"out": _folder(options) / "restarts"})
    states = results.random_states(seed, options.restarts)
    runs = [_record(once if state == seed else aside, state, first)[0] for state in states]
    record = results.of_least_loss(runs)
    if first:
        results.save(record, _folder(options))
    return record


def _train(options: argparse.Namespace, seed: int, first: bool) -> dict[str, Any]:
    """Run one seed; the first process writes the record."""
    from dclib import results

    record = results.run(
        options.method,
        options.data,
        seed,
        options.profile,
        device=options.device,
        verbose=0 if options.quiet or not first else 1,
        checkpoint=_path(options, seed).with_suffix(".part"),
        pretrained=options.pretrained,
        curve=options.curve,
        **dict(options.parameters),
    )
    if first:
        results.save(record, _folder(options))
    return record


def _recorded(options: argparse.Namespace, seed: int) -> tuple[dict[str, Any] | None, str]:
    """Return the record of this very run, or ``None`` and, if there is one that does not count, why not."""
    from dclib import results

    path = _path(options, seed)
    if options.again or not path.exists():
        return None, ""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return None, f"{path} is damaged"
    try:
        changed = results.changes(record, **dict(options.parameters))
    except OSError:  # the data are out of reach: what can't be run again stands
        changed = {}
    if not changed:
        return record, ""
    words = ", ".join(f"{name} {then} → {now}" for name, (then, now) in changed.items())
    return None, f"recorded on {record['when'][:10]} with other settings ({words})"


def _folder(options: argparse.Namespace) -> Path:
    """Return where the records lie."""
    from dclib import results

    return options.out or results.RESULTS


def _variant(options: argparse.Namespace) -> dict[str, Any]:
    """Return what tells a row from the method's plain one: the parameters asked for, and restarts."""
    return dict(options.parameters) | ({"restarts": options.restarts} if options.restarts > 1 else {})


def _path(options: argparse.Namespace, seed: int) -> Path:
    """Return where the record of a seed belongs; beside it lies the checkpoint of a run that was broken off."""
    from dclib import results

    named = results.identity(options.method, options.data, seed, options.profile, **_variant(options))
    return results.record_path(named, _folder(options))


def _print_summary(options: argparse.Namespace) -> None:
    from dclib import results

    named = results.identity(options.method, options.data, 0, options.profile, **_variant(options))
    same = {key: named[key] for key in results.RUN}
    for row in results.summarise(results.records(_folder(options), **same)):
        scores = "  ".join(f"{key.upper()} {results.spread(getattr(row, key))}" for key in ("acc", "nmi", "ari"))
        seeds = f"{row.seeds} seed{'s' * (row.seeds != 1)}"
        cost = "" if row.seconds is None else f"  {row.seconds:.1f} s a run"
        print(f"{row.method} on {row.data}, {seeds}: {scores}{cost}")


def _data(options: argparse.Namespace) -> int:
    from dclib import data

    if options.action == "get" and not options.names:
        raise ValueError("'dclib data get' needs the name of a data set; see 'dclib data list'.")
    act = {"list": data.status, "get": data.get, "check": data.check}[options.action]
    found = [act(name) for name in options.names or data.names()]
    print(f"{'data set':18} {'points':>7} × {'values':<6} {'on disk':>10}  where")
    for state in found:
        size = f"{state.n_bytes / 2**20:.1f} MiB" if state.n_bytes else "–"
        print(f"{state.name:18} {state.n:>7,} × {state.d:<6,} {size:>10}  {state.state}")
        for fault in state.faults:
            print(f"    {fault}", file=sys.stderr)
    return int(any(state.state == "damaged" or state.faults for state in found))


def _leaderboard(options: argparse.Namespace) -> int:
    from dclib import leaderboard

    render = leaderboard.leaderboard_json if options.json else leaderboard.leaderboard
    print(render(_folder(options), options.data, options.variants))
    return 0


if __name__ == "__main__":
    sys.exit(main())

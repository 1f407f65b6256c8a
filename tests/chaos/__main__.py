"""Break the mill in every way we know, and check the books after each.

    ./run chaos all                      every fault, small; a table at the end
    ./run chaos R03                      one, in full; so by name: ./run chaos redis_emptied
    ./run chaos list                     what there is, and what is still open
    ./run chaos kill_workers [OPTIONS]   kill -9 at random; --help tells its options

Options: --seed N (7) chooses what is random, --small or --full how much. Exit status 1 if what
should hold does not; what is open is listed with its reason, and is no failure.
"""
# ruff: noqa: T201  a command of its own

import argparse
import sys
from collections.abc import Sequence
from time import monotonic

from tests.chaos import kill_workers
from tests.chaos.catalogue import Fault, Verdict, judge
from tests.chaos.faults import FAULTS

_WIDTHS = (5, 66, 6, 6, 6)


def main(arguments: Sequence[str]) -> int:
    """Run what *arguments* ask for; return the exit status."""
    if arguments[:1] == ["kill_workers"]:
        kill_workers.main(arguments[1:])
        return 0
    options = _options(arguments)
    if options.name == "list":
        for fault in FAULTS:
            print(f"{fault.number}  {fault.name:28} {fault.done}{_open(fault)}")
        return 0
    chosen = [fault for fault in FAULTS if options.name in ("all", fault.number, fault.name)]
    if not chosen:
        print(f"no fault is called {options.name!r}; `./run chaos list` tells all", file=sys.stderr)
        return 2
    is_full = options.full if options.full is not None else options.name != "all"
    print(f"seed {options.seed}", flush=True)
    verdicts = [_judged(fault, seed=options.seed, is_full=is_full) for fault in chosen]
    _print_table(verdicts, seed=options.seed)
    return int(any(verdict.word == "FAILS" for verdict in verdicts))


def _judged(fault: Fault, *, seed: int, is_full: bool) -> Verdict:
    print(f"{fault.number} {fault.done} …", file=sys.stderr, flush=True)
    began = monotonic()
    verdict = judge(fault, seed=seed, is_full=is_full)
    print(
        f"{fault.number} {verdict.word}, {monotonic() - began:.0f} s", file=sys.stderr, flush=True
    )
    return verdict


def _print_table(verdicts: Sequence[Verdict], *, seed: int) -> None:
    print()
    _print_row("fault", "what was done", "lost", "again", "s", "verdict")
    for verdict in verdicts:
        fault, figures = verdict.fault, verdict.figures
        told = (
            ("", "", "")
            if figures is None
            else (str(figures.lost), str(figures.paid_again), f"{figures.seconds:.0f}")
        )
        why = f": {verdict.why}" if verdict.why else ""
        _print_row(fault.number, fault.done, *told, verdict.word + why)
    words = [verdict.word for verdict in verdicts]
    counts = ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words)))
    print(f"\n{counts}; seed {seed}")
    print("lost: jobs that did not end; again: billed answers beyond the first of a job")


def _print_row(*cells: str) -> None:
    fixed = (f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS, strict=False))
    print(*fixed, cells[-1])


def _open(fault: Fault) -> str:
    return f" (open: {fault.open})" if fault.open else ""


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="all, list, a number, or a name")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--full", action=argparse.BooleanOptionalAction, help="the full size")
    parser.add_argument("--small", dest="full", action="store_false", help="the size of `all`")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The command line of a benchmark: what is asked for, and one JSON object a line for it."""

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

Plan = TypeVar("Plan")
"""what the cases of one benchmark are told"""


def asked_for(parser: argparse.ArgumentParser, kind: str, names: Sequence[str]) -> Any:
    """Parse what was typed; its `chosen` are the *names* that are asked for, all by default."""
    parser.add_argument("chosen", nargs="*", metavar=kind.upper(), help=", ".join(names))
    typed = parser.parse_args()
    unknown = [name for name in typed.chosen if name not in names]
    if unknown:
        parser.error(f"there is no {kind} {unknown[0]!r}; there are: {', '.join(names)}")
    typed.chosen = [name for name in names if not typed.chosen or name in typed.chosen]
    return typed


def tell(measured: Mapping[str, Any]) -> None:
    """Print an object."""
    sys.stdout.write(json.dumps(measured) + "\n")
    sys.stdout.flush()


def run_cases(
    program: str,
    cases: Mapping[str, Callable[[Plan], Iterator[dict[str, Any]]]],
    chosen: Sequence[str],
    plan: Plan,
) -> bool:
    """Run the cases *chosen*, and say a word for people beside each object.

    False: one of them could not be measured; the others were.
    """
    broken = [name for name in chosen if not _run(program, name, cases[name], plan)]
    return not broken


def _run(
    program: str, name: str, case: Callable[[Plan], Iterator[dict[str, Any]]], plan: Plan
) -> bool:
    try:
        for measured in case(plan):
            tell(measured)
            sys.stderr.write(f"{program}: {measured['case']}: {_verdict(measured)}\n")
    except Exception:  # noqa: BLE001  the outermost loop of a case
        sys.stderr.write(f"{program}: {name} was not measured:\n{traceback.format_exc()}")
        return False
    return True


def _verdict(measured: Mapping[str, Any]) -> str:
    if "skipped" in measured:
        return f"skipped: {measured['skipped']}"
    missed = [
        f"{name} is {measured[name]}, demanded {measured['demand'][name]}"
        for name in measured["missed"]
    ]
    return "; ".join(missed) or "all demands met"

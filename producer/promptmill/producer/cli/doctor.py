"""`promptmill doctor`: check that all parts are there, and say what to do about those that miss."""

from typing import Annotated

from typer import Exit, Option

from promptmill.producer.checkup import Check, Verdict, check_all, check_services
from promptmill.producer.cli.output import note, plain, print_json
from promptmill.schema.settings import load_settings

_SIGNS = {Verdict.OK: "✓", Verdict.NOTE: "·", Verdict.BAD: "✗"}


def doctor(
    health: Annotated[
        bool, Option("--health", help="For containers: SQL and Redis only, silent if well.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="One JSON object a part.")] = False,
) -> None:
    """Check settings, SQL, Redis, keys, workers and the dispatcher. Exit code 1 if one is bad."""
    settings = load_settings()
    all_well = True
    for check in check_services(settings) if health else check_all(settings):
        is_bad = check.verdict is Verdict.BAD
        all_well = all_well and not is_bad
        if as_json:
            print_json(check)
        elif not health:
            _tell(check)
        elif is_bad:
            note(f"{check.part}: {check.found}")
    if not all_well:
        raise Exit(1)


def _tell(check: Check) -> None:
    print(plain(f"{_SIGNS[check.verdict]} {check.part:<16} {check.found}"))
    if check.to_do:
        print(plain(f"  {'':<16} {check.to_do}"))

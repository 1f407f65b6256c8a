"""`promptmill doctor`: check that all parts are there, and say what to do about those that miss."""

from typer import Exit

from promptmill.producer.checkup import Check, Verdict, check_all, check_services
from promptmill.producer.cli.output import note, plain, print_json
from promptmill.schema.settings import load_settings

_SIGNS = {Verdict.OK: "✓", Verdict.NOTE: "·", Verdict.BAD: "✗"}


def check_parts(*, health: bool, as_json: bool) -> None:
    """Print each check, and exit with 1 if one is bad; *health*: only those of services."""
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

"""Faults that need no mill of their own: `./run test` holds them. And those that are still open."""

from tests.chaos.catalogue import Fault

FAULTS = (
    Fault(
        "R41",
        "submit_killed",
        "submit killed in the middle, and typed again",
        suites=("tests/submit/test_killed_submit.py",),
    ),
    Fault(
        "R42",
        "hostile_lines",
        "hostile JSONL",
        suites=("tests/reading/test_hostile_lines.py", "tests/reading/test_strict_json.py"),
    ),
    Fault(
        "R43",
        "hostile_files",
        "gzip bomb, a line of 300 MB, a million bad lines",
        suites=("tests/reading/test_inputs.py",),
    ),
    Fault(
        "R44",
        "injection",
        "SQL, CSV, terminal and path injection in every text",
        suites=(
            "tests/schema/test_statement.py",
            "tests/submit/test_submission.py",
            "tests/cli/test_inert.py",
            "tests/cli/test_exporting.py",
        ),
    ),
    Fault(
        "R46",
        "flower",
        "Flower without a password, with a wrong one, POST",
        suites=("tests/flower/test_login.py",),
    ),
    Fault(
        "R48",
        "bisect",
        "rows that SQL refuses in a group",
        suites=("tests/workers/test_recorder.py",),
    ),
    Fault(
        "R49",
        "states",
        "the state machine, and bugs that it must find",
        suites=("tests/schema/test_machine.py",),
    ),
    Fault("R50", "plans", "query plans", suites=("tests/schema/test_plans.py",)),
    Fault("R51", "illegal_moves", "illegal moves by hand", suites=("tests/schema/test_guards.py",)),
)

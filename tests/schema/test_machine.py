"""The moves hold under any order of events, and the machine that says so finds bugs."""

import traceback
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Connection

from promptmill.schema.database import Database
from promptmill.schema.moves import claiming, closing, rescuing
from promptmill.schema.statement import Statement
from tests.schema.machine import Moves

BEGINNING = 3
"""a search that finds every seeded bug soon; others look at a hundred examples in vain"""


def run(
    database: Database, *, examples: int, steps: int = 30, machine: type[Moves] = Moves
) -> None:
    machine.database = database
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )


def test_the_moves_hold_in_any_order(sqlite_database: Database) -> None:
    run(sqlite_database, examples=60)


def test_the_moves_hold_in_any_order_on_postgresql_too(postgres_database: Database) -> None:
    run(postgres_database, examples=6)


def altered(statement: Statement, old: str, new: str) -> Statement:
    assert old in statement._sql, "the seeded bug no longer fits the statement"
    return Statement(statement._sql.replace(old, new), *statement._row_sets.values())


SEEDED = {
    "a close does not look at the fence": (
        (closing, "_move", "jobs.fence = moves.fence", "jobs.fence >= moves.fence"),
        "only_its_own_end_or_its_rescue_ends_a_lease",
    ),
    "a running job can be claimed": (
        (claiming, "HINTED", "+jobs.state = 1 or", "+jobs.state in (1, 2) or"),
        "what is claimed was queued or due",
    ),
    "a waiting job is claimed before its time": (
        (claiming, "HINTED", "jobs.run_at <= {now}", "true"),
        "what is claimed was queued or due",
    ),
    "a stopped batch is claimed": (
        (claiming, "HINTED", "b.state = 'open'", "true"),
        "what is claimed was queued or due",
    ),
    "a job that kills its workers is tried for ever": (
        (rescuing, "_release", "crashes + 1 >= :max_crashes", "false"),
        "poison_is_quarantined",
    ),
    "what is unknown is tried again where it should be held": (
        (rescuing, "_release", "b.on_unknown = 'hold'", "false"),
        "poison_is_quarantined",
    ),
    "the cost of a late answer is not booked": (
        (
            closing,
            "_end",
            "attempts.job_id = ended.job_id",
            """attempts.job_id = ended.job_id and exists (select 1 from jobs j
            where j.id = ended.job_id and j.fence = ended.fence)""",
        ),
        "every_reported_cost_is_booked",
    ),
    "a late answer counts as succeeded": (
        (closing, "_end", "then 5", "then 1"),
        "a_job_has_a_result_if_and_only_if_it_succeeded",
    ),
    "an answer is adopted over a newer claim": (
        (closing, "_adopt", "jobs.fence = moves.fence", "jobs.fence >= moves.fence"),
        "who_runs_has_an_open_intent",
    ),
    "a repeated close is booked again": (
        (closing, "_end", "attempts.outcome = 0 or", "true or"),
        "a repeated close changes nothing",
    ),
}


@pytest.mark.parametrize("bug", SEEDED)
def test_the_machine_finds(
    bug: str, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module, name, right, wrong), found_by = SEEDED[bug]
    statement = getattr(module, name)
    if isinstance(statement, claiming.Due):
        due = replace(statement, take=altered(statement.take, right, wrong))
        monkeypatch.setitem(claiming.claim.__kwdefaults__ or {}, "due", due)
    else:
        monkeypatch.setattr(module, name, altered(statement, right, wrong))

    class Begun(Moves):
        pass

    with pytest.raises(AssertionError) as found:
        run(sqlite_database, examples=300, machine=seed(BEGINNING)(Begun))
    assert found_by in "".join(traceback.format_exception(found.value))


@pytest.mark.parametrize("trigger", ["jobs_counts", "attempts_rollup"])
def test_the_machine_finds_that_a_trigger_is_missing(
    trigger: str, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop(connection: Connection) -> None:
        connection.exec_driver_sql(f"drop trigger {trigger}")

    monkeypatch.setattr(Moves, "prepare", drop)
    with pytest.raises(AssertionError, match="kept"):
        run(sqlite_database, examples=60)

"""What users of other servers of this format met: each in one order, seen as its client sees it.

Three more are met where a provider's own batch API is used: a limit of enqueued tokens
(openai-python#2084), Gemini's schemas (ruby_llm#894) and a batch that never ends
(python-genai#1482), in tests/lane/test_refused_batches.py.
That a custom_id which is there twice is refused by its line (sglang#1415) is in test_files.py.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from promptmill.gateway.context import Gateway
from promptmill.gateway.keeping.finishing import Finishing
from promptmill.gateway.keeping.validating import Validation
from promptmill.gateway.server import make_gateway
from promptmill.gateway.shapes import batch_shape
from promptmill.schema.database import Database
from promptmill.schema.gateway_batches import (
    NO_COUNTS,
    NewOrder,
    Status,
    add_order,
    counts_of,
    finalize_order,
    order_of,
)
from promptmill.schema.gateway_files import NewFile, Purpose, add_file
from promptmill.schema.moves.claiming import claim
from promptmill.schema.moves.closing import close
from promptmill.schema.moves.endings import Closing, fail, finish, hold
from promptmill.schema.moves.queueing import queue_pending
from promptmill.schema.settings import Settings
from promptmill.schema.tenants import Scope, add_key
from tests.gateway.orders import CHAT, line
from tests.schema.scene import ANSWER, ANSWERED, CUT, REFUSED
from tests.services.published import hold as hold_schema

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MODEL = "gpt-4o-mini"
ORDER, FILE, TENANT, DAY_S = "batch_1", "file-1", 1, 86_400.0
STUCK = "stuck"
ENDS: dict[str, Callable[[int, int], Closing]] = {
    "answered": lambda job, fence: finish(job, fence, ANSWERED, ANSWER),
    "refused": lambda job, fence: fail(job, fence, REFUSED),
    "lost": lambda job, fence: hold(job, fence, CUT),
}


@dataclass(frozen=True)
class Front:
    """A gateway whose keepers work when they are told to, and a worker that the test plays."""

    gateway: Gateway

    def order(self, *ends: str) -> None:
        """Order a line for each of *ends*, and bring it there; what is `stuck` is never begun."""
        begun = [end for end in ends if end != STUCK]
        database, folder = self.gateway.database, self.gateway.folder
        written = folder.begin()
        written.write("\n".join(line(f"row-{n}", MODEL) for n in range(len(ends))).encode())
        written.keep(folder.path(FILE))
        size = written.bytes
        with database.write() as connection:
            add_key(connection, "ours", label="", scopes=list(Scope))
            lines = len(ends)
            add_file(connection, NewFile(FILE, TENANT, "a", Purpose.BATCH, size, lines, DAY_S))
            add_order(connection, NewOrder(ORDER, TENANT, CHAT, FILE, "24h", DAY_S, None, None))
        Validation(self.gateway).turn(lambda: None)
        with database.write() as connection:
            jobs = queue_pending(
                connection, batch_id=1, provider="openai", model=MODEL, most=len(begun)
            )
            claims = [(job.hint, "key") for job in jobs]
            fences = claim(connection, claims, worker_id="w1")
            taken = zip(begun, sorted(fences.items()), strict=True)
            close(connection, [ENDS[end](*pair) for end, pair in taken], worker_id="w1")

    def finish(self) -> None:
        Finishing(self.gateway).turn(lambda: None)

    @property
    def told(self) -> dict[str, Any]:
        """What a client is told of the order, and is described so."""
        with self.gateway.database.read() as connection:
            row = order_of(connection, TENANT, ORDER)
            assert row is not None
            counts = counts_of(connection, [1]).get(1, NO_COUNTS)
        told: dict[str, Any] = json.loads(msgspec.json.encode(batch_shape(row, counts)))
        hold_schema("Batch", told)
        return told

    def lines(self, file_id: str) -> list[dict[str, Any]]:
        written = self.gateway.folder.path(file_id).read_text()
        return [json.loads(one) for one in written.splitlines()]


@pytest.fixture
def front(settings: Settings, database: Database) -> Front:
    return Front(make_gateway(settings, database))


def test_a_batch_of_failures_is_completed_and_has_no_file_of_answers(front: Front) -> None:
    """ProjectTech4DevAI/kaapi-backend#723: its reader took the absence for a crash."""
    front.order("refused", "lost")
    front.finish()
    told = front.told
    assert told["status"] == "completed"
    assert "output_file_id" not in told
    assert len(front.lines(told["error_file_id"])) == 2


def test_a_clean_batch_has_no_file_of_errors_and_no_empty_name_of_one(front: Front) -> None:
    """tobert/kaibo#93: `error_file_id` was an empty string."""
    front.order("answered")
    front.finish()
    assert "error_file_id" not in front.told
    assert len(front.lines(front.told["output_file_id"])) == 1


def test_the_counts_are_those_of_the_lines_and_a_line_has_a_real_status_or_none(
    front: Front,
) -> None:
    """tidyverse/ellmer#830: "1000 completed, 0 failed", and lines with the status 0."""
    front.order("answered", "refused", "lost", "answered")
    front.finish()
    told = front.told
    answers, errors = front.lines(told["output_file_id"]), front.lines(told["error_file_id"])
    assert told["request_counts"] == {"total": 4, "completed": 2, "failed": 2}
    assert statuses(answers) == [200, 200]
    assert statuses(errors) == [400, None]
    assert [bool(one["error"]) for one in errors] == [False, True]


def test_every_row_comes_back_once_whatever_became_of_it(front: Front) -> None:
    """tobert/kaibo#136: some rows never did."""
    front.order("lost", "answered", "refused")
    front.finish()
    files = front.told["output_file_id"], front.told["error_file_id"]
    came = [row["custom_id"] for file_id in files for row in front.lines(file_id)]
    assert sorted(came) == ["row-0", "row-1", "row-2"]


def test_what_is_being_written_is_not_completed_and_is_finished_by_the_next_gateway(
    front: Front,
) -> None:
    """bespokelabsai/curator#287: all was answered, and for long nothing could be taken."""
    front.order("answered")
    with front.gateway.database.write() as connection:
        finalize_order(connection, ORDER, Status.COMPLETED)  # and here it was killed
    told = front.told
    assert (told["status"], told["request_counts"]["completed"]) == ("finalizing", 1)
    assert "output_file_id" not in told
    front.finish()
    assert front.told["status"] == "completed"
    assert len(front.lines(front.told["output_file_id"])) == 1


def test_what_is_stuck_when_its_time_is_over_is_an_error_and_holds_up_nothing(front: Front) -> None:
    """googleapis/python-genai#1482, #2974: for more than a day nothing came, and no end."""
    front.order("answered", "refused", STUCK, STUCK)
    front.finish()
    assert front.told["status"] == "in_progress"
    over = datetime.now(UTC) + timedelta(seconds=DAY_S + 1)
    front.gateway.database.inject_clock(lambda: over)
    for status in ("finalizing", "finalizing", "expired"):
        front.finish()
        assert front.told["status"] == status
    told = front.told
    assert told["request_counts"] == {"total": 4, "completed": 1, "failed": 3}
    assert told["expires_at"] <= told["expired_at"] == int(over.timestamp())
    answers, errors = front.lines(told["output_file_id"]), front.lines(told["error_file_id"])
    assert [one["custom_id"] for one in answers] == ["row-0"]
    codes = {one["custom_id"]: one["error"] and one["error"]["code"] for one in errors}
    assert codes == {"row-1": None, "row-2": "batch_expired", "row-3": "batch_expired"}


def statuses(rows: Sequence[dict[str, Any]]) -> list[int | None]:
    return [row["response"] and row["response"]["status_code"] for row in rows]

"""One batch of requests, whoever's API it came by: when it is done, and what came of each row.

Who has another key is not shown it: a key stands for an account.
"""

from collections.abc import Sequence
from typing import NamedTuple

from promptmill.simulator.dialects.base import Dialect
from promptmill.simulator.engine import Engine
from promptmill.simulator.faults import Accident
from promptmill.simulator.provider import Provider
from promptmill.simulator.wire import Head, Reply, Request

RUN = "batches.run"
"""As the model of a fault: for the batch as a whole. `expired` then is for its second half."""


class Row(NamedTuple):
    """One request of a batch."""

    custom_id: str
    dialect: Dialect
    path: str
    body: bytes

    def request(self, key: str) -> Request:
        """Write it as a request of its own."""
        headers = _key_headers(self.dialect.provider, key)
        headers[b"x-client-request-id"] = self.custom_id.encode()
        return Request(Head("POST", self.path, "", headers, True), self.body)


class Came(NamedTuple):
    """What came of a row."""

    custom_id: str
    reply: Reply | None
    """None: it was not got to"""


class Work:
    """A batch, from its creation on. It has one row at least."""

    def __init__(
        self, engine: Engine, rows: Sequence[Row], *, key: str, is_all_or_none: bool = False
    ) -> None:
        self._engine, self._rows, self.key = engine, rows, key
        self._half = 0 if is_all_or_none else len(rows) // 2
        self._made_at = engine.now()
        self._came: list[Came] | None = None
        self.is_cancelled = False
        self.is_expired = False
        self.total = len(rows)

    @property
    def came(self) -> list[Came] | None:
        """What came of the rows, in no order that is promised; None while it is at work."""
        if self._came is None and self._engine.now() >= self._made_at + self._engine.config.batch_s:
            self._run(self.total)
        return self._came

    def cancel(self) -> None:
        """End it: the first half of the rows, or none, is done; the others are not got to."""
        if self.came is None:
            self.is_cancelled = True
            self._run(self._half)

    def _run(self, done: int) -> None:
        provider = self._rows[0].dialect.provider
        fault = self._engine.fault_of(provider, RUN)
        if fault is not None and fault.what is Accident.EXPIRED:
            self.is_expired, done = True, min(done, self._half)
        came = [self._answer(row, n < done) for n, row in enumerate(self._rows)]
        # Backwards: nobody promises the order of what went in.
        self._came = [one for one in reversed(came) if one is not None]

    def _answer(self, row: Row, is_got_to: bool) -> Came | None:
        if not is_got_to:
            return Came(row.custom_id, None)
        reply, befallen = self._engine.answer_in_batch(row.dialect, row.request(self.key))
        if befallen is Accident.DROPPED:
            return None
        if befallen is Accident.EXPIRED:
            self.is_expired = True
            return Came(row.custom_id, None)
        return Came(row.custom_id, reply)


def _key_headers(provider: Provider, key: str) -> dict[bytes, bytes]:
    match provider:
        case Provider.OPENAI:
            return {b"authorization": f"Bearer {key}".encode()}
        case Provider.ANTHROPIC:
            return {b"x-api-key": key.encode()}
        case Provider.GEMINI:
            return {b"x-goog-api-key": key.encode()}

"""What was really asked and charged: the truth that tests compare with."""

from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from promptmill.simulator.provider import Provider


class Entry(msgspec.Struct, gc=False, kw_only=True):
    """One request that reached the simulator. Some 400 bytes."""

    sequence: int
    provider: Provider
    key: str
    """first 8 hex digits of the key's SHA-256, or "" without a key"""
    client_request_id: str
    """the X-Client-Request-Id header, or "" """
    model: str
    prompt: bytes
    """SHA-256 of the prompt's text; empty where there was none to read"""
    marker: str
    """what the prompt has between [[ and ]], or "" """
    received_at: float
    """monotonic seconds of the simulator's machine"""
    status: int = 0
    """HTTP status sent; 0 while the call is open and where none was sent"""
    fault: str = ""
    """the fault that was played, or "" """
    billed: bool = False
    complete: bool = False
    """the whole answer went to the operating system while the connection was up"""
    input_tokens: int = 0
    output_tokens: int = 0
    """charged tokens: 0 where the call is not billed"""
    finished_at: float | None = None
    half_price: bool = False
    """it came in a batch"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as JSON shows it."""

    sequence: int
    provider: str
    key: str
    client_request_id: str
    model: str
    prompt_sha256: str
    marker: str
    status: int
    fault: str
    billed: bool
    complete: bool
    input_tokens: int
    output_tokens: int
    received_at: float
    finished_at: float | None
    half_price: bool


class Totals(msgspec.Struct, kw_only=True):
    """Sums over all requests, those whose rows were dropped included."""

    requests: int = 0
    billed: int = 0
    refused: int = 0
    """answered with a status of 400 or more"""
    complete: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    open: int = 0
    max_open: int = 0
    """most calls in flight at once"""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All totals."""

    total: Totals
    providers: dict[str, Totals]
    rows_dropped: int
    """oldest rows that are no longer kept"""


class Bill:
    """The entries, newest *rows* kept, and totals of all. Not thread-safe: one event loop."""

    def __init__(self, rows: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rows = rows
        self._sequence = 0
        self.clear()

    def clear(self) -> None:
        """Begin a new bill. Calls that are open now appear on neither, however they end."""
        self._entries: deque[Entry] = deque(maxlen=self._rows)
        self._first = self._sequence + 1
        self._total = Totals()
        self._by_provider = {provider: Totals() for provider in Provider}

    def open(
        self,
        provider: Provider,
        *,
        key: str,
        client_request_id: str,
        model: str,
        prompt: bytes,
        marker: str,
    ) -> Entry:
        """Write down a request as it arrives."""
        self._sequence += 1
        entry = Entry(
            sequence=self._sequence,
            provider=provider,
            key=key,
            client_request_id=client_request_id,
            model=model,
            prompt=prompt,
            marker=marker,
            received_at=self._clock(),
        )
        self._entries.append(entry)
        for totals in self._totals_of(entry):
            totals.requests += 1
            totals.open += 1
            totals.max_open = max(totals.max_open, totals.open)
        return entry

    def charge(self, entry: Entry, *, input_tokens: int, output_tokens: int) -> None:
        """Charge the call: its answer was produced."""
        entry.billed = True
        entry.input_tokens = input_tokens
        entry.output_tokens = output_tokens
        for totals in self._totals_of(entry):
            totals.billed += 1
            totals.input_tokens += input_tokens
            totals.output_tokens += output_tokens

    def close(self, entry: Entry, *, status: int, complete: bool) -> None:
        """Write down how the call ended. A second close of an entry changes nothing."""
        if entry.finished_at is not None:
            return
        entry.status = status
        entry.complete = complete
        entry.finished_at = self._clock()
        for totals in self._totals_of(entry):
            totals.open -= 1
            totals.refused += status >= 400
            totals.complete += complete

    def rows(self, *, after: int = 0, limit: int | None = None) -> Iterator[Row]:
        """Yield rows with a sequence above *after*, oldest first, at most *limit*."""
        for entry in self._entries:
            if entry.sequence > after:
                if limit is not None:
                    if limit <= 0:
                        return
                    limit -= 1
                yield _row(entry)

    def summary(self) -> Summary:
        """Return a copy of all totals."""
        return Summary(
            total=msgspec.structs.replace(self._total),
            providers={
                provider.value: msgspec.structs.replace(totals)
                for provider, totals in self._by_provider.items()
            },
            rows_dropped=self._total.requests - len(self._entries),
        )

    def _totals_of(self, entry: Entry) -> tuple[Totals, ...]:
        if entry.sequence < self._first:
            return ()
        return self._total, self._by_provider[entry.provider]


def _row(entry: Entry) -> Row:
    return Row(
        sequence=entry.sequence,
        provider=entry.provider.value,
        key=entry.key,
        client_request_id=entry.client_request_id,
        model=entry.model,
        prompt_sha256=entry.prompt.hex(),
        marker=entry.marker,
        status=entry.status,
        fault=entry.fault,
        billed=entry.billed,
        complete=entry.complete,
        input_tokens=entry.input_tokens,
        output_tokens=entry.output_tokens,
        received_at=entry.received_at,
        finished_at=entry.finished_at,
        half_price=entry.half_price,
    )

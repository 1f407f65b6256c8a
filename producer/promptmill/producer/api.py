"""promptmill from Python. It stores prompts and reads answers; it starts no workers.

    from promptmill.producer import submit

    batch = submit("reviews.jsonl", model="gpt-4o-mini", prompt="Sentiment of: {{ text }}")
    for result in batch.stream():
        print(result.custom_id, result.text)

In a coroutine: `async for result in batch.stream()`, and `await batch` for `batch.wait()`.

Workers are started by `promptmill worker` and `promptmill dispatch`, or by `promptmill run` with
the same input.
"""

import asyncio
from collections import deque
from collections.abc import (
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Literal, TypeVar

from promptmill.producer import control
from promptmill.producer.export import (
    USUAL_COLUMNS,
    Exported,
    ExportRequest,
    Format,
    What,
    export,
    format_of,
)
from promptmill.producer.export.frames import to_arrow, to_pandas
from promptmill.producer.opening import opened
from promptmill.producer.reading import checked_schema
from promptmill.producer.results import results_in_order
from promptmill.producer.submitting.given import request_of
from promptmill.producer.submitting.submission import submit as submit_request
from promptmill.producer.watching.following import pages_as_they_come
from promptmill.producer.watching.progress import Progress, read_progress
from promptmill.schema.answers import Result
from promptmill.schema.settings import Settings, load_settings

_POLL_S = 0.5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch by its id. Holds no connection: each call opens the database and closes it."""

    id: int
    settings: Settings = field(default_factory=load_settings, repr=False, compare=False)

    def status(self) -> Progress:
        """Read how far it is: `overall` has the counts, `finished` says whether all ended."""
        with opened(self.settings) as database:
            return read_progress(database, self.id, self.settings.pools)

    def wait(self, timeout: float | None = None) -> Progress:
        """Return when every job has ended. Raises TimeoutError after *timeout* seconds.

        A batch that nobody works on, or that is paused, is waited for too.
        """
        patience = _Patience(timeout, self.id)
        with opened(self.settings) as database:
            pools = self.settings.pools
            while not (progress := read_progress(database, self.id, pools)).finished:
                Event().wait(patience.next_wait())
        return progress

    def __await__(self) -> Generator[Any, None, Progress]:
        """Wait for the end of every job: `await batch`, beside other things of the loop."""
        return self._ended().__await__()

    def results(self) -> Iterator[Result]:
        """Yield what has ended until now, in the order of the input: answers and failures."""
        with opened(self.settings) as database:
            read_progress(database, self.id)
            yield from results_in_order(database, self.id)

    def stream(self, timeout: float | None = None) -> "Stream":
        """Give each job once, soon after it ended, until all have: by `for` or by `async for`.

        Raises TimeoutError when nothing more came for *timeout* seconds.
        """
        return Stream(self, timeout)

    def export(
        self,
        path: str | Path,
        *,
        what: Literal["answered", "failed", "all"] = "answered",
        columns: Sequence[str] = USUAL_COLUMNS,
        format: Literal["jsonl", "csv", "parquet", "openai-batch"] | None = None,  # noqa: A002
    ) -> Exported:
        """Write it to a file, which is there whole or not at all; its name tells the format.

        `openai-batch` writes all of it to two files. Raises UsageError for what cannot be written.
        """
        request = ExportRequest(
            batch_id=self.id,
            target=Path(path),
            format=Format.of(format) if format else format_of(str(path)),
            what=What.of(what),
            columns=tuple(columns),
        )
        with opened(self.settings) as database:
            return export(database, request)

    def to_pandas(
        self,
        *,
        what: Literal["answered", "failed", "all"] = "answered",
        columns: Sequence[str] = USUAL_COLUMNS,
    ) -> Any:
        """Read it into a pandas DataFrame, in the order of the input. Needs pandas."""
        with opened(self.settings) as database:
            return to_pandas(database, self.id, What.of(what), tuple(columns))

    def to_arrow(
        self,
        *,
        what: Literal["answered", "failed", "all"] = "answered",
        columns: Sequence[str] = USUAL_COLUMNS,
    ) -> Any:
        """Read it into a pyarrow Table, which Polars and DuckDB take as it is. Needs pyarrow."""
        with opened(self.settings) as database:
            return to_arrow(database, self.id, What.of(what), tuple(columns))

    def cancel(self) -> int:
        """Stop it; return how many jobs were cancelled. Calls that are open end and are stored."""
        with opened(self.settings) as database:
            return control.cancel(database, self.id)

    async def _ended(self) -> Progress:
        while True:
            progress = await _in_thread(self.status)
            if progress.finished:
                return progress
            await asyncio.sleep(_POLL_S)


def submit(
    source: str | Path,
    *,
    model: str | Sequence[str] | None = None,
    prompt: str | None = None,
    system: str | None = None,
    options: Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    id_column: str | None = None,
    file_columns: Sequence[str] = (),
    format: Literal["jsonl", "csv", "tsv", "text", "parquet"] | None = None,  # noqa: A002
    limit: int | None = None,
    name: str | None = None,
    priority: int = 0,
    on_unknown: Literal["retry", "hold"] | None = None,
    on_invalid: Literal["keep", "retry", "repair", "fail"] | None = None,
    max_failures: str | int | None = None,
    budget: float | None = None,
    dedupe: bool = False,
    cache: bool | str = False,
    cache_similar: float | None = None,
    fallback: str | Sequence[str] | None = None,
    truncate: Literal["error", "drop-oldest", "head", "tail"] | None = None,
    max_input_tokens: int | None = None,
    lane: Literal["live", "batch", "auto"] | None = None,
    deadline: str | None = None,
    webhook: str | None = None,
    checks: Literal["off", "flag", "error"] | None = None,
    mask_pii: Literal["prompts", "answers", "both"] | None = None,
    new: bool = False,
    settings: Settings | None = None,
) -> Batch:
    """Store the prompts of the file *source* as a batch, or find the batch that has them.

    *prompt* and *system* are templates, *options* go into each request (`temperature`), *cache* is
    True or how old an answer of an equal prompt may be (`"12h"`), *cache_similar* how similar one
    may be that is not equal. Raises InputError for a bad line and UsageError for a bad argument;
    then nothing is stored.
    """
    given = dict(locals())
    del given["settings"]
    settings = settings or load_settings()
    if schema is not None:
        given["schema"] = checked_schema(dict(schema))
    request = request_of(**given)
    with opened(settings, create=True) as database:
        return Batch(submit_request(database, request, settings).batch_id, settings)


class Stream(Iterator[Result], AsyncIterator[Result]):
    """The jobs of a batch as they end. Both ways of reading it go on where the other stopped."""

    def __init__(self, batch: Batch, timeout: float | None) -> None:
        self._pages = _pages(batch)
        self._patience = _Patience(timeout, batch.id)
        self._page: deque[Result] = deque()

    def __next__(self) -> Result:
        while not self._page:
            self._take(next(self._pages))
            if not self._page:
                Event().wait(self._patience.next_wait())
        return self._page.popleft()

    async def __anext__(self) -> Result:
        while not self._page:
            page = await _in_thread(partial(next, self._pages, None))
            if page is None:
                raise StopAsyncIteration
            self._take(page)
            if not self._page:
                await asyncio.sleep(self._patience.next_wait())
        return self._page.popleft()

    def _take(self, page: list[Result]) -> None:
        self._page.extend(page)
        if page:
            self._patience.renew()


def _pages(batch: Batch) -> Iterator[list[Result]]:
    with opened(batch.settings) as database:
        yield from pages_as_they_come(database, batch.id)


async def _in_thread(act: Callable[[], T]) -> T:
    """Run *act* beside the loop. When cancelled, it is waited for first: it uses what ends."""
    running = asyncio.ensure_future(asyncio.to_thread(act))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


class _Patience:
    """Knows how long to wait, until the time is up."""

    def __init__(self, timeout: float | None, batch_id: int) -> None:
        self._timeout, self._batch_id = timeout, batch_id
        self.renew()

    def renew(self) -> None:
        self._until = None if self._timeout is None else monotonic() + self._timeout

    def next_wait(self) -> float:
        """Say how many seconds to wait for. Raises TimeoutError when the time is up."""
        left = _POLL_S if self._until is None else self._until - monotonic()
        if left <= 0:
            msg = (
                f"batch {self._batch_id} has not ended within {self._timeout:g} s; is somebody"
                f" working on it? `promptmill status {self._batch_id}` tells"
            )
            raise TimeoutError(msg)
        return min(left, _POLL_S)

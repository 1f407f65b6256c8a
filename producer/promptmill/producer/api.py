"""promptmill from Python. It stores prompts and reads answers; it starts no workers.

    from promptmill.producer import submit

    batch = submit("reviews.jsonl", model="gpt-4o-mini", prompt="Sentiment of: {{ text }}")
    for result in batch.stream():
        print(result.custom_id, result.text)

Workers are started by `promptmill worker` and `promptmill dispatch`, or by `promptmill run` with
the same input.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Literal

from promptmill.producer import control
from promptmill.producer.estimate.budgets import parse_budget
from promptmill.producer.opening import opened
from promptmill.producer.progress import Progress, read_progress
from promptmill.producer.reading import ReadOptions, checked_schema
from promptmill.producer.results import results_as_they_come, results_in_order
from promptmill.producer.submission import SubmitRequest
from promptmill.producer.submission import submit as submit_request
from promptmill.schema.answers import Result
from promptmill.schema.settings import Settings, load_settings

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch by its id. Holds no connection: each call opens the database and closes it."""

    id: int
    settings: Settings = field(default_factory=load_settings, repr=False, compare=False)

    def status(self) -> Progress:
        """Read how far it is: `overall` has the counts, `finished` says whether all ended."""
        with opened(self.settings) as database:
            return read_progress(database, self.id)

    def wait(self, timeout: float | None = None) -> Progress:
        """Return when every job has ended. Raises TimeoutError after *timeout* seconds.

        A batch that nobody works on, or that is paused, is waited for too.
        """
        pause = _Patience(timeout, self.id)
        with opened(self.settings) as database:
            while not (progress := read_progress(database, self.id)).finished:
                pause()
        return progress

    def results(self) -> Iterator[Result]:
        """Yield what has ended until now, in the order of the input: answers and failures."""
        with opened(self.settings) as database:
            read_progress(database, self.id)
            yield from results_in_order(database, self.id)

    def stream(self, timeout: float | None = None) -> Iterator[Result]:
        """Yield each job once, soon after it ended, until all have.

        Raises TimeoutError when nothing more came for *timeout* seconds.
        """
        pause = _Patience(timeout, self.id)
        with opened(self.settings) as database:
            for result in results_as_they_come(database, self.id, wait=pause):
                yield result
                pause.renew()

    def cancel(self) -> int:
        """Stop it; return how many jobs were cancelled. Calls that are open end and are stored."""
        with opened(self.settings) as database:
            return control.cancel(database, self.id)


def submit(
    source: str | Path,
    *,
    model: str | Sequence[str] | None = None,
    prompt: str | None = None,
    system: str | None = None,
    options: Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    id_column: str | None = None,
    limit: int | None = None,
    name: str | None = None,
    priority: int = 0,
    on_unknown: Literal["retry", "hold"] | None = None,
    max_failures: str | int | None = None,
    budget: float | None = None,
    new: bool = False,
    settings: Settings | None = None,
) -> Batch:
    """Store the prompts of the file *source* as a batch, or find the batch that has them.

    *prompt* and *system* are templates, *options* go into each request (`temperature`). Raises
    InputError for a bad line and UsageError for a bad argument; then nothing is stored.
    """
    settings = load_settings() if settings is None else settings
    models = (model,) if isinstance(model, str) else tuple(model or ())
    reading = ReadOptions(
        template=prompt,
        template_name="prompt",
        system=system,
        id_column=id_column,
        model=models[0] if models else None,
        schema=None if schema is None else checked_schema(dict(schema)),
        parameters=options or {},
        limit=limit,
    )
    request = SubmitRequest(
        source=source,
        reading=reading,
        also=models[1:],
        name=name,
        priority=priority,
        on_unknown=on_unknown,
        max_failures=None if max_failures is None else str(max_failures),
        new=new,
        budget=None if budget is None else parse_budget(f"{budget:f}"),
    )
    with opened(settings, create=True) as database:
        return Batch(submit_request(database, request, settings).batch_id, settings)


class _Patience:
    """Waits a moment when called, until the time is up."""

    def __init__(self, timeout: float | None, batch_id: int) -> None:
        self._timeout, self._batch_id = timeout, batch_id
        self.renew()

    def renew(self) -> None:
        self._until = None if self._timeout is None else monotonic() + self._timeout

    def __call__(self) -> None:
        left = _POLL_S if self._until is None else self._until - monotonic()
        if left <= 0:
            msg = (
                f"batch {self._batch_id} has not ended within {self._timeout:g} s; is somebody"
                f" working on it? `promptmill status {self._batch_id}` tells"
            )
            raise TimeoutError(msg)
        Event().wait(min(left, _POLL_S))

"""Store checked prompts in chunks, each one a transaction, and open the batch after the last.

Several may load the same batch at once. A chunk begins where its loader believes the stored ones
to end; one that comes second clashes on the custom_ids, looks again and goes on behind the other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from promptmill.producer.reading import Input, Prompt, ReadOptions, read_prompts, refuse_duplicate
from promptmill.producer.routing import Route
from promptmill.schema.database import Database, DatabaseError
from promptmill.schema.errors import InputError, ServiceError
from promptmill.schema.moves.loading import (
    NewJob,
    analyze,
    discard_loading,
    find_batch,
    hold_loading,
    insert_jobs,
    open_batch,
    position_of,
)
from promptmill.schema.moves.twins import mark_twins
from promptmill.schema.states import BatchState

CHUNK_ROWS = 5000
_CHUNK_BYTES = 8 << 20
_ANALYZE_FROM = 1000
"""prompts; fewer change no plan, and statistics are read from the whole tables"""


class Loader:
    """Loads one batch that is in state loading; *loaded* is the highest position stored."""

    def __init__(
        self,
        database: Database,
        *,
        identity: str,
        batch_id: int,
        loaded: int,
        routes: Mapping[str | None, tuple[Route, ...]],
    ) -> None:
        self._database, self._identity, self._batch_id = database, identity, batch_id
        self._loaded, self._routes = loaded, routes
        self._passed = 0

    def load(
        self,
        source: Input,
        options: ReadOptions,
        report: Callable[[int], object],
        *,
        dedupe: bool = False,
    ) -> int:
        """Store what is missing of *source* and open the batch; *report* jobs that are stored.

        Returns how many are twins, which is none without *dedupe*.

        Raises InputError where the input changed since it was checked, or has a custom_id twice;
        then nothing is left of the batch.
        """
        try:
            most = max(1, CHUNK_ROWS // max(map(len, self._routes.values()), default=1))
            for chunk in _chunks(self._missing(_whole(source, options)), most=most):
                self._store(chunk, source, options)
                report(self._passed)
        except InputError:
            self._discard()
            raise
        with self._database.write() as connection:
            twins = 0
            if dedupe and hold_loading(connection, self._batch_id):
                twins = mark_twins(connection, self._batch_id)
            open_batch(connection, self._batch_id)
        if self._passed >= _ANALYZE_FROM:
            with self._database.write() as connection:
                analyze(connection)
        return twins

    def _missing(self, prompts: Iterator[Prompt]) -> Iterator[Prompt]:
        for prompt in prompts:
            self._passed += len(self._routes[prompt.model])
            if prompt.position > self._loaded:
                yield prompt

    def _store(self, chunk: Sequence[Prompt], source: Input, options: ReadOptions) -> None:
        while chunk:
            try:
                with self._database.write() as connection:
                    held = hold_loading(connection, self._batch_id)
                    if held:
                        insert_jobs(connection, self._batch_id, self._jobs(chunk))
            except DatabaseError:
                if not self._look_again():
                    twice = self._custom_id_twice(chunk)
                    if twice is None:
                        raise
                    raise refuse_duplicate(source, options, twice) from None
            else:
                if held:
                    self._loaded = chunk[-1].position
                    return
                self._look_again()
            chunk = [prompt for prompt in chunk if prompt.position > self._loaded]

    def _look_again(self) -> bool:
        """See how far another loader of this batch came; say whether it stored anything."""
        with self._database.read() as connection:
            found = find_batch(connection, self._identity)
        if found is None or found.id != self._batch_id:
            msg = f"batch {self._batch_id} was discarded by another submit of the same input"
            raise ServiceError(msg)
        moved = found.loaded > self._loaded or found.state != BatchState.LOADING
        self._loaded = found.loaded
        return moved

    def _custom_id_twice(self, chunk: Sequence[Prompt]) -> str | None:
        seen: set[str] = set()
        with self._database.read() as connection:
            for prompt in chunk:
                custom_id = prompt.custom_id
                if custom_id in seen or position_of(connection, self._batch_id, custom_id):
                    return custom_id
                seen.add(custom_id)
        return None

    def _jobs(self, prompts: Iterable[Prompt]) -> list[NewJob]:
        """Make the jobs of *prompts*: one for each model that is asked."""
        return [
            _job(prompt, route, number)
            for prompt in prompts
            for number, route in enumerate(self._routes[prompt.model])
        ]

    def _discard(self) -> None:
        done = False
        while not done:
            with self._database.write() as connection:
                done = discard_loading(connection, self._batch_id, most=CHUNK_ROWS)


def _job(prompt: Prompt, route: Route, model_no: int) -> NewJob:
    return NewJob(
        position=prompt.position,
        custom_id=prompt.custom_id,
        provider=route.provider,
        model=route.model,
        body=prompt.body.decode(),
        request_hash=prompt.request_hash(route.full),
        model_no=model_no,
    )


def _whole(source: Input, options: ReadOptions) -> Iterator[Prompt]:
    """Read the prompts, and all bytes: at the end of those a changed file is noticed."""
    yield from read_prompts(source, options)
    if options.limit is not None:
        for _ in source.raw_chunks():
            pass


def _chunks(prompts: Iterator[Prompt], *, most: int) -> Iterator[list[Prompt]]:
    for first in prompts:
        chunk, size = [], 0
        for prompt in chain([first], prompts):
            chunk.append(prompt)
            size += len(prompt.body)
            if len(chunk) >= most or size >= _CHUNK_BYTES:
                break
        yield chunk

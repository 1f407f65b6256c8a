"""An input on its way into a batch: what is known of it, and its jobs.

A small one is read whole before anything is stored. A large one is stored while a process of its
own reads on, so that what it comes to is known at its end only; its head tells which models it is
likely to name.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Self

from promptmill.producer.reading import (
    Check,
    Checked,
    Input,
    ReadOptions,
    check_input,
    read_prompts,
)
from promptmill.producer.reading.formats import recognise
from promptmill.producer.routing import Router
from promptmill.producer.submitting.chunks import Chunk, chunks_of
from promptmill.producer.submitting.reading_process import Order, ReadingProcess
from promptmill.schema.errors import InputError

HEAD_PROMPTS = 1000


class Intake:
    """The jobs that *source* asks for. Close it, or use it in `with`."""

    def __init__(self, source: Input, options: ReadOptions, router: Router) -> None:
        found = recognise(source, options)
        self.kind = found.described
        """what it is taken for, in words"""
        self.router = replace(router, only_for=found.only_for)
        self._source, self._options = source, options
        self.checked: Checked | None = None
        """what all of it is, once that is known"""
        self._held: list[Chunk] | None = None
        self._process: ReadingProcess | None = None
        if source.size_bytes <= options.held_bytes:
            self._hold()
        if self._held is None:
            self._begin()  # it reads on while we look into SQL

    def models(self) -> list[str | None]:
        """List the models that prompts name: those that are known so far."""
        if self.checked is not None:
            return list(self.checked.models)
        if self._options.model is not None:
            return [self._options.model]
        return self._models_of_head()

    def look_through(self) -> Checked:
        """Check all of it without storing, where that was not done yet. Raises InputError."""
        if self.checked is None:
            self.checked = check_input(self._source, self._options)
        return self.checked

    def chunks(self) -> Iterator[Chunk]:
        """Yield the jobs; after the last one `checked` is known.

        Raises UsageError where the input is refused, which may be after some chunks, and
        ServiceError where reading was ended from outside.
        """
        if self._held is not None:
            yield from self._held
            return
        process = self._process or self._begin()
        for item in process.chunks():
            if isinstance(item, Chunk):
                yield item
                continue
            if item.sha256 != self._source.sha256:
                raise self._source.changed()
            self.checked = item
        self.close()

    def close(self) -> None:
        """End the process that reads, if there is one."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self) -> ReadingProcess:
        order = Order(self._source.path, self._source.name, self._options, self.router)
        self._process = ReadingProcess(order)
        return self._process

    def _hold(self) -> None:
        """Read all of it, unless it turns out to be large: unpacked, or by its template."""
        check = Check(self._source, self._options)
        held, size = list[Chunk](), 0
        for chunk in chunks_of(check.prompts(), self.router, self._options):
            held.append(chunk)
            size += chunk.size
            if size > self._options.held_bytes:
                return
        self._held, self.checked = held, check.checked()

    def _models_of_head(self) -> list[str | None]:
        models: dict[str | None, None] = {}
        with suppress(InputError):  # told when all is read
            for prompt in islice(read_prompts(self._source, self._options), HEAD_PROMPTS):
                models[prompt.model] = None
        return list(models)

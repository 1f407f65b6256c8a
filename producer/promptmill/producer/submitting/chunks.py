"""Prompts as chunks of jobs: what is stored in one transaction."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from promptmill.producer.reading import Prompt, ReadOptions
from promptmill.producer.routing import Route, Router
from promptmill.schema.new_job import NewJob
from promptmill.schema.pii.finders import finder_of
from promptmill.schema.pii.masking import Masker

if TYPE_CHECKING:
    from promptmill.schema.sections import PiiSettings

CHUNK_ROWS = 5000
CHUNK_BYTES = 4 << 20
"""of bodies; a chunk has one prompt more at most"""


class Chunk(msgspec.Struct, frozen=True, gc=False, tag=True):
    """All jobs of some prompts, in the order of the input."""

    jobs: list[NewJob]
    size: int
    """bytes of their bodies"""

    @property
    def last(self) -> int:
        """Position of its last prompt."""
        return self.jobs[-1].position


def chunks_of(prompts: Iterator[Prompt], router: Router, options: ReadOptions) -> Iterator[Chunk]:
    """Make jobs of *prompts*: one for each model that is asked; *options* may mask and mark them.

    From a model on that nobody answers there are no more chunks, but all prompts are taken still:
    what is wrong with lines further down is told too.
    """
    routes: dict[str | None, tuple[Route, ...]] = {}
    most_bytes = min(CHUNK_BYTES, options.held_bytes // 2)
    jobs, size = list[NewJob](), 0
    for prompt in prompts:
        if (asked := routes.get(prompt.model)) is None:
            asked = routes[prompt.model] = router.answering(prompt.model)
        if not asked:
            break
        flags = _flags(prompt, options)
        sent, values = masked(prompt, options.masked_by)
        _add_jobs(jobs, sent, asked, values=values, flags=flags)
        size += len(prompt.body)
        if len(jobs) + len(asked) > CHUNK_ROWS or size >= most_bytes:
            yield Chunk(jobs, size)
            jobs, size = [], 0
    else:
        if jobs:
            yield Chunk(jobs, size)
        return
    for _ in prompts:
        pass


def _flags(prompt: Prompt, options: ReadOptions) -> tuple[str, ...]:
    checks = options.checks
    return () if checks is None else tuple(found.rule for found in checks.findings(prompt))


def masked(prompt: Prompt, pii: "PiiSettings | None") -> tuple[Prompt, dict[str, str] | None]:
    """Put words in the place of personal data, if *pii*; return what they stand for, too."""
    if pii is None:
        return prompt, None
    masker = Masker(finder=finder_of(pii))
    request = masker.mask_in(prompt.request)
    if not masker.values:
        return prompt, None
    return msgspec.structs.replace(prompt, body=msgspec.json.encode(request)), masker.values


def _add_jobs(
    jobs: list[NewJob],
    prompt: Prompt,
    asked: tuple[Route, ...],
    *,
    values: dict[str, str] | None,
    flags: tuple[str, ...],
) -> None:
    body = prompt.body.decode()
    for number, route in enumerate(asked):
        jobs.append(
            NewJob(
                prompt.position,
                prompt.custom_id,
                route.provider,
                route.model,
                body,
                prompt.request_hash(route.full),
                number,
                values,
                flags,
            )
        )

"""Read results back in the order of the input.

Each page is a transaction of its own, so a reader that takes its time holds up nobody.
"""

from collections.abc import Collection, Iterator

from promptmill.schema.answers import Result, ended_jobs, job_span, results_of
from promptmill.schema.connection import Source
from promptmill.schema.states import FINAL_STATES, JobState

_PAGE = 500


def results_in_order(
    database: Source, batch_id: int, *, states: Collection[JobState] = FINAL_STATES
) -> Iterator[Result]:
    """Yield what ended in *states* until now, in the order of the input."""
    with database.read() as connection:
        span = job_span(connection, batch_id)
    while span is not None:
        with database.read() as connection:
            page = ended_jobs(connection, batch_id, span=span, states=states, most=_PAGE)
            found = results_of(connection, page)
        yield from found
        span = (page[-1] + 1, span[1]) if len(page) == _PAGE else None

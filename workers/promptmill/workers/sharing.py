"""Take the answer of a job that was asked the same before, or wait for it; and no call is made."""

from typing import assert_never

from promptmill.schema.hint import Hint
from promptmill.schema.moves.caching import Followed
from promptmill.schema.reading import DueJob
from promptmill.workers.bench import STALE, Bench, Report
from promptmill.workers.served import Served

_TRIES = 3
"""jobs without an answer for it that one may come upon; then it is asked"""


async def share(
    bench: Bench, served: Served, hint: Hint, job: DueJob, *, keep_s: int
) -> Report | None:
    """Look in the cache for the answer of *job*. None: it is to be asked.

    Others with the same request then wait for it, as long as it may come to something.
    """
    key = await bench.references.key(served, job.request_hash)
    refused = None
    for _ in range(_TRIES):
        other = await bench.references.meet(key, job.job_id, keep_s=keep_s, refused=refused)
        if other is None or other == job.job_id:
            return None
        followed = await bench.recorder.follow(hint, other)
        match followed:
            case Followed.ANSWERED:
                return Report(f"cached: the answer of job {other}, $0")
            case Followed.WAITS:
                return Report(f"waits for the answer of job {other}")
            case Followed.STALE | None:
                return STALE
            case Followed.REFUSED:
                refused = other
            case _:
                assert_never(followed)
    return None

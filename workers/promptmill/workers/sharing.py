"""Take the answer of a job that was asked the same before, or wait for it; and no call is made."""

from typing import assert_never

from promptmill.schema.hint import Hint
from promptmill.schema.moves.caching import Followed, Likeness, Wish
from promptmill.schema.reading import DueJob
from promptmill.workers.bench import STALE, Bench, Report
from promptmill.workers.served import Served

TRIES = 3
"""jobs without an answer for it that one may come upon; then it is asked"""


async def share(
    bench: Bench, served: Served, hint: Hint, job: DueJob, *, keep_s: int
) -> Report | None:
    """Look in the cache for the answer of *job*. None: it is to be asked.

    Others with the same request then wait for it, as long as it may come to something.
    """
    report = await _share_equal(bench, served, hint, job, keep_s)
    if report is None and job.cache_similar is not None:
        report = await _share_similar(bench, served, hint, job)
    return report


async def _share_equal(
    bench: Bench, served: Served, hint: Hint, job: DueJob, keep_s: int
) -> Report | None:
    key = await bench.references.key(served, job.request_hash, pool=job.pool)
    refused = None
    for _ in range(TRIES):
        other = await bench.references.meet(key, job.job_id, keep_s=keep_s, refused=refused)
        if other is None or other == job.job_id:
            return None
        report = await _follow(bench, Wish(hint, other))
        if report is not None:
            return report
        refused = other
    return None


async def _share_similar(bench: Bench, served: Served, hint: Hint, job: DueJob) -> Report | None:
    sought = await bench.similarity.look(served, job)
    if sought is None:
        return None
    for other, likeness in sought.near:
        report = await _follow(bench, Wish(hint, other, likeness))
        if report is not None:
            return report
    await bench.recorder.remember(bench.similarity.keep(sought))
    return None


async def _follow(bench: Bench, wish: Wish) -> Report | None:
    """Take the answer of the other, or wait for it. None: it has none for this job."""
    followed = await bench.recorder.follow(wish)
    match followed:
        case Followed.ANSWERED:
            return Report(f"cached: the answer of job {wish.other}{_how(wish.likeness)}, $0")
        case Followed.WAITS:
            return Report(f"waits for the answer of job {wish.other}{_how(wish.likeness)}")
        case Followed.STALE | None:
            return STALE
        case Followed.REFUSED:
            return None
        case _:
            assert_never(followed)


def _how(likeness: Likeness | None) -> str:
    return "" if likeness is None else f" ({likeness.similarity:.3f} similar)"

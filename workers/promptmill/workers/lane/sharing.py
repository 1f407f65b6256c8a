"""Spare jobs of the lane their call, where one was asked the same: `--cache` for many at once.

As for a live job Redis tells which, and SQL decides.
"""

import asyncio
from collections.abc import Collection, Sequence

from promptmill.schema.database import Database
from promptmill.schema.hint import Hint
from promptmill.schema.moves.caching import LANED, Followed, Wish, follow
from promptmill.schema.reading import DueJob
from promptmill.workers.references import References
from promptmill.workers.served import Served
from promptmill.workers.sharing import TRIES


class Sharing:
    """Looks in the cache for the lane of one provider."""

    def __init__(self, database: Database, served: Served, references: References) -> None:
        self._database, self._served, self._references = database, served, references

    async def spare(self, jobs: Sequence[DueJob]) -> Collection[int]:
        """Let jobs take the answer of an equal request, or wait for it.

        Returns which are not to be asked now.
        """
        left = {job.job_id: job for job in jobs if job.cache_s is not None}
        refused: dict[int, int] = {}
        spared: set[int] = set()
        for _ in range(TRIES):
            others = await asyncio.gather(
                *(self._meet(job, refused.get(job_id)) for job_id, job in left.items())
            )
            wishes = [
                Wish(Hint(job.job_id, job.dispatch_no), other)
                for job, other in zip(left.values(), others, strict=True)
                if other is not None and other != job.job_id
            ]
            if not wishes:
                break
            came = self._follow(wishes)
            refused = {
                wish.hint.job_id: wish.other
                for wish in wishes
                if came[wish.hint.job_id] is Followed.REFUSED
            }
            spared |= came.keys() - refused.keys()
            left = {job_id: left[job_id] for job_id in refused}
        return spared

    async def _meet(self, job: DueJob, refused: int | None) -> int | None:
        key = await self._references.key(self._served, job.request_hash)
        keep_s = job.cache_s or 0
        return await self._references.meet(key, job.job_id, keep_s=keep_s, refused=refused)

    def _follow(self, wishes: Sequence[Wish]) -> dict[int, Followed]:
        with self._database.write() as connection:
            return follow(connection, wishes, way=LANED)

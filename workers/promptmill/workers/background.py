"""A job whose response the provider makes in the background: its id in SQL, before anybody waits.

https://platform.openai.com/docs/guides/background. An attempt that finds an id asks for that
response and sends nothing, so it books nothing either.
"""

import asyncio
from dataclasses import dataclass

from promptmill.schema.moves.endings import Attempted
from promptmill.schema.outcomes import AttemptOutcome, ErrorKind
from promptmill.workers.recorder import Recorder

LEFT = Attempted(
    AttemptOutcome.UNKNOWN,
    error_kind=ErrorKind.UNKNOWN,
    error_code="worker_stopped",
    error_text="the worker was told to stop; the response is made all the same, and asked for next",
)


@dataclass(slots=True)
class Background:
    """See `providers.base.Begun`."""

    recorder: Recorder
    job_id: int
    poll_s: float
    known: str | None
    fence: int = 0
    """what the job is held under"""

    async def keep(self, response_id: str) -> None:
        keeping = asyncio.ensure_future(
            self.recorder.keep_response(self.job_id, self.fence, response_id)
        )
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await keeping  # it is under way: the id is known, then stop
            self.known = response_id
            raise
        self.known = response_id

    async def forget(self) -> None:
        if self.known is not None:
            await self.recorder.forget_response(self.job_id, self.fence, self.known)
            self.known = None

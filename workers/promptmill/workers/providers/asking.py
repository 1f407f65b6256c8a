"""Ask a provider what is no call of a job: each question with a deadline, each error a refusal."""

from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import httpx2

from promptmill.workers.providers.base import Refusal
from promptmill.workers.providers.http import Lost, exchange
from promptmill.workers.providers.judge import Judge
from promptmill.workers.providers.reply import Reply, decode

T = TypeVar("T")
ASK_S: Final = 60.0
"""for what is answered at once"""


class Asking:
    """Asks by an SDK whose errors are *sdk_errors*; of those, *status_errors* have a response."""

    def __init__(
        self,
        judge: Judge,
        *,
        sdk_errors: tuple[type[Exception], ...],
        status_errors: tuple[type[Exception], ...] = (),
    ) -> None:
        self._judge, self._sdk_errors, self._status_errors = judge, sdk_errors, status_errors

    async def ask(self, asking: Awaitable[T], *, timeout_s: float = ASK_S) -> T | Refusal:
        """Return what came of *asking*, or why nothing did."""
        answer = await exchange(
            self._or_reply(asking), timeout_s=timeout_s, sdk_errors=self._sdk_errors
        )
        if isinstance(answer, Lost):
            return self._judge.lost(answer)
        return self._judge.refuse(answer) if isinstance(answer, Reply) else answer

    async def told(
        self, asking: Awaitable[httpx2.Response], shape: type[T], *, timeout_s: float = ASK_S
    ) -> T | Refusal:
        """Read the answer to *asking* as *shape*."""
        answer = await self.ask(asking, timeout_s=timeout_s)
        if isinstance(answer, Refusal):
            return answer
        told = decode(answer.content, shape)
        # As if nothing had come: what was asked may have been done.
        return self._judge.lost(Lost(sent=True, why="no batch")) if told is None else told

    async def _or_reply(self, asking: Awaitable[T]) -> T | Reply:
        answer: Any
        try:
            answer = await asking
        except self._status_errors as error:
            answer = vars(error)["response"]  # those have one; no common class says so
        if isinstance(answer, httpx2.Response) and not 200 <= answer.status_code < 300:
            return Reply(answer.status_code, answer.headers, await answer.aread())
        return answer  # type: ignore[no-any-return]

"""What one attempt asks of its provider, and what came.

What came is noted at once: who is stopped from then on has only to store it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from promptmill.schema.answer_forms import OnInvalid, form_of
from promptmill.schema.outcomes import ErrorKind
from promptmill.schema.reading import DueJob
from promptmill.schema.requests import endpoint_of, is_background
from promptmill.schema.truncation import Cut
from promptmill.workers.answer_check import judged
from promptmill.workers.background import Background
from promptmill.workers.bench import Bench
from promptmill.workers.fitting import Fitted
from promptmill.workers.limits.limit import Estimate
from promptmill.workers.providers.base import Answer, Call, Refusal
from promptmill.workers.providers.listener import Listener
from promptmill.workers.repair import repairing
from promptmill.workers.served import Served
from promptmill.workers.tokens import estimate


class Exchange:
    """A request for *job* and the reply to it. *listener* hears the answer while it comes."""

    def __init__(
        self,
        bench: Bench,
        served: Served,
        job: DueJob,
        fitted: Fitted,
        *,
        listener: Listener | None = None,
    ) -> None:
        self.job = job
        self.body: dict[str, Any] = fitted.body
        self.encoded: str | bytes = job.body
        self.expected: Estimate = fitted.expected
        self.sent = False
        self.reply: tuple[Answer | Refusal, float] | None = None
        """What came, and after how many seconds: from here on it is only to be stored."""
        self._bench, self._served, self._fitted, self._listener = bench, served, fitted, listener
        self._form: Mapping[str, Any] | None = None
        """What its answer has to follow, if anything."""
        self._asked_again = False
        """Whether one came that does not."""
        self._background: Background | None = None
        """What is known of a response that is made in the background."""

    async def prepare(self) -> None:
        """Make what is sent: the prompt as it was stored, or once more after an invalid answer."""
        job = self.job
        if self._fitted.cut_tokens:
            self.encoded = msgspec.json.encode(self.body)
        self._form = form_of(self.body)
        if self._form is not None and job.attempts:
            invalid = await self._bench.recorder.invalid_answer(job.job_id)
            self._asked_again = invalid is not None
            if invalid is not None and job.on_invalid == OnInvalid.REPAIR:
                self.body = repairing(self.body, self._form, invalid)
                self.encoded = msgspec.json.encode(self.body)
                self.expected = estimate(self._served.kind, self.body)
        if is_background(self.body):
            known = await self._bench.recorder.known_response(job.job_id)
            self._background = Background(
                self._bench.recorder, job.job_id, self._bench.poll_s, known=known
            )

    @property
    def is_begun(self) -> bool:
        """Whether its response is made by the provider already, and known by its id."""
        return self._background is not None and self._background.known is not None

    @property
    def is_made_without_us(self) -> bool:
        """Whether the answer is to come, whoever waits: who looks next finds it."""
        return self.sent and self.reply is None and self.is_begun

    @property
    def judged_job(self) -> DueJob:
        """The job as its reply is judged: what is made here, or was heard, goes to no other."""
        job = self.job
        if self.is_begun:
            job = replace(job, fallbacks=None)
        if self._is_heard:
            job = replace(job, on_unknown="hold", fallbacks=None)
        return job

    def cut(self, reply: Answer | Refusal) -> Cut | None:
        """Describe what was left out of the prompt that *reply* is for."""
        return self._fitted.cut(reply)

    async def ask(self, fence: int) -> tuple[Answer | Refusal, float]:
        """Call the provider; return what came, and after how many seconds."""
        job, background = self.job, self._background
        loop, deadlines = asyncio.get_running_loop(), self._bench.deadlines
        call = Call(
            model=job.model,
            body=self.body,
            request_id=f"{job.batch_id}-{job.job_id}-{fence}",
            timeout_s=deadlines.of(job.provider, job.model, attempts=job.attempts),
            endpoint=endpoint_of(self.body),
            listener=self._listener,
        )
        if background is not None:
            background.fence = fence
            call = replace(call, timeout_s=self._bench.background_s, begun=background)
        self.sent = True
        began = loop.time()
        number = self._bench.same_failures.began(job)
        try:
            reply = await self._served.adapter.complete(call)
        finally:
            self._bench.same_failures.ended(job, number)
        took_s = loop.time() - began
        if background is None:
            deadlines.observe(job.provider, job.model, reply, took_s=took_s, given_s=call.timeout_s)
        reply = self._fitted.heard(reply)
        if self._is_heard and isinstance(reply, Refusal) and reply.kind is ErrorKind.BAD_RESPONSE:
            reply = replace(reply, kind=ErrorKind.UNKNOWN)
        self.reply = (reply, took_s)
        if self._form is not None and isinstance(reply, Answer):
            on_invalid = OnInvalid.KEEP if self._is_heard else job.on_invalid
            reply = judged(reply, self._form, on_invalid=on_invalid, asked_again=self._asked_again)
            self.reply = (reply, took_s)
            if background is not None and isinstance(reply, Refusal):
                await background.forget()
        return reply, took_s

    @property
    def _is_heard(self) -> bool:
        """Whether somebody has heard a part of the answer: another one would not go on with it."""
        listener = self._listener
        return listener is not None and listener.has_heard and not listener.has_left

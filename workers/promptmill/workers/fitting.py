"""Whether a prompt fits its model, and what is sent of one that does not.

It is looked at by the worker, since only there it is known who is asked, and what was learned of
that one's tokens. Without a truncation only what is surely too long is told, by a comparison.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from promptmill.schema.bounds import Terms, longest_answer
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.reading import DueJob
from promptmill.schema.requests import Endpoint, endpoint_of, media_parts
from promptmill.schema.tokens import FACTORS, most_output
from promptmill.schema.truncation import Cut, Truncate
from promptmill.workers.bench import Bench
from promptmill.workers.limits.limit import Estimate
from promptmill.workers.providers.base import Answer, Refusal
from promptmill.workers.served import Served
from promptmill.workers.tokens import estimate
from promptmill.workers.truncation import shorten

_SURE: Final = {ProviderKind.OPENAI: 0.85, ProviderKind.ANTHROPIC: 0.6, ProviderKind.GEMINI: 0.7}
"""How much less than counted a prompt may be, by other tokenizers or a list that is not exact."""
_MARGIN: Final = 1.02
_UNTOLD: Final = 4 / 3
"""Tokens of a provider for one of ours, where it says too long and not how long."""
_CONVERSING: Final = frozenset({Endpoint.CHAT, Endpoint.RESPONSES})


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is sent of a prompt."""

    body: dict[str, Any]
    expected: Estimate
    how: Truncate | None = None
    """how it may be cut"""
    cut_tokens: int = 0
    cut_turns: int = 0
    is_last: bool = False
    """its provider found it too long before"""

    def heard(self, reply: Answer | Refusal) -> Answer | Refusal:
        """Let *reply* mean to cut the prompt once more only where that may be."""
        if not isinstance(reply, Refusal) or reply.too_long is None:
            return reply
        may_cut = self.how not in (None, Truncate.ERROR) and not self.is_last
        return replace(reply, too_long=replace(reply.too_long, may_cut=may_cut))

    def cut(self, reply: Answer | Refusal) -> Cut | None:
        """Describe what was left out; and of a prompt that is to be cut, what was said of it."""
        told = reply.too_long if isinstance(reply, Refusal) else None
        told = told if told is not None and told.may_cut else None
        if self.how is None or not (self.cut_tokens or told):
            return None
        cut = Cut(self.how, self.cut_tokens, self.cut_turns, self.expected.input_tokens)
        if told is None:
            return cut
        return replace(cut, refused=1, told_tokens=told.tokens, told_most=told.most)


@dataclass(frozen=True, slots=True)
class Unfit:
    """A prompt that is not sent."""

    why: str
    code: str = "too_long"
    """as `error_code`"""


async def fit_for(bench: Bench, served: Served, job: DueJob) -> Fitted | Unfit:
    """Read the prompt of *job*, and cut it where it is too long, as this worker has learned."""
    if job.age_s > bench.policy.max_age_s:
        return Unfit("older than retry.max_age_s allows", code="max_age")
    if job.truncate is None:
        return await fit(served, job, learned=1.0)
    told = None
    if job.attempts and job.fell_back_from is None:
        told = await bench.recorder.refused_cut(job.job_id)
    learned = bench.permits.input_ratio(served.scope(job.model))
    return await fit(served, job, learned=learned, told=told)


async def fit(
    served: Served, job: DueJob, *, learned: float, told: Cut | None = None
) -> Fitted | Unfit:
    """Read the prompt of *job*, and cut it where it is too long and its batch says how.

    *learned*: true tokens for an estimated one; *told*: what its provider found too long before.
    """
    body: dict[str, Any] = msgspec.json.decode(job.body)
    fitted = Fitted(body, estimate(served.kind, body))
    window = served.window(job.model)
    counted = fitted.expected.input_tokens
    if job.truncate is None or job.truncate == Truncate.ERROR:
        most = job.max_input_tokens or counted
        if counted > most:
            return Unfit(f"it has about {counted:,} tokens, and {most:,} may be sent")
        if window is not None and _is_surely_above(served, body, counted, window):
            takes = f"{job.model} takes {window:,}: --truncate cuts such prompts"
            return Unfit(f"it has about {counted:,} tokens, {takes}")
        return fitted
    # What was told is of the model that was asked first: one that fell back is cut no second time.
    is_last = told is not None or job.fell_back_from is not None
    fitted = replace(fitted, how=Truncate(job.truncate), is_last=is_last)
    most_tokens = _most(served.terms(job.model), job, body, told)
    if most_tokens is None:
        return fitted
    room = int(most_tokens / (_ratio(learned, told) * _MARGIN))
    return fitted if counted <= room else await _cut(served, fitted, room)


async def _cut(served: Served, fitted: Fitted, room: int) -> Fitted | Unfit:
    factor, counted = FACTORS[served.kind], fitted.expected.input_tokens
    how = fitted.how or Truncate.ERROR
    shortened = await asyncio.to_thread(
        shorten, fitted.body, how, tokens=round(counted / factor), most=int(room / factor)
    )
    if shortened is None:
        return Unfit(f"of about {counted:,} tokens {room:,} have room, and {how} cannot get there")
    left = round(shortened.tokens * factor)
    return replace(
        fitted,
        body=shortened.body,
        expected=replace(fitted.expected, input_tokens=left),
        cut_tokens=counted - left,
        cut_turns=shortened.turns,
    )


def _most(terms: Terms, job: DueJob, body: Mapping[str, Any], told: Cut | None) -> int | None:
    """Tell how many tokens may be sent, with room for the answer; None: nobody knows."""
    window = (told.told_most if told else None) or terms.prices.window(terms.model)
    if window is None and told is not None:
        window = told.sent_tokens
    most = window if window is None else window - _room_for_answer(terms, body, window)
    return min((one for one in (most, job.max_input_tokens) if one is not None), default=None)


def _room_for_answer(terms: Terms, body: Mapping[str, Any], window: int) -> int:
    """Keep room for the answer that is allowed; for one without a limit at most a half."""
    if terms.kind is ProviderKind.GEMINI:  # counted apart
        return 0
    asked = most_output(body)
    if asked is not None:
        return min(asked, window)
    longest = longest_answer(terms, body)
    return window // 4 if longest is None or longest > window // 2 else longest


def _ratio(learned: float, told: Cut | None) -> float:
    """Tell how many tokens its provider counts for one of ours: rather too many."""
    if told is None:
        return max(1.0, learned)
    if told.told_tokens is None or not told.sent_tokens:
        return _UNTOLD
    return min(5.0, max(0.2, told.told_tokens / told.sent_tokens))


def _is_surely_above(served: Served, body: Mapping[str, Any], counted: int, window: int) -> bool:
    """Tell whether even the fewest tokens that *counted* may stand for are too many."""
    if counted * _SURE[served.kind] <= window:
        return False
    return endpoint_of(body) in _CONVERSING and not media_parts(body)

"""What rows of a batch cost, and take of the live limits, told by some of them."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import accumulate
from typing import Any, Final

import msgspec

from promptmill.schema.backlog import BatchBacklog, Scope, Unasked, row_sample
from promptmill.schema.ceilings import ModelLimits
from promptmill.schema.charging import COUNTED
from promptmill.schema.database import Connection
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.prices import Tariff
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.reading import batch_usage
from promptmill.schema.tokens import count_input, guess_input, most_output

_DAY_S, _MINUTE_S = 86_400.0, 60.0
_SAMPLE: Final = 64
_KEPT_S: Final = 60.0
_ENOUGH: Final = 10
"""answers of a batch from which is learned how long they are"""
_USUAL_ANSWER: Final = 1000
"""tokens of an answer of which nobody knows more"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a usual job takes, in tokens."""

    given: float
    answered: float
    allowed: float
    """of answer; 0 where jobs name no maximum"""

    def of(self, dimension: str, limits: ModelLimits, kind: ProviderKind) -> float:
        """Tell what it takes of a limit."""
        match dimension:
            case "rpm" | "rpd":
                return 1.0
            case "itpm":
                return self.given
            case "otpm":
                return self.answered
        used = self.given + self.answered
        match limits.tokens or COUNTED[kind]:
            case "max_tokens":
                return max(self.allowed, used)
            case "usage":
                return used
            case "input":
                return self.given


def rate_carried(limits: ModelLimits, kind: ProviderKind, load: Load | None) -> float | None:
    """Tell how many jobs a second the known limits carry, without *load* by requests alone.

    None: nobody knows.
    """
    rates = []
    for ceilings in (limits.limits, limits.shared):
        for dimension, ceiling in ceilings.items():
            if load is None and not dimension.startswith("r"):
                continue
            amount = 1.0 if load is None else load.of(dimension, limits, kind)
            if amount:
                window_s = _DAY_S if dimension.endswith("d") else _MINUTE_S
                rates.append(ceiling / window_s / amount)
    return min(rates, default=None)


def counts_tokens(limits: ModelLimits) -> bool:
    """Tell whether a limit is known that is not by requests."""
    return any(not name.startswith("r") for name in (*limits.limits, *limits.shared))


@dataclass(frozen=True, slots=True)
class Scales:
    """Weighs the requests of one batch and model."""

    kind: ProviderKind
    tariff: Tariff | None
    """None: its price is not known"""
    answer: float | None
    """tokens of its answers so far; None: there are too few"""

    def load(self, body: Mapping[str, Any], *, exact: bool) -> Load:
        """Tell what a request takes; *exact*: its tokens are counted, and not guessed."""
        given = (count_input if exact else guess_input)(self.kind, body)
        allowed = most_output(body)
        return Load(given, self._answered(allowed), allowed or 0)

    def cost(self, body: Mapping[str, Any]) -> float:
        """Tell what it costs beside the others: about, for little CPU."""
        load = self.load(body, exact=False)
        if self.tariff is None:
            return load.given + load.answered
        return self.tariff.sum_micros(load.given, load.answered, calls=1)

    def _answered(self, allowed: int | None) -> float:
        usual = _USUAL_ANSWER if self.answer is None else self.answer
        return usual if allowed is None else min(allowed, usual)


@dataclass(frozen=True, slots=True)
class Sample:
    """What some rows of a batch and model told, that have not been asked."""

    scales: Scales
    costs: Sequence[float]
    """of pending rows, the cheapest first"""
    cheapest: Sequence[Load]
    """a usual one of the cheapest of them, of the two cheapest, and on"""
    aside: Load | None
    """a usual one of those in the lane; None: nobody knows"""

    def usual(self, one: BatchBacklog) -> Load | None:
        """Tell the load of a usual row of all that have not ended; None: nobody knows."""
        pending = self.cheapest[-1] if self.cheapest else None
        if pending is None or self.aside is None:
            return pending or self.aside
        live, away = one.pending + one.queued, one.waiting + one.running
        share = away / (live + away) if away else 0.0
        pairs = zip(astuple(pending), astuple(self.aside), strict=True)
        return Load(*(kept + share * (moved - kept) for kept, moved in pairs))


class Loads:
    """Takes samples, and remembers each for a minute. *clock* is monotonic, in seconds."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[tuple[int, Scope], tuple[float, Sample]] = {}

    def of(
        self,
        connection: Connection,
        one: BatchBacklog,
        *,
        kind: ProviderKind,
        tariff: Tariff | None,
        exact: bool,
    ) -> Sample:
        """Take a sample; where no rows are at the moment, it has what the last one knew of them.

        *exact*: loads are counted, and not guessed.
        """
        key = one.batch_id, one.scope
        at, known = self._known.get(key, (-math.inf, None))
        if known is not None and self._clock() - at < _KEPT_S:
            return known
        scales = Scales(kind, tariff, _usual_answer(connection, *key))
        bodies: dict[Unasked, list[Mapping[str, Any]]] = {
            where: list(map(msgspec.json.decode, row_sample(connection, *key, where, most=_SAMPLE)))
            for where in Unasked
        }
        ranked = sorted(bodies[Unasked.PENDING], key=scales.cost)
        aside = [scales.load(body, exact=exact) for body in bodies[Unasked.LANED]]
        last_aside = known.aside if known is not None else None
        cheapest = _means([scales.load(body, exact=exact) for body in ranked])
        sample = Sample(
            scales,
            costs=list(map(scales.cost, ranked)),
            cheapest=cheapest or (known.cheapest if known is not None else ()),
            aside=_means(aside)[-1] if aside else last_aside,
        )
        self._known[key] = (self._clock(), sample)
        return sample

    def renew(self, batch_id: int, scope: Scope) -> None:
        """Take another sample the next time: other rows are pending now."""
        at_known = self._known.get((batch_id, scope))
        if at_known is not None:
            self._known[batch_id, scope] = (-math.inf, at_known[1])

    def keep(self, wanted: Collection[tuple[int, Scope]]) -> None:
        """Forget all others."""
        self._known = {key: known for key, known in self._known.items() if key in wanted}


def _means(loads: Sequence[Load]) -> list[Load]:
    """Tell the mean of the first load, of the first two, and on."""
    sums = zip(*map(accumulate, zip(*map(astuple, loads), strict=True)), strict=True)
    return [Load(*(amount / n for amount in amounts)) for n, amounts in enumerate(sums, 1)]


def _usual_answer(connection: Connection, batch_id: int, scope: Scope) -> float | None:
    """Tell how long answers of a batch have been so far."""
    answered = [
        row
        for row in batch_usage(connection, batch_id)
        if (row.provider, row.model, row.outcome) == (*scope, AttemptOutcome.SUCCEEDED)
    ]
    calls = sum(row.calls for row in answered)
    return sum(row.output_tokens for row in answered) / calls if calls >= _ENOUGH else None

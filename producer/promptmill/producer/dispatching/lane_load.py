"""What a usual job of a batch takes of the live limits, told by some of those that are pending."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

import msgspec

from promptmill.schema.backlog import Scope, pending_sample
from promptmill.schema.ceilings import ModelLimits
from promptmill.schema.charging import COUNTED
from promptmill.schema.database import Connection
from promptmill.schema.outcomes import AttemptOutcome
from promptmill.schema.provider_settings import ProviderKind
from promptmill.schema.reading import batch_usage
from promptmill.schema.tokens import count_input, most_output

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


class Loads:
    """Reads loads, and remembers each for a minute. *clock* is monotonic, in seconds."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[tuple[int, Scope], tuple[float, Load | None]] = {}

    def of(
        self, connection: Connection, batch_id: int, scope: Scope, kind: ProviderKind
    ) -> Load | None:
        """Tell the load of a usual job of a batch and model; None: none was ever pending."""
        at, known = self._known.get((batch_id, scope), (-_KEPT_S, None))
        if self._clock() - at < _KEPT_S:
            return known
        sample = pending_sample(connection, batch_id, scope, most=_SAMPLE)
        load = _load(kind, sample, _usual_answer(connection, batch_id, scope)) if sample else known
        self._known[batch_id, scope] = (self._clock(), load)
        return load


def _load(kind: ProviderKind, sample: list[str], answer: float | None) -> Load:
    bodies: list[Mapping[str, Any]] = [msgspec.json.decode(body) for body in sample]
    allowed = [most_output(body) for body in bodies]
    likely = [_USUAL_ANSWER if most is None else min(most, _USUAL_ANSWER) for most in allowed]
    return Load(
        given=fmean(count_input(kind, body) for body in bodies),
        answered=fmean(likely) if answer is None else answer,
        allowed=fmean(most or 0 for most in allowed),
    )


def _usual_answer(connection: Connection, batch_id: int, scope: Scope) -> float | None:
    """Tell how long answers of a batch have been so far."""
    answered = [
        row
        for row in batch_usage(connection, batch_id)
        if (row.provider, row.model, row.outcome) == (*scope, AttemptOutcome.SUCCEEDED)
    ]
    calls = sum(row.calls for row in answered)
    return sum(row.output_tokens for row in answered) / calls if calls >= _ENOUGH else None

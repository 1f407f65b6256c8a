"""How long an input takes at the limits that are known: configured, set live, told or learned."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from promptmill.producer.estimate.forecast import Forecast, Range
from promptmill.producer.limits.memory import LimitMemory
from promptmill.producer.limits.reading import LimitReader
from promptmill.producer.limits.standing import Known, ScopeStanding, stand
from promptmill.producer.limits.watch import redis_in_use
from promptmill.schema.errors import ServiceError
from promptmill.schema.live_limits import ACCOUNT
from promptmill.schema.settings import Settings

_DAY_S, _MINUTE_S = 86_400.0, 60.0
_Amounts = Mapping[str, Range]
"""by the dimension: what an input takes of it"""


@dataclass(frozen=True, slots=True)
class Duration:
    """How long one limit holds an input."""

    seconds: Range
    by: str
    """whose limit: `openai gpt-4o rpm 500`"""


def duration_at_limits(
    forecasts: Sequence[Forecast], settings: Settings, known: Known
) -> Duration | None:
    """Find the limit that takes longest; None where none is known.

    How long answers take is not in it, nor are other batches.
    """
    memory = _memory(settings)
    found: list[Duration] = []
    shared: defaultdict[str, dict[str, Range]] = defaultdict(dict)
    for one in forecasts:
        asked, model = one.route.provider, one.route.model
        amounts = _amounts(one)
        for dimension, amount in amounts.items():
            before = shared[asked].get(dimension, Range(0, 0))
            shared[asked][dimension] = before + amount
        by_member = []
        for provider in _askable(asked, settings):
            held = [
                _durations(standing, shared[asked] if standing.name == ACCOUNT else amounts)
                for standing in stand(settings, known, memory, provider=provider, model=model)
            ]
            by_member.append(_longest(chain.from_iterable(held)))
        found += _together(asked, by_member)
    return _longest(found)


def _askable(name: str, settings: Settings) -> list[str]:
    """List who takes part of what is asked of *name*; a member of weight 0 does not, usually."""
    pool = settings.pools.get(name)
    return sorted(one for one, weight in pool.members.items() if weight) if pool else [name]


def _longest(found: Iterable[Duration]) -> Duration | None:
    return max(found, key=lambda one: one.seconds.high or one.seconds.low, default=None)


def _together(asked: str, by_member: Sequence[Duration | None]) -> list[Duration]:
    """Say how long the members of a pool take: each does as much of it as its limits allow.

    *by_member*: what each would take alone. Nothing is known where one has no limit.
    """
    held = [one for one in by_member if one is not None]
    if len(held) < len(by_member) or len(held) == 1:
        return held if len(by_member) == 1 else []
    highs = [one.seconds.high for one in held]
    known = [high for high in highs if high is not None]
    high = _shared_s(known) if len(known) == len(highs) else None
    seconds = Range(_shared_s(one.seconds.low for one in held), high)
    return [Duration(seconds, f"{asked}: {', '.join(one.by for one in held)}")]


def _shared_s(seconds: Iterable[float]) -> float:
    alone = list(seconds)
    return 1 / sum(1 / one for one in alone) if all(alone) else 0.0


def _amounts(one: Forecast) -> dict[str, Range]:
    calls, tokens = Range(one.prompts, one.prompts), one.input_tokens + one.output_tokens
    return {
        "rpm": calls,
        "tpm": tokens,
        "itpm": one.input_tokens,
        "otpm": one.output_tokens,
        "rpd": calls,
        "tpd": tokens,
    }


def _durations(standing: ScopeStanding, amounts: _Amounts) -> list[Duration]:
    found = []
    for each in standing.dimensions:
        level = each.level
        limit = level.limit if level is not None and not level.probing else each.configured
        if not limit:
            continue
        # The first day's limit is there at once.
        window, at_once = (_DAY_S, limit) if each.dimension.endswith("d") else (_MINUTE_S, 0.0)
        amount = amounts[each.dimension]
        low = max(0.0, amount.low - at_once) * window / limit
        high = None if amount.high is None else max(0.0, amount.high - at_once) * window / limit
        by = f"{standing.account.provider} {standing.name} {each.dimension} {limit:,.0f}"
        found.append(Duration(Range(low, high), by))
    return found


def _memory(settings: Settings) -> LimitMemory | None:
    """Read what the limiter knows, where its Redis is up."""
    url = redis_in_use(settings)
    if url is None:
        return None
    reader = LimitReader(url, prefix=settings.key_prefix, for_a_glance=True)
    try:
        return reader.read()
    except ServiceError:
        return None
    finally:
        reader.close()

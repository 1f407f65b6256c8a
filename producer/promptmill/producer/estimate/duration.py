"""How long an input takes at the limits that are known: configured, set live, told or learned."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        provider, model = one.route.provider, one.route.model
        amounts = _amounts(one)
        for dimension, amount in amounts.items():
            before = shared[provider].get(dimension, Range(0, 0))
            shared[provider][dimension] = before + amount
        for standing in stand(settings, known, memory, provider=provider, model=model):
            of_all = standing.name == ACCOUNT
            found += _durations(standing, shared[provider] if of_all else amounts)
    return max(found, key=lambda one: one.seconds.high or one.seconds.low, default=None)


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
    reader = LimitReader(url, prefix=settings.key_prefix)
    try:
        return reader.read()
    except ServiceError:
        return None
    finally:
        reader.close()

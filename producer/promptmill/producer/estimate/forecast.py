"""Tokens and cost of an input before it is sent: counted on a sample, and from what SQL remembers.

Each figure is a range. Input: counted with the o200k table on at most 1,000 prompts, evenly taken,
give or take the error of the sample and of the table at other providers; corrected by what answered
requests of the model really used. Output: half to twice the usual answer where the model has
answered before, else from one token to the longest answer that is allowed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf, sqrt
from statistics import fmean, pstdev

import msgspec

from promptmill.producer.estimate.budgets import Routes, terms_of
from promptmill.producer.reading import Checked, Prompt
from promptmill.producer.routing import Route
from promptmill.schema.bounds import Terms, longest_answer, most_micros
from promptmill.schema.database import Database
from promptmill.schema.history import PastAnswer, recent_answers
from promptmill.schema.pools import NO_POOLS, Pools, priced_as
from promptmill.schema.settings import ProviderKind, ProviderSettings
from promptmill.schema.tokens import count_input
from promptmill.schema.truncation import Truncate, Truncation

_Z = 1.96
"""standard errors to each side: 95 of 100 samples"""
_EXACT, _LEARNED, _GUESSED = 0.02, 0.1, 0.35
"""error of the token table: OpenAI's own models, corrected by history, others"""
_ENOUGH = 10
"""answers of a model from which is learned"""
_SPREAD = 2.0
"""the usual answer of other prompts may be so many times as long, or as short"""
_USUAL_ANSWER = 1000
"""tokens of an answer, where nobody knows more: few are longer, though most models allow that"""
_CACHED_FROM = 1024
"""input tokens from which providers may read a prompt's beginning from a cache, for less"""


@dataclass(frozen=True, slots=True)
class Range:
    """From *low* to *high*; *high* None: nobody knows."""

    low: float
    high: float | None

    def __add__(self, other: "Range") -> "Range":
        known = self.high is not None and other.high is not None
        return Range(self.low + other.low, (self.high or 0) + (other.high or 0) if known else None)


class OutputBy(StrEnum):
    """Where the range of the output comes from."""

    HISTORY = "history"
    """answers of this model in SQL"""
    LONGEST = "longest"
    """the requests' max_tokens, or the model's longest answer"""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one model will be asked, and what that will take."""

    route: Route
    prompts: int
    counted: int
    """of them, in the sample"""
    input_tokens: Range
    output_tokens: Range
    output_by: OutputBy
    cost_micros: Range | None
    """None: the price is unknown"""
    likely_micros: float | None
    """what it may well cost: the dear end, with answers of a usual length; None: nobody knows"""
    most_micros: int | None
    """what a budget would reserve for all; None: nobody knows"""


@dataclass(frozen=True, slots=True)
class _Past:
    """What answered requests of a model used."""

    ratio: float
    """input tokens for a counted one"""
    answer: float
    """tokens of a usual answer"""


def forecast(
    checked: Checked,
    routes: Routes,
    providers: Mapping[str, ProviderSettings],
    database: Database | None,
    *,
    pools: Pools = NO_POOLS,
    truncation: Truncation | None = None,
) -> tuple[Forecast, ...]:
    """Estimate each model of an input; without a *database* nothing is learned from.

    *truncation*: how prompts are cut before they are sent.
    """
    asked: dict[Route, list[str | None]] = {}
    for model, several in routes.items():
        for route in several:
            asked.setdefault(route, []).append(model)
    return tuple(
        _of_model(
            terms_of(route, providers, pools),
            route,
            prompts=sum(checked.models[model] for model in models),
            sample=[one for one in checked.sample if one.model in models] or checked.sample,
            past=_past(
                database, priced_as(route.provider, pools), terms_of(route, providers, pools)
            ),
            truncation=truncation,
        )
        for route, models in asked.items()
    )


def total_likely(forecasts: Sequence[Forecast]) -> float | None:
    """Add up what all may well cost, where the price is known; None: nobody knows."""
    likely = [one.likely_micros for one in forecasts if one.cost_micros is not None]
    known = [micros for micros in likely if micros is not None]
    return sum(known) if len(known) == len(likely) else None


def total_cost(forecasts: Sequence[Forecast]) -> Range:
    """Add up what is known of the costs; what is not leaves the upper end open."""
    total = Range(0, 0)
    for one in forecasts:
        total += one.cost_micros or Range(0, None)
    return total


def _of_model(
    terms: Terms,
    route: Route,
    *,
    prompts: int,
    sample: Sequence[Prompt],
    past: _Past | None,
    truncation: Truncation | None,
) -> Forecast:
    bodies = [msgspec.json.decode(prompt.body) for prompt in sample]
    most = _most_sent(terms, truncation)
    counts = [min(most, count_input(terms.kind, body)) for body in bodies]
    given = _input(counts, prompts, _table_error(terms, past), past)
    longest = [longest_answer(terms, body) for body in bodies]
    answered = _output(longest, prompts, past)
    bounds = [
        most_micros(terms, body, prompt.body) for body, prompt in zip(bodies, sample, strict=True)
    ]
    known = [bound for bound in bounds if isinstance(bound, int)]
    return Forecast(
        route,
        prompts,
        min(prompts, len(sample)),
        given,
        answered,
        OutputBy.HISTORY if past else OutputBy.LONGEST,
        _cost(terms, prompts, given, answered),
        _likely(terms, prompts, given, answered, past),
        round(prompts * fmean(known)) if bounds and len(known) == len(bounds) else None,
    )


def _most_sent(terms: Terms, truncation: Truncation | None) -> float:
    """Tell to how many tokens a prompt is cut; of its window the worker keeps a part free."""
    if truncation is None or truncation.how is Truncate.ERROR:
        return inf
    known = (truncation.most, terms.prices.window(terms.model))
    return min((one for one in known if one is not None), default=inf)


def _input(counts: Sequence[float], prompts: int, table: float, past: _Past | None) -> Range:
    if not counts:
        return Range(0, None)
    ratio = past.ratio if past else 1.0
    mean = fmean(counts)
    unseen = max(0.0, 1 - len(counts) / prompts)
    missed = _Z * pstdev(counts) * sqrt(unseen / len(counts)) / mean if mean else 0.0
    error = min(0.95, table + missed)
    return Range(prompts * mean * ratio * (1 - error), prompts * mean * ratio * (1 + error))


def _table_error(terms: Terms, past: _Past | None) -> float:
    if past is not None:
        return _LEARNED
    return _EXACT if terms.prices.source == terms.kind == ProviderKind.OPENAI else _GUESSED


def _output(longest: Sequence[int | None], prompts: int, past: _Past | None) -> Range:
    known = [each for each in longest if each is not None]
    most = prompts * fmean(known) if known and len(known) == len(longest) else None
    if past is None:
        return Range(prompts, most)
    high = prompts * past.answer * _SPREAD
    return Range(prompts * past.answer / _SPREAD, high if most is None else min(high, most))


def _cost(terms: Terms, prompts: int, given: Range, answered: Range) -> Range | None:
    tariff = terms.prices.tariff_now(terms.model)
    if tariff is None or not prompts:
        return None
    cached = given.low / prompts >= _CACHED_FROM
    low = tariff.sum_micros(given.low, answered.low, calls=prompts, cached=cached)
    if given.high is None or answered.high is None:
        return Range(low, None)
    return Range(low, tariff.sum_micros(given.high, answered.high, calls=prompts))


def _likely(
    terms: Terms, prompts: int, given: Range, answered: Range, past: _Past | None
) -> float | None:
    usual = answered.high if past else min(answered.high or inf, prompts * _USUAL_ANSWER)
    cost = _cost(terms, prompts, given, Range(answered.low, usual))
    return cost.high if cost else None


def _past(database: Database | None, provider: str, terms: Terms) -> _Past | None:
    if database is None:
        return None
    with database.read() as connection:
        answers = recent_answers(connection, provider, terms.model)
    if len(answers) < _ENOUGH:
        return None
    counted = sum(_count(terms.kind, answer) for answer in answers)
    used = sum(answer.input_tokens for answer in answers)
    return _Past(
        used / counted if counted else 1.0, fmean(answer.output_tokens for answer in answers)
    )


def _count(kind: ProviderKind, answer: PastAnswer) -> int:
    return count_input(kind, msgspec.json.decode(answer.body))

"""A budget as a person gives it, and whether it can be kept for an input."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import msgspec

from promptmill.producer.reading import Checked
from promptmill.producer.routing import Route
from promptmill.schema.bounds import Terms, Unbounded, most_micros, unpriced
from promptmill.schema.database import Database
from promptmill.schema.errors import OverBudgetError, UsageError
from promptmill.schema.money import dollars
from promptmill.schema.moves.spending import set_budget
from promptmill.schema.pools import NO_POOLS, Pools, priced_as
from promptmill.schema.prices import price_list_of
from promptmill.schema.settings import ProviderSettings

Routes = Mapping[str | None, Sequence[Route]]
"""who is asked, by the model that a line names"""
_AMOUNT = re.compile(r"\$?(\d[\d,]*(?:\.\d+)?|\.\d+)")
_MOST_DOLLARS = 1e9


@dataclass(frozen=True, slots=True)
class Budget:
    """What a batch may cost in all."""

    micros: int | None
    """None: anything"""


def parse_budget(text: str) -> Budget:
    """Read dollars, or `none`. Raises UsageError."""
    if text.strip().lower() == "none":
        return Budget(None)
    found = _AMOUNT.fullmatch(text.strip())
    amount = float(found[1].replace(",", "")) if found else 0.0
    if not 1e-6 <= amount <= _MOST_DOLLARS:
        msg = f"--budget {text!r} is no amount of US dollars; write 5, 0.50 or none"
        raise UsageError(msg)
    return Budget(round(amount * 1e6))


def require_keepable(
    budget: Budget,
    checked: Checked,
    routes: Routes,
    providers: Mapping[str, ProviderSettings],
) -> None:
    """Raise OverBudgetError where *budget* is less than any call, UsageError where none is kept."""
    if budget.micros is None:
        return
    for route in chain.from_iterable(routes.values()):
        terms = terms_of(route, providers)
        if terms.prices.tariff_now(route.model) is None:
            msg = f"a budget cannot be kept: {unpriced(terms)}"
            raise UsageError(msg)
    least = min(_bounds(checked, routes, providers), default=(0, ""))
    if least[0] > budget.micros:
        msg = (
            f"one call of {least[1]} may cost {dollars(least[0])}, more than the budget of"
            f" {dollars(budget.micros)}: raise it, or let answers be shorter (-o max_tokens 500)"
        )
        raise OverBudgetError(msg)


def terms_of(
    route: Route, providers: Mapping[str, ProviderSettings], pools: Pools = NO_POOLS
) -> Terms:
    """Tell by what the most that a call can cost is found."""
    name = priced_as(route.provider, pools)
    return Terms(price_list_of(name, providers[name]), providers[name].kind, route.model)


def misspelt(
    routes: Routes, providers: Mapping[str, ProviderSettings], pools: Pools = NO_POOLS
) -> Iterator[str]:
    """Tell of each model that no price list knows, and that is nearly called as another."""
    for route in dict.fromkeys(chain.from_iterable(routes.values())):
        near = terms_of(route, providers, pools).prices.near(route.model)
        if near is not None:
            yield f"no price list knows {route.full}: is it {near}?"


def _bounds(
    checked: Checked,
    routes: Routes,
    providers: Mapping[str, ProviderSettings],
) -> Iterator[tuple[int, str]]:
    """Tell what each prompt of the sample can cost, and whose it is."""
    for prompt in checked.sample:
        body = msgspec.json.decode(prompt.body)
        for route in routes[prompt.model]:
            most = most_micros(terms_of(route, providers), body, prompt.body)
            if isinstance(most, Unbounded):
                msg = f"a budget cannot be kept: {most.problem}"
                raise UsageError(msg)
            yield most, route.model


def change_budget(database: Database, batch_id: int, budget: Budget) -> bool:
    """Set what a batch that is there may cost. True: it was paused by its budget, and goes on."""
    with database.write() as connection:
        return set_budget(connection, batch_id, budget.micros)

"""Pools: several keys or endpoints that answer the same models, each with its own limits.

A pool has a name like a provider's, and jobs that are asked of it are its own until the dispatcher
deals them to a member (`moves.queueing`). What comes back unanswered is the pool's again.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from promptmill.schema.provider_settings import ProviderSettings, Strict, from_json

# The pool that a job goes back to, unless its member makes a response in the background that only
# that one can be asked for.
BACK: Final = """case when jobs.pool is null or exists (select 1 from background_responses r
    where r.job_id = jobs.id and r.generation = jobs.generation)
    then jobs.provider else jobs.pool end"""
"""In SQL over jobs: whose a job is that is put back."""


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Members = Annotated[dict[str, Weight], BeforeValidator(from_json)]


class PoolSettings(Strict):
    """Providers of one kind that share what is asked of them together."""

    members: Members
    """provider to its share, beside those of the others; 0: only where no other can"""


Pools = Mapping[str, PoolSettings]
"""by name"""
NO_POOLS: Pools = {}


def check_pools(pools: Pools, providers: Mapping[str, ProviderSettings]) -> None:
    """Raise ValueError for a pool that could not be dealt from."""
    for name, pool in pools.items():
        problem = _problem(name, pool, providers)
        if problem:
            msg = f"{name}: {problem}"
            raise ValueError(msg)


def _problem(
    name: str, pool: PoolSettings, providers: Mapping[str, ProviderSettings]
) -> str | None:
    if name in providers:
        return "there is a provider of this name too: give the pool a name of its own"
    unknown = sorted(set(pool.members) - set(providers))
    if unknown:
        known = ", ".join(sorted(providers))
        return f"the member {unknown[0]!r} is no provider; there are {known}"
    if not any(pool.members.values()):
        return "no member has a weight above 0: write members = { openai = 3, openai-b = 1 }"
    kinds = {providers[member].kind: member for member in pool.members}
    if len(kinds) > 1:
        told = " and ".join(f"{member} of {kind}" for kind, member in sorted(kinds.items()))
        return f"its members speak different wire formats, {told}: they must be of one kind"
    return None


def priced_as(name: str, pools: Pools) -> str:
    """Name the provider by whose prices is estimated: of a pool the first member."""
    return next(iter(pools[name].members)) if name in pools else name


def members_of(names: Iterable[str], pools: Pools) -> set[str]:
    """List providers, with the members in the place of each pool."""
    found: set[str] = set()
    for name in names:
        found |= set(pools[name].members) if name in pools else {name}
    return found

"""Which limits hold in this process: those of the settings, those changed live, and their past."""

import asyncio
from collections import ChainMap
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from promptmill.schema.ceilings import section_of
from promptmill.schema.database import Database
from promptmill.schema.history import Used, recent_answers, used_by_model
from promptmill.schema.live_limits import LiveLimit, live_ceilings, read_limits
from promptmill.schema.outcomes import Usage
from promptmill.workers.limits.charges import Charges
from promptmill.workers.limits.limit import Dimension, Example, Scope, Seed
from promptmill.workers.limits.permits import Permits
from promptmill.workers.served import Served
from promptmill.workers.tokens import estimate


class Allowances:
    """Keeps the limits of all providers of a process up to date, and tells a store their past."""

    def __init__(self, database: Database, *served: dict[str, Served]) -> None:
        """Hold *served*, by name; their entries are replaced when limits change."""
        self._database, self._served = database, ChainMap(*served)
        self._live: Sequence[LiveLimit] = ()

    def read(self) -> Sequence[LiveLimit]:
        """Read what was changed live. For a thread. Raises DatabaseError."""
        with self._database.read() as connection:
            return read_limits(connection)

    def take(self, live: Sequence[LiveLimit], permits: Permits) -> None:
        """Let *live* hold from now on, also for those who wait already."""
        if live == self._live:
            return
        self._live = live
        for part in self._served.maps:
            for name, served in part.items():
                part[name] = served.with_live(live_ceilings(live, name))
        for scope in permits.scopes:
            permits.configure(self._served[scope.provider].scope(scope.model))

    async def past_of(self, scope: Scope) -> Seed:
        """Tell what was used today, and what answers of the model were like. Raises DatabaseError.

        For a store that knows nothing: a new one, or one that was emptied in mid run.
        """
        return await asyncio.to_thread(self._past_of, scope)

    def _past_of(self, scope: Scope) -> Seed:
        served = self._served[scope.provider]
        midnight = datetime.now(served.settings.day_zone).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        with self._database.read() as connection:
            used = used_by_model(connection, scope.provider, midnight)
            answers = recent_answers(connection, scope.provider, scope.model)
        sharing = (
            each
            for model, each in used.items()
            if section_of(served.settings, model, served.live) == scope.shared_by
        )
        charges = Charges(served.kind, scope.charging)
        return Seed(
            used_today=_used_today(charges, sum(sharing, Used())),
            shared_today=_used_today(charges, sum(used.values(), Used())),
            examples=tuple(
                Example(
                    estimate(served.kind, msgspec.json.decode(answer.body)),
                    charges.input_of(
                        Usage(
                            answer.input_tokens,
                            answer.output_tokens,
                            cache_read_tokens=answer.cache_read_tokens,
                        )
                    ),
                    answer.output_tokens,
                )
                for answer in reversed(answers)
            ),
        )


def _used_today(charges: Charges, used: Used) -> Mapping[Dimension, float]:
    tokens = charges.tokens_of(used.input_tokens, used.output_tokens)
    return {Dimension.RPD: used.requests, Dimension.TPD: tokens}

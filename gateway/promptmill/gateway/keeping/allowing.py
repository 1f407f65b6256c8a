"""Keep the budgets of tenants: what is left of each is divided anew among its open batches."""

from collections.abc import Callable
from typing import Final

import structlog

from promptmill.gateway.context import Gateway
from promptmill.schema.moves.allowances import divide_budget, standing_of, tenants_with_budget
from promptmill.schema.moves.carrying import carry, tenants_to_carry

_log = structlog.get_logger(__name__)
_CHUNK: Final = 1000
"""batches that are carried in one transaction"""


class Allowing:
    """The part of the work that is about money."""

    role = "gateway-allow"

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def turn(self, beat: Callable[[], None]) -> None:
        """Carry what has ended, of all tenants; then look at every one that has a budget."""
        self._carry(beat)
        database = self._gateway.database
        with database.read() as connection:
            budgets = [
                tenant_id
                for tenant_id in tenants_with_budget(connection)
                if standing_of(connection, tenant_id).new_parts
            ]
        for tenant_id in budgets:
            beat()
            with database.write() as connection:
                changed = divide_budget(connection, tenant_id)
            if changed:
                _log.info("budget divided", tenant=tenant_id, batches=changed)

    def _carry(self, beat: Callable[[], None]) -> None:
        database = self._gateway.database
        with database.read() as connection:
            tenants = tenants_to_carry(connection)
        for tenant_id in tenants:
            carried = _CHUNK
            while carried == _CHUNK:
                beat()
                with database.write() as connection:
                    carried = carry(connection, tenant_id, most=_CHUNK)

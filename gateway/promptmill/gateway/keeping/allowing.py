"""Keep the budgets of tenants: what is left of each is divided anew among its open batches."""

from collections.abc import Callable

import structlog

from promptmill.gateway.context import Gateway
from promptmill.schema.moves.allowances import divide_budget, is_to_divide, tenant_budgets

_log = structlog.get_logger(__name__)


class Allowing:
    """The part of the work that is about money."""

    role = "gateway-allow"

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def turn(self, beat: Callable[[], None]) -> None:
        """Look at every tenant that has a budget."""
        database = self._gateway.database
        with database.read() as connection:
            budgets = [one for one in tenant_budgets(connection) if is_to_divide(connection, *one)]
        for tenant_id, budget in budgets:
            beat()
            with database.write() as connection:
                changed = divide_budget(connection, tenant_id, budget)
            if changed:
                _log.info("budget divided", tenant=tenant_id, batches=changed)

"""`promptmill tenants`: whose keys there are, what they may spend, and how often they may ask."""

from promptmill.producer.cli.output import money, note, print_json, print_table
from promptmill.producer.cli.webhooks import shown_host
from promptmill.producer.estimate.budgets import parse_budget
from promptmill.producer.opening import opened
from promptmill.producer.submitting.webhook import parse_webhook
from promptmill.schema.database import Connection
from promptmill.schema.errors import UsageError
from promptmill.schema.money import dollars
from promptmill.schema.moves.allowances import divide_budget, lift_budgets
from promptmill.schema.settings import load_settings, parse_amount
from promptmill.schema.tenants import (
    all_tenants,
    set_tenant_budget,
    set_tenant_rpm,
    set_tenant_webhook,
)

_COLUMNS = ("tenant", "keys", "batches", "cost", "budget", "rpm", "webhook")
_NONE = "none"


def list_tenants(*, as_json: bool) -> None:
    """Print all tenants, by name."""
    with opened(load_settings()) as database, database.read() as connection:
        tenants = all_tenants(connection)
    if as_json:
        for one in tenants:
            budget = None if one.budget_micros is None else one.budget_micros / 1e6
            print_json(
                {
                    "tenant": one.name,
                    "keys": one.keys,
                    "batches": one.batches,
                    "cost_usd": one.cost_micros / 1e6,
                    "budget_usd": budget,
                    "rpm": one.rpm,
                    "webhook": one.webhook_url,
                }
            )
    elif tenants:
        rows = [
            (
                one.name,
                f"{one.keys:,}",
                f"{one.batches:,}",
                money(one.cost_micros),
                "-" if one.budget_micros is None else dollars(one.budget_micros),
                "-" if one.rpm is None else f"{one.rpm:,}",
                "-" if one.webhook_url is None else shown_host(one.webhook_url),
            )
            for one in tenants
        ]
        print_table(_COLUMNS, rows)
    else:
        note("there is no tenant yet: `promptmill keys add NAME` makes one")


def set_tenant(
    tenant: str, *, budget: str | None, rpm: str | None, webhook: str | None = None
) -> None:
    """Set what is given. Raises UsageError for a tenant that is not there."""
    if budget is None and rpm is None and webhook is None:
        msg = "give --budget, --rpm or --webhook"
        raise UsageError(msg)
    settings = load_settings()
    micros = None if budget is None else parse_budget(budget).micros
    often = None if rpm is None else _parse_rpm(rpm)
    url = None if webhook is None else parse_webhook(webhook, settings.webhooks)
    secret = None
    with opened(settings) as database, database.write() as connection:
        known = budget is None or _set_budget(connection, tenant, micros)
        known = known and (rpm is None or set_tenant_rpm(connection, tenant, often))
        if known and url is not None:
            secret = set_tenant_webhook(connection, tenant, url or None)
            known = secret is not None
    if not known:
        msg = f"there is no tenant {tenant!r}: `promptmill tenants list` lists them"
        raise UsageError(msg)
    note(f"{tenant} is set")
    if url and secret is not None:
        note("the secret of its webhooks; it is shown this once:")
        print(secret.reveal())


def _set_budget(connection: Connection, tenant: str, micros: int | None) -> bool:
    tenant_id = set_tenant_budget(connection, tenant, micros)
    if tenant_id is None:
        return False
    if micros is None:
        lift_budgets(connection, tenant_id)
    else:
        divide_budget(connection, tenant_id)
    return True


def _parse_rpm(text: str) -> int | None:
    if text == _NONE:
        return None
    amount = parse_amount(text)
    if not isinstance(amount, float) or amount < 1:
        msg = f"--rpm {text}: write requests a minute, such as 600, or none"
        raise UsageError(msg)
    return int(amount)

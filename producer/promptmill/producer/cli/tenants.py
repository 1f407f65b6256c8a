"""`promptmill tenants`: whose keys there are, what they may, and what becomes of their prompts."""

from collections.abc import Iterator
from dataclasses import dataclass

from promptmill.producer.cli.output import money, note, print_json, print_table
from promptmill.producer.cli.webhooks import shown_host
from promptmill.producer.estimate.budgets import parse_budget
from promptmill.producer.opening import opened
from promptmill.producer.submitting.truncating import parse_truncation
from promptmill.producer.submitting.webhook import parse_webhook
from promptmill.schema.database import Connection
from promptmill.schema.errors import UsageError
from promptmill.schema.money import dollars
from promptmill.schema.moves.allowances import divide_budget, lift_budgets
from promptmill.schema.settings import load_settings, parse_amount
from promptmill.schema.tenant_options import Option, TenantOptions, set_option
from promptmill.schema.tenants import (
    all_tenants,
    set_tenant_budget,
    set_tenant_rpm,
    set_tenant_webhook,
)

_COLUMNS = ("tenant", "keys", "batches", "cost", "budget", "rpm", "webhook", "options")
_NONE = "none"


@dataclass(frozen=True, slots=True)
class TypedOptions:
    """What is to become of a tenant's prompts and answers, as it was typed. None: as before."""

    mask_pii: str | None = None
    truncate: str | None = None
    max_input_tokens: str | None = None
    checks: str | None = None

    def read(self) -> dict[Option, str | int | None]:
        """Say what each that was given is set to. Raises UsageError."""
        words = {
            Option.MASK_PII: self.mask_pii,
            Option.TRUNCATE: self.truncate,
            Option.CHECKS: self.checks,
        }
        changes: dict[Option, str | int | None] = {
            option: None if word == _NONE else word
            for option, word in words.items()
            if word is not None
        }
        if self.max_input_tokens == _NONE:
            changes[Option.MAX_INPUT_TOKENS] = None
        elif (parsed := parse_truncation(None, self.max_input_tokens)) is not None:
            changes[Option.MAX_INPUT_TOKENS] = parsed.most
        return changes


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
                    "mask_pii": one.options.mask_pii,
                    "truncate": one.options.truncate,
                    "max_input_tokens": one.options.max_input_tokens,
                    "checks": one.options.checks,
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
                ", ".join(_shown(one.options)) or "-",
            )
            for one in tenants
        ]
        print_table(_COLUMNS, rows)
    else:
        note("there is no tenant yet: `promptmill keys add NAME` makes one")


def set_tenant(
    tenant: str,
    *,
    budget: str | None,
    rpm: str | None,
    webhook: str | None,
    options: TypedOptions,
) -> None:
    """Set what is given. Raises UsageError for a tenant that is not there."""
    changes = options.read()
    if budget is None and rpm is None and webhook is None and not changes:
        msg = "give what is to be set: see `promptmill tenants set --help`"
        raise UsageError(msg)
    settings = load_settings()
    micros = None if budget is None else parse_budget(budget).micros
    often = None if rpm is None else _parse_rpm(rpm)
    url = None if webhook is None else parse_webhook(webhook, settings.webhooks)
    secret = None
    with opened(settings) as database, database.write() as connection:
        known = budget is None or _set_budget(connection, tenant, micros)
        known = known and (rpm is None or set_tenant_rpm(connection, tenant, often))
        known = known and all(set_option(connection, tenant, *one) for one in changes.items())
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


def _shown(options: TenantOptions) -> Iterator[str]:
    if options.mask_pii is not None:
        yield f"mask {options.mask_pii}"
    if options.truncate is not None:
        yield f"truncate {options.truncate}"
    if options.max_input_tokens is not None:
        yield f"most {options.max_input_tokens:,} tokens"
    if options.checks is not None:
        yield f"checks {options.checks}"


def _parse_rpm(text: str) -> int | None:
    if text == _NONE:
        return None
    amount = parse_amount(text)
    if not isinstance(amount, float) or amount < 1:
        msg = f"--rpm {text}: write requests a minute, such as 600, or none"
        raise UsageError(msg)
    return int(amount)

"""Tenants of the gateway and their keys. Of a key only a hash is kept.

A key has 256 random bits, so that its plain SHA-256 cannot be guessed back.
"""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from promptmill.schema.connection import Connection
from promptmill.schema.instants import known_instant, parse_instant
from promptmill.schema.kept_secrets import replace_secret
from promptmill.schema.secret import Secret
from promptmill.schema.statement import Statement
from promptmill.schema.tenant_options import COLUMNS, TenantOptions, read_options
from promptmill.schema.webhook_settings import new_secret

KEY_PREFIX = "pm-"


class Scope(StrEnum):
    """What a key is good for."""

    READ = "read"
    """look at files and batches, and take the answers"""
    BATCH = "batch"
    """and make, cancel and delete them"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key came with a request, and what it is good for."""

    tenant_id: int
    key_id: int
    scopes: frozenset[str]
    rpm: int | None
    """requests a minute at the door; None: as the settings say"""
    masks_answers: bool = False
    """personal data in answers is masked, so none is told before it is"""


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant, what it may do, and what its batches have cost."""

    id: int
    name: str
    budget_micros: int | None
    rpm: int | None
    keys: int
    """that open still"""
    batches: int
    cost_micros: int
    """with what calls of unknown cost can have cost at most, where there is a budget"""
    webhook_url: str | None = None
    """told of the end of its batches"""
    options: TenantOptions = field(default_factory=TenantOptions)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key, as people may see it."""

    id: int
    tenant: str
    label: str
    ends_with: str
    scopes: str
    made_at: datetime
    revoked_at: datetime | None


_add_tenant = Statement(
    "insert into tenants (name, made_at) values (:name, {now}) on conflict (name) do nothing"
)
_tenant = Statement("select id from tenants where name = :name")
_add_key = Statement(
    """
insert into tenant_keys (tenant_id, label, sha256, ends_with, scopes, made_at)
values (:tenant_id, :label, :hashed, :ends_with, :scopes, {now}) returning id"""
)
_caller = Statement(
    """
select k.tenant_id, k.id, k.scopes, t.rpm, coalesce(t.mask_pii, '') in ('answers', 'both')
from tenant_keys k join tenants t on t.id = k.tenant_id
where k.sha256 = :hashed and k.revoked_at is null"""
)
_set_budget = Statement(
    "update tenants set budget_micros = :budget_micros where name = :name returning id"
)
_set_rpm = Statement("update tenants set rpm = :rpm where name = :name")
_set_webhook = Statement("update tenants set webhook_url = :url where name = :name returning id")
# Of batches that are `carried` the sum is there; the others are open, or ended a moment ago.
_COST = """coalesce(p.carried_micros, 0) + (
  select cast(coalesce(sum(coalesce(s.spent_micros + s.unknown_micros,
    (select sum(u.cost_micros) from usage_hourly u where u.batch_id = b.id))), 0) as bigint)
  from batches b left join batch_spending s on s.batch_id = b.id
  where b.tenant_id = t.id and b.carried is null)"""
_tenants = Statement(
    f"""
select t.id, t.name, t.budget_micros, t.rpm,
  (select count(*) from tenant_keys k where k.tenant_id = t.id and k.revoked_at is null),
  coalesce(n.batches, 0), {_COST}, t.webhook_url, {COLUMNS}
from tenants t left join tenant_spending p on p.tenant_id = t.id
left join (select b.tenant_id, count(*) as batches from batches b where b.tenant_id is not null
  group by b.tenant_id) n on n.tenant_id = t.id
order by t.name"""  # noqa: S608  our own columns
)
_revoke = Statement(
    "update tenant_keys set revoked_at = {now} where id = :id and revoked_at is null"
)
_keys = Statement(
    """
select k.id, t.name, k.label, k.ends_with, k.scopes, k.made_at, k.revoked_at
from tenant_keys k join tenants t on t.id = k.tenant_id order by t.name, k.id"""
)


def add_key(
    connection: Connection, tenant: str, *, label: str, scopes: Collection[Scope]
) -> tuple[int, Secret]:
    """Make a key of *tenant*, and the tenant where it is new; return its number and the key.

    It is never seen again.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    _add_tenant.run(connection, name=tenant)
    rows = _add_key.fetch(
        connection,
        tenant_id=_tenant.fetch(connection, name=tenant)[0][0],
        label=label,
        hashed=_hash(key),
        ends_with=key[-4:],
        scopes=" ".join(sorted(scopes)),
    )
    return int(rows[0][0]), Secret(key)


def caller_of(connection: Connection, key: str) -> Caller | None:
    """Say whose *key* is; None: nobody's, or it was revoked."""
    rows = _caller.fetch(connection, hashed=_hash(key))
    if not rows:
        return None
    tenant_id, key_id, scopes, rpm, masks_answers = rows[0]
    return Caller(tenant_id, key_id, frozenset(scopes.split()), rpm, bool(masks_answers))


def set_tenant_budget(connection: Connection, tenant: str, micros: int | None) -> int | None:
    """Say what all batches of a tenant may cost together; None: anything. Returns its number.

    None: no tenant is so called. What its open batches have of it: see `moves.allowances`.
    """
    rows = _set_budget.fetch(connection, name=tenant, budget_micros=micros)
    return int(rows[0][0]) if rows else None


def set_tenant_rpm(connection: Connection, tenant: str, rpm: int | None) -> bool:
    """Say how often a tenant may ask; None: as the settings say. False: none is so called."""
    return bool(_set_rpm.run(connection, name=tenant, rpm=rpm))


def set_tenant_webhook(connection: Connection, tenant: str, url: str | None) -> Secret | None:
    """Let *url* hear of a tenant's batches from now on, None nobody; return what signs it.

    Each time it is another secret, which is kept to sign with. None: no tenant is so called.
    """
    rows = _set_webhook.fetch(connection, name=tenant, url=url)
    if not rows:
        return None
    secret = new_secret()
    replace_secret(connection, webhook_secret_name(rows[0][0]), secret)
    return Secret(secret)


def webhook_secret_name(tenant_id: int) -> str:
    """Name the secret that signs what a tenant is told."""
    return f"webhooks of tenant {tenant_id}"


def all_tenants(connection: Connection) -> list[TenantRow]:
    """List all tenants, by name."""
    found = _tenants.fetch(connection)
    return [TenantRow(*[*row[:8], read_options(*row[8:])]) for row in found]


def revoke_key(connection: Connection, key_id: int) -> bool:
    """Let nobody in with a key from now on. False: there is none of this number, or no more."""
    return bool(_revoke.run(connection, id=key_id))


def keys_of_all(connection: Connection) -> list[KeyRow]:
    """List all keys, by tenant."""
    return [
        KeyRow(*[*row[:5], known_instant(row[5]), parse_instant(row[6])])
        for row in _keys.fetch(connection)
    ]


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()

"""What becomes of every prompt and answer of a tenant, of its batches and its live calls alike."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from promptmill.schema.connection import Connection
from promptmill.schema.pii.values import MaskPii
from promptmill.schema.statement import Statement
from promptmill.schema.truncation import Truncate, Truncation


@dataclass(frozen=True, slots=True)
class TenantOptions:
    """As they hold for what the tenant sends from now on. None: as for all others."""

    mask_pii: MaskPii | None = None
    truncate: Truncate | None = None
    max_input_tokens: int | None = None
    checks: str | None = None
    """`off`, `flag` or `error`"""

    @property
    def truncation(self) -> Truncation | None:
        """How its prompts are cut that are too long."""
        if self.truncate is None and self.max_input_tokens is None:
            return None
        return Truncation(self.truncate or Truncate.ERROR, self.max_input_tokens)


class Option(StrEnum):
    """One of them, by its column."""

    MASK_PII = "mask_pii"
    TRUNCATE = "truncate"
    MAX_INPUT_TOKENS = "max_input_tokens"
    CHECKS = "checks"


COLUMNS = ", ".join(f"t.{option}" for option in Option)
"""in SQL over tenants t, as `read_options` takes them"""
_options = Statement(f"select {COLUMNS} from tenants t where t.id = :tenant_id")  # noqa: S608
_set = {
    option: Statement(f"update tenants set {option} = :value where name = :name")  # noqa: S608
    for option in Option
}


def options_of(connection: Connection, tenant_id: int) -> TenantOptions:
    """Read what holds for a tenant."""
    rows = _options.fetch(connection, tenant_id=tenant_id)
    return read_options(*rows[0]) if rows else TenantOptions()


def set_option(
    connection: Connection, tenant: str, option: Option, value: str | int | None
) -> bool:
    """Let *option* hold for what a tenant sends from now on. False: none is so called."""
    return bool(_set[option].run(connection, name=tenant, value=value))


def read_options(mask_pii: Any, truncate: Any, max_input_tokens: Any, checks: Any) -> TenantOptions:
    """Make them of a row."""
    return TenantOptions(
        mask_pii=MaskPii(mask_pii) if mask_pii else None,
        truncate=Truncate(truncate) if truncate else None,
        max_input_tokens=max_input_tokens,
        checks=checks,
    )

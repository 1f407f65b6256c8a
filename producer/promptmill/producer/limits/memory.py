"""What Redis knows of all limits, as a value."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from promptmill.schema.limit_level import account_now
from promptmill.schema.limit_state import LimitState


class Account(NamedTuple):
    """What a provider's limits hold for."""

    provider: str
    key: str
    """fingerprint; '' where none is needed"""


class LimitMemory(msgspec.Struct, frozen=True):
    """What Redis knows of all limits, at one moment."""

    server_us: float
    """its clock, in microseconds since 2025-01-01"""
    accounts: Mapping[Account, LimitState]
    scopes: Mapping[tuple[Account, str], LimitState]
    """by the model, or the family's pattern"""
    learned: Mapping[tuple[Account, str], tuple[float, ...]]
    """by the model: sums in the order of `limit_state.LEARNED`"""
    in_flight: Mapping[Account, int]

    def now_us(self, account: Account) -> float:
        """Tell the clock of *account*."""
        return account_now(self.accounts.get(account), server_us=self.server_us)

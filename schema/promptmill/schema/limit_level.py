"""How limits stand, for people and metrics: values from the limiter's state in Redis."""

from collections.abc import Mapping

import msgspec

from promptmill.schema.limit_state import DIMENSIONS, MINUTES, LimitState

_MINUTE_US = 60e6


class DimensionLevel(msgspec.Struct, frozen=True):
    """One dimension of a scope, or of an account, that has a limit."""

    dimension: str
    """rpm, tpm, itpm, otpm, rpd or tpd"""
    told: float | None
    """By the provider's headers."""
    limit: float
    """What is enforced: the smaller of what was configured and what was told, or what is tried."""
    probing: bool
    """No limit is known, so requests a minute are tried out."""
    rate_s: float
    """What is really let through a second, after pacing and cuts; 0 for a day's limit."""
    depth: float
    """What a full bucket holds."""
    level: float
    """Permits at hand now; negative is debt. For a day's limit: what is used."""


class Level(msgspec.Struct, frozen=True):
    """A scope, or an account."""

    plan: int
    paused_s: float
    paused_why: str
    multiplier: float
    """1 = the whole limit; lower after a penalty, and recovering."""
    booked_ahead_s: float
    queued_s: float
    """Work of all waiters beyond the horizon, in seconds of the limit."""
    dimensions: tuple[DimensionLevel, ...]

    def of(self, dimension: str) -> DimensionLevel | None:
        """Find one dimension; None where it has no limit."""
        return next((each for each in self.dimensions if each.dimension == dimension), None)


class Standing(msgspec.Struct, frozen=True):
    """A scope, its account, and the calls of both."""

    scope: Level
    account: Level
    in_flight: int
    """Booked or under way, over all workers and models of the account."""


def read_level(state: LimitState, *, now_us: float, day: int) -> Level:
    """Tell how *state* stands at *now_us*, on the account's clock (see `account_now`), on *day*.

    *day* is `limit_day.day_number` of the server's clock.
    """
    cut, cut_at = state.get("cut"), state.get("cut_at")
    multiplier = min(1.0, cut + max(0.0, now_us - cut_at) * state.get("recover"))
    paused_s = max(0.0, state.get("pause") - now_us) / 1e6
    queued_us = max(0.0, state.get("queued") - state.get("served"))
    return Level(
        plan=int(state.get("plan")),
        paused_s=paused_s,
        paused_why=state.why if paused_s else "",
        multiplier=multiplier if cut < 1 else 1.0,
        booked_ahead_s=max(0.0, state.get("last") - now_us) / 1e6,
        queued_s=queued_us / multiplier / 1e6,
        dimensions=_dimensions(state, now_us, day),
    )


def account_now(account: LimitState | None, *, server_us: float) -> float:
    """Tell the account's clock: it never goes back, the server's may."""
    if account is None:
        return server_us
    return max(server_us + account.get("skew"), account.get("seen"))


def _dimensions(state: LimitState, now_us: float, day: int) -> tuple[DimensionLevel, ...]:
    fields = {name: state.by_dimension(name) for name in ("at", "limit", "rate", "depth", "told")}
    return tuple(
        _dimension(name, {key: values[name] for key, values in fields.items()}, state, now_us, day)
        for name in DIMENSIONS
        if fields["limit"][name] > 0
    )


def _dimension(
    name: str, field: Mapping[str, float], state: LimitState, now_us: float, day: int
) -> DimensionLevel:
    told, limit = field["told"] or None, field["limit"]
    if DIMENSIONS.index(name) >= MINUTES:
        used = field["at"] if field["rate"] >= day else 0.0
        return DimensionLevel(name, told, limit, False, 0.0, 0.0, used)
    probing = name == "rpm" and state.get("probe") > 0
    level = field["depth"] - max(0.0, field["at"] - now_us) * field["rate"]
    return DimensionLevel(name, told, limit, probing, field["rate"] * 1e6, field["depth"], level)

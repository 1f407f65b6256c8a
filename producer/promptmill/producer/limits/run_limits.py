"""Limits that were given for one run, `promptmill run --rpm 600`, over those of the settings.

They are kept with its batch: `status` and `report` tell by which limits it was answered.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import msgspec

from promptmill.schema.errors import SettingsError
from promptmill.schema.moves.steering import set_run_limits
from promptmill.schema.reading import BatchRow
from promptmill.schema.settings import Settings, parse_amount

if TYPE_CHECKING:
    from promptmill.schema.database import Database


def typed_limits(**typed: str | None) -> dict[str, float]:
    """Read what was typed of each dimension: `rpm="500"`. Raises SettingsError."""
    return {name: _amount(f"--{name}", text) for name, text in typed.items() if text is not None}


def with_limits(
    settings: Settings, providers: Collection[str], given: Mapping[str, float]
) -> Settings:
    """Put *given*, by dimension, over the limits of *providers*; those of a model stay."""
    changed = {
        name: one.model_copy(update={"limits": one.limits.model_copy(update=dict(given))})
        for name, one in settings.providers.items()
        if name in providers
    }
    return settings.model_copy(update={"providers": {**settings.providers, **changed}})


def keep_limits(database: "Database", batch_id: int, given: Mapping[str, float]) -> None:
    """Note with a batch what its latest run was *given*, which may be nothing."""
    written = msgspec.json.encode(given).decode() if given else None
    with database.write() as connection:
        set_run_limits(connection, batch_id, written)


def limits_given(batch: BatchRow) -> dict[str, float]:
    """Read what the latest run of *batch* was given."""
    if batch.run_limits is None:
        return {}
    return msgspec.json.decode(batch.run_limits, type=dict[str, float])


def as_run(settings: Settings, batch: BatchRow) -> Settings:
    """Put what the latest run of *batch* was given over the settings of now."""
    return with_limits(settings, settings.providers, limits_given(batch))


def _amount(flag: str, text: str) -> float:
    try:
        amount = parse_amount(text)
    except ValueError:
        amount = None
    if not isinstance(amount, float) or amount <= 0:
        msg = f"{flag} {text!r} is not an amount above 0; write 500, 200k or 1.5M"
        raise SettingsError(msg)
    return amount

"""Who finds personal data where a batch masks it: our own shapes, or presidio beside them."""

from functools import lru_cache
from typing import TYPE_CHECKING

from promptmill.schema.pii.shapes import Finder, find

if TYPE_CHECKING:
    from promptmill.schema.sections import PiiSettings


@lru_cache(maxsize=4)
def finder_of(settings: "PiiSettings") -> Finder:
    """Tell who finds. Raises SettingsError where what that needs is not installed."""
    if settings.masker == "own":
        return find
    from promptmill.schema.pii.presidio import Presidio  # noqa: PLC0415  of an extra

    return Presidio(settings).find

"""Which tokens of a call its provider counts by the minute and the day, unless told otherwise."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from promptmill.schema.provider_kinds import ProviderKind

Counted = Literal["max_tokens", "usage", "input"]
"""the larger of max_tokens and what is used, what is used, or of that the input"""
COUNTED: Final[Mapping[ProviderKind, Counted]] = MappingProxyType(
    {
        ProviderKind.OPENAI: "max_tokens",
        ProviderKind.ANTHROPIC: "usage",
        ProviderKind.GEMINI: "input",
    }
)
"""The sources are told where it is charged, in the workers' `limits.charges`."""

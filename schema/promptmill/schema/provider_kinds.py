"""Whose wire formats there are. It needs nothing else, so a process that reads can be small."""

from enum import StrEnum


class ProviderKind(StrEnum):
    """Whose wire format a provider speaks."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"

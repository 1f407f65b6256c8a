"""The providers that are stood in for."""

from enum import StrEnum


class Provider(StrEnum):
    """Whose wire format is spoken."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"

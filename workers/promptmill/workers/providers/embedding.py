"""How a provider is asked for vectors of texts, to compare these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Embedding:
    """What has to be known of one kind of provider."""

    texts: int
    """in one request, at most"""
    calls: int
    """open at once in one process, at most"""
    longest: int
    """tokens of a text, by our own count and with room for its being off"""
    body: Callable[[Sequence[str]], Mapping[str, Any]]
    """the request for some texts, as jobs store requests"""

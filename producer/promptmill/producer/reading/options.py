"""What was asked for on the command line about reading."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from promptmill.schema.errors import UsageError

_NOT_PARAMETERS = {
    "messages": "messages come from the input, -p and -s",
    "model": "name the model with -m",
    "stream": "answers are stored whole, so there is nothing to stream",
    "n": "one prompt has one answer; repeat its line for more",
}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How an input becomes prompts."""

    template: str | None = None
    """`-p`, or the text of the file of `-t`"""
    template_name: str = "-p"
    """where the template was given, for messages: `-p`, or the path of `-t`"""
    system: str | None = None
    """`-s`: a template too"""
    id_column: str | None = None
    """the column that holds the custom_id; None: `custom_id`, `id`, or the line's number"""
    model: str | None = None
    """`-m`: asked instead of what the lines name"""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """`-o`: put into each body, over what the line has"""
    limit: int | None = None
    """only the first so many prompts"""
    max_line_bytes: int = 16 << 20
    max_errors: int = 20
    """bad lines after which `check_input` stops looking for more"""

    def __post_init__(self) -> None:
        for key in self.parameters:
            if key in _NOT_PARAMETERS:
                msg = f"-o {key}: {_NOT_PARAMETERS[key]}"
                raise UsageError(msg)


def parse_parameter(key: str, text: str) -> tuple[str, Any]:
    """Read `-o KEY TEXT`: JSON where *text* is JSON (`0.2`, `true`, `["a"]`), else a string."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = text
    if text.strip() in ("NaN", "Infinity", "-Infinity") or value in (math.inf, -math.inf):
        msg = f"-o {key} {text}: this is not a JSON number"
        raise UsageError(msg)
    return key, value

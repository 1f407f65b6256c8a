"""An input made into checked prompts, as a stream, in bounded memory.

Open in this order: `reader` (a pass over it), `source` and `lines` (bytes to numbered lines),
`formats` and `kinds` (which kind of file), then one file a kind (a line or row to a prompt), `chat`
and `strict_json` (what is refused). docs/input.md tells users the same.
"""

from promptmill.producer.reading.json_schema import checked_schema, read_schema
from promptmill.producer.reading.options import ReadOptions, parse_parameter
from promptmill.producer.reading.prompt import Prompt
from promptmill.producer.reading.reader import (
    Check,
    Checked,
    check_input,
    read_prompts,
    refuse_duplicate,
)
from promptmill.producer.reading.source import Input, open_input
from promptmill.producer.reading.template import read_template

__all__ = [
    "Check",
    "Checked",
    "Input",
    "Prompt",
    "ReadOptions",
    "check_input",
    "checked_schema",
    "open_input",
    "parse_parameter",
    "read_prompts",
    "read_schema",
    "read_template",
    "refuse_duplicate",
]

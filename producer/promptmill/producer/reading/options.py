"""What was asked for on the command line about reading."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from promptmill.producer.reading.content_checks import ContentChecks
from promptmill.producer.reading.json_schema import requires_all
from promptmill.producer.reading.parameters import check_values
from promptmill.schema.errors import UsageError
from promptmill.schema.requests import FILE_BYTES

if TYPE_CHECKING:
    from promptmill.schema.sections import PiiSettings

_NOT_PARAMETERS = {
    "messages": "messages come from the input, -p and -s",
    "model": "name the model with -m",
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
    format: str | None = None
    """`jsonl`, `csv`, `tsv`, `text` or `parquet`; None: as the content tells"""
    schema: Mapping[str, Any] | None = None
    """`--schema`: JSON schema that each answer has to follow"""
    limit: int | None = None
    """only the first so many prompts"""
    file_columns: tuple[str, ...] = ()
    """`--file-column`: columns that name files or addresses, which become parts of the prompt"""
    folder: Path | None = None
    """where files are that prompts name; None: the input's own"""
    url: str | None = None
    """the one that all lines ask, as a client of the gateway said: only OpenAI Batch lines are
    read, and no local files are put into them"""
    checks: ContentChecks | None = None
    """`--checks`: what prompts should not have in them; None: nothing is looked for"""
    masked_by: "PiiSettings | None" = None
    """`--mask-pii`: how the personal data is found that words are put in the place of; None: it is
    left in the prompts"""
    max_file_bytes: int = FILE_BYTES
    """of the files in one prompt"""
    max_line_bytes: int = 16 << 20
    held_bytes: int = 8 << 20
    """of prompts, about, are held wherever some are: an input of no more is read whole before it
    is stored, and of a larger one so much is on its way"""
    max_inputs: int | None = None
    """texts to embed, over all lines; None: any"""
    max_errors: int = 20
    """bad lines after which `check_input` stops looking for more"""

    def __post_init__(self) -> None:
        for flag, given in (
            ("-p", self.template),
            ("-s", self.system),
            ("-m", self.model),
            ("--schema", self.schema),
        ):
            _refuse_unwritable(flag, given)
        for key, value in self.parameters.items():
            _refuse_unwritable(f"-o {key!a}", [key, value])
            if key in _NOT_PARAMETERS:
                msg = f"-o {key}: {_NOT_PARAMETERS[key]}"
                raise UsageError(msg)
        check_values(self.parameters)

    def for_chat(self) -> "ReadOptions":
        """Say the schema as a parameter of a chat-completions body, which each provider reads."""
        if self.schema is None:
            return self
        form = {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": self.schema,
                "strict": requires_all(self.schema),
            },
        }
        return replace(self, schema=None, parameters={**self.parameters, "response_format": form})


def _refuse_unwritable(flag: str, given: Any) -> None:
    """Refuse NUL, and bytes that were no UTF-8: no database and no provider takes them."""
    try:
        written = msgspec.json.encode(given)
    except UnicodeEncodeError:
        msg = f"{flag} is not UTF-8"
        raise UsageError(msg) from None
    if b"\\u0000" in written:
        msg = f"{flag} has a NUL character in it"
        raise UsageError(msg)


def parse_parameter(key: str, text: str) -> tuple[str, Any]:
    """Read `-o KEY TEXT`: JSON where *text* is JSON (`0.2`, `true`, `["a"]`), else a string."""
    try:
        return key, msgspec.json.decode(text)
    except msgspec.ValidationError:
        msg = f"-o {key} {text}: the number is too large"
        raise UsageError(msg) from None
    except (msgspec.DecodeError, UnicodeEncodeError):
        return key, text

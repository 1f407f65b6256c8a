"""What `-p`, `-t` and `-s` say, read and compiled."""

from pathlib import Path
from typing import TYPE_CHECKING

from promptmill.producer.reading.unreadable import unreadable
from promptmill.schema.errors import UsageError

if TYPE_CHECKING:
    from promptmill.producer.reading.jinja_template import Template


def read_template(path: Path) -> str:
    """Read the file of `-t`. Raises UsageError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the template {path} cannot be read: {unreadable(error)}"
        raise UsageError(msg) from None


def compiled(text: str | None, *, name: str) -> "Template | None":
    """Compile what was given, if anything was. Raises UsageError for what is no template.

    *name* is where it was given, for messages.
    """
    if text is None:
        return None
    # Here, since most who read have none: a gateway, and the process that reads its files.
    from promptmill.producer.reading.jinja_template import Template  # noqa: PLC0415

    return Template(text, name=name)

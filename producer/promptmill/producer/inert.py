"""Make text that others wrote harmless to what shows it: a model may answer anything.

What is stored stays as it came; only what is handed to a terminal, a spreadsheet or a browser goes
through here. JSON needs nothing of this: its encoder escapes.
"""

import html
import re

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""what makes a spreadsheet compute a cell (OWASP, "CSV Injection"), full-width forms too"""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def for_terminal(text: str) -> str:
    """Take out what steers a terminal: an answer must not move the cursor or hide text."""
    return _CONTROL.sub("", text)


def for_csv(text: str) -> str:
    """Put `'` before a cell that a spreadsheet would compute; a plain number stays one.

    Quotes, commas and line ends are the CSV writer's.
    """
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def for_html(text: str) -> str:
    """Escape for the text of an element and for a quoted attribute; what steers is taken out."""
    return html.escape(for_terminal(text), quote=True)

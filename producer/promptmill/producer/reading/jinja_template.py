"""Templates by Jinja: a row in, the text of a message out.

Two forms: Jinja, and `{column}` where the text has no `{{` or `{%`.
"""

import re
from collections.abc import Mapping
from typing import Any

import jinja2
import jinja2.meta
import jinja2.sandbox
import msgspec

from promptmill.producer.reading.columns import choice_of
from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.numbers import write_float
from promptmill.schema.errors import InputError, UsageError

_PLAIN = re.compile(r"\{([^{}\"':\n]+)\}")
_FIX_TEMPLATE = "make the template fit the row, or the row the template"
_FIX_SYNTAX = "write {column} or {{ column }}, and close each {{ and {% that is opened"
_FIX_NUMBER = "where a number is text, as all cells of CSV are: {{ column | int }}, or | float"
_ENCODER = msgspec.json.Encoder(enc_hook=write_float)
# What an expression over a row's values can raise: a filter on a wrong type, a division, an index.
_EXPRESSION_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


class _NullError(ValueError):
    """The template came to print a null."""


def _finalize(value: Any) -> Any:
    """Print JSON as JSON (`true`, not `True`), and never print a null."""
    if value is None:
        raise _NullError
    if isinstance(value, bytes):
        msg = "the column holds bytes that are no text"
        raise TypeError(msg)
    if isinstance(value, bool | dict | list):
        return _ENCODER.encode(value).decode()
    return value


_ENVIRONMENT = jinja2.sandbox.SandboxedEnvironment(
    undefined=jinja2.StrictUndefined, finalize=_finalize, autoescape=False
)


class Template:
    """A compiled template. *name* is where it was given, for messages: `-p`, `-s` or a path."""

    def __init__(self, text: str, *, name: str) -> None:
        self.name = name
        text = text.removesuffix("\n")
        is_jinja = "{{" in text or "{%" in text
        source = text if is_jinja else _from_plain(text)
        try:
            names = jinja2.meta.find_undeclared_variables(_ENVIRONMENT.parse(source))
            self._compiled = _ENVIRONMENT.from_string(source)
        except jinja2.TemplateError as error:
            msg = f"the template of {name} cannot be read: {error}\n  fix:   {_FIX_SYNTAX}"
            raise UsageError(msg) from None
        self.is_constant = not names
        """whether it says the same for every row"""
        plain_names = () if is_jinja else (match[1].strip() for match in _PLAIN.finditer(text))
        self._columns = (names | {*plain_names}) - {"row", *_ENVIRONMENT.globals}

    def render(self, line: Line, row: Mapping[str, Any]) -> str:
        """Fill in *row*; `row` itself is there too, for columns that are no identifiers.

        Raises InputError for a column that is missing or null, or an expression that fails.
        """
        try:
            text = self._compiled.render({"row": row, **row})
            text.encode()  # a string escape in the template can make half a surrogate pair
        except jinja2.UndefinedError as error:
            raise self._missing(line, row, str(error)) from None
        except _NullError:
            raise self._null(line, row) from None
        except (jinja2.TemplateError, *_EXPRESSION_ERRORS) as error:
            raise line.refused(
                problem=f"the template of {self.name} fails on this row: {str(error)[:200]}",
                fix=_FIX_NUMBER if _is_text_as_number(error) else _FIX_TEMPLATE,
            ) from None
        if "\0" in text:
            raise line.refused(
                problem=f"the template of {self.name} makes a NUL character", fix="remove it"
            )
        return text

    def _missing(self, line: Line, row: Mapping[str, Any], why: str) -> InputError:
        missing = sorted(self._columns - row.keys())
        what = f"the column {missing[0][:60]!r}, which is not there" if missing else why
        return line.refused(
            problem=f"the template of {self.name} asks for {what}",
            fix=choice_of(row, missing[0] if missing else ""),
        )

    def _null(self, line: Line, row: Mapping[str, Any]) -> InputError:
        nulls = [name for name in row if name in self._columns and row[name] is None]
        return line.refused(
            problem=f"the template of {self.name} prints a null: {', '.join(nulls) or 'computed'}",
            fix="fill the column, take the row out, or write {{ column or '' }}",
        )


def _is_text_as_number(error: Exception) -> bool:
    return isinstance(error, TypeError) and "'str'" in str(error)


def _from_plain(text: str) -> str:
    """Turn the `{column}` form into Jinja, with all other text kept as it is."""
    literals_and_columns = _PLAIN.split(text)
    return "".join(
        "{{ row[" + repr(part.strip()) + "] }}" if at % 2 else "{% raw %}" + part + "{% endraw %}"
        for at, part in enumerate(literals_and_columns)
    )

"""What is wrong with the words that were typed, and what to type instead, in plain words."""

import re
from pathlib import Path
from typing import Any

import typer

_PYDANTIC = "Value error, "
_MORE = {
    "-p": "; one INPUT is taken, text with spaces goes in quotes, a model comes after -m",
    "--output": "; a file to write comes after -o",
    "SELECT": "; the statement goes in quotes, as one word",
}
"""what to do about a word too many, by what the command takes besides"""


def in_plain_words(error: typer.TyperException) -> str:
    """Write the message of *error*. The usage of the command, which comes before it, is typer's."""
    message = error.message
    match type(error).__name__:
        case "MissingParameter":
            return getattr(getattr(error, "param", None), "help", None) or message
        case "BadParameter":
            return _of_value(error)
        case "NoSuchOption" if re.fullmatch(r"-\d+", str(getattr(error, "option_name", ""))):
            return f"{message}; a number below 0 goes after --, as in: priority 3 -- -50"
        case "NoSuchOption" if _takes_rest(error):
            return f"{message}; INPUT and its options come after --"
        case "BadOptionUsage" if "2 arguments" in message:
            return f"{message} Such as: -o temperature 0"
        case "UsageError" if message.startswith("Got unexpected extra"):
            return message + _what_else(error)
        case "UsageError" if file := re.fullmatch(r"No such command '(.*)'\.", message):
            if Path(file[1]).is_file():
                return f"{message} To answer a file of prompts: promptmill run {file[1]} -m MODEL"
    return message


def _of_value(error: typer.TyperException) -> str:
    """Say what pydantic found to be wrong with a value."""
    found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    if not found:
        return error.message
    first = found[0]
    given, bounds = first["input"], first.get("ctx", {})
    match first["type"]:
        case "int_parsing" | "float_parsing":
            if _is_batch(error):
                return f"{given!r} is no number of a batch; `promptmill ls` lists them"
            return f"{given!r} is no {'whole ' if first['type'] == 'int_parsing' else ''}number"
        case "greater_than_equal":
            return f"{given} is less than {bounds['ge']}"
        case "less_than_equal":
            return f"{given} is more than {bounds['le']}"
    return error.message.removeprefix(_PYDANTIC)


def _takes_rest(error: typer.TyperException) -> bool:
    """Say whether options of another command end those of this one: `schedule add`."""
    return any(word.startswith("-- ") for word in _words(error))


def _is_batch(error: typer.TyperException) -> bool:
    return "BATCH" in str(getattr(getattr(error, "param", None), "metavar", ""))


def _what_else(error: typer.TyperException) -> str:
    return next((what for word, what in _MORE.items() if word in _words(error)), "")


def _words(error: typer.TyperException) -> set[str]:
    """List the options of the command that was typed, and the names of what it takes."""
    command = getattr(getattr(error, "ctx", None), "command", None)
    parameters = getattr(command, "params", ())
    return {word for one in parameters for word in (*one.opts, one.metavar or "")}

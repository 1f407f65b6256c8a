"""What a schedule submits: the arguments of `promptmill submit`, as JSON, with whole paths."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from promptmill.producer.submitting.given import typed_request
from promptmill.producer.submitting.request import Scheduled, SubmitRequest
from promptmill.schema.errors import UsageError
from promptmill.schema.schedules import Schedule

_STDIN = "-"
_HERE_ONLY: Final = frozenset({"yes", "as_json", "new"})
"""what is of one command, and of no schedule"""


def stored_arguments(typed: Mapping[str, Any], *, folder: Path) -> str:
    """Write what was typed in *folder*, and only that. Raises UsageError for what cannot be."""
    given = {
        name: value
        for name, value in typed.items()
        if name not in _HERE_ONLY and value not in (None, False, 0, (), [])
    }
    if given["source"] == _STDIN:
        msg = "a schedule reads a file each time: give its path, not -"
        raise UsageError(msg)
    for name in ("source", "template", "schema"):
        if name in given and not str(given[name]).lstrip().startswith("{"):
            given[name] = str((folder / given[name]).absolute())
    _request(given)
    return msgspec.json.encode(given).decode()


def request_of(schedule: Schedule, at: datetime) -> SubmitRequest:
    """Make the request of one time. Raises UsageError, as for a template that is gone."""
    made = _request(msgspec.json.decode(schedule.arguments))
    return replace(made, scheduled=Scheduled(schedule.id, at), name=made.name or schedule.name)


def source_of(schedule: Schedule) -> str:
    """Tell which file it submits."""
    source: str = msgspec.json.decode(schedule.arguments)["source"]
    return source


def _request(given: Mapping[str, Any]) -> SubmitRequest:
    template = given.get("template")
    paths = {} if template is None else {"template": Path(template)}
    return typed_request(**{**given, **paths})

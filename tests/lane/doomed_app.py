"""The workers' app with a mine in its lane, which kills it there: MINE says where."""

import os
import signal
from typing import Any

from promptmill.workers import app
from promptmill.workers.lane import harvest
from promptmill.workers.lane.harvest import Harvest
from promptmill.workers.lane.passage import Passage

__all__ = ["app"]
BETWEEN_CREATE_AND_COMMIT, WHILE_RESULTS_ARE_READ = "create", "read"

_store = Harvest._store
_stored: list[Any] = []


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stored_once(bringing: Harvest, one: Any, rows: Any) -> int:
    """Store the first rows that came, and be killed before the next."""
    if rows and _stored:
        killed()
    _stored.extend(rows)
    return _store(bringing, one, rows)


if os.environ.get("MINE") == BETWEEN_CREATE_AND_COMMIT:
    Passage._is_there = killed  # type: ignore[assignment,method-assign]
if os.environ.get("MINE") == WHILE_RESULTS_ARE_READ:
    harvest._GROUP = 10  # type: ignore[misc]
    Harvest._store = stored_once  # type: ignore[assignment,method-assign]

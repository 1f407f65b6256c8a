"""Ends of attempts that came by the lane, written to SQL."""

import logging
from collections.abc import Sequence

from promptmill.schema.database import Database, is_passing
from promptmill.schema.moves.closing import close
from promptmill.schema.moves.endings import Closing
from promptmill.workers import unstorable

_log = logging.getLogger(__name__)


def store(database: Database, ends: Sequence[Closing], *, owner: str) -> None:
    """Write *ends*; what SQL refuses is held with what came, and takes no other with it.

    Raises what passes by itself. May be repeated.
    """
    if not ends:
        return
    try:
        with database.write() as connection:
            close(connection, ends, worker_id=owner)
    except Exception as error:
        if is_passing(error) or (len(ends) == 1 and unstorable.is_held(ends[0])):
            raise
        if len(ends) == 1:
            _log.error("job %d held, sql refuses it: %s", ends[0].job_id, type(error).__name__)
            store(database, [unstorable.hold(ends[0], error)], owner=owner)
            return
        half = len(ends) // 2
        store(database, ends[:half], owner=owner)
        store(database, ends[half:], owner=owner)

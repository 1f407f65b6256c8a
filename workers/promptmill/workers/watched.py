"""Task events while somebody listens: Flower, `celery events`, an exporter.

An event costs a tenth of a millisecond to make, to encode and to publish, and a task has three. So
they are sent while those that go out anyway (a heartbeat each two seconds) are taken by somebody.
"""

from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher

_AT_ONCE = 200
"""task events in one message"""


class Dispatcher(EventDispatcher):
    """Celery's dispatcher of events, which asks whether anybody is there."""

    producer: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"buffer_limit": _AT_ONCE, **options})

    def send(self, type: str, *args: Any, **fields: Any) -> Any:  # noqa: A002  Celery's name
        """Send an event; one of a task only if somebody took the last event that was sent."""
        if type.startswith("task-") and not self._is_heard():
            return None
        return super().send(type, *args, **fields)

    def _is_heard(self) -> bool:
        # Not `producer.channel`, which would connect where it is not: events are no reason to.
        return getattr(getattr(self.producer, "_channel", None), "listeners", 0) > 0


class WatchedEvents(Events):
    """Celery's events, by that dispatcher."""

    dispatcher_cls = f"{__name__}:Dispatcher"

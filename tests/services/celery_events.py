"""Celery's events as Flower sees them."""

from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from celery import Celery

from promptmill.schema.broker import broker_options, broker_url
from promptmill.schema.settings import Settings
from tests.services.waiting import wait_until


class CeleryEvents:
    """Every event that the workers of these settings send while the block lasts."""

    def __init__(self, settings: Settings) -> None:
        self.seen: list[dict[str, Any]] = []
        self.app = Celery("promptmill.watch", set_as_current=False)
        self.app.conf.update(
            broker_url=broker_url(settings), broker_transport_options=broker_options(settings)
        )
        self._stop, self._listens = Event(), Event()
        self._thread = Thread(target=self._listen, name="celery-events")

    def of(self, job_id: int) -> list[str]:
        """List the kinds of events of a job's task, in order."""
        return [event["type"] for event in self.seen if event.get("uuid") == f"job-{job_id}"]

    def wait_for(self, job_id: int, kind: str) -> dict[str, Any]:
        """Wait for the first event of this kind of a job's task."""

        def find() -> dict[str, Any] | None:
            named = (event for event in self.seen if event.get("uuid") == f"job-{job_id}")
            return next((event for event in named if event["type"] == kind), None)

        return wait_until(find, f"{kind} of job {job_id}") or {}

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listens.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        self.app.close()

    def _listen(self) -> None:
        with self.app.connection_for_read() as connection:
            receiver = self.app.events.Receiver(connection, handlers={"*": self.seen.append})
            with receiver.consumer_context() as (own, _channel, _consumers):
                while not self._stop.is_set():
                    with suppress(TimeoutError):
                        own.drain_events(timeout=0.1)
                    self._listens.set()

"""Dispatchers, workers that are rows, and a look into the broker, all on one clock."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from kombu import Connection

from promptmill.producer.dispatching.broker import HintSender, make_sender
from promptmill.producer.dispatching.dispatch import Dispatcher
from promptmill.schema import presence
from promptmill.schema.broker import broker_options, broker_url
from promptmill.schema.hint import Hint, queue_name
from promptmill.schema.settings import DispatchSettings, Settings
from tests.schema.scene import PROVIDER, Scene
from tests.services.valkey import Valkey


class Mill:
    """Everything round a dispatcher. Close it at the end of a test."""

    def __init__(self, scene: Scene, valkey: Valkey) -> None:
        self.scene, self.valkey, self.database = scene, valkey, scene.database
        self._valkey, self._open = valkey, ExitStack()
        self.settings = self.tuned()

    def tuned(self, **dispatch: Any) -> Settings:
        """Make settings in which a queue is 10 to 1,000 deep, unless told otherwise."""
        tuned = DispatchSettings(**({"depth_min": 10, "depth_max": 1000} | dispatch))
        return Settings(redis_url=self.valkey.url, dispatch=tuned)

    def now(self) -> float:
        return self.scene.clock.at.timestamp()

    def sender(self) -> HintSender:
        sender = make_sender(self.settings)
        self._open.callback(sender.close)
        return sender

    def dispatcher(self, owner: str = "d1") -> Dispatcher:
        return Dispatcher(self.settings, self.database, self.sender(), owner=owner, clock=self.now)

    def worker(
        self,
        worker_id: str = "w1",
        *,
        keys: Mapping[str, str] | None = None,
        concurrency: int = 10,
        host: str = "elsewhere",
        pid: int = 1,
    ) -> None:
        """Let a worker start."""
        with self.database.write() as connection:
            presence.register_worker(
                connection,
                worker_id=worker_id,
                host=host,
                pid=pid,
                version="0",
                keys={PROVIDER: "k1"} if keys is None else keys,
                concurrency=concurrency,
            )

    def beat(self, worker_id: str = "w1", in_hand: Sequence[Hint] = ()) -> bool:
        with self.database.write() as connection:
            return presence.beat(connection, worker_id, [hint.job_id for hint in in_hand])

    def take(self, most: int = 10_000, provider: str = PROVIDER) -> list[Hint]:
        """Take hints from the broker as kombu does for a worker."""
        with self.broker() as connection, connection.channel() as channel:
            taken: list[Hint] = []
            while len(taken) < most:
                message = channel.basic_get(queue_name(provider), no_ack=True)
                if message is None:
                    break
                args, _, _ = message.payload
                taken.append(Hint(*args))
            return taken

    def broker(self) -> Any:
        return Connection(
            broker_url(self.settings), transport_options=broker_options(self.settings)
        )

    def states(self, batch_id: int) -> dict[int, int]:
        """Count a batch's jobs by state, from the rows and not from the counters."""
        rows = self.scene.sql(
            f"select state, count(*) as n from jobs where batch_id = {batch_id} group by state"
        )
        return {row.state: row.n for row in rows}

    def pass_time(self, seconds: float, step: float = 5.0) -> Any:
        """Let time pass in steps; yields after each."""
        passed = 0.0
        while passed < seconds:
            self.scene.clock.advance(min(step, seconds - passed))
            passed += step
            yield passed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._open.close()

"""`promptmill dispatch`: feed the queues, and rescue what dead workers left."""

import os
import signal

from promptmill.producer.cli.signalled import stop_on
from promptmill.producer.dispatching.dispatch import run_dispatcher
from promptmill.producer.embedded.valkey import ensure_redis
from promptmill.producer.scheduling.clockwork import clockwork_at_work
from promptmill.schema.logs import configure_logging
from promptmill.schema.parent import watch_parent
from promptmill.schema.settings import load_settings

_GRACE_S = 10.0


def run_until_stopped() -> None:
    """Dispatch until SIGTERM or Ctrl-C, or until the parent is gone."""
    settings = load_settings()
    configure_logging(settings)
    stop = stop_on(signal.SIGTERM, signal.SIGINT)
    if settings.parent_fd is not None:
        watch_parent(
            settings.parent_fd,
            lambda: os.kill(os.getpid(), signal.SIGTERM),
            then_exit_after_s=_GRACE_S,
        )
    with ensure_redis(settings) as redis:
        run_dispatcher(
            settings.model_copy(update={"redis_url": redis.url}), stop, beside=clockwork_at_work
        )

"""The Celery app of the workers, configured from settings."""

from typing import Any

from celery import Celery, signals
from kombu import Queue

from promptmill.schema.broker import broker_options, broker_url
from promptmill.schema.hint import queue_name
from promptmill.schema.logs import configure_logging
from promptmill.schema.settings import Settings
from promptmill.workers.bootstep import RuntimeStep
from promptmill.workers.reconnecting import Connection
from promptmill.workers.task import register_tasks
from promptmill.workers.transport import use_transport


class WorkerApp(Celery):
    """A Celery app that knows our settings."""

    settings: Settings
    events_cls = "promptmill.workers.watched:WatchedEvents"


def make_app(settings: Settings) -> WorkerApp:
    """Build the app: one queue and one task a provider, our pool, hints acked early."""
    use_transport()
    app = WorkerApp("promptmill")
    app.settings = settings
    app.conf.update(
        broker_url=broker_url(settings),
        broker_transport_options=broker_options(settings),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        result_backend=None,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_queues=[Queue(queue_name(name)) for name in settings.providers],
        task_create_missing_queues=False,
        task_default_queue=queue_name(next(iter(settings.providers))),  # or Flower shows `celery`
        task_acks_late=False,
        worker_pool="promptmill.workers.pool:AsyncioPool",
        worker_concurrency=settings.worker.concurrency,
        worker_prefetch_multiplier=1,
        worker_disable_rate_limits=True,
        # Tasks with a late ack only: there are none, and without it Celery warns at each loss.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_enable_prefetch_count_reduction=False,  # what runs is acknowledged
        worker_send_task_events=True,  # while somebody listens, see watched.py
        task_send_sent_event=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    app.amqp.Connection = Connection
    app.steps["worker"].add(RuntimeStep)
    register_tasks(app, list(settings.providers))

    def set_up_logging(**_: Any) -> None:
        configure_logging(settings)

    signals.setup_logging.connect(set_up_logging, weak=False)
    return app

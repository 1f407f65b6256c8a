"""Logs: one event a line on standard error, event first, data as fields. No prompt, no key.

Both structlog's loggers and the standard library's (Celery, SDKs) end in the same line.
"""

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

from promptmill.schema.pii.masking import masked
from promptmill.schema.secret import Secret
from promptmill.schema.settings import Settings

_QUIET = (
    *("httpx", "httpx2", "httpcore", "httpcore2", "openai", "anthropic", "google_genai", "alembic"),
    *("celery.app.trace", "celery.worker.strategy"),
)
"""Loggers that say something for each request (anthropic at DEBUG: the prompt itself) or task.

A line costs 0.2 ms of CPU, and SQL and Flower tell the same.
"""


def configure_logging(settings: Settings) -> None:
    """Send all logs of this process to standard error, in the format of the settings."""
    secrets = [one.api_key for one in settings.providers.values() if one.api_key]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Redactor([*secrets, settings.redis_password, settings.database_password]),
    ]
    last: Any = structlog.processors.JSONRenderer()
    if settings.log_format == "text":
        last = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Redactor:
    """Takes the values of known secrets, and personal data, out of every field."""

    def __init__(self, secrets: Iterable[Secret | None]) -> None:
        self._secrets = [secret for secret in secrets if secret and secret.reveal()]

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        for name, value in event.items():
            if isinstance(value, str):
                for secret in self._secrets:
                    value = value.replace(secret.reveal(), repr(secret))  # noqa: PLW2901
                event[name] = masked(value)
        return event

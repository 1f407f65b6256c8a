"""Celery's connection to the broker, made to find a Redis that is back."""

from typing import Any

import kombu

from promptmill.workers.away import Away

_WAIT_S = 0.25
_LONGEST_WAIT_S = 2.0
_KombuConnection: Any = kombu.Connection  # its stubs know a part of it


class Connection(_KombuConnection):  # type: ignore[misc]  # Any
    """A connection that soon finds a Redis that is back: Celery's would wait for up to 30 s."""

    def ensure_connection(
        self, errback: Any = None, max_retries: int | None = None, **options: Any
    ) -> Any:
        """Try until it is connected; say once that it is not, and when it is.

        Who has a number of tries gets kombu's own behaviour.
        """
        if max_retries is not None:
            return super().ensure_connection(errback, max_retries, **options)
        away = Away("redis", calm_s=0.0)
        options |= {
            "interval_start": _WAIT_S,
            "interval_step": _WAIT_S,
            "interval_max": _LONGEST_WAIT_S,
        }
        connected = super().ensure_connection(lambda error, _: away.saw(error), **options)
        away.answered()
        return connected

    def ensure(
        self,
        obj: Any,
        fun: Any,
        errback: Any = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Any:
        """Give *fun* that tries again; once only where it would do so for ever, deaf to signals.

        That is Celery's heartbeat. It keeps events that were not sent.
        """
        if max_retries is None:
            return fun
        return super().ensure(obj, fun, errback, max_retries, **options)

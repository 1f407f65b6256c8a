"""How both sides speak to Redis through kombu: the same options, or they do not find each other.

A queue is one Redis list for each step of priority; kombu pops the lower step first.
"""

from typing import Any

from promptmill.schema.errors import SettingsError
from promptmill.schema.redis_urls import kombu_url, redis_py_url, with_password
from promptmill.schema.settings import Settings

URGENT_STEP = 0
"""for batches with a priority above 0"""
BULK_STEP = 5
STEPS = (URGENT_STEP, BULK_STEP)

_SEPARATOR = "\x06\x16"  # kombu.transport.redis.Channel.sep


def redis_url(settings: Settings) -> str:
    """Name the Redis as redis-py reads it, with its password: never log it."""
    if settings.redis_url is None:
        msg = (
            "no Redis is named: set PROMPTMILL_REDIS_URL, such as redis://localhost:6379/0, or use"
            " `promptmill worker` and `promptmill dispatch`, which bring one along"
        )
        raise SettingsError(msg)
    return redis_py_url(with_password(settings.redis_url, settings.redis_password))


def broker_url(settings: Settings) -> str:
    """Name the broker as kombu and Celery read it, with its password: never log it."""
    return kombu_url(redis_url(settings))


def broker_options(settings: Settings) -> dict[str, Any]:
    """Make kombu's `transport_options`. No `retry_on_timeout`: it makes batches one by one."""
    return {
        "global_keyprefix": settings.key_prefix,
        "priority_steps": list(STEPS),
        "queue_order_strategy": "round_robin",
        "socket_timeout": 10.0,
        "socket_connect_timeout": 5.0,
        "socket_keepalive": True,
        "health_check_interval": 25,
        # Ten by default, and what comes beyond them is lost.
        "max_connections": 100,
    }


def step_of(batch_priority: int) -> int:
    """Choose the step of Redis priority of a batch's hints."""
    return URGENT_STEP if batch_priority > 0 else BULK_STEP


def list_keys(settings: Settings, queue: str) -> list[str]:
    """Name the Redis lists that hold *queue*, in the order in which they are served."""
    return [
        f"{settings.key_prefix}{queue}{f'{_SEPARATOR}{step}' if step else ''}" for step in STEPS
    ]


def aside_key(prefix: str, key: str) -> str:
    """Name the place for what is no list and lay at *key*, which has no prefix."""
    return f"{prefix}refused:{key}"

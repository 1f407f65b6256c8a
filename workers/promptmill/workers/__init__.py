"""Answer prompts: the Celery app, its asyncio pool, and the way of one attempt.

Open in this order: `celery_app`, `task`, `attempt`, `decide`, `recorder`; then `limits/` and
`providers/`. `celery -A promptmill.workers worker -Q promptmill.openai` starts a worker.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """Make the app on first use, so that importing a part of the house needs no settings."""
    if name == "app":
        from promptmill.workers.celery_app import app  # noqa: PLC0415

        return app
    raise AttributeError(name)

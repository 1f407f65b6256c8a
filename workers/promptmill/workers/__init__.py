"""Answer prompts: the Celery app, its asyncio pool, and the way of one attempt.

Open in this order: `celery_app`, `task`, `attempt`, `decide`, `ending`, `recorder`; then `limits/`
and `providers/`. `celery -A promptmill.workers worker -Q promptmill.openai` starts a worker.
"""

import sys
from typing import Any

from promptmill.schema.errors import PromptmillError


def __getattr__(name: str) -> Any:
    """Make `app` when Celery asks for it, so that importing a part of the house needs no settings.

    Celery would answer a wrong setting with a traceback; ours says what to do.
    """
    if name != "app":
        raise AttributeError(name)
    from promptmill.schema.settings import load_settings  # noqa: PLC0415
    from promptmill.workers.celery_app import make_app  # noqa: PLC0415

    try:
        app = make_app(load_settings())
    except PromptmillError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from None
    globals()["app"] = app
    return app

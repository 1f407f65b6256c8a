"""Submit prompts, dispatch hints for due jobs, read the results back.

From Python: `submit` and `Batch` (`api`). They are imported when first asked for, so that
`promptmill --help` does not wait for SQLAlchemy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptmill.producer.api import Batch, submit

__all__ = ["Batch", "submit"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from promptmill.producer import api  # noqa: PLC0415

        return getattr(api, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)

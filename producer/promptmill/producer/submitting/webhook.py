"""Who is told when a batch has ended: `--webhook https://example.com/hook`."""

from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.announcing import set_webhook
from promptmill.schema.webhook_settings import WebhookSettings, check_webhook

_NONE = "none"


def parse_webhook(text: str, settings: WebhookSettings) -> str:
    """Read an address, or `none`: ''. Raises UsageError for one that is never called."""
    if text == _NONE:
        return ""
    try:
        check_webhook(text, allow_private=settings.allow_private)
    except ValueError as error:
        msg = f"--webhook: {error}"
        raise UsageError(msg) from None
    return text


def change_webhook(database: Database, batch_id: int, url: str) -> None:
    """Let *url* hear of a batch that is there, '' nobody; where it has ended, at once."""
    with database.write() as connection:
        set_webhook(connection, batch_id, url)

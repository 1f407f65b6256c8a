"""`promptmill webhooks`: what became of them, to send one again, and the secret that signs them."""

from urllib.parse import urlsplit

from promptmill.producer.cli.output import moment, note, print_json, print_table
from promptmill.producer.opening import opened
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.moves.announcing import own_webhook
from promptmill.schema.settings import Settings, load_settings
from promptmill.schema.webhook_deliveries import (
    DeliveryRow,
    DeliveryState,
    latest_deliveries,
    send_again,
)

_COLUMNS = ("number", "batch", "event", "to", "state", "attempts", "answer", "next or end (UTC)")
_MOST_TOLD = 20
_LATER = "a dispatcher sends what waits: `promptmill dispatch`, or the next `promptmill run`"


def list_deliveries(subject: str | None, number: int, *, as_json: bool) -> None:
    """Print the latest *number* deliveries, of all batches or of one."""
    with opened(load_settings()) as database, database.read() as connection:
        rows = latest_deliveries(connection, most=number, subject=subject or "")
    if as_json:
        for row in rows:
            print_json(_object(row))
    elif rows:
        print_table(_COLUMNS, [_cells(row) for row in rows])
    else:
        note("no webhook yet: `promptmill submit --webhook URL`, or the setting webhooks.url")


def send_delivery(number: int) -> None:
    """Have one sent now. Raises UsageError where there is none."""
    with opened(load_settings()) as database, database.write() as connection:
        is_due = send_again(connection, number)
    if not is_due:
        msg = (
            f"there is no webhook {number}, or it is being sent at this moment:"
            " `promptmill webhooks list` lists them"
        )
        raise UsageError(msg)
    note(f"webhook {number} is sent by the next dispatcher that looks, within a second or two")


def show_secret() -> None:
    """Print the secret of the settings, or the one that the database made up."""
    from promptmill.producer.webhooks.secret import webhook_secret

    settings = load_settings()
    with opened(settings, create=True) as database:
        print(webhook_secret(settings, database))


def tell_webhooks(settings: Settings, database: Database, batch_id: int) -> None:
    """Send what there is to tell of a batch, and say what nobody took. Raises nothing.

    The dispatcher of this command is gone, and how the batch ended is for its exit code to tell.
    """
    try:
        waiting = _tell(settings, database, batch_id)
    except Exception as error:  # noqa: BLE001  see above
        name = type(error).__name__
        note(f"webhooks of batch {batch_id} were not sent from here ({name}); {_LATER}")
        return
    for row in waiting:
        note(
            f"webhook {row.no} to {shown_host(row.url)} was not taken"
            f" ({row.answer or 'no answer yet'}); {_LATER}"
        )


def _tell(settings: Settings, database: Database, batch_id: int) -> list[DeliveryRow]:
    """Send what is due of a batch, if anybody is to hear; list what waits then."""
    with database.read() as connection:
        own = own_webhook(connection, batch_id)
    if not own and not settings.webhooks.url:
        return []
    from promptmill.producer.webhooks.at_once import tell_now

    tell_now(settings, database, batch_id)
    with database.read() as connection:
        rows = latest_deliveries(connection, most=_MOST_TOLD, subject=str(batch_id))
    return [row for row in rows if row.state == DeliveryState.PENDING]


def shown_host(url: str) -> str:
    """Name an address for people by its host: what follows may be a secret of its receiver."""
    return urlsplit(url).netloc


def _cells(row: DeliveryRow) -> tuple[object, ...]:
    at = row.due_at if row.ended_at is None else row.ended_at
    return (
        row.no,
        row.subject,
        row.event,
        shown_host(row.url),
        row.state,
        row.attempts,
        row.answer or "-",
        moment(at),
    )


def _object(row: DeliveryRow) -> dict[str, object]:
    waits = row.state == DeliveryState.PENDING
    return {
        "number": row.no,
        "batch": row.subject,
        "event": row.event,
        "url": row.url,
        "state": row.state,
        "attempts": row.attempts,
        "answer": row.answer,
        "made": moment(row.made_at),
        "next": moment(row.due_at) if waits else None,
        "ended": moment(row.ended_at) if row.ended_at else None,
    }

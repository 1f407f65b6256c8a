"""A key that is stopped for all workers: with it nothing is begun by the batch API either."""

from promptmill.schema.database import Database
from promptmill.schema.pauses import is_stopped, pause_provider
from promptmill.workers.providers.base import Refusal
from promptmill.workers.served import Served


def is_key_stopped(database: Database, served: Served, *, model: str = "") -> bool:
    """Tell whether the key of *served* is paused, for *model* or for all."""
    name, fingerprint = served.name, served.fingerprint
    with database.read() as connection:
        return is_stopped(connection, provider=name, fingerprint=fingerprint, model=model)


def stop_key(database: Database, served: Served, refusal: Refusal) -> None:
    """Pause the key of *served* until told, where it was refused for money or right."""
    with database.write() as connection:
        pause_provider(
            connection,
            provider=served.name,
            fingerprint=served.fingerprint,
            kind=refusal.kind,
            reason=f"{refusal.kind}: {refusal.message}",
        )

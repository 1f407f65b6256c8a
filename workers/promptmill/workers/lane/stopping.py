"""Stop a key for all workers, where a batch API or a row of it was refused for money or right."""

from promptmill.schema.database import Database
from promptmill.schema.pauses import pause_provider
from promptmill.workers.providers.base import Refusal
from promptmill.workers.served import Served


def stop_key(database: Database, served: Served, refusal: Refusal) -> None:
    """Pause the key of *served* until told, as a refused call does."""
    with database.write() as connection:
        pause_provider(
            connection,
            provider=served.name,
            fingerprint=served.fingerprint,
            kind=refusal.kind,
            reason=f"{refusal.kind}: {refusal.message}",
        )

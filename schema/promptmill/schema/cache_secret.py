"""The secret of the response cache: who reads Redis cannot tell by it which prompts were asked."""

import secrets
from functools import partial

from promptmill.schema.database import Database
from promptmill.schema.kept_secrets import kept_secret

_NAME = "cache"
_make = partial(secrets.token_hex, 32)


def cache_secret(database: Database) -> bytes:
    """Read the secret; the first who asks makes it up."""
    return bytes.fromhex(kept_secret(database, _NAME, _make))

"""What can be set for webhooks: who hears, by which secret it is signed, and where it may go.

Source: https://github.com/standard-webhooks/standard-webhooks, version 1.0.0.
"""

import base64
import binascii
import secrets
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from promptmill.schema.addresses import is_private_host
from promptmill.schema.provider_settings import Strict
from promptmill.schema.secret import Secret

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  what each begins with
_SECRET_BYTES = range(24, 65)
_NEW_BYTES = 32
_LONGEST_URL = 2000


def new_secret() -> str:
    """Make a secret up."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def signing_keys(secret: str) -> tuple[bytes, ...]:
    """Read the keys of one secret, or of several with a space between. Raises ValueError."""
    found = tuple(map(_key, secret.split()))
    if not found:
        raise ValueError(_HOW)
    return found


def check_webhook(url: str, *, allow_private: bool) -> None:
    """Raise ValueError, which names no more of *url* than its host, for what is never called."""
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        msg = f"a webhook is an address of at most {_LONGEST_URL:,} printable ASCII characters"
        raise ValueError(msg)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http"):
        msg = "a webhook is an address such as https://example.com/hook"
        raise ValueError(msg)
    if parts.username is not None or parts.password is not None:
        msg = f"the webhook to {host} has a user in it: who it comes from is told by its signature"
        raise ValueError(msg)
    if allow_private:
        return
    if parts.scheme == "http":
        msg = f"the webhook to {host} is not https; `webhooks.allow_private` allows http"
        raise ValueError(msg)
    if is_private_host(host):
        msg = (
            f"{host} is this machine or in a private network; `webhooks.allow_private` allows that"
        )
        raise ValueError(msg)


_HOW = (
    f"a secret is {SECRET_PREFIX} and base64 of 24 to 64 bytes;"
    " `promptmill webhooks secret` shows one that was made up"
)


def _key(secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(_HOW)
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(_HOW) from None
    if len(key) not in _SECRET_BYTES:
        raise ValueError(_HOW)
    return key


def _check_secret(secret: Secret) -> Secret:
    signing_keys(secret.reveal())
    return secret


class WebhookSettings(Strict):
    """Who is told when a batch has ended."""

    url: str | None = None
    """told of every batch but those of the gateway's clients; None: nobody"""
    secret: Annotated[Secret, AfterValidator(_check_secret)] | None = None
    """`whsec_…`, or several with a space between; None: one that the database makes up and keeps"""
    allow_private: bool = False
    """http, and addresses of this machine and of private networks, may be called"""
    timeout_s: float = Field(default=15.0, gt=0, le=60)
    """how long a receiver may take to answer"""

    @model_validator(mode="after")
    def _may_be_called(self) -> "WebhookSettings":
        if self.url is not None:
            check_webhook(self.url, allow_private=self.allow_private)
        return self

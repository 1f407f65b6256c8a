"""Sign what is sent, as Standard Webhooks 1.0.0 has it, so that its receiver knows who it is from.

Source: https://github.com/standard-webhooks/standard-webhooks
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def signed_headers(
    message_id: str, body: bytes, *, at: int, keys: Iterable[bytes]
) -> dict[str, str]:
    """Make the headers of one attempt, at *at* in Unix seconds: a signature for each key."""
    content = b".".join((message_id.encode(), str(at).encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{_signature(key, content)}" for key in keys),
    }


def _signature(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()

"""What differs between the servers that speak OpenAI's dialect."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_OPENAIS: Final = (".api.openai.com", ".openai.azure.com")
_HEADERS: Final = {"x-ratelimit-limit-requests": "rpm", "x-ratelimit-limit-tokens": "tpm"}


@dataclass(frozen=True, slots=True)
class Server:
    """How a server wants to be spoken to."""

    output_limit: str
    """The field that limits the output. OpenAI's newer models refuse `max_tokens`, most other
    vendors know nothing else."""
    limit_headers: Mapping[str, str]
    """Header of a ceiling -> our name of it."""
    refuses_marks: bool
    """Whether it refuses fields that only other providers know. Some vendors pass them on."""


def server_of(
    base_url: str | None, *, read_limit_headers: bool | None = None, on_azure: bool = False
) -> Server:
    """Say how the server at *base_url* wants to be spoken to; None is OpenAI itself. Azure, which
    is spoken to in the same way, may have any name in front of it.

    Where nothing is said, limit headers are read only where they are known to be per minute:
    OpenAI, Azure, and a server of our own on this machine. Groq's `requests` is per day
    (https://console.groq.com/docs/rate-limits).
    """
    host = urlsplit(base_url).hostname or "" if base_url else "api.openai.com"
    is_openai = on_azure or host == "api.openai.com" or host.endswith(_OPENAIS)
    is_local = host in {"localhost", "127.0.0.1", "::1"}
    reads = is_openai or is_local if read_limit_headers is None else read_limit_headers
    limit_headers = _HEADERS if reads else {}
    output_limit = "max_completion_tokens" if is_openai else "max_tokens"
    return Server(output_limit, limit_headers, refuses_marks=is_openai)

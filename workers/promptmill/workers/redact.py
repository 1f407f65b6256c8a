"""Make text that others wrote fit to be stored and logged: no key, no prompt, not long.

Providers quote in their error messages: the key that was refused, the value that was wrong, at
times the prompt itself. What a message tells beyond that is worth keeping.
"""

import base64
import re
from collections.abc import Iterable
from functools import cache

from promptmill.schema.pii.masking import masked

MAX_CHARS = 500
_HIDDEN = "[redacted]"
_SHAPES = re.compile(
    r"(?i:bearer|basic)\s+[^\s\"',;]+"  # Authorization headers
    r"|\b(?:sk|rk|pk|gsk|xai|hf|r8|tgp|fw|nvapi|pplx|csk)[-_][\w*.-]{6,}"  # OpenAI and its like
    r"|\bAIza[\w*-]{10,}|\bAQ\.[\w*-]{10,}|\bya29\.[\w.-]+"  # Google
    r"|\beyJ[\w-]{8,}\.[\w.-]+"  # JSON web tokens
    r"|(?i:\b(?:api[-_]?key|token|secret|password)\b\s*[=:]\s*)[^\s\"',;&]+"
    r"|(?<=://)[^/\s@]+@"  # user:password@ in a URL
)
_QUOTED = re.compile(
    r"\"([^\"]*)\"|`([^`]*)`|(?<!\w)'([^']*)'(?!\w)|[\u201c\u2018]([^\u201d\u2019]*)[\u201d\u2019]"
)
_FIELD_NAME = re.compile(r"[a-z][a-z0-9]*(?:[_.\[\]-]+[a-z0-9]+)+\]?", re.IGNORECASE)
_NOT_LETTERS = bytes(byte for byte in range(128) if not chr(byte).isalnum())
_ESCAPES = (r"\n", r"\r", r"\t")
_RUN = 12
_STRIDE = 4
_LEAST_CODED = 8
"""Shorter keys are words for servers that need none; in base64 they would be found anywhere."""
LONGEST_COAT = 6
"""How many characters a character of a key may take."""


def redact(text: str, *, secrets: Iterable[str] = ()) -> str:
    """Return *text* without *secrets*, keys by their shapes and personal data, 500 characters."""
    for secret in filter(None, secrets):
        text = _coats(secret).sub(_HIDDEN, text)
    return _cut(masked(_SHAPES.sub(_HIDDEN, text)))


def redact_bytes(raw: bytes, *, secrets: Iterable[str]) -> bytes:
    """Return *raw* with *secrets* struck out by as many stars: no byte else is changed or moved."""
    text = raw.decode("latin-1")
    for secret in filter(None, secrets):
        text = _coats(secret).sub(lambda found: "*" * len(found[0]), text)
    return text.encode("latin-1")


def safe_message(text: str, *, secrets: Iterable[str], prompt: Iterable[str]) -> str:
    """Return what a provider's error message may say without key and without *prompt*.

    Quoted values are cut out unless they look like a name of a field (`max_tokens`) that the
    prompt has not in it. A message that still shares a run of about 15 letters with the prompt, or
    has all of a short prompt in it, is dropped whole and "" is returned. Comparing letters and
    digits only sees through escapes, case and line breaks.
    """
    texts = tuple(prompt)
    unquoted = _QUOTED.sub(
        lambda match: _keep_field_name(match, texts), redact(text, secrets=secrets)
    )
    return "" if _quotes(unquoted, texts) else unquoted


@cache
def _coats(secret: str) -> re.Pattern[str]:
    """Match *secret* as it reads, escaped for a URL or JSON, and within base64 at its 3 places."""
    letters = (rf"(?:{re.escape(one)}|(?i:%{ord(one):02x}|\\u{ord(one):04x}))" for one in secret)
    coats = ["".join(letters)]
    if len(secret) >= _LEAST_CODED:
        for before in range(3):
            coded = base64.b64encode(b"\0" * before + secret.encode()).decode()
            # The first characters have bits of what stands before, the last of what follows.
            whole = coded[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
            coats.append(whole.replace("+", "[+-]").replace("/", "[/_]"))
    return re.compile("|".join(coats))


def _keep_field_name(match: re.Match[str], prompt: tuple[str, ...]) -> str:
    quoted = next((group for group in match.groups() if group is not None), "")
    is_name = _FIELD_NAME.fullmatch(quoted) and not any(quoted in text for text in prompt)
    return match[0] if is_name else "[...]"


def _quotes(message: str, prompt: tuple[str, ...]) -> bool:
    said = _letters(message)
    runs = [said[at : at + _RUN] for at in range(0, max(len(said) - _RUN, 0) + 1, _STRIDE)]
    for text in map(_letters, prompt):
        if len(text) < _RUN:
            if len(text) > 3 and text in said:
                return True
        elif any(run in text for run in runs if len(run) == _RUN):
            return True
    return False


def _letters(text: str) -> bytes:
    # In bytes: a refusal of a prompt of 100 KB must not hold up the event loop for milliseconds.
    for escape in _ESCAPES:
        text = text.replace(escape, "")
    return text.lower().encode("utf-8", "surrogatepass").translate(None, _NOT_LETTERS)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"

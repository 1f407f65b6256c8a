"""The second request for an answer that has not its form: the first one, its answer, what is wrong.

It is asked in the shape that the first was written in, ours or a provider's own.
"""

from collections.abc import Mapping
from typing import Any, Final

from promptmill.schema.requests import NATIVE, native_of
from promptmill.workers.answer_check import misfit_of

_MOST_BYTES: Final = 256 * 1024


def repairing(body: Mapping[str, Any], form: Mapping[str, Any], invalid: bytes) -> dict[str, Any]:
    """Ask *body* once more, with the *invalid* answer and the validator's words after it.

    Where the answer is too large to be told again, or there was none, the request is as it was.
    """
    text = invalid.decode(errors="replace")
    misfit = misfit_of(text, form)
    if misfit is None or not text or len(invalid) > _MOST_BYTES:
        return dict(body)
    wish = (
        "That answer does not follow the JSON schema:\n"
        f"{misfit.words}\nGive the whole answer again, corrected: JSON only."
    )
    native = native_of(body)
    if native is None:
        return {**body, "messages": [*body["messages"], *_messages(text, wish)]}
    return {**body, NATIVE: _native(native, text, wish)}


def _native(native: Mapping[str, Any], text: str, wish: str) -> dict[str, Any]:
    if "contents" in native:
        turns = [
            {"role": "model", "parts": [{"text": text}]},
            {"role": "user", "parts": [{"text": wish}]},
        ]
        return {**native, "contents": [*native["contents"], *turns]}
    if "messages" in native:
        return {**native, "messages": [*native["messages"], *_messages(text, wish)]}
    return _responses(native, text, wish)


def _responses(native: Mapping[str, Any], text: str, wish: str) -> dict[str, Any]:
    given = native.get("input", [])
    before = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    return {**native, "input": [*before, *_messages(text, wish)]}


def _messages(text: str, wish: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}, {"role": "user", "content": wish}]

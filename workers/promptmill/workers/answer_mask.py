"""An answer without the personal data that is in it, as it is stored where its batch says so."""

import json
from dataclasses import replace

from promptmill.schema.moves.endings import StoredResult
from promptmill.schema.pii.masking import Masker
from promptmill.schema.pii.shapes import Finder

_MARK = "A"
"""tells words of an answer from those of its prompt, which it may repeat"""


def masked_result(result: StoredResult, finder: Finder) -> StoredResult:
    """Mask the text, the calls of tools and the provider's own answer. May take seconds."""
    masker = Masker(_MARK, finder=finder)
    text = None if result.text is None else masker.mask(result.text)
    calls, body = (_masked_json(masker, one) for one in (result.tool_calls, result.body))
    return replace(
        result, text=text, tool_calls=calls, body=body, masked=tuple(masker.values.items())
    )


def _masked_json(masker: Masker, encoded: str | None) -> str | None:
    if encoded is None:
        return None
    value = json.loads(encoded)
    masked = masker.mask_in(value)
    return encoded if masked == value else json.dumps(masked, ensure_ascii=False)

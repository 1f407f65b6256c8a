"""What live calls send, for those who read `/openapi.json`: the fields that must be there.

All others are the provider's, and go to it as they are.
"""

from typing import Any, Final

_TEXT: Final = {"type": "string", "minLength": 1}
_MESSAGE: Final = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"type": "string", "enum": ["system", "developer", "user", "assistant"]},
        "content": _TEXT,
    },
}
_MESSAGES: Final = {"type": "array", "minItems": 1, "items": _MESSAGE}


def _body(**fields: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["model", *fields],
        "properties": {"model": _TEXT, "stream": {"type": "boolean"}, **fields},
    }
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


CHAT_BODY: Final = _body(messages=_MESSAGES)
INPUT_BODY: Final = _body(input=_TEXT)

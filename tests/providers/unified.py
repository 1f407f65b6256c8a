"""Every kind of request in our one shape, and what each provider is to be told: or not."""

from dataclasses import dataclass
from typing import Any, Final

PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
PDF: Final = "JVBERi0xLjQKJSVFT0YK"
WAV: Final = "UklGRiQAAABXQVZFZm10IA=="
FILM: Final = "AAAAGGZ0eXBtcDQyAAAAAA=="
SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
MARK: Final = {"type": "ephemeral", "ttl": "1h"}
LOOK: Final = {
    "type": "function",
    "function": {"name": "look", "description": "Look up a city.", "parameters": SCHEMA},
}
GEMINI_LOOK: Final = {
    "name": "look",
    "description": "Look up a city.",
    "parametersJsonSchema": SCHEMA,
}
ANTHROPIC_LOOK: Final = {
    "name": "look",
    "description": "Look up a city.",
    "input_schema": SCHEMA,
}
WAIT: Final = {"type": "function", "function": {"name": "wait"}}


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is sent, and the error names this."""

    field: str


Told = dict[str, Any] | Refused
"""The fields of the request, as far as they matter here."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A request, and what becomes of it."""

    name: str
    body: dict[str, Any]
    anthropic: Told
    gemini: Told
    legacy: Told | None = None
    """of the former SDK, where it is not what `gemini` says"""
    model: str = "m-1"
    is_openais: bool = True
    """whether OpenAI's own types know it; else it is an extension that other servers take"""


def _user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def _said(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def _parts(*parts: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}]}


def _image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **more}


def _thinks(effort: str, anthropic: Told, gemini: Told, model: str) -> Kind:
    body = {"messages": TALK, "reasoning_effort": effort, "max_tokens": 4000}
    legacy = gemini if isinstance(gemini, Refused) else Refused("thinkingConfig")
    return Kind(f"effort {effort} of {model}", body, anthropic, gemini, legacy, model=model)


TALK: Final[list[dict[str, Any]]] = [{"role": "user", "content": "Where is Bern?"}]
ASK: Final = {"type": "text", "text": "What is it?"}
CALLED: Final[list[dict[str, Any]]] = [
    *TALK,
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {
                "id": "call_0",
                "type": "function",
                "function": {"name": "look", "arguments": '{"city": "Bern"}'},
            },
            {"id": "call_1", "type": "function", "function": {"name": "wait", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_0", "content": '{"country": "CH"}'},
    {"role": "tool", "tool_call_id": "call_1", "content": "waited"},
    {"role": "user", "content": "So?"},
]
SIGNED: Final[list[dict[str, Any]]] = [
    *TALK,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_0",
                "type": "function",
                "function": {"name": "wait", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "c2lnbmVk"}},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_0", "content": "waited"},
]

KINDS: Final = (
    Kind(
        "system messages, several turns",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": "Be kind."},
                *TALK,
                {"role": "assistant", "content": "In Switzerland."},
                {"role": "user", "content": "And Oslo?"},
            ]
        },
        {
            "system": "Be brief.\n\nBe kind.",
            "messages": [
                *TALK,
                {"role": "assistant", "content": "In Switzerland."},
                {"role": "user", "content": "And Oslo?"},
            ],
        },
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "\n\nBe kind."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Where is Bern?"}]},
                {"role": "model", "parts": [{"text": "In Switzerland."}]},
                {"role": "user", "parts": [{"text": "And Oslo?"}]},
            ],
        },
    ),
    Kind(
        "tools",
        {"messages": TALK, "tools": [LOOK, WAIT]},
        {
            "tools": [
                ANTHROPIC_LOOK,
                {"name": "wait", "input_schema": {"type": "object", "properties": {}}},
            ]
        },
        {"tools": [{"functionDeclarations": [GEMINI_LOOK, {"name": "wait"}]}]},
        Refused("parametersJsonSchema"),
    ),
    Kind(
        "a tool without parameters",
        {"messages": TALK, "tools": [WAIT], "tool_choice": "auto"},
        {"tool_choice": {"type": "auto"}},
        {
            "tools": [{"functionDeclarations": [{"name": "wait"}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        },
    ),
    Kind(
        "no call of a tool",
        {"messages": TALK, "tools": [WAIT], "tool_choice": "none"},
        {"tool_choice": {"type": "none"}},
        {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
    ),
    Kind(
        "some call of a tool",
        {"messages": TALK, "tools": [WAIT], "tool_choice": "required"},
        {"tool_choice": {"type": "any"}},
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
    ),
    Kind(
        "a call of one tool",
        {
            "messages": TALK,
            "tools": [WAIT],
            "tool_choice": {"type": "function", "function": {"name": "wait"}},
        },
        {"tool_choice": {"type": "tool", "name": "wait"}},
        {
            "toolConfig": {
                "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["wait"]}
            }
        },
    ),
    Kind(
        "one call at a time",
        {"messages": TALK, "tools": [WAIT], "parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        Refused("parallel_tool_calls"),
    ),
    Kind(
        "a strict tool",
        {
            "messages": TALK,
            "tools": [{"type": "function", "function": {"name": "wait", "strict": True}}],
        },
        {
            "tools": [
                {
                    "name": "wait",
                    "input_schema": {"type": "object", "properties": {}},
                    "strict": True,
                }
            ]
        },
        {"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}},
        Refused("toolConfig.functionCallingConfig.mode"),
    ),
    Kind(
        "calls and their results",
        {"messages": CALLED, "tools": [WAIT]},
        {
            "messages": [
                *TALK,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "I look."},
                        {
                            "type": "tool_use",
                            "id": "call_0",
                            "name": "look",
                            "input": {"city": "Bern"},
                        },
                        {"type": "tool_use", "id": "call_1", "name": "wait", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "call_0",
                            "content": '{"country": "CH"}',
                        },
                        {"type": "tool_result", "tool_use_id": "call_1", "content": "waited"},
                    ],
                },
                {"role": "user", "content": "So?"},
            ]
        },
        {
            "contents": [
                {"role": "user", "parts": [{"text": "Where is Bern?"}]},
                {
                    "role": "model",
                    "parts": [
                        {"text": "I look."},
                        {
                            "functionCall": {
                                "id": "call_0",
                                "name": "look",
                                "args": {"city": "Bern"},
                            }
                        },
                        {"functionCall": {"id": "call_1", "name": "wait", "args": {}}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [
                        {
                            "functionResponse": {
                                "id": "call_0",
                                "name": "look",
                                "response": {"country": "CH"},
                            }
                        },
                        {
                            "functionResponse": {
                                "id": "call_1",
                                "name": "wait",
                                "response": {"output": "waited"},
                            }
                        },
                    ],
                },
                {"role": "user", "parts": [{"text": "So?"}]},
            ]
        },
    ),
    Kind(
        "a call with the signature of its thoughts",
        {"messages": SIGNED, "tools": [WAIT]},
        {
            "messages": [
                *TALK,
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "call_0", "name": "wait", "input": {}}],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "call_0", "content": "waited"}
                    ],
                },
            ]
        },
        {
            "contents": [
                {"role": "user", "parts": [{"text": "Where is Bern?"}]},
                {
                    "role": "model",
                    "parts": [
                        {
                            "functionCall": {"id": "call_0", "name": "wait", "args": {}},
                            "thoughtSignature": "c2lnbmVk",
                        }
                    ],
                },
                {
                    "role": "user",
                    "parts": [
                        {
                            "functionResponse": {
                                "id": "call_0",
                                "name": "wait",
                                "response": {"output": "waited"},
                            }
                        }
                    ],
                },
            ]
        },
        Refused("thoughtSignature"),
        is_openais=False,
    ),
    Kind(
        "the provider's own tools",
        {"messages": TALK, "tools": [{"type": "web_search"}, {"type": "code_execution"}]},
        {
            "tools": [
                {"type": "web_search_20250305", "name": "web_search"},
                {"type": "code_execution_20250825", "name": "code_execution"},
            ]
        },
        {"tools": [{"googleSearch": {}}, {"codeExecution": {}}]},
        is_openais=False,
    ),
    Kind(
        "JSON",
        {"messages": TALK, "response_format": {"type": "json_object"}},
        Refused("response_format"),
        {"generationConfig": {"responseMimeType": "application/json"}},
    ),
    Kind(
        "JSON by a schema",
        {
            "messages": TALK,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
            },
        },
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": SCHEMA,
            }
        },
        Refused("responseJsonSchema"),
    ),
    Kind(
        "an image, as bytes",
        {"messages": _user(ASK, _image(f"data:image/png;base64,{PNG}"))},
        _said(
            ASK,
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            },
        ),
        _parts({"text": ASK["text"]}, {"inlineData": {"mimeType": "image/png", "data": PNG}}),
    ),
    Kind(
        "an image of a kind that is rare",
        {"messages": _user(_image(f"data:image/heic;base64,{PNG}"))},
        Refused("messages[0].content[0].image_url"),
        _parts({"inlineData": {"mimeType": "image/heic", "data": PNG}}),
    ),
    Kind(
        "an image, by its address",
        {"messages": _user(_image("https://example.org/a/b.jpg?x=1"))},
        _said(
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a/b.jpg?x=1"}}
        ),
        _parts(
            {"fileData": {"fileUri": "https://example.org/a/b.jpg?x=1", "mimeType": "image/jpeg"}}
        ),
    ),
    Kind(
        "a sound",
        {"messages": _user({"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}})},
        Refused("messages[0].content[0].input_audio"),
        _parts({"inlineData": {"mimeType": "audio/wav", "data": WAV}}),
    ),
    Kind(
        "a document, as bytes",
        {
            "messages": _user(
                {
                    "type": "file",
                    "file": {
                        "filename": "a.pdf",
                        "file_data": f"data:application/pdf;base64,{PDF}",
                    },
                }
            )
        },
        _said(
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            }
        ),
        _parts({"inlineData": {"mimeType": "application/pdf", "data": PDF}}),
    ),
    Kind(
        "a document, by its address",
        {"messages": _user({"type": "file", "file": {"file_url": "https://example.org/a.pdf"}})},
        _said({"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}),
        _parts(
            {"fileData": {"fileUri": "https://example.org/a.pdf", "mimeType": "application/pdf"}}
        ),
        is_openais=False,
    ),
    Kind(
        "a document that the provider has",
        {"messages": _user({"type": "file", "file": {"file_id": "file-1"}})},
        _said({"type": "document", "source": {"type": "file", "file_id": "file-1"}}),
        Refused("messages[0].content[0].file"),
    ),
    Kind(
        "a film, as bytes",
        {
            "messages": _user(
                {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{FILM}"}}
            )
        },
        Refused("messages[0].content[0].video_url"),
        _parts({"inlineData": {"mimeType": "video/mp4", "data": FILM}}),
        is_openais=False,
    ),
    Kind(
        "a film, by its address",
        {
            "messages": _user(
                {"type": "video_url", "video_url": {"url": "https://www.youtube.com/watch?v=x"}}
            )
        },
        Refused("messages[0].content[0].video_url"),
        _parts({"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}}),
        is_openais=False,
    ),
    Kind(
        "marks of what may be cached",
        {
            "messages": [
                {
                    "role": "system",
                    "content": [{"type": "text", "text": "Long.", "cache_control": MARK}],
                },
                *_user(_image(f"data:image/png;base64,{PNG}", cache_control=MARK), ASK),
            ],
            "tools": [WAIT | {"cache_control": MARK}],
            "cache_control": {"type": "ephemeral"},
        },
        {
            "cache_control": {"type": "ephemeral"},
            "system": [{"type": "text", "text": "Long.", "cache_control": MARK}],
            "tools": [
                {
                    "name": "wait",
                    "input_schema": {"type": "object", "properties": {}},
                    "cache_control": MARK,
                }
            ],
        }
        | _said(
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                "cache_control": MARK,
            },
            ASK,
        ),
        {"systemInstruction": {"parts": [{"text": "Long."}]}}
        | _parts({"inlineData": {"mimeType": "image/png", "data": PNG}}, {"text": ASK["text"]}),
        is_openais=False,
    ),
    _thinks(
        "high",
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        {
            "generationConfig": {
                "maxOutputTokens": 4000,
                "thinkingConfig": {"thinkingLevel": "HIGH"},
            }
        },
        "claude-sonnet-5",
    ),
    _thinks(
        "minimal",
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        {
            "generationConfig": {
                "maxOutputTokens": 4000,
                "thinkingConfig": {"thinkingLevel": "MINIMAL"},
            }
        },
        "gemini-3.5-flash",
    ),
    _thinks(
        "medium",
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        {
            "generationConfig": {
                "maxOutputTokens": 4000,
                "thinkingConfig": {"thinkingLevel": "MEDIUM"},
            }
        },
        "claude-haiku-4-5",
    ),
    _thinks(
        "low",
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        {"generationConfig": {"maxOutputTokens": 4000, "thinkingConfig": {"thinkingBudget": 1024}}},
        "gemini-2.5-flash",
    ),
    _thinks("none", {"thinking": {"type": "disabled"}}, Refused("reasoning_effort"), "m-1"),
    _thinks(
        "xhigh",
        Refused("reasoning_effort"),
        {
            "generationConfig": {
                "maxOutputTokens": 4000,
                "thinkingConfig": {"thinkingLevel": "XHIGH"},
            }
        },
        "claude-opus-4-5-20251101",
    ),
)

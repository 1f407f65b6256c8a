"""Turns of a talk: what is said, the tools that there are, their calls and results."""

from typing import Any, Final

from tests.providers.unified.kind import SCHEMA, TALK, Kind, Refused

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

TALKS: Final = (
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
)

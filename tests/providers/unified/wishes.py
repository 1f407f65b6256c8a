"""What the answer is to be like: its form, and how hard a model thinks about it."""

from typing import Final

from tests.providers.unified.kind import SCHEMA, TALK, Kind, Refused, Told


def _thinks(effort: str, anthropic: Told, gemini: Told, model: str) -> Kind:
    body = {"messages": TALK, "reasoning_effort": effort, "max_tokens": 4000}
    legacy = gemini if isinstance(gemini, Refused) else Refused("thinkingConfig")
    return Kind(f"effort {effort} of {model}", body, anthropic, gemini, legacy, model=model)


WISHES: Final = (
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

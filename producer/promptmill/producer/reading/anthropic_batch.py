"""Lines of Anthropic's Message Batches: `custom_id`, `params`.

Source: https://platform.claude.com/docs/en/api/messages/batches/create, where they are the items of
`requests`; `params` is the body of a Messages request.
"""

from collections.abc import Mapping
from typing import Any

from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.native_lines import check_tokens, refuse_second_system
from promptmill.producer.reading.options import ReadOptions
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.requests import Endpoint

_FIX = '"params": {"model": "...", "max_tokens": 200, "messages": [{"role": "user", ...}]}'


class AnthropicBatch:
    """What a Messages request must have; all else goes to the provider unseen."""

    described = "Anthropic batch lines"
    kind = ProviderKind.ANTHROPIC
    fields = frozenset({"custom_id", "params"})
    id_field, body_field = "custom_id", "params"

    def endpoint(self, body: Mapping[str, Any]) -> Endpoint:
        del body
        return Endpoint.CHAT

    def check_beside(self, line: Line, value: dict[str, Any]) -> None:
        """Do nothing: nothing but a custom_id stands there."""

    def model(self, line: Line, body: dict[str, Any]) -> Any:
        del line
        return body.pop("model", None)

    def add(self, line: Line, body: dict[str, Any], system: str | None, given: ReadOptions) -> None:
        if system is not None:
            if "system" in body:
                raise refuse_second_system(line)
            body["system"] = system
        body.update(given.parameters)
        if given.schema is not None:
            form = {"type": "json_schema", "schema": given.schema}
            body["output_config"] = {**body.get("output_config", {}), "format": form}

    def check(self, line: Line, body: dict[str, Any]) -> None:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise line.refused(problem="messages is missing, empty or not a list", fix=_FIX)
        for number, message in enumerate(messages):
            if not isinstance(message, dict) or not message.get("role"):
                raise line.refused(problem=f"messages[{number}] has no role", fix=_FIX)
            if not isinstance(message.get("content"), str | list) or not message["content"]:
                raise line.refused(problem=f"messages[{number}] has no content", fix=_FIX)
        check_tokens(line, "max_tokens", body.get("max_tokens"))

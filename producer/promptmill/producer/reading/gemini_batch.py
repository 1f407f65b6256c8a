"""Lines of Gemini's batch files: `key`, `request`.

Source: https://ai.google.dev/gemini-api/docs/batch-api; `request` is a GenerateContentRequest or,
with `content`, an EmbedContentRequest, in camelCase or snake_case. The model is that of the batch,
so it comes by -m. Vertex's lines have no `key`:
https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-gemini.
"""

from collections.abc import Mapping
from typing import Any

from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.native_lines import check_tokens, refuse_for, refuse_second_system
from promptmill.producer.reading.options import ReadOptions
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.requests import Endpoint

_FIX = '"request": {"contents": [{"role": "user", "parts": [{"text": "..."}]}]}'
_CONFIG = ("generationConfig", "generation_config")
_SYSTEM = ("systemInstruction", "system_instruction")
_MOST = ("maxOutputTokens", "max_output_tokens")


class GeminiBatch:
    """What such a request must have; all else goes to the provider unseen."""

    described = "Gemini batch lines"
    kind = ProviderKind.GEMINI
    fields = frozenset({"key", "request"})
    id_field, body_field = "key", "request"

    def endpoint(self, body: Mapping[str, Any]) -> Endpoint:
        return Endpoint.EMBEDDINGS if "content" in body else Endpoint.CHAT

    def check_beside(self, line: Line, value: dict[str, Any]) -> None:
        """Do nothing: nothing but a key stands there."""

    def model(self, line: Line, body: dict[str, Any]) -> Any:
        del line
        model = body.pop("model", None)
        return model.removeprefix("models/") if isinstance(model, str) else model

    def add(self, line: Line, body: dict[str, Any], system: str | None, given: ReadOptions) -> None:
        if self.endpoint(body) is Endpoint.EMBEDDINGS:
            refuse_for(Endpoint.EMBEDDINGS, system, given)
            body.update(given.parameters)
            return
        if system is not None:
            if any(name in body for name in _SYSTEM):
                raise refuse_second_system(line)
            body["systemInstruction"] = {"parts": [{"text": system}]}
        added = dict(given.parameters)
        if given.schema is not None:
            added |= {"responseMimeType": "application/json", "responseJsonSchema": given.schema}
        if added:
            name = next((name for name in _CONFIG if name in body), _CONFIG[0])
            body[name] = {**self._config(line, body), **added}

    def check(self, line: Line, body: dict[str, Any]) -> None:
        if self.endpoint(body) is Endpoint.EMBEDDINGS:
            _check_content(line, "content", body["content"])
            return
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents:
            raise line.refused(problem="contents is missing, empty or not a list", fix=_FIX)
        for number, content in enumerate(contents):
            _check_content(line, f"contents[{number}]", content)
        config = self._config(line, body)
        for name in _MOST:
            if name in config:
                check_tokens(line, name, config[name])
        if config.get("candidateCount", config.get("candidate_count")) not in (None, 1):
            raise line.refused(
                problem="candidateCount asks for several answers",
                fix="repeat the line instead: one prompt, one answer",
            )

    def _config(self, line: Line, body: dict[str, Any]) -> dict[str, Any]:
        for name in _CONFIG:
            if name in body:
                if not isinstance(body[name], dict):
                    raise line.refused(problem=f"{name} is not an object", fix=_FIX)
                return dict(body[name])
        return {}


def _check_content(line: Line, where: str, content: Any) -> None:
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not parts:
        raise line.refused(problem=f"{where} has no parts", fix=_FIX)

"""Lines of OpenAI's Batch files that are no chats: responses, embeddings, images, moderations.

Only OpenAI and those who speak its dialect answer them, so a body goes out as it came. As in
OpenAI's own Batch API, all lines of a file ask the same endpoint: that of the first one.
"""

from collections.abc import Mapping
from typing import Any, Final

from promptmill.producer.reading.json_schema import requires_all
from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.native_lines import check_tokens, refuse_for, refuse_second_system
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.usual_line import METHOD, URL
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.requests import Endpoint

URLS: Final = {
    "/v1/responses": Endpoint.RESPONSES,
    "/v1/embeddings": Endpoint.EMBEDDINGS,
    "/v1/images/generations": Endpoint.IMAGES,
    "/v1/moderations": Endpoint.MODERATIONS,
}
"""Those beside chat completions."""
_WANTED: Final = {
    Endpoint.RESPONSES: ("input", "prompt"),
    Endpoint.EMBEDDINGS: ("input",),
    Endpoint.IMAGES: ("prompt",),
    Endpoint.MODERATIONS: ("input",),
}
"""Fields of which a body must have one."""
_MODERATOR: Final = "omni-moderation-latest"
"""What OpenAI takes where a moderation names no model."""


class OpenAINative:
    """What a body must have; all else goes to the provider unseen."""

    kind = ProviderKind.OPENAI
    fields = frozenset({"custom_id", "method", "url", "body"})
    id_field, body_field = "custom_id", "body"

    def __init__(self, url: str) -> None:
        self._endpoint = URLS[url]
        self._url = url
        self.described = f"OpenAI Batch lines for {self._endpoint}"

    def endpoint(self, body: Mapping[str, Any]) -> Endpoint:
        del body
        return self._endpoint

    def check_beside(self, line: Line, value: dict[str, Any]) -> None:
        if "custom_id" not in value:
            raise line.refused(
                problem="the line has no custom_id", fix="give each line a name of its own"
            )
        check_call(line, value, url=self._url)

    def model(self, line: Line, body: dict[str, Any]) -> Any:
        del line
        usual = _MODERATOR if self._endpoint is Endpoint.MODERATIONS else None
        return body.pop("model", None) or usual

    def add(self, line: Line, body: dict[str, Any], system: str | None, given: ReadOptions) -> None:
        if self._endpoint is not Endpoint.RESPONSES:
            refuse_for(self._endpoint, system, given)
        if system is not None:
            if "instructions" in body:
                raise refuse_second_system(line)
            body["instructions"] = system
        body.update(given.parameters)
        if given.schema is not None:
            strict = requires_all(given.schema)
            form = {"type": "json_schema", "name": "answer", "schema": given.schema}
            body["text"] = {**body.get("text", {}), "format": form | {"strict": strict}}

    def check(self, line: Line, body: dict[str, Any]) -> None:
        wanted = _WANTED[self._endpoint]
        if not any(body.get(field) for field in wanted):
            raise line.refused(
                problem=f"{' or '.join(wanted)} is missing or empty",
                fix=f'write "body": {{"model": "...", "{wanted[0]}": ...}}',
            )
        if self._endpoint is Endpoint.RESPONSES and "max_output_tokens" in body:
            check_tokens(line, "max_output_tokens", body["max_output_tokens"])
        self._check_background(line, body)

    def _check_background(self, line: Line, body: dict[str, Any]) -> None:
        """Refuse what is not made in the background. Of an image it is the colour behind it."""
        if self._endpoint is not Endpoint.RESPONSES:
            if body.get("background") is True:
                fix = f"leave it out: {self._endpoint} are answered at once"
                raise line.refused(problem="background is asked for", fix=fix)
        elif not body.get("background"):
            body.pop("background", None)
        elif body.get("store") is False:
            fix = "leave store out: OpenAI keeps what it makes in the background, to be asked for"
            raise line.refused(problem="background goes with store: false", fix=fix)


def check_call(line: Line, value: Mapping[str, Any], *, url: str) -> None:
    """Refuse another method than POST, and another url than that of the first line.

    Raises InputError.
    """
    method, asked = value.get("method", METHOD), value.get("url", url)
    if method != METHOD:
        raise line.refused(
            problem=f"method is not {METHOD}, the only one there is",
            fix="leave it out",
            value=str(method),
        )
    if asked == url:
        return
    if asked == URL or asked in URLS:
        problem = f"url is not {url}, and all lines of a file ask the same one"
        fix = "put requests to another url into a file of their own"
    else:
        problem = "url is none of those that are answered here"
        fix = f"use one of {', '.join((URL, *URLS))}"
    raise line.refused(problem=problem, fix=fix, value=str(asked))

"""Lines that hold a provider's own request, which is sent to that provider as it is."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from promptmill.producer.reading.chat import check_model, check_stream
from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt, check_custom_id
from promptmill.producer.reading.source import Input
from promptmill.producer.reading.strict_json import canonical, decode_object
from promptmill.producer.reading.template import compiled
from promptmill.schema.errors import InputError, UsageError
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.requests import STREAM, Endpoint, native_request

_STREAMED: Final = frozenset({Endpoint.CHAT, Endpoint.RESPONSES})


class Dialect(Protocol):
    """One provider's batch lines."""

    described: str
    kind: ProviderKind
    fields: frozenset[str]
    """of a line; any other is refused"""
    id_field: str
    body_field: str

    def endpoint(self, body: Mapping[str, Any]) -> Endpoint:
        """Tell what a *body* asks for."""
        ...

    def check_beside(self, line: Line, value: dict[str, Any]) -> None:
        """Refuse what stands beside the body of a line. Raises InputError."""
        ...

    def check(self, line: Line, body: dict[str, Any]) -> None:
        """Refuse a *body* that the provider would not answer. Raises InputError."""
        ...

    def model(self, line: Line, body: dict[str, Any]) -> Any:
        """Take the model out of *body*."""
        ...

    def add(self, line: Line, body: dict[str, Any], system: str | None, given: ReadOptions) -> None:
        """Put system message, options and schema into *body*. Raises InputError."""
        ...


class NativeLines:
    """JSONL with one request of one provider a line."""

    def __init__(self, options: ReadOptions, dialect: Dialect) -> None:
        for flag, given in (("-p and -t", options.template), ("--id-column", options.id_column)):
            if given is not None:
                msg = f"{flag}: for plain rows; these {dialect.described} have their own"
                raise UsageError(msg)
        self._options, self._dialect = options, dialect
        # To stream is no part of a body: Gemini says it by another address.
        self._stream = options.parameters.get(STREAM)
        rest = {name: value for name, value in options.parameters.items() if name != STREAM}
        self._given = replace(options, parameters=rest)
        self._system = compiled(options.system, name="-s")

    @property
    def described(self) -> str:
        return self._dialect.described

    @property
    def only_for(self) -> ProviderKind:
        return self._dialect.kind

    def prompts(self, source: Input) -> Iterator[Prompt | InputError]:
        for line in source.lines(self._options.max_line_bytes):
            try:
                prompt = self._prompt(line)
            except InputError as error:
                yield error
            else:
                yield prompt

    def _prompt(self, line: Line) -> Prompt:
        dialect = self._dialect
        value = decode_object(line)
        self._check_fields(line, value)
        custom_id = f"line-{line.number}"
        if dialect.id_field in value:
            custom_id = check_custom_id(line, value[dialect.id_field], dialect.id_field)
        body = value[dialect.body_field]
        if not isinstance(body, dict):
            raise line.refused(
                problem=f"{dialect.body_field} is not an object", fix=f"write {self._example}"
            )
        model = check_model(line, dialect.model(line, body))
        system = None
        if self._system is not None:
            system = self._system.render(line, {dialect.id_field: custom_id})
        stream = body.pop(STREAM, None)
        check_stream(line, stream)
        dialect.add(line, body, system, self._given)
        dialect.check(line, body)
        asked = stream if self._stream is None else self._stream
        written = canonical(self._request(line, body, streamed=bool(asked)))
        return Prompt(line.number, custom_id, written, self._options.model or model)

    def _request(self, line: Line, body: dict[str, Any], *, streamed: bool) -> dict[str, Any]:
        endpoint = self._dialect.endpoint(body)
        request = native_request(body, endpoint)
        if not streamed:
            return request
        if endpoint not in _STREAMED:
            raise line.refused(
                problem="stream is asked for",
                fix=f"leave it out: answers to {endpoint} are not streamed",
            )
        return {**request, STREAM: True}

    def _check_fields(self, line: Line, value: dict[str, Any]) -> None:
        dialect = self._dialect
        if dialect.body_field not in value:
            raise line.refused(
                problem=f"the file starts with {dialect.described}, and this line is not one",
                fix=f"write {self._example}",
            )
        unknown = sorted(value.keys() - dialect.fields)
        if unknown:
            raise line.refused(
                problem=f"such a line has no field {unknown[0][:60]!r}",
                fix=f"write {self._example}",
            )
        dialect.check_beside(line, value)

    @property
    def _example(self) -> str:
        return f'{{"{self._dialect.id_field}": "...", "{self._dialect.body_field}": {{...}}}}'


def refuse_second_system(line: Line) -> InputError:
    """Make the error for a line that has a system message where -s gives one."""
    return line.refused(
        problem="the line has a system message of its own, and -s gives another",
        fix="leave out -s, or take the system messages out of the input",
    )


def check_tokens(line: Line, name: str, limit: Any) -> None:
    """Refuse a limit of tokens that limits and budgets cannot be booked by. Raises InputError."""
    if type(limit) is not int or limit < 1:
        raise line.refused(
            problem=f"{name} is not a positive integer",
            fix="give the most tokens an answer may have, such as 200",
            value=str(limit),
        )


def refuse_for(endpoint: Endpoint, system: str | None, given: ReadOptions) -> None:
    """Refuse what requests to *endpoint* have no place for. Raises UsageError."""
    for flag, value in (("-s", system), ("--schema", given.schema)):
        if value is not None:
            msg = f"{flag}: there is no such thing in a request for {endpoint}"
            raise UsageError(msg)

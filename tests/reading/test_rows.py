"""Rows become prompts: by templates, by the names of columns, with the options put in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptmill.producer.reading import Prompt, ReadOptions, parse_parameter, read_template
from promptmill.schema.errors import InputError, UsageError

Read = Callable[..., list[Prompt]]
Refuse = Callable[..., InputError]
ROW = (
    b'{"text": "good", "price": 19.90, "n": 3, "big": 9007199254740993, "ok": true, "no": null, '
    b'"tags": ["a", {"b": 1.50}], "first name": "Ada", "who": {"name": "Bo"}}'
)


def asked(prompt: Prompt) -> Any:
    return prompt.request["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Of: {{ text }}", "Of: good"),
        ("Of: {text}", "Of: good"),
        ("{ text } by {first name}", "good by Ada"),
        ('As {"label": "..."}: {text} {#1 {}', 'As {"label": "..."}: good {#1 {}'),
        ("{{ row['first name'] }}, {{ who.name }}", "Ada, Bo"),
        ("{{ price }} {{ n }} {{ big }}", "19.90 3 9007199254740993"),
        ("{{ price * 2 }}", "39.8"),
        ("{{ ok }} {{ tags }}", 'true ["a",{"b":1.50}]'),
        ("{{ no or 'none' }} {{ text }}", "none good"),
        ("{% if ok %}{{ text | upper }}{% endif %}", "GOOD"),
        ("{{ absent | default('-') }}{{ text }}", "-good"),
        ("{% raw %}{text}{% endraw %} {{ text }}\n", "{text} good"),
        ('<b>{{ text }}</b> & "it\'s"', '<b>good</b> & "it\'s"'),
    ],
)
def test_a_template_is_filled_in(template: str, text: str, read: Read) -> None:
    (prompt,) = read(ROW, template=template)
    assert asked(prompt) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ txt }}", "asks for the column 'txt', which is not there"),
        ("{txt}", "asks for the column 'txt', which is not there"),
        ("{{ row.txt }}{{ text }}", "no attribute 'txt'"),
        ("{{ no }}", "prints a null: no"),
        ("{no}", "prints a null: no"),
        ("{{ text / 2 }}", "fails on this row: unsupported operand"),
        ("{{ n / 0 }}", "fails on this row: division by zero"),
        ("{{ text.__class__.__mro__ }}", "fails on this row: access to attribute '__class__'"),
        ('{{ text }}{{ "\\x00" }}', "makes a NUL character"),
        ('{{ text }}{{ "\\ud800" }}', "fails on this row"),
    ],
)
def test_a_template_that_does_not_fit_a_row_is_refused(
    template: str, problem: str, refused: Refuse
) -> None:
    error = refused(ROW, template=template, template_name="ask.txt")
    assert error.line == 1
    assert f"the template of ask.txt {problem}" in str(error) or problem in str(error)


def test_a_missing_column_is_told_with_those_there_are(refused: Refuse) -> None:
    error = refused(b'{"text": "a"}\n{"review": "b", "stars": 2}\n', template="Of: {{ text }}")
    assert error.line == 2
    assert error.fix == "use one of 'review', 'stars'"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ text", "cannot be read"),
        ("{% if %}", "cannot be read"),
        ("{{ text | shout }}", "cannot be read: No filter named 'shout'"),
        ("Say something.", "names no column"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template: str, problem: str, read: Read) -> None:
    with pytest.raises(UsageError, match=problem):
        read(ROW, template=template)


def test_a_row_is_data_and_never_a_template(read: Read) -> None:
    (prompt,) = read(b'{"text": "{{ row }} {text}"}', template="{{ text }}")
    assert asked(prompt) == "{{ row }} {text}"


def test_a_system_prompt_comes_first_and_is_a_template_too(read: Read) -> None:
    (prompt,) = read(ROW, template="{text}", system="You serve {first name}.")
    assert prompt.request["messages"][0] == {"role": "system", "content": "You serve Ada."}


def test_a_second_system_message_is_refused(
    refused: Refuse, batch_line: Callable[..., bytes]
) -> None:
    line = batch_line(messages=[{"role": "system", "content": "x"}])
    assert "system message of its own" in str(refused(line, system="y"))


def test_without_a_template_a_row_speaks_for_itself(read: Read) -> None:
    text, prompt, chat = read(
        b'{"text": "a", "x": 1}\n{"prompt": "b"}\n{"messages": [{"role": "user", "content": "c"}],'
        b' "temperature": 0.5, "label": "mine", "model": "gpt-4o", "stream": false, "n": 1}'
    )
    assert (asked(text), asked(prompt), asked(chat)) == ("a", "b", "c")
    assert chat.request.keys() == {"messages", "temperature"}
    assert chat.model == "gpt-4o"


def test_a_custom_id_is_the_users_own(read: Read) -> None:
    prompts = read(b'{"text": "a", "custom_id": "k"}\n{"text": "b", "id": 70}\n{"text": "c"}')
    assert [prompt.custom_id for prompt in prompts] == ["k", "70", "line-3"]


def test_an_id_column_is_obeyed(read: Read, refused: Refuse) -> None:
    (prompt,) = read(b'{"text": "a", "id": 1, "sku": "\xc3\xa9-7"}', id_column="sku")
    assert prompt.custom_id == "\u00e9-7"
    assert "'sku' of --id-column is not there" in str(refused(b'{"text": "a"}', id_column="sku"))


def test_a_plain_looking_row_with_a_custom_id_is_no_batch_line(read: Read) -> None:
    (prompt,) = read(b'{"custom_id": "k", "text": "a"}')
    assert asked(prompt) == "a"


@pytest.mark.parametrize("options", [{"template": "{text}"}, {"id_column": "id"}])
def test_options_of_rows_are_refused_for_batch_lines(
    options: dict[str, Any], read: Read, batch_line: Callable[..., bytes]
) -> None:
    with pytest.raises(UsageError, match="for plain rows"):
        read(batch_line(), **options)


def test_a_batch_line_gets_system_model_and_parameters(
    read: Read, batch_line: Callable[..., bytes]
) -> None:
    line = batch_line(model="gpt-4o", temperature=1.0, stream=False)
    (prompt,) = read(line, system="Be brief.", model="claude-x", parameters={"temperature": 0})
    assert prompt.model == "claude-x"
    assert prompt.body == (
        b'{"messages":[{"content":"Be brief.","role":"system"},{"content":"hi","role":"user"}],'
        b'"temperature":0}'
    )


def test_method_and_url_may_be_left_out(read: Read) -> None:
    line = b'{"custom_id": "a", "body": {"messages": [{"role": "user", "content": "x"}]}}'
    assert [prompt.custom_id for prompt in read(line)] == ["a"]


def test_equal_requests_have_equal_hashes(read: Read) -> None:
    one, same, other_text, other_model = read(
        b'{"messages": [{"role": "user", "content": "a"}], "seed": 1, "model": "m"}\n'
        b'{"id": 2, "model":"m", "seed":1, "messages":[{"content":"\\u0061","role":"user"}]}\n'
        b'{"messages": [{"role": "user", "content": "b"}], "seed": 1, "model": "m"}\n'
        b'{"messages": [{"role": "user", "content": "a"}], "seed": 1, "model": "n"}\n'
    )
    hashes = [prompt.request_hash(prompt.model) for prompt in (one, other_text, other_model)]
    assert same.request_hash("m") == hashes[0]
    assert len(set(hashes)) == 3
    assert one.request_hash("n") == hashes[2]
    assert len(hashes[0]) == 64


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.2", 0.2), ("7", 7), ("true", True), ('["a"]', ["a"]), ("low", "low"), ("NaN", "NaN")],
)
def test_a_parameter_is_json_where_it_can_be(text: str, value: object) -> None:
    assert parse_parameter("key", text) == ("key", value)


@pytest.mark.parametrize(
    ("given", "option", "streams"),
    [(True, None, True), (False, None, False), (None, True, True), (True, False, False)],
)
def test_a_stream_is_asked_for_by_the_line_or_by_an_option(
    given: bool | None,
    option: bool | None,
    streams: bool,
    read: Read,
    batch_line: Callable[..., bytes],
) -> None:
    parameters = {} if option is None else {"stream": option}
    (prompt,) = read(batch_line(model="gpt-4o", stream=given), parameters=parameters)
    assert prompt.request.get("stream") is (True if streams else None)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"messages": []}, "messages come from the input"),
        ({"stream": 1}, "give true, or false"),
        ({"model": "x"}, "with -m"),
        ({"n": 2}, "one answer"),
        ({"stop": "a\0"}, "NUL"),
        ({"stop": "\udcff"}, "not UTF-8"),
    ],
)
def test_a_parameter_that_is_none_is_refused(parameters: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        ReadOptions(parameters=parameters)


def test_a_number_too_large_is_no_parameter() -> None:
    with pytest.raises(UsageError, match="too large"):
        parse_parameter("temperature", "1e400")


def test_a_parameter_is_checked_as_a_line_is(refused: Refuse) -> None:
    assert "max_tokens is not" in str(refused(b'{"text": "a"}', parameters={"max_tokens": 0}))


def test_a_template_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "ask.txt").write_bytes(b"\xef\xbb\xbfOf: {{ text }}\n")
    assert read_template(tmp_path / "ask.txt") == "Of: {{ text }}\n"
    with pytest.raises(UsageError, match="absent"):
        read_template(tmp_path / "absent")


def test_a_limit_takes_the_first_prompts_only(read: Read) -> None:
    assert [p.position for p in read(b'{"text": "a"}\n' * 5 + b"{]\n", limit=2)] == [1, 2]


@pytest.mark.parametrize(
    "content", [[{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}], "x", ""]
)
def test_content_may_be_text_or_parts(content: object, read: Read, batch_line: Any) -> None:
    (prompt,) = read(batch_line(messages=[{"role": "user", "content": content}]))
    assert asked(prompt) == content


def test_an_assistant_may_call_tools_instead_of_speaking(read: Read, batch_line: Any) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    (prompt,) = read(batch_line(messages=[{"role": "user", "content": "x"}, call]))
    assert prompt.request["messages"][1] == call

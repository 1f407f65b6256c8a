"""Counts without a network: the shipped table gives what tiktoken gives with its own."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema import tokens
from promptmill.schema.requests import Endpoint, native_request
from promptmill.schema.settings import ProviderKind
from promptmill.workers.tokens import estimate as estimate_of

TEXTS = [
    "",
    "The quick brown fox jumps over the lazy dog.",
    "def f(x):\n    return x ** 2  # squares\n" * 20,
    '{"id": 12345, "tags": ["a", "b"], "ok": true}' * 10,
    "Die Würde des Menschen ist unantastbar.",
    "Все люди рождаются свободными и равными.",  # noqa: RUF001
    "すべての人間は、生れながらにして自由であり",
    "人人生而自由,在尊严和权利上一律平等。",
    "😀🎉👩‍👩‍👧‍👦 mixed with <|endoftext|> text",
    "half a pair: \ud83d",
]
PROSE = [text * 8 for text in TEXTS[1:8]]


def body(*contents: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content} for content in contents], **more}


def test_the_table_counts_as_tiktoken_does(tmp_path: Path) -> None:
    # tiktoken looks into its cache before it downloads, and checks the file by its own hash.
    url = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
    table = Path(tokens.__file__).parent / "data" / "o200k_base.tiktoken.gz"
    name = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    (tmp_path / name).write_bytes(gzip.decompress(table.read_bytes()))
    code = (
        "import json, sys, tiktoken\n"
        "o200k = tiktoken.get_encoding('o200k_base')\n"
        "print([len(o200k.encode_ordinary(text)) for text in json.load(sys.stdin)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(TEXTS),
        env={**os.environ, "TIKTOKEN_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(done.stdout) == [tokens.count(text) for text in TEXTS]


def test_the_pattern_is_tiktokens() -> None:
    import tiktoken

    theirs = Path(tiktoken.__file__).parents[1] / "tiktoken_ext" / "openai_public.py"
    source = theirs.read_text(encoding="utf-8")
    for alternative in tokens.ALTERNATIVES:
        assert f'r"""{alternative}"""' in source


def test_an_estimate_counts_text_messages_and_what_comes_before_the_answer() -> None:
    estimate = estimate_of(ProviderKind.OPENAI, body("hello world", "again"))
    assert estimate.input_tokens == 2 + 1 + 2 * (3 + 1) + 3  # a role is a word, too
    assert estimate.max_output_tokens is None


@pytest.mark.parametrize(
    ("kind", "factor"),
    [(ProviderKind.OPENAI, 1.0), (ProviderKind.ANTHROPIC, 1.5), (ProviderKind.GEMINI, 1.1)],
)
def test_each_provider_starts_from_its_own_factor(kind: ProviderKind, factor: float) -> None:
    plain = estimate_of(ProviderKind.OPENAI, body("word " * 500)).input_tokens
    assert estimate_of(kind, body("word " * 500)).input_tokens == round(plain * factor)


def test_parts_and_tools_are_counted_and_images_by_a_guess() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
    parts = [{"type": "text", "text": "word " * 100}, image]
    with_parts = {"messages": [{"role": "user", "content": parts}]}
    counted = estimate_of(ProviderKind.OPENAI, with_parts).input_tokens
    assert 100 < counted - tokens.PER_MEDIA < 130
    tool = {"type": "function", "function": {"name": "f", "description": "word " * 50}}
    more = estimate_of(ProviderKind.OPENAI, with_parts | {"tools": [tool]}).input_tokens
    assert more > counted + 50


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_maximum_is_read_by_either_name(field: str) -> None:
    more: dict[str, Any] = {field: 77}
    assert estimate_of(ProviderKind.OPENAI, body("x", **more)).max_output_tokens == 77


def test_a_guess_is_near_the_count() -> None:
    guessed = sum(map(tokens.guess, PROSE))
    counted = sum(map(tokens.count, PROSE))
    assert 0.7 < guessed / counted < 1.3


def test_a_guess_of_something_is_never_nothing() -> None:
    assert tokens.guess("") == 0
    assert tokens.guess("   ") == 1
    assert tokens.guess("\ud83d") >= 1


def test_without_a_readable_table_tokens_are_guessed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for content in (None, b"no gzip", gzip.compress(b"aGk= 0\n")):
        table = tmp_path / "table.gz"
        table.unlink(missing_ok=True)
        if content is not None:
            table.write_bytes(content)
        monkeypatch.setattr(tokens, "_TABLE", table)
        tokens._encoding.cache_clear()
        assert tokens.count(TEXTS[1]) == tokens.guess(TEXTS[1])
    tokens._encoding.cache_clear()


def test_what_is_embedded_is_counted_as_text_or_by_its_tokens() -> None:
    def counted(**body: Any) -> int:
        return tokens.count_input(ProviderKind.OPENAI, native_request(body, Endpoint.EMBEDDINGS))

    assert counted(input="hello world", encoding_format="float") == 2
    assert counted(input=["hello world", "hello"]) == 3
    assert counted(input=[5, 6, 7]) == 3
    assert counted(input=[[5, 6, 7], [8]]) == 4
    assert tokens.most_output(native_request({"input": "x"}, Endpoint.EMBEDDINGS)) == 0


def test_the_base64_of_a_picture_is_not_counted_as_text() -> None:
    part = {"type": "input_image", "image_url": "data:image/png;base64," + "iVBORw0KGgo" * 1000}
    said = {"input": [{"role": "user", "content": [part]}], "max_output_tokens": 7}
    body = native_request(said, Endpoint.RESPONSES)
    assert tokens.count_input(ProviderKind.OPENAI, body) < 30
    assert tokens.most_output(body) == 7

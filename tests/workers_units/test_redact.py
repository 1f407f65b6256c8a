"""What may be kept of text that others wrote."""

import base64
import json
from urllib.parse import quote

import pytest

from promptmill.schema.texts import strings_in
from promptmill.workers.redact import redact, redact_bytes, safe_message

KEYS = [
    "sk-proj-abcdefghijklmnop1234",
    "sk-ant-api03-AAAAAAAAAAAA",
    "sk-abcd****************wxyz",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "gsk_abcdefghijklmnop",
    "xai-abcdefghijklmnop",
    "Bearer abc.def-ghi",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x-y_z",
    "api_key=hunter2hunter2",
    "password: hunter2",
]
PROMPT = "Dear Mrs Featherstonehaugh, your test for toxoplasmosis was positive."


@pytest.mark.parametrize("key", KEYS)
def test_what_looks_like_a_key_is_cut_out(key: str) -> None:
    text = redact(f"refused: {key}, try another")
    assert key not in text
    assert text.startswith("refused: ")
    assert text.endswith(", try another")


def test_a_known_secret_is_cut_out_whatever_it_looks_like() -> None:
    assert redact("the word is swordfish", secrets=["swordfish", ""]) == "the word is [redacted]"


def test_a_password_in_a_url_is_cut_out() -> None:
    assert redact("at https://me:hunter2@example.org/x") == "at https://[redacted]example.org/x"


def test_text_is_cut_at_500_characters() -> None:
    assert len(redact("x" * 10_000)) == 500


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000.",
        "This model's maximum context length is 128000 tokens.",
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens",
        "Unsupported parameter: 'max_tokens' is not supported with this model.",
    ],
)
def test_what_tells_nothing_of_the_prompt_is_kept(message: str) -> None:
    assert safe_message(message, secrets=(), prompt=[PROMPT]) == message


@pytest.mark.parametrize(
    "message",
    [
        f"Invalid prompt: {PROMPT}",
        "Invalid prompt: dear mrs FEATHERSTONEHAUGH, your test",
        "Blocked: ...test for\\ntoxoplasmosis was\\npositive",
        "Blocked: your-test-for-toxoplasmosis",
    ],
)
def test_a_message_that_quotes_the_prompt_is_dropped(message: str) -> None:
    assert safe_message(message, secrets=(), prompt=[PROMPT]) == ""


@pytest.mark.parametrize("quoted", ['"Featherstonehaugh"', "'toxoplasmosis'", "`positive`"])
def test_a_quoted_value_is_cut_out(quoted: str) -> None:
    assert safe_message(f"bad {quoted} here", secrets=(), prompt=[PROMPT]) == "bad [...] here"


def test_a_quoted_field_name_that_the_prompt_has_is_cut_out() -> None:
    message = safe_message("bad 'jane_doe' here", secrets=(), prompt=["I am jane_doe"])
    assert message == "bad [...] here"


def test_a_short_prompt_is_found_whole() -> None:
    assert safe_message("cannot answer hello", secrets=(), prompt=["Hello!"]) == ""


def test_strings_are_found_at_any_depth() -> None:
    body = {"a": "one", "b": [{"c": "two"}, ["three"]], "d": 4, "e": None}
    assert list(strings_in(body)) == ["one", "two", "three"]


KEY = "q9+/fjord%hunter2-"
COATS = {
    "plain": KEY,
    "in a URL": quote(KEY, safe=""),
    "in a URL, every letter": "".join(f"%{byte:02x}" for byte in KEY.encode()),
    "in JSON": json.dumps({"": KEY}).replace("/", "\\u002F"),
    **{
        f"in base64 behind {before}": base64.b64encode(b"a" * before + KEY.encode() + b"b").decode()
        for before in range(4)
    },
    "in base64 for a URL": base64.urlsafe_b64encode(b"ab" + KEY.encode()).decode(),
}


def halves(coat: str) -> set[str]:
    """Return the middle of a coat: what its first and last letters are may be another's."""
    return {coat[2:-4][at : at + 8] for at in range(len(coat[2:-4]) - 7)}


@pytest.mark.parametrize("coat", COATS.values(), ids=COATS)
def test_a_known_secret_is_cut_out_in_whatever_coat(coat: str) -> None:
    assert not halves(coat) & halves(f"  {redact(f'said: {coat}', secrets=[KEY])}    ")


@pytest.mark.parametrize("coat", COATS.values(), ids=COATS)
def test_bytes_keep_their_places_where_a_secret_is_struck_out(coat: str) -> None:
    raw = b"\xff\0<" + coat.encode() + b">\x80"
    clean = redact_bytes(raw, secrets=[KEY, ""])
    assert len(clean) == len(raw)
    assert (clean[:3], clean[-2:]) == (raw[:3], raw[-2:])
    assert not halves(coat) & halves(clean.decode("latin-1"))


def test_a_short_key_is_not_looked_for_in_base64() -> None:
    # "none" is `bm9u` and more in base64; of "x" all but nothing is left.
    assert redact_bytes(b"bm9uZQ== x", secrets=["none", "x"]) == b"bm9uZQ== *"

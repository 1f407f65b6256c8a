"""What must be equal of two requests, vectors of texts, and which is the nearest."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from promptmill.schema.errors import SettingsError
from promptmill.schema.moves.similar import Entry
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.provider_settings import ProviderSettings
from promptmill.schema.secret import Secret
from promptmill.workers.providers.http import open_http
from promptmill.workers.providers.registry import embedding_of
from promptmill.workers.served import Served, serve
from promptmill.workers.similar.embedder import LOCAL, Embedder
from promptmill.workers.similar.neighbours import Neighbours, decode, encode
from promptmill.workers.similar.split import Split, split

USER = {"role": "user", "content": "How do I get to Lisbon by train?"}
BODY: dict[str, Any] = {"messages": [{"role": "system", "content": "Be brief."}, USER]}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    settings = ProviderSettings(kind=ProviderKind.OPENAI, api_key=Secret("sk-test"))
    http = open_http(concurrency=1)
    yield serve("openai", settings, http)
    asyncio.run(http.aclose())


def parts(
    served: Served, body: dict[str, Any], *, model: str = "m", embedder: str = LOCAL
) -> Split:
    found = split(served, model, body, embedder=embedder)
    assert found is not None
    return found


def saying(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [BODY["messages"][0], {"role": "user", "content": text}], **more}


def test_texts_that_differ_are_of_one_scope(served: Served) -> None:
    other = parts(served, saying("By train to Lisbon: how?"))
    assert other.scope == parts(served, BODY).scope
    assert other.text == "By train to Lisbon: how?"
    assert "Lisbon" not in repr(other)


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "temperature": 0.5},
        {"messages": [{"role": "system", "content": "Be long."}, USER]},
        {"messages": [USER]},
        {"messages": [*BODY["messages"], {"role": "assistant", "content": "So."}, USER]},
        {**BODY, "tools": [{"type": "function", "function": {"name": "f"}}]},
        saying("How do I get to Lisbon by train in 2 days?"),
    ],
    ids=["parameter", "system", "no system", "turns before", "tools", "a number"],
)
def test_nothing_is_compared_across_what_must_be_equal(
    served: Served, body: dict[str, Any]
) -> None:
    assert parts(served, body).scope != parts(served, BODY).scope


def test_neither_across_models_nor_across_embedders(served: Served) -> None:
    scopes = {
        parts(served, BODY).scope,
        parts(served, BODY, model="n").scope,
        parts(served, BODY, embedder="my.own:embed").scope,
    }
    assert len(scopes) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"native": {"messages": [USER]}},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "and"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        saying("   "),
        saying("x" * 20_001),
    ],
    ids=["native", "no message", "no user", "parts", "blank", "long"],
)
def test_what_is_no_text_of_a_user_is_not_compared(served: Served, body: dict[str, Any]) -> None:
    assert split(served, "m", body, embedder=LOCAL) is None


def test_the_local_function_sees_spelling_and_order() -> None:
    texts = ["From Oslo to Bergen?", "from oslo to bergen", "From Bergen to Oslo?", "Bake a cake."]
    one, spelled, swapped, other = Embedder(LOCAL).vectors(texts)
    assert one @ spelled == pytest.approx(1)
    assert one @ swapped < 0.9
    assert one @ other < 0.3


def test_a_function_of_ones_own_makes_the_vectors() -> None:
    rows = Embedder(f"{__name__}:first_letters").vectors(["abc", "b"])
    assert rows.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def first_letters(texts: Sequence[str]) -> list[list[float]]:
    return [[2.0 * text.startswith("a"), 3.0 * text.startswith("b")] for text in texts]


def nonsense(texts: Sequence[str]) -> list[list[float]]:
    return [[float("nan")] for _ in texts]


def test_a_function_that_is_not_there_or_makes_no_vectors_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot be imported"):
        Embedder("no.such:thing")
    with pytest.raises(ValueError, match="no vector of numbers"):
        Embedder(f"{__name__}:nonsense").vectors(["a"])


def test_a_provider_that_makes_no_vectors_is_said() -> None:
    assert embedding_of("openai", ProviderKind.OPENAI).texts > 1
    assert embedding_of("gemini", ProviderKind.GEMINI).texts == 1
    with pytest.raises(SettingsError, match="makes no vectors"):
        embedding_of("anthropic", ProviderKind.ANTHROPIC)


def test_the_nearest_comes_first_and_each_job_once() -> None:
    known = Neighbours(most=100)
    for job, angle in enumerate((0.0, 0.1, 0.2, 1.5), 1):
        known.add("s", job, turned(angle))
    known.add("s", 1, turned(1.5))
    found = known.nearest("s", turned(0.12), most=2, least=0.95)
    assert [job for job, _ in found] == [2, 3]
    assert found[0][1] == pytest.approx(np.cos(0.02), abs=1e-6)
    assert known.nearest("another", turned(0.12), most=2, least=0.5) == []


def test_no_more_than_the_bound_is_held_and_the_longest_unused_goes() -> None:
    known = Neighbours(most=40)
    for job in range(30):
        known.add("old", job, turned(0.0))
    known.read("new", [Entry(n, 100 + n, encode(turned(0.0))) for n in range(1, 21)])
    assert known.last_id("new") == 20
    assert known.last_id("old") == 0
    assert known.nearest("old", turned(0.0), most=1, least=0.5) == []
    assert len(known.nearest("new", turned(0.0), most=50, least=0.5)) == 20


def test_a_vector_is_kept_as_text() -> None:
    vector = turned(0.3)
    assert np.allclose(decode(encode(vector)), vector, atol=1e-3)


def turned(angle: float) -> "np.ndarray[Any, np.dtype[np.float32]]":
    return np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)

"""The official SDKs read what the simulator answers beside chats, and what is stored of it."""

import json
from typing import Any

import pytest
from google.genai import types as genai_types
from openai.types import CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse
from openai.types.responses import Response

from promptmill.simulator import Simulator
from tests.simulator.clients import Sdks


def test_a_response_has_all_that_the_sdk_knows(simulator: Simulator, sdks: Sdks) -> None:
    response = sdks.openai(simulator).responses.create(model="gpt-5", input="x" * 40)
    assert response.output_text
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.input_tokens == 10
    assert response.usage.total_tokens == 10 + response.usage.output_tokens


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_are_of_length_one_and_the_same_in_both_encodings(
    simulator: Simulator, sdks: Sdks, encoding: Any
) -> None:
    embeddings = sdks.openai(simulator).embeddings.create(
        model="text-embedding-3-small",
        input=["the mill turns", "the mill turns slowly", "quokkas"],
        encoding_format=encoding,
    )
    mill, slowly, quokkas = (one.embedding for one in embeddings.data)
    if encoding == "base64":
        assert all(isinstance(one, str) for one in (mill, slowly, quokkas))
        return
    assert len(mill) == 1536
    assert sum(value * value for value in mill) == pytest.approx(1)
    near = sum(a * b for a, b in zip(mill, slowly, strict=True))
    far = sum(a * b for a, b in zip(mill, quokkas, strict=True))
    assert near > 0.7
    assert far < 0.3


def test_the_sdks_own_way_of_asking_for_embeddings_is_answered(
    simulator: Simulator, sdks: Sdks
) -> None:
    (embedding,) = sdks.openai(simulator).embeddings.create(model="any", input="x").data
    assert len(embedding.embedding) == 64


def test_an_image_is_drawn(simulator: Simulator, sdks: Sdks) -> None:
    images = sdks.openai(simulator).images.generate(model="gpt-image-1", prompt="A mill", n=2)
    assert images.data is not None
    assert len({image.b64_json for image in images.data}) == 2
    assert images.usage is not None
    assert images.usage.output_tokens == 544
    assert simulator.bill()[-1].output_tokens == 544


def test_a_moderation_flags_harm(simulator: Simulator, sdks: Sdks) -> None:
    moderation = sdks.openai(simulator).moderations.create(input=["fine", "harm"])
    assert [one.flagged for one in moderation.results] == [False, True]
    assert moderation.results[1].categories.violence


def test_gemini_embeds(simulator: Simulator, sdks: Sdks) -> None:
    embedded = sdks.gemini(simulator).models.embed_content(
        model="gemini-embedding-001",
        contents=["one", "two"],
        config=genai_types.EmbedContentConfig(output_dimensionality=8),
    )
    assert embedded.embeddings is not None
    assert [len(one.values or ()) for one in embedded.embeddings] == [8, 8]
    assert simulator.bill()[-1].output_tokens == 0


STORED = {
    "/v1/responses": (Response, {"model": "gpt-5-mini", "input": "One"}),
    "/v1/embeddings": (CreateEmbeddingResponse, {"model": "m", "input": "One"}),
    "/v1/images/generations": (ImagesResponse, {"model": "gpt-image-1", "prompt": "One"}),
    "/v1/moderations": (ModerationCreateResponse, {"input": "One"}),
}


@pytest.mark.parametrize("path", STORED)
def test_an_answer_goes_through_the_sdks_type_without_loss(
    simulator: Simulator, sdks: Sdks, path: str
) -> None:
    shape, body = STORED[path]
    raw = sdks.openai(simulator).post(path.removeprefix("/v1"), body=body, cast_to=object)
    read = shape.model_validate(raw, strict=False)  # type: ignore[attr-defined]
    again = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
    assert again == raw

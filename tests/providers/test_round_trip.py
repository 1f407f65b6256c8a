"""What the simulator sends, and we store, is what the official SDKs' own types say: all kinds."""

import json
from dataclasses import replace

import pytest
from anthropic.types import Message
from google.genai.types import ContentEmbedding, GenerateContentResponse
from openai.types import CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse
from openai.types.responses import Response
from pydantic import BaseModel

from promptmill.schema.requests import Endpoint
from promptmill.workers.attempted import result_of
from tests.providers.dialects import DIALECTS, Harness
from tests.providers.kinds import KINDS, Kind

TYPES: dict[tuple[str, Endpoint], type[BaseModel]] = {
    ("openai", Endpoint.RESPONSES): Response,
    ("openai", Endpoint.EMBEDDINGS): CreateEmbeddingResponse,
    ("openai", Endpoint.IMAGES): ImagesResponse,
    ("openai", Endpoint.MODERATIONS): ModerationCreateResponse,
    ("anthropic", Endpoint.CHAT): Message,
    ("gemini", Endpoint.CHAT): GenerateContentResponse,
    ("gemini", Endpoint.EMBEDDINGS): ContentEmbedding,
}
STREAMED = {Endpoint.CHAT, Endpoint.RESPONSES}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_stored_answer_is_read_by_the_sdks_type_and_written_the_same(
    harness: Harness, kind: Kind
) -> None:
    asked = DIALECTS[kind.adapter].kind.value, kind.endpoint
    for stream in {False, kind.endpoint in STREAMED}:
        call = replace(
            harness.call(model=kind.model),
            body=kind.body | ({"stream": True} if stream else {}),
            endpoint=kind.endpoint,
        )
        stored = result_of(harness.answer(kind.adapter, call)).body
        assert stored is not None
        body = json.loads(stored)
        if TYPES[asked] is ContentEmbedding:
            body = body["embedding"]
        read = TYPES[asked].model_validate(body)
        written = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert written == body, "nothing is lost, and nothing is new"


def test_every_kind_that_answers_has_a_type() -> None:
    assert {(DIALECTS[one.adapter].kind.value, one.endpoint) for one in KINDS} == set(TYPES)

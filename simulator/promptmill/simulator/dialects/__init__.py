"""The three wire formats, one module an endpoint, behind one protocol."""

from promptmill.simulator.dialects.anthropic import Anthropic
from promptmill.simulator.dialects.anthropic_vertex import AnthropicVertex
from promptmill.simulator.dialects.base import Dialect
from promptmill.simulator.dialects.gemini import Gemini
from promptmill.simulator.dialects.gemini_embed import GeminiEmbed
from promptmill.simulator.dialects.openai import OpenAI
from promptmill.simulator.dialects.openai_embeddings import OpenAIEmbeddings
from promptmill.simulator.dialects.openai_images import OpenAIImages
from promptmill.simulator.dialects.openai_moderations import OpenAIModerations
from promptmill.simulator.dialects.openai_responses import OpenAIResponses
from promptmill.simulator.provider import Provider

DIALECTS: dict[Provider, Dialect] = {
    Provider.OPENAI: OpenAI(),
    Provider.ANTHROPIC: Anthropic(),
    Provider.GEMINI: Gemini(),
}
"""Those of chats, and of lists of models."""
PATHS: dict[str, Dialect] = {
    "/v1/chat/completions": DIALECTS[Provider.OPENAI],
    "/v1/responses": OpenAIResponses(),
    "/v1/embeddings": OpenAIEmbeddings(),
    "/v1/images/generations": OpenAIImages(),
    "/v1/moderations": OpenAIModerations(),
    "/v1/messages": DIALECTS[Provider.ANTHROPIC],
}
_EMBED = GeminiEmbed()
METHODS: dict[str, Dialect] = {
    "generateContent": DIALECTS[Provider.GEMINI],
    "streamGenerateContent": DIALECTS[Provider.GEMINI],
    "embedContent": _EMBED,
    "batchEmbedContents": _EMBED,
    "rawPredict": AnthropicVertex(),
    "streamRawPredict": AnthropicVertex(),
}
"""What follows the model in a path of Gemini's, and of Vertex AI's."""

"""The three wire formats, one module each, behind one protocol."""

from promptmill.simulator.dialects.anthropic import Anthropic
from promptmill.simulator.dialects.base import Dialect
from promptmill.simulator.dialects.gemini import Gemini
from promptmill.simulator.dialects.openai import OpenAI
from promptmill.simulator.provider import Provider

DIALECTS: dict[Provider, Dialect] = {
    Provider.OPENAI: OpenAI(),
    Provider.ANTHROPIC: Anthropic(),
    Provider.GEMINI: Gemini(),
}

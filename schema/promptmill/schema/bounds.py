"""What a call can cost at most: what a budget reserves before it.

It must hold for every call, so nothing here is learned or likely. Input: no tokenizer makes more
tokens of a text than it has bytes, so the bytes of the request bound it. Output: what the request
allows, or else the longest answer that the model gives.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptmill.schema.prices import PriceList
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.requests import Endpoint, endpoint_of, native_of
from promptmill.schema.tokens import most_output

ANTHROPIC_MAX_TOKENS: Final = 4096
"""Sent where a request names no maximum: Anthropic wants one in every request."""
_LONGEST: Final = (
    # The providers' model pages. Some models of a family give less; none gives more.
    (re.compile(r"gpt-3\.5|gpt-4-turbo"), 4096),
    (re.compile(r"gpt-4o"), 16_384),
    (re.compile(r"gpt-4\.1"), 32_768),
    (re.compile(r"gpt-4(-\d|$)"), 8192),
    (re.compile(r"o1-mini"), 65_536),
    (re.compile(r"o[134](-|$)"), 100_000),
    (re.compile(r"gpt-5(?!.*-pro)"), 128_000),
    (re.compile(r"gemini-(1\.5|2\.0)"), 8192),
    (re.compile(r"gemini-(2\.5|3)"), 65_536),
)
_LONGEST_IMAGE: Final = 6240
"""Tokens of the dearest image of gpt-image-1 and gpt-image-1-mini: OpenAI's guide "Image
generation". Nobody tells a most for their successors, which draw in any size."""
_COUNTED_IMAGES: Final = re.compile(r"gpt-image-1(-mini)?(-\d{4}|$)")
_ELSEWHERE: Final = ("previous_response_id", "conversation", "prompt")
"""Fields of OpenAI's responses that name input which is not in the request."""
_PRICED_APART: Final = frozenset(
    {"web_search_options", "modalities", "audio", "cachedContent", "cached_content"}
    | {"mcp_servers", "container", "speed", "inference_geo"}
)
"""Fields that cost more than tokens of text do."""
_USUAL_TIERS: Final = (None, "auto", "default", "flex", "standard_only")
_FUNCTIONS: Final = frozenset({"functionDeclarations", "function_declarations"})
_MEDIA: Final = frozenset(
    {"image_url", "input_audio", "file", "source"}
    | {"inlineData", "inline_data", "fileData", "file_data", "file_id", "file_url"}
)
"""Fields of a part that is no text."""
_INSTRUCTED: Final = ("tools", "response_format", "output_config", "output_format")
_INSTRUCTIONS: Final = 1000
"""Tokens that providers add unseen to requests with tools or a schema (Anthropic: up to 700)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """By what a call of one model is bounded."""

    prices: PriceList
    kind: ProviderKind
    model: str
    service_tier: str = ""


@dataclass(frozen=True, slots=True)
class Unbounded:
    """Nobody can say what such a call costs at most."""

    problem: str
    """what is not known, and what to do"""


def most_micros(terms: Terms, body: Mapping[str, Any], encoded: str | bytes) -> int | Unbounded:
    """Bound the cost of one call by *body*, in micro-dollars; *encoded* is the same as JSON."""
    tariff = terms.prices.tariff_now(terms.model, terms.service_tier)
    if tariff is None:
        return Unbounded(unpriced(terms))
    if tariff.is_free:
        return 0
    apart = _priced_apart(native_of(body) or body)
    if apart is not None:
        return Unbounded(f"nobody knows what a request with {apart} costs at most: leave it out")
    given, answered = _most_input(terms, body, encoded), longest_answer(terms, body)
    if given is None or answered is None:
        what = "input beside text" if given is None else "an answer"
        is_image = endpoint_of(body) is Endpoint.IMAGES
        told = "" if is_image else "say -o max_tokens N, or "
        return Unbounded(
            f"nobody knows how long {what} of {terms.model} can be:"
            f" {told}set prices.<model>.max_output_tokens{' (of one image)' if is_image else ''}"
        )
    return tariff.most_micros(given, answered)


def unpriced(terms: Terms) -> str:
    """Say that a price is unknown, and what to do."""
    near = terms.prices.near(terms.model)
    return (
        f"the price of {terms.model} at {terms.prices.source} is unknown"
        f"{f' (is it {near}?)' if near else ''}: set it in"
        f' promptmill.toml, [providers.{terms.prices.source}.prices."{terms.model}"] with input'
        " and output (US dollars a million tokens)"
    )


def longest_answer(terms: Terms, body: Mapping[str, Any]) -> int | None:
    """Tell how many tokens an answer can have, reasoning with it; None: nobody knows."""
    asked = most_output(body)
    if asked is not None:
        return asked
    if terms.kind is ProviderKind.ANTHROPIC:
        return ANTHROPIC_MAX_TOKENS
    own = terms.prices.own_price(terms.model)
    longest_of_one = None if own is None else own.max_output_tokens
    if endpoint_of(body) is Endpoint.IMAGES:
        if longest_of_one is None and _COUNTED_IMAGES.match(terms.model):
            longest_of_one = _LONGEST_IMAGE
        images = (native_of(body) or {}).get("n") or 1
        return None if longest_of_one is None else longest_of_one * images
    if longest_of_one is not None:
        return longest_of_one
    for family, longest in _LONGEST:
        if family.match(terms.model):
            return longest
    return terms.prices.window(terms.model)


def _priced_apart(request: Mapping[str, Any]) -> str | None:
    """Name what would cost more than the tokens of the request and its answer."""
    found = sorted(name for name in _PRICED_APART if request.get(name))
    if request.get("service_tier") not in _USUAL_TIERS:
        found.append("service_tier")
    for tool in request.get("tools") or ():
        kind = tool.get("type")
        if kind not in (None, "function", "custom"):
            found.append(f"the tool {kind}")
        elif kind is None and "name" not in tool:  # Gemini's
            found += sorted(tool.keys() - _FUNCTIONS)
    config = request.get("generationConfig") or request.get("generation_config") or {}
    if (config.get("candidateCount") or config.get("candidate_count") or 1) != 1:
        found.append("candidateCount")
    return found[0] if found else None


def _most_input(terms: Terms, body: Mapping[str, Any], encoded: str | bytes) -> int | None:
    request = native_of(body) or body
    size = len(encoded if isinstance(encoded, bytes) else encoded.encode("utf-8", "surrogatepass"))
    if any(request.get(name) for name in _INSTRUCTED):
        size += _INSTRUCTIONS
    is_response = endpoint_of(body) is Endpoint.RESPONSES
    refers = is_response and any(request.get(name) for name in _ELSEWHERE)
    said = request.get("messages") or request.get("contents") or request.get("input") or ()
    if not refers and not _has_media(said):
        return size
    # What a picture weighs is not in the request (its bytes are no measure), so it may fill the
    # whole window; more than that no model takes.
    return terms.prices.window(terms.model)


def _has_media(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not _MEDIA.isdisjoint(value) or any(map(_has_media, value.values()))
    return isinstance(value, list) and any(map(_has_media, value))

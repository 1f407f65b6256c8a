"""Images, sounds, documents and films: as bytes, by their address, or by the provider's own name.

What of them may be cached is marked beside them.
"""

from typing import Any, Final

from tests.providers.unified.kind import Kind, Refused
from tests.providers.unified.talks import WAIT

PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
PDF: Final = "JVBERi0xLjQKJSVFT0YK"
WAV: Final = "UklGRiQAAABXQVZFZm10IA=="
FILM: Final = "AAAAGGZ0eXBtcDQyAAAAAA=="
MARK: Final = {"type": "ephemeral", "ttl": "1h"}
ASK: Final = {"type": "text", "text": "What is it?"}


def _user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def _said(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def _parts(*parts: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": list(parts)}]}


def _image(url: str, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, **more}


FILES: Final = (
    Kind(
        "an image, as bytes",
        {"messages": _user(ASK, _image(f"data:image/png;base64,{PNG}"))},
        _said(
            ASK,
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            },
        ),
        _parts({"text": ASK["text"]}, {"inlineData": {"mimeType": "image/png", "data": PNG}}),
    ),
    Kind(
        "an image of a kind that is rare",
        {"messages": _user(_image(f"data:image/heic;base64,{PNG}"))},
        Refused("messages[0].content[0].image_url"),
        _parts({"inlineData": {"mimeType": "image/heic", "data": PNG}}),
    ),
    Kind(
        "an image, by its address",
        {"messages": _user(_image("https://example.org/a/b.jpg?x=1"))},
        _said(
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a/b.jpg?x=1"}}
        ),
        _parts(
            {"fileData": {"fileUri": "https://example.org/a/b.jpg?x=1", "mimeType": "image/jpeg"}}
        ),
    ),
    Kind(
        "a sound",
        {"messages": _user({"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}})},
        Refused("messages[0].content[0].input_audio"),
        _parts({"inlineData": {"mimeType": "audio/wav", "data": WAV}}),
    ),
    Kind(
        "a document, as bytes",
        {
            "messages": _user(
                {
                    "type": "file",
                    "file": {
                        "filename": "a.pdf",
                        "file_data": f"data:application/pdf;base64,{PDF}",
                    },
                }
            )
        },
        _said(
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            }
        ),
        _parts({"inlineData": {"mimeType": "application/pdf", "data": PDF}}),
    ),
    Kind(
        "a document, by its address",
        {"messages": _user({"type": "file", "file": {"file_url": "https://example.org/a.pdf"}})},
        _said({"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}}),
        _parts(
            {"fileData": {"fileUri": "https://example.org/a.pdf", "mimeType": "application/pdf"}}
        ),
        is_openais=False,
    ),
    Kind(
        "a document that the provider has",
        {"messages": _user({"type": "file", "file": {"file_id": "file-1"}})},
        _said({"type": "document", "source": {"type": "file", "file_id": "file-1"}}),
        Refused("messages[0].content[0].file"),
    ),
    Kind(
        "a film, as bytes",
        {
            "messages": _user(
                {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{FILM}"}}
            )
        },
        Refused("messages[0].content[0].video_url"),
        _parts({"inlineData": {"mimeType": "video/mp4", "data": FILM}}),
        is_openais=False,
    ),
    Kind(
        "a film, by its address",
        {
            "messages": _user(
                {"type": "video_url", "video_url": {"url": "https://www.youtube.com/watch?v=x"}}
            )
        },
        Refused("messages[0].content[0].video_url"),
        _parts({"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}}),
        is_openais=False,
    ),
    Kind(
        "marks of what may be cached",
        {
            "messages": [
                {
                    "role": "system",
                    "content": [{"type": "text", "text": "Long.", "cache_control": MARK}],
                },
                *_user(_image(f"data:image/png;base64,{PNG}", cache_control=MARK), ASK),
            ],
            "tools": [WAIT | {"cache_control": MARK}],
            "cache_control": {"type": "ephemeral"},
        },
        {
            "cache_control": {"type": "ephemeral"},
            "system": [{"type": "text", "text": "Long.", "cache_control": MARK}],
            "tools": [
                {
                    "name": "wait",
                    "input_schema": {"type": "object", "properties": {}},
                    "cache_control": MARK,
                }
            ],
        }
        | _said(
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                "cache_control": MARK,
            },
            ASK,
        ),
        {"systemInstruction": {"parts": [{"text": "Long."}]}}
        | _parts({"inlineData": {"mimeType": "image/png", "data": PNG}}, {"text": ASK["text"]}),
        is_openais=False,
    ),
)

"""What kind of image, sound, film or document a file is: told by its first bytes, not its name."""

from typing import Final

HEAD_BYTES: Final = 16
_BY_START: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mp3"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_BY_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/avi"}
_BY_BRAND: Final = {
    b"heic": "image/heic",
    b"mif1": "image/heif",
    b"avif": "image/avif",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
}


def media_type_of(head: bytes) -> str | None:
    """Name the media type of a file that begins with *head*; None for what no provider takes."""
    for start, media_type in _BY_START:
        if head.startswith(start):
            return media_type
    if head.startswith(b"RIFF"):
        return _BY_RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BY_BRAND.get(head[8:12], "video/mp4")
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:  # a frame of layer III
        return "audio/mp3"
    return None

"""The parts of a message's content, read: text, images, sounds, films, documents."""

import mimetypes
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from promptmill.workers.providers.chat import (
    Address,
    Inline,
    Mark,
    Media,
    MediaKind,
    Text,
    UnsendableError,
    Uploaded,
)

_SCHEMES: Final = frozenset({"http", "https", "gs"})

T = TypeVar("T")


class _Part(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    type: str
    cache_control: dict[str, Any] | None = None


class _Text(_Part):
    text: str


class _Refusal(_Part):
    refusal: str


class _URL(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    detail: str | None = None


class _Image(_Part):
    image_url: _URL


class _Video(_Part):
    video_url: _URL


class _Sound(msgspec.Struct, forbid_unknown_fields=True):
    data: str
    format: str


class _Audio(_Part):
    input_audio: _Sound


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _File(_Part):
    file: _Document


def read_parts(content: str | list[dict[str, Any]], where: str) -> tuple[Text | Media, ...]:
    """Read a message's content; *where* is its place in the body. Raises UnsendableError."""
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_part(part, f"{where}[{number}]") for number, part in enumerate(content))


def converted(value: Any, shape: type[T], where: str) -> T:
    """Read *value* as *shape*. Raises UnsendableError that names the place below *where*."""
    try:
        return msgspec.convert(value, type=shape)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        raise UnsendableError(field=f"{where}{path.rstrip('`')}", problem=problem) from None


def _part(part: Mapping[str, Any], where: str) -> Text | Media:
    read = _READ.get(part.get("type", ""))
    if read is None:
        known = ", ".join(sorted(_READ))
        raise UnsendableError(field=f"{where}.type", problem=f"is none of {known}")
    return read(part, where)


def _text(part: Mapping[str, Any], where: str) -> Text:
    found = converted(part, _Text, where)
    return Text(found.text, found.cache_control)


def _refusal(part: Mapping[str, Any], where: str) -> Text:
    return Text(converted(part, _Refusal, where).refusal)


def _image(part: Mapping[str, Any], where: str) -> Media:
    found = converted(part, _Image, where)
    place = f"{where}.image_url"
    return _at(found.image_url, MediaKind.IMAGE, place, found.cache_control)


def _video(part: Mapping[str, Any], where: str) -> Media:
    found = converted(part, _Video, where)
    place = f"{where}.video_url"
    return _at(found.video_url, MediaKind.VIDEO, place, found.cache_control)


def _audio(part: Mapping[str, Any], where: str) -> Media:
    found = converted(part, _Audio, where)
    sound = found.input_audio
    source = Inline(f"audio/{sound.format}", sound.data)
    return Media(MediaKind.AUDIO, source, f"{where}.input_audio", found.cache_control)


def _file(part: Mapping[str, Any], where: str) -> Media:
    found = converted(part, _File, where)
    given, place = found.file, f"{where}.file"
    named = {given.file_data, given.file_url, given.file_id} - {None}
    source: Inline | Address | Uploaded
    if len(named) != 1:
        problem = "has to have one of file_data, file_url and file_id"
        raise UnsendableError(field=place, problem=problem)
    if given.file_id is not None:
        source = Uploaded(given.file_id)
    elif given.file_url is not None:
        source = _address(given.file_url, f"{place}.file_url")
    else:
        source = _inline(given.file_data or "", f"{place}.file_data")
    return Media(MediaKind.DOCUMENT, source, place, found.cache_control)


def _at(given: _URL, kind: MediaKind, where: str, mark: Mark) -> Media:
    if given.detail not in (None, "auto"):
        raise UnsendableError(field=f"{where}.detail", problem="this provider has no such choice")
    place = f"{where}.url"
    is_data = given.url.startswith("data:")
    source = _inline(given.url, place) if is_data else _address(given.url, place)
    return Media(kind, source, where, mark)


def _inline(url: str, where: str) -> Inline:
    head, comma, data = url.partition(",")
    media_type, *rest = head.removeprefix("data:").split(";")
    if not comma or not head.startswith("data:") or "base64" not in rest or "/" not in media_type:
        problem = "is no data: URL with a media type and base64, such as data:image/png;base64,..."
        raise UnsendableError(field=where, problem=problem)
    return Inline(media_type, data)


def _address(url: str, where: str) -> Address:
    try:
        split = urlsplit(url)
    except ValueError:
        split = urlsplit("")
    if split.scheme not in _SCHEMES or not split.netloc:
        problem = "is neither an address (https://...) nor a data: URL"
        raise UnsendableError(field=where, problem=problem)
    return Address(url, mimetypes.guess_type(split.path)[0])


_READ: Final[dict[str, Callable[[Mapping[str, Any], str], Text | Media]]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "video_url": _video,
    "input_audio": _audio,
    "file": _file,
}

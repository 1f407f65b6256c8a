"""Local files that prompts name, put into them: any machine's worker can send such a prompt.

`file:photos/1.jpg`, in the place of an address or of bytes, is a path below the input's folder.
Nothing outside it is opened: no absolute path, no way up, no link that leads out, no device.
"""

import os
import stat
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.media_types import HEAD_BYTES, media_type_of
from promptmill.schema.errors import InputError

PREFIX: Final = "file:"
_PLACES: Final = {
    "image_url": ("url", "image/"),
    "video_url": ("url", "video/"),
    "input_audio": ("data", "audio/"),
    "file": ("file_data", "application/pdf"),
}
"""Of each kind of part: where its bytes are, and of which media types they may be."""
_FIX: Final = "name a file below the folder of the input, by its path from there"
_TAKEN: Final = "images, sounds, films and PDF documents are taken"


@dataclass(slots=True)
class Attachments:
    """The files of one prompt."""

    line: Line
    folder: Path
    most_bytes: int
    """of all of them together"""
    taken_bytes: int = 0

    def put_into(self, messages: list[dict[str, Any]]) -> bool:
        """Put the files that parts of *messages* name in their places. Tells whether there were.

        Raises InputError.
        """
        for message in messages:
            content = message.get("content")
            if isinstance(content, list):
                message["content"] = [self._part(part) for part in content]
        return self.taken_bytes > 0

    def part_of(self, name: str) -> dict[str, Any]:
        """Make the part for the file *name*, of whatever kind it is. Raises InputError."""
        media_type, data = self._read(name)
        for kind, (place, types) in _PLACES.items():
            if media_type.startswith(types):
                return {"type": kind, kind: _filled({}, place, name, media_type, data)}
        raise self._refused(name, f"is {media_type}, for which there is no part", _TAKEN)

    def _part(self, part: dict[str, Any]) -> dict[str, Any]:
        kind = part["type"]
        place, types = _PLACES.get(kind, ("", ""))
        given = part.get(kind) if place else None
        named = given.get(place) if isinstance(given, Mapping) else None
        if not isinstance(named, str) or not named.startswith(PREFIX):
            return part
        name = named.removeprefix(PREFIX).removeprefix("//")
        media_type, data = self._read(name)
        if not media_type.startswith(types):
            fix = "write it as the part of its kind: " + ", ".join(sorted(_PLACES))
            raise self._refused(name, f"is {media_type}, which is no {kind}", fix)
        return {**part, kind: _filled(dict(given or {}), place, name, media_type, data)}

    def _read(self, name: str) -> tuple[str, str]:
        """Read a file: its media type, and its bytes in base64. Raises InputError."""
        path = self._found(name)
        try:
            # Not to wait for a pipe, and not through a link that is put there meanwhile.
            opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                data = self._read_opened(opened, name)
            finally:
                os.close(opened)
        except OSError as error:
            raise self._refused(name, f"cannot be read: {error.strerror}", _FIX) from None
        media_type = media_type_of(data[:HEAD_BYTES])
        if media_type is None:
            raise self._refused(name, "is of no kind that a provider takes", _TAKEN)
        return media_type, b64encode(data).decode()

    def _read_opened(self, opened: int, name: str) -> bytes:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise self._refused(name, "is no file", _FIX)
        self._count(name, found.st_size)
        with open(opened, "rb", closefd=False) as file:
            return file.read(found.st_size)

    def _found(self, name: str) -> Path:
        try:
            folder = self.folder.resolve()
            path = (folder / name).resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:
            why = getattr(error, "strerror", None) or "no such path"
            raise self._refused(name, f"cannot be found: {why}", _FIX) from None
        if Path(name).is_absolute() or not path.is_relative_to(folder):
            raise self._refused(name, "is outside of the folder of the input", _FIX)
        return path

    def _count(self, name: str, size: int) -> None:
        self.taken_bytes += size
        if self.taken_bytes > self.most_bytes:
            problem = f"makes more than {self.most_bytes:,} bytes of files in one prompt"
            fix = "make it smaller, give its address, or set file_bytes (PROMPTMILL_FILE_BYTES)"
            raise self._refused(name, problem, fix)
        if size == 0:
            raise self._refused(name, "is empty", "fill it, or take it out")

    def _refused(self, name: str, problem: str, fix: str) -> InputError:
        return self.line.refused(problem=f"the file {problem}", fix=fix, value=name)


def _filled(
    given: dict[str, Any], place: str, name: str, media_type: str, data: str
) -> dict[str, Any]:
    if place == "data":
        return given | {"data": data, "format": media_type.removeprefix("audio/")}
    named = {"filename": Path(name).name} if place == "file_data" else {}
    return named | given | {place: f"data:{media_type};base64,{data}"}

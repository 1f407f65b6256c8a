"""Images and the like that came with an answer: files on disk before the answer is in SQL.

A file that is written for an answer which another run has given meanwhile harms nobody: it goes
with the folder of its batch, when that is pruned.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from promptmill.schema.moves.endings import StoredFile, StoredResult
from promptmill.schema.private import private_folder
from promptmill.workers.providers.base import Media

_SUFFIXES: Final = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
    "audio/wav": ".wav",
    "audio/mpeg": ".mp3",
    "video/mp4": ".mp4",
}
_log = structlog.get_logger(__name__)


class AnswerFiles:
    """The folder that has a folder for each batch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(
        self, result: StoredResult, media: Sequence[Media], *, batch_id: int, name: str
    ) -> StoredResult:
        """Write and sync *media*, and let the body name the files in place of their bytes.

        What cannot be written stays in the body: it is paid for.
        """
        folder = self._folder / str(batch_id)
        body, files = result.body or "", []
        for position, each in enumerate(media):
            try:
                file = _write(private_folder(folder), f"{name}-{position}", position, each)
            except OSError as error:
                _log.error("file_not_written", folder=str(folder), why=error.strerror)
                break
            if file is not None:
                body = body.replace(each.base64, f"file:{file.path}")
                files.append(file)
        if files:
            _sync(folder)
        return replace(result, body=body, files=tuple(files))


def _write(folder: Path, name: str, position: int, media: Media) -> StoredFile | None:
    """Write one file; None for what is no base64."""
    try:
        data = base64.b64decode(media.base64, validate=True)
    except binascii.Error:
        return None
    path = folder / f"{name}{_SUFFIXES.get(media.media_type, '.bin')}"
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    digest = hashlib.sha256(data).hexdigest()
    return StoredFile(position, media.media_type, len(data), digest, str(path))


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

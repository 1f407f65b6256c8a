"""What makes a batch the same one: all that decides which requests there are, and nothing else."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from promptmill.producer.estimate.budgets import Routes
from promptmill.producer.reading import ReadOptions
from promptmill.schema.settings import PiiSettings


def options_of(
    options: ReadOptions,
    routes: Routes,
    *,
    dedupe: bool,
    order: str | None = None,
    mask_pii: str | None = None,
    pii: PiiSettings,
) -> dict[str, Any]:
    """List what was asked for, besides the input."""
    asked: dict[str, Any] = {
        "prompt": options.template,
        "system": options.system,
        "models": [found.full for found in routes.get(options.model, ())] if options.model else [],
        "parameters": options.parameters,
        "schema": options.schema,
        "format": options.format,
        "dedupe": dedupe,
        "id_column": options.id_column,
        "limit": options.limit,
    }
    if mask_pii is not None:
        asked["mask_pii"] = mask_pii
        if pii.masker != "own":
            asked["pii"] = pii.model_dump()
    if options.file_columns:
        asked["file_columns"] = options.file_columns
    if order is not None:
        asked |= {"order": order, "url": options.url}
    return asked


def identity_of(
    sha256: bytes, asked: Mapping[str, Any], routes: Routes, *, files_sha256: bytes = b""
) -> str:
    """Hash the input and the files that it names, what was asked for, and who is asked."""
    if files_sha256:
        asked = {**asked, "files": files_sha256.hex()}
    asked_whom = sorted(
        (model or "", one.provider, one.model) for model, found in routes.items() for one in found
    )
    return hashlib.sha256(written([1, sha256.hex(), asked, asked_whom])).hexdigest()


def written(value: Any) -> bytes:
    """Write JSON that is the same for equal values."""
    return msgspec.json.encode(value, order="sorted")


def storable(name: str) -> str:
    """Make a file's name, which may be any bytes, into text that every database takes."""
    text = name.encode(errors="replace").decode()
    return "".join(char if char.isprintable() else "?" for char in text)

"""`promptmill report`: a batch as one HTML page."""

import os
import sys
from pathlib import Path

from promptmill.producer.cli.output import note
from promptmill.producer.opening import batch_or_latest, opened
from promptmill.producer.report import GENERATOR, make_report
from promptmill.schema.errors import UsageError
from promptmill.schema.settings import load_settings

_HEAD = 2000
"""bytes of a report within which its maker is named"""


def write_report(batch: int | None, output: str | None, *, with_prompts: bool) -> None:
    """Write the page to *output*, else to `report-BATCH.html`; `-` is standard output."""
    settings = load_settings()
    with opened(settings) as database:
        batch_id = batch_or_latest(database, batch)
        path = Path(output or f"report-{batch_id}.html")
        if output != "-":
            _admit(path)
        page = make_report(database, settings, batch_id, with_prompts=with_prompts)
    if output == "-":
        sys.stdout.write(page)
        return
    _write(path, page)
    print(path)
    note(f"{len(page.encode()) / 1000:,.0f} kB, for any browser")


def _admit(path: Path) -> None:
    """Raise UsageError where a file would be written over that is no report."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        msg = f"-o {path}: name a file in a folder that is there"
        raise UsageError(msg)
    if path.exists() and not _is_report(path):
        msg = f"{path} is there and is no report, so it is not written over: name another with -o"
        raise UsageError(msg)


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return f'name="generator" content="{GENERATOR}'.encode() in file.read(_HEAD)


def _write(path: Path, page: str) -> None:
    """Write all of it or nothing: a browser may have the report before open."""
    made = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        made.write_text(page, encoding="utf-8")
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)

"""What an export is asked for, what it came to, and how it is done."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Self, assert_never

from promptmill.producer.export.csv_cells import CsvSheet
from promptmill.producer.export.json_lines import JsonLines
from promptmill.producer.export.openai_batch import BATCH_COLUMNS, OpenAIBatch, error_file
from promptmill.producer.export.parquet import ParquetTable
from promptmill.producer.export.places import placed
from promptmill.producer.export.sheet import Sheet
from promptmill.producer.unmasking import rows_put_back
from promptmill.producer.watching.progress import read_progress
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.exporting import (
    COLUMNS,
    Selection,
    export_rows,
    keeps_bodies,
    one_moment,
)
from promptmill.schema.reading import batch_counts
from promptmill.schema.states import JobState

_CHOSEN_ONLY = frozenset({"request", "request_id", "response_id", "endpoint", "body"})
USUAL_COLUMNS = tuple(name for name in COLUMNS if name not in _CHOSEN_ONLY)
"""of a file where nothing is chosen; JSONL has `body` too, of a batch that keeps any"""


class _Word(StrEnum):
    """A word that people choose."""

    @classmethod
    def of(cls, word: str) -> Self:
        """Find it. Raises UsageError for one that there is not, and names those that there are."""
        try:
            return cls(word)
        except ValueError:
            words = ", ".join(repr(str(one)) for one in cls)
            msg = f"{cls.__name__.lower()}={word!r}: write one of {words}"
            raise UsageError(msg) from None


class Format(_Word):
    """How a file is written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    OPENAI_BATCH = "openai-batch"


class What(_Word):
    """Which prompts of a batch."""

    ANSWERED = "answered"
    FAILED = "failed"
    """failed, or held for a person"""
    ALL = "all"
    """every prompt, with the state it is in"""


STATES = {
    What.ANSWERED: frozenset({JobState.SUCCEEDED}),
    What.FAILED: frozenset({JobState.FAILED, JobState.QUARANTINED}),
    What.ALL: frozenset(JobState),
}
_SUFFIXES = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".csv": Format.CSV,
    ".parquet": Format.PARQUET,
}


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to write, and where. Raises UsageError for what does not go together."""

    batch_id: int
    target: Path | IO[bytes]
    """a file that is made or replaced at the end, or one that is open"""
    format: Format
    what: What = What.ANSWERED
    """of openai-batch always all"""
    columns: tuple[str, ...] = USUAL_COLUMNS
    formulas: bool = False
    """whether CSV cells may begin as formulas do"""
    unmask: bool = False
    """whether personal data is put back that was masked"""

    def __post_init__(self) -> None:
        check_columns(self.columns)
        if self.format is Format.OPENAI_BATCH and not isinstance(self.target, Path):
            msg = "openai-batch is two files, answers and errors: name one with -o FILE"
            raise UsageError(msg)

    @property
    def targets(self) -> tuple[Path | IO[bytes], ...]:
        """All that is written."""
        if self.format is Format.OPENAI_BATCH and isinstance(self.target, Path):
            return self.target, error_file(self.target)
        return (self.target,)


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of an export."""

    rows: int
    errors: int
    """of `rows`, those in the error file; 0 for the formats that have none"""
    left_out: int
    """prompts of the batch that are not in it: not asked for, or without an end yet"""


def export(
    database: Database,
    request: ExportRequest,
    *,
    tell: Callable[[int, int], object] = lambda *_: None,
) -> Exported:
    """Write what *request* says; *tell* hears how many rows of how many are written.

    Raises UsageError for a batch that is not there, and for a place that cannot be written.
    """
    batch = read_progress(database, request.batch_id).batch
    _spare_the_input(request, batch.input_name)
    states, columns = STATES[request.what], request.columns
    if request.format is Format.OPENAI_BATCH:
        states, columns = STATES[What.ALL], BATCH_COLUMNS
    done = 0
    with placed(request.targets) as files, one_moment(database) as connection:
        counts = batch_counts(connection, request.batch_id)
        wanted = sum(count.jobs for count in counts if count.state in states)
        if request.format is Format.JSONL and columns == USUAL_COLUMNS:
            columns += ("body",) if keeps_bodies(connection, request.batch_id) else ()
        sheet = _sheet(request, files, columns)
        read = (*columns, "job_id") if request.unmask else columns
        for rows in export_rows(connection, Selection(request.batch_id, states, read)):
            sheet.write(rows_put_back(database, rows) if request.unmask else rows)
            done += len(rows)
            tell(done, wanted)
        sheet.close()
    errors = sheet.errors if isinstance(sheet, OpenAIBatch) else 0
    return Exported(rows=done, errors=errors, left_out=batch.total - done)


def _spare_the_input(request: ExportRequest, input_name: str) -> None:
    for target in request.targets:
        if isinstance(target, Path) and target.resolve() == Path(input_name).resolve():
            msg = f"{target} is what batch {request.batch_id} was read from: name another file"
            raise UsageError(msg)


def check_columns(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return *columns*. Raises UsageError where one is not there, or none is chosen."""
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or not columns:
        problem = f"there is no column {unknown[0]!r}" if unknown else "no column is chosen"
        msg = f"{problem}: there are {', '.join(COLUMNS)}"
        raise UsageError(msg)
    return columns


def format_of(name: str) -> Format:
    """Tell the format by the name of a file. Raises UsageError where it says nothing."""
    suffix = Path(name.removesuffix(".gz")).suffix.lower()
    if suffix not in _SUFFIXES:
        msg = (
            f"{name} does not tell its format: end it with one of {', '.join(_SUFFIXES)} (and .gz"
            f" to compress it), or say --format: {', '.join(Format)}"
        )
        raise UsageError(msg)
    return _SUFFIXES[suffix]


def _sheet(request: ExportRequest, files: list[IO[bytes]], columns: tuple[str, ...]) -> Sheet:
    match request.format:
        case Format.JSONL:
            return JsonLines(files[0], columns)
        case Format.CSV:
            return CsvSheet(files[0], columns, formulas=request.formulas)
        case Format.PARQUET:
            return ParquetTable(files[0], columns)
        case Format.OPENAI_BATCH:
            return OpenAIBatch(*files)
        case _:
            assert_never(request.format)

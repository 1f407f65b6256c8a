"""CSV and TSV: a header, then a row of as many cells; a quoted cell may go over several lines."""

import csv
from collections.abc import Iterable, Iterator
from typing import Final

from promptmill.producer.reading.columns import listed
from promptmill.producer.reading.dialect import NAMES, Dialect
from promptmill.producer.reading.lines import Line
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt
from promptmill.producer.reading.rows import Rows
from promptmill.producer.reading.source import Input
from promptmill.schema.errors import InputError

_BARE_RETURN: Final = "new-line character seen"
_TOO_LARGE: Final = "field larger than field limit"
_UNCLOSED: Final = "unexpected end of data"


class CSVRows:
    """Rows of text cells, named by the first row."""

    only_for = None

    def __init__(self, options: ReadOptions, dialect: Dialect | None) -> None:
        self._options = options
        self._rows = Rows(options, otherwise="; if each line is a prompt: --format text")
        self._dialect = dialect or Dialect()

    @property
    def described(self) -> str:
        by = self._dialect.delimiter
        return "CSV" if by == "," else f"CSV divided by {NAMES.get(by, repr(by))}"

    def prompts(self, source: Input) -> Iterator[Prompt | InputError]:
        most = self._options.max_line_bytes
        lines = source.lines(most, blank=True)
        if self._dialect.has_sep_line:
            next(lines)
        records = _records(lines, self._dialect, most_characters=most)
        start, names = next(records)
        if isinstance(names, InputError):
            raise names
        names = _checked_header(start, names)
        has_rows = False
        for line, cells in records:
            has_rows = True
            if isinstance(cells, InputError):
                yield cells
                continue
            try:
                if len(cells) != len(names):
                    raise self._wrong_count(line, cells, names)
                prompt = self._rows.prompt(line, dict(zip(names, cells, strict=True)))
            except InputError as error:
                yield error
            else:
                yield prompt
        if not has_rows:
            raise start.refused(
                problem="this is a header, and no row follows",
                fix="give a row for each prompt; if each line is a prompt: --format text",
            )

    def _wrong_count(self, line: Line, cells: list[str], names: list[str]) -> InputError:
        by = self._dialect.delimiter
        return line.refused(
            problem=f"the row has {_cells(len(cells))}, and the header has {len(names)}",
            fix=f'put a cell that holds {by!r} in quotes, as "a{by} b"; columns: {_listed(names)}',
        )


def _records(
    lines: Iterable[Line], dialect: Dialect, *, most_characters: int
) -> Iterator[tuple[Line, list[str] | InputError]]:
    """Yield each row with the line it starts on, or the error that refuses it."""
    csv.field_size_limit(most_characters)  # of the whole process, and 128 KiB if nobody says so
    start: list[Line] = []

    def texts() -> Iterator[str]:
        for line in lines:
            if not start:
                start.append(line)
            yield line.text() + "\n"

    reader = csv.reader(
        texts(),
        delimiter=dialect.delimiter,
        skipinitialspace=dialect.skips_space,
        strict=True,
    )
    while True:
        start.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield start[0], _refusal(start[0], str(error), most_characters)
        else:
            if cells and (len(cells) > 1 or not (cells[0] == "" or cells[0].isspace())):
                yield start[0], cells


def _refusal(line: Line, why: str, most_characters: int) -> InputError:
    if why.startswith(_UNCLOSED):
        return line.refused(
            problem="a quote that is opened in this row is closed nowhere",
            fix='close it, or double it where it is text: "5"" pipe"',
        )
    if why.startswith(_TOO_LARGE):
        return line.refused(
            problem=f"a cell of this row is longer than {most_characters:,} characters",
            fix="look for a quote that is opened here and closed far below, or nowhere",
        )
    if why.startswith(_BARE_RETURN):
        return line.refused(
            problem="the lines end by a carriage return alone, as on old Macs",
            fix="write line feeds: tr '\\r' '\\n' < FILE",
        )
    return line.refused(
        problem="there is text after a closing quote",
        fix='double the quotes inside of a quoted cell: "a ""b"" c"',
    )


def _checked_header(line: Line, names: list[str]) -> list[str]:
    """Return the names of the columns without space around them. Raises InputError."""
    names = [name.strip() for name in names]
    if "" in names:
        number = names.index("") + 1
        raise line.refused(
            problem=f"column {number} has no name",
            fix="name it in the header, or leave it out (pandas: to_csv(..., index=False))",
        )
    for name in names:
        if names.count(name) > 1:
            raise line.refused(
                problem=f"two columns are named {name[:60]!r}",
                fix="give each a name of its own in the header",
            )
    if all(map(_is_number, names)):
        raise line.refused(
            problem="the first row holds numbers, not names of columns",
            fix="put a row with the names of the columns on top",
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _listed(names: list[str]) -> str:
    return listed(dict.fromkeys(names))

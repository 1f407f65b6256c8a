"""Personal data put back into what is shown or written: `--unmask`."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from promptmill.schema.answers import Result
from promptmill.schema.connection import Source
from promptmill.schema.pii.masking import unmask
from promptmill.schema.pii.values import values_of

_PAGE = 250


def put_back(database: Source, results: Sequence[Result]) -> list[Result]:
    """Put back what words in these answers stand for."""
    with database.read() as connection:
        found = values_of(connection, [one.job_id for one in results])
    return [_with(one, found[one.job_id]) if one.job_id in found else one for one in results]


def put_back_by_pages(database: Source, results: Iterable[Result]) -> Iterator[Result]:
    """Do the same by the way, for results that are many."""
    results = iter(results)
    while page := list(islice(results, _PAGE)):
        yield from put_back(database, page)


def rows_put_back(database: Source, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Put back what words in these rows stand for, whose last column is the job's id, and goes."""
    with database.read() as connection:
        found = values_of(connection, [row[-1] for row in rows])
    return [tuple(_in_cell(cell, found.get(row[-1], {})) for cell in row[:-1]) for row in rows]


def _with(result: Result, values: Mapping[str, str]) -> Result:
    calls = result.tool_calls
    return replace(
        result,
        text=_in_cell(result.text, values),
        tool_calls=calls if calls is None else json.loads(unmask(json.dumps(calls), values)),
        body_json=_in_cell(result.body_json, values),
    )


def _in_cell(cell: Any, values: Mapping[str, str]) -> Any:
    return unmask(cell, values) if values and isinstance(cell, str) else cell

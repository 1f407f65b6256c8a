"""What is no terminal gets tables as rich draws them; rich is asked only where it has to be."""

from collections.abc import Sequence

import pytest

from promptmill.producer.cli.output import draw, print_table
from promptmill.producer.cli.plain_table import plain_lines

NAMES = ("model", "total", "a long header")
ROWS = (("openai gpt-4o-mini", "1,000", "$0.1234 + ?"), ("all", "-", "NULL"), ("", "7", ""))


@pytest.mark.parametrize("rows", [ROWS, ROWS[1:], ROWS[2:], ()])
@pytest.mark.parametrize("right", [(False, True, True), (True, False, False)])
def test_what_fits_is_as_rich_draws_it(
    rows: Sequence[Sequence[str]], right: Sequence[bool], capsys: pytest.CaptureFixture[str]
) -> None:
    draw(NAMES, rows, to_the_right=right)
    by_rich = capsys.readouterr().out
    assert plain_lines(NAMES, rows, to_the_right=right, width=100) == by_rich.splitlines()


@pytest.mark.parametrize("cell", ["日本語", "e\u0301", "x" * 101])
def test_rich_draws_what_only_rich_knows_the_width_of_and_what_is_too_wide(
    cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plain_lines(["text"], [[cell]], to_the_right=[False], width=100) is None
    print_table(["text"], [[cell]])
    assert "".join(capsys.readouterr().out.split()) == f"text{cell}"


def test_all_of_100_columns_are_used(capsys: pytest.CaptureFixture[str]) -> None:
    cells = ("a" * 49, "b" * 49)
    lines = plain_lines(["x", "y"], [cells], to_the_right=[False, False], width=100)
    assert lines is not None
    assert [len(line) for line in lines] == [100, 100]
    draw(["x", "y"], [cells], to_the_right=[False, False])
    assert capsys.readouterr().out.splitlines() == lines

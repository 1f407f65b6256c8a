"""What models answer does nothing to a terminal, a spreadsheet or a browser."""

import csv
import io

import pytest

from promptmill.producer.inert import for_csv, for_html, for_terminal

ESC = "\x1b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{ESC}[2Jgone{ESC}]0;title\x07", "[2Jgone]0;title"),
        ("safe\u202eexe.txt", "safeexe.txt"),
        ("over\rwritten\x08\x9b31m", "overwritten31m"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_what_steers_a_terminal_is_taken_out(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x","y")',
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "  =1",
        "\r=1",
        "\n=1",
        "\uff1d1+1",
    ],
)
def test_a_formula_is_text_in_a_spreadsheet_and_comes_back_whole(text: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written).writerow([for_csv(text)])
    (row,) = csv.reader(io.StringIO(written.getvalue(), newline=""))
    assert row == [f"'{text}"]


@pytest.mark.parametrize("text", ["-5", "+3.14", "-1e9", "a = b", "", "positive", "it's"])
def test_numbers_and_plain_words_stay_as_they_are_in_a_spreadsheet(text: str) -> None:
    assert for_csv(text) == text


def test_markup_is_text_in_a_page_and_in_an_attribute() -> None:
    assert for_html(f"<script>'{ESC}\"&</script>") == (
        "&lt;script&gt;&#x27;&quot;&amp;&lt;/script&gt;"
    )

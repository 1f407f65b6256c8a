"""What was typed wrong is told in plain words, with what to type instead, and no traceback."""

from pathlib import Path

import pytest

from tests.cli.promptmill import Here

TYPED = {
    "a batch by its file": (
        ("status", "r.csv"),
        "Invalid value for 'BATCH': 'r.csv' is no number of a batch; `promptmill ls` lists them",
    ),
    "no whole number": (("run", "r.csv", "-c", "x"), "'x' is no whole number"),
    "no number": (("run", "r.csv", "--cache-similar", "x"), "'x' is no number"),
    "too few": (("results", "-n", "0"), "Invalid value for '-n': 0 is less than 1"),
    "too much": (("serve", "--port", "99999"), "99999 is more than 65535"),
    "below 0": (
        ("priority", "1", "-5"),
        "No such option: -5; a number below 0 goes after --, as in: priority 3 -- -50",
    ),
    "a schedule without --": (
        ("schedule", "add", "x", "0 2 * * *", "r.csv", "-m", "gpt-4o"),
        "No such option: -m; INPUT and its options come after --",
    ),
    "another word": (
        ("run", "r.csv", "--truncate", "foo"),
        "'--truncate': 'foo' is not one of 'error', 'drop-oldest', 'head', 'tail'.",
    ),
    "a model without -m": (
        ("run", "r.csv", "gpt-4o"),
        "(gpt-4o); one INPUT is taken, text with spaces goes in quotes, a model comes after -m",
    ),
    "a file without -o": (
        ("export", "1", "x.csv"),
        "extra argument(s) (x.csv); a file to write comes after -o",
    ),
    "a statement without quotes": (
        ("sql", "select", "1"),
        "extra argument(s) (1); the statement goes in quotes, as one word",
    ),
    "half an option": (
        ("run", "r.csv", "-o", "temperature=0"),
        "Option '-o' requires 2 arguments. Such as: -o temperature 0",
    ),
    "no input": (
        ("run", "-m", "gpt-4o"),
        "Missing argument 'INPUT'. A file of prompts, or - for standard input.",
    ),
    "no verb": (("r.csv",), "To answer a file of prompts: promptmill run r.csv -m MODEL"),
    "an address": (("run", "https://a.example/r.csv"), "fix:   fetch it first: curl -fsSL ADDRESS"),
    "no template": (
        ("run", "r.csv", "-t", "none.txt"),
        "error: the template none.txt cannot be read: no such file or directory",
    ),
    "a template in another encoding": (
        ("run", "r.csv", "-t", "latin1"),
        "error: the template latin1 cannot be read: it is no text in UTF-8",
    ),
    "a folder as schema": (
        ("run", "r.csv", "--schema", "."),
        "error: --schema . cannot be read: is a directory; give a file, or the schema itself",
    ),
}


@pytest.mark.parametrize("mistake", TYPED)
def test_a_mistake_is_told_with_what_to_type(
    mistake: str, promptmill: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROMPTMILL_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "r.csv").write_text("id,review\n1,fine\n")
    (tmp_path / "latin1").write_bytes(b"caf\xe9 {review}")
    words, told = TYPED[mistake]
    said = promptmill(*words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert len(said.err.splitlines()) <= 5

"""The file that answers lie in while SQL is away: what counts as kept is found again."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.moves import endings
from promptmill.schema.moves.endings import StoredResult
from promptmill.schema.outcomes import Usage
from promptmill.workers.spool import Record, Spool, find_leftovers
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, CUT
from tests.services.waiting import wait_until

HOSTILE = StoredResult("half a pair \ud800 and \x00", "stop", tool_calls='[{"a": NaN}]')


def record(job_id: int, text: str = "four") -> Record:
    result = replace(ANSWER, text=text)
    return Record(endings.finish(job_id, 1, ANSWERED, result), ("w1",))


def left_in(folder: Path) -> list[Record]:
    """Read what dead processes left, and take it away."""
    found: list[Record] = []
    for leftover in find_leftovers(folder, but=set()):
        found += leftover.records()
        leftover.remove()
    return found


def file_in(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@contextmanager
def a_disk_that_ends_at(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond *size* bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_process_kept_is_found_as_it_was_and_in_order(spool: Spool) -> None:
    kept = [
        record(1),
        Record(endings.retry(2, 7, BROKEN, 2.5), ("w1", "w1 after it was declared dead")),
        Record(endings.finish(3, 1, replace(ANSWERED, usage=Usage(2**60, 1)), HOSTILE), ("w1",)),
        Record(endings.hold(4, 1, replace(CUT, body_base64="QUJD")), ("w1",)),
    ]
    assert spool.keep(kept[:1]) + spool.keep(kept[1:]) == [True] * 4
    spool.close()
    assert left_in(spool.folder) == kept
    assert list(spool.folder.iterdir()) == []


def test_only_its_owner_may_read_it(spool: Spool) -> None:
    spool.keep([record(1)])
    assert spool.folder.stat().st_mode & 0o777 == 0o700
    assert file_in(spool.folder).stat().st_mode & 0o777 == 0o600


def test_the_file_of_a_process_that_lives_is_left_alone(spool: Spool) -> None:
    spool.keep([record(1)])
    assert left_in(spool.folder) == []
    assert file_in(spool.folder).stat().st_size


def test_with_the_last_answer_that_sql_has_the_file_goes_and_the_next_outage_makes_another(
    spool: Spool,
) -> None:
    spool.keep([record(1), record(2)])
    first = file_in(spool.folder)
    spool.forget((1, 1))
    assert (spool.keeps((1, 1)), spool.keeps((2, 1))) == (False, True)
    assert first.exists()
    spool.forget((2, 1))
    assert list(spool.folder.iterdir()) == []
    spool.keep([record(3)])
    assert file_in(spool.folder) != first
    spool.close()
    assert left_in(spool.folder) == [record(3)]


def test_a_record_that_was_cut_anywhere_is_left_out_and_those_before_it_are_found(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool.keep([record(1)])
    path = file_in(spool.folder)
    whole = path.stat().st_size
    spool.keep([record(2)])
    data = path.read_bytes()
    torn = tmp_path / "torn"
    torn.mkdir()
    for end in range(whole + 1, len(data)):
        (torn / "short.spool").write_bytes(data[:end])
        if end >= whole + 8:  # after a power cut: the length was written, and not all of the rest
            (torn / "zeros.spool").write_bytes(data[:end].ljust(len(data), b"\0"))
        assert set(left_in(torn)) == {record(1)}
        assert list(torn.iterdir()) == []
    assert "ends in half a record" in caplog.text


def test_a_file_that_is_damaged_before_its_end_is_set_aside(spool: Spool, tmp_path: Path) -> None:
    spool.keep([record(1)])
    path = file_in(spool.folder)
    whole = path.stat().st_size
    spool.keep([record(2), record(3)])
    data = bytearray(path.read_bytes())
    data[whole + 20] ^= 1
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.spool").write_bytes(data)
    assert left_in(other) == [record(1)]
    assert (other / "a.damaged").read_bytes() == data


def test_what_has_no_room_is_not_kept_and_does_no_harm(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "answers", most_bytes=2_000)
    assert spool.keep([record(1), record(2, "x" * 3_000), record(3)]) == [True, False, True]
    spool.close()
    assert left_in(tmp_path / "answers") == [record(1), record(3)]


def test_a_full_disk_is_told_and_half_a_record_is_written_over(spool: Spool) -> None:
    spool.keep([record(1)])
    with a_disk_that_ends_at(file_in(spool.folder).stat().st_size + 30):
        assert spool.keep([record(2), record(3)]) == [False, False]
    assert spool.keep([record(4)]) == [True]
    spool.close()
    assert left_in(spool.folder) == [record(1), record(4)]


def test_a_disk_that_takes_nothing_leaves_no_file_behind(spool: Spool) -> None:
    with a_disk_that_ends_at(20):
        assert spool.keep([record(1)]) == [False]
        assert not list(spool.folder.iterdir())
    assert spool.keep([record(2)]) == [True]
    spool.close()
    assert left_in(spool.folder) == [record(2)]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    spool = Spool(tmp_path / "a file" / "answers", most_bytes=2_000)
    assert spool.keep([record(1)]) == [False]


def test_a_file_that_cannot_be_opened_is_told_once(
    spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    spool.keep([record(1)])
    (spool.folder / "a.spool").symlink_to("a.spool")
    unreadable: set[Path] = set()
    for _ in range(2):
        assert list(find_leftovers(spool.folder, but=unreadable)) == []
    assert caplog.text.count("is not stored") == 1


def test_what_sql_refuses_is_kept_for_a_person_as_lines_of_json(spool: Spool) -> None:
    spool.keep([record(1), record(2)])
    spool.close()
    for leftover in find_leftovers(spool.folder, but=set()):
        for one in leftover.records():
            leftover.refuse(one, "no such attempt")
        leftover.remove()
    path = file_in(spool.folder)
    assert path.suffix == ".refused"
    assert path.stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["why"], line["closing"]["job_id"]) for line in lines] == [
        ("no such attempt", 1),
        ("no such attempt", 2),
    ]


def test_a_record_of_another_release_is_set_aside_and_the_next_is_found(spool: Spool) -> None:
    state: Any = 99
    spool.keep([record(1), Record(replace(record(2).closing, state=state), ("w1",)), record(3)])
    spool.close()
    assert left_in(spool.folder) == [record(1), record(3)]
    (line,) = file_in(spool.folder).read_text().splitlines()
    assert json.loads(line)["closing"]["job_id"] == 2
    assert "not what this release keeps" in json.loads(line)["why"]


WRITER = """
import sys
from pathlib import Path
from promptmill.workers.spool import Spool
from tests.workers.test_spool import record

spool = Spool(Path(sys.argv[1]), most_bytes=2**30)
for number in range(1, 1_000_000):
    spool.keep([record(2 * number), record(2 * number + 1)])
    print(number, flush=True)
"""


def test_a_process_that_is_killed_while_it_writes_has_kept_all_it_said(tmp_path: Path) -> None:
    folder, said = tmp_path / "answers", tmp_path / "said"
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), *sys.path])
    with said.open("wb") as output:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=output, env={"PYTHONPATH": path}
        )
    wait_until(lambda: said.read_bytes().count(b"\n") > 20, "some records to be kept")
    writer.send_signal(signal.SIGKILL)
    writer.wait(10)
    count = 2 * said.read_bytes().count(b"\n")
    found = left_in(folder)
    assert [one.closing.job_id for one in found] == list(range(2, len(found) + 2))
    assert count <= len(found) <= count + 2

"""What comes as base64 is a file before the answer is stored, or stays where it is."""

import base64
import hashlib
import json
import stat
from pathlib import Path

from promptmill.schema.moves.endings import StoredResult
from promptmill.workers.files import AnswerFiles
from promptmill.workers.providers.base import Media

PICTURE = b"\x89PNG not really"
CODED = base64.b64encode(PICTURE).decode()


def result_with(*coded: str) -> StoredResult:
    body = json.dumps({"data": [{"b64_json": each} for each in coded], "kept": 1.50})
    return StoredResult(None, "completed", endpoint="images", body=body)


def test_a_picture_becomes_a_file_that_the_body_names(tmp_path: Path) -> None:
    media = (Media("image/png", CODED),)
    kept = AnswerFiles(tmp_path / "files").keep(result_with(CODED), media, batch_id=3, name="7-1")
    (file,) = kept.files
    path = Path(file.path)
    assert path == tmp_path / "files" / "3" / "7-1-0.png"
    assert path.read_bytes() == PICTURE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (file.bytes, file.sha256) == (len(PICTURE), hashlib.sha256(PICTURE).hexdigest())
    assert kept.body is not None
    assert json.loads(kept.body) == {"data": [{"b64_json": f"file:{path}"}], "kept": 1.5}


def test_what_is_no_base64_stays_in_the_body(tmp_path: Path) -> None:
    given = result_with("not base64!", CODED)
    media = (Media("image/png", "not base64!"), Media("video/odd", CODED))
    kept = AnswerFiles(tmp_path).keep(given, media, batch_id=3, name="7-1")
    assert [(file.position, Path(file.path).name) for file in kept.files] == [(1, "7-1-1.bin")]
    assert "not base64!" in (kept.body or "")


def test_what_the_disk_refuses_stays_in_the_body(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.write_text("in the way")
    given = result_with(CODED)
    media = (Media("image/png", CODED),)
    assert AnswerFiles(folder).keep(given, media, batch_id=3, name="7-1") == given

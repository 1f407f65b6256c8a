"""A batch as a table in memory, and as a file, from Python."""

import re
import sys
from pathlib import Path

import pytest

from promptmill.producer import Batch, submit
from promptmill.schema.errors import UsageError
from promptmill.schema.extras import how_to_install
from tests.schema.scene import Scene
from tests.submit.inputs import answer, claim_all, refuse, write_batch


@pytest.fixture
def batch(scene: Scene, tmp_path: Path) -> Batch:
    """Three prompts: one answered, one failed, one to be done."""
    batch = submit(write_batch(tmp_path / "in.jsonl", 3))
    one, two, _ = claim_all(scene, batch.id).items()
    answer(scene, *one, text="Käse")
    refuse(scene, *two)
    return batch


def test_pandas_gets_typed_columns_in_the_order_of_the_input(batch: Batch) -> None:
    frame = batch.to_pandas(what="all")
    assert list(frame["custom_id"]) == ["a1", "a2", "a3"]
    assert list(frame["state"]) == ["succeeded", "failed", "running"]
    assert [str(frame[name].dtype) for name in ("input_tokens", "cost_usd", "finished_at")] == [
        "Int64",
        "Float64",
        "datetime64[us, UTC]",
    ]
    assert frame["input_tokens"].sum() == 100
    assert frame["text"][0] == "Käse"
    assert frame["text"].isna().sum() == 2


def test_arrow_gets_the_columns_that_are_chosen(batch: Batch) -> None:
    table = batch.to_arrow(columns=["text", "custom_id"])
    assert table.to_pylist() == [{"text": "Käse", "custom_id": "a1"}]
    assert batch.to_arrow(what="failed").num_rows == 1


def test_an_export_says_what_it_wrote(batch: Batch, tmp_path: Path) -> None:
    done = batch.export(tmp_path / "out.csv", columns=["custom_id", "text"])
    assert (done.rows, done.left_out) == (1, 2)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == "custom_id,text\na1,Käse\n"
    assert batch.export(tmp_path / "out.jsonl", format="openai-batch").errors == 2


def test_what_is_not_installed_is_told_with_how_to_install_it(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=re.escape(how_to_install("pandas"))):
        batch.to_pandas()
    with pytest.raises(UsageError, match=re.escape(how_to_install("parquet"))):
        batch.to_arrow()
    with pytest.raises(UsageError, match="no column 'texts'"):
        batch.to_pandas(columns=["texts"])

"""Reading the body of a response."""

from typing import Any

import msgspec
import pytest

from promptmill.workers.providers.reply import decode


class Shape(msgspec.Struct):
    choices: Any


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"choices":' * 100_000])
def test_json_that_is_nested_without_end_fits_no_shape(body: bytes) -> None:
    assert decode(body, Shape) is None

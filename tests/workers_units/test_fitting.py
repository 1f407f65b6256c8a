"""How a prompt is made to fit, as far as that takes no model."""

import asyncio
from dataclasses import replace

import pytest

from promptmill.schema.reading import DueJob
from promptmill.schema.truncation import Truncate
from promptmill.workers.fitting import Fitted, fit
from tests.workers_units.test_served import served

BODY = '{"messages": [{"role": "user", "content": "Hello"}]}'
JOB = DueJob(1, 1, 1, 1, "openai", "gpt-4o-mini", 1, 0, "retry", 0.0, BODY)


@pytest.mark.parametrize("before", [None, "anthropic/claude-haiku-4-5"])
def test_a_job_that_fell_back_is_not_cut_once_more(before: str | None) -> None:
    job = replace(JOB, truncate=Truncate.HEAD, fell_back_from=before)
    fitted = asyncio.run(fit(served(), job, learned=1.0))
    assert isinstance(fitted, Fitted)
    assert fitted.is_last == (before is not None), "else it is asked the same until it is given up"

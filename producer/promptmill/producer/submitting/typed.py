"""What is to be submitted, from the words that were typed: on a command line, or for a schedule."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from promptmill.producer.estimate.budgets import parse_budget
from promptmill.producer.reading import ReadOptions, parse_parameter, read_schema, read_template
from promptmill.producer.submitting.answer_cache import parse_cache
from promptmill.producer.submitting.falling_back import parse_fallbacks
from promptmill.producer.submitting.lane_order import parse_lane
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.producer.submitting.truncating import parse_truncation
from promptmill.schema.errors import UsageError
from promptmill.schema.pii.values import MaskPii


def typed_request(
    *,
    source: str,
    model: Sequence[str] | None = None,
    prompt: str | None = None,
    template: Path | None = None,
    system: str | None = None,
    option: Sequence[tuple[str, str]] | None = None,
    schema: str | None = None,
    id_column: str | None = None,
    file_column: Sequence[str] | None = None,
    format: Literal["jsonl", "csv", "tsv", "text", "parquet"] | None = None,  # noqa: A002
    limit: int | None = None,
    name: str | None = None,
    priority: int = 0,
    on_unknown: Literal["retry", "hold"] | None = None,
    on_invalid: Literal["keep", "retry", "repair", "fail"] | None = None,
    max_failures: str | None = None,
    budget: str | None = None,
    dedupe: bool = False,
    cache: bool = False,
    cache_ttl: str | None = None,
    cache_similar: float | None = None,
    fallback: Sequence[str] | None = None,
    truncate: Literal["error", "drop-oldest", "head", "tail"] | None = None,
    max_input_tokens: str | None = None,
    lane: Literal["live", "batch", "auto"] | None = None,
    deadline: str | None = None,
    webhook: str | None = None,
    checks: Literal["off", "flag", "error"] | None = None,
    mask_pii: Literal["prompts", "answers", "both"] | None = None,
    new: bool = False,
) -> SubmitRequest:
    """Make one value of it; the files of a template and a schema are read. Raises UsageError."""
    if prompt is not None and template is not None:
        msg = "-p and -t both give a template: leave one out"
        raise UsageError(msg)
    reading = ReadOptions(
        template=prompt if template is None else read_template(template),
        template_name="-p" if template is None else str(template),
        system=system,
        id_column=id_column,
        file_columns=tuple(file_column or ()),
        model=model[0] if model else None,
        schema=None if schema is None else read_schema(schema),
        parameters=dict(parse_parameter(*pair) for pair in option or ()),
        format=format,
        limit=limit,
    )
    return SubmitRequest(
        source=source,
        reading=reading,
        also=tuple(model[1:] if model else ()),
        dedupe=dedupe,
        cache=(
            parse_cache(ttl=cache_ttl, similar=cache_similar)
            if cache or cache_ttl is not None or cache_similar is not None
            else None
        ),
        lane=None if lane is None and deadline is None else parse_lane(lane or "live", deadline),
        webhook=webhook,
        name=name,
        priority=priority,
        on_unknown=on_unknown,
        on_invalid=on_invalid,
        max_failures=max_failures,
        fallbacks=None if fallback is None else parse_fallbacks(fallback),
        truncation=parse_truncation(truncate, max_input_tokens),
        checks=checks,
        mask_pii=None if mask_pii is None else MaskPii(mask_pii),
        new=new,
        budget=None if budget is None else parse_budget(budget),
    )

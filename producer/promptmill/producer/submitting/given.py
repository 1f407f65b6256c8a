"""What is to be submitted, from what was given: by Python, or in words that somebody typed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from promptmill.producer.estimate.budgets import parse_budget
from promptmill.producer.reading import ReadOptions, parse_parameter, read_schema, read_template
from promptmill.producer.submitting.answer_cache import AnswerCache, parse_cache
from promptmill.producer.submitting.falling_back import parse_fallbacks
from promptmill.producer.submitting.lane_order import parse_lane
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.producer.submitting.truncating import parse_truncation
from promptmill.schema.errors import UsageError
from promptmill.schema.pii.values import MaskPii


def request_of(
    *,
    source: str | Path,
    model: str | Sequence[str] | None = None,
    prompt: str | None = None,
    prompt_name: str = "prompt",
    system: str | None = None,
    options: Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    id_column: str | None = None,
    file_columns: Sequence[str] = (),
    format: Literal["jsonl", "csv", "tsv", "text", "parquet"] | None = None,  # noqa: A002
    limit: int | None = None,
    name: str | None = None,
    priority: int = 0,
    on_unknown: Literal["retry", "hold"] | None = None,
    on_invalid: Literal["keep", "retry", "repair", "fail"] | None = None,
    max_failures: str | int | None = None,
    budget: str | float | None = None,
    dedupe: bool = False,
    cache: bool | str = False,
    cache_similar: float | None = None,
    fallback: str | Sequence[str] | None = None,
    truncate: Literal["error", "drop-oldest", "head", "tail"] | None = None,
    max_input_tokens: str | int | None = None,
    lane: Literal["live", "batch", "auto"] | None = None,
    deadline: str | None = None,
    webhook: str | None = None,
    checks: Literal["off", "flag", "error"] | None = None,
    mask_pii: Literal["prompts", "answers", "both"] | None = None,
    new: bool = False,
) -> SubmitRequest:
    """Make one value of it. *schema* is one that was checked. Raises UsageError."""
    models = _several(model)
    reading = ReadOptions(
        template=prompt,
        template_name=prompt_name,
        system=system,
        id_column=id_column,
        file_columns=tuple(file_columns),
        model=models[0] if models else None,
        schema=schema,
        parameters=options or {},
        format=format,
        limit=limit,
    )
    return SubmitRequest(
        source=source,
        reading=reading,
        also=models[1:],
        dedupe=dedupe,
        cache=_cache(cache, cache_similar),
        lane=None if lane is None and deadline is None else parse_lane(lane or "live", deadline),
        webhook=webhook,
        name=name,
        priority=priority,
        on_unknown=on_unknown,
        on_invalid=on_invalid,
        max_failures=None if max_failures is None else str(max_failures),
        fallbacks=None if fallback is None else parse_fallbacks(_several(fallback)),
        truncation=parse_truncation(truncate, max_input_tokens),
        checks=checks,
        mask_pii=None if mask_pii is None else MaskPii(mask_pii),
        new=new,
        budget=None if budget is None else parse_budget(_dollars(budget)),
    )


def typed_request(
    *,
    prompt: str | None = None,
    template: Path | None = None,
    option: Sequence[tuple[str, str]] | None = None,
    schema: str | None = None,
    file_column: Sequence[str] | None = None,
    cache: bool = False,
    cache_ttl: str | None = None,
    **same: Any,
) -> SubmitRequest:
    """Make one value of what was typed; the files of a template and a schema are read.

    *same*: what `request_of` takes as it was typed. Raises UsageError.
    """
    if prompt is not None and template is not None:
        msg = "-p and -t both give a template: leave one out"
        raise UsageError(msg)
    return request_of(
        prompt=prompt if template is None else read_template(template),
        prompt_name="-p" if template is None else str(template),
        options=dict(parse_parameter(*pair) for pair in option or ()),
        schema=None if schema is None else read_schema(schema),
        file_columns=file_column or (),
        cache=cache if cache_ttl is None else cache_ttl,
        **same,
    )


def _several(words: str | Sequence[str] | None) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words or ())


def _cache(cache: bool | str, similar: float | None) -> AnswerCache | None:
    if cache in (False, None) and similar is None:
        return None
    return parse_cache(ttl=cache if isinstance(cache, str) else None, similar=similar)


def _dollars(budget: str | float) -> str:
    return budget if isinstance(budget, str) else f"{budget:f}"

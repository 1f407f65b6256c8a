"""The arguments that say what to submit, shared by all verbs that submit.

    @takes_prompts
    def run(request: "SubmitRequest", quiet: Annotated[bool, …] = False) -> None: …

To typer the verb then has these arguments in place of `request`.
"""

import inspect
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from typer import Argument, Option

if TYPE_CHECKING:
    from promptmill.producer.submitting.request import SubmitRequest


class Pair(NamedTuple):
    """Two words after one option; a list of them where it may be given again."""

    key: str
    text: str


_prompts = partial(Option, rich_help_panel="Prompts", show_default=False)
_batch = partial(Option, rich_help_panel="The batch", show_default=False)


def read_request(
    *,
    source: Annotated[
        str, Argument(metavar="INPUT", help="A file of prompts, or - for standard input.")
    ],
    model: Annotated[
        list[str] | None,
        _prompts(
            "--model",
            "-m",
            metavar="MODEL",
            help="Whom to ask, whatever the lines name; repeatable.",
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        _prompts("--prompt", "-p", metavar="TEXT", help="Template: 'Mood of: {text}', or Jinja."),
    ] = None,
    template: Annotated[
        Path | None,
        _prompts("--template", "-t", metavar="FILE", help="File that holds the template."),
    ] = None,
    system: Annotated[
        str | None,
        _prompts("--system", "-s", metavar="TEXT", help="System message; a template too."),
    ] = None,
    option: Annotated[
        list[Pair] | None,
        _prompts("--option", "-o", metavar="KEY VALUE", help="Put into each request; repeatable."),
    ] = None,
    schema: Annotated[
        str | None, _prompts(metavar="FILE", help="JSON schema that each answer has to follow.")
    ] = None,
    id_column: Annotated[
        str | None, _prompts(metavar="NAME", help="Column that holds the custom_id.")
    ] = None,
    file_column: Annotated[
        list[str] | None,
        _prompts(metavar="NAME", help="Column of files or addresses to ask about."),
    ] = None,
    format: Annotated[  # noqa: A002  its name on the command line
        Literal["jsonl", "csv", "tsv", "text", "parquet"] | None,
        _prompts(metavar="FORMAT", help="What INPUT is: jsonl, csv, tsv, text or parquet."),
    ] = None,
    limit: Annotated[
        int | None, _prompts(min=1, metavar="N", help="Only the first N prompts.")
    ] = None,
    name: Annotated[
        str | None, _batch(metavar="NAME", help="Name of the batch; else that of the file.")
    ] = None,
    priority: Annotated[
        int, _batch(min=-100, max=100, metavar="N", help="Above 0 goes before all others.")
    ] = 0,
    on_unknown: Annotated[
        Literal["retry", "hold"] | None,
        _batch(metavar="DO", help="retry or hold what may have been billed in vain."),
    ] = None,
    on_invalid: Annotated[
        Literal["keep", "retry", "repair", "fail"] | None,
        _batch(metavar="DO", help="keep, retry, repair or fail what is not by its schema."),
    ] = None,
    max_failures: Annotated[
        str | None,
        _batch(metavar="N|N%", help="Pause when so many have failed: 200, 5%, none."),
    ] = None,
    budget: Annotated[
        str | None, _batch(metavar="USD", help="What it may cost in all: 5, 0.50 or none.")
    ] = None,
    dedupe: Annotated[
        bool, _prompts("--dedupe", help="Ask equal prompts once; each row shows it.")
    ] = False,
    cache: Annotated[
        bool, _batch("--cache", help="Take answers of equal prompts, up to 7 days old.")
    ] = False,
    cache_ttl: Annotated[
        str | None,
        _batch(metavar="AGE", help="--cache of answers at most so old: 12h, none."),
    ] = None,
    cache_similar: Annotated[
        float | None, _batch(metavar="X", help="--cache of prompts at least so similar: 0.95.")
    ] = None,
    fallback: Annotated[
        list[str] | None,
        _batch(metavar="MODEL", help="Asked where the first does not answer."),
    ] = None,
    truncate: Annotated[
        Literal["error", "drop-oldest", "head", "tail"] | None,
        _batch(metavar="HOW", help="Cut what is too long: drop-oldest, head, tail; or error."),
    ] = None,
    max_input_tokens: Annotated[
        str | None, _batch(metavar="N", help="Longer prompts are too long: 4000, 8k.")
    ] = None,
    lane: Annotated[
        Literal["live", "batch", "auto"] | None,
        _batch(metavar="LANE", help="batch: by the batch APIs, at half the price; or auto."),
    ] = None,
    deadline: Annotated[
        str | None, _batch(metavar="WHEN", help="When --lane has to be done: 30h, or an instant.")
    ] = None,
    webhook: Annotated[
        str | None, _batch(metavar="URL", help="Address that hears of its end; or none.")
    ] = None,
    checks: Annotated[
        Literal["off", "flag", "error"] | None,
        _batch(metavar="DO", help="flag or error: scripts, injections and the like; or off."),
    ] = None,
    mask_pii: Annotated[
        Literal["prompts", "answers", "both"] | None,
        _batch(metavar="WHERE", help="Mask personal data in prompts, answers or both."),
    ] = None,
    new: Annotated[
        bool, _batch("--new", help="Make another batch though this input has one.")
    ] = False,
) -> "SubmitRequest":
    """Make one value of what was typed. Raises UsageError."""
    given = dict(locals())
    from promptmill.producer.submitting.given import typed_request

    return typed_request(**given)


def takes_prompts(verb: Callable[..., None]) -> Callable[..., None]:
    """Let *verb* take the arguments of `read_request` in place of its first parameter."""
    what = inspect.signature(read_request).parameters
    own = list(inspect.signature(verb).parameters.values())[1:]

    @wraps(verb)
    def taking(**given: Any) -> None:
        request = read_request(**{name: given.pop(name) for name in what})
        verb(request, **given)

    parameters = [one.replace(kind=one.KEYWORD_ONLY) for one in (*what.values(), *own)]
    taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    taking.__annotations__ = {one.name: one.annotation for one in parameters}
    return taking

"""`promptmill submit`: store prompts as a batch."""

from collections.abc import Callable

from promptmill.producer.cli.confirmation import confirming
from promptmill.producer.cli.output import Counter, note, print_json
from promptmill.producer.figures import plural
from promptmill.producer.opening import opened
from promptmill.producer.submitting.request import How, Plan, SubmitRequest, Submitted
from promptmill.producer.submitting.submission import submit as submit_prompts
from promptmill.schema.database import Database
from promptmill.schema.settings import Settings, load_settings

_TOLD = {
    How.NEW: "stored as batch {id}",
    How.RESUMED: "stored as batch {id}, which an earlier submit had begun",
    How.REUSED: "submitted before, as batch {id} (--new makes another)",
}


def submit_batch(request: SubmitRequest, *, yes: bool, as_json: bool) -> None:
    """Store what is asked for, and print the batch's id."""
    settings = load_settings()
    with opened(settings, create=True) as database:
        ask = confirming(settings, database, request, yes=yes)
        submitted = submit_with_counter(database, request, settings, admit=ask)
    if as_json:
        print_json(submitted)
    else:
        print(submitted.batch_id)


def submit_with_counter(
    database: Database,
    request: SubmitRequest,
    settings: Settings,
    *,
    require: Callable[[frozenset[str]], object] = lambda _providers: None,
    admit: Callable[[Plan], object] | None = None,
) -> Submitted:
    """Submit, with a counter on a terminal and a line of what came of it on stderr."""
    with Counter("prompts stored") as counter:
        submitted = submit_prompts(
            database, request, settings, require=require, admit=admit, report=counter.show
        )
    told = _TOLD[submitted.how].format(id=submitted.batch_id)
    if submitted.goes_on:
        note(f"batch {submitted.batch_id} was paused by its budget, and goes on")
    note(f"{plural(submitted.total, 'prompt')} {told}: {submitted.name} ({submitted.kind})")
    if submitted.twins:
        note(f"  equal to one before, and not asked again: {submitted.twins:,}")
    return submitted

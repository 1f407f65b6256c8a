"""`demo`, `estimate`, `run` and `submit`."""

from typing import TYPE_CHECKING, Annotated

from typer import Option

from promptmill.producer.cli.verbs.arguments import Json, JsonEvents, Yes
from promptmill.producer.cli.verbs.request import takes_prompts

if TYPE_CHECKING:
    from promptmill.producer.submitting.request import SubmitRequest


def demo(
    prompts: Annotated[int, Option(min=1, metavar="N", help="How many prompts to answer.")] = 1000,
    new: Annotated[bool, Option("--new", help="Answer them again, as a new batch.")] = False,
    as_json: JsonEvents = False,
) -> None:
    """Answer 1,000 prompts over three simulated providers: no key, network or service needed."""
    from promptmill.producer.cli.demo import play

    play(prompts, new=new, as_json=as_json)


@takes_prompts
def estimate(request: "SubmitRequest", as_json: Json = False) -> None:
    """Count the tokens of INPUT and tell what it will cost and how long it will take.

    Nothing is stored, sent or spent. Learns from the answers that are in SQL.
    """
    _estimate(request, as_json=as_json)


@takes_prompts
def run(
    request: "SubmitRequest",
    *,
    rpm: Annotated[
        str | None, Option(metavar="N", help="Requests a minute, for each provider: 500.")
    ] = None,
    tpm: Annotated[
        str | None, Option(metavar="N", help="Tokens a minute, for each provider: 200k.")
    ] = None,
    concurrency: Annotated[
        int | None,
        Option("-c", "--concurrency", min=1, metavar="N", help="Calls open at once."),
    ] = None,
    processes: Annotated[
        int,
        Option(min=1, max=64, metavar="N", help="Worker processes a provider."),
    ] = 1,
    yes: Yes = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Only estimate, as `promptmill estimate` does.")
    ] = False,
    as_json: JsonEvents = False,
    quiet: Annotated[bool, Option("-q", "--quiet", help="No progress.")] = False,
) -> None:
    """Submit INPUT and answer it here; after Ctrl-C the same command goes on."""
    if dry_run:
        _estimate(request, as_json=as_json)
        return
    from promptmill.producer.cli.run import RunOptions, run_batch

    options = RunOptions(rpm=rpm, tpm=tpm, concurrency=concurrency, processes=processes)
    run_batch(request, options, yes=yes, as_json=as_json, quiet=quiet)


@takes_prompts
def submit(request: "SubmitRequest", yes: Yes = False, as_json: Json = False) -> None:
    """Store the prompts of INPUT as a batch, and print its id. The same input is the same batch.

    Nothing is kept unless every line is good. `promptmill run` answers it; so do workers that
    run already.
    """
    from promptmill.producer.cli.submit import submit_batch

    submit_batch(request, yes=yes, as_json=as_json)


def _estimate(request: "SubmitRequest", *, as_json: bool) -> None:
    from promptmill.producer.cli.estimate import show_estimate
    from promptmill.schema.settings import load_settings

    show_estimate(load_settings(), request, as_json=as_json)

"""`demo`, `estimate`, `run`, `submit` and `schedule`."""

from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option, Typer

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
        _estimate(request, as_json=as_json, rpm=rpm, tpm=tpm)
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


schedule = Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
Name = Annotated[str, Argument(metavar="NAME", help="Name of the schedule.")]


@schedule.callback()
def schedule_or_command() -> None:
    """Submit prompts by the clock, again and again. A dispatcher does it, on its machine."""


@schedule.command("add")
def add_schedule(
    name: Name,
    cron: Annotated[
        str, Argument(metavar="CRON", help="When: minute hour day month weekday, '0 2 * * *'.")
    ],
    words: Annotated[
        list[str],
        Argument(metavar="-- INPUT [OPTION]...", help="A file, and options of `submit`."),
    ],
    *,
    timezone: Annotated[
        str, Option(metavar="ZONE", help="By whose clock: UTC, Europe/Berlin.")
    ] = "UTC",
    overlap: Annotated[
        Literal["skip", "allow"],
        Option(metavar="DO", help="skip a time while the batch before is open, or allow it."),
    ] = "skip",
    as_json: Json = False,
) -> None:
    """Submit INPUT at each time of CRON, as a batch of its own.

    promptmill schedule add nightly '0 2 * * *' -- reviews.csv -m gpt-4o-mini --budget 5
    """
    from promptmill.producer.cli.schedule import add

    add(name, cron, words, timezone=timezone, overlap=overlap, as_json=as_json)


@schedule.command("list")
def list_schedules(
    as_json: Annotated[bool, Option("--json", help="One JSON object a schedule.")] = False,
) -> None:
    """List schedules: when each is due, and what came of the time before."""
    from promptmill.producer.cli.schedule import show_all

    show_all(as_json=as_json)


@schedule.command("remove")
def remove_schedule(name: Name) -> None:
    """Submit it no more. Its batches stay."""
    from promptmill.producer.cli.schedule import remove

    remove(name)


@schedule.command("pause")
def pause_schedule(name: Name) -> None:
    """Submit it no more until told."""
    from promptmill.producer.cli.schedule import pause

    pause(name)


@schedule.command("resume")
def resume_schedule(name: Name) -> None:
    """Go on from now; times that were paused over are not caught up."""
    from promptmill.producer.cli.schedule import resume

    resume(name)


@schedule.command("run")
def run_schedule(name: Name, as_json: Json = False) -> None:
    """Submit it once more, now and from here; the times of its clock stay."""
    from promptmill.producer.cli.schedule import run_now

    run_now(name, as_json=as_json)


def _estimate(
    request: "SubmitRequest", *, as_json: bool, rpm: str | None = None, tpm: str | None = None
) -> None:
    from promptmill.producer.cli.estimate import show_estimate
    from promptmill.producer.limits.run_limits import typed_limits, with_limits
    from promptmill.schema.settings import load_settings

    settings = load_settings()
    limited = with_limits(settings, settings.providers, typed_limits(rpm=rpm, tpm=tpm))
    show_estimate(limited, request, as_json=as_json)

"""`pause`, `resume`, `priority`, `retry`, `cancel`, `prune` and `webhooks`."""

from typing import Annotated

from typer import Argument, Option, Typer

from promptmill.producer.cli.verbs.arguments import Batch, BatchId, Json
from promptmill.schema.outcomes import ErrorKind

Target = Annotated[str, Argument(metavar="TARGET", help="A batch id, or a provider's name.")]


def pause(
    target: Target,
    reason: Annotated[
        str, Option(metavar="TEXT", help="Why, for those who ask.")
    ] = "paused by hand",
    as_json: Json = False,
) -> None:
    """Hold a batch, or a provider for all batches, until told. Calls that are open end."""
    from promptmill.producer.cli import control

    control.pause(target, reason=reason, as_json=as_json)


def resume(
    target: Target,
    max_failures: Annotated[
        str | None,
        Option(metavar="N|N%", help="Pause the batch when so many have failed: 300, 10%, none."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a paused batch or provider go on."""
    from promptmill.producer.cli import control

    control.resume(target, max_failures=max_failures, as_json=as_json)


def priority(
    batch: BatchId,
    number: Annotated[
        int, Argument(metavar="N", help="-100 to 100; above 0 goes before all others.")
    ],
    as_json: Json = False,
) -> None:
    """Let a batch go before others, or after them, from now on.

    What is queued already, some seconds of work, goes first. After `--`, N may be below 0:
    promptmill priority 3 -- -50.
    """
    from promptmill.producer.cli import control

    control.priority(batch, number, as_json=as_json)


def retry(
    batch: Batch = None,
    *,
    kind: Annotated[
        ErrorKind | None,
        Option(metavar="KIND", help="Only what failed in this way, as `status` names it."),
    ] = None,
    code: Annotated[
        str | None, Option(metavar="CODE", help="Only with this error code of the provider.")
    ] = None,
    model: Annotated[
        str | None, Option("--model", "-m", metavar="MODEL", help="Only prompts to this model.")
    ] = None,
    held: Annotated[
        bool, Option("--held", help="Only what is held for you, since it may have been billed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try again what failed or is held; of a cancelled batch, what was cancelled too.

    With conditions, only what meets them all. `promptmill results --failed` lists what there is.
    """
    from promptmill.producer.cli import control
    from promptmill.schema.moves.steering import Only

    only = Only(model=model or "", kind=kind or "", code=code or "")
    control.retry(batch, only, held=held, as_json=as_json)


def cancel(batch: BatchId, as_json: Json = False) -> None:
    """Stop a batch. What is answered stays; calls that are open end and are stored.

    It holds at once; a million prompts are then marked in some seconds.
    """
    from promptmill.producer.cli import control

    control.cancel(batch, as_json=as_json)


def prune(
    batches: Annotated[list[int] | None, Argument(metavar="BATCH", help="Only these.")] = None,
    *,
    older_than: Annotated[
        str | None, Option(metavar="AGE", help="All that ended so long ago: 12h, 30d, 8w.")
    ] = None,
    keep_answers: Annotated[
        bool, Option("--keep-answers", help="Delete prompts and earlier attempts only.")
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would go, and delete nothing.")
    ] = False,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete prompts and answers of batches that have ended. What they cost stays known."""
    from promptmill.producer.cli.prune import make_order, prune_batches

    order = make_order(batches or (), older_than, keep_answers=keep_answers)
    prune_batches(order, dry_run=dry_run, yes=yes, as_json=as_json)


webhooks = Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@webhooks.callback()
def webhooks_or_command() -> None:
    """Show what became of webhooks, and send them again."""


@webhooks.command("list")
def list_deliveries(
    batch: Annotated[
        str | None, Argument(metavar="BATCH", help="Only those of this batch.")
    ] = None,
    number: Annotated[
        int, Option("-n", min=1, metavar="N", help="How many, the latest first.")
    ] = 20,
    as_json: Annotated[bool, Option("--json", help="One JSON object a delivery.")] = False,
) -> None:
    """List deliveries, the latest first: state, attempts, and what was answered last."""
    from promptmill.producer.cli.webhooks import list_deliveries

    list_deliveries(batch, number, as_json=as_json)


@webhooks.command()
def send(
    number: Annotated[int, Argument(help="Number of the delivery, as `webhooks list` shows it.")],
) -> None:
    """Have a delivery sent now, by the next dispatcher that looks, whatever became of it."""
    from promptmill.producer.cli.webhooks import send_delivery

    send_delivery(number)


@webhooks.command()
def secret() -> None:
    """Print the secret by which receivers check that a webhook is from here."""
    from promptmill.producer.cli.webhooks import show_secret

    show_secret()

"""`ls`, `status`, `watch` and `limits`."""

from typing import Annotated, Any

from typer import Argument, Option, Typer
from typer.core import TyperGroup

from promptmill.producer.cli.verbs.arguments import Batch, Json, JsonEvents

_SHOW = "show"


def ls(
    number: Annotated[
        int, Option("-n", min=1, metavar="N", help="How many, the latest first.")
    ] = 20,
    live: Annotated[
        bool, Option("--live", help="Also live calls of the gateway, each a batch of one prompt.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="One JSON object a batch.")] = False,
) -> None:
    """List batches, the latest first."""
    from promptmill.producer.cli.listing import list_batches

    list_batches(number, live=live, as_json=as_json)


def status(batch: Batch = None, as_json: Json = False) -> None:
    """Show counts, usage and cost of a batch, why jobs failed, what is paused, and what to do."""
    from promptmill.producer.cli.status import show_status

    show_status(batch, as_json=as_json)


def watch(batch: Batch = None, as_json: JsonEvents = False) -> None:
    """Show the progress of a batch until it ends. Ctrl-C ends the watching only."""
    from promptmill.producer.cli.watch import watch_batch

    watch_batch(batch, as_json=as_json)


class _ShowsByDefault(TyperGroup):
    """`limits openai` is `limits show openai`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word in where another one is."""
        if not args or args[0] not in {*self.commands, *ctx.help_option_names}:
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)


limits = Typer(
    cls=_ShowsByDefault,
    add_completion=False,
    rich_markup_mode=None,
    subcommand_metavar="[PROVIDER[/MODEL]] | COMMAND …",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Limited = Annotated[
    str,
    Argument(
        metavar="PROVIDER[/MODEL]",
        help="A provider, or a model of it; a family by its pattern, quoted: 'openai/gpt-4o*'.",
    ),
]
OfAccount = Annotated[bool, Option("--account", help="Over all models of a key together.")]


@limits.callback()
def limits_or_command() -> None:
    """Show rate limits, or change them live.

    Without a command: show. `promptmill limits openai/gpt-4o` shows one model.
    """


@limits.command(_SHOW, short_help="Show limits, and what they hold back.")
def show(
    of: Annotated[
        str | None,
        Argument(metavar="PROVIDER[/MODEL]", help="Only this provider, or this model of it."),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object a scope.")] = False,
) -> None:
    """Show what is configured, what holds now, what is held back by it, and why."""
    from promptmill.producer.cli.limits import show_limits

    show_limits(of, as_json=as_json)


@limits.command("set", short_help="Set limits for all workers at once.")
def set_(
    target: Limited,
    ceilings: Annotated[
        list[str], Argument(metavar="LIMIT=AMOUNT…", help="Such as: rpm=500 tpm=200k")
    ],
    account: OfAccount = False,
    as_json: Json = False,
) -> None:
    """Set limits for all workers at once, in place of those of the settings.

    rpm, tpm, itpm, otpm (a minute), rpd, tpd (a day), and concurrency of the whole provider.
    """
    from promptmill.producer.cli.limits import order_limits

    order_limits(target, ceilings, account=account, as_json=as_json)


@limits.command()
def unset(
    target: Limited,
    dimensions: Annotated[
        list[str] | None, Argument(metavar="LIMIT", help="Such as rpm; all if left out.")
    ] = None,
    account: OfAccount = False,
    as_json: Json = False,
) -> None:
    """Take back what was set live: the settings hold again."""
    from promptmill.producer.cli.limits import take_back_limits

    take_back_limits(target, dimensions or (), account=account, as_json=as_json)

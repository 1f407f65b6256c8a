"""`worker`, `dispatch`, `serve`, `keys`, `tenants`, `flower`, `db` and `doctor`."""

from typing import Annotated, Literal

from typer import Argument, Option, Typer

from promptmill.producer.cli.verbs.arguments import Json


def worker(
    providers: Annotated[
        list[str] | None,
        Argument(metavar="PROVIDER", help="Whom to ask; all providers if left out."),
    ] = None,
    concurrency: Annotated[
        int | None,
        Option("-c", "--concurrency", metavar="N", help="Calls open at once, of each process."),
    ] = None,
    processes: Annotated[
        int, Option("--processes", min=1, metavar="N", help="Worker processes; one a core at most.")
    ] = 1,
) -> None:
    """Answer prompts until stopped; the first Ctrl-C lets open calls end.

    With --processes, each is a worker of its own; one that dies is started again.
    """
    from promptmill.producer.cli.worker import run_workers

    run_workers(providers or (), concurrency=concurrency, processes=processes)


def dispatch() -> None:
    """Dispatch due jobs and rescue lost ones until stopped; several may run, one leads."""
    from promptmill.producer.cli.dispatch import run_until_stopped

    run_until_stopped()


def serve(
    host: Annotated[str, Option(metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")
    ] = 8000,
) -> None:
    """Serve OpenAI's Files and Batches for every provider; `promptmill keys add` lets clients in.

    Workers and a dispatcher run on their own. Needs the extra `api`.
    """
    from promptmill.producer.cli.serve import serve_gateway

    serve_gateway(host, port)


keys = Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@keys.callback()
def keys_of_the_gateway() -> None:
    """Make, list and revoke keys of the gateway. A key belongs to a tenant."""


@keys.command()
def add(
    tenant: Annotated[
        str, Argument(metavar="TENANT", help="Whose key; a new name makes a new tenant.")
    ],
    label: Annotated[str, Option(metavar="TEXT", help="What it is for, for people.")] = "",
    read_only: Annotated[
        bool, Option("--read-only", help="It may look at files and batches, and no more.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key and print it. It is shown this once: only a hash of it is kept."""
    from promptmill.producer.cli.keys import add_key

    add_key(tenant, label=label, read_only=read_only, as_json=as_json)


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """List all keys, by tenant and by their last four characters."""
    from promptmill.producer.cli.keys import list_keys

    list_keys(as_json=as_json)


@keys.command()
def revoke(
    number: Annotated[int, Argument(help="Number of the key, as `keys list` shows it.")],
) -> None:
    """Let nobody in with a key from now on. Its tenant's batches go on."""
    from promptmill.producer.cli.keys import revoke_key

    revoke_key(number)


tenants = Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@tenants.callback()
def tenants_of_the_gateway() -> None:
    """List tenants of the gateway, and set what they may and what becomes of their prompts."""


@tenants.command("list")
def list_tenants(as_json: Json = False) -> None:
    """List all tenants, with what their batches have cost."""
    from promptmill.producer.cli.tenants import list_tenants

    list_tenants(as_json=as_json)


@tenants.command("set")
def set_tenant(
    tenant: Annotated[str, Argument(help="Its name.")],
    *,
    budget: Annotated[
        str | None,
        Option(metavar="DOLLARS", help="What all its batches may cost together; none: anything."),
    ] = None,
    rpm: Annotated[
        str | None,
        Option(metavar="N", help="Its requests a minute; none: as the settings say."),
    ] = None,
    webhook: Annotated[
        str | None,
        Option(metavar="URL", help="Address that hears of the end of its batches; or none."),
    ] = None,
    mask_pii: Annotated[
        Literal["prompts", "answers", "both", "none"] | None,
        Option(metavar="WHERE", help="Mask personal data in prompts, answers, both, or none."),
    ] = None,
    truncate: Annotated[
        Literal["drop-oldest", "head", "tail", "none"] | None,
        Option(metavar="HOW", help="Cut what is too long: drop-oldest, head, tail; or none."),
    ] = None,
    max_input_tokens: Annotated[
        str | None,
        Option(metavar="N", help="Longer prompts are too long: 4000, 8k; or none."),
    ] = None,
    checks: Annotated[
        Literal["off", "flag", "error", "none"] | None,
        Option(metavar="DO", help="flag or error: scripts and the like; none: as the settings."),
    ] = None,
) -> None:
    """Set what a tenant may, who hears of its batches, or what becomes of its prompts.

    With --webhook, prints the secret of its webhooks, this once: each time it is a new one.
    """
    from promptmill.producer.cli.tenants import TypedOptions, set_tenant

    options = TypedOptions(mask_pii, truncate, max_input_tokens, checks)
    set_tenant(tenant, budget=budget, rpm=rpm, webhook=webhook, options=options)


def flower(
    host: Annotated[str, Option(metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")
    ] = 5555,
) -> None:
    """Show workers, tasks and queues in a browser; read-only, behind a password."""
    from promptmill.producer.cli.flower import serve_flower

    serve_flower(host, port)


db = Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@db.callback()
def database() -> None:
    """Bring the database to this release."""


@db.command()
def upgrade(as_json: Json = False) -> None:
    """Make or change the tables, triggers and views. May be run at any time, by several at once."""
    from promptmill.producer.cli.database import upgrade_tables

    upgrade_tables(as_json=as_json)


def doctor(
    health: Annotated[
        bool, Option("--health", help="For containers: SQL and Redis only, silent if well.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="One JSON object a part.")] = False,
) -> None:
    """Check settings, SQL, Redis, keys, workers and the dispatcher. Exit code 1 if one is bad."""
    from promptmill.producer.cli.doctor import check_parts

    check_parts(health=health, as_json=as_json)

"""`promptmill`: a table of verbs, whose arguments are imported when they are typed.

No `--help` needs Celery, an SDK, SQLAlchemy or rich.
"""

import errno
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from promptmill.producer.cli.mistyped import in_plain_words
from promptmill.producer.cli.output import fail
from promptmill.schema.errors import PromptmillError, ServiceError, SettingsError

_VERBS = "promptmill.producer.cli.verbs"


class Panel(NamedTuple):
    """What a group of verbs is for, and the file in `verbs` that has their arguments."""

    title: str
    module: str


ASK = Panel("Ask", "ask")
WATCH = Panel("Watch", "watch")
TAKE = Panel("Take the answers", "take")
STEER = Panel("Steer", "steer")
SERVE = Panel("Run the parts on their own", "serve")


class Verb(NamedTuple):
    """A line of the table, which is in the order of a day with promptmill."""

    name: str
    """also that of the function, or of a typer app where the verb has verbs of its own"""
    panel: Panel
    help: str


VERBS = (
    Verb("demo", ASK, "Answer 1,000 prompts without a key or network."),
    Verb("estimate", ASK, "Tell what prompts will cost."),
    Verb("run", ASK, "Submit prompts and watch them being answered."),
    Verb("submit", ASK, "Store prompts as a batch, to be answered."),
    Verb("schedule", ASK, "Submit prompts by the clock, again and again."),
    Verb("ls", WATCH, "List batches."),
    Verb("status", WATCH, "Show how far a batch is, and what went wrong."),
    Verb("watch", WATCH, "Follow a batch until it ends."),
    Verb("limits", WATCH, "Show rate limits, or change them live."),
    Verb("results", TAKE, "Show answers, or failures."),
    Verb("export", TAKE, "Write answers to a file."),
    Verb("sql", TAKE, "Ask the database, read-only."),
    Verb("report", TAKE, "Write a batch as an HTML page."),
    Verb("pause", STEER, "Hold a batch or a provider until told."),
    Verb("resume", STEER, "Let a batch or a provider go on."),
    Verb("priority", STEER, "Let a batch go before others."),
    Verb("retry", STEER, "Try again what failed."),
    Verb("cancel", STEER, "Stop a batch; keep what is done."),
    Verb("prune", STEER, "Delete old prompts and answers."),
    Verb("webhooks", STEER, "Show what became of webhooks, and send them again."),
    Verb("worker", SERVE, "Answer the prompts of some providers."),
    Verb("dispatch", SERVE, "Hand out what is due; take back what was lost."),
    Verb("serve", SERVE, "Serve OpenAI's API over HTTP: the gateway."),
    Verb("keys", SERVE, "Make, list and revoke keys of the gateway."),
    Verb("tenants", SERVE, "List tenants of the gateway; set budgets and rates."),
    Verb("flower", SERVE, "Serve Flower, the monitor of tasks."),
    Verb("db", SERVE, "Make the database, or bring it to this release."),
    Verb("doctor", SERVE, "Check that all parts are there."),
)


class _Verbs(TyperGroup):
    """The verbs by what they are for."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that was typed; say in plain words what is wrong with how it was."""
        try:
            return super().invoke(ctx)
        except typer.TyperException as error:
            error.message = in_plain_words(error)
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the table of verbs, a section for each panel."""
        for panel in dict.fromkeys(verb.panel for verb in VERBS):
            with formatter.section(panel.title):
                formatter.write_dl([(one.name, one.help) for one in VERBS if one.panel == panel])


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich's help doubles the CPU of a --help, and is half as long again
    pretty_exceptions_enable=False,  # they print local variables: prompts and keys
    context_settings={"help_option_names": ["-h", "--help"]},
)


class LazyCommand(TyperCommand):
    """Stands for a verb in the list of verbs; the verb itself is made when its turn comes."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(verb.name, help=verb.help, rich_help_panel=verb.panel.title)
        self._verb = verb

    def make_context(self, *args: Any, **keywords: Any) -> Any:
        """Import the verb, and let it parse its own arguments."""
        return load_verb(self._verb).make_context(*args, **keywords)


class _VerbCommand(TyperCommand):
    """A verb: its options by panels, and `-o KEY VALUE`, which takes two words each time."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        for parameter in self.params:
            if "-o" in parameter.opts and parameter.metavar == "KEY VALUE":
                parameter.nargs = 2

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, a section for each panel."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            record = parameter.get_help_record(ctx)
            if record is not None:
                title = getattr(parameter, "rich_help_panel", None) or usual
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the verb that was typed, and exit with its code."""
    try:
        make_command().main(arguments, prog_name="promptmill")
    except PromptmillError as error:
        sys.exit(fail(error))
    except OSError as error:
        if error.filename is not None:
            sys.exit(fail(_unusable(error)))
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()
        sys.exit(fail(ServiceError("no space is left where this was to be written")))


def make_command() -> TyperGroup:
    """Make the command line with all its verbs, none of them imported."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101  an app with a callback is a group
    for verb in VERBS:
        group.add_command(LazyCommand(verb))
    return group


def load_verb(verb: Verb) -> Any:
    """Import a verb, and make the command of it."""
    target = getattr(import_module(f"{_VERBS}.{verb.panel.module}"), verb.name)
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer(add_completion=False, rich_markup_mode=None)
        settings = app.info.context_settings
        made = target.command(
            verb.name, cls=_VerbCommand, context_settings=settings, help=_flowing(function)
        )
        made(function)
    return get_command(target)


def _unusable(error: OSError) -> SettingsError:
    why = (error.strerror or str(error)).lower()
    return SettingsError(
        f"{error.filename} cannot be used: {why}\n"
        "  promptmill keeps its files in the folder that PROMPTMILL_STATE_DIR names, else in"
        " .promptmill of the current folder"
    )


def _drop_output() -> None:
    """Let go of what standard output did not take, or Python fails on it again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _flowing(function: Callable[..., Any]) -> str:
    """Return the docstring with each paragraph as one line, so that any width can wrap it."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # takes a tenth of the CPU of a --help

        typer.echo(version("promptmill"))
        raise typer.Exit


@app.callback()
def promptmill(
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="Tell the version."),
    ] = False,
) -> None:
    """Answer very large batches of LLM prompts, durably.

    To begin: `promptmill demo`, then `promptmill run FILE -m MODEL`.
    """

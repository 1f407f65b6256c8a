"""`promptmill`: a table of verbs, each imported when it is typed.

`promptmill --help` imports no verb, so it needs neither Celery, nor an SDK, nor SQLAlchemy.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from promptmill.producer.cli.output import fail
from promptmill.schema.errors import PromptmillError, SettingsError

ANSWER, WATCH, TAKE = "Ask", "Watch", "Take the answers"
STEER, SERVE = "Steer", "Run the parts on their own"


class Verb(NamedTuple):
    """A line of the table, which is in the order of a day with promptmill."""

    name: str
    panel: str
    help: str
    target: str
    """module:name of the function, or of a typer app where the verb has verbs of its own"""


_CLI = "promptmill.producer.cli"
VERBS = (
    Verb("demo", ANSWER, "Answer 1,000 prompts without a key or network.", f"{_CLI}.demo:demo"),
    Verb("estimate", ANSWER, "Tell what prompts will cost.", f"{_CLI}.estimate:estimate"),
    Verb("run", ANSWER, "Submit prompts and watch them being answered.", f"{_CLI}.run:run"),
    Verb("submit", ANSWER, "Store prompts as a batch, to be answered.", f"{_CLI}.submit:submit"),
    Verb("ls", WATCH, "List batches.", f"{_CLI}.listing:ls"),
    Verb("status", WATCH, "Show how far a batch is, and what went wrong.", f"{_CLI}.status:status"),
    Verb("watch", WATCH, "Follow a batch until it ends.", f"{_CLI}.watch:watch"),
    Verb("limits", WATCH, "Show rate limits, or change them live.", f"{_CLI}.limits:app"),
    Verb("results", TAKE, "Show answers, or failures.", f"{_CLI}.results:results"),
    Verb("export", TAKE, "Write answers to a file.", f"{_CLI}.export:export"),
    Verb("sql", TAKE, "Ask the database, read-only.", f"{_CLI}.sql:sql"),
    Verb("report", TAKE, "Write a batch as an HTML page.", f"{_CLI}.report:report"),
    Verb("pause", STEER, "Hold a batch or a provider until told.", f"{_CLI}.control:pause"),
    Verb("resume", STEER, "Let a batch or a provider go on.", f"{_CLI}.control:resume"),
    Verb("priority", STEER, "Let a batch go before others.", f"{_CLI}.control:priority"),
    Verb("retry", STEER, "Try again what failed.", f"{_CLI}.control:retry"),
    Verb("cancel", STEER, "Stop a batch; keep what is done.", f"{_CLI}.control:cancel"),
    Verb("prune", STEER, "Delete old prompts and answers.", f"{_CLI}.prune:prune"),
    Verb("worker", SERVE, "Answer the prompts of some providers.", f"{_CLI}.worker:worker"),
    Verb("dispatch", SERVE, "Feed the queues and sweep.", f"{_CLI}.dispatch:dispatch"),
    Verb("flower", SERVE, "Serve Flower, the monitor of tasks.", f"{_CLI}.flower:flower"),
    Verb("db", SERVE, "Bring the database to this release.", f"{_CLI}.database:app"),
    Verb("doctor", SERVE, "Check that all parts are there.", f"{_CLI}.doctor:doctor"),
)


class _Verbs(TyperGroup):
    """The verbs by what they are for, in plain text: rich's help doubles the CPU of a --help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, what it is, the options, and the verbs."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the table of verbs, a section for each panel."""
        for panel in dict.fromkeys(verb.panel for verb in VERBS):
            with formatter.section(panel):
                formatter.write_dl([(one.name, one.help) for one in VERBS if one.panel == panel])


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables: prompts and keys
    context_settings={"help_option_names": ["-h", "--help"]},
)


class LazyCommand(TyperCommand):
    """Stands for a verb in the list of verbs; the verb itself is made when its turn comes."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(verb.name, help=verb.help, rich_help_panel=verb.panel)
        self._verb = verb

    def make_context(self, *args: Any, **keywords: Any) -> Any:
        """Import the verb, and let it parse its own arguments."""
        return _load(self._verb).make_context(*args, **keywords)


class _VerbCommand(TyperCommand):
    """A verb. Its `-o KEY VALUE` takes two words each time, which typer by itself cannot say."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        for parameter in self.params:
            if "-o" in parameter.opts and parameter.metavar == "KEY VALUE":
                parameter.nargs = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the verb that was typed, and exit with its code."""
    try:
        make_command().main(arguments, prog_name="promptmill")
    except PromptmillError as error:
        sys.exit(fail(error))
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(fail(_unusable(error)))


def make_command() -> TyperGroup:
    """Make the command line with all its verbs, none of them imported."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101  an app with a callback is a group
    for verb in VERBS:
        group.add_command(LazyCommand(verb))
    return group


def _unusable(error: OSError) -> SettingsError:
    why = (error.strerror or str(error)).lower()
    return SettingsError(
        f"{error.filename} cannot be used: {why}\n"
        "  promptmill keeps its files in the folder that PROMPTMILL_STATE_DIR names, else in"
        " .promptmill of the current folder"
    )


def _load(verb: Verb) -> Any:
    module, _, name = verb.target.partition(":")
    target = getattr(import_module(module), name)
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer(add_completion=False)
        settings = app.info.context_settings
        made = target.command(
            verb.name, cls=_VerbCommand, context_settings=settings, help=_flowing(function)
        )
        made(function)
    return get_command(target)


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
    """Answer very large batches of LLM prompts, durably."""

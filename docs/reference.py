"""Write docs/reference.md: every command, setting and metric, as the code has them.

    ./run reference

`./run test` fails where the page is not what the code would make it.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from promptmill.producer.cli.main import VERBS, load_verb
from promptmill.producer.metrics.table import METRICS
from promptmill.schema.settings import PREFIX, PoolSettings, ProviderSettings, Settings

PAGE = Path(__file__).parent / "reference.md"
_HEAD = """# Reference

Every command, setting and metric, written by `./run reference` from the code. What they are for,
with examples, is on the pages of [commands](cli.md), [settings](settings.md) and
[monitoring](monitoring.md).
"""
_MAPPINGS: dict[str, tuple[str, type[BaseModel]]] = {
    "providers": ("NAME", ProviderSettings),
    "pools": ("NAME", PoolSettings),
}


def main() -> None:
    """Write the page."""
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"{PAGE} written", file=sys.stderr)  # noqa: T201


def reference() -> str:
    """Make the page."""
    blocks = [_HEAD, "## Commands\n", *_commands(), "## Settings\n", _settings(), "## Metrics\n"]
    return "\n".join([*blocks, _metrics()])


def _commands() -> Iterator[str]:
    for verb in VERBS:
        yield from _command(load_verb(verb), f"promptmill {verb.name}")


def _command(command: Any, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield f"### {path}\n"
    yield f"    {' '.join(command.get_usage(context).split()).removeprefix('Usage: ')}\n"
    yield f"{command.help or ''}\n"
    parameters = (each.get_help_record(context) for each in command.get_params(context))
    rows = [record for record in parameters if record and "--help" not in record[0]]
    if rows:
        yield _table(("option", "meaning"), [(f"`{name}`", text) for name, text in rows])
    for name, below in getattr(command, "commands", {}).items():
        yield from _command(below, f"{path} {name}")


def _settings() -> str:
    rows = [
        (f"`{path}`", f"`{PREFIX}{path.replace('.', '__').upper()}`", _default(field), text)
        for path, field, text in _fields(Settings, "")
    ]
    return _table(("setting", "variable", "default", "meaning"), rows)


def _fields(model: type[BaseModel], before: str) -> Iterator[tuple[str, FieldInfo, str]]:
    told = _told(model)
    for name, field in model.model_fields.items():
        below = field.annotation
        if isinstance(below, type) and issubclass(below, BaseModel):
            yield from _fields(below, f"{before}{name}.")
        elif name in _MAPPINGS and not before:
            key, below = _MAPPINGS[name]
            yield from _fields(below, f"{name}.{key}.")
        else:
            yield f"{before}{name}", field, told.get(name, "")


@cache
def _told(model: type[BaseModel]) -> dict[str, str]:
    """Find what stands under each field in the source, of the base classes too."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base.__module__.startswith("promptmill."):
            (made,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(base))).body
            found |= dict(_strings_under_names(made))
    return found


def _strings_under_names(made: Any) -> Iterator[tuple[str, str]]:
    for field, below in zip(made.body, made.body[1:], strict=False):
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            yield field.target.id, " ".join(str(below.value.value).split())


def _default(field: FieldInfo) -> str:
    if field.default in (None, PydanticUndefined):
        return ""
    return f"`{field.default}`"


def _metrics() -> str:
    rows = [
        (
            f"`{each.shown_name}`",
            each.kind,
            ", ".join(f"`{one}`" for one in each.labels),
            each.meaning,
        )
        for each in METRICS
    ]
    return _table(("metric", "kind", "labels", "meaning"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()

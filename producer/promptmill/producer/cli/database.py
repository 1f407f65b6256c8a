"""`promptmill db`: bring the database to this release."""

from typing import Annotated

import typer

from promptmill.producer.cli.output import note, print_json
from promptmill.schema.database import Database, DatabaseError, first_line
from promptmill.schema.errors import ServiceError
from promptmill.schema.migrate import upgrade as upgrade_database
from promptmill.schema.settings import load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def database() -> None:
    """Bring the database to this release."""


@app.command()
def upgrade(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Make or change the tables, triggers and views. May be run at any time, by several at once."""
    opened = Database.from_settings(load_settings())
    try:
        revision = upgrade_database(opened)
    except DatabaseError as error:
        msg = f"the database could not be upgraded: {first_line(error)}"
        raise ServiceError(msg) from None
    finally:
        opened.close()
    if as_json:
        print_json({"revision": revision, "database": opened.dialect})
    else:
        note(f"the {opened.dialect} database is at revision {revision}")

"""`promptmill db`: bring the database to this release."""

from promptmill.producer.cli.output import note, print_json
from promptmill.schema.database import Database, DatabaseError, first_line
from promptmill.schema.errors import ServiceError
from promptmill.schema.migrate import upgrade
from promptmill.schema.settings import load_settings


def upgrade_tables(*, as_json: bool) -> None:
    """Make or change the tables, triggers and views."""
    opened = Database.from_settings(load_settings())
    try:
        revision = upgrade(opened)
    except DatabaseError as error:
        msg = f"the database could not be upgraded: {first_line(error)}"
        raise ServiceError(msg) from None
    finally:
        opened.close()
    if as_json:
        print_json({"revision": revision, "database": opened.dialect})
    else:
        note(f"the {opened.dialect} database is at revision {revision}")

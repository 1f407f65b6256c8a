"""What all tables belong to, and how their constraints and partial indexes are written."""

from typing import Any

from sqlalchemy import MetaData, text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def where(condition: str) -> dict[str, Any]:
    """Make an index hold only the rows of *condition*, on both engines."""
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}

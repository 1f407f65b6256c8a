"""A migrated database of each engine in turn, on a clock that the test moves."""

from tests.schema.conftest import database, postgres_database, scene, sqlite_database

__all__ = ["database", "postgres_database", "scene", "sqlite_database"]

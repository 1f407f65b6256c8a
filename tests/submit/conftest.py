"""Settings and a migrated database, of each engine in turn."""

from tests.services.migrated import database, database_url, scene, settings

__all__ = ["database", "database_url", "scene", "settings"]

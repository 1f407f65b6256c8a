"""Settings and a migrated database, of each engine in turn."""

from tests.services.migrated import database, scene, settings

__all__ = ["database", "scene", "settings"]

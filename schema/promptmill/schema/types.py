"""Column types that read well on both engines."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

BigKey = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; SQLite makes it the rowid only when it is called INTEGER."""


class Instant(TypeDecorator[datetime]):
    """An instant in UTC: timestamptz on PostgreSQL, `2026-11-22T10:37:22.123Z` on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else self.impl_instance)


class JsonText(TypeDecorator[str]):
    """JSON kept as the text that came: json on PostgreSQL (jsonb would rewrite numbers)."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else JSON())

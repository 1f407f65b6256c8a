"""Alembic's entry: run the revisions on the connection that `migrate.upgrade` opened."""

from alembic import context

from promptmill.schema.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction is the one
)
context.run_migrations()

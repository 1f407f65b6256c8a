"""By which secret webhooks are signed."""

from promptmill.schema.database import Database
from promptmill.schema.kept_secrets import kept_secret
from promptmill.schema.settings import Settings
from promptmill.schema.tenants import webhook_secret_name
from promptmill.schema.webhook_settings import new_secret

_OURS = "webhooks"


def webhook_secret(settings: Settings, database: Database, tenant_id: int | None = None) -> str:
    """Return that of a tenant, else that of the settings, else one that the database makes up."""
    if tenant_id is not None:
        return kept_secret(database, webhook_secret_name(tenant_id), new_secret)
    if settings.webhooks.secret is not None:
        return settings.webhooks.secret.reveal()
    return kept_secret(database, _OURS, new_secret)

"""`promptmill serve`: hand over to the gateway, which is a house of its own."""

from importlib.util import find_spec

from promptmill.producer.cli.handover import hand_over
from promptmill.producer.cli.output import note
from promptmill.producer.embedded.valkey import ensure_redis
from promptmill.producer.opening import opened
from promptmill.schema.errors import SettingsError
from promptmill.schema.extras import how_to_install
from promptmill.schema.settings import PREFIX, load_settings
from promptmill.schema.tenants import keys_of_all

_EXTRA = ("fastapi", "uvicorn", "httptools", "python_multipart")


def serve_gateway(host: str, port: int) -> None:
    """Serve on *host* and *port*; 0 takes a free one."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        msg = f"{missing[0]} is not installed: {how_to_install('api')}"
        raise SettingsError(msg)
    settings = load_settings()
    with opened(settings, create=True) as database, database.read() as connection:
        if all(key.revoked_at for key in keys_of_all(connection)):
            note("nobody has a key yet: `promptmill keys add NAME` makes one")
    redis = ensure_redis(settings)
    module = ["promptmill.gateway", host, str(port)]
    hand_over(settings, redis, module, {f"{PREFIX}REDIS_URL": redis.url})

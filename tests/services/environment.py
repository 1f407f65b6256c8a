"""The environment that tests run in: the developer's own keys and settings are no part of it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.services.network import GUARD_FOLDER

_UNWANTED = re.compile(
    r"^(PROMPTMILL|OPENAI|ANTHROPIC|GEMINI|GOOGLE|AWS|CELERY|FLOWER|KOMBU)_"
    r"|_API_KEY(_FILE)?$|^(REDIS|DATABASE)_URL$|^PG[A-Z]+$|_PROXY$|^SSL_CERT_|_CA_BUNDLE$",
    re.IGNORECASE,
)


@contextmanager
def clean_environment() -> Iterator[None]:
    """Take keys, settings and proxies out of the environment; put all back as it was after."""
    before = dict(os.environ)
    for name in [name for name in before if _UNWANTED.search(name)]:
        del os.environ[name]
    paths = [str(GUARD_FOLDER), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

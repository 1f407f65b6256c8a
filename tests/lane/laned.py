"""A provider as the lane serves it, outside a worker."""

import asyncio

from promptmill.schema.settings import Settings
from promptmill.workers.providers.http import open_http
from promptmill.workers.served import Served, serve


def served(name: str, settings: Settings) -> Served:
    async def build() -> Served:
        http = open_http(concurrency=1)
        try:
            return serve(name, settings.providers[name], http)
        finally:
            await http.aclose()

    return asyncio.run(build())

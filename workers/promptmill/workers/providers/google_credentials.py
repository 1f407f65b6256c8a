"""Google Cloud's credentials, as google-auth finds them: a file, a login, or the machine's own.

https://cloud.google.com/docs/authentication/application-default-credentials. A token holds for an
hour; it is asked for again shortly before that.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import google.auth
import requests
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.auth.transport.requests import Request

from promptmill.schema.errors import SettingsError
from promptmill.schema.network import NetworkSettings
from promptmill.workers.providers.blocking import lead
from promptmill.workers.providers.connection import NotConnectedError

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_TOKENS_AT: Final = "https://oauth2.googleapis.com/token"


class GoogleCredentials:
    """See `Signer`. Raises SettingsError where google-auth finds none."""

    def __init__(self, provider: str, network: NetworkSettings) -> None:
        try:
            self.found: Any = google.auth.default(scopes=_SCOPES)[0]
        except DefaultCredentialsError as error:
            msg = (
                f"provider {provider!r} needs Google Cloud's credentials, and google-auth finds"
                " none: name their file in GOOGLE_APPLICATION_CREDENTIALS, or run"
                " `gcloud auth application-default login`"
            )
            raise SettingsError(msg) from error
        session = requests.Session()
        lead(session, network, getattr(self.found, "_token_uri", None) or _TOKENS_AT)
        self._request = Request(session)
        self._asking = asyncio.Lock()

    async def headers(self, url: str, body: bytes) -> Mapping[str, str]:  # noqa: ARG002
        if not self.found.valid:
            async with self._asking:
                if not self.found.valid:
                    await self._ask()
        headers = {"Authorization": f"Bearer {self.found.token}"}
        if project := self.found.quota_project_id:
            headers["x-goog-user-project"] = project
        return headers

    async def _ask(self) -> None:
        try:
            await asyncio.to_thread(self.found.refresh, self._request)
        except GoogleAuthError as error:
            raise NotConnectedError from error

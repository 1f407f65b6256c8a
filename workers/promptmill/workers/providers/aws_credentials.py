"""AWS' credentials, as botocore finds them, and the signature that they make of a request.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html.
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from promptmill.schema.errors import SettingsError
from promptmill.workers.providers.connection import NotConnectedError


class AwsCredentials:
    """See `Signer`. Raises SettingsError where botocore finds none."""

    def __init__(self, provider: str, *, region: str) -> None:
        self._region = region
        self._found = Session().get_credentials()
        if self._found is None:
            msg = (
                f"provider {provider!r} needs AWS' credentials, and botocore finds none: set"
                " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the"
                " provider an API key of Bedrock"
            )
            raise SettingsError(msg)

    async def headers(self, url: str, body: bytes) -> Mapping[str, str]:
        try:
            return await asyncio.to_thread(self._sign, url, body)
        except (BotoCoreError, ClientError) as error:  # they had to be asked for anew
            raise NotConnectedError from error

    def _sign(self, url: str, body: bytes) -> Mapping[str, str]:
        request = AWSRequest(method="POST", url=url, data=body)
        mantle = (urlsplit(url).hostname or "").startswith("bedrock-mantle.")
        service = "bedrock-mantle" if mantle else "bedrock"
        SigV4Auth(self._found.get_frozen_credentials(), service, self._region).add_auth(request)
        return dict(request.headers)

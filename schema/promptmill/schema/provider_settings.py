"""What can be set for one provider: its key, its limits, and how it counts them."""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.secret import Secret

_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_PACIFIC: Final = "America/Los_Angeles"


def parse_amount(value: object) -> object:
    """Read human units: `500`, `200k`, `1.5M`, `30,000`. Anything else is left for pydantic."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmg]?)\s*", value.replace(",", ""), re.IGNORECASE)
    return float(match[1]) * _SCALE[match[2].lower()] if match else value


def from_json(value: object) -> object:
    """Read what a variable of the environment has to hold as one text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        msg = f"write it as JSON, or in promptmill.toml: {error}"
        raise ValueError(msg) from None


def check_zone(name: str) -> str:
    """Return *name* if it is a time zone of the tz database. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a folder's name, `America`, is an OSError
        msg = (
            "there is no such time zone; write a name of the tz database, such as UTC,"
            " Europe/Berlin or America/Los_Angeles"
        )
        raise ValueError(msg) from None
    return name


def check_key(key: Secret) -> Secret:
    """Return *key* if a header can hold it. Raises ValueError, which does not show it."""
    for at, character in enumerate(key.reveal(), start=1):
        if not character.isprintable():
            what = "a line break" if character in "\r\n" else "invisible"
        elif not character.isascii():
            what = "no plain ASCII"
        else:
            continue
        msg = f"character {at} of the key is {what}: set the key alone, as its provider shows it"
        raise ValueError(msg)
    return key


Amount = Annotated[float, BeforeValidator(parse_amount), Field(gt=0, allow_inf_nan=False)]
Zone = Annotated[str, AfterValidator(check_zone)]


class Platform(StrEnum):
    """A cloud that serves the models of others, with addresses and credentials of its own."""

    AZURE = "azure"
    VERTEX = "vertex"
    BEDROCK = "bedrock"


_PLATFORMS: Final = {
    ProviderKind.OPENAI: {Platform.AZURE},
    ProviderKind.ANTHROPIC: {Platform.VERTEX, Platform.BEDROCK},
    ProviderKind.GEMINI: {Platform.VERTEX},
}


class Strict(BaseModel):
    """A section of settings: no other names, and nothing changes after reading."""

    # Built as parts of `Settings`, once: each by itself takes a command 20 ms more.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def unset(cls) -> Self:
        """Make one of which nothing is set. It needs no check, and so none is built for it."""
        return cls.model_construct()


class Ceilings(Strict):
    """Published ceilings; a dimension left out is not enforced until a header tells it."""

    rpm: Amount | None = None
    """requests a minute"""
    tpm: Amount | None = None
    """tokens a minute, input and output"""
    itpm: Amount | None = None
    """input tokens a minute"""
    otpm: Amount | None = None
    """output tokens a minute"""
    rpd: Amount | None = None
    """requests a day"""
    tpd: Amount | None = None
    """tokens a day"""


class LimitSettings(Ceilings):
    """Ceilings of a model or of a family, and how the provider counts them."""

    burst_s: float | None = Field(default=None, ge=0, le=60)
    """Seconds of the limit that the provider's own bucket is told to hold; None or 0: paced."""
    tokens: Literal["max_tokens", "usage", "input"] | None = None
    """How tokens are charged to tpm and tpd; None: as the provider's kind does."""
    cached_input: Literal["counts", "free"] | None = None
    """Whether input that was read from a cache is charged; None: as the provider's kind does."""


Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PriceSettings(Strict):
    """What a model costs, in US dollars a million tokens, where no list knows it or yours differs.

    Hashable, as all in it is.
    """

    input: Dollars | None = None
    output: Dollars | None = None
    cache_read: Dollars | None = None
    """None: as any input"""
    cache_write: Dollars | None = None
    """None: as any input"""
    cache_write_1h: Dollars | None = None
    """kept for an hour; None: as `cache_write`"""
    max_output_tokens: int | None = Field(default=None, gt=0)
    """the longest answer that the model gives, where a request names no maximum"""
    window: int | None = Field(default=None, gt=0)
    """the most tokens that the model takes, with its answer where it counts that too"""

    @model_validator(mode="after")
    def _both_or_none(self) -> "PriceSettings":
        if (self.input is None) != (self.output is None):
            msg = "input and output go together: give both, in dollars a million tokens"
            raise ValueError(msg)
        cached = (self.cache_read, self.cache_write, self.cache_write_1h)
        if self.input is None and cached != (None, None, None):
            msg = "prices of the cache go with input and output"
            raise ValueError(msg)
        return self


def _check_models(models: Mapping[str, LimitSettings]) -> Mapping[str, LimitSettings]:
    if "*" in models:
        msg = "'*' would be every model: write the limits of all models together under `account`"
        raise ValueError(msg)
    if "" in models:
        msg = "a model has no name: write it, or a pattern such as 'claude-opus-4*', as the key"
        raise ValueError(msg)
    return models


class ProviderSettings(Strict):
    """One provider: a queue, a set of limits, a key."""

    kind: ProviderKind
    """whose wire format it speaks: openai, anthropic or gemini"""
    base_url: str | None = None
    """where it is; None: the provider's own address"""
    api_key: Annotated[Secret, AfterValidator(check_key)] | None = None
    """also by the usual names, such as OPENAI_API_KEY"""
    sdk: Literal["google-genai", "google-generativeai"] = "google-genai"
    """which SDK a provider of kind gemini uses"""
    platform: Platform | None = None
    """the cloud that serves its models; None: the vendor itself, or whoever is at `base_url`"""
    project: str | None = None
    """of vertex"""
    region: str | None = None
    """of vertex and bedrock"""
    deployments: dict[str, str] = {}
    """what stands behind a name that is the platform's or your own, for prices and windows"""
    concurrency: int = Field(default=100, gt=0, le=100_000)
    """calls in flight over all workers"""
    read_limit_headers: bool | None = None
    """whether limits are learned from headers; None: only where their meaning is known"""
    batch_api: bool | None = None
    """whether there is a batch API; None: where the address is the provider's own"""
    batch_tokens: Amount | None = None
    """input tokens of one model that may wait there, estimated; None: until the provider refuses"""
    day_starts: Zone | None = None
    """time zone whose midnight sets the day's limits anew; None: as the provider's kind does"""
    limits: LimitSettings = LimitSettings.unset()
    account: Ceilings = Ceilings.unset()
    """ceilings over all models of the key together"""
    models: Annotated[dict[str, LimitSettings], AfterValidator(_check_models)] = {}
    """limits of single models and of families, over those of the provider"""
    prices: dict[str, PriceSettings] = {}
    """prices of single models and of families, over those that ship with promptmill"""

    @property
    def key(self) -> Secret | None:
        """The key that opens it; None where none is set, or another credential does."""
        if self.platform is Platform.VERTEX or self.api_key is None or not self.api_key.reveal():
            return None
        return self.api_key

    @property
    def needs_key(self) -> bool:
        """Whether nothing but a key opens it; else there are credentials that its SDK finds."""
        return self.platform in {None, Platform.AZURE}

    @property
    def fingerprint(self) -> str:
        """Name the account whose limits and pauses are shared; "" where there is none."""
        if (key := self.key) is not None:
            return key.fingerprint
        if self.needs_key:
            return ""
        return Secret(f"{self.platform}/{self.project}/{self.region}").fingerprint

    @property
    def has_batch_api(self) -> bool:
        """Whether jobs may go by the provider's batch API."""
        if self.sdk == "google-generativeai" or self.platform is not None:
            return False
        return self.base_url is None if self.batch_api is None else self.batch_api

    @property
    def day_zone(self) -> ZoneInfo:
        """The zone whose midnight sets the day's limits anew.

        Gemini's is Pacific time (https://ai.google.dev/gemini-api/docs/rate-limits).
        """
        if self.day_starts is not None:
            return ZoneInfo(self.day_starts)
        return ZoneInfo(_PACIFIC if self.kind is ProviderKind.GEMINI else "UTC")

    @model_validator(mode="after")
    def _no_headers_of_gemini(self) -> "ProviderSettings":
        if self.kind is ProviderKind.GEMINI and self.read_limit_headers:
            msg = (
                "read_limit_headers cannot be true for the kind gemini, which tells no limits by"
                " headers: leave it out, and set `limits`"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _a_whole_platform(self) -> "ProviderSettings":
        if self.platform is None:
            return self
        if problem := self._lacks():
            msg = f"platform {self.platform} {problem}"
            raise ValueError(msg)
        return self

    def _lacks(self) -> str | None:
        if self.platform not in _PLATFORMS[self.kind]:
            return f"has no models of the kind {self.kind}"
        match self.platform:
            case Platform.AZURE if self.base_url is None:
                return "needs base_url: https://RESOURCE.openai.azure.com/openai/v1"
            case Platform.VERTEX if not (self.project and self.region):
                return "needs project and region (such as global, or europe-west1)"
            case Platform.VERTEX if self.sdk != "google-genai":
                return "is not spoken by google-generativeai: leave `sdk` out"
            case Platform.BEDROCK if not self.region:
                return "needs region (such as us-east-1)"
        return None

"""What routes and keepers share."""

from dataclasses import dataclass, field
from threading import Event

from starlette.requests import Request

from promptmill.gateway.answering import Answering
from promptmill.gateway.folder import FileFolder
from promptmill.gateway.looks import Looks
from promptmill.gateway.rates import Rates
from promptmill.schema.database import Database
from promptmill.schema.settings import Settings
from promptmill.schema.tenants import Caller


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway of one process."""

    settings: Settings
    database: Database
    folder: FileFolder
    rates: Rates
    answering: Answering
    looks: Looks = field(default_factory=Looks)
    news: Event = field(default_factory=Event)
    """set when a client ordered something: it need not wait for the next look"""


def gateway_of(request: Request) -> Gateway:
    """Return the gateway that has the request."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def caller_of(request: Request) -> Caller:
    """Say whose request it is: the door has let nobody else in."""
    caller: Caller = request.state.caller
    return caller

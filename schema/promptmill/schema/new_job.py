"""A prompt on its way into SQL. It needs nothing else, so a process that reads can be small."""

import msgspec


class NewJob(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One prompt to be stored."""

    position: int
    """line number in the input, from 1"""
    custom_id: str
    provider: str
    model: str
    body: str
    """JSON of the request"""
    request_hash: str
    """hex SHA-256 over body and model"""
    model_no: int = 0
    """which of the models that are asked the same, from 0"""
    masked: dict[str, str] | None = None
    """what words in its body stand for"""
    flags: tuple[str, ...] = ()
    """checks that found something in it"""

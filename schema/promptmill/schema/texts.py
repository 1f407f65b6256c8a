"""The texts in a request."""

from collections.abc import Iterator, Mapping, Sequence


def strings_in(value: object) -> Iterator[str]:
    """Yield each string value in a JSON-like *value*, at any depth; keys are not yielded."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for item in value:
            yield from strings_in(item)

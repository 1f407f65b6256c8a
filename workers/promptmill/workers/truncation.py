"""Make a request shorter: leave turns out, then cut the last one where that is asked for.

What the system says, the tools and the last turn stay; of the last turn only the texts of `head`
and `tail` are cut, the longest first, and only where it does not fit by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptmill.schema.requests import media_parts, texts_in
from promptmill.schema.tokens import PER_MEDIA, PER_MESSAGE, count, count_plain, first_of, last_of
from promptmill.schema.truncation import Truncate
from promptmill.workers.turns import Conversation, conversation_of, replaced, texts_of, without

_CUTS: Mapping[Truncate, Callable[[str, int], str]] = {
    Truncate.HEAD: first_of,
    Truncate.TAIL: last_of,
}


@dataclass(frozen=True, slots=True)
class Shortened:
    """A request that was cut."""

    body: dict[str, Any]
    tokens: int
    """of o200k, as `tokens.count_plain` has them"""
    turns: int
    """left out whole"""


def shorten(body: dict[str, Any], how: Truncate, *, tokens: int, most: int) -> Shortened | None:
    """Cut *body*, which has so many *tokens* of o200k, to *most*. None: it cannot be.

    It counts and cuts by the megabyte a second, so what is long is a thread's work.
    """
    conversation = conversation_of(body)
    if conversation is None or how is Truncate.ERROR:
        return None
    gone, tokens = _leave_out(conversation, how, tokens, most)
    last = conversation.turns[-1] if conversation.turns else ()
    new = {index: conversation.messages[index] for index in last}
    if tokens > most:
        if how not in _CUTS:
            return None
        for index, place, text in _cut_texts(new, most - tokens, _CUTS[how]):
            new[index] = replaced(new[index], place, text)
    messages = without(
        Conversation(
            conversation.place,
            [new.get(index, said) for index, said in enumerate(conversation.messages)],
            conversation.turns,
        ),
        gone,
    )
    shorter = replaced(body, conversation.place, _like(body, conversation, messages))
    left = count_plain(shorter)
    return Shortened(shorter, left, len(gone)) if left <= most else None


def _leave_out(
    conversation: Conversation, how: Truncate, tokens: int, most: int
) -> tuple[list[tuple[int, ...]], int]:
    """Choose turns before the last until the rest fits; return them and what is left."""
    before = conversation.turns[:-1]
    gone: list[tuple[int, ...]] = []
    for turn in reversed(before) if how is Truncate.HEAD else before:
        if tokens <= most:
            break
        gone.append(turn)
        tokens -= sum(_weight(conversation.messages[index]) for index in turn)
    return gone, tokens


def _weight(message: Any) -> int:
    media = media_parts({"messages": [message]})
    return sum(map(count, texts_in(message))) + PER_MESSAGE + PER_MEDIA * media


def _cut_texts(
    messages: Mapping[int, Any], room: int, cut: Callable[[str, int], str]
) -> list[tuple[int, tuple[str | int, ...], str]]:
    """Cut the longest texts to one length, so that they shrink by *room*, which is below 0."""
    found = [
        (index, place, text, count(text))
        for index, message in messages.items()
        for place, text in texts_of(message)
    ]
    level = _level([size for *_, size in found], sum(size for *_, size in found) + room)
    if level < 1:
        return []
    return [(index, place, cut(text, level)) for index, place, text, size in found if size > level]


def _level(sizes: Sequence[int], room: int) -> int:
    """Tell at what length to cut so that all together have *room*; 0: there is none."""
    left = len(sizes)
    for size in sorted(sizes):
        level = room // left
        if size > level:
            return max(level, 0)
        room -= size
        left -= 1
    return max(sizes, default=0)


def _like(body: Mapping[str, Any], conversation: Conversation, messages: list[Any]) -> Any:
    """Give messages back in the form that they had: some are no list."""
    held: Any = body
    for key in conversation.place:
        held = held[key]
    return messages if isinstance(held, list) else messages[0]

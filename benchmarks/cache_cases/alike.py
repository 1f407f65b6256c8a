"""Pairs of prompts, made here and labelled: the second asks the same, or something else.

Each frame is a prompt with places in it, its paraphrases, and its near misses: prompts that read
alike and want another answer. A frame is filled with several sets of words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Pair(NamedTuple):
    """Two prompts of one scope."""

    one: str
    other: str
    kind: str
    """why they are, or are not, the same"""
    same: bool


@dataclass(frozen=True, slots=True)
class _Frame:
    prompt: str
    paraphrases: tuple[str, ...]
    misses: tuple[tuple[str, str], ...]
    """(kind, prompt)"""
    words: tuple[dict[str, str], ...]


_CITIES = (
    {"a": "Lisbon", "b": "Madrid", "n": "3", "m": "5"},
    {"a": "Oslo", "b": "Bergen", "n": "2", "m": "12"},
    {"a": "Kyoto", "b": "Osaka", "n": "7", "m": "4"},
    {"a": "Nairobi", "b": "Mombasa", "n": "10", "m": "20"},
)
_WARES = (
    {"a": "headphones", "b": "earphones", "n": "30", "m": "60"},
    {"a": "the coffee grinder", "b": "the coffee machine", "n": "14", "m": "28"},
    {"a": "a winter jacket", "b": "a summer jacket", "n": "90", "m": "9"},
    {"a": "the desk lamp", "b": "the floor lamp", "n": "7", "m": "21"},
)
_TERMS = (
    {"a": "photosynthesis", "b": "chemosynthesis", "n": "100", "m": "200"},
    {"a": "inflation", "b": "deflation", "n": "50", "m": "80"},
    {"a": "a hash table", "b": "a hash tree", "n": "60", "m": "90"},
    {"a": "the French Revolution", "b": "the Russian Revolution", "n": "120", "m": "40"},
)

# In a long text one word is a small part of it all.
_LETTER = (
    "Summarise this letter in one sentence. Dear team, we have received {a} in good order and are"
    " glad that it came before the weekend. Our people have tried it for some days and {w} with it."
    " Please send the invoice to our office, as you did the last time, and tell us when the spare"
    " parts that we spoke about on the telephone will be at the shop. With kind regards, your"
    " customer of many years."
)


_FRAMES = (
    _Frame(
        "Plan a weekend in {a} for a family with {n} children, with museums and good food.",
        (
            "Plan a weekend trip to {a} for a family with {n} children, museums and good food.",
            "What should a family with {n} children do on a weekend in {a}? Museums and food.",
        ),
        (
            (
                "another name",
                "Plan a weekend in {b} for a family with {n} children, with museums and good food.",
            ),
            (
                "another number",
                "Plan a weekend in {a} for a family with {m} children, with museums and good food.",
            ),
            (
                "negated",
                "Plan a weekend in {a} for a family with {n} children, without museums and food.",
            ),
        ),
        _CITIES,
    ),
    _Frame(
        "How do I get from {a} to {b} by train, and how long does it take?",
        (
            "How can I get from {a} to {b} by train and how long will it take?",
            "Train from {a} to {b}: what is the way, and the time it takes?",
        ),
        (
            ("swapped", "How do I get from {b} to {a} by train, and how long does it take?"),
            ("another word", "How do I get from {a} to {b} by plane, and how long does it take?"),
        ),
        _CITIES,
    ),
    _Frame(
        "A customer wants to return {a}, bought {n} days ago. Write a polite reply: yes.",
        (
            "A customer who bought {a} {n} days ago wants to return it. Write a polite reply: yes.",
            "Write a courteous answer that accepts the return of {a}, bought {n} days ago.",
        ),
        (
            (
                "negated",
                "A customer wants to return {a}, bought {n} days ago. Write a polite reply: no.",
            ),
            (
                "another name",
                "A customer wants to return {b}, bought {n} days ago. Write a polite reply: yes.",
            ),
            (
                "another number",
                "A customer wants to return {a}, bought {m} days ago. Write a polite reply: yes.",
            ),
        ),
        _WARES,
    ),
    _Frame(
        "Is this review of {a} positive? Answer yes or no: I would buy it again.",
        (
            "Is this review of {a} a positive one? Answer yes or no: I would buy it again.",
            "Tell with yes or no whether this review of {a} is positive: I would buy it again.",
        ),
        (
            (
                "negated",
                "Is this review of {a} positive? Answer yes or no: I would not buy it again.",
            ),
            (
                "another word",
                "Is this review of {a} negative? Answer yes or no: I would buy it again.",
            ),
        ),
        _WARES,
    ),
    _Frame(
        "Explain {a} in at most {n} words for pupils who are ten.",
        (
            "In at most {n} words, explain {a} for pupils who are ten.",
            "What is {a}? Say it to ten year old pupils, in no more than {n} words.",
        ),
        (
            ("another name", "Explain {b} in at most {n} words for pupils who are ten."),
            ("another number", "Explain {a} in at most {m} words for pupils who are ten."),
            ("another word", "Explain {a} in at least {n} words for pupils who are ten."),
        ),
        _TERMS,
    ),
    _Frame(
        "List three common misunderstandings about {a}, with one sentence on each.",
        (
            "List three common misconceptions about {a}, with a sentence on each.",
            "What do people often get wrong about {a}? Three points, one sentence each.",
        ),
        (
            (
                "another name",
                "List three common misunderstandings about {b}, with one sentence on each.",
            ),
            (
                "negated",
                "List three things nobody misunderstands about {a}, with one sentence on each.",
            ),
        ),
        _TERMS,
    ),
    _Frame(
        _LETTER.replace("{w}", "are happy"),
        (
            _LETTER.replace("{w}", "are very happy"),
            _LETTER.replace("{w}", "are happy").replace("Summarise this", "Sum up the following"),
        ),
        (
            ("one word of many", _LETTER.replace("{w}", "are unhappy")),
            ("one name of many", _LETTER.replace("{w}", "are happy").replace("{a}", "{b}")),
        ),
        _WARES,
    ),
)


def pairs() -> Iterator[Pair]:
    """Make all pairs, in a fixed order."""
    for frame in _FRAMES:
        for words in frame.words:
            prompt = frame.prompt.format(**words)
            for spelled in _spelled(prompt):
                yield Pair(prompt, spelled, "spelled otherwise", same=True)
            near, far = (text.format(**words) for text in frame.paraphrases)
            yield Pair(prompt, near, "said a little otherwise", same=True)
            yield Pair(prompt, far, "said otherwise", same=True)
            for kind, text in frame.misses:
                yield Pair(prompt, text.format(**words), kind, same=False)


def _spelled(prompt: str) -> Iterator[str]:
    """Write *prompt* as other people type it."""
    yield prompt.lower()
    yield prompt.replace(", ", " ").rstrip(".?")
    yield f"Please: {prompt}"

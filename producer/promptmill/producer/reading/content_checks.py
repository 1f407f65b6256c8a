"""What a prompt should not have in it, where somebody says so: `--checks`.

A person who fills in a form may write anything, and it is a part of a prompt then. Each rule is a
pattern that runs in linear time: what it repeats is bounded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from promptmill.producer.reading.prompt import Prompt
from promptmill.schema.requests import texts_in

RULES: Final = {
    # Steers terminals, turns text round, or is invisible; tabs and line ends do no harm.
    "control": re.compile(
        "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
    ),
    "script": re.compile(
        r"<\s{0,8}/?\s{0,8}(?:script|iframe|object|embed)\b|\bjavascript:"
        r"|\bon(?:error|load|click|mouseover)\s{0,8}=",
        re.IGNORECASE,
    ),
    "template": re.compile(r"\{\{|\{%|<%|\$\{|#\{"),
    "injection": re.compile(
        r"\b(?:ignore|disregard|forget|override)\s{1,8}(?:(?:all|any|the|your|of|my|these)\s{1,8}){0,4}"
        r"(?:previous|prior|above|earlier|preceding|system)\s{1,8}"
        r"(?:instructions?|prompts?|rules|messages?|directions|context)"
        r"|\b(?:reveal|show|print|repeat|output)\s{1,8}(?:me\s{1,8})?(?:your|the)\s{1,8}"
        r"(?:system|hidden|initial|original)\s{1,8}(?:prompt|instructions?|message)"
        r"|\byou\s{1,8}are\s{1,8}now\s{1,8}(?:dan\b|in\s{1,8}(?:developer|debug|god)\s{1,8}mode)"
        r"|<\|(?:im_start|im_end|system|endoftext)\|>|\[/?INST\]|<</?SYS>>",
        re.IGNORECASE,
    ),
}


class Finding(NamedTuple):
    """What was found."""

    rule: str
    """one of `RULES`, `length` or `phrase`"""
    value: str


@dataclass(frozen=True, slots=True)
class ContentChecks:
    """What is looked for, and what becomes of a prompt that has it."""

    refuse: bool
    """the input is refused; otherwise the prompt is marked"""
    rules: tuple[str, ...] = tuple(RULES)
    phrases: tuple[str, ...] = ()
    """found whatever their case"""
    max_characters: int | None = None

    def findings(self, prompt: Prompt) -> Iterator[Finding]:
        """Yield what *prompt* has in it, each rule once."""
        texts = list(texts_in(prompt.request))
        size = sum(map(len, texts))
        if self.max_characters is not None and size > self.max_characters:
            yield Finding("length", f"{size:,} characters")
        text = "\n".join(texts)
        for rule in self.rules:
            if found := RULES[rule].search(text):
                yield Finding(rule, found[0])
        folded = text.casefold() if self.phrases else ""
        if phrase := next((one for one in self.phrases if one.casefold() in folded), None):
            yield Finding("phrase", phrase)

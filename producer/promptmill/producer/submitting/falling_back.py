"""Which other models a batch may be asked of: `--fallback claude-sonnet-4-5:paused,policy`.

Where nobody says, those of the settings, `[fallbacks]`: of these, what an input cannot follow is
left out, while one that was typed is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import chain

from promptmill.producer.estimate.budgets import Routes
from promptmill.producer.reading.parameters import check_taken
from promptmill.producer.routing import Kinds, Route, Router, route
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.fallbacks import Fallback, Rules, When, write_rules
from promptmill.schema.moves.steering import set_fallbacks
from promptmill.schema.settings import FallbackSettings

NONE = "none"
_KNOWN = ", ".join(When)


def parse_fallbacks(texts: Sequence[str]) -> tuple[FallbackSettings, ...]:
    """Read what was typed: models, each with its conditions; `none` for no model.

    A model may have colons in its name: what comes after the last one counts if it is conditions.
    Raises UsageError.
    """
    if NONE in texts:
        if len(texts) > 1:
            msg = "--fallback none goes with no other --fallback"
            raise UsageError(msg)
        return ()
    return tuple(map(_parsed, texts))


def _parsed(text: str) -> FallbackSettings:
    model, colon, tail = text.rpartition(":")
    words = [word.strip() for word in tail.split(",")]
    if colon and model and all(word in set(When) for word in words):
        return FallbackSettings(to=model, when=tuple(dict.fromkeys(map(When, words))))
    if colon and any(get_close_matches(word, list(When), n=1, cutoff=0.7) for word in words):
        msg = f"--fallback {text!r}: {tail!r} are no conditions: write some of {_KNOWN}"
        raise UsageError(msg)
    if not text.strip():
        msg = "--fallback names no model: write MODEL, or MODEL:paused,policy"
        raise UsageError(msg)
    return FallbackSettings(to=text)


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """What is asked for, and what there is to choose from."""

    typed: tuple[FallbackSettings, ...] | None
    """None: those of the settings"""
    usual: Mapping[str, tuple[FallbackSettings, ...]]
    """of the settings: by model, or pattern"""
    parameters: Mapping[str, object]
    """of each request"""

    def rules(self, routes: Routes, router: Router) -> Rules:
        """Say what is asked after each of *routes*. Raises UsageError."""
        found = {}
        for one in dict.fromkeys(chain.from_iterable(routes.values())):
            way = self._way(one, router)
            if way:
                found[one.full] = way
        return found

    def _way(self, asked: Route, router: Router) -> tuple[Fallback, ...]:
        way: dict[str, Fallback] = {}
        for wanted in self._wanted(asked):
            try:
                to = self._target(wanted, router)
            except UsageError as error:
                if self.typed is None:
                    continue
                msg = f"--fallback {wanted.to}: {error}"
                raise UsageError(msg) from None
            if to != asked:
                way.setdefault(to.full, Fallback(to.full, wanted.when))
        return tuple(way.values())

    def _wanted(self, asked: Route) -> tuple[FallbackSettings, ...]:
        if self.typed is not None:
            return self.typed
        for pattern, found in self.usual.items():
            if fnmatchcase(asked.model, pattern) or fnmatchcase(asked.full, pattern):
                return found
        return ()

    def _target(self, wanted: FallbackSettings, router: Router) -> Route:
        kinds: Kinds = router.providers
        to = route(wanted.to, kinds, rules=router.rules, only_for=router.only_for)
        if router.only_for is None:
            check_taken(self.parameters, kinds[to.provider], to.provider)
        return to


def with_fallbacks(routes: Routes, rules: Rules) -> Routes:
    """Add to each of *routes* those that may be asked in its place."""
    return {model: (*found, *_others(found, rules)) for model, found in routes.items()}


def _others(routes: Sequence[Route], rules: Rules) -> Iterator[Route]:
    for one in routes:
        for fallback in rules.get(one.full, ()):
            yield Route(fallback.provider, fallback.model)


def change_fallbacks(database: Database, batch_id: int, rules: Rules) -> None:
    """Let jobs of a batch that is there fall back so from now on."""
    with database.write() as connection:
        set_fallbacks(connection, batch_id, write_rules(rules))

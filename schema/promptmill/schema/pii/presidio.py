"""Presidio beside our own shapes: names, places, and what else its recognisers know.

It is loaded by the first text, in seconds, and never downloads: what it needs is installed, or it
is said what to install.
"""

import logging
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Final

from promptmill.schema.errors import SettingsError
from promptmill.schema.extras import how_to_install
from promptmill.schema.pii.shapes import Found, find, first_of
from promptmill.schema.sections import BLANK, PiiSettings

_FETCHING: Final = ("EmailRecognizer", "UrlRecognizer")
"""Recognisers that fetch the endings of domains from the internet. Our shapes find addresses."""
_NOT_PERSONAL: Final = frozenset({"DATE_TIME", "URL"})
"""Found unless it is asked for what is to be found: `today` is a DATE_TIME."""
_VALUE: Final = re.compile(r'[^"\\\x00-\x1f\x7f]*[^"\\\x00-\x1f\x7f\s]')
"""What a word may stand for: no quote and no line end, so that JSON with values put back is JSON"""
_PIECE: Final = 100_000
"""characters that are looked at together: spaCy needs some kilobytes of memory for each"""


class Presidio:
    """Raises SettingsError where it, or its model, is not installed."""

    def __init__(self, settings: PiiSettings) -> None:
        if find_spec("presidio_analyzer") is None:
            msg = (
                "pii.masker is presidio, which is not installed:"
                f" `{how_to_install('presidio')}`, or leave the setting out"
            )
            raise SettingsError(msg)
        model = settings.model
        if model != BLANK and not Path(model).is_dir() and not _is_package(model):
            msg = (
                f"pii.model is {model!r}, which is not installed, and nothing is downloaded here:"
                f" `python -m spacy download {model}` does, or say {BLANK}: then no names are found"
            )
            raise SettingsError(msg)
        self._settings = settings
        self._alone = Lock()
        self._engine: Any = None

    def find(self, text: str) -> list[Found]:
        """Find what our own shapes find, and beside it what presidio does."""
        ours = find(text)
        with self._alone:  # spaCy promises nothing to threads
            theirs = list(self._found(text))
        return first_of((*ours, *theirs), len(text))

    def _found(self, text: str) -> Iterator[Found]:
        """Find by presidio, the surest first."""
        if self._engine is None:
            self._engine = _loaded(self._settings)
        results = [
            (one.score, start + one.start, start + one.end, one.entity_type)
            for start, piece in _pieces(text)
            for one in self._analyzed(piece)
        ]
        for _, start, end, kind in sorted(results, key=lambda one: (-one[0], one[1])):
            for value in _VALUE.finditer(text, start, end):
                yield Found(value.start(), value.end(), kind)

    def _analyzed(self, piece: str) -> list[Any]:
        settings = self._settings
        found: list[Any] = self._engine.analyze(
            text=piece,
            language=settings.language,
            entities=list(settings.entities) or None,
            score_threshold=settings.score,
        )
        return (
            found
            if settings.entities
            else [one for one in found if one.entity_type not in _NOT_PERSONAL]
        )


def _loaded(settings: PiiSettings) -> Any:
    import spacy  # noqa: PLC0415  seconds
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry  # noqa: PLC0415
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # noqa: PLC0415

    # It warns of each recogniser of another language.
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    language, model = settings.language, settings.model
    nlp = SpacyNlpEngine(models=[{"lang_code": language, "model_name": model}])
    # By us: presidio would download what is not there.
    nlp.nlp = {language: spacy.blank(language) if model == BLANK else spacy.load(model)}
    registry = RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=nlp)
    for name in _FETCHING:
        registry.remove_recognizer(name)
    return AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=[language])


def _is_package(name: str) -> bool:
    return name.isidentifier() and find_spec(name) is not None


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Cut a long text where a word ends."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text):
            blank = text.rfind(" ", start + 1, end)
            end = blank if blank > 0 else end
        yield start, text[start:end]
        start = end

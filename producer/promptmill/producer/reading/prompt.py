"""A checked prompt, and the user's own key for it."""

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Any

import msgspec

from promptmill.producer.reading.lines import Line

MAX_ID_CHARACTERS = 256
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """The input of one call, checked."""

    position: int
    """the line of the input it came from, 1-based"""
    custom_id: str
    body: bytes
    """canonical JSON of an OpenAI chat-completions body without `model`"""
    model: str | None
    """as written (`provider/model` or `model`); None where neither the line nor -m names one"""
    has_files: bool = False
    """whether the body holds files that the input only names"""

    def request_hash(self, model: str | None) -> str:
        """Hash *model* and body, to hex: equal for equal requests, whoever asks."""
        digest = _hash_of_model(model).copy()
        digest.update(self.body)
        return digest.hexdigest()

    @property
    def request(self) -> dict[str, Any]:
        """The body, decoded."""
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded


@lru_cache(maxsize=64)
def _hash_of_model(model: str | None) -> "hashlib._Hash":
    """Start a hash. NUL, which is in no model and no body, keeps the two apart."""
    return hashlib.sha256(f"{model or ''}\0".encode())


def check_custom_id(line: Line, custom_id: object, field: str = "custom_id") -> str:
    """Return *custom_id* if it can name a prompt everywhere; an integer is taken as written."""
    if type(custom_id) is int:
        return str(custom_id)
    if not isinstance(custom_id, str):
        raise line.refused(problem=f"{field} is not a string", fix="write it in quotes")
    if 0 < len(custom_id) <= MAX_ID_CHARACTERS and custom_id.isascii() and custom_id.isprintable():
        return custom_id
    problem = _id_problem(custom_id)
    if problem is not None:
        what, fix = problem
        raise line.refused(problem=f"{field} {what}", fix=fix, value=custom_id)
    return custom_id


def _id_problem(custom_id: str) -> tuple[str, str] | None:
    """Say what is wrong with *custom_id*, and what to do."""
    if not custom_id:
        return "is empty", "give each line a name of its own"
    if len(custom_id) > MAX_ID_CHARACTERS:
        count = f"{len(custom_id):,}"
        return f"has {count} characters, more than {MAX_ID_CHARACTERS}", "shorten or hash it"
    if _CONTROL.search(custom_id):
        return "has a control character in it", "remove it"
    if not unicodedata.is_normalized("NFC", custom_id):
        fix = "compose it: unicodedata.normalize('NFC', ...)"
        return "is not in Unicode's composed form, NFC: two spellings would be two prompts", fix
    return None

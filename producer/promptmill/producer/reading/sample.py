"""A small, even sample of a stream whose length is not known."""

from promptmill.producer.reading.prompt import Prompt

_MAX_PROMPTS = 1000


class Sample:
    """Keeps every k-th prompt, and doubles k when there are too many: no randomness needed."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: list[Prompt] = []
        self._bytes = 0
        self._step = 1
        self._seen = 0

    def offer(self, prompt: Prompt) -> None:
        """Take *prompt* if it is its turn."""
        if self._seen % self._step == 0:
            self._kept.append(prompt)
            self._bytes += len(prompt.body)
            while len(self._kept) > _MAX_PROMPTS or self._bytes > self._max_bytes:
                self._thin()
        self._seen += 1

    def _thin(self) -> None:
        self._step *= 2
        # A single prompt may be larger than all that is allowed: then nothing is kept.
        self._kept = self._kept[::2] if len(self._kept) > 1 else []
        self._bytes = sum(len(prompt.body) for prompt in self._kept)

    @property
    def taken(self) -> tuple[Prompt, ...]:
        return tuple(self._kept)

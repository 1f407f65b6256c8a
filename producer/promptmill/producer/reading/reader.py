"""A pass over an input: one that checks all of it and counts, or one that only reads."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from promptmill.producer.reading.formats import recognise
from promptmill.producer.reading.kinds import PARQUET
from promptmill.producer.reading.options import ReadOptions
from promptmill.producer.reading.prompt import Prompt
from promptmill.producer.reading.sample import Sample
from promptmill.producer.reading.source import Input
from promptmill.schema.errors import InputError, RepeatedError
from promptmill.schema.provider_kinds import ProviderKind
from promptmill.schema.requests import inputs_of


@dataclass(frozen=True, slots=True)
class Checked:
    """What the first pass found: every prompt is good."""

    kind: str
    """what the file was taken for, in words: `CSV`"""
    only_for: ProviderKind | None
    """whose own requests these are, which nobody else can answer"""
    rows: int
    sha256: bytes
    """of the raw bytes, packed as they are"""
    size_bytes: int
    """of the raw input"""
    body_bytes: int
    """of all canonical bodies"""
    models: Mapping[str | None, int]
    """prompts by model"""
    sample: tuple[Prompt, ...]
    """every k-th prompt, at most 1,000 and `ReadOptions.held_bytes`, for an estimate"""
    files_sha256: bytes = b""
    """of the prompts that hold files which the input only names, and whose bytes may change while
    its own do not; empty: there are none"""


class Check:
    """One pass over *source* that checks every line, in bounded memory, and counts."""

    def __init__(self, source: Input, options: ReadOptions) -> None:
        self._source, self._options = source, options
        self._format = recognise(source, options)
        self._models = Counter[str | None]()
        self._sample, self._body_bytes = Sample(options.held_bytes), 0
        self._files = hashlib.sha256()
        self._has_files = False
        self._inputs = 0

    def prompts(self) -> Iterator[Prompt]:
        """Yield the prompts of the input in its order, up to the first bad line.

        Then it looks for more bad lines, up to `max_errors`, and raises InputError: the first, and
        in its text the others.
        """
        models, sample = self._models, self._sample
        for prompt in islice(self._good_prompts(), self._options.limit):
            models[prompt.model] += 1
            self._body_bytes += len(prompt.body)
            sample.offer(prompt)
            if prompt.has_files:
                self._files.update(prompt.body)
                self._has_files = True
            yield prompt

    def checked(self) -> Checked:
        """Say what was found, once all prompts were taken. Raises InputError for a changed file."""
        return Checked(
            kind=self._format.described,
            only_for=self._format.only_for,
            rows=self._models.total(),
            sha256=self._source.sha256,
            size_bytes=self._source.size_bytes,
            body_bytes=self._body_bytes,
            models=self._models,
            sample=self._sample.taken,
            files_sha256=self._files.digest() if self._has_files else b"",
        )

    def _good_prompts(self) -> Iterator[Prompt]:
        errors: list[InputError] = []
        try:
            for item in self._format.prompts(self._source):
                problem = item if isinstance(item, InputError) else self._refused(item)
                if problem is not None:
                    errors.append(problem)
                    if len(errors) >= self._options.max_errors:
                        break
                elif not errors and isinstance(item, Prompt):
                    yield item
        except InputError as error:
            errors.append(error)
        if errors:
            raise _joined(errors)

    def _refused(self, prompt: Prompt) -> InputError | None:
        """Hold a prompt against what refuses it."""
        return self._too_many(prompt) or self._found_in(prompt)

    def _too_many(self, prompt: Prompt) -> InputError | None:
        """Count the texts to embed, where they are bounded."""
        most = self._options.max_inputs
        if most is None or self._inputs > most:  # it was said of the line that was too much
            return None
        self._inputs += inputs_of(prompt.request)
        if self._inputs <= most:
            return None
        return InputError(
            problem=f"up to here there are more than {most:,} texts to embed",
            file=self._source.name,
            line=prompt.position,
            unit=_unit(self._source),
            value="",
            fix="split the file",
        )

    def _found_in(self, prompt: Prompt) -> InputError | None:
        """Hold a prompt against the checks that refuse it."""
        checks = self._options.checks
        finding = next(checks.findings(prompt), None) if checks and checks.refuse else None
        if finding is None:
            return None
        return InputError(
            problem=f"the prompt is refused by the check {finding.rule!r}",
            file=self._source.name,
            line=prompt.position,
            unit=_unit(self._source),
            value=finding.value,
            fix="take it out; --checks flag marks such prompts, and --checks off lets them be",
        )


def check_input(source: Input, options: ReadOptions) -> Checked:
    """Read and check all of *source*. Raises InputError as `Check.prompts` does."""
    check = Check(source, options)
    for _ in check.prompts():
        pass
    return check.checked()


def read_prompts(source: Input, options: ReadOptions) -> Iterator[Prompt]:
    """Yield the prompts of *source* in its order. Raises InputError at the first bad line."""
    return islice(_prompts(source, options), options.limit)


def _prompts(source: Input, options: ReadOptions) -> Iterator[Prompt]:
    for item in recognise(source, options).prompts(source):
        if isinstance(item, InputError):
            raise item
        yield item


def refuse_duplicate(source: Input, options: ReadOptions, custom_id: str) -> InputError:
    """Make the error for a *custom_id* that SQL's unique index refused: find its two lines.

    Reads the input again up to the second one.
    """
    found = (p.position for p in read_prompts(source, options) if p.custom_id == custom_id)
    first, second = next(found, 0), next(found, 0)
    unit = _unit(source)
    return RepeatedError(
        problem=f"the custom_id is that of {unit} {first}, and each must be given once",
        file=source.name,
        line=second,
        unit=unit,
        value=custom_id,
        fix="give each line a custom_id of its own, or name another column with --id-column",
    )


def _unit(source: Input) -> str:
    return "row" if source.head().startswith(PARQUET) else "line"


def _joined(errors: list[InputError]) -> InputError:
    """Put the other bad lines below the first."""
    first, *others = errors
    if not others:
        return first
    also = "\n         ".join(f"{error.unit} {error.line}: {error.problem}" for error in others)
    return InputError(
        problem=first.problem,
        file=first.file,
        line=first.line,
        unit=first.unit,
        value=first.value,
        fix=f"{first.fix}\n  also:  {also}",
        others=[(error.line, error.problem) for error in others],
    )

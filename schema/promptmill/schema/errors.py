"""Every exception that promptmill raises on purpose.

PromptmillError
├── UsageError           what was typed or configured is wrong; costs nothing; exit code 2
│   ├── InputError       a line of an input file, with file, line and value
│   │   └── RepeatedError  a custom_id that an earlier line has
│   ├── OverBudgetError  a single call may cost more than the whole budget
│   └── SettingsError    a setting or key
├── ServiceError         Redis, SQL or a bundled server is not there; exit code 1
└── ContractError        SQL does not look as this release expects

The message says what is wrong and what to do next.
"""

from collections.abc import Sequence


class PromptmillError(Exception):
    """Base of all errors that promptmill raises on purpose."""

    exit_code = 1


class UsageError(PromptmillError):
    """What was typed or configured is wrong. Nothing was spent and nothing was stored."""

    exit_code = 2


class OverBudgetError(UsageError):
    """A single call may cost more than there is for all."""


class InputError(UsageError):
    """A line of an input that cannot become a prompt."""

    def __init__(
        self,
        problem: str,
        *,
        file: str,
        line: int,
        value: str,
        fix: str,
        unit: str = "line",
        others: Sequence[tuple[int, str]] = (),
    ) -> None:
        self.problem, self.file, self.line, self.value, self.fix = problem, file, line, value, fix
        self.unit = unit
        self.others = others
        """more bad lines and what is wrong with each, where they were looked for"""
        shown = value if len(value) <= 120 else value[:117] + "..."
        where = f"{file}, {unit} {line}" if line else file
        super().__init__(f"{where}: {problem}\n  value: {shown!r}\n  fix:   {fix}")


class RepeatedError(InputError):
    """A line whose custom_id is that of an earlier one."""


class SettingsError(UsageError):
    """A setting, key or file of settings that cannot be used."""


class ServiceError(PromptmillError):
    """A service that is needed cannot be reached or started."""


class ContractError(PromptmillError):
    """The database does not look as this release expects."""

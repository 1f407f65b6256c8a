"""A yes before much is spent.

On a terminal it is asked for. Elsewhere nobody can answer, so the command ends and says what to
add, as `apt-get` and `terraform apply` do: a script that spends more than its writer thought is the
case that this is for. `--yes` and `--budget` both say that it was thought of.
"""

import sys
from collections.abc import Callable

import typer

from promptmill.producer.cli.output import note
from promptmill.producer.estimate.budgets import misspelt
from promptmill.producer.figures import plural
from promptmill.producer.submitting.request import Plan, SubmitRequest
from promptmill.schema.database import Database
from promptmill.schema.errors import UsageError
from promptmill.schema.settings import Settings


def confirming(
    settings: Settings, database: Database, request: SubmitRequest, *, yes: bool
) -> Callable[[Plan], None] | None:
    """Make what asks for a yes to a plan. It raises UsageError for a no. None: a yes was given."""
    limited = request.budget is not None and request.budget.micros is not None

    def ask(plan: Plan) -> None:
        if plan.known:
            return
        for doubt in misspelt(plan.routes, settings.providers, settings.pools):
            note(f"{doubt} If not, it is asked, and what it costs is not known.")
        _ask(settings, database, request, plan)

    return None if yes or limited else ask


def _ask(settings: Settings, database: Database, request: SubmitRequest, plan: Plan) -> None:
    from promptmill.producer.cli.estimate import range_text, usd_range
    from promptmill.producer.estimate.forecast import OutputBy, forecast, total_cost, total_likely

    forecasts = forecast(
        plan.checked,
        plan.routes,
        settings.providers,
        database,
        pools=settings.pools,
        truncation=request.truncation,
    )
    likely = total_likely(forecasts)
    if likely is not None and likely <= settings.confirm_above_usd * 1e6:
        return
    cost = total_cost([one for one in forecasts if one.cost_micros is not None])
    verb = "is" if plan.checked.rows == 1 else "are"
    prompts = f"{plural(plan.checked.rows, 'prompt')} {verb}"
    told = f"{prompts} estimated to cost {range_text(cost, usd_range)}"
    if any(one.output_by is OutputBy.LONGEST for one in forecasts):
        told += "; `-o max_tokens N` says how long an answer may be"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        msg = (
            f"{told}.\n  That may be more than {settings.confirm_above_usd:g} dollars: add --budget"
            " USD to limit it, or --yes; nothing was stored or sent"
        )
        raise UsageError(msg)
    if not typer.confirm(f"{told}. Go on?", err=True):
        msg = "nothing was stored or sent"
        raise UsageError(msg)

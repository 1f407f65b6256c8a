"""What was spent, and what of a budget is left, in words and for machines."""

from promptmill.producer.watching.progress import Tally
from promptmill.schema.money import dollars
from promptmill.schema.moves.spending import Spending


def cost_text(tally: Tally) -> str:
    """Name a cost; `+ ?` where some answers have no known price."""
    return dollars(tally.cost_micros) + (" + ?" if tally.unpriced_calls else "")


def budget_text(spending: Spending) -> str:
    """Tell how a budget stands: `$1.20 of $5.00 spent, $0.30 reserved`."""
    if spending.budget is None:
        return f"{dollars(spending.spent)} spent, no budget"
    parts = [f"{dollars(spending.spent)} of {dollars(spending.budget)} spent"]
    if spending.reserved:
        parts.append(f"{dollars(spending.reserved)} reserved")
    if spending.unknown:
        parts.append(f"{dollars(spending.unknown)} perhaps")
    return ", ".join(parts)


def of_budget(spending: Spending | None) -> str:
    """Tell what a cost is to be held against, behind it."""
    if spending is None or spending.budget is None:
        return ""
    return f" of {dollars(spending.budget)}"


def budget_fields(spending: Spending | None) -> dict[str, float | None]:
    """Tell how a budget stands, for machines: in US dollars, null where there is none."""
    if spending is None or spending.budget is None:
        return {"budget_usd": None, "reserved_usd": None, "unknown_usd": None}
    return {
        "budget_usd": spending.budget / 1e6,
        "reserved_usd": spending.reserved / 1e6,
        "unknown_usd": spending.unknown / 1e6,
    }

"""Write a report: one HTML page that has all it needs, loads nothing and runs no script."""

import base64
import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from promptmill.producer.figures import milliseconds, plural
from promptmill.producer.report import headlines
from promptmill.producer.report.facts import Course, Facts
from promptmill.producer.report.headlines import Key
from promptmill.producer.report.plots import REFUSED, progress_plot, refusals_plot, throughputs
from promptmill.producer.report.spreads import spreads
from promptmill.schema.money import dollars

_HERE = Path(__file__).parent
GENERATOR = "promptmill"
"""how each report names its maker"""


def render(facts: Facts) -> str:
    """Write the page. Whatever came with prompts and answers is escaped."""
    style = (_HERE / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    body = _body(facts, facts.course) if facts.course else {"course": None}
    return _template().render(
        style=style,
        style_hash=f"sha256-{digest}",
        generator=f"{GENERATOR} {version('promptmill')}",
        **_head(facts),
        **body,
    )


def _head(facts: Facts) -> dict[str, Any]:
    batch = facts.overview.progress.batch
    return {
        "facts": facts,
        "batch": batch,
        "overall": facts.overview.progress.overall,
        "lead": headlines.lead(facts),
        "origin": (
            f"{plural(batch.total, 'prompt')} of {Path(batch.input_name).name}, submitted"
            f" {headlines.moment(batch.created_at)} UTC"
        ),
        "read_at": headlines.moment(facts.read_at),
        "numbers": list(headlines.numbers(facts)),
        "notices": list(headlines.notices(facts)),
    }


def _body(facts: Facts, course: Course) -> dict[str, Any]:
    refusals = refusals_plot(course)
    counts = refusals[2] if refusals else {}
    return {
        "course": course,
        "began": headlines.moment(course.bins.origin),
        "progress": progress_plot(facts, course),
        "ends": list(headlines.ends(facts)),
        "throughputs": throughputs(facts, course),
        "has_limits": any(group.limits for group in facts.groups),
        "was_given_limits": facts.overview.progress.batch.run_limits is not None,
        "groups_left": headlines.groups_left(facts),
        "spreads": spreads(facts),
        "models": facts.models,
        "total_cost": sum(one.cost_micros for one in facts.models),
        "total_calls": sum(one.calls for one in facts.models),
        "failures_told": headlines.failures_told(facts),
        "failures": headlines.failures(facts),
        "refusals": refusals,
        "refused": [Key(name, f"{n:,}", REFUSED[name][0]) for name, n in counts.items()],
    }


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "n": _coordinate,
        "ms": milliseconds,
        "usd": dollars,
        "cost": headlines.cost,
    }
    return environment.get_template("page.html")


def _coordinate(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

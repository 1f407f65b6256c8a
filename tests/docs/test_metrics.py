"""docs/monitoring.md has a line for each metric, with its kind and labels, and no other."""

import re

from promptmill.producer.metrics.table import METRICS
from tests.docs.pages import page

ROW = re.compile(r"^\| `((?:promptmill|llm)_\w+)` \| (\w+) \| (.*?) \| (.+) \|$", re.MULTILINE)


def test_every_metric_has_its_line_and_no_other_has() -> None:
    rows = [
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in ROW.findall(page("docs/monitoring.md").text)
    ]
    assert rows == [(each.shown_name, each.kind, each.labels) for each in METRICS]


def test_names_are_as_prometheus_wants_them() -> None:
    for each in METRICS:
        assert re.fullmatch(r"(promptmill|llm)_[a-z]+(_[a-z]+)*", each.name), each.name
        assert not each.name.endswith(("_total", "_count", "_sum", "_bucket", "_ms", "_minutes"))
        assert each.meaning.endswith(".")
    assert len({each.name for each in METRICS}) == len(METRICS)

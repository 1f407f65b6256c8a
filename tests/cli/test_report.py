"""`report`: what the page tells of batches as they come, and that it is safe, small and whole."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from promptmill.producer.limits.run_limits import keep_limits
from promptmill.producer.watching.overview import read_overview
from promptmill.schema.moves.endings import fail, finish, snooze
from promptmill.schema.moves.endings import retry as try_again
from promptmill.schema.new_job import NewJob
from tests.cli.promptmill import Here
from tests.schema.scene import ANSWER, ANSWERED, BROKEN, BUSY, MODEL, PROVIDER, REFUSED, Scene

VOID = {"meta", "input", "br"}
EVIL = "</style></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{7*7}}{% x %}"


@dataclass
class Page(HTMLParser):
    """A page taken apart; it must be well formed."""

    text: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} ends where it is not open"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(" ".join(data.split()))

    @property
    def shown(self) -> str:
        return " ".join(filter(None, self.words))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture
def make(promptmill: Here, scene: Scene, tmp_path: Path) -> Callable[..., Page]:
    def made(*arguments: object) -> Page:
        path = tmp_path / "report.html"
        said = promptmill("report", *arguments, "-o", path)
        assert (said.code, said.out) == (0, f"{path}\n"), said.err
        return Page(path.read_text(encoding="utf-8"))

    return made


def play(scene: Scene, batch_id: int) -> None:
    """Answer, refuse, retry and fail over 18 minutes: 12 answered, 4 failed, 4 left."""
    for n in range(16):
        ((job, fence),) = scene.claim(*scene.queue(batch_id, most=1)).items()
        scene.clock.advance(60)
        if n % 5 == 1:
            attempted = BROKEN if n % 2 else BUSY
            scene.close((try_again if n % 2 else snooze)(job, fence, attempted, 5.0))
            scene.clock.advance(10)
            ((job, fence),) = scene.claim(*scene.queue_due()).items()
        if n % 4 == 3:
            scene.close(fail(job, fence, replace(REFUSED, error_text=EVIL, error_code="too_long")))
        else:
            answered = replace(
                ANSWERED, latency_ms=400 + 150 * n, cost_micros=1000 + n, first_token_ms=310
            )
            scene.close(finish(job, fence, answered, ANSWER))


def test_a_batch_at_work_is_told_with_all_its_figures(
    make: Callable[..., Page], scene: Scene
) -> None:
    batch_id = scene.load(20, name="reviews")
    play(scene, batch_id)
    page = make(batch_id)
    assert "In progress: 12 of 20 answered in 16m30s, 4 left." in page.shown
    for heading in ("Progress", "Throughput and limits", "Latency", "Models, tokens and cost"):
        assert heading in page.shown
    assert "; first token 310 ms, 95% within 310 ms" in page.shown
    assert "Refusals and retries" in page.shown
    assert "1 429: rate limit" in page.shown
    assert "2 errors, cut and unusable answers" in page.shown
    assert re.search(r"4 request too_long failed such as row-4 , line 4", page.shown)
    assert "mend these lines" in page.shown
    assert "Slowest custom_id latency cost in out calls row-15" in page.shown
    assert "Dearest custom_id cost latency in out calls row-15" in page.shown
    assert page.count("svg") >= 6
    for name, attributes in page.tags:
        if name == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    assert page.count("details") >= 3


def test_limits_that_the_latest_run_was_given_are_told_later(
    make: Callable[..., Page], promptmill: Here, scene: Scene
) -> None:
    batch_id = scene.load(20)
    play(scene, batch_id)
    keep_limits(scene.database, batch_id, {"rpm": 2.0})
    assert f"{PROVIDER} {MODEL}: 2 requests a minute" in promptmill("status").out
    told = make().shown
    assert "A dashed line is the limit that its latest run was given, else" in told
    assert "2 requests in the busiest minute, 100% of the limit of 2" in told
    keep_limits(scene.database, batch_id, {})
    assert "none is set for these models" in make().shown


def test_the_page_loads_nothing_runs_nothing_and_escapes_what_came(
    make: Callable[..., Page], scene: Scene
) -> None:
    jobs = [NewJob(n, f"{EVIL}{n}", PROVIDER, MODEL, "{}", str(n)) for n in range(1, 21)]
    batch_id = scene.load(20, jobs=jobs, name=EVIL, input_name=EVIL)
    play(scene, batch_id)
    scene.order(f"update batches set state = 'paused', paused_reason = name where id = {batch_id}")
    page = make(batch_id)
    assert page.shown.count(EVIL) >= 6
    assert not {"script", "img", "iframe", "link", "a"} & {name for name, _ in page.tags}
    for _, attributes in page.tags:
        assert not {"src", "href", "style"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    (policy,) = (
        attributes["content"] or ""
        for _, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert not re.search(r"https?://|url\(|@import", page.text)


def test_a_batch_of_which_nothing_was_sent_has_no_plots(
    make: Callable[..., Page], scene: Scene
) -> None:
    page = make(scene.load(3))
    assert "In progress: 0 of 3 answered, 3 left." in page.shown
    assert "nothing to draw" in page.shown
    assert page.count("svg") == 0


def test_one_job_is_told_in_words_and_plots(make: Callable[..., Page], scene: Scene) -> None:
    job, fence = scene.running()
    scene.clock.advance(1.5)
    scene.close(finish(job, fence, ANSWERED, ANSWER))
    page = make()
    assert "The one prompt was answered in 2s." in page.shown
    assert "120 tokens in 2s" in page.shown
    assert "Every call gave an answer: no 429, no error, nothing to try again." in page.shown
    assert "p50 1.2 s" in page.shown


def test_a_batch_in_which_all_failed_says_why(make: Callable[..., Page], scene: Scene) -> None:
    fences = scene.claim(*scene.queue(scene.load(3)))
    scene.clock.advance(1)
    scene.close(*(fail(*pair, REFUSED) for pair in fences.items()))
    page = make()
    assert "None of 3 prompts was answered in 1s." in page.shown
    assert "3 100%, 1 reason" in page.shown
    assert "nothing answered" in page.shown
    assert "Latency How long" not in page.shown


def test_an_answer_whose_price_is_unknown_has_no_cost(
    make: Callable[..., Page], scene: Scene
) -> None:
    job, fence = scene.running()
    scene.close(finish(job, fence, replace(ANSWERED, cost_micros=None), ANSWER))
    assert "Cost unknown" in make().shown


def test_prompts_are_named_by_id_and_shown_only_when_asked_for(
    make: Callable[..., Page], scene: Scene
) -> None:
    play(scene, scene.load(20))
    assert "2 + 2" not in make().shown
    assert "2 + 2" in make("--prompts").shown


def test_many_models_have_no_more_plots_than_can_be_read(
    make: Callable[..., Page], scene: Scene
) -> None:
    models = [f"gpt-{n}" for n in range(9)]
    jobs = [NewJob(n, f"r{n}", PROVIDER, model, "{}", "") for n, model in enumerate(models, 1)]
    batch_id = scene.load(9, jobs=jobs)
    for model in models:
        ((job, fence),) = scene.claim(*scene.queue(batch_id, model=model)).items()
        scene.close(finish(job, fence, ANSWERED, ANSWER))
    page = make()
    assert "3 models with fewer calls have no plot" in page.shown
    assert all(model in page.shown for model in models)
    assert len(page.text) < 300_000


def test_what_is_shown_adds_up(make: Callable[..., Page], scene: Scene) -> None:
    batch_id = scene.load(20)
    play(scene, batch_id)
    tables = re.findall(r"<tbody>(.*?)</tbody>", make().text, re.DOTALL)
    rows = [[re.findall(r"<td>(.*?)</td>", row) for row in one.split("</tr>")] for one in tables]
    overall = read_overview(scene.database, batch_id).progress.overall
    assert rows[0][-2][1:] == [f"{overall.succeeded}", f"{overall.failed}", "0"]
    assert sum(int(row[1]) for row in rows[1] if row) == 19
    assert sum(int(row[2]) for row in rows[1] if row) == overall.input_tokens


def test_nothing_but_a_report_is_written_over(
    promptmill: Here, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    batch_id = scene.load(1)
    assert promptmill("report").out == f"report-{batch_id}.html\n"
    assert promptmill("report", batch_id).code == 0
    Path("prompts.jsonl").write_text("{}", encoding="utf-8")
    said = promptmill("report", "-o", "prompts.jsonl")
    assert (said.code, "is no report" in said.err) == (2, True)
    assert promptmill("report", "-o", "no/folder.html").code == 2
    assert {path.name for path in tmp_path.iterdir()} >= {"prompts.jsonl"}
    assert not list(tmp_path.glob(".report*"))
    assert promptmill("report", "-o", "-").out.startswith("<!doctype html>")

"""Take the pictures of the documentation. Nothing in them is drawn by hand.

    ./run pictures             all of them
    ./run pictures terminal    docs/terminal.svg: what `./run demo` prints on a terminal
    ./run pictures report      docs/report-*.webp: a report in a real Chromium, light and dark
    ./run pictures flower      docs/flower.webp, pictures/flower-*.png: Flower in a real Chromium

Flower shows a small batch at work against the simulator, some of it refused, failed and waiting;
the report is of a larger one. A page that lacks what it must show is an error, and so are a report
that its own policy keeps from showing something, and a picture of more than 200 kB. Chromium is
PROMPTMILL_CHROMIUM, or is on PATH.
"""

import fcntl
import html
import json
import os
import pty
import re
import secrets
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from threading import Event
from time import monotonic

from rich.console import Console
from rich.text import Text

from promptmill.producer.cli.flower import flower_module, free_port
from promptmill.producer.embedded.crew import Crew
from promptmill.producer.embedded.tether import tethered
from promptmill.producer.report import make_report
from promptmill.producer.submitting.request import SubmitRequest
from promptmill.producer.submitting.submission import submit
from promptmill.producer.watching.progress import read_progress
from promptmill.schema.database import Database
from promptmill.schema.migrate import upgrade
from promptmill.schema.settings import PREFIX, load_settings
from promptmill.simulator import Simulator, SimulatorConfig

ROOT = Path(__file__).parents[1]
TERMINAL = ROOT / "docs" / "terminal.svg"
FLOWER = ROOT / "docs" / "flower.webp"
PICTURES = ROOT / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
COLUMNS, ROWS = 100, 45
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash"}
PROMPTS = 150
REPORT_PROMPTS, REPORT_RPM = 2400, 1500
REPORT_SIZE = "1120,3260"
SCHEMES = {"dark": 0, "light": 1}
"""as Chromium numbers them"""
LARGEST = 200_000


@dataclass(frozen=True, slots=True)
class Page:
    """A page of Flower, and what must be on it, as regular expressions."""

    name: str
    path: str
    must: tuple[str, ...]

    @property
    def file(self) -> Path:
        """Where its picture is kept."""
        return FLOWER if self.name == "tasks" else PICTURES / f"flower-{self.name}.png"


BROKER = Page("broker", "/broker", (r"promptmill\.openai</td>\s*<td[^>]*>[1-9]",))
PAGES = (
    Page("workers", "/workers", ("worker-openai-1-", "worker-gemini-1-", "Online")),
    Page("tasks", "/tasks", (r"batch 1 line \d+ ", r"ok in=\d+ out=\d+ \$", "SUCCESS")),
    Page("failed", "/tasks?state=FAILURE", ("FAILURE", "request 400")),
    Page("waiting", "/tasks?state=RETRY", ("RETRY", r"transient 500.*, again in")),
    Page("task", "/task/job-1", ("batch 1 line 1 ", r"ok in=\d+")),
)


def main() -> None:
    makers: dict[str, Callable[[], None]] = {
        "terminal": take_terminal,
        "report": take_report,
        "flower": take_flower,
    }
    wanted = sys.argv[1:] or list(makers)
    if not set(wanted) <= set(makers):
        sys.exit(f"./run pictures [{' | '.join(makers)}]")
    for name in wanted:
        makers[name]()


def take_terminal() -> None:
    """Record the demo on a terminal of its own, and keep what is on the screen at its end."""
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        status, output = run_on_a_terminal(
            [sys.executable, "-m", "promptmill.producer", "demo"], folder
        )
    if status:
        sys.exit(f"the demo ended with {status}:\n{output[-2000:]}")
    console = Console(record=True, width=COLUMNS, file=StringIO())
    console.print(Text.from_ansi("\x1b[2m$\x1b[0m \x1b[1m./run demo\x1b[0m"))
    for line in screen(output.rstrip().replace(folder, "~/promptmill")):
        console.print(Text.from_ansi(line))
    console.print()  # or the last line is cut at its foot
    svg = console.export_svg(title="promptmill")
    # A picture asks no other site for its font.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    TERMINAL.write_text(svg, encoding="utf-8")
    say(TERMINAL)


def run_on_a_terminal(command: Sequence[str], folder: str) -> tuple[int, str]:
    """Run *command* in *folder* with a terminal for its output; return exit status and output."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    outer = os.environ  # noqa: TID251  handed on
    env = {name: outer[name] for name in ("PATH", "HOME", "LANG") if name in outer}
    env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    output = b""
    try:
        while found := os.read(ours, 65536):
            output += found
    except OSError:
        pass  # how Linux tells the end of a terminal
    os.close(ours)
    return process.wait(), output.decode()


def screen(output: str) -> list[str]:
    """Return the lines that stand on a terminal after *output*, as far as rich moves the cursor."""
    lines, row = [""], 0
    for part in re.split(r"(\n|\r|\x1b\[1A|\x1b\[2K|\x1b\[\?25[lh])", output):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part != "\r" and not part.startswith("\x1b[?"):
            lines[row] += part
    return lines


def take_report() -> None:
    """Answer a batch at its limits, write its report, and take a picture of it in both schemes."""
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="pm-") as folder, chdir(folder):
        page, must = report_of_a_batch(Path(folder))
        file = Path(folder) / "report.html"
        file.write_text(page, encoding="utf-8")
        for scheme, number in SCHEMES.items():
            picture = ROOT / "docs" / f"report-{scheme}.webp"
            wanted = f"--blink-settings=preferredColorScheme={number}"
            dom = open_page(browser, file.as_uri(), picture, REPORT_SIZE, wanted)
            missing = [part for part in must if not re.search(part, dom)]
            if missing or picture.stat().st_size > LARGEST:
                sys.exit(f"{picture} lacks {missing}, or is larger than {LARGEST} bytes")
            say(picture)


def report_of_a_batch(folder: Path) -> tuple[str, list[str]]:
    """Return the page, and what must be on it, as regular expressions."""
    with Simulator(SimulatorConfig(latency_s=0.9, latency_sigma=0.5, seed=7)) as simulator:
        simulator.add_fault("rate", every=157, retry_after="1")
        simulator.add_fault("server_error", every=61)
        simulator.add_fault("overloaded", every=211)
        simulator.add_fault("content_policy", contains="37: it")
        simulator.add_fault("context_length", contains="333: it")
        urls = provider_settings(simulator)
        limits = {
            f"{PREFIX}PROVIDERS__{name.upper()}__LIMITS__RPM": str(REPORT_RPM) for name in MODELS
        }
        settings = load_settings(
            state_dir=folder / "state",
            redis_url=None,
            database_url=None,
            providers={
                name: {"kind": name, "limits": {"rpm": REPORT_RPM}, "api_key": "none"}
                for name in MODELS
            },
        )
        database = Database.from_settings(settings)
        upgrade(database)
        prompts = write_prompts(folder, REPORT_PROMPTS)
        batch_id = submit(database, SubmitRequest(prompts), settings).batch_id
        with Crew(settings, env=urls | limits) as crew:
            crew.start_dispatcher()
            for provider in MODELS:
                crew.start_worker(provider)
            wait_for(lambda: read_progress(database, batch_id).finished, "answers", timeout_s=300)
            crew.stop()
        page = make_report(database, settings, batch_id)
        overall = read_progress(database, batch_id).overall
        database.close()
    must = [
        f">{overall.succeeded:,}</dd>",
        f">{overall.failed:,}</dd>",
        f"limit {REPORT_RPM / 1000:g}k",
    ]
    must += [f"{name} {model}" for name, model in MODELS.items()]
    return page, [*must, r"429: rate limit", "content_policy", "context_length", "p95 ", "Dearest"]


def take_flower() -> None:
    """Answer a small batch, and take a picture of each page of Flower."""
    browser = find_browser()
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pm-") as folder,
        chdir(folder),
        flower_beside_a_batch(Path(folder)) as (url, answer),
    ):
        photograph(browser, url, BROKER)
        answer()
        for page in PAGES:
            photograph(browser, url, page)


def find_browser() -> str:
    names = [os.environ.get(f"{PREFIX}CHROMIUM", ""), *BROWSERS]  # noqa: TID251  no part of promptmill
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        sys.exit(f"no Chromium: set {PREFIX}CHROMIUM, or put one of {', '.join(BROWSERS)} on PATH")
    return found


def photograph(browser: str, url: str, page: Page) -> None:
    """Open a page, again until all that it must show is there, and keep the picture."""

    def shows_all() -> bool:
        dom = open_page(browser, url + page.path, page.file)
        return all(re.search(part, dom) for part in page.must)

    wait_for(shows_all, f"{page.path} to show {page.must}, see {page.file}", timeout_s=40)
    if page.file == FLOWER and page.file.stat().st_size > LARGEST:
        sys.exit(f"{page.file} is larger than {LARGEST} bytes")
    say(page.file)


def open_page(browser: str, url: str, picture: Path, size: str = "1600,1000", *more: str) -> str:
    """Take a picture of a page once its scripts have run; return its elements as text."""
    options = ["--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update"]
    options += [f"--window-size={size}", "--virtual-time-budget=3000", "--enable-logging=stderr"]
    options += more
    options += ["--no-sandbox"] * (os.geteuid() == 0)  # Chromium refuses to be root in one
    with tempfile.TemporaryDirectory(prefix="pm-browser-", ignore_cleanup_errors=True) as profile:
        command = [browser, *options, f"--user-data-dir={profile}", f"--screenshot={picture}"]
        done = subprocess.run(
            [*command, "--dump-dom", url], capture_output=True, text=True, check=False, timeout=120
        )
    if done.returncode or not picture.exists():
        sys.exit(f"{browser} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    if "Content Security Policy" in done.stderr:
        sys.exit(f"{url} is kept from showing something:\n{done.stderr[-2000:]}")
    return html.unescape(done.stdout)


@contextmanager
def flower_beside_a_batch(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Fill the queues and start Flower; yield its URL, and what answers the prompts."""
    with Simulator(SimulatorConfig(latency_s=0.8, latency_sigma=0.4, seed=7)) as simulator:
        for number in (22, 47, 66, 92, 114):
            simulator.add_fault("server_error", contains=f"Review {number}:", retry_after="600")
        for number in (48, 59, 82, 120):
            simulator.add_fault("content_policy", contains=f"Review {number}:")
        simulator.add_fault("rate", every=61, retry_after="1")
        settings = load_settings(state_dir=folder / "state", redis_url=None, database_url=None)
        database = Database.from_settings(settings)
        upgrade(database)
        batch_id = submit(database, SubmitRequest(write_prompts(folder)), settings).batch_id
        with Crew(settings, env=provider_settings(simulator)) as crew:

            def answer() -> None:
                for provider in MODELS:
                    crew.start_worker(provider)
                wait_for(lambda: is_answered(database, batch_id), "answers", timeout_s=120)

            crew.start_dispatcher()
            login, port = f"promptmill:{secrets.token_hex(8)}", free_port("127.0.0.1", 0)
            command = tethered(flower_module("127.0.0.1", port), grace_s=10)
            crew.start_other("flower", command, {"FLOWER_BASIC_AUTH": login})
            wait_for(lambda: is_up(f"http://127.0.0.1:{port}/healthcheck"), "Flower to answer")
            yield f"http://{login}@127.0.0.1:{port}", answer
            crew.stop()
        database.close()


def write_prompts(folder: Path, count: int = PROMPTS) -> Path:
    path = folder / "reviews.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = f"Is this review kind? Answer yes or no. Review {number}: it came on time."
            body = {
                "model": list(MODELS.values())[number % len(MODELS)],
                "messages": [{"role": "user", "content": text}],
                "max_tokens": 100,
            }
            line = {"method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps({"custom_id": f"review-{number}", **line}) + "\n")
    return path


def provider_settings(simulator: Simulator) -> dict[str, str]:
    """Send the workers to the simulator."""
    urls = (simulator.openai_url, simulator.anthropic_url, simulator.gemini_url)
    env = {}
    for provider, url in zip(MODELS, urls, strict=True):
        env[f"{PREFIX}PROVIDERS__{provider.upper()}__BASE_URL"] = url
        env[f"{PREFIX}PROVIDERS__{provider.upper()}__API_KEY"] = "a-key-of-the-simulator"
    return env


def is_answered(database: Database, batch_id: int) -> bool:
    """Say whether nothing moves any more: what is left waits for its second attempt."""
    overall = read_progress(database, batch_id).overall
    return overall.ended + overall.waiting == overall.total


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310  our own URL
            return bool(reply.status == 200)
    except OSError:
        return False


def wait_for(predicate: Callable[[], bool], what: str, *, timeout_s: float = 40.0) -> None:
    deadline = monotonic() + timeout_s
    while not predicate():
        if monotonic() > deadline:
            sys.exit(f"waited {timeout_s:.0f} s for {what}")
        Event().wait(0.1)


def say(file: Path) -> None:
    sys.stderr.write(f"{file.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

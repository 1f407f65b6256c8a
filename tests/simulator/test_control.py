"""What is said to the simulator itself, over HTTP and on the command line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptmill.simulator import Simulator, SimulatorConfig
from promptmill.simulator.engine import Engine
from tests.simulator.clients import Sdks

PATIENCE_S = 20.0


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(verify=False, timeout=PATIENCE_S) as client:
        yield client


def test_the_bill_is_read_and_begun_anew_over_http(
    simulator: Simulator, sdks: Sdks, http: httpx2.Client
) -> None:
    for number in range(3):
        sdks.ask("openai", simulator, f"prompt {number}")
    rows = http.get(f"{simulator.url}/_simulator/bill").json()
    assert [row["sequence"] for row in rows] == [1, 2, 3]
    page = http.get(f"{simulator.url}/_simulator/bill?after=1&limit=1").json()
    assert [row["sequence"] for row in page] == [2]
    summary = http.get(f"{simulator.url}/_simulator/bill/summary").json()
    assert summary["providers"]["openai"]["billed"] == 3
    assert http.delete(f"{simulator.url}/_simulator/bill").status_code == 204
    assert http.get(f"{simulator.url}/_simulator/bill").json() == []


def test_faults_and_limits_are_set_over_http(
    simulator: Simulator, sdks: Sdks, http: httpx2.Client
) -> None:
    http.post(f"{simulator.url}/_simulator/faults", json=[{"kind": "empty_object"}])
    assert sdks.ask("openai", simulator).choices is None
    http.delete(f"{simulator.url}/_simulator/faults")
    change = {"limits": {"rpm": 5, "shape": "fixed_minute"}, "latency_s": 0.001}
    http.put(f"{simulator.url}/_simulator/config", json=change)
    for _ in range(5):
        sdks.ask("openai", simulator)
    rows = simulator.bill()
    with pytest.raises(Exception, match="Limit 5"):
        sdks.ask("openai", simulator)
    assert all(row.status == 200 for row in rows)


@pytest.mark.parametrize(
    ("what", "body", "status", "said"),
    [
        ("PUT config", {"latency": 1}, 400, "latency"),
        ("PUT config", {"limits": {"rpm": -1}}, 400, "rpm"),
        ("PUT config", {"limits": {"shape": "fixed_minute", "burst_s": 1}}, 400, "bucket"),
        ("POST faults", {"kind": "gremlins"}, 400, "gremlins"),
        ("POST faults", {"kind": "rate", "probability": 2}, 400, "probability"),
        ("GET nothing", None, 404, "nothing answers"),
    ],
)
def test_what_is_said_wrong_is_refused_with_the_reason(
    what: str,
    body: dict[str, Any] | None,
    status: int,
    said: str,
    *,
    simulator: Simulator,
    http: httpx2.Client,
) -> None:
    method, path = what.split()
    answer = http.request(method, f"{simulator.url}/_simulator/{path}", json=body)
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


def test_settings_change_from_the_next_request_on(simulator: Simulator, sdks: Sdks) -> None:
    simulator.configure(answer_tokens=3)
    assert sdks.ask("anthropic", simulator).usage.output_tokens == 3


def test_a_change_that_leaves_the_limits_alone_leaves_what_is_used_of_them() -> None:
    engine = Engine(SimulatorConfig())
    before = engine._limiter
    engine.configure(SimulatorConfig(latency_s=1))
    assert engine._limiter is before


@given(st.integers(0, 2**32))
def test_latencies_are_lognormal_about_their_median_and_repeat_with_the_seed(seed: int) -> None:
    config = SimulatorConfig(latency_s=0.5, latency_sigma=0.4, seed=seed)
    drawn = [[engine._latency() for _ in range(400)] for engine in (Engine(config), Engine(config))]
    assert drawn[0] == drawn[1]
    assert 0.4 < sorted(drawn[0])[200] < 0.6


@pytest.fixture
def run() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "promptmill.simulator", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def first_line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def test_the_command_tells_its_addresses_and_ends_with_sigterm(
    run: Callable[..., "subprocess.Popen[str]"], http: httpx2.Client, tmp_path: Path
) -> None:
    config = tmp_path / "simulator.toml"
    config.write_text('answer_tokens = 7\nlatency_s = 9\n[limits]\nrpm = 5\nshape = "per_second"\n')
    fault = '{"kind": "rate", "every": 2}'
    process = run("--config", str(config), "--latency", "0", "--tpm", "200k", "--fault", fault)
    told = first_line(process)
    assert told["openai_url"] == told["url"] + "/v1"
    assert told["anthropic_url"] == told["gemini_url"] == told["url"]
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    answer = http.post(f"{told['openai_url']}/chat/completions", json=body)
    assert answer.json()["usage"]["completion_tokens"] == 7
    assert answer.headers["x-ratelimit-limit-requests"] == "5"
    assert answer.headers["x-ratelimit-limit-tokens"] == "200000"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0


def test_the_command_can_be_told_to_tell_less(
    run: Callable[..., "subprocess.Popen[str]"], http: httpx2.Client
) -> None:
    process = run("--rpm", "60", "--burst", "1", "--no-limit-headers", "--no-retry-after")
    url = f"{first_line(process)['openai_url']}/chat/completions"
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    answers = [http.post(url, json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    told = [name for answer in answers for name in answer.headers]
    assert not any("ratelimit" in name or "retry" in name for name in told)


def test_the_command_ends_with_its_parent(run: Callable[..., "subprocess.Popen[str]"]) -> None:
    read_end, write_end = os.pipe()
    process = run("--parent-fd", str(read_end), pass_fds=[read_end])
    os.close(read_end)
    first_line(process)
    os.close(write_end)
    assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rpm", "many"], "200k"),
        (["--fault", '{"kind": "gremlins"}'], "gremlins"),
        (["--config", "absent.toml"], "absent.toml"),
        (["--port", "99999"], "port"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(
    arguments: list[str], said: str, run: Callable[..., "subprocess.Popen[str]"]
) -> None:
    process = run(*arguments)
    _, problem = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert said in problem


def test_a_port_that_is_taken_is_an_error_in_the_caller(simulator: Simulator) -> None:
    port = int(simulator.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"), Simulator(SimulatorConfig(port=port)):
        pass

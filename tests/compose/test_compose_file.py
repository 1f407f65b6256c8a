"""What docker-compose.yml promises, read from what the real compose program makes of it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from promptmill.schema.settings import load_settings
from tests.services.compose import ROOT, local_command, resolved, run_compose

OURS = "promptmill:local"
ONE_SHOT = {"migrate", "submit"}
SERVICES = [
    "redis",
    "postgres",
    "migrate",
    "dispatch",
    "worker-openai",
    "worker-anthropic",
    "worker-gemini",
    "serve",
    "flower",
    "prometheus",
    "grafana",
    "submit",
]
RUNNING = [name for name in SERVICES if name not in ONE_SHOT]
WORKERS = [name for name in SERVICES if name.startswith("worker-")]


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    return resolved()


@pytest.fixture
def service(project: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = project["services"][request.param]
    return found


each_service = pytest.mark.parametrize("service", SERVICES, indirect=True)
each_running = pytest.mark.parametrize("service", RUNNING, indirect=True)
each_worker = pytest.mark.parametrize("service", WORKERS, indirect=True)


def secrets_of(service: dict[str, Any]) -> set[str]:
    return {secret["source"] for secret in service.get("secrets", [])}


def seconds(duration: str) -> float:
    minutes, rest = re.fullmatch(r"(?:(\d+)m)?(?:([\d.]+)s)?", duration).groups()  # type: ignore[union-attr]
    return 60 * float(minutes or 0) + float(rest or 0)


def test_compose_accepts_the_file() -> None:
    run_compose("config", "--quiet")


def test_the_services_are_the_expected_ones(project: dict[str, Any]) -> None:
    assert sorted(project["services"]) == sorted(SERVICES)


@each_service
def test_nobody_is_root_and_nothing_can_be_gained(service: dict[str, Any]) -> None:
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged", False)


@each_service
def test_a_container_is_read_only_but_for_its_volumes_and_tmp(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    scratch = {mount.partition(":")[0] for mount in service["tmpfs"]}
    assert scratch <= {"/tmp", "/run/postgresql"}  # noqa: S108
    binds = [volume for volume in service.get("volumes", []) if volume["type"] == "bind"]
    assert all(bind["read_only"] for bind in binds)


@each_service
def test_memory_processes_and_logs_are_bounded(service: dict[str, Any]) -> None:
    assert int(service["mem_limit"]) <= 2 << 30
    assert service["pids_limit"] <= 256
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])


@each_running
def test_a_running_service_says_whether_it_is_well(service: dict[str, Any]) -> None:
    check = service["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert seconds(check["timeout"]) < seconds(check["interval"])
    assert service["restart"] == "unless-stopped"


@each_service
def test_ports_are_for_this_machine_only(service: dict[str, Any]) -> None:
    assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", []))


@each_worker
def test_a_worker_has_the_key_of_its_provider_and_no_other(service: dict[str, Any]) -> None:
    provider = service["command"][-1]
    keys = {name for name in secrets_of(service) if name.endswith("_api_key")}
    assert keys == {f"{provider}_api_key"}
    variables = [name for name in service["environment"] if "_API_KEY" in name]
    assert variables == [f"{provider.upper()}_API_KEY_FILE"]


@each_worker
def test_open_calls_can_end_before_a_worker_is_killed(service: dict[str, Any]) -> None:
    assert seconds(service["stop_grace_period"]) > load_settings().worker.grace_s


@each_worker
def test_an_answer_that_sql_did_not_take_outlives_the_container(service: dict[str, Any]) -> None:
    (volume,) = service["volumes"]
    assert (volume["type"], volume["target"]) == ("volume", "/data")


def test_no_two_services_write_to_one_volume(project: dict[str, Any]) -> None:
    volumes = [
        volume["source"]
        for service in project["services"].values()
        for volume in service.get("volumes", [])
        if volume["type"] == "volume"
    ]
    assert sorted(volumes) == sorted(set(volumes))
    assert sorted(volumes) == sorted(project["volumes"])


def test_only_workers_reach_the_internet(project: dict[str, Any]) -> None:
    assert project["networks"]["inside"]["internal"] is True
    outside = {
        name for name, service in project["services"].items() if "outside" in service["networks"]
    }
    assert outside == set(WORKERS)


def test_what_is_published_has_a_password_or_asks_for_a_key(project: dict[str, Any]) -> None:
    published = {name for name, service in project["services"].items() if service.get("ports")}
    assert published == {"flower", "grafana", "serve"}
    grafana = project["services"]["grafana"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == (
        "/run/secrets/grafana_password"
    )
    assert secrets_of(grafana) == {"grafana_password"}
    flower = project["services"]["flower"]
    assert flower["environment"]["PROMPTMILL_FLOWER_BASIC_AUTH_FILE"] == (
        "/run/secrets/flower_basic_auth"
    )
    assert secrets_of(flower) == {"redis_password", "flower_basic_auth"}


@each_service
def test_every_secret_is_a_file_and_no_value_stands_in_the_open(
    project: dict[str, Any], service: dict[str, Any]
) -> None:
    # Compose refuses a secret from the environment in a read-only service.
    assert all("file" in project["secrets"][name] for name in secrets_of(service))
    variables = service.get("environment", {})
    files = [value for name, value in variables.items() if name.endswith("_FILE")]
    assert {file.removeprefix("/run/secrets/") for file in files} <= secrets_of(service)
    assert not [n for n in variables if n.endswith(("PASSWORD", "API_KEY", "BASIC_AUTH"))]


def test_nothing_starts_before_the_tables_are_there(project: dict[str, Any]) -> None:
    for name in ["dispatch", *WORKERS]:
        needs = project["services"][name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
        assert needs["postgres"]["condition"] == "service_healthy"
        assert needs["redis"]["condition"] == "service_healthy"


def test_redis_can_be_of_either_kind() -> None:
    project = resolved({"PROMPTMILL_REDIS_IMAGE": "redis:8-alpine"})
    assert project["services"]["redis"]["image"] == "redis:8-alpine"


def test_every_image_has_a_version(project: dict[str, Any]) -> None:
    images = {service["image"] for service in project["services"].values()} - {OURS}
    assert all(re.search(r":v?\d+\.\d+", image) for image in images), images


def test_every_secret_of_the_file_is_made_by_the_script(
    project: dict[str, Any], tmp_path: Path
) -> None:
    for _ in range(2):  # the second time it must leave everything alone
        subprocess.run(["/bin/sh", ROOT / "deploy" / "secrets.sh"], cwd=tmp_path, check=True)
    folder = tmp_path / "secrets"
    assert {path.name for path in folder.iterdir()} == set(project["secrets"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len((folder / "redis_password").read_text()) == 48
    assert (folder / "flower_basic_auth").read_text().startswith("promptmill:")


def test_a_service_becomes_a_local_process(project: dict[str, Any]) -> None:
    places = {
        "redis://redis:6379/0": "unix:///s",
        "/run/secrets": "/here",
        "0.0.0.0": "127.0.0.1",  # noqa: S104
    }
    command = local_command(project["services"]["flower"], places)
    assert command.argv[0].endswith("/promptmill")
    assert command.argv[1:] == ["flower", "--host", "127.0.0.1"]
    assert command.env == {
        "PROMPTMILL_REDIS_URL": "unix:///s",
        "PROMPTMILL_REDIS_PASSWORD_FILE": "/here/redis_password",
        "PROMPTMILL_FLOWER_BASIC_AUTH_FILE": "/here/flower_basic_auth",
    }

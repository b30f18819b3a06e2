"""docker-compose.yml and the Dockerfile, held against their schema, a linter, the files they name, and a policy."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import config
from exporter.__main__ import DEFAULT_ADDRESS
from exporter.web import access
from tools import secrets

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "compose"
BIN = Path(sys.executable).parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
each_service = pytest.mark.parametrize("name", SERVICES)
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+(-[a-z0-9.]+)?")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "secrets"
    assert secrets.main([str(folder)]) == 0
    return folder


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_fits_its_schema() -> None:
    run(str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_the_dockerfile_pleases_hadolint() -> None:
    run(str(BIN / "hadolint"), "Dockerfile")


@each_service
def test_a_service_can_do_nothing_it_need_not(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "userns_mode"} & set(service)
    assert service["user"].split(":")[0] not in ("0", "root", "")
    assert service["pids_limit"] and service["cpus"] and service["mem_limit"]
    assert "network_mode" not in service or (service["network_mode"] == "host" and service["profiles"] == ["demo"])


@each_service
def test_a_service_is_pinned_watched_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert PINNED.fullmatch(service["image"]), service["image"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["logging"]["options"]["max-size"]


@each_service
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:[0-9-]+:[0-9]+", port), port


def test_no_two_services_want_one_port() -> None:
    ports = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(set(ports)) == len(ports)


@each_service
def test_what_is_mounted_is_there_and_read_only(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        if volume.startswith("${ARB_BOT_DIR:-"):
            source, mode = "bot", volume.rpartition(":")[2]
        else:
            source, _, mode = (*volume.split(":"), "rw")[:3]
        if source.startswith("."):
            assert (ROOT / source).exists(), source
            assert mode == "ro", volume
        else:
            assert source in COMPOSE["volumes"], source


def test_every_volume_and_secret_is_used() -> None:
    texts = [str(service.get("volumes", "")) for service in SERVICES.values()]
    assert all(any(re.search(rf"['\-]{name}[:}}]", text) for text in texts) for name in COMPOSE["volumes"])
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])


def test_secrets_are_files_that_make_secrets_makes(made: Path) -> None:
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}
        assert (made / name).is_file()
    assert made.stat().st_mode & 0o777 == 0o700
    assert "/secrets/" in (ROOT / ".gitignore").read_text().split()


@each_service
def test_no_secret_stands_in_the_file(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        secret = re.search("password|token|secret|RPC_", key, re.IGNORECASE)
        named = re.fullmatch(r"\$\{[A-Z_]+:-\}|\$\$__file\{/run/secrets/[a-z_]+\}", value)
        assert not secret or key.endswith("__FILE") or named, key


def test_what_make_secrets_makes_fits_together(made: Path) -> None:
    before = {file.name: file.read_text() for file in made.iterdir()}
    assert secrets.main([str(made)]) == 0
    assert {file.name: file.read_text() for file in made.iterdir()} == before  # what is there stays
    found, problems = access.load(made / "web.yml")
    assert found is not None and not problems
    assert set(found.basic_auth_users) == set(secrets.USERS)
    password = (made / "bus_password").read_text().strip()
    assert password in (made / "bus_url").read_text() and password in (made / "nats.conf").read_text()


@pytest.mark.parametrize("name", ["exporter", "gateway"])
@pytest.mark.parametrize("chain", [False, True])
def test_the_settings_are_valid_also_with_what_is_commented_out(name: str, chain: bool, made: Path) -> None:
    text = (FOLDER / f"{name}.yml").read_text().replace("/run/secrets", str(made))
    if chain:
        text = re.sub(r"^( *)# (?=chain:|  chain_id|  endpoints|bus_file)", r"\1", text, flags=re.MULTILINE)
    loaded = config.read(text, ROOT, {"RPC_HTTP_URL": "https://node.example", "RPC_WS_URL": "wss://node.example"})
    assert not loaded.problems
    assert loaded.settings is not None
    assert set(loaded.settings.access) <= set(secrets.USERS)
    if name == "gateway" or chain:
        assert loaded.settings.live.bus_url == (made / "bus_url").read_text().strip()
    assert (loaded.settings.chain is not None) is (chain and name == "exporter")


def test_exporter_and_gateways_are_of_one_bot() -> None:
    names = {yaml.safe_load((FOLDER / f"{name}.yml").read_text())["bot"]["name"] for name in ("exporter", "gateway")}
    assert len(names) == 1


def test_prometheus_watches_what_is_served_and_differs_from_the_one_without_containers_in_names_only() -> None:
    plain = yaml.safe_load((ROOT / "prometheus.yml").read_text())
    ours = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert {key: ours[key] for key in ("global", "rule_files")} == {key: plain[key] for key in ("global", "rule_files")}
    port = DEFAULT_ADDRESS.rpartition(":")[2]
    exporter, gateway = ours["scrape_configs"]
    assert exporter["job_name"] == plain["scrape_configs"][0]["job_name"]
    assert exporter["static_configs"] == [{"targets": [f"exporter:{port}"]}]
    assert gateway["dns_sd_configs"][0]["port"] == int(port)
    assert ours["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]
    for job in (exporter, gateway):
        assert job["basic_auth"]["password_file"] == "/run/secrets/prometheus_password"
        assert job["basic_auth"]["username"] in secrets.USERS
    mounts = [volume.split(":")[1] for volume in SERVICES["prometheus"]["volumes"]]
    assert "/etc/prometheus/alerting/rules" in mounts  # rule_files are looked for beside the configuration


def test_ports_are_those_of_the_programs() -> None:
    assert SERVICES["exporter"]["ports"] == [f"127.0.0.1:10453:{DEFAULT_ADDRESS.rpartition(':')[2]}"]
    for name in ("exporter", "gateway"):
        assert f"--web.listen-address=0.0.0.0:{DEFAULT_ADDRESS.rpartition(':')[2]}" in SERVICES[name]["command"]
        assert "--web.config.file=/run/secrets/web.yml" in SERVICES[name]["command"]
    assert SERVICES["alertmanager"]["ports"] == ["127.0.0.1:9093:9093"]
    (receiver,) = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())["receivers"]
    assert receiver["webhook_configs"][0]["url"] == "http://exporter:10453/api/v1/alerts"


def test_alerts_that_only_follow_are_silent_here_too() -> None:
    ours, full = (
        yaml.safe_load(f.read_text()) for f in (FOLDER / "alertmanager.yml", ROOT / "alerting/alertmanager.yml")
    )
    assert ours["inhibit_rules"] == full["inhibit_rules"]


def test_grafana_finds_prometheus_and_its_dashboards() -> None:
    source = yaml.safe_load((ROOT / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    assert source["url"] == "${PROMETHEUS_URL}"
    assert SERVICES["grafana"]["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
    provider = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/arb.yml").read_text())["providers"][0]
    for name in ("grafana", "demo-grafana"):
        mounts = dict(volume.split(":")[:2] for volume in SERVICES[name]["volumes"])
        assert mounts["./grafana/dashboards"] == provider["options"]["path"]
        assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"


@pytest.mark.parametrize("name", ["grafana", "demo-grafana"])
def test_grafana_gets_every_file_and_address_that_its_settings_name(name: str) -> None:
    service, folder = SERVICES[name], ROOT / "grafana"
    sources = "".join(file.read_text() for file in (folder / "provisioning" / "datasources").iterdir())
    names = set(re.findall(r"\$\{([A-Z_]+)\}", sources))
    no_users = {"ARB_EXPORTER_USER", "ARB_EXPORTER_PASSWORD"} if name == "demo-grafana" else set()
    assert names - set(service["environment"]) == no_users
    files = re.findall(r"/run/secrets/([a-z_]+)", (folder / "grafana.ini").read_text() + str(service["environment"]))
    assert files and set(files) == set(service["secrets"])
    assert service["environment"].get("ARB_EXPORTER_USER", "viewer") in secrets.USERS


def test_the_exporter_has_room_for_its_discovery() -> None:
    assert int(SERVICES["exporter"]["mem_limit"].removesuffix("m")) >= 192


# --- Dockerfile ---


def test_the_image_is_pinned_small_hashed_watched_and_of_no_importance() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)
    assert all(re.fullmatch(r"[a-z]+:\d+(\.\d+)?-[a-z-]*slim[a-z-]*", base) for base in bases), bases
    last = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert "AS exporter" in last and "USER 10001:10001" in last and "HEALTHCHECK" in last
    assert "apt-get" not in last and "npm" not in last and "pip" not in last
    for line in re.findall(r"pip install[^&]*", DOCKERFILE):
        assert "--require-hashes" in line or ("--no-deps" in line and "--no-build-isolation" in line), line


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert any(source == name or source.startswith(f"{name}/") for name in kept), source


def test_what_is_installed_in_the_image_serves_gateways_too() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    for name in ("aiohttp", "nats-py"):
        assert re.search(rf"^{name}==[0-9.]+ ", lock, flags=re.MULTILINE), name

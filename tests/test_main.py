"""The command line: flags and problems in-process, and the exporter as users start it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import exporter
from exporter import __main__, log
from exporter.__main__ import main
from tests.running import Running, free_port, running, until
from tests.tiers import FULL

HASH = "$2b$04$aUQK9cU4PdUim2Hd96LeLewL1zZZeZd7n8G3cYVl9n5x.5/Jz/BGy"
"""Of "right"; fixed, because it is part of tests' names."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing is read from or written to the home of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setattr(log, "configure", lambda *_: None)  # pytest's own handlers stay
    yield tmp_path


def ended(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    return raised.value.code


# --- in-process ----------------------------------------------------------------------------------------------------


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--version") == 0
    assert capsys.readouterr().out == f"arb-exporter {exporter.__version__}\n"


MISTAKES: dict[tuple[str, ...], str] = {
    ("--nonsense",): "--nonsense",
    ("--config",): "--config",  # no abbreviations
    ("--log.level=loud",): "--log.level",
    ("--log.format=xml",): "--log.format",
    ("surplus",): "surplus",
    ("--config.file",): "--config.file",
    ("--rpc=https://host/the-key",): "<url>",
    ("discover",): "--rpc",
    ("discover", "--rpc=https://host/the-key"): "ADDRESS",
    ("discover", "--rpc=https://host/the-key", "--other=https://host/the-key", "0x"): "<url>",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_line_and_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(*arguments) == 2
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1
    assert MISTAKES[arguments] in errors
    assert "the-key" not in errors


ADDRESSES = {
    "127.0.0.1:0": "port",
    "127.0.0.1:65536": "port",
    "127.0.0.1:99999": "port",
    "127.0.0.1:999999": "port",
    "127.0.0.1:-1": "port",
    "127.0.0.1:http": "port",
    "127.0.0.1:٣": "port",
    "127.0.0.1": "port",
    "10453": "port",
    "": "port",
    "::1:80": "port",
    "http://127.0.0.1:80": "port",
    "a b:80": "port",
    "0.0.0.0:10453": "loopback",
    ":10453": "loopback",
    "[::]:10453": "loopback",
    "10.0.0.1:10453": "loopback",
    "example.org:10453": "loopback",
    "localhost.example.org:1": "loopback",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_bad_address_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--config.check"]):
        assert main([f"--web.listen-address={address}", *more]) == 2
        shown = "".join(capsys.readouterr())
        assert shown.startswith("--web.listen-address: ")
        assert len(shown.splitlines()) == 1
        assert ADDRESSES[address] in shown


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--web.listen-address=localhost:80"],
        ["--web.listen-address=[::1]:65535"],
        ["--web.listen-address=:10453", "--web.allow-anonymous"],
        ["--web.listen-address=:10453", "--web.config.file=web.yml"],
        ["--config.file=config.yml", "--log.level=debug", "--log.format=json"],
    ],
    ids=" ".join,
)
def test_what_is_good_is_ok(
    arguments: list[str], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    (home / "web.yml").write_text(f"basic_auth_users: {{ops: {HASH}}}")
    (home / "config.yml").write_text("bot: {name: x}")
    assert main([*arguments, "--config.check"]) == 0
    assert capsys.readouterr() == ("ok\n", "")


def test_a_web_configuration_without_users_does_not_open_the_door(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "web.yml").write_text("http_server_config: {http2: false}")
    assert main([f"--web.config.file={home / 'web.yml'}", "--web.listen-address=:1", "--config.check"]) == 2
    assert "beyond loopback" in capsys.readouterr().out


def test_all_problems_of_all_files_are_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "web.yml").write_text("basic_auth_users: {ops: plain}")
    (home / "config.yml").write_text("bto: 1\nlive: 2")
    arguments = [f"--web.config.file={home / 'web.yml'}", f"--config.file={home / 'config.yml'}"]
    assert main([*arguments, "--web.listen-address=x"]) == 2
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "bto", "live", "basic_auth_users.ops", "--web.listen-address",
    ]  # fmt: skip


def test_a_log_file_that_cannot_be_opened_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def configure(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(log, "configure", configure)
    assert main([]) == 2
    assert capsys.readouterr().err == "log.file: cannot be written: Permission denied\n"


def test_a_fault_of_its_own_is_logged_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def run(*_: object) -> None:
        raise ExceptionGroup("secret", [RuntimeError("secret")])

    monkeypatch.setattr("exporter.app.run", run)
    assert main([]) == 1
    assert "secret" not in "".join(capsys.readouterr())
    assert [record.fields["error"] for record in caplog.records] == ["RuntimeError"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("web", "address", "guarded"), [
    (None, "127.0.0.1:1", True),
    (None, "[::1]:1", True),
    (None, "0.0.0.0:1", False),
    ("http_server_config: {http2: false}", "127.0.0.1:1", True),
    (f"basic_auth_users: {{ops: {HASH}}}", "127.0.0.1:1", False),
])  # fmt: skip
def test_the_host_is_checked_where_nobody_needs_to_say_who_they_are(
    web: str | None, address: str, guarded: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def run(settings: object, options: object) -> None:
        seen.append(options)

    monkeypatch.setattr("exporter.app.run", run)
    arguments = [f"--web.listen-address={address}", "--web.allow-anonymous"]
    if web is not None:
        (home / "web.yml").write_text(web)
        arguments.append(f"--web.config.file={home / 'web.yml'}")
    assert main(arguments) == 0
    assert seen[0].loopback_only(seen[0].web_config.basic_auth_users) is guarded
    assert seen[0].reload().problems == []


def test_discover_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.sources.discovery.run", lambda rpc, addresses: len(rpc) + len(addresses))
    assert main(["discover", "--rpc=env:X", "0x1", "0x2"]) == 7


def test_without_arguments_the_process_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["arb-exporter", "--config.check"])
    assert main() == 0
    assert __main__.DEFAULT_ADDRESS == "127.0.0.1:10453"


# --- as a process --------------------------------------------------------------------------------------------------


def lines(found: Running) -> list[dict[str, object]]:
    return [json.loads(line) for line in found.stderr.read_text().splitlines()]


def said(found: Running, words: str) -> bool:
    return any(line["msg"] == words for line in lines(found))


def test_with_nothing_configured_it_starts_serves_and_ends_well(home: Path) -> None:
    with running(None, home, "--log.format=json") as found:
        until(lambda: b'"ready": true' in ready(found), 20, found)
        page = found.get("/").decode()
        assert "Not configured" in page
        assert "bot.memory_bank" in page
        body = found.get("/metrics")
        assert found.value("arb_scrape_collector_success", collector="exporter") == 1
        assert any(name == "arb_exporter_build_info" for name, _ in found.samples())
        if promtool := shutil.which("promtool"):
            subprocess.run([promtool, "check", "metrics"], input=body, check=True, timeout=60)
        started = time.monotonic()
        assert found.stop(signal.SIGTERM) == 0
        print(f"ended after {time.monotonic() - started:.2f} s")
        assert time.monotonic() - started < (3 if FULL else 10)  # others may keep the machine busy
        assert [line["msg"] for line in lines(found)][-1] == "stopped"
        assert {line["level"] for line in lines(found)} == {"info"}


def ready(found: Running) -> bytes:
    try:
        return found.get("/readyz")
    except OSError:
        return b""


def test_the_first_answer_can_already_be_followed_by_the_end(home: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with running(None, home, "--log.format=json") as found:
            assert found.stop(number) == 0
            assert lines(found)[-1]["msg"] == "stopped"


def test_settings_are_read_anew_on_sighup_and_bad_ones_refused(home: Path) -> None:
    with running({"bot": {"name": "one"}}, home, "--log.format=json") as found:
        assert "arb_memory_bank" not in found.get("/metrics").decode()
        (home / "bank").mkdir()
        found.config.write_text(f"bot: {{name: two, memory_bank: {home / 'bank'}}}\nstate: {home / 'elsewhere'}\n")
        found.process.send_signal(signal.SIGHUP)
        until(lambda: said(found, "settings read anew"), 20, found)
        until(lambda: found.value("arb_memory_bank_up", bot="two") == 1, 20, found)
        assert not (home / "elsewhere").exists()
        found.config.write_text("bot: {nmae: three}\n")
        found.process.send_signal(signal.SIGHUP)
        until(lambda: said(found, "settings refused, the old ones stay"), 20, found)
        assert found.value("arb_memory_bank_up", bot="two") == 1
        found.config.write_text("bot: {name: one}\n")
        found.process.send_signal(signal.SIGHUP)
        until(lambda: found.value("arb_memory_bank_up", bot="two") is None, 20, found)
        assert found.stop() == 0
        told = [(line["msg"], line.get("key")) for line in lines(found)]
        assert ("a changed setting takes effect after a restart", "state") in told
        assert ("settings refused, the old ones stay", "bot.nmae") in told


def test_a_second_instance_and_a_taken_port_are_refused(home: Path) -> None:
    with running(None, home) as found:
        other = refused(home, f"127.0.0.1:{free_port()}")
        assert other == "state: is used by another arb-exporter that is still running\n"
        taken = refused(home, f"127.0.0.1:{found.port}", XDG_STATE_HOME=str(home / "other"))
        assert taken.endswith(f"--web.listen-address: 127.0.0.1:{found.port} is taken by another program\n")
        assert found.get("/healthz") == b"ok\n"


def refused(home: Path, address: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "exporter", f"--web.listen-address={address}"],
        env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_an_address_of_another_machine_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "--web.listen-address=192.0.2.1:80", "--web.allow-anonymous"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "--web.listen-address: 192.0.2.1:80 cannot be listened on\n")


def test_a_port_is_free_again_after_the_end(home: Path) -> None:
    with running(None, home) as found:
        assert found.stop() == 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", found.port))

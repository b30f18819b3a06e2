"""The documents: every block of code is right, every link inside leads somewhere, what is generated is current."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import config
from exporter.__main__ import main
from exporter.web import access

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)?(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
ENVIRONMENT = {
    "RPC_HTTP_URL": "https://node.example", "RPC_WS_URL": "wss://node.example", "BUS_PASSWORD": "a-long-password",
}  # fmt: skip
ELSEWHERE = {
    "alertmanager", "amtool", "anvil", "apt-get", "cd", "cp", "curl", "docker", "export", "git", "kubectl", "make",
    "nats", "nats-server", "npm", "node", "openssl", "pip", "promtool", "prometheus", "python", "python3", "sha256sum",
    "sqlite3", "ss", "sudo", "sudoedit", "systemctl", "tar", "uv", "websocat", "victoria-metrics", "gh", "cosign",
    "chmod", "install", "umask", "mkdir", "cat", "echo", "journalctl", "htpasswd", "jq", "ssh", "tail", "mv", "rm",
}  # fmt: skip
"""Programs that a reader has or is told to get."""


def blocks(*languages: str) -> list[Any]:
    return list(_blocks(languages))


def _blocks(languages: tuple[str, ...]) -> Iterator[Any]:
    for page in PAGES:
        for number, found in enumerate(BLOCK.finditer(page.read_text())):
            if found[1] in languages:
                label = f"{page.relative_to(ROOT)}-{number}"
                yield pytest.param(found[3], found[2], id=label)


@pytest.mark.parametrize(("text", "kind"), blocks("yaml", "yml"))
def test_yaml_says_what_its_reader_takes(text: str, kind: str | None, tmp_path: Path) -> None:
    match kind:
        case None:
            problems = config.read(text, tmp_path, ENVIRONMENT).problems
            assert [p for p in problems if not p.path.endswith("_file")] == []  # secrets of the reader's
        case "web":
            (tmp_path / "web.yml").write_text(text)
            problems = access.load(tmp_path / "web.yml")[1]
            assert all("cert" in str(problem) or "key" in str(problem) for problem in problems), problems
        case "prometheus":
            file = tmp_path / "prometheus.yml"
            file.write_text(text)
            done = subprocess.run(
                ["promtool", "check", "config", "--syntax-only", file], capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr
        case _:
            assert yaml.safe_load(text)


@pytest.mark.parametrize(("text", "kind"), blocks("json"))
def test_json_is_json(text: str, kind: str | None) -> None:
    json.loads(text)


@pytest.mark.parametrize(("text", "kind"), blocks("sh", "bash"))
def test_commands_exist(text: str, kind: str | None) -> None:
    assert subprocess.run(["sh", "-n"], input=text.encode(), capture_output=True, check=False).returncode == 0
    for line in commands(text):
        words = [
            word for word in shlex.split(line, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", word, flags=re.DOTALL)
        ]
        words = words[words[:1] == ["sudo"] :]
        if not words:
            continue
        program = words[0].rpartition("/")[2]
        if program == "arb-exporter":
            flags_exist(words[1:])
        elif program == "make":
            target_exists(words[1:])
        elif words[0].endswith(".py") or ("/" in words[0] and not words[0].startswith("/")):
            assert (ROOT / words[0]).exists() or words[0].startswith(".venv/"), line
        else:
            assert program in ELSEWHERE or shutil.which(program), line
        if program in ("python", "python3") and words[1:2] == ["-m"]:
            module_exists(words[2])


def commands(text: str) -> list[str]:
    """The commands of a script: joined where a quote or a backslash goes over lines."""
    joined: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        if joined and joined[-1].count("'") % 2:
            joined[-1] += f"\n{line}"
        elif line.strip() and not line.lstrip().startswith("#"):
            joined.append(line)
    return [part.strip() for line in joined for part in re.split(r" (?:&&|\|) (?![^']*'$)", line)]


def flags_exist(words: list[str]) -> None:
    known = helped(words[:1] if not words[0].startswith("-") else [])
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, word


def helped(subcommand: list[str]) -> str:
    done = subprocess.run([sys.executable, "-m", "exporter", *subcommand, "--help"], capture_output=True, check=True)
    return done.stdout.decode()


def target_exists(words: list[str]) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert all(word in targets or "=" in word for word in words), words


def module_exists(name: str) -> None:
    place = ROOT.joinpath(*name.split("."))
    assert name in ("venv", "pytest", "pip") or place.with_suffix(".py").exists() or (place / "__main__.py").exists(), (
        name
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", page.read_text()))
    for found in LINK.finditer(text):
        target = found[1] or found[2]
        if re.match(r"[a-z]+:", target):
            assert target.startswith(("https://", "http://127.0.0.1")), target
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_table_of_contents_is_complete() -> None:
    contents = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in contents} == set()


def test_the_configuration_reference_is_current() -> None:
    done = subprocess.run([sys.executable, "-m", "tools.configuration", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "make configuration"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yml")), ids=lambda example: example.stem)
def test_examples_pass_the_check(
    example: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert main(["--config.check", f"--config.file={example}"]) == 0, capsys.readouterr().out


def test_there_is_an_example_for_every_chain_we_name() -> None:
    named = {8453, 10, 42161, 1, 56}
    assert {yaml.safe_load(f.read_text())["chain"]["chain_id"] for f in (ROOT / "examples").glob("*.yml")} == named

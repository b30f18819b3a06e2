"""Settings: everything that can be wrong is said in one line with its key, and what is right means what it says."""

import asyncio
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import config, log
from exporter.__main__ import main
from exporter.config import Settings, load, read
from exporter.ledger import FILE as FILE_OF_LEDGER
from exporter.ledger import Ledger
from exporter.safekeeping import backup, restore
from tests.tiers import FULL as FULL_SIZE

CANARY = "canary-8f3a91c27d"
A, B = "0x" + "ab" * 20, "0x" + "CD" * 20
HTTP = f"http://{CANARY}.example/{CANARY}"
ENVIRONMENT = {
    "ARB_T_URL": HTTP,
    "ARB_T_EMPTY": "",
    "ARB_T_WORD": "word",
    "ARB_T_BAD_URL": f"ftp://u:{CANARY}@h/{CANARY}",
    "ARB_T_NUMBER": "8453",
}


@pytest.fixture(autouse=True)
def around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The environment of the tests, a state directory of their own, and a scrubber that forgets what it learnt."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("ARB_T_UNSET", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    secrets, pattern = log.scrub._secrets, log.scrub._pattern
    log.scrub._secrets, log.scrub._pattern = set(), None
    yield
    log.scrub._secrets, log.scrub._pattern = secrets, pattern


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a few files that settings name."""
    (tmp_path / "bank").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "way-in").symlink_to("bank")
    (tmp_path / "bank" / "way-out").symlink_to("../elsewhere")
    (tmp_path / "turned.1").symlink_to("elsewhere")
    (tmp_path / "to-the-lock").symlink_to("bank/lock")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_text("x" * 70_000)
    (tmp_path / "password").write_text(f"{CANARY}\r\n")
    (tmp_path / "url").write_text(f"{HTTP}\n")
    (tmp_path / "wss").write_text(f"wss://{CANARY}.example\n")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def endpoint(text: str) -> str:
    return f"chain: {{chain_id: 1, endpoints: [{{name: a, {text}}}]}}"


def chain(text: str) -> str:
    return f"chain: {{chain_id: 1, endpoints: [{{name: a, http: '{HTTP}'}}], {text}}}"


E0 = "chain.endpoints[0]"
FILE = "--config.file"
BAD: dict[str, list[str]] = {
    # not a mapping of settings at all
    "just a word": [FILE],
    "42": [FILE],
    "- a\n- b\n": [FILE],
    "{": [FILE],
    "a: b: c": [FILE],
    "\t- x": [FILE],
    "bot: {}\n---\nbot: {}": [FILE],
    "bot: 'unfinished": [FILE],
    "\x00\x01": [FILE],
    'bot: "\\UFFFFFFFF"': [FILE],
    "[" * 100_000: [FILE],
    "# " + "x" * (200 << 10): [FILE],
    "a: &a [x]\nb: &b [*a,*a]\n": ["a", "b", "b[0]", "b[1]"],
    "bot: *gone": [FILE],
    "!!python/object/apply:os.system ['true']": [FILE, FILE],
    "bot: !!python/object:exporter.config.Bot {name: x}": ["bot"],
    "bot: {name: !!str x}": ["bot.name"],
    "bot: &anchor {name: x}": ["bot"],
    "!x bot: {name: x}": ["bot"],
    "? [a]\n: 1": [FILE],
    # keys
    "bto: {}": ["bto"],
    "bot: {nmae: x, memory-bank: /x}": ["bot.nmae", "bot.memory-bank"],
    "<<: {}": ["<<"],
    '"two\\nlines": 1': ["(unprintable key)"],
    f"{HTTP}: 1": ["<url>"],
    "bot: {name: a}\nbot: {name: b}": ["bot"],
    "bot: {name: a, name: b}": ["bot.name"],
    "chain: {}": ["chain.chain_id", "chain.endpoints"],
    "chain: {chain_id: 1}": ["chain.endpoints"],
    "storage: [{}]": ["storage[0].name", "storage[0].path"],
    # shapes
    "bot: word": ["bot"],
    "bot: []": ["bot"],
    "storage: {}": ["storage"],
    "storage: word": ["storage"],
    "storage: [word]": ["storage[0]"],
    "access: []": ["access"],
    "access: {ops: scrape}": ["access.ops"],
    "bot: {name: [a]}": ["bot.name"],
    "bot: {name: }": ["bot.name"],
    "live: {max_clients: {}}": ["live.max_clients"],
    # names
    "bot: {name: ''}": ["bot.name"],
    "bot: {name: null}": ["bot.name"],
    "bot: {name: -a}": ["bot.name"],
    "bot: {name: a/b}": ["bot.name"],
    "bot: {name: 'a b'}": ["bot.name"],
    "bot: {name: 'a\n\nb'}": ["bot.name"],
    "bot: {name: é}": ["bot.name"],
    f"bot: {{name: {'a' * 64}}}": ["bot.name"],
    "storage: [{name: a, path: /x}, {name: a, path: /y}]": ["storage[1].name"],
    "bot: {logs: [{name: a, path: /x}, {name: a, path: /y}, {name: a, path: /z}]}": [
        "bot.logs[1].name", "bot.logs[2].name",
    ],
    "access: {'a b': [scrape]}": ["access.a b"],
    # numbers and switches
    "storage: [{name: a, path: /x, backup: on}]": ["storage[0].backup"],
    "storage: [{name: a, path: /x, backup: yes}]": ["storage[0].backup"],
    "storage: [{name: a, path: /x, backup: 'true'}]": ["storage[0].backup"],
    "storage: [{name: a, path: /x, backup: 1}]": ["storage[0].backup"],
    "live: {max_clients: 0}": ["live.max_clients"],
    "live: {max_clients: -1}": ["live.max_clients"],
    "live: {max_clients: 1.0}": ["live.max_clients"],
    "live: {max_clients: '1'}": ["live.max_clients"],
    "live: {max_clients: 1_000}": ["live.max_clients"],
    "live: {max_clients: 1:30}": ["live.max_clients"],
    "live: {max_clients: true}": ["live.max_clients"],
    "live: {max_clients: .inf}": ["live.max_clients"],
    f"live: {{max_clients: {'9' * 5_000}}}": ["live.max_clients"],
    "live: {max_clients: ٣}": ["live.max_clients"],
    "limits: {series: 199}": ["limits.series"],
    "limits: {series: 1e9}": ["limits.series"],
    "log: {max_bytes: 1}": ["log.max_bytes"],
    # choices
    "bot: {timezone: Mars/Phobos}": ["bot.timezone"],
    "bot: {timezone: ../../etc/passwd}": ["bot.timezone"],
    "bot: {timezone: ''}": ["bot.timezone"],
    "bot: {timezone: []}": ["bot.timezone"],
    "bot: {process: {}}": ["bot.process"],
    "bot: {process: {pidfile: /x, match: abc}}": ["bot.process"],
    "bot: {process: {match: ab}}": ["bot.process.match"],
    "access: {ops: [admin]}": ["access.ops[0]"],
    "access: {ops: [scrape, scrape]}": ["access.ops[1]"],
    "access: {ops: []}": ["access.ops"],
    "live: {allowed_origins: ['*']}": ["live.allowed_origins[0]"],
    "live: {allowed_origins: ['https://*.example.org', 'null', 'https://a/b', 'a.example']}": [
        f"live.allowed_origins[{i}]" for i in range(4)
    ],
    "live: {allowed_origins: ['https://A.example', 'https://a.example']}": ["live.allowed_origins[1]"],
    "live: {grafana: {url: grafana:3000}}": ["live.grafana.url"],
    f"live: {{grafana: {{url: 'http://u:{CANARY}@h'}}}}": ["live.grafana.url"],
    "live: {grafana: {url: 'http://h', user: a}}": ["live.grafana"],
    "live: {grafana: {url: 'http://h', password_file: password}}": ["live.grafana"],
    "live: {grafana: {url: 'http://h', user: a, password_file: password, token_file: password}}": ["live.grafana"],
    "live: {grafana: {url: 'http://h', token_file: empty}}": ["live.grafana.token_file"],
    "live: {grafana: {url: 'http://h', token_file: absent}}": ["live.grafana.token_file"],
    "live: {grafana: {url: 'http://h', token_file: binary}}": ["live.grafana.token_file"],
    "live: {grafana: {url: 'http://h', token_file: large}}": ["live.grafana.token_file"],
    "live: {grafana: {url: 'http://h', token_file: fifo}}": ["live.grafana.token_file"],
    "live: {grafana: {url: 'http://h', token_file: bank}}": ["live.grafana.token_file"],
    # nodes
    "chain: {chain_id: 0, endpoints: []}": ["chain.chain_id", "chain.endpoints"],
    "chain: {chain_id: 1, endpoints: {}}": ["chain.endpoints"],
    endpoint("http: ''"): [f"{E0}.http"],
    endpoint(f"http: {CANARY}.example/x"): [f"{E0}.http"],
    endpoint(f"http: 'ftp://{CANARY}.example'"): [f"{E0}.http"],
    endpoint(f"http: 'wss://{CANARY}.example'"): [f"{E0}.http"],
    endpoint(f"http: 'file:///{CANARY}'"): [f"{E0}.http"],
    endpoint(f"http: 'http:///{CANARY}'"): [f"{E0}.http"],
    endpoint(f"http: 'http://[{CANARY}'"): [f"{E0}.http"],
    endpoint(f"http: 'http://{CANARY}:0'"): [f"{E0}.http"],
    endpoint(f"http: 'http://{CANARY}:65536'"): [f"{E0}.http"],
    endpoint(f"http: 'http://{CANARY} x'"): [f"{E0}.http"],
    endpoint(f'http: "http://h/\\ud800{CANARY}"'): [f"{E0}.http"],
    endpoint(f"http: '{HTTP}', ws: 'http://{CANARY}'"): [f"{E0}.ws"],
    endpoint("http: '${ARB_T_UNSET}'"): [f"{E0}.http"],
    endpoint("http: '${ARB_T_EMPTY}'"): [f"{E0}.http"],
    endpoint("http: '${ARB_T_BAD_URL}'"): [f"{E0}.http"],
    endpoint("http: '${ARB_T_URL:-http://h}'"): [f"{E0}.http"],
    endpoint("http: 'http://${}'"): [f"{E0}.http"],
    endpoint("ws: 'ws://h'"): [E0],
    endpoint(f"http: '{HTTP}', http_file: url"): [E0],
    endpoint("http_file: password"): [E0],
    endpoint("http_file: url, ws_file: url"): [E0],
    endpoint("http_file: url, ws: 'ws://h', ws_file: wss"): [E0],
    endpoint("http_file: empty"): [f"{E0}.http_file"],
    endpoint("http_file: '${ARB_T_UNSET}'"): [f"{E0}.http_file"],
    f"chain: {{chain_id: 1, endpoints: [{{name: a, http: '{HTTP}'}}, {{name: a, http: '{HTTP}'}}]}}": [
        "chain.endpoints[1].name"
    ],
    chain("finality: latest"): ["chain.finality"],
    chain("finality: -1"): ["chain.finality"],
    chain("finality: '${ARB_T_UNSET}'"): ["chain.finality"],
    chain("finality: []"): ["chain.finality"],
    chain("backfill_from: 0x"): ["chain.backfill_from"],
    chain("tokens: ['0x12']"): ["chain.tokens[0]"],
    chain(f"tokens: ['{B}', '{B.lower()}']"): ["chain.tokens[1]"],
    chain(f"wallets: [{{name: a, address: '{A}'}}, {{name: b, address: '{A}'}}]"): ["chain.wallets[1].address"],
    chain(f"contracts: [{{name: a, address: '{A[2:]}'}}]"): ["chain.contracts[0].address"],
    chain(f"pools: [{{dex: a, kind: curve, address: '{A}'}}]"): ["chain.pools[0].kind"],
    # paths
    "state: ''": ["state"],
    "state: bank": [],
    "bot: {memory_bank: bank}\nstate: bank": ["state"],
    "bot: {memory_bank: bank}\nstate: bank/state": ["state"],
    "bot: {memory_bank: bank}\nstate: way-in/state": ["state"],
    "bot: {memory_bank: way-in}\nstate: bank/../bank/state": ["state"],
    "bot: {memory_bank: /}": ["state"],
    "bot: {memory_bank: bank}\nlog: {file: bank/own.log}": ["log.file"],
    "bot: {memory_bank: bank}\nlog: {file: bank/way-out}": ["log.file"],
    # the exporter's own log, which is renamed, and whose lines are not the bot's
    "state: st\nlog: {file: st/ledger.sqlite3}": ["log.file"],
    "state: st\nlog: {file: st/ledger.sqlite3-wal}": ["log.file"],
    "state: st\nlog: {file: st/ledger.sqlite3.before-1}": ["log.file"],
    "state: st\nlog: {file: st/lock}": ["log.file"],
    "state: bank\nlog: {file: way-in/lock}": ["log.file"],
    "state: way-in\nlog: {file: bank/ledger.sqlite3}": ["log.file"],
    "state: bank\nlog: {file: to-the-lock}": ["log.file"],
    "state: st\nlog: {file: st/own.log}": [],
    "state: st\nlog: {file: st/lock.log}": [],
    "state: st\nlog: {file: ledger.sqlite3}": [],
    "bot: {events: bank/e}\nlog: {file: bank/e}": ["log.file"],
    "bot: {events: bank/e}\nlog: {file: way-in/e}": ["log.file"],
    "bot: {events: e.5}\nlog: {file: e}": ["log.file"],
    "bot: {events: e.6}\nlog: {file: e}": [],
    "bot: {events: e.6}\nlog: {file: e, backups: 6}": ["log.file"],
    "bot: {logs: [{name: a, path: bot.log}]}\nlog: {file: bot.log}": ["log.file"],
    "bot: {logs: [{name: a, path: x}, {name: b, path: '*.log'}]}\nlog: {file: own.log}": ["log.file"],
    "bot: {logs: [{name: a, path: 'own.log*'}]}\nlog: {file: own.log}": ["log.file"],
    "bot: {logs: [{name: a, path: 'own.log.?'}]}\nlog: {file: own.log}": ["log.file"],
    "bot: {logs: [{name: a, path: 'ban?/*.log'}]}\nlog: {file: bank/own.log}": ["log.file"],
    "bot: {logs: [{name: a, path: 'way-*/*.log'}]}\nlog: {file: way-in/own.log}": ["log.file"],
    "bot: {logs: [{name: a, path: 'way-in/*.log'}]}\nlog: {file: bank/own.log}": ["log.file"],
    "bot: {logs: [{name: a, path: 'bank/own.log.*'}]}\nlog: {file: way-in/own.log}": ["log.file"],
    "bot: {logs: [{name: a, path: turned.1}]}\nlog: {file: turned}": ["log.file"],
    "bot: {logs: [{name: a, path: 'own[1].log'}]}\nlog: {file: 'own[1].log'}": ["log.file"],
    "bot: {logs: [{name: a, path: 'bot*.log'}]}\nlog: {file: own.log}": [],
    "bot: {logs: [{name: a, path: '*.log'}]}\nlog: {file: bank/own.log}": [],
    "bot: {logs: [{name: a, path: '*.log'}]}\nlog: {file: .own.log}": [],
    "bot: {logs: [{name: a, path: '*/*.log'}], events: e}\nlog: {file: own.log}": [],
    "bot: {memory_bank: 'a\\0b'}": [],
    'bot: {memory_bank: "a\\0b"}': ["bot.memory_bank"],
    "bot: {memory_bank: ~nobody-of-this-name/x}": ["bot.memory_bank"],
    f"bot: {{memory_bank: /{'x' * 5_000}}}": ["bot.memory_bank"],
    "bot: {memory_bank: '${ARB_T_UNSET}/x'}": ["bot.memory_bank"],
}  # fmt: skip
RIGHT = [text for text, keys in BAD.items() if not keys]
WRONG = [text for text, keys in BAD.items() if keys]


def test_there_are_many_bad_settings() -> None:
    assert len(WRONG) >= 60


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:40])
def test_bad_settings_end_with_2_and_a_line_for_each_key(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.yml").write_text(text)
    argument = f"--config.file={folder / 'c.yml'}"
    assert main([argument, "--config.check"]) == 2
    checked = capsys.readouterr().out
    assert main([argument]) == 2
    errors = capsys.readouterr().err
    lines = errors.splitlines()
    assert [line.partition(": ")[0] for line in lines] == BAD[text], lines
    assert all(len(line) > len(key) + 8 for line, key in zip(lines, BAD[text], strict=True))
    assert checked == errors
    for piece in (CANARY, CANARY[:8], "Traceback", str(folder)):
        assert piece not in errors


def test_what_the_ledger_names_its_files_is_known(tmp_path: Path) -> None:
    state = tmp_path / "state"
    asyncio.run(_opened(state))
    backup(state, tmp_path / "copy")
    restore(state, tmp_path / "copy")
    names = {file.name for file in state.iterdir()} | {f"{FILE_OF_LEDGER}{end}" for end in ("-wal", "-shm", "-journal")}
    assert {"lock", FILE_OF_LEDGER, f"{FILE_OF_LEDGER}.before-1"} <= names
    assert all(config.OF_THE_LEDGER.fullmatch(name) for name in names)


async def _opened(state: Path) -> None:
    async with Ledger(state):
        assert (state / FILE_OF_LEDGER).exists()


@pytest.mark.parametrize("text", RIGHT, ids=lambda text: text[:40])
def test_settings_that_only_look_bad_are_used(text: str, folder: Path) -> None:
    assert read(text, folder, ENVIRONMENT).problems == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfea\x00", "is not UTF-8 text"), (b"\x80", "is not UTF-8 text"), (None, "cannot be read: No such file")],
)
def test_a_file_that_is_no_text_or_not_there_is_said(
    content: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "c.yml").write_bytes(content)
    assert main([f"--config.file={tmp_path / 'c.yml'}"]) == 2
    assert capsys.readouterr().err.startswith(f"--config.file: {words}")


@pytest.mark.parametrize(
    ("name", "words"),
    [("fifo", "Not a regular file"), ("bank", "directory|regular"), ("/dev/zero", "Not a regular file"),
     ("/dev/null", "Not a regular file"), ("huge", "File too large: more than 128 KiB")],
)  # fmt: skip
def test_what_is_no_small_file_is_refused_at_once(name: str, words: str, folder: Path) -> None:
    """Nobody who writes to a pipe is waited for."""
    (folder / "huge").write_bytes(b"#" * ((128 << 10) + 1))
    command = [sys.executable, "-m", "exporter", f"--config.file={folder / name}", "--config.check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert re.fullmatch(f"--config.file: cannot be read: (Is a )?({words})\n", done.stdout)


def test_a_pipe_that_is_held_open_is_refused_at_once() -> None:
    """As shells pass the output of another program: it could not be read anew."""
    reading, writing = os.pipe()
    try:
        command = [sys.executable, "-m", "exporter", "--config.file=/dev/stdin", "--config.check"]
        done = subprocess.run(command, stdin=reading, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stdout) == (2, "--config.file: cannot be read: Not a regular file\n")


def test_settings_of_the_largest_size_are_read(folder: Path) -> None:
    text = b"bot: {name: large}\n"
    (folder / "c.yml").write_bytes(text + b"#" * ((128 << 10) - len(text)))
    found = load(folder / "c.yml").settings
    assert found is not None
    assert found.bot.name == "large"


SLOW = ("[" * 100_000, "a: 1\n" * 2_000)
PROCESSES = WRONG if FULL_SIZE else WRONG[:1]


def spent() -> float:
    """Seconds of processor time of all programs that have ended: what others do on the machine is not in it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ended(*command: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """A program that has ended, and how much it took in seconds."""
    before = spent()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60, check=False)
    return done, spent() - before


def test_bad_settings_end_soon(folder: Path) -> None:
    """All of them, as users start it; beside each, what an interpreter alone takes on this machine now."""
    beyond: dict[str, float] = {}
    for text in [*PROCESSES, *SLOW]:
        (folder / "c.yml").write_text(text)
        _, least = ended("-c", "pass")
        done, seconds = ended("-m", "exporter", f"--config.file={folder / 'c.yml'}")
        beyond[text] = seconds - least
        assert done.returncode == 2
        lines = done.stderr.splitlines()
        if text in BAD:
            assert [line.partition(": ")[0] for line in lines] == BAD[text], lines
        assert lines
        assert done.stdout == ""
        for piece in (CANARY, "Traceback", str(folder)):
            assert piece not in done.stderr
    slowest = max(beyond, key=beyond.__getitem__)
    print(f"{len(beyond)} processes: most {beyond[slowest]:.2f} s beyond a bare interpreter, of {slowest[:40]!r}")
    assert beyond[slowest] < (1 if FULL_SIZE else 3)


# --- good settings -------------------------------------------------------------------------------------------------

FULL = f"""
bot:
  name: listonian
  memory_bank: /data/memory-bank
  timezone: America/New_York
  logs: [{{name: arbitrage, path: "/data/logs/arbitrage*.log"}}]
  events: /data/events.ndjson
  process: {{pidfile: /run/bot.pid}}
chain:
  chain_id: 8453
  endpoints:
    - {{name: primary, http: "${{ARB_T_URL}}", ws: "ws://${{ARB_T_WORD}}.example"}}
    - {{name: public, http: https://mainnet.base.org}}
  wallets: [{{name: trader, address: "{A}"}}]
  contracts: [{{name: executor, address: "{B}"}}]
  tokens: ["{A}"]
  pools:
    - {{dex: aerodrome, kind: solidly, address: "{A}"}}
    - {{dex: uniswap, kind: uniswap_v3, address: "{B}", name: main}}
  backfill_from: 12345678
  finality: finalized
storage: [{{name: analytics, path: /data/analytics}}, {{name: backups, path: /data/memory-bank/.backups, backup: true}}]
state: /var/lib/arb-exporter
live: {{max_clients: 100, allowed_origins: ["https://Grafana.example:3000"],
  grafana: {{url: "http://grafana:3000", stream: arb, user: admin, password_file: password}}}}
access: {{ops: [scrape, read, live], bot1: [write]}}
"""


def usable(text: str, folder: Path) -> Settings:
    loaded = read(text, folder, ENVIRONMENT)
    assert loaded.problems == []
    assert loaded.settings is not None
    return loaded.settings


def test_the_full_example_means_what_it_says(folder: Path) -> None:
    found = usable(FULL, folder)
    assert (found.bot.name, found.bot.timezone.key) == ("listonian", "America/New_York")
    assert found.bot.logs[0].path == Path("/data/logs/arbitrage*.log")
    assert found.chain is not None
    primary, public = found.chain.endpoints
    assert (primary.url, public.url) == (HTTP, "https://mainnet.base.org")
    assert primary.ws is not None
    assert primary.ws.reveal() == "ws://word.example"
    assert found.chain.contracts[0].address == B.lower()
    assert [(p.dex, p.name) for p in found.chain.pools] == [("aerodrome", None), ("uniswap", "main")]
    assert found.chain.backfill_from == 12345678
    assert [s.backup for s in found.storage] == [False, True]
    assert found.live.allowed_origins == ("https://grafana.example:3000",)
    assert found.live.grafana is not None
    assert found.live.grafana.password_file is not None
    assert found.live.grafana.password_file.reveal() == CANARY
    assert found.access == {"ops": ("scrape", "read", "live"), "bot1": ("write",)}


def test_no_secret_shows_when_settings_are_printed(folder: Path) -> None:
    assert CANARY not in repr(usable(FULL, folder))


def test_whatever_was_read_as_secret_is_scrubbed_from_then_on(folder: Path) -> None:
    usable(FULL, folder)
    assert CANARY not in log.scrub(f"{CANARY} and {HTTP}")


def test_settings_are_equal_if_they_say_the_same(folder: Path) -> None:
    assert usable(FULL, folder) == usable(FULL, folder)
    assert usable(FULL, folder) != usable(FULL.replace("12345678", "12345679"), folder)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "{}", "null", "bot:\nchain:\nstorage:\nstate: ~\n", "\ufeff"]
)
def test_nothing_said_means_the_defaults(text: str, tmp_path: Path) -> None:
    assert usable(text, tmp_path) == load(None).settings == Settings()
    found = Settings()
    assert (found.bot.name, found.bot.timezone, found.chain, found.storage) == ("default", ZoneInfo("UTC"), None, ())
    assert found.state == tmp_path / "xdg" / "arb-exporter"
    assert (found.live.max_clients, found.limits.series, found.log.file) == (100, 2_000, None)


def test_relative_paths_start_at_the_file_and_a_tilde_at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    (folder / "c.yml").write_text("bot: {memory_bank: a/b, events: ~/e, process: {pidfile: /p}}\nstate: s")
    found = load(folder / "c.yml").settings
    assert found is not None
    assert found.bot.memory_bank == folder / "a" / "b"
    assert found.bot.events == Path("/home/someone/e")
    assert found.bot.process is not None
    assert found.bot.process.pidfile == Path("/p")
    assert found.state == folder / "s"


def test_secrets_come_from_files_without_their_line_end(folder: Path) -> None:
    found = usable(endpoint("http_file: url, ws_file: wss"), folder)
    assert found.chain is not None
    (only,) = found.chain.endpoints
    assert only.url == HTTP
    assert only.ws_file is not None
    assert only.websocket_url == only.ws_file.reveal() == f"wss://{CANARY}.example"


MEANS = {
    "live: {max_clients: 010}": 10,
    "live: {max_clients: 0x10}": 16,
    "live: {max_clients: 0o10}": 8,
    "live:\n  max_clients: ${ARB_T_NUMBER}\n": 8453,
}


@pytest.mark.parametrize("text", MEANS)
def test_numbers_mean_what_yaml_1_2_says(text: str, tmp_path: Path) -> None:
    assert usable(text, tmp_path).live.max_clients == MEANS[text]


@pytest.mark.parametrize("name", ["on", "true", "010", "1e3", "0x10", "2024-01-01", "1.5"])
def test_a_name_is_taken_as_it_is_written(name: str, tmp_path: Path) -> None:
    assert usable(f"bot: {{name: {name}}}", tmp_path).bot.name == name


@pytest.mark.parametrize(("finality", "meant"), [("safe", "safe"), ("finalized", "finalized"), ("12", 12)])
def test_finality_is_a_tag_or_a_number_of_blocks(finality: str, meant: object, tmp_path: Path) -> None:
    found = usable(chain(f"finality: {finality}"), tmp_path)
    assert found.chain is not None
    assert found.chain.finality == meant


STATES = {
    ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"): "/var/lib/a",
    ("XDG_STATE_HOME", "/x"): "/x/arb-exporter",
    ("HOME", "/home/a"): "/home/a/.local/state/arb-exporter",
}


@pytest.mark.parametrize("given_", STATES, ids=lambda given_: given_[0])
def test_the_state_directory_has_a_default(given_: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv(*given_)
    loaded = load(None)
    assert loaded.settings is not None
    assert loaded.settings.state == Path(STATES[given_])


def test_no_home_at_all_is_a_problem_of_the_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(config.Path, "home", nowhere)
    for loaded in (load(None), read("bot: {name: x}", tmp_path, ENVIRONMENT)):
        assert [p.path for p in loaded.problems] == ["state"]
        assert loaded.settings is None
    assert read("state: /x", tmp_path, ENVIRONMENT).problems == []


# --- anything ------------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(sorted({f.name for kind in vars(config).values() if is_dataclass(kind) for f in fields(kind)}))
leaves = st.sampled_from(["1", "x", "''", "null", "/x", "true", HTTP, A, "${ARB_T_UNSET}", "${", "~x", "1e999"])
trees = st.recursive(
    leaves,
    lambda inner: (
        st.dictionaries(KEYS, inner, max_size=4).map(lambda d: "{" + ", ".join(f"{k}: {v}" for k, v in d.items()) + "}")
        | st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
    ),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, trees, max_size=5))
def test_no_settings_break_the_reader_or_show_a_secret(tree: dict[str, str]) -> None:
    loaded = read("".join(f"{key}: {value}\n" for key, value in tree.items()), Path("/nowhere"), ENVIRONMENT)
    assert (loaded.settings is None) == bool(loaded.problems)
    assert all(CANARY not in p.path + p.message and p.message for p in loaded.problems)

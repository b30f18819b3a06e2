"""The settings: what can be configured, its defaults, and how a file of them is read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from exporter import demand, yaml12
from exporter import settings as s
from exporter.log import scrub
from exporter.settings import Reader, Secret, setting
from exporter.yaml12 import Problem, Tree

MAX_BYTES: Final = 128 << 10
POOL_KINDS: Final = ("uniswap_v2", "solidly", "uniswap_v3", "slipstream")
ROLES: Final = ("scrape", "read", "live", "write")
UTC: Final = ZoneInfo("UTC")
OF_THE_LEDGER: Final = re.compile(r"ledger\.sqlite3.*|lock")
"""Names of files in the state directory that are the ledger's, and those of copies that were put aside."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log of the bot; `path` may be a glob."""

    name: str = setting(s.name, "label of the log")
    path: Path = setting(s.path, "file, or a glob of files, to follow")


@dataclass(frozen=True, slots=True)
class Process:
    """How to find the bot's process; exactly one of the two."""

    pidfile: Path | None = setting(s.path, "file that holds the process id", default=None)
    match: str | None = setting(
        s.text("a part of the command line", re.compile(r"[ -~]{3,200}")), "part of the command line", default=None
    )


def _check_process(process: Process) -> str | None:
    return None if (process.pidfile is None) != (process.match is None) else "needs either pidfile or match"


@dataclass(frozen=True, slots=True)
class BotApi:
    """The bot's own HTTP API; its URL is secret."""

    url: Secret | None = setting(s.secret_url("http", "https"), "URL that is asked", default=None)
    url_file: Secret | None = setting(s.secret_file, "file that holds the URL", default=None)
    every: int = setting(s.integer(1, 300), "seconds between two requests", default=10)

    @property
    def address(self) -> str:
        """The URL, wherever it came from."""
        return (self.url or self.url_file or Secret("")).reveal()

    @property
    def secure(self) -> bool:
        """Whether it is talked to over TLS."""
        return self.address.lower().startswith("https:")


def _check_api(api: BotApi) -> str | None:
    if (api.url is None) == (api.url_file is None):
        return "needs either url or url_file"
    if not s.url("http", "https")(api.address):
        return "url_file must hold a URL with a host, starting with http:// or https://"
    return None


@dataclass(frozen=True, slots=True)
class Bot:
    """The bot and what it leaves behind."""

    name: str = setting(s.name, "label bot of every bot metric", default="default")
    memory_bank: Path | None = setting(s.path, "the bot's memory bank; read only", default=None)
    timezone: ZoneInfo = setting(s.timezone, "zone of the bot's naive and falsely-zoned times", default=UTC)
    logs: tuple[LogFile, ...] = setting(s.listing(s.record(LogFile), "name", most=10), "logs to follow", default=())
    events: Path | None = setting(s.path, "NDJSON file to which the bot appends events", default=None)
    process: Process | None = setting(s.record(Process, _check_process), "how to find the bot's process", default=None)
    api: BotApi | None = setting(s.record(BotApi, _check_api), "the bot's HTTP API", default=None)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A node; its URLs are secret, its name stands for it everywhere."""

    name: str = setting(s.name, "label of the endpoint")
    http: Secret | None = setting(s.secret_url("http", "https"), "JSON-RPC URL", default=None)
    http_file: Secret | None = setting(s.secret_file, "file that holds the JSON-RPC URL", default=None)
    ws: Secret | None = setting(s.secret_url("ws", "wss"), "WebSocket URL", default=None)
    ws_file: Secret | None = setting(s.secret_file, "file that holds the WebSocket URL", default=None)

    @property
    def url(self) -> str:
        """The JSON-RPC URL, wherever it came from."""
        return (self.http or self.http_file or Secret("")).reveal()

    @property
    def websocket_url(self) -> str:
        """The WebSocket URL, wherever it came from; empty if there is none."""
        return (self.ws or self.ws_file or Secret("")).reveal()


def _check_endpoint(endpoint: Endpoint) -> str | None:
    if (endpoint.http is None) == (endpoint.http_file is None):
        return "needs either http or http_file"
    if endpoint.ws is not None and endpoint.ws_file is not None:
        return "needs only one of ws and ws_file"
    if not s.url("http", "https")(endpoint.url):
        return "http_file must hold a URL with a host, starting with http:// or https://"
    if endpoint.ws_file is not None and not s.url("ws", "wss")(endpoint.ws_file.reveal()):
        return "ws_file must hold a URL with a host, starting with ws:// or wss://"
    return None


@dataclass(frozen=True, slots=True)
class Named:
    """An address with a name."""

    name: str = setting(s.name, "label of the address")
    address: str = setting(s.address, "the address")


@dataclass(frozen=True, slots=True)
class Pool:
    """A liquidity pool to watch."""

    dex: str = setting(s.name, "label of the venue")
    kind: str = setting(s.choice(*POOL_KINDS), "how its price is read")
    address: str = setting(s.address, "the pool's address")
    name: str | None = setting(s.name, "label of the pool; by default dex-fee", default=None)


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain the bot trades on."""

    chain_id: int = setting(s.integer(1, 2**53), "the chain's id; Base is 8453")
    endpoints: tuple[Endpoint, ...] = setting(
        s.listing(s.record(Endpoint, _check_endpoint), "name", least=1, most=10), "nodes, in order of preference"
    )
    wallets: tuple[Named, ...] = setting(
        s.listing(s.record(Named), "name", "address", most=20), "wallets of the bot", default=()
    )
    contracts: tuple[Named, ...] = setting(
        s.listing(s.record(Named), "name", "address", most=20), "contracts the bot trades through", default=()
    )
    tokens: tuple[str, ...] = setting(s.listing(s.address, "", most=20), "tokens whose balances to show", default=())
    pools: tuple[Pool, ...] = setting(
        s.listing(s.record(Pool), "name", "address", most=100), "pools whose prices to show", default=()
    )
    backfill_from: int | None = setting(s.integer(0, 2**53), "first block to read wallets from", default=None)
    finality: str | int = setting(
        s.either(s.integer(0, 100_000), s.choice("finalized", "safe"), "finalized, safe or a number of blocks"),
        "when a transaction counts",
        default="finalized",
    )

    @property
    def secure(self) -> bool:
        """Whether any endpoint is to be talked to over TLS."""
        urls = [url for endpoint in self.endpoints for url in (endpoint.url, endpoint.websocket_url)]
        return any(url.lower().startswith(("https:", "wss:")) for url in urls)


@dataclass(frozen=True, slots=True)
class Store:
    """A directory whose size and freshness to show."""

    name: str = setting(s.name, "label of the store")
    path: Path = setting(s.path, "the directory")
    backup: bool = setting(s.boolean, "whether each entry is a backup", default=False)


def _check_push(push: GrafanaPush) -> str | None:
    if push.token_file is not None and (push.user is not None or push.password_file is not None):
        return "needs either token_file, or user and password_file"
    if (push.user is None) != (push.password_file is None):
        return "needs user and password_file together"
    return None


@dataclass(frozen=True, slots=True)
class GrafanaPush:
    """The Grafana that live prices are pushed to."""

    url: str = setting(s.plain_url("http", "https"), "Grafana's address")
    stream: str = setting(
        s.text("letters, digits, '_' and '-'", re.compile(r"[A-Za-z0-9_-]{1,64}")), "id of the stream", default="arb"
    )
    user: str | None = setting(s.name, "user of basic authentication", default=None)
    password_file: Secret | None = setting(s.secret_file, "file that holds the password", default=None)
    token_file: Secret | None = setting(s.secret_file, "file that holds a service account token", default=None)


@dataclass(frozen=True, slots=True)
class Live:
    """The live feed."""

    max_clients: int = setting(s.integer(1, 100_000), "connections at the same time", default=100)
    max_clients_per_address: int | None = setting(
        s.integer(1, 100_000), "connections from one address; by default as many as there may be", default=None
    )
    handshakes_per_second: int | None = setting(
        s.integer(1, 100_000), "from one address, twice as many at once; by default max_clients", default=None
    )
    allowed_origins: tuple[str, ...] = setting(
        s.listing(s.origin, "", most=50), "other origins that may connect", default=()
    )
    grafana: GrafanaPush | None = setting(s.record(GrafanaPush, _check_push), "where to push live prices", default=None)
    bus: Secret | None = setting(s.secret_url("nats", "tls"), "NATS server that gateways listen to", default=None)
    bus_file: Secret | None = setting(s.secret_file, "file that holds the bus's URL", default=None)

    @property
    def bus_url(self) -> str | None:
        """The bus's URL, wherever it came from; it may hold a password or a token."""
        given = self.bus or self.bus_file
        return None if given is None else given.reveal()


def _check_live(live: Live) -> str | None:
    if live.bus is not None and live.bus_file is not None:
        return "needs only one of bus and bus_file"
    if live.bus_url is None:
        return None
    if not s.url("nats", "tls")(live.bus_url):
        return "bus_file must hold a URL with a host, starting with nats:// or tls://"
    scrub.learn([live.bus_url])
    return None if find_spec("nats") else "bus needs the extra scale: pip install 'arb-exporter[scale]'"


@dataclass(frozen=True, slots=True)
class Log:
    """The exporter's own log file, beside stderr."""

    file: Path | None = setting(s.path, "rotated log file", default=None)
    max_bytes: int = setting(s.integer(64 << 10, 1 << 30), "size at which it is rotated", default=10 << 20)
    backups: int = setting(s.integer(1, 100), "rotated files kept", default=5)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep bad input cheap; the defaults fit one bot."""

    series: int = setting(
        s.integer(200, 100_000), "series on /metrics; settings that always need more are refused", default=2_000
    )
    routes_per_source: int = setting(s.integer(1, 10_000), "routes (pair and venues) per source", default=100)
    file_bytes: int = setting(s.integer(64 << 10, 1 << 30), "largest file of the bank that is read", default=64 << 20)
    store_files: int = setting(s.integer(1_000, 10_000_000), "files of a store that are looked at", default=500_000)
    connections: int = setting(s.integer(24, 100_000), "HTTP connections beside the live feed's", default=256)
    requests_per_second: int = setting(
        s.integer(1, 100_000), "API requests from one address, ten times as many at once", default=100
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured."""

    bot: Bot = setting(s.record(Bot), "the bot", default_factory=Bot)
    chain: Chain | None = setting(s.record(Chain), "the chain", default=None)
    storage: tuple[Store, ...] = setting(
        s.listing(s.record(Store), "name", most=20), "directories to watch", default=()
    )
    state: Path = setting(s.path, "directory of the ledger", default_factory=lambda: default_state(os.environ))
    live: Live = setting(s.record(Live, _check_live), "the live feed", default_factory=Live)
    access: Mapping[str, tuple[str, ...]] = setting(
        s.mapping(s.listing(s.choice(*ROLES), "", least=1, most=4)), "roles of users", default_factory=dict
    )
    log: Log = setting(s.record(Log), "the exporter's own log", default_factory=Log)
    limits: Limits = setting(s.record(Limits), "bounds", default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, or the problems that keep them from being used."""

    settings: Settings | None
    problems: list[Problem] = field(default_factory=list)


def default_state(environment: Mapping[str, str]) -> Path:
    """Where the ledger lives if nothing is said: systemd's directory, else the XDG one."""
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.partition(":")[0])
    if base := environment.get("XDG_STATE_HOME"):
        return Path(base) / "arb-exporter"
    try:
        return Path.home() / ".local" / "state" / "arb-exporter"
    except RuntimeError:
        raise s.Bad("is missing, and there is no home directory for its default", at="state") from None


def load(file: Path | None, environment: Mapping[str, str] = os.environ) -> Loaded:
    """The settings of a file, or the defaults; never raises for what a user can get wrong."""
    if file is None:
        return read("", Path(), environment)
    try:
        text = s.read_small(file, MAX_BYTES).decode("utf-8")  # waits for no writer of a pipe, nor does a reload
    except OSError as error:
        return Loaded(None, [Problem("--config.file", f"cannot be read: {error.strerror}")])
    except UnicodeDecodeError:
        return Loaded(None, [Problem("--config.file", "is not UTF-8 text")])
    loaded = read(text, file.absolute().parent, environment)
    return Loaded(loaded.settings, [Problem(p.path or "--config.file", p.message) for p in loaded.problems])


def read(text: str, folder: Path, environment: Mapping[str, str]) -> Loaded:
    """The settings in a text; relative paths start at `folder`."""
    tree, problems = yaml12.parse(text)
    if tree is None:
        return Loaded(None, problems)
    reader = Reader(folder, environment, problems)
    found = reader.read(s.record(Settings, _check), _without_nulls(tree), "")
    return Loaded(None if reader.problems else found, reader.problems)


def _without_nulls(tree: Tree) -> Tree:
    """An empty top-level section (`chain:` with everything commented out) means: not given."""
    if not isinstance(tree, dict):
        return {} if isinstance(tree, yaml12.Scalar) and tree.value() is None else tree
    return {k: v for k, v in tree.items() if not (isinstance(v, yaml12.Scalar) and v.value() is None)}


def _check(settings: Settings) -> None:
    _check_bank(settings)
    _check_log(settings)
    least, most = demand.least(settings), demand.most(settings)
    if least > settings.limits.series:
        raise s.Bad(f"is too little for what is configured: {least} at least, {most} to be sure", at="limits.series")


def _check_bank(settings: Settings) -> None:
    bank = settings.bot.memory_bank
    written = {"state": [settings.state], "log.file": _own_names(settings.log)}
    for key, paths in written.items():
        if bank and any(Path(os.path.realpath(path)).is_relative_to(os.path.realpath(bank)) for path in paths):
            raise s.Bad("must not be inside bot.memory_bank, which is never written", at=key)


def _check_log(settings: Settings) -> None:
    """Our own log is renamed when it is rotated: it must be nobody else's file, and must not be read as the bot's."""
    names, state = _own_names(settings.log), Path(os.path.realpath(settings.state))
    if any(name.parent == state and OF_THE_LEDGER.fullmatch(name.name) for name in names):
        raise s.Bad("must not be a file of the ledger in state", at="log.file")
    if settings.bot.events and _covers(settings.bot.events, names):
        raise s.Bad("must not be bot.events, nor may what it is rotated to", at="log.file")
    if any(_covers(log.path, names) for log in settings.bot.logs):
        raise s.Bad("must not be followed by bot.logs, nor may what it is rotated to", at="log.file")


def _own_names(log: Log) -> set[Path]:
    """What the log's file is, and what it is named now and after rotations, with and without links on the way."""
    if log.file is None:
        return set()
    ends = ["", *(f".{n}" for n in range(1, log.backups + 1))]
    folders = {os.path.abspath(log.file.parent), os.path.realpath(log.file.parent)}  # noqa: PTH100  with its links
    named = {Path(folder) / f"{log.file.name}{end}" for folder in folders for end in ends}
    return {Path(os.path.realpath(log.file)), *named}


def _covers(pattern: Path, names: set[Path]) -> bool:
    """Whether a path or glob means one of these, as it is written or with its links followed."""
    written = {os.path.abspath(pattern), os.path.realpath(pattern)}  # noqa: PTH100  with its links
    return any(_matches(Path(text), name) for text in written for name in names)


def _matches(pattern: Path, file: Path) -> bool:
    if file == pattern or len(pattern.parts) != len(file.parts):
        return file == pattern
    pairs = zip(pattern.parts, file.parts, strict=True)
    return all(fnmatchcase(name, part) and (name[0] != "." or part[0] == ".") for part, name in pairs)

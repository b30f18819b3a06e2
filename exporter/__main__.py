"""The command line."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from exporter import lean  # before anything imports what it makes lean

# isort: split
from exporter import __version__, config, log
from exporter.yaml12 import Problem

if TYPE_CHECKING:
    from exporter.serving import Options
    from exporter.web.access import WebConfig

PROGRAM = "arb-exporter"
DEFAULT_ADDRESS = "127.0.0.1:10453"
BAD = 2
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]*):(?P<port>[0-9]{1,5})")


class _Parser(argparse.ArgumentParser):
    """argparse with one line for a mistake instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {log.scrub(message)} (see {self.prog} --help)\n")
        raise SystemExit(BAD)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 for settings that cannot be used."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["discover"]:
        return _discover(given[1:])
    if given[:1] in (["backup"], ["restore"]):
        return _keep(given[0], given[1:])
    gateway = given[:1] == ["gateway"]
    options = _parser(gateway).parse_args(given[gateway:])
    options.gateway = gateway
    return _check(options) if options.config_check else _run(options)


def _parser(gateway: bool) -> _Parser:
    if gateway:
        parser = _Parser(prog=f"{PROGRAM} gateway", allow_abbrev=False,
            description="Serve the live feed of an exporter that publishes over live.bus.")  # fmt: skip
    else:
        parser = _Parser(prog=PROGRAM, description="Prometheus exporter for EVM arbitrage bots.", allow_abbrev=False,
            epilog="arb-exporter discover --rpc=URL ADDRESS… inspects pools and tokens; "
            "arb-exporter gateway --config.file=PATH serves the live feed over a bus; "
            "arb-exporter backup FILE and restore FILE copy the ledger.")  # fmt: skip
    add = parser.add_argument
    add("--config.file", dest="config_file", type=Path, metavar="PATH", help="settings in YAML; default: none")
    add("--config.check", dest="config_check", action="store_true", help="check everything and end")
    add("--web.listen-address", dest="address", default=DEFAULT_ADDRESS, metavar="HOST:PORT",
        help=f"where to serve; default {DEFAULT_ADDRESS}")  # fmt: skip
    add("--web.config.file", dest="web_config", type=Path, metavar="PATH", help="TLS and users, as in exporter-toolkit")
    add("--web.allow-anonymous", dest="anonymous", action="store_true",
        help="listen beyond loopback without authentication")  # fmt: skip
    add("--log.level", dest="level", choices=list(log.LEVELS), default="info", help="default info")
    add("--log.format", dest="format", choices=log.FORMATS, default="logfmt", help="default logfmt")
    add("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def _check(options: argparse.Namespace) -> int:
    problems = [*config.load(options.config_file).problems, *_web(options)[1]]
    _print_problems(problems, sys.stdout)
    if not problems:
        print("ok")
    return BAD if problems else 0


def _web(options: argparse.Namespace) -> tuple[WebConfig | None, list[Problem]]:
    """The web configuration, read once: what was checked is what serves."""
    from exporter.web import access

    found, problems = access.load(options.web_config) if options.web_config else (access.WebConfig(), [])
    host, wrong = _listen_address(options.address)
    if wrong is not None:
        return None, [*problems, wrong]
    if found is not None and not (access.is_loopback(host[0]) or found.basic_auth_users or options.anonymous):
        words = "beyond loopback needs users in --web.config.file, or --web.allow-anonymous"
        problems.append(Problem("--web.listen-address", words))
    return found, problems


def _listen_address(text: str) -> tuple[tuple[str, int], Problem | None]:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        return ("", 0), Problem("--web.listen-address", "must be HOST:PORT with a port from 1 to 65535")
    return (match["host"].strip("[]") or "0.0.0.0", int(match["port"])), None  # noqa: S104  `:PORT` means everywhere


def _print_problems(problems: Sequence[Problem], to: TextIO) -> None:
    for problem in problems:
        line = f"{problem.path}: {problem.message}" if problem.path else problem.message
        print(log.scrub(line), file=to)


def _run(options: argparse.Namespace) -> int:
    lean.import_aiohttp()
    loaded = config.load(options.config_file)
    web_config, web_problems = _web(options)
    problems = [*loaded.problems, *web_problems]
    if problems or loaded.settings is None or web_config is None:
        _print_problems(problems, sys.stderr)
        return BAD
    settings = loaded.settings
    try:
        log.configure(options.level, options.format, settings.log.file, settings.log.max_bytes, settings.log.backups)
    except OSError as error:
        _print_problems([Problem("log.file", f"cannot be written: {error.strerror}")], sys.stderr)
        return BAD
    return _serve(options, settings, web_config)


def _serve(options: argparse.Namespace, settings: config.Settings, web_config: WebConfig) -> int:
    from exporter import heap, loop, serving

    heap.keep_small()
    (host, port), _ = _listen_address(options.address)
    chosen = serving.Options(
        host=host,
        port=port,
        web_config=web_config,
        reload=lambda: config.load(options.config_file, os.environ),
        reload_web=lambda: _web(options),
        web_file=options.web_config,
    )
    try:
        asyncio.run(
            _root(options.gateway)(settings, chosen),
            loop_factory=loop.for_tls() if web_config.tls_server_config else loop.new,
        )
    except serving.Unstartable as error:
        print(log.describe(error), file=sys.stderr)
        return BAD
    except Exception as error:  # whose traceback would quote third parties
        log.get("main").error("ended by a fault of its own", error)
        return 1
    return 0


def _root(gateway: bool) -> Callable[[config.Settings, Options], Coroutine[Any, Any, None]]:
    """What is run: the exporter, or one of its gateways."""
    if gateway:
        from exporter import gateway as root

        return root.run
    from exporter import app

    return app.run


def _discover(arguments: list[str]) -> int:
    parser = _Parser(prog=f"{PROGRAM} discover", allow_abbrev=False,
        description="Inspect pools and tokens on a chain and print their settings as YAML.")  # fmt: skip
    parser.add_argument("--rpc", required=True, metavar="URL", help="JSON-RPC URL, or env:NAME to keep it out of here")
    parser.add_argument("address", nargs="+", metavar="ADDRESS", help="address of a pool or token")
    options = parser.parse_args(arguments)
    from exporter.sources import discovery

    return discovery.run(options.rpc, options.address)


def _keep(deed: str, arguments: list[str]) -> int:
    """A copy of the ledger, made or put back."""
    parser = _Parser(prog=f"{PROGRAM} {deed}", allow_abbrev=False, description={
        "backup": "Copy the ledger to a new file; the exporter may run.",
        "restore": "Put a copy in the place of the ledger, which is kept beside it; the exporter must not run.",
    }[deed])  # fmt: skip
    parser.add_argument("--config.file", dest="config_file", type=Path, metavar="PATH", help="settings in YAML")
    parser.add_argument("copy", type=Path, metavar="FILE", help="the copy")
    if deed == "restore":
        parser.add_argument("--accept-loss", dest="accept_loss", action="store_true",
            help="even if counters fall by it")  # fmt: skip
    options = parser.parse_args(arguments)
    loaded = config.load(options.config_file)
    if loaded.settings is None:
        _print_problems(loaded.problems, sys.stderr)
        return BAD
    return _copied(options, loaded.settings.state)


def _copied(options: argparse.Namespace, state: Path) -> int:
    from exporter import safekeeping

    try:
        if hasattr(options, "accept_loss"):
            fallen = safekeeping.restore(state, options.copy, options.accept_loss)
            print("\n".join([*fallen, "restored; the ledger of before is kept beside it"]))
        else:
            print(f"copied; {safekeeping.backup(state, options.copy)} trades")
    except safekeeping.Unkept as error:
        print(log.describe(error), file=sys.stderr)
        return BAD
    return 0


if __name__ == "__main__":
    sys.exit(main())

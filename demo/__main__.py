"""`python -m demo`: run the world, the exporter and Prometheus until Ctrl-C; leave nothing behind."""

import argparse
import asyncio
import json
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import aiohttp

from demo import observers
from demo.anvil import NodeError
from demo.artifacts import CompileError
from demo.deploy import DeployError
from demo.observers import Counts, NotReady
from demo.processes import ChildEnded, is_free
from demo.world import World

STATUS_SECONDS = 10.0
FIRST_MOVE = ("sushiswap", "WETH/USDC", 1.02)
CHECK_SECONDS = 0.2


class DemoError(Exception):
    """The demo cannot run here; the text says why and what to do."""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="A chain, two exchanges, traders and a small real arbitrage bot on this machine, "
        "watched by arb-exporter and, if `prometheus` is on the PATH, by Prometheus. Ctrl-C ends all of it.",
    )
    parser.add_argument("--seconds", type=float, help="end by itself so long after everything is up")
    parser.add_argument("--block-time", type=float, default=1.0, help="seconds between blocks (default: 1)")
    parser.add_argument(
        "--exporter-port",
        type=int,
        default=observers.EXPORTER_PORT,
        help=f"the exporter's port (default: {observers.EXPORTER_PORT})",
    )
    parser.add_argument("--without-exporter", action="store_true", help="only the world: nobody watches it")
    parser.add_argument("--without-prometheus", action="store_true", help="do not look for prometheus")
    parser.add_argument("--dir", type=Path, help="work in this empty or new directory, and keep it")
    parser.add_argument("--json", type=Path, help="write URLs, addresses, wallets, pools and paths to this file")
    return parser.parse_args(arguments)


class Demo:
    """One run, step by step."""

    def __init__(self, options: argparse.Namespace, session: aiohttp.ClientSession) -> None:
        self._options = options
        self._session = session
        self._exporter_url: str | None = None
        self._prometheus_url: str | None = None

    async def run(self) -> None:
        """Start everything and show what happens, until the time is over or the task is cancelled."""
        options = self._options
        self._check()
        say("starting a node and deploying two exchanges …")
        url = "" if options.without_exporter else observers.exporter_url(options.exporter_port)
        async with World(options.dir, block_time=options.block_time, exporter_url=url) as world:
            say(f"chain {world.description.chain_id} is up, {len(world.description.pools)} pools have liquidity")
            await self._start_observers(world)
            say("starting the traders and the bot …")
            await world.start_traders()
            await world.start_bot()
            await self._wait_for_observers(world)
            self._write_json(world)
            self._show_addresses(world)
            await world.move_price(*FIRST_MOVE)  # so that the first trade need not be waited for
            await self._show_status(world)
        say("everything is stopped")

    def _check(self) -> None:
        """Find out now what would fail later."""
        options = self._options
        if not options.without_exporter and not is_free(options.exporter_port):
            raise DemoError(
                f"port {options.exporter_port} on 127.0.0.1 is taken, perhaps by another exporter: "
                "stop it, or choose another port with --exporter-port"
            )
        if options.dir is not None and options.dir.exists() and any(options.dir.iterdir()):
            raise DemoError(f"{options.dir} is not empty: the books of two chains must not be mixed")

    async def _start_observers(self, world: World) -> None:
        """The exporter first, so that it sees every trade happen."""
        options = self._options
        if options.without_exporter:
            return
        say("starting the exporter …")
        self._exporter_url = await observers.start_exporter(world, options.exporter_port)
        if not options.without_prometheus:
            self._prometheus_url = await observers.start_prometheus(world, options.exporter_port)
            say("starting Prometheus …" if self._prometheus_url else "prometheus is not on the PATH: going on")

    async def _wait_for_observers(self, world: World) -> None:
        if self._exporter_url:
            await observers.wait_until_ready(world, self._session, f"{self._exporter_url}/readyz")
        if self._prometheus_url:
            await observers.wait_until_ready(world, self._session, f"{self._prometheus_url}/-/ready")

    def _write_json(self, world: World) -> None:
        """Written last and in one piece: who waits for the file finds everything up."""
        if self._options.json is None:
            return
        document = {
            **asdict(world.description),
            "directory": str(world.directory),
            "exporter_url": self._exporter_url,
            "prometheus_url": self._prometheus_url,
            "pids": world.children.pids(),
        }
        partial: Path = self._options.json.with_suffix(".partial")
        partial.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        partial.replace(self._options.json)

    def _show_addresses(self, world: World) -> None:
        for path, what in (("/", "the exporter"), ("/metrics", ""), ("/live", "the live page"), ("/readyz", "")):
            if self._exporter_url:
                say(f"  {self._exporter_url}{path:<9} {what}".rstrip())
        if self._prometheus_url:
            say(f"  {self._prometheus_url}          Prometheus")
        say(f"  {world.rpc_url}          the node (JSON-RPC and WebSocket)")
        say(f"  {world.bank}  the bot's memory bank")
        say("Ctrl-C ends everything.")

    async def _show_status(self, world: World) -> None:
        """A line every ten seconds; raises ChildEnded if something breaks."""
        end = time.monotonic() + (self._options.seconds or float("inf"))
        next_line = time.monotonic() + STATUS_SECONDS
        while time.monotonic() < end:
            await asyncio.sleep(CHECK_SECONDS)
            world.check()
            if time.monotonic() >= next_line:
                next_line += STATUS_SECONDS
                await self._show_line(world)

    async def _show_line(self, world: World) -> None:
        try:
            block = int(await world.rpc("eth_blockNumber"), 16)
            counts = await self._counts(world)
        except (aiohttp.ClientError, TimeoutError) as error:
            say(f"no status: {error}")
            return
        total = counts.success + counts.failed
        say(f"block {block}: {total} trades, {counts.success} successful, {counts.failed} failed")

    async def _counts(self, world: World) -> Counts:
        if self._exporter_url is None:
            return await asyncio.to_thread(observers.written_counts, world.bank)
        return await observers.exported_counts(self._session, self._exporter_url)


def say(line: str) -> None:
    print(line, flush=True)


async def demo(options: argparse.Namespace) -> int:
    """Run until the end, a signal or an error; returns the exit code."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine always runs in one
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    timeout = aiohttp.ClientTimeout(total=5)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await Demo(options, session).run()
    except asyncio.CancelledError:
        say("everything is stopped")
    except (DemoError, NodeError, CompileError, DeployError, ChildEnded, NotReady) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def main() -> None:
    sys.exit(asyncio.run(demo(parse(sys.argv[1:]))))


if __name__ == "__main__":
    main()

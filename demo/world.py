"""The whole world as one `async with`: the node, what is deployed on it, and the programs that act in it."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from web3 import HTTPProvider, Web3

from demo import anvil
from demo.chain import BOT_TIMEZONE, TOKENS, Description
from demo.deploy import deploy
from demo.processes import Child, Children, free_port
from demo.traders import Exchange

BOT_START_SECONDS = 30.0


class World:
    """A running chain with two exchanges; bot and traders are started on demand.

    `directory` keeps the bot's books, its log and the outputs of all processes. Without one the world uses a
    temporary directory and removes it in the end, even if this process is killed.
    `block_time` is in seconds; `port` is the node's, by default a free one. Everything listens on loopback.
    The bot reports its events to `exporter_url`; without one, and while nobody answers there, to a file.
    """

    rpc: anvil.Rpc
    _producer: asyncio.Task[None]
    description: Description
    producing: asyncio.Event  # clear it, and the chain stands still until it is set again

    def __init__(
        self,
        directory: Path | None = None,
        *,
        block_time: float = 1.0,
        port: int | None = None,
        exporter_url: str = "",
    ) -> None:
        self._temporary = directory is None
        self._block_time = block_time
        self._port = port or free_port()
        self._exporter_url = exporter_url
        self._stack = AsyncExitStack()
        self.producing = asyncio.Event()
        self.producing.set()
        self.directory = (directory or Path(tempfile.mkdtemp(prefix="arb-exporter-demo-"))).absolute()
        self.children = Children(self.directory / "output", self.directory if self._temporary else None)
        self.rpc_url = f"http://127.0.0.1:{self._port}"
        self.ws_url = f"ws://127.0.0.1:{self._port}"
        self.bank = self.directory / "memory-bank"
        self.log = self.directory / "logs" / "arbitrage.log"
        self.pidfile = self.directory / "bot.pid"
        self.events = self.directory / "events.ndjson"
        self.file = self.directory / "world.json"

    async def __aenter__(self) -> Self:
        """Start the node and deploy; raises NodeError, CompileError, DeployError or ChildEnded."""
        async with AsyncExitStack() as stack:
            stack.callback(self._remove_temporary)
            self.directory.mkdir(parents=True, exist_ok=True)
            await stack.enter_async_context(self.children)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            self.rpc = anvil.Rpc(self.rpc_url, session)
            await anvil.start(self.children, self.rpc, self._port)
            self.description = await asyncio.to_thread(self._deploy)
            self.description.write(self.file)
            producer = anvil.produce_blocks(self.rpc, self._block_time, self.producing)
            self._producer = asyncio.create_task(producer)
            stack.push_async_callback(_cancel, self._producer)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def start_bot(self) -> Child:
        """Start the arbitrage bot and wait until it has written its pidfile; raises ChildEnded."""
        bot = await self.children.start("bot", sys.executable, "-m", "demo.bot", self.file)
        async with asyncio.timeout(BOT_START_SECONDS):
            while not self.pidfile.exists():
                if bot.process.returncode is not None:
                    raise bot.ended()
                await asyncio.sleep(0.05)
        return bot

    async def start_traders(self) -> Child:
        """Start the traders and the bot's rival, who move the prices."""
        return await self.children.start("traders", sys.executable, "-m", "demo.traders", self.file)

    async def stop(self, name: str) -> int:
        """End `bot`, `traders` or `anvil`; returns its exit code."""
        return await self.children.stop(name)

    async def move_price(self, dex: str, pair: str, factor: float) -> None:
        """Move a pool's price of WETH by a real swap, e.g. 1.02 for 2 % dearer; returns once it is mined."""
        pool = self.description.pool(dex, pair)
        await asyncio.to_thread(Exchange(self.web3(), self.description, "deployer").move_price, pool, factor)

    def check(self) -> None:
        """Raise ChildEnded if a process has ended by itself, NodeError if no blocks are made any more."""
        self.children.check()
        if self._producer.done():
            self._producer.result()

    def web3(self) -> Web3:
        """A new connection to the node."""
        return Web3(HTTPProvider(self.rpc_url, cache_allowed_requests=True))

    def _deploy(self) -> Description:
        deployed = deploy(self.rpc_url)
        return Description(
            chain_id=anvil.CHAIN_ID,
            rpc_url=self.rpc_url,
            ws_url=self.ws_url,
            block_time=self._block_time,
            tokens=list(TOKENS.values()),
            pools=deployed.pools,
            factories=deployed.factories,
            routers=deployed.routers,
            wallets=deployed.wallets,
            contracts=deployed.contracts,
            memory_bank=str(self.bank),
            log=str(self.log),
            pidfile=str(self.pidfile),
            events=str(self.events),
            exporter_url=self._exporter_url,
            timezone=BOT_TIMEZONE,
        )

    def _remove_temporary(self) -> None:
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, anvil.NodeError):  # the latter is shown by check()
        await task

"""What reading the chain costs: blocks of 300 transactions five times a second, and a backlog of them at once.

python -m benchmarks.chain_reading            # ours, with and without contracts, beside a naive reader with web3.py
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

BACKLOG, BUSY, INTERVAL = 300, 300, 0.2
READERS = {"wallets": "ours, wallets only", "contracts": "ours, with a contract", "web3": "naive, web3.py"}


def main() -> None:
    """Measure each reader in a process of its own, against a node in another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="of following")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--read", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
    elif options.read == "web3":
        naive(options.url, options.seconds)
    elif options.read:
        asyncio.run(ours(options.url, options.read, options.seconds))
    else:
        compare(options.seconds)


def compare(seconds: float) -> None:
    """Print a table."""
    print(
        f"{BUSY} transactions a block; a backlog of {BACKLOG} blocks, then one every {INTERVAL} s for {seconds:.0f} s"
    )
    print(f"{'reader':24}{'backlog':>14}{'following':>14}{'memory':>14}{'behind':>12}")
    for reader, words in READERS.items():
        node = subprocess.Popen([sys.executable, "-m", __spec__.name, "--serve"], stdout=subprocess.PIPE, text=True)
        try:
            url = node.stdout.readline().strip() if node.stdout else ""
            command = [sys.executable, "-m", __spec__.name, "--read", reader, "--url", url, "--seconds", str(seconds)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        finally:
            node.kill()
            node.wait()
        print(
            f"{words:24}{found['speed']:9.0f} /s   {found['cpu']:9.1%} CPU{found['memory']:10.1f} MiB"
            f"{found['behind']:6} blocks"
        )


# --- the node -----------------------------------------------------------------------------------------------------


async def serve() -> None:
    """A model with a backlog that mines on and on once it is asked; its blocks are put into words once."""
    from aiohttp import web

    from tests.model import story
    from tests.model.server import Endpoint

    world = story.world(depth=20, interval=INTERVAL)
    busy = Busy(world)
    for _ in range(BACKLOG):
        busy.mine()
    texts: dict[tuple[str, bool], str] = {}
    endpoint, asked = Endpoint(world), asyncio.Event()

    def answer(part: dict[str, Any]) -> str:
        if part["method"] != "eth_getBlockByNumber" or (block := endpoint.backend.block(part["params"][0])) is None:
            return json.dumps(endpoint.one(part))
        key = block.hash, bool(part["params"][1])
        if key not in texts:
            texts[key] = json.dumps(endpoint.backend.eth_getBlockByNumber(hex(block.number), key[1]))
        return f'{{"jsonrpc":"2.0","id":{part["id"]},"result":{texts[key]}}}'

    async def handle(request: Any) -> Any:
        asked.set()
        body = await request.json()
        parts = [answer(part) for part in (body if isinstance(body, list) else [body])]
        text = f"[{','.join(parts)}]" if isinstance(body, list) else parts[0]
        return web.Response(text=text, content_type="application/json")

    for number in range(BACKLOG + 1):  # so that it is not this that is measured
        answer({"id": 0, "method": "eth_getBlockByNumber", "params": [hex(number), True]})
    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/", flush=True)
    await asked.wait()
    while True:
        busy.mine()
        answer({"id": 0, "method": "eth_getBlockByNumber", "params": [hex(world.head.number), True]})
        await asyncio.sleep(INTERVAL)


class Busy:
    """Blocks full of strangers' transactions; one of ours in every tenth."""

    def __init__(self, world: Any) -> None:
        from tests.model.orders import Order
        from tests.model.story import ME, STRANGERS, Story

        self._world, self._order, self._me, self._strangers = world, Order, ME, STRANGERS
        self._story = Story(random.Random(1), world)

    def mine(self) -> None:
        """One block."""
        head, orders = self._world.head, []
        for place in range(BUSY):
            who = self._strangers[place % len(self._strangers)]
            nonce = head.state["nonce", who] + place // len(self._strangers)
            orders.append(self._order(who, nonce, self._strangers[0], salt=place, gas_limit=22_000))
        if head.number % 10 == 0:
            orders.append(self._story.order(self._me, head.state["nonce", self._me]))
        self._world.mine(orders)


# --- the readers --------------------------------------------------------------------------------------------------


class Meter:
    """What this process has used since a moment."""

    def __init__(self) -> None:
        self._process, self._began = psutil.Process(), time.monotonic()
        self._cpu = self._used()

    def _used(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def report(self, speed: float, behind: int) -> None:
        """Say it."""
        share = (self._used() - self._cpu) / (time.monotonic() - self._began)
        memory = self._process.memory_info().rss / 2**20
        print(json.dumps({"speed": speed, "cpu": share, "memory": memory, "behind": behind}))


async def ours(url: str, kind: str, seconds: float) -> None:
    """The exporter's own reader and ledger."""
    from exporter.config import Bot, Chain, Endpoint, Named, Settings
    from exporter.ledger import Ledger
    from exporter.settings import Secret
    from exporter.sources.contracts import Contracts
    from exporter.sources.rpc import Rpc
    from exporter.wallet_reading import Following

    executors = (Named("executor", "0x" + "e1" * 20),) if kind == "contracts" else ()
    chain = Chain(
        chain_id=8453, endpoints=(Endpoint("node", http=Secret(url)),), wallets=(Named("trader", "0x" + "a1" * 20),),
        contracts=executors, backfill_from=1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(bot=Bot(), chain=chain, state=Path(folder))
        async with Ledger(settings.state) as ledger, Rpc(chain) as rpc:
            following = Following(rpc, ledger, Contracts(chain, ledger), settings)
            began = time.monotonic()
            scanned = (await following.step()).scanned
            speed = scanned / (time.monotonic() - began)
            meter, end = Meter(), time.monotonic() + seconds
            while time.monotonic() < end:
                scanned = (await following.step()).scanned
                await asyncio.sleep(2.0)
            scanned = (await following.step()).scanned
            head = int(await rpc.call("eth_blockNumber", []), 16)
            meter.report(speed, head - scanned)


def naive(url: str, seconds: float) -> None:
    """Every block with web3.py, and the receipts of the wallet's transactions."""
    from web3 import HTTPProvider, Web3

    w3 = Web3(HTTPProvider(url))
    me, fees, number = Web3.to_checksum_address("0x" + "a1" * 20), 0, 0

    def read_on() -> int:
        nonlocal fees, number
        while number < w3.eth.block_number:
            number += 1
            for sent in w3.eth.get_block(number, full_transactions=True)["transactions"]:
                if sent["from"] == me:  # type: ignore[index]
                    receipt = w3.eth.get_transaction_receipt(sent["hash"])  # type: ignore[index]
                    fees += receipt["gasUsed"] * receipt["effectiveGasPrice"]
        return number

    began = time.monotonic()
    speed = read_on() / (time.monotonic() - began)
    meter, end = Meter(), time.monotonic() + seconds
    while time.monotonic() < end:
        read_on()
        time.sleep(INTERVAL)
    read = read_on()
    meter.report(speed, w3.eth.block_number - read)


if __name__ == "__main__":
    main()

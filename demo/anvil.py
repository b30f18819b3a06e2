"""The demo's node: anvil from npm, set up to look like Base."""

import asyncio
import contextlib
import json
import platform
import random
import time
from pathlib import Path
from typing import Any

import aiohttp

from demo.processes import HERE, Child, Children

CHAIN_ID = 8453
START_SECONDS = 20.0
BASE_FEE_WEI = 5_000_000  # 0.005 gwei; Base's lies between 0.002 and 0.011
LOWEST_BASE_FEE_WEI, HIGHEST_BASE_FEE_WEI = 2_000_000, 11_000_000
KEPT_STATES = 32  # blocks whose balances and storage can still be asked for
KEPT_TRANSACTION_BLOCKS = 10_000  # blocks whose transactions and receipts can still be asked for
SLOTS_IN_AN_EPOCH = 5  # anvil's finalized block is two epochs behind its head
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class NodeError(Exception):
    """The node could not be found or started, or refused a request."""


def binary() -> Path:
    """Anvil's program as npm has placed it; raises NodeError if it is not there."""
    machine = platform.machine().lower()
    system = platform.system().lower()
    package = f"anvil-{system}-{ARCHITECTURES.get(machine, machine)}"
    path = HERE / "node_modules" / "@foundry-rs" / package / "bin" / "anvil"
    if not path.exists():
        raise NodeError(f"@foundry-rs/{package} is not installed: run npm ci --prefix demo --ignore-scripts")
    return path


def command(port: int) -> list[str]:
    """Anvil's command line: Base's fees, bounded memory, nothing written to disk.

    It mines when told to only: with `--block-time` it would keep 1500 states, whatever it is asked to keep.
    """
    return [
        *(str(binary()), "--quiet", "--host", "127.0.0.1", "--port", str(port), "--no-cors"),
        *("--chain-id", str(CHAIN_ID), "--no-mining"),
        *("--balance", "1000000", "--base-fee", str(BASE_FEE_WEI), "--disable-min-priority-fee"),
        *("--slots-in-an-epoch", str(SLOTS_IN_AN_EPOCH)),
        *("--prune-history", str(KEPT_STATES)),
        *("--transaction-block-keeper", str(KEPT_TRANSACTION_BLOCKS)),
    ]


class Rpc:
    """JSON-RPC requests over one HTTP session."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def __call__(self, method: str, *params: object) -> Any:
        """The result of one request; raises NodeError if the node answers with an error."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self._session.post(self._url, json=body) as response:
            answer = json.loads(await response.read())
        if "error" in answer:
            raise NodeError(f"{method}: {answer['error'].get('message', answer['error'])}")
        return answer["result"]


async def start(children: Children, rpc: Rpc, port: int) -> Child:
    """Start the node and wait until it answers; raises NodeError or ChildEnded."""
    child = await children.start("anvil", *command(port))
    for _ in range(int(START_SECONDS / 0.02)):
        if child.process.returncode is not None:
            raise child.ended()
        try:
            await rpc("eth_chainId")
        except aiohttp.ClientError:
            await asyncio.sleep(0.02)
        else:
            return child
    raise NodeError(f"anvil does not answer after {START_SECONDS:g} s")


async def produce_blocks(rpc: Rpc, block_time: float, producing: asyncio.Event) -> None:
    """Mine a block every `block_time` seconds while `producing` is set; raises NodeError.

    The base fee of each goes its own way within Base's range. Left alone it would fall to 7 wei in two
    minutes: blocks here are nearly empty, and EIP-1559 lowers the fee by an eighth after an empty one.
    """
    fee, due = float(BASE_FEE_WEI), time.monotonic()
    while await producing.wait():
        due = max(due + block_time, time.monotonic())  # blocks that were missed are not made up for
        await asyncio.sleep(due - time.monotonic())
        fee *= random.gauss(1, 0.02) * (BASE_FEE_WEI / fee) ** 0.01
        fee = min(max(fee, LOWEST_BASE_FEE_WEI), HIGHEST_BASE_FEE_WEI)
        with contextlib.suppress(aiohttp.ClientError):  # a node that has ended is noticed elsewhere
            await rpc("anvil_setNextBlockBaseFeePerGas", hex(round(fee)))
            await rpc("evm_mine")

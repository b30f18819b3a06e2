"""Incidents in the demo: each tells its operators exactly what it must, in time, and once it is over, that it is.

A minute of the rules is a second here; scrapes and evaluations are a second apart, and Alertmanager does not wait.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.chain import ETHER
from tests.alerting.rules import ALERTS
from tests.alerting.stage import FACTOR, THRESHOLDS, Stage, stage, until

FULL = os.environ.get("ARB_PROOFS") == "full"
LATE = 5.0
"""Seconds after the scaled `for` within which an alert is delivered, from the moment the exporter shows the cause."""
CALM_SECONDS = 5.0
BALANCE = 0.03
type Samples = dict[str, list[tuple[Mapping[str, str], float]]]
type Deed = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Incident:
    """What is done, what then must be told and by which figures, what must be kept back, and how it is mended."""

    name: str
    cause: Deed
    told: Mapping[str, Callable[[Samples], bool]]
    kept_back: frozenset[str] = frozenset()
    hold_seconds: float = 15.0
    cure: Deed | None = None


@dataclass(slots=True)
class Report:
    """How late each alert was, in seconds after the scaled `for`."""

    lateness: dict[str, float] = field(default_factory=dict)
    recovered: float | None = None


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """The first such sample."""
    return next((v for found, v in samples.get(name, []) if labels.items() <= found.items()), None)


def is_zero(name: str) -> Callable[[Samples], bool]:
    return lambda samples: bool(samples.get(name)) and all(v == 0 for _, v in samples[name])


async def stop_bot(on: Stage) -> None:
    await on.world.stop("bot")


async def start_bot(on: Stage) -> None:
    await on.world.start_bot()


async def drain_wallet(on: Stage) -> None:
    """Send away all but a little, as a thief would."""
    account, least = on.world.description.wallets["bot"], int(BALANCE * ETHER)

    async def balance() -> int:
        return int(await on.world.rpc("eth_getBalance", account, "latest"), 16)

    for _ in range(5):  # a trade that the bot sends in the same moment may take the transaction's place
        await _send(on, "bot", "rival", await balance() - least)
        for _ in range(30):
            await asyncio.sleep(0.2)
            if await balance() <= least:
                return
    pytest.fail("the wallet cannot be drained")


async def refill_wallet(on: Stage) -> None:
    await _send(on, "rival", "bot", 100 * ETHER)


async def _send(on: Stage, sender: str, recipient: str, amount: int) -> None:
    wallets = on.world.description.wallets
    await on.world.rpc("eth_sendTransaction", {
        "from": wallets[sender], "to": wallets[recipient], "value": hex(amount), "gas": hex(21_000),
        "maxFeePerGas": hex(10**8), "maxPriorityFeePerGas": hex(10**7),
    })  # fmt: skip


async def fill_disk(on: Stage) -> None:
    assert on.disk is not None
    with (on.disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
        except OSError:
            return


async def empty_disk(on: Stage) -> None:
    assert on.disk is not None
    (on.disk / "filler").unlink()


def write_trade(on: Stage, net_profit: float) -> None:
    """A trade as the bot writes it; under a time of its own, so that the bot's own trades are not overwritten."""
    number = int(time.time()) - 86_400
    document = {
        "timestamp": "2025-04-13T09:00:00.000001", "success": net_profit > 0, "net_profit": net_profit,
        "opportunity": {"token_pair": "WETH-USDC", "dex_1": "sushiswap", "dex_2": "uniswap", "potential_profit": 0.1,
                        "confidence": 0.9},
        "gas_cost": 0.0001, "tx_hash": "0x" + os.urandom(32).hex(), "error": None if net_profit > 0 else "slippage",
    }  # fmt: skip
    path = on.world.bank / "trades" / f"trade_{number}.json"
    path.write_text(json.dumps(document))


async def lose(on: Stage) -> None:
    write_trade(on, -50.0)


async def win(on: Stage) -> None:
    write_trade(on, 200.0)


async def delete_bank(on: Stage) -> None:
    """What an initialiser may do; the bot does not survive it."""
    await asyncio.to_thread(shutil.copytree, on.world.bank, on.world.directory / "copy", dirs_exist_ok=True)
    await asyncio.to_thread(_remove, on.world.bank)


def _remove(folder: Path) -> None:
    """The bot writes meanwhile."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


async def restore_bank(on: Stage) -> None:
    await asyncio.to_thread(shutil.copytree, on.world.directory / "copy", on.world.bank, dirs_exist_ok=True)
    bot = on.world.children
    if "bot" in bot.pids():
        await bot.stop("bot")
    on.world.pidfile.unlink(missing_ok=True)
    await on.world.start_bot()


async def kill_node(on: Stage) -> None:
    await on.world.stop("anvil")


async def freeze_node(on: Stage) -> None:
    os.kill(on.world.children.pids()["anvil"], signal.SIGSTOP)


async def thaw_node(on: Stage) -> None:
    os.kill(on.world.children.pids()["anvil"], signal.SIGCONT)


def drained(samples: Samples) -> bool:
    balance = value(samples, "arb_wallet_balance_ether", wallet="trader")
    return balance is not None and balance < 0.05


def full_disk(samples: Samples) -> bool:
    sizes = {labels["mountpoint"]: size for labels, size in samples.get("arb_host_filesystem_size_bytes", [])}
    free = samples.get("arb_host_filesystem_free_bytes", [])
    return any(v < THRESHOLDS["host_disk_free_ratio_critical"] * sizes[labels["mountpoint"]] for labels, v in free)


def lost(samples: Samples) -> bool:
    return (value(samples, "arb_bot_drawdown_ether", source="memory_bank") or 0) > 40


BOT = Incident(
    "the bot is stopped", stop_bot, {"ArbBotDown": is_zero("arb_bot_process_up")},
    frozenset({"ArbBotSilent", "ArbMemoryBankStale"}), 32.0, start_bot,
)  # fmt: skip
WALLET = Incident(
    "the wallet is drained", drain_wallet, {"ArbWalletBalanceCritical": drained},
    frozenset({"ArbWalletBalanceLow"}), 12.0, refill_wallet,
)  # fmt: skip
DISK = Incident(
    "the disk is full", fill_disk, {"ArbHostDiskFull": full_disk}, frozenset({"ArbHostDiskLow"}), 18.0, empty_disk
)
LOSS = Incident(
    "the bot loses", lose, {"ArbNetLossHour": lost, "ArbDrawdownCritical": lost},
    frozenset({"ArbDrawdownHigh"}), 18.0, win,
)  # fmt: skip
BANK = Incident(
    "the bank is deleted", delete_bank,
    {"ArbMemoryBankGone": is_zero("arb_memory_bank_up"), "ArbBotDown": is_zero("arb_bot_process_up")},
    frozenset(), 20.0, restore_bank,
)  # fmt: skip
FOLLOWS = frozenset({"ArbRpcDown", "ArbChainHeadStale", "ArbCollectorFailing", "ArbPricesMissing"})
FROZEN = Incident("the node hangs", freeze_node, {"ArbRpcAllDown": is_zero("arb_rpc_up")}, FOLLOWS, 40.0, thaw_node)
KILLED = Incident("the node is killed", kill_node, {"ArbRpcAllDown": is_zero("arb_rpc_up")}, FOLLOWS, 40.0)
INCIDENTS = (BOT, WALLET, DISK, LOSS, BANK, FROZEN, KILLED) if FULL else (WALLET,)
"""In a short run the one whose consequence is soonest held back, and which is soonest over."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of 4 MiB in memory; None where nothing may be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if not FULL or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@asynccontextmanager
async def live_feed(on: Stage) -> AsyncIterator[list[str]]:
    """The alerts that a listener of the topic hears of as firing."""
    heard: list[str] = []
    async with on.session.ws_connect(on.exporter.replace("http", "ws") + "/ws", protocols=["arb.live.v1"]) as socket:
        await socket.send_json({"op": "subscribe", "topics": ["alerts"]})
        listening = asyncio.create_task(_hear(socket, heard))
        try:
            yield heard
        finally:
            listening.cancel()


async def _hear(socket: Any, heard: list[str]) -> None:
    async for message in socket:
        frame = json.loads(message.data)
        if frame["type"] == "update":
            heard += [each["labels"]["alertname"] for each in frame["data"] if each["state"] == "firing"]


async def calm(on: Stage) -> None:
    """Nothing has been pending for a while, and the watchdog has barked."""
    quiet_since = time.monotonic()

    async def quiet() -> bool:
        nonlocal quiet_since
        if await on.active():
            quiet_since = time.monotonic()
        barked = any(told.receiver == "dead-man" for told in on.receivers.told)
        return barked and time.monotonic() - quiet_since > CALM_SECONDS

    try:
        await until(quiet, 180, "calm")
    except AssertionError:
        pytest.fail(f"never calm: {await on.active()} pending or firing")


async def watch(on: Stage, incident: Incident) -> Report:
    """Cause it, and hold what is told against what must be; then mend it."""
    async with live_feed(on) as heard:
        began, shown = time.monotonic(), dict[str, float]()
        await incident.cause(on)

        async def all_told() -> bool:
            samples = await on.metrics()
            for alert, holds in incident.told.items():
                if alert not in shown and holds(samples):
                    shown[alert] = time.monotonic()
            return incident.told.keys() <= on.receivers.to_operators(began).keys()

        await until(all_told, 60, f"{incident.name}: {list(incident.told)} told")
        kept_back = await _hold(on, incident)
        told = on.receivers.to_operators(began)
        assert told.keys() == incident.told.keys(), incident.name
        assert kept_back >= incident.kept_back, incident.name
        assert await on.shown() >= incident.told.keys()
        assert incident.told.keys() <= set(heard)
    report = Report({name: _late(told[name].at, shown[name], name) for name in told})
    assert all(late <= LATE for late in report.lateness.values()), (incident.name, report)
    if incident.cure is not None:
        report.recovered = await _mend(on, incident, incident.cure)
    return report


def _late(delivered: float, shown: float, alert: str) -> float:
    return delivered - shown - ALERTS[alert].seconds / FACTOR


async def _hold(on: Stage, incident: Incident) -> set[str]:
    """What is kept back while everything that could follow has its time to."""
    found, end = set[str](), time.monotonic() + incident.hold_seconds
    while time.monotonic() < end:
        found |= await on.inhibited()
        await asyncio.sleep(0.3)
    return found


async def _mend(on: Stage, incident: Incident, cure: Deed) -> float:
    """Seconds until the last is told to be over; nothing else may be told meanwhile."""
    began = time.monotonic()
    await cure(on)

    async def all_over() -> bool:
        return incident.told.keys() <= on.receivers.to_operators(began, "resolved").keys()

    await until(all_over, 60, f"{incident.name}: over")
    took = time.monotonic() - began
    await calm(on)
    others = on.receivers.to_operators(began).keys() - incident.told.keys()
    assert not others, f"{incident.name}: told after it was over: {sorted(others)}"
    return took


async def test_incidents_are_told_exactly_and_in_time(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        async with stage(tmp_path, disk) as on:
            write_trade(on, 100.0)  # a peak to fall from
            await calm(on)
            for incident in INCIDENTS:
                if incident is DISK and disk is None:
                    print("the disk is not filled: nothing may be mounted here")
                    continue
                report = await watch(on, incident)
                print(f"{incident.name}: {report}")

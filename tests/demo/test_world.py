"""The world on a real node: what the bot writes is what the chain says."""

import asyncio
import json
import logging
import mmap
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from web3 import Web3
from web3.types import TxParams

from demo import anvil, artifacts, bot, observers
from demo.arbitrage import opportunities, read_reserves
from demo.chain import ETHER, TOKENS, WETH
from demo.processes import ROOT
from demo.reports import Reports
from demo.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with World(tmp_path_factory.mktemp("world"), block_time=0.25) as started:
        yield started


async def eventually(holds: Callable[[], Any], seconds: float = 120) -> Any:
    """The first true value within the time."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)
    return value


def weth(w3: Web3, wallet: str, block: int) -> int:
    token = w3.eth.contract(Web3.to_checksum_address(WETH.address), abi=artifacts.load("WETH9").abi)
    balance: int = token.functions.balanceOf(wallet).call(block_identifier=block)
    return balance


def assert_true(w3: Web3, wallet: str, trade: dict[str, Any]) -> None:
    """A trade's figures are those of the receipt and of the wallet's balances around its block."""
    receipt = w3.eth.get_transaction_receipt(trade["tx_hash"])
    block, gas = receipt["blockNumber"], receipt["gasUsed"] * receipt["effectiveGasPrice"]
    address = Web3.to_checksum_address(wallet)
    spent = w3.eth.get_balance(address, block - 1) - w3.eth.get_balance(address, block)
    gained = weth(w3, wallet, block) - weth(w3, wallet, block - 1)
    assert spent == gas
    assert trade["gas_cost"] == gas / ETHER
    assert trade["net_profit"] == (gained - gas) / ETHER
    assert trade["success"] == (receipt["status"] == 1) == (gained > 0)


async def test_the_chain_looks_like_base(world: World) -> None:
    w3 = world.web3()
    assert w3.eth.chain_id == world.description.chain_id == 8453
    for token in TOKENS.values():
        contract = w3.eth.contract(Web3.to_checksum_address(token.address), abi=artifacts.load("DemoToken").abi)
        read = (contract.functions.name(), contract.functions.symbol(), contract.functions.decimals())
        assert [function.call() for function in read] == [token.name, token.symbol, token.decimals]
    pair = artifacts.load("UniswapV2Pair").abi
    for pool in world.description.pools:
        contract = w3.eth.contract(Web3.to_checksum_address(pool.address), abi=pair)
        first, second = (WETH, pool.other) if pool.weth_first else (pool.other, WETH)
        assert contract.functions.factory().call() == world.description.factories[pool.dex]
        assert contract.functions.token0().call() == first.address
        assert contract.functions.token1().call() == second.address


async def test_the_exporter_accepts_its_configuration(world: World, tmp_path: Path) -> None:
    settings = tmp_path / "exporter.yml"
    settings.write_text(observers.exporter_settings(world))
    check = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exporter", f"--config.file={settings}", "--config.check"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await check.communicate()
    assert (check.returncode, output) == (0, b"ok\n")


async def test_the_chain_can_be_stopped_and_goes_on(world: World) -> None:
    world.producing.clear()
    await asyncio.sleep(0.4)  # the block that was under way
    head = world.web3().eth.block_number
    await asyncio.sleep(0.6)
    assert world.web3().eth.block_number == head
    world.producing.set()
    await eventually(lambda: world.web3().eth.block_number > head)


async def test_the_base_fee_stays_like_base(world: World) -> None:
    block = int(await world.rpc("eth_blockNumber"), 16)
    await eventually(lambda: world.web3().eth.block_number > block + 8)
    history = world.web3().eth.fee_history(8, "latest")
    assert all(anvil.LOWEST_BASE_FEE_WEI * 0.8 <= fee <= anvil.HIGHEST_BASE_FEE_WEI for fee in history["baseFeePerGas"])


async def test_the_world_starts_without_an_opportunity(world: World) -> None:
    w3 = world.web3()
    assert opportunities(read_reserves(w3, world.description.pools, w3.eth.block_number)) == []


async def test_the_bot_earns_what_it_writes(world: World) -> None:
    process = await world.start_bot()
    await eventually(lambda: world.pidfile.read_text().strip() == str(process.pid))
    await world.move_price("sushiswap", "WETH/USDC", 1.03)
    path: Path = await eventually(lambda: next(world.bank.glob("trades/trade_*.json"), None))
    trade = await eventually(lambda: path.stat().st_size and json.loads(path.read_text()))
    assert trade["opportunity"]["token_pair"] == "WETH-USDC"
    assert (trade["opportunity"]["dex_1"], trade["opportunity"]["dex_2"]) == ("uniswap", "sushiswap")
    assert trade["success"] is True
    assert trade["error"] is None
    assert trade["net_profit"] > 0
    assert trade["net_profit"] == pytest.approx(trade["opportunity"]["potential_profit"], rel=1e-3)
    await asyncio.to_thread(assert_true, world.web3(), world.description.wallets["bot"], trade)

    assert await world.stop("bot") == 0
    assert not world.pidfile.exists()
    assert "Trade executed" in world.log.read_text()


async def test_a_trade_that_comes_too_late_fails_on_the_chain(world: World) -> None:
    handler = bot.open_log(world.log, world.description.timezone)
    late = bot.Bot(world.description)
    await world.move_price("uniswap", "cbETH/WETH", 1.03)
    seen = await asyncio.to_thread(late.look)
    await world.move_price("uniswap", "cbETH/WETH", 1 / 1.03)  # somebody was faster
    try:
        failed = await asyncio.to_thread(late.take, seen.opportunities[0], seen)
    finally:
        logging.getLogger("arbitrage_bot").removeHandler(handler)
        handler.close()
    trade = json.loads(late.bank.record(failed).read_text())
    assert trade["success"] is False
    assert trade["error"].startswith("Slippage exceeded: NoProfit(")
    assert trade["net_profit"] == -trade["gas_cost"] < 0
    await asyncio.to_thread(assert_true, world.web3(), world.description.wallets["bot"], trade)
    text = world.log.read_text()
    assert " - arbitrage_bot - ERROR - Trade failed: " in text
    assert "\nTraceback (most recent call last):\n" in text
    assert late.bank.root == world.bank


async def test_the_reports_are_those_of_the_market(world: World) -> None:
    watcher = bot.Bot(world.description)
    reports = Reports(watcher.w3, world.description, watcher.bank, watcher.books)
    await world.move_price("sushiswap", "WETH/DAI", 1.05)
    market = await asyncio.to_thread(watcher.look)
    await asyncio.to_thread(reports.write_due, market)
    state = {path.name: json.loads(path.read_text()) for path in world.bank.glob("state/*.json")}
    metrics = {path.name: json.loads(path.read_text()) for path in world.bank.glob("metrics/*.json")}
    assert set(state) == {
        *("market_state.json", "opportunities.json", "state.json"),
        *("system_state.json", "pool_metrics.json", "executions.json"),
    }
    assert set(metrics) == {
        *("metrics.json", "performance.json", "dex_performance.json", "token_metrics.json"),
    }
    found = state["opportunities.json"]["opportunities"][0]
    assert (found["token_pair"], found["dex_1"], found["dex_2"]) == ("WETH-DAI", "uniswap", "sushiswap")
    assert int(found["expected_profit_wei"]) > 0
    assert state["opportunities.json"]["market_condition"]["prices"] == market.usd_by_dex()
    assert state["state.json"]["current_block"] == market.block
    volumes = [pool["volume_24h"] for pool in state["pool_metrics.json"].values()]
    assert max(volumes) == pytest.approx(250 * 3000 * (1.05**0.5 - 1), rel=0.04)  # by what goes in or by what comes out


async def test_only_its_owner_may_use_the_arbitrageur(world: World) -> None:
    w3, about = world.web3(), world.description
    contract = w3.eth.contract(
        Web3.to_checksum_address(about.contracts["arbitrageur"]), abi=artifacts.load("Arbitrageur").abi
    )
    stranger: TxParams = {"from": Web3.to_checksum_address(about.wallets["rival"])}
    one, two = about.pools[0].address, about.pools[1].address
    call = contract.functions.arbitrage(one, two, 1, 0)
    with pytest.raises(Exception, match=Web3.keccak(text="NotOwner(address)")[:4].hex()):
        await asyncio.to_thread(call.call, stranger)
    with pytest.raises(Exception, match=Web3.keccak(text="NotLender(address)")[:4].hex()):
        await asyncio.to_thread(contract.functions.uniswapV2Call(one, 1, 0, b"").call, stranger)


async def test_traders_move_the_prices(world: World) -> None:
    pools, w3 = world.description.pools, world.web3()
    before = read_reserves(w3, pools, w3.eth.block_number)
    await world.start_traders()
    await eventually(
        lambda: sum(before[pool] != now for pool, now in read_reserves(w3, pools, w3.eth.block_number).items()) >= 3
    )
    assert await world.stop("traders") == 0
    assert (world.directory / "output" / "traders.txt").read_text() == ""


async def test_the_recent_trades_can_be_mapped(world: World) -> None:
    with (
        (world.bank / "trades" / "recent_trades.json").open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory,
    ):
        assert len(memory) == 1 << 20
        rows = json.loads(memory[: memory.find(b"\0")])["trades"]
    assert rows
    assert all(row["block_number"] > 0 for row in rows)

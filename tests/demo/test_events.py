"""What the bot says is what the chain says: every figure of its events is checked against the node."""

import asyncio
import dataclasses
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from web3 import Web3

from demo import arbitrage
from demo.arbitrage import Reserves, read_reserves
from demo.bot import Bot, run
from demo.chain import ETHER, Pool
from demo.market import Market
from demo.reports import Reports
from demo.reserves import READERS, Known
from demo.world import World
from exporter.client import ether
from exporter.sources import event_records
from tests.client.fake_exporter import Exporter, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
AGAIN = 1.04


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    with running() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, exporter: Exporter) -> AsyncIterator[World]:
    made = World(tmp_path_factory.mktemp("events"), block_time=0.25, exporter_url=exporter.url)
    async with made as started:
        block = started.web3().eth.block_number
        await eventually(lambda: started.web3().eth.block_number > block + 8)  # fees have settled
        yield started


@pytest.fixture
def bot(world: World, exporter: Exporter) -> Iterator[Bot]:
    exporter.records.clear()
    made = Bot(world.description)
    yield made
    made.close()


def of(exporter: Exporter, kind: str) -> list[dict[str, Any]]:
    return [record for record in exporter.records if record["type"] == kind]


async def told(bot: Bot, exporter: Exporter, kind: str) -> list[dict[str, Any]]:
    assert await bot.client.flushed()
    assert not bot.client.stats.invalid
    return of(exporter, kind)


async def look(bot: Bot) -> Market:
    return await asyncio.to_thread(bot.look)


def reserves(world: World, pool: Pool, block: int) -> Reserves:
    return read_reserves(world.web3(), [pool], block)[pool]


async def test_a_trade_is_told_as_the_chain_did_it(world: World, bot: Bot, exporter: Exporter) -> None:
    about, w3 = world.description, world.web3()
    await world.move_price("sushiswap", "WETH/USDC", AGAIN)
    market, before = await look(bot), time.time()
    await asyncio.to_thread(bot.step, market)
    (trade,) = await told(bot, exporter, "trade")
    (loan,) = of(exporter, "flash_loan")
    receipt = w3.eth.get_transaction_receipt(trade["tx_hash"])
    block = receipt["blockNumber"]
    sell, buy = about.pool("sushiswap", "WETH/USDC"), about.pool("uniswap", "WETH/USDC")
    sold, then = reserves(world, sell, block), reserves(world, sell, block - 1)
    bought, there = reserves(world, buy, block), reserves(world, buy, block - 1)
    owed, borrowed, received = sold.weth - then.weth, then.other - sold.other, there.weth - bought.weth
    gas = receipt["gasUsed"] * receipt["effectiveGasPrice"]

    assert (trade["pair"], trade["dex_buy"], trade["dex_sell"]) == ("WETH/USDC", "uniswap", "sushiswap")
    assert trade["outcome"] == loan["outcome"] == "success"
    assert trade["net_profit_eth"] == str(ether(received - owed - gas))
    assert Decimal(trade["gas_fee_eth"]) == ether(gas)
    assert (trade["gas_used"], trade["path_length"]) == (receipt["gasUsed"], 2)
    assert "l1_fee_eth" not in trade
    assert Decimal(trade["amount_eth"]) == ether(owed)
    assert Decimal(trade["slippage_ratio"]) == 0

    assert (loan["provider"], loan["token"]) == ("sushiswap", "USDC")
    assert Decimal(loan["amount"]) == Decimal(borrowed) / 10**6
    assert loan["fee_eth"] == trade["flash_loan_fee_eth"]
    assert Decimal(loan["fee_eth"]) == pytest.approx(Decimal(owed) * 3 / 1000 / ETHER, rel=Decimal("1e-12"))
    # Without the fee, the same reserves would have given so much more: the pool keeps it.
    unpaid = there.weth - there.weth * there.other // (there.other + borrowed)
    assert Decimal(trade["dex_fee_eth"]) == pytest.approx(Decimal(unpaid - received) / ETHER, rel=Decimal("0.02"))

    stages = {record["stage"]: record for record in of(exporter, "opportunity") if record["pair"] == "WETH/USDC"}
    assert set(stages) == {"detected", "executed"}
    assert trade["opportunity_id"] == stages["detected"]["id"]
    assert Decimal(stages["executed"]["expected_profit_eth"]) == pytest.approx(
        Decimal(trade["net_profit_eth"]), rel=Decimal("0.001")
    )
    assert before - 1 < trade["discovered_at"] <= trade["submitted_at"] <= trade["included_at"] <= time.time()
    for record in exporter.records:
        event_records.parse(record)
        assert record["strategy"] == "cross_dex_arbitrage"


async def test_what_is_too_small_is_rejected_once(world: World, bot: Bot, exporter: Exporter) -> None:
    await world.move_price("uniswap", "WETH/DAI", 1.0075)
    for _ in range(3):
        await asyncio.to_thread(bot.step, await look(bot))
    told_of = [each for each in await told(bot, exporter, "opportunity") if each["pair"] == "WETH/DAI"]
    assert [(each["stage"], each.get("reason")) for each in told_of] == [
        ("detected", None),
        ("rejected", "profit_too_low"),
    ]
    assert 0.006 < float(told_of[0]["spread_ratio"]) < 0.008
    assert not of(exporter, "trade")


async def test_what_costs_too_much_gas_is_rejected_for_that(
    world: World, bot: Bot, exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.move_price("sushiswap", "cbETH/WETH", AGAIN)
    monkeypatch.setattr("demo.reports.EXPECTED_GAS", 10**12)
    await asyncio.to_thread(bot.step, await look(bot))
    reasons = {each["pair"]: each.get("reason") for each in await told(bot, exporter, "opportunity")}
    assert reasons["cbETH/WETH"] == "gas_too_high"
    assert not of(exporter, "trade")
    monkeypatch.undo()
    await world.move_price("sushiswap", "cbETH/WETH", 1 / AGAIN)


async def test_what_the_prices_took_back_is_missed(world: World, bot: Bot, exporter: Exporter) -> None:
    await world.move_price("uniswap", "cbETH/WETH", AGAIN)
    market = await look(bot)
    bot.funnel.look(market)
    await world.move_price("uniswap", "cbETH/WETH", 1 / AGAIN)
    await asyncio.to_thread(bot.step, await look(bot))
    (missed,) = [each for each in await told(bot, exporter, "opportunity") if each["stage"] == "missed"]
    assert (missed["pair"], missed["reason"]) == ("cbETH/WETH", "price_moved")
    assert Decimal(missed["expected_profit_eth"]) > 0


async def test_a_trade_that_somebody_else_made_first_fails_and_says_so(
    world: World, bot: Bot, exporter: Exporter
) -> None:
    w3, about = world.web3(), world.description
    await world.move_price("uniswap", "cbETH/WETH", AGAIN)
    market = await look(bot)
    bot.funnel.look(market)
    call = arbitrage.call(w3, about.wallets["rival"], about.contracts["rival"], market.opportunities[0], 0)
    sent = w3.eth.send_transaction({**call, **arbitrage.fees(w3, 2_000_000)})
    await asyncio.to_thread(w3.eth.wait_for_transaction_receipt, sent, 10, 0.05)
    await asyncio.to_thread(bot.take, market.opportunities[0], market)
    (trade,) = await told(bot, exporter, "trade")
    (loan,) = of(exporter, "flash_loan")
    assert trade["outcome"] == loan["outcome"] == "failed"
    assert trade["reason"].startswith("Slippage exceeded")
    assert Decimal(trade["net_profit_eth"]) == -Decimal(trade["gas_fee_eth"]) < 0
    assert not {"slippage_ratio", "flash_loan_fee_eth", "dex_fee_eth", "l1_fee_eth"} & set(trade)
    assert "fee_eth" not in loan
    (missed,) = [each for each in of(exporter, "opportunity") if each["stage"] == "missed"]
    assert missed["reason"] == "competition"


async def test_the_parts_of_the_bot_are_sampled(world: World, bot: Bot, exporter: Exporter) -> None:
    reports = Reports(bot.w3, world.description, bot.bank, bot.books)
    market = await look(bot)
    await asyncio.to_thread(reports.write_due, market)
    bot.voice.status(market, bot.known)
    bot.voice.status(market, bot.known)  # not again so soon
    parts = {each["name"]: each["status"] for each in await told(bot, exporter, "component")}
    assert parts == {"node": "ok", "memory_bank": "ok", "wallet": "ok"}
    prices = {(each["pair"], each["dex"]): float(each["price"]) for each in of(exporter, "price")}
    assert len(prices) == len(of(exporter, "price")) == len(world.description.pools)
    assert 2_500 < prices["WETH/USDC", "uniswap"] < 3_500
    assert 0.9 < prices["cbETH/WETH", "uniswap"] < 1.3
    (cache,) = of(exporter, "cache")
    assert (cache["misses"], cache["entries"]) == (6, 6)
    assert cache["bytes"] > 500
    (pool,) = of(exporter, "pool")
    assert 1 <= pool["in_use"] <= pool["size"] == READERS
    assert not of(exporter, "bundle")


async def test_bad_signs_are_told(world: World, bot: Bot, exporter: Exporter) -> None:
    market = await look(bot)
    wallet, w3 = world.description.wallets["bot"], world.web3()
    balance = w3.eth.get_balance(Web3.to_checksum_address(wallet))
    await world.rpc("anvil_setBalance", wallet, hex(10**13))
    state = bot.bank.root / "state" / "state.json"
    state.unlink(missing_ok=True)
    old = Market(market.block, market.timestamp - 60, market.base_fee, market.reserves, market.opportunities)
    bot.voice.status(old, bot.known)
    await world.rpc("anvil_setBalance", wallet, hex(balance))
    parts = {each["name"]: each["status"] for each in await told(bot, exporter, "component")}
    assert parts == {"node": "degraded", "memory_bank": "degraded", "wallet": "degraded"}


async def test_the_allocation_is_where_the_borrowed_money_went(world: World, bot: Bot, exporter: Exporter) -> None:
    for pair in ("WETH/USDC", "WETH/DAI"):
        await world.move_price("sushiswap", pair, AGAIN)
        await asyncio.to_thread(bot.step, await look(bot))
    bot.voice.status(await look(bot), bot.known)
    told_of = await told(bot, exporter, "allocation")
    trades = of(exporter, "trade")
    assert len(trades) == 2
    total = sum(Decimal(trade["amount_eth"]) for trade in trades)
    pairs = {each["pair"]: each for each in told_of if "pair" in each}
    venues = {each["dex"]: each for each in told_of if "dex" in each}
    assert sum(Decimal(each["amount_eth"]) for each in pairs.values()) == total
    assert sum(Decimal(each["share_ratio"]) for each in pairs.values()) == pytest.approx(Decimal(1))
    assert set(venues) == {"uniswap", "sushiswap"}
    assert all(Decimal(each["amount_eth"]) == total for each in venues.values())
    assert all(float(each["share_ratio"]) == 0.5 for each in venues.values())


async def test_a_node_that_is_away_is_down(world: World, exporter: Exporter) -> None:
    exporter.records.clear()
    lost, stopped = Bot(world.description), threading.Event()
    reports = Reports(lost.w3, world.description, lost.bank, lost.books)
    lost.w3 = Web3(Web3.HTTPProvider("http://127.0.0.1:9"))
    thread = threading.Thread(target=run, args=(lost, reports, stopped))
    thread.start()
    await eventually(lambda: of(exporter, "component"))
    stopped.set()
    await asyncio.to_thread(thread.join, 20)
    lost.close()
    assert {(each["name"], each["status"]) for each in of(exporter, "component")} == {("node", "down")}


async def test_an_exporter_that_is_away_gets_it_from_the_file(world: World, exporter: Exporter) -> None:
    about = world.description
    away = Bot(dataclasses.replace(about, exporter_url="http://127.0.0.1:9"))
    away.voice.status(await look(away), away.known)
    assert await away.client.flushed()
    away.close()
    kinds = [json.loads(line)["type"] for line in world.events.read_bytes().splitlines()]
    assert {"price", "component", "cache", "pool"} <= set(kinds)
    assert away.client.stats.written == len(kinds)


async def test_what_is_known_of_the_pools_is_true_at_every_block(world: World) -> None:
    w3, pools = world.web3(), world.description.pools
    known = Known(w3, pools)
    try:
        first = w3.eth.block_number
        assert await asyncio.to_thread(known.at, first) == read_reserves(w3, pools, first)
        assert (known.hits, known.misses, known.entries) == (0, 6, 6)
        assert 1 <= known.busiest() <= READERS
        assert await asyncio.to_thread(known.at, first) == read_reserves(w3, pools, first)
        assert (known.hits, known.misses) == (6, 6)
        await world.move_price("uniswap", "WETH/DAI", 1.01)
        head = w3.eth.block_number
        assert await asyncio.to_thread(known.at, head) == read_reserves(w3, pools, head)
        assert (known.hits, known.misses) == (11, 7)
        assert await asyncio.to_thread(known.at, first) == read_reserves(w3, pools, first)  # the chain went back
        assert (known.hits, known.misses) == (11, 13)
    finally:
        known.close()


async def eventually(holds: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)
    return value

"""The wallets' books against a real node: what web3 says of each transaction is what was counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3

from demo import arbitrage
from demo.chain import ETHER, USDC, WETH
from demo.deploy import FOREVER, Deployed, Deployer, deploy
from exporter import books, wallet_books, wallet_reading
from exporter.config import Bot, Chain, Endpoint, Named, Pool, Settings
from exporter.ledger import Ledger, fetch
from exporter.settings import Secret
from exporter.sources.contracts import Contracts
from exporter.sources.rpc import Rpc
from exporter.wallet_reading import Following, State
from tests.anvils import anvil

CHAIN_ID = 8453
FINALITY = 2


class World:
    """A chain with exchanges, a bot that trades through its contract, and web3 as the second opinion."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.deployed: Deployed = deploy(url)
        self.chain = Deployer(url)
        self.w3 = self.chain.w3
        self.bot = Web3.to_checksum_address(self.deployed.wallets["bot"])
        self.stranger = Web3.to_checksum_address(self.deployed.wallets["trader-1"])
        self.executor = self.deployed.contracts["arbitrageur"]
        self.start = self.w3.eth.block_number

    def settings(self, folder: Path, **chain: Any) -> Settings:
        """Settings for the bot, on the first block after the deployment."""
        pools = tuple(Pool(p.dex, "uniswap_v2", p.address.lower()) for p in self.deployed.pools)
        parts: dict[str, Any] = {
            "chain_id": CHAIN_ID, "endpoints": (Endpoint("anvil", http=Secret(self.url)),), "pools": pools,
            "wallets": (Named("trader", self.bot.lower()),), "contracts": (Named("executor", self.executor.lower()),),
            "finality": FINALITY, "backfill_from": self.start + 1,
        }  # fmt: skip
        return Settings(bot=Bot(name="demo"), chain=Chain(**(parts | chain)), state=folder / "state")

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.chain.request("evm_mine")

    def send(self, sender: str, to: str, value: int = 0, data: str = "0x", gas: int = 400_000) -> str:
        fees = {"maxFeePerGas": hex(10**9), "maxPriorityFeePerGas": "0xf4240"}
        request = {"from": sender, "to": to, "value": hex(value), "data": data, "gas": hex(gas), **fees}
        return self.chain.request("eth_sendTransaction", request)

    def swap(self, dex: str = "uniswap", ether: int = 20) -> None:
        """A stranger moves a price, so that there is something to earn."""
        router = self.chain.at("UniswapV2Router02", self.deployed.routers[dex])
        call = router.functions.swapExactTokensForTokens(
            ether * ETHER, 0, [WETH.address, USDC.address], self.stranger, FOREVER
        )
        self.chain.send(call, self.stranger)

    def arbitrage(self, least: int = 0, spoil: bool = False, sender: str | None = None) -> str:
        """The bot's best arbitrage; a spoiled one comes too late and is undone."""
        one, two = (pool for pool in self.deployed.pools if pool.pair == "WETH/USDC")
        found = arbitrage.Opportunity(one, two, 10**6, 0, 0)
        if not spoil:
            reserves = arbitrage.read_reserves(self.w3, self.deployed.pools, self.w3.eth.block_number)
            found = arbitrage.opportunities(reserves)[0]
        call = arbitrage.call(self.w3, self.bot, self.executor, found, ETHER * 1000 if spoil else least)
        return self.send(sender or self.bot, self.executor, data=call["data"])

    def fees(self, sent: str) -> int:
        receipt = self.w3.eth.get_transaction_receipt(sent)
        return receipt["gasUsed"] * receipt["effectiveGasPrice"]

    def worth(self, sent: str) -> int:
        """What the bot and its contract have gained in ether and WETH by the block of a transaction."""
        block = self.w3.eth.get_transaction_receipt(sent)["blockNumber"]
        weth = self.chain.at("WETH9", WETH.address)
        ours = [self.bot, Web3.to_checksum_address(self.executor)]

        def held(at: int) -> int:
            return sum(
                self.w3.eth.get_balance(a, at) + weth.functions.balanceOf(a).call(block_identifier=at) for a in ours
            )

        return held(block) - held(block - 1)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with anvil() as url:
        yield World(url)


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[tuple[Following, Ledger]]:
    assert settings.chain is not None
    async with Ledger(settings.state) as ledger, Rpc(settings.chain) as rpc:
        contracts = Contracts(settings.chain, ledger)
        try:
            made = Following(rpc, ledger, contracts, settings)
            while not (await contracts.known()).pools and settings.chain.pools:  # noqa: ASYNC110  a child looks them up
                await asyncio.sleep(0.05)
            yield made, ledger
        finally:
            await contracts.close()


async def all_rows(ledger: Ledger) -> dict[str, dict[str, Any]]:
    names = (
        "hash",
        "outcome",
        "reason",
        "trade",
        "confirmed",
        "net_wei",
        "l2_wei",
        "pair",
        "dex_buy",
        "dex_sell",
        "unvalued",
    )
    found = await ledger.read(lambda db: fetch(db, f"SELECT {','.join(names)} FROM wallet_transaction"))  # noqa: S608
    return {row[0]: dict(zip(names, row, strict=True)) for row in found}


async def test_blocks_that_were_final_long_before_are_told_as_late(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallet_reading, "LATE_BLOCKS", 3)
    settings = world.settings(tmp_path, backfill_from=world.w3.eth.block_number + 1)
    async with following(settings) as (reading, _):
        assert not (await reading.step()).late
        world.mine(FINALITY + 3)
        assert not [state async for state in reading.steps() if state.late], "no more than a node may jump"
        world.mine(FINALITY + 4)
        late = [state.late async for state in reading.steps()]
        assert late[0]
        assert not late[-1]


async def test_every_kind_of_transaction_is_what_web3_says(world: World, tmp_path: Path) -> None:
    start = world.w3.eth.block_number
    world.swap()
    won = world.arbitrage()
    world.mine()
    lost = world.arbitrage(spoil=True)
    world.mine()
    plain = world.send(world.bot, world.stranger, value=12345, gas=21_000)
    world.mine()
    wrap = world.send(world.bot, WETH.address, value=777, data="0xd0e30db0")
    world.mine()
    short = world.send(world.bot, world.executor, data="0x", gas=21_100)
    world.mine()
    foreign = world.arbitrage(spoil=True, sender=world.stranger)
    world.mine(FINALITY + 1)
    settings = world.settings(tmp_path, backfill_from=start + 1)
    async with following(settings) as (reading, ledger):
        state = await reading.step()
        rows = await all_rows(ledger)
        totals = await ledger.read(lambda db: books.read(db, "demo"))
    assert set(rows) == {won, lost, plain, wrap, short, foreign}
    assert all(row["confirmed"] == 1 and int(row["l2_wei"]) == world.fees(sent) for sent, row in rows.items())
    assert {sent: row["outcome"] for sent, row in rows.items()} == {
        won: "success", lost: "failed", plain: "success", wrap: "success", short: "failed", foreign: "failed",
    }  # fmt: skip
    assert {sent for sent, row in rows.items() if row["trade"]} == {won, lost, short, foreign}
    assert int(rows[won]["net_wei"]) == world.worth(won) > 0
    assert int(rows[lost]["net_wei"]) == -world.fees(lost) == world.worth(lost)
    assert (rows[won]["pair"], rows[won]["dex_buy"], rows[won]["dex_sell"]) == ("WETH/USDC", "uniswap", "sushiswap")
    assert rows[lost]["reason"] == "unprofitable"
    assert rows[foreign]["reason"] == "custom_error"  # NotOwner
    assert rows[won]["unvalued"] == 0
    chain = totals.sources["chain"]
    assert (chain.success, chain.failed, chain.first_read) == (1, 3, True)
    assert sum(route.net_wei for route in chain.routes.values()) == sum(
        int(row["net_wei"]) for row in rows.values() if row["trade"]
    )
    assert state.books.totals[world.bot.lower()]["success", ""].count == 3
    assert state.books.totals[world.executor.lower()]["failed", "custom_error"].count == 1


async def test_several_trades_of_one_block_are_right_in_sum(world: World, tmp_path: Path) -> None:
    start = world.w3.eth.block_number
    world.swap(ether=30)
    first = world.arbitrage()
    second = world.send(world.bot, world.stranger, value=5, gas=21_000)
    third = world.arbitrage()
    world.mine(FINALITY + 1)
    settings = world.settings(tmp_path, backfill_from=start + 1)
    async with following(settings) as (reading, ledger):
        await reading.step()
        rows = await all_rows(ledger)
    earned = sum(int(rows[sent]["net_wei"]) for sent in (first, third))
    assert earned - world.fees(second) - 5 == world.worth(first)


async def test_wallets_alone_are_found_by_their_nonces(world: World, tmp_path: Path) -> None:
    start = world.w3.eth.block_number
    sent = []
    for gap in (0, 1, 9, 40):
        world.mine(gap)
        sent.append(world.send(world.bot, world.stranger, value=1, gas=21_000))
        world.mine()
    foreign = world.arbitrage(spoil=True, sender=world.stranger)
    world.mine(FINALITY + 1)
    settings = world.settings(tmp_path, backfill_from=start + 1, contracts=())
    async with following(settings) as (reading, ledger):
        state = await reading.step()
        rows = await all_rows(ledger)
    assert set(rows) == set(sent)
    assert foreign not in rows
    assert state.books.totals[world.bot.lower()]["success", ""].count == len(sent)


async def test_nothing_counts_before_it_is_final_and_a_reorg_takes_it_back(world: World, tmp_path: Path) -> None:
    settings = world.settings(tmp_path, backfill_from=world.w3.eth.block_number + 1, finality=4)
    world.mine(6)
    async with following(settings) as (reading, ledger):
        await reading.step()
        gone = world.send(world.bot, world.stranger, value=1, gas=21_000)
        world.mine()
        state = await reading.step()
        assert (await all_rows(ledger))[gone]["confirmed"] == 0
        assert state.books.provisional == {world.bot.lower(): 1}
        assert not state.books.totals
        world.chain.request("anvil_reorg", 3, [])
        world.mine()
        state = await settle(reading)
        assert await all_rows(ledger) == {}
        assert state.books.removed == {world.bot.lower(): 1}
        kept = world.send(world.bot, world.stranger, value=2, gas=21_000)
        world.mine(6)
        state = await settle(reading)
        assert set(await all_rows(ledger)) == {kept}
        assert state.books.totals[world.bot.lower()]["success", ""].count == 1


async def settle(reading: Following, looks: int = 3) -> State:
    for _ in range(looks):
        state = await reading.step()
    return state


async def test_a_rollback_is_believed_in_time(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet_reading, "ROLLED_BACK", 0.0)
    settings = world.settings(tmp_path, backfill_from=world.w3.eth.block_number + 1, finality=4)
    world.mine(6)
    async with following(settings) as (reading, ledger):
        await reading.step()
        world.send(world.bot, world.stranger, value=1, gas=21_000)
        world.mine()
        await reading.step()
        assert len(await all_rows(ledger)) == 1
        world.chain.request("anvil_rollback", 2)
        state = await settle(reading)
        assert await all_rows(ledger) == {}
        assert state.scanned == world.w3.eth.block_number
        world.mine(8)
        await settle(reading)


async def test_a_reorg_below_finality_freezes_and_heals(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = world.settings(tmp_path, backfill_from=world.w3.eth.block_number + 1, finality=1)
    world.mine(4)
    counted = world.send(world.bot, world.stranger, value=1, gas=21_000)
    world.mine(4)
    async with following(settings) as (reading, ledger):
        before = await reading.step()
        assert before.books.totals[world.bot.lower()]["success", ""].count == 1
        world.chain.request("anvil_reorg", 6, [])
        world.mine(3)
        frozen = await settle(reading)
        assert frozen.frozen
        assert (frozen.final, frozen.books.totals) == (before.final, before.books.totals)
        monkeypatch.setattr(wallet_reading, "BELIEVED", 0.0)
        again = world.send(world.bot, world.stranger, value=3, gas=21_000)
        world.mine(4)
        healed = await settle(reading)
        assert not healed.frozen
        assert (await all_rows(ledger))[counted]["confirmed"] == wallet_books.ORPHANED
        assert (await all_rows(ledger))[again]["confirmed"] == wallet_books.CONFIRMED
        assert healed.books.totals[world.bot.lower()]["success", ""].count == 2
        assert (healed.books.orphaned, healed.final) == (1, world.w3.eth.block_number - 1)


async def test_an_earlier_start_or_another_wallet_is_read_from_there_and_nothing_counts_twice(
    world: World, tmp_path: Path
) -> None:
    start = world.w3.eth.block_number
    world.send(world.bot, world.stranger, value=1, gas=21_000)
    world.mine(3)
    late = world.w3.eth.block_number
    world.send(world.bot, world.stranger, value=1, gas=21_000)
    world.send(world.stranger, world.bot, value=1, gas=21_000)
    world.mine(FINALITY + 2)
    settings = world.settings(tmp_path, backfill_from=late + 1, contracts=())
    async with following(settings) as (reading, _):
        assert (await reading.step()).books.totals[world.bot.lower()]["success", ""].count == 1
    assert settings.chain is not None
    earlier = replace(settings, chain=replace(settings.chain, backfill_from=start + 1))
    async with following(earlier) as (reading, _):
        assert (await settle(reading)).books.totals[world.bot.lower()]["success", ""].count == 2
    both = (*settings.chain.wallets, Named("other", world.stranger.lower()))
    more = replace(earlier, chain=replace(settings.chain, backfill_from=start + 1, wallets=both))
    async with following(more) as (reading, _):
        totals = (await settle(reading)).books.totals
        assert totals[world.bot.lower()]["success", ""].count == 2
        assert totals[world.stranger.lower()]["success", ""].count == 1

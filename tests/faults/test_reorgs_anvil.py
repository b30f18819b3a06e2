"""The same on a real node: its own reorgs and rollbacks, with web3 as the second opinion on every transaction."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from exporter import books, wallet_books, wallet_reading
from exporter.ledger import Ledger, fetch
from exporter.log import Plain
from exporter.sources.contracts import Contracts
from exporter.sources.rpc import Rpc
from exporter.wallet_reading import Following
from tests.anvils import anvil
from tests.test_wallet_reading import World

SEQUENCES = 30 if os.environ.get("ARB_PROOFS") == "full" else 3
PARTS = 3
MOVES = 7


@pytest.fixture
def world() -> Iterator[World]:
    """A fresh one for each part: after a thousand blocks and a rollback anvil loses the state of everything."""
    with anvil() as url:
        yield World(url)


class Sequence:
    """One life of the chain from where it is now, with a ledger of its own."""

    def __init__(self, world: World, seed: int, folder: Path) -> None:
        self.world, self.rng = world, random.Random(seed)
        self.finality = self.rng.choice((3, 6, 20))
        world.mine(self.finality)
        self.top = self.head
        self.first = self.top - self.finality
        alone = {"contracts": ()} if self.rng.random() < 0.3 else {}
        self.settings = world.settings(folder, backfill_from=self.first + 1, finality=self.finality, **alone)
        self.now = 0.0
        self.final, self.highest = -1, Counter[tuple[Any, ...]]()

    @property
    def head(self) -> int:
        return int(self.world.w3.eth.block_number)

    @property
    def room(self) -> int:
        """How many blocks may go without breaking what is final, or what was there before."""
        return self.head - max(self.top - self.finality, self.first)

    async def live(self) -> None:
        """Moves and looks, in two runs of the ledger; then everything becomes final."""
        for last in (False, True):
            async with Ledger(self.settings.state) as ledger:
                assert self.settings.chain is not None
                async with Rpc(self.settings.chain) as rpc:
                    contracts = Contracts(self.settings.chain, ledger, self._look_up)
                    reading = Following(rpc, ledger, contracts, self.settings)
                    await self._step(reading, ledger)
                    for _ in range(MOVES):
                        self._move()
                        await self._step(reading, ledger)
                    if last:
                        await self._settle(reading, ledger)
                    await contracts.close()

    async def _look_up(self, request: dict[str, Any]) -> dict[str, Any]:
        from demo.chain import CBETH, DAI, USDC, WETH

        known = {t.symbol: t for t in (WETH, USDC, DAI, CBETH)}
        tokens = {t.address.lower(): {"symbol": t.symbol, "decimals": t.decimals} for t in known.values()}
        pools = {}
        for pool in self.world.deployed.pools:
            sides = sorted(known[symbol].address.lower() for symbol in (pool.base, pool.quote))
            pools[pool.address.lower()] = {
                "kind": "uniswap_v2", "token0": sides[0], "token1": sides[1], "fee": 3000,
            }  # fmt: skip
        return {"pools": {a: p for a, p in pools.items() if a in request["pools"]}, "tokens": tokens}

    def _move(self) -> None:
        draw = self.rng.random()
        if draw < 0.25 and self.room > 0:
            self.world.chain.request("anvil_reorg", self.rng.randint(1, self.room), [])
        elif draw < 0.4 and self.room > 0:
            self.world.chain.request("anvil_rollback", self.rng.randint(1, self.room))
        else:
            for _ in range(self.rng.choice((1, 2, 4))):
                self._act()
                self.world.mine(self.rng.choice((1, 1, 2)))
        self.top = max(self.top, self.head)

    def _act(self) -> None:
        world = self.world
        match self.rng.randrange(6):
            case 0:
                world.send(world.bot, world.stranger, value=self.rng.randrange(10**6), gas=21_000)
            case 1:
                world.swap(ether=self.rng.randrange(1, 5))
                world.arbitrage()
            case 2:
                world.arbitrage(spoil=True)
            case 3:
                world.arbitrage(spoil=True, sender=world.stranger)
            case 4:
                world.send(world.stranger, world.bot, value=7, gas=21_000)

    async def _step(self, reading: Following, ledger: Ledger) -> None:
        self.now += 4.0
        try:
            await reading.step()
        except Plain:
            pass  # such as a block that is gone by now: the next step reads on
        wallets = await ledger.read(lambda db: wallet_books.read(db, self.world.w3.eth.chain_id))
        totals = Counter(
            {(a, *k, n): getattr(t, n) for a, some in wallets.totals.items() for k, t in some.items()
             for n in ("count", "l2_wei")} | {(a, "removed"): n for a, n in wallets.removed.items()}
        )  # fmt: skip
        assert not {key for key, old in self.highest.items() if totals[key] < old}, "totals fell"
        self.highest |= totals
        cursor = await ledger.read(lambda db: wallet_books.cursor(db, self.world.w3.eth.chain_id))
        if cursor is not None:
            assert cursor.final.number >= self.final, "the cursor went back"
            self.final = cursor.final.number

    async def _settle(self, reading: Following, ledger: Ledger) -> None:
        self.world.mine(self.top - self.head + self.finality + 1)
        for _ in range(12):
            await self._step(reading, ledger)
            if self.final == self.head - self.finality:
                break
        assert self.final == self.head - self.finality
        await self._compare(ledger)

    async def _compare(self, ledger: Ledger) -> None:
        assert self.settings.chain is not None
        query = "SELECT hash, address, outcome, l2_wei, net_wei, block_number FROM wallet_transaction WHERE confirmed=1"
        rows = await ledger.read(lambda db: fetch(db, query))
        wanted = self._told_by_web3()
        assert {row[0]: tuple(row[1:4]) for row in rows} == {h: (a, o, str(fee)) for h, a, o, fee in wanted}
        per_block = Counter(row[5] for row in rows)
        for own, address, _, fee, net, block in rows:
            stranger = address != self.world.bot.lower() and address in {
                c.address for c in self.settings.chain.contracts
            }
            if net is not None and per_block[block] == 1 and self.settings.chain.contracts:
                assert int(net) == (-int(fee) if stranger else self.world.worth(own)), own
        chain = (await ledger.read(lambda db: books.read(db, "demo"))).sources.get("chain")
        nets = [int(row[4]) for row in rows if row[4] is not None]
        routes = list(chain.routes.values()) if chain else []
        assert sum(r.net_wei for r in routes) == sum(nets)
        assert sum(r.success + r.failed for r in routes) == len(nets)
        counted = Counter((address, outcome) for _, address, outcome, _ in wanted)
        assert counted == Counter({k[:2]: 0 for k in self.highest}) + self._counts()

    def _counts(self) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for (address, *key), count in self.highest.items():
            if key[-1] == "count":
                found[address, key[0]] += count
        return found

    def _told_by_web3(self) -> list[tuple[str, str, str, int]]:
        """(hash, whose, outcome, fee) of every final transaction of ours."""
        assert self.settings.chain is not None
        eth, found = Web3(HTTPProvider(self.world.url)).eth, []  # one that remembers nothing of blocks that are gone
        wallets = {w.address for w in self.settings.chain.wallets}
        contracts = {c.address for c in self.settings.chain.contracts}
        for number in range(self.first + 1, self.final + 1):
            for sent in eth.get_block(number, full_transactions=True)["transactions"]:
                sender, to = sent["from"].lower(), (sent.get("to") or "").lower()  # type: ignore[union-attr]
                owner = sender if sender in wallets else to if to in contracts else None
                if owner is not None:
                    receipt = eth.get_transaction_receipt(sent["hash"])  # type: ignore[index]
                    outcome = "success" if receipt["status"] else "failed"
                    fee = receipt["gasUsed"] * receipt["effectiveGasPrice"]
                    found.append(("0x" + receipt["transactionHash"].hex().removeprefix("0x"), owner, outcome, fee))
        return found


@pytest.mark.parametrize("part", range(PARTS))
async def test_the_ledger_ends_as_anvils_chain(
    part: int, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(part, SEQUENCES, PARTS):
        sequence = Sequence(world, seed, tmp_path / str(seed))
        clock = SimpleNamespace(monotonic=lambda s=sequence: s.now, time=lambda: 2e9)
        monkeypatch.setattr(wallet_reading, "time", clock)
        try:
            await sequence.live()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error

"""The exporter's ledger at work on a model, looked at after every step: what may never fall does not fall."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exporter import books, wallet_books
from exporter.books import Books
from exporter.config import Bot, Chain, Endpoint, Named, Pool, Settings
from exporter.ledger import Ledger, fetch
from exporter.log import Plain
from exporter.settings import Secret
from exporter.sources.contracts import Contracts
from exporter.sources.genesis import Genesis
from exporter.sources.rpc import Rpc
from exporter.wallet_books import WalletBooks
from exporter.wallet_reading import Following, State
from tests.model.deeds import TOKENS
from tests.model.server import Endpoint as Served
from tests.model.story import EXECUTOR, ME, SPARE
from tests.model.truth import Fees, Truth, truth
from tests.model.world import World

BOT = "modelled"
SOURCE = "chain"


def settings(folder: Path, endpoints: Sequence[Served], **chain: Any) -> Settings:
    """Settings for the model's wallets, all of it from its first block on."""
    world = endpoints[0].world
    parts: dict[str, Any] = {
        "chain_id": world.chain_id, "finality": "finalized", "backfill_from": 1,
        "endpoints": tuple(Endpoint(f"node-{i}", http=Secret(e.http)) for i, e in enumerate(endpoints)),
        "wallets": (Named("trader", ME), Named("spare", SPARE)), "contracts": (Named("executor", EXECUTOR),),
        "pools": tuple(Pool(p.dex, "uniswap_v2", p.address, f"pool-{i}") for i, p in enumerate(world.pools)),
    }  # fmt: skip
    return Settings(bot=Bot(name=BOT), chain=Chain(**(parts | chain)), state=folder)


async def look_up(request: dict[str, Any]) -> dict[str, Any]:
    """What the child would find out about the model's contracts."""
    from tests.model.story import POOLS

    tokens = {address: {"symbol": symbol, "decimals": d} for address, (symbol, d) in TOKENS.items()}
    pools = {
        p.address: {"kind": "uniswap_v2", "token0": p.token0, "token1": p.token1, "fee": 3000}
        for p in POOLS
        if p.address in request["pools"]
    }
    return {"pools": pools, "tokens": tokens}


class Watch:
    """One run of the ledger after the other, on the same state directory."""

    def __init__(self, made: Settings) -> None:
        self.settings = made
        self.final = self.scanned = -1
        self.state: State | None = None
        self.books: Books | None = None
        self.steps = self.failures = self.frozen = 0
        self._highest: Counter[tuple[Any, ...]] = Counter()
        self.following: Following | None = None
        self.ledger: Ledger | None = None

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Following]:
        """The ledger opened, and a reader that begins where the last one ended."""
        chain = self.settings.chain
        assert chain is not None
        async with Ledger(self.settings.state) as ledger, Rpc(chain, Genesis(chain.chain_id, ledger)) as rpc:
            contracts = Contracts(chain, ledger, look_up)
            self.ledger, self.following = ledger, Following(rpc, ledger, contracts, self.settings)
            try:
                yield self.following
            finally:
                await contracts.close()

    async def step(self) -> Plain | None:
        """One step, whatever becomes of it, and a look at everything that is durable then."""
        assert self.following is not None
        self.steps += 1
        failure = None
        try:
            self.state = await self.following.step()
            self.frozen += self.state.frozen
        except Plain as error:
            self.failures += 1
            failure = error
        await self.look()
        return failure

    async def look(self) -> None:
        """Assert that no total and no final block has fallen."""
        assert self.ledger is not None and self.settings.chain is not None
        chain_id = self.settings.chain.chain_id
        wallets = await self.ledger.read(lambda db: wallet_books.read(db, chain_id))
        self.books = await self.ledger.read(lambda db: books.read(db, BOT))
        cursor = await self.ledger.read(lambda db: wallet_books.cursor(db, chain_id))
        now = totals(wallets, self.books)
        fell = {key: (old, now[key]) for key, old in self._highest.items() if now[key] < old}
        assert not fell, f"totals fell: {fell}"
        self._highest |= now
        if cursor is not None:
            assert cursor.final.number >= self.final, "the cursor went back"
            self.final, self.scanned = cursor.final.number, cursor.scanned.number

    async def facts(self) -> Truth:
        """What the ledger says, in the words of the truth."""
        assert self.ledger is not None and self.settings.chain is not None
        chain_id = self.settings.chain.chain_id
        wallets = await self.ledger.read(lambda db: wallet_books.read(db, chain_id))
        query = "SELECT hash, net_wei FROM wallet_transaction WHERE trade=1 AND confirmed=1"
        nets = await self.ledger.read(lambda db: fetch(db, query))
        found = Truth(nets={own: int(wei) for own, wei in nets})
        for address, listed in wallets.totals.items():
            for (outcome, reason), total in listed.items():
                found.counts[address, outcome, reason] += total.count
                found.fees[address, outcome] += Fees(total.l2_wei, total.l1_wei, total.operator_wei)
        chain = self.books.sources.get(SOURCE) if self.books else None
        for route, sums in chain.routes.items() if chain else ():
            found.routes[*route, "success"] += sums.success
            found.routes[*route, "failed"] += sums.failed
        return found

    async def mistakes(self, world: World, first: int = 1) -> list[str]:
        """Where the ledger and the truth differ; nothing, if all is well."""
        assert self.settings.chain is not None and self.books is not None
        wallets = {wallet.address for wallet in self.settings.chain.wallets}
        executors = {contract.address for contract in self.settings.chain.contracts}
        wanted, found = truth(world, wallets, executors, first), await self.facts()
        listed = [] if self.final == world.final else [f"final {self.final}, not {world.final}"]
        listed += _differ("fees", found.fees, wanted.fees) + _differ("nets", found.nets, wanted.nets)
        listed += _differ("routes", +found.routes, wanted.routes)
        listed += _differ("counts", by_outcome(found), by_outcome(wanted)) + _odd_reasons(found, wanted)
        return listed + self._odd_sums(wanted)

    def _odd_sums(self, wanted: Truth) -> list[str]:
        """The bot's books against the trades."""
        assert self.books is not None
        chain = self.books.sources.get(SOURCE)
        sums = list(chain.routes.values()) if chain else []
        net, gain = sum(s.net_wei for s in sums), sum(s.gain_wei for s in sums)
        true_gain = sum(max(n, 0) for n in wanted.nets.values())
        found = {"net": net, "gain": gain, "loss": gain - net, "trades": sum(s.success + s.failed for s in sums)}
        true_net = sum(wanted.nets.values())
        true = {"net": true_net, "gain": true_gain, "loss": true_gain - true_net, "trades": len(wanted.nets)}
        return _differ("books", found, true)


def totals(wallets: WalletBooks, of_bot: Books) -> Counter[tuple[Any, ...]]:
    """Everything that is shown as a counter."""
    found: Counter[tuple[Any, ...]] = Counter()
    for address, listed in wallets.totals.items():
        for key, total in listed.items():
            for name in ("count", "l2_wei", "l1_wei", "operator_wei"):
                found[address, *key, name] = getattr(total, name)
    for address, count in wallets.removed.items():
        found[address, "removed"] = count
    for source, sums in of_bot.sources.items():
        for route, total_ in sums.routes.items():
            for name in ("success", "failed", "gain_wei", "loss_wei", "gas_wei"):
                found[source, route, name] = getattr(total_, name)
    return found


def by_outcome(of: Truth) -> Counter[tuple[str, str]]:
    """Counts without the reasons of failures."""
    found: Counter[tuple[str, str]] = Counter()
    for (address, outcome, _), count in of.counts.items():
        found[address, outcome] += count
    return found


def _odd_reasons(found: Truth, wanted: Truth) -> list[str]:
    """Failures that are certain have the reason they should; those that depend on prices have any."""
    certain = {key: count for key, count in wanted.counts.items() if key[2] != "*"}
    return [
        f"{key}: {found.counts[key]}, not {count}"
        for key, count in certain.items()
        if found.counts[key] < count or (not any(k[2] == "*" for k in wanted.counts) and found.counts[key] != count)
    ]


def _differ(what: str, found: Any, wanted: Any) -> list[str]:
    return [
        f"{what} {key}: {found.get(key)}, not {wanted.get(key)}"
        for key in sorted({*found, *wanted}, key=str)
        if found.get(key) != wanted.get(key)
    ]

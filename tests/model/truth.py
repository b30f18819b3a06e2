"""What really happened to our wallets, from the model's own states: nothing here reads a log or a receipt."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from tests.model.deeds import TOKENS, WETH, Both, Deed, Fails, Pool, State, Trade, route
from tests.model.world import Block, Entry, World

STABLE = ("USDC", "DAI")


@dataclass(frozen=True, slots=True)
class Fees:
    """Sums in wei."""

    l2: int = 0
    l1: int = 0
    operator: int = 0

    def __add__(self, other: Fees) -> Fees:
        return Fees(self.l2 + other.l2, self.l1 + other.l1, self.operator + other.operator)


@dataclass(slots=True)
class Truth:
    """Everything that is final, by address of ours."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(address, "success" | "failed", reason) -> transactions"""
    fees: defaultdict[tuple[str, str], Fees] = field(default_factory=lambda: defaultdict(Fees))
    """(address, outcome) -> wei"""
    nets: dict[str, int] = field(default_factory=dict)
    """Hash of each trade -> what was earned after all fees, in wei."""
    routes: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """(pair, bought at, sold at, outcome) -> trades"""


def chain(tip: Block, first: int, last: int) -> Iterator[Block]:
    """The blocks from number `first` to `last` of the branch that ends with `tip`."""
    found = [tip.back(tip.number - number) for number in range(max(first, 1), min(last, tip.number) + 1)]
    yield from found


def truth(
    world: World, wallets: Collection[str], executors: Collection[str], first: int, last: int | None = None
) -> Truth:
    """What is final (or up to `last`) and not older than `first`."""
    found = Truth()
    for block in chain(world.head, first, world.final if last is None else last):
        for entry in block.entries:
            owner = owner_of(entry, wallets, executors)
            if owner is not None:
                _note(found, world, block, entry, owner, wallets, executors)
    return found


def by_hash(
    world: World, wallets: Collection[str], executors: Collection[str], first: int, last: int
) -> dict[str, Entry]:
    """Our transactions in these blocks."""
    entries = [entry for block in chain(world.head, first, last) for entry in block.entries]
    return {entry.order.hash: entry for entry in entries if owner_of(entry, wallets, executors) is not None}


def owner_of(entry: Entry, wallets: Collection[str], executors: Collection[str]) -> str | None:
    """Whose transaction it is, if it is ours."""
    order = entry.order
    if order.sender in wallets:
        return order.sender
    return order.to if order.to in executors else None


def _note(
    found: Truth, world: World, block: Block, entry: Entry, owner: str,
    wallets: Collection[str], executors: Collection[str],
) -> None:  # fmt: skip
    outcome = "success" if entry.succeeded else "failed"
    found.counts[owner, outcome, "" if entry.succeeded else _reason(entry.order.deed)] += 1
    fees = Fees(entry.gas_used * entry.price, entry.l1_fee, entry.operator_fee)
    found.fees[owner, outcome] += fees
    trade = next((part for part in _parts(entry.order.deed) if isinstance(part, Trade)), None)
    swaps = len(trade.pools) if trade is not None and entry.succeeded else 0
    if swaps >= 2 or (not entry.succeeded and entry.order.to in executors):
        found.nets[entry.order.hash] = net(world, block, entry, (*wallets, *executors))
        found.routes[*(_route(trade) if swaps and trade else ("unknown",) * 3), outcome] += 1


def _parts(deed: Deed) -> tuple[Deed, ...]:
    return deed.parts if isinstance(deed, Both) else (deed,)


def _reason(deed: Deed) -> str:
    """A deed that may fail or not fails for want of profit, or of liquidity."""
    return deed.reason if isinstance(deed, Fails) else "*"


def _route(trade: Trade) -> tuple[str, str, str]:
    legs = route(trade.pools, trade.token)
    pairs = [_pair(pool) for pool, _ in legs]
    if len(set(pairs)) > 1:
        return pairs[0][0] + "/" + pairs[0][1], legs[0][0].dex, legs[-1][0].dex
    base = pairs[0][0]
    sold = [pool.dex for pool, token in legs if TOKENS[token][0] == base]
    bought = [pool.dex for pool, token in legs if TOKENS[token][0] != base]
    return "/".join(pairs[0]), bought[0] if bought else "unknown", sold[-1] if sold else "unknown"


def _pair(pool: Pool) -> tuple[str, str]:
    """Base and quote: a stablecoin is the quote, of two the one with the higher address."""
    sides = sorted((pool.token0, pool.token1), key=lambda token: (TOKENS[token][0] in STABLE, token))
    return TOKENS[sides[0]][0], TOKENS[sides[1]][0]


def net(world: World, block: Block, entry: Entry, ours: Collection[str]) -> int:
    """What we had more after a transaction than before it, in wei at the prices of the block's end.

    Fees that a stranger paid count too; ether that came along from strangers, or from L1, is no fruit of a trade.
    """
    after, before = (_worth(world, block, held, ours) for held in (entry.after, entry.before))
    order = entry.order
    gift = order.value if entry.succeeded and order.sender not in ours and order.to in ours else 0
    return round(after - before) - gift - (0 if order.sender in ours else entry.fees)


def _worth(world: World, block: Block, held: State, ours: Collection[str]) -> Fraction:
    own = ((cell, amount) for cell, amount in held.items() if cell[-1] in ours)
    return sum((amount * _price(world, block, cell) for cell, amount in own), Fraction())


def _price(world: World, block: Block, cell: tuple[str, ...]) -> Fraction:
    """Wei for one raw unit, by the first pool that trades it for WETH; none is worth nothing."""
    if cell[0] == "ether" or cell[1] == WETH:
        return Fraction(1)
    for pool in world.pools:
        if {pool.token0, pool.token1} == {WETH, cell[1]}:
            return Fraction(
                block.state["reserve", pool.address, WETH], block.state["reserve", pool.address, cell[1]]
            )  # fmt: skip
    return Fraction(0)

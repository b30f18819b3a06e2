"""Random lives of a chain and its wallets: everything follows from one seed, which a failing test prints."""

from __future__ import annotations

import random
from collections.abc import Iterable

from tests.model.deeds import (
    CURIO,
    DAI,
    FAILURES,
    ROUTER,
    USDC,
    WETH,
    Both,
    Deed,
    Hand,
    Nothing,
    Pool,
    Trade,
    Unwrap,
    Wrap,
)  # fmt: skip
from tests.model.orders import BRIDGED, ETHER, GWEI, Order, Rules
from tests.model.world import Block, World

ME, SPARE = "0x" + "a1" * 20, "0x" + "a2" * 20
EXECUTOR = "0x" + "e1" * 20
STRANGERS = tuple("0x" + f"5{digit}" * 20 for digit in "123")
RULES = (
    Rules(), Rules(operator=(2_000, 1_000_000_000)), Rules(operator=(3, 10**9), operator_by_oracle=True),
    Rules(l1="oracle"), Rules(l1="none"),
)  # fmt: skip
POOLS = (
    Pool("0x" + "b1" * 20, "uniswap", WETH, USDC),
    Pool("0x" + "b2" * 20, "sushiswap", WETH, USDC),
    Pool("0x" + "b3" * 20, "uniswap", WETH, DAI),
    Pool("0x" + "b4" * 20, "baseswap", DAI, USDC),
)
UNIT = {WETH: ETHER, USDC: 10**6, DAI: ETHER, CURIO: ETHER}
WORTH = {WETH: 1, USDC: 3000, DAI: 3000, CURIO: 1000}
"""Of each token for one ether."""


def world(rules: Rules | None = None, depth: int = 8, interval: float = 2.0) -> World:
    """A chain on which everybody has what they need."""
    made = World((ME, SPARE, EXECUTOR), POOLS, rules=rules, depth=depth, interval=interval)
    cells = {("ether", who): 1000 * ETHER for who in (ME, SPARE, WETH, *STRANGERS)}
    for who in (ME, SPARE, EXECUTOR, *STRANGERS):
        cells |= {("token", token, who): 1000 * WORTH[token] * unit for token, unit in UNIT.items()}  # type: ignore[dict-item]
    for place, pool in enumerate(POOLS):
        for token in (pool.token0, pool.token1):
            skew = 100 + place * (token == pool.token1)
            cells["reserve", pool.address, token] = 500 * WORTH[token] * UNIT[token] * skew // 100  # type: ignore[index]
    made.fund(cells)  # type: ignore[arg-type]
    return made


class Story:
    """Makes orders and lets the world do things; removed orders wait in `queue` for another block."""

    def __init__(self, rng: random.Random, own: World) -> None:
        self.rng, self.world = rng, own
        self.queue: list[Order] = []
        self._salt = 0

    # --- orders ---

    def order(self, sender: str, nonce: int) -> Order:
        """Something this sender might do."""
        rng = self.rng
        self._salt += 1
        to, deed, value = self._deed(sender)
        kind = rng.choice((0, 1, 2, 2, 2))
        plain = deed == Nothing()
        limit = 21_000 + rng.randrange(300, 600) if plain else rng.choice((200_000, 400_000))
        most = rng.choice((GWEI, 30 * 10**6))
        return Order(sender, nonce, to, deed, value, kind, limit, rng.randrange(1, 2 * 10**6), most, self._salt)

    def _deed(self, sender: str) -> tuple[str, Deed, int]:
        rng = self.rng
        draw = rng.random()
        if draw < 0.35:
            return self._trade(sender)
        if draw < 0.5:
            return rng.choice((ROUTER, EXECUTOR, EXECUTOR)), rng.choice(FAILURES), 0
        if draw < 0.6:
            amount = rng.randrange(1, ETHER)
            return WETH, Wrap(sender, amount), amount
        if draw < 0.67:
            return WETH, Unwrap(sender, rng.randrange(1, ETHER)), 0
        if draw < 0.77:
            token = rng.choice((USDC, DAI, CURIO))
            return token, Hand(token, sender, rng.choice((ME, SPARE, EXECUTOR, *STRANGERS)), rng.randrange(10**6)), 0
        if draw < 0.85:
            return EXECUTOR, Nothing(gas=rng.randrange(1, 50_000)), rng.choice((0, 0, 10**15))
        return rng.choice((ME, SPARE, *STRANGERS)), Nothing(), rng.randrange(10**17)

    def _trade(self, sender: str) -> tuple[str, Deed, int]:
        rng = self.rng
        by_contract = rng.random() < 0.6
        actor = EXECUTOR if by_contract else sender
        token = rng.choice((WETH, WETH, USDC))
        amount = rng.randrange(UNIT[token] * WORTH[token] // 1000, UNIT[token] * WORTH[token] * 5)
        pools = list(rng.choice(((0, 1), (1, 0), (0, 1), (2, 3, 0), (0, 3, 2), (0,))))
        if token == USDC:
            pools = [0, 1] if len(pools) < 3 else [3, 2, 0]
        least = rng.choice((None, None, 1)) if by_contract else None
        trade: Deed = Trade(actor, token, amount, tuple(POOLS[i] for i in pools), least, rng.random() < 0.3)
        if rng.random() < 0.15:
            trade = Both((trade, Hand(CURIO, actor, STRANGERS[0], 1000)))
        return (EXECUTOR if by_contract else ROUTER), trade, 0

    def bridged(self) -> Order:
        """Ether from L1 to a wallet of ours."""
        self._salt += 1
        return Order(ME, 0, ME, Nothing(), self.rng.randrange(1, ETHER), BRIDGED, 100_000, 0, 0, self._salt)

    def orders(self, parent: Block, most: int = 3) -> list[Order]:
        """What a block on top of this one will hold: new orders, and some of those that wait."""
        made: list[Order] = []
        nonces: dict[str, int] = {}
        for _ in range(self.rng.choice((0, 0, 1, 1, 2, most))):
            sender = self.rng.choice((ME, ME, ME, SPARE, *STRANGERS))
            nonce = nonces.get(sender, parent.state["nonce", sender])
            nonces[sender] = nonce + 1
            waiting = [order for order in self.queue if (order.sender, order.nonce) == (sender, nonce)]
            made.append(waiting[0] if waiting and self.rng.random() < 0.7 else self.order(sender, nonce))
        if self.rng.random() < 0.03 and ME not in nonces:
            made.append(self.bridged())
        return made

    # --- the world's moves ---

    def mine(self, blocks: int = 1, empty: bool = False) -> None:
        """So many blocks more."""
        for _ in range(blocks):
            self.world.mine([] if empty else self.orders(self.world.head))
            self._mined(self.world.head)

    def reorg(self, depth: int, length: int, below: bool = False) -> None:
        """Other blocks in place of the last ones; some of their transactions come back."""
        tip = self.world.fork(depth)
        for _ in range(length):
            again = self._salvage(tip) if self.rng.random() < 0.5 else []
            tip = self.world.extend(tip, again or self.orders(tip))
        self.queue += self.world.switch(tip, below=below)

    def _salvage(self, parent: Block) -> list[Order]:
        """What the old branch has mined from here on, as far as it is still valid."""
        old = self.world.head.at(parent.number + 1)
        return [entry.order for entry in old.entries if entry.order.kind != BRIDGED] if old is not None else []

    def side(self, depth: int, length: int) -> Block:
        """Blocks of a branch that does not become the chain, but that some node may believe in."""
        tip = self.world.fork(depth)
        for _ in range(length):
            tip = self.world.extend(tip, self._salvage(tip) or self.orders(tip))
        return tip

    def rollback(self, depth: int) -> None:
        """The last blocks are gone."""
        self.queue += self.world.rollback(depth)

    def _mined(self, block: Block) -> None:
        self._forget(entry.order for entry in block.entries)

    def _forget(self, mined: Iterable[Order]) -> None:
        gone = {order.hash for order in mined}
        self.queue = [order for order in self.queue if order.hash not in gone][-50:]

    @property
    def room(self) -> int:
        """How deep a reorg may be without breaking what is final."""
        return self.world.head.number - self.world.final

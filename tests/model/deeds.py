"""What transactions do when they are executed: a handful of contracts, small enough to be right at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WETH = "0x4200000000000000000000000000000000000006"
USDC = "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913"
DAI = "0x50c5725949a6f0c72e6c4a641f24049a917db0cb"
CURIO = "0x" + "c0" * 20
"""A token that no pool trades: it has no price."""
TOKENS = {WETH: ("WETH", 18), USDC: ("USDC", 6), DAI: ("DAI", 18), CURIO: ("CURIO", 18)}
ROUTER = "0x" + "0e" * 20

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
SYNC = "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
SWAP = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
DEPOSIT = "0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c"
WITHDRAWAL = "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65"


@dataclass(frozen=True, slots=True)
class Pool:
    """A pair of a Uniswap V2 fork."""

    address: str
    dex: str
    token0: str
    token1: str


@dataclass(frozen=True, slots=True)
class Log:
    """What a contract reports, before it has a place in a block."""

    address: str
    topics: tuple[str, ...]
    data: str


class Reverted(Exception):
    """Everything is undone but the fees; `data` is hexadecimal. Some contracts burn all the gas they get."""

    def __init__(self, data: str = "0x", burns: bool = False) -> None:
        super().__init__(data)
        self.data, self.burns = data, burns


type Cell = tuple[str, ...]
"""("ether" | "nonce", account), ("token", token, account) or ("reserve", pool, token)"""


class State(dict[Cell, int]):
    """All balances, nonces and reserves after a block; what is not there is zero."""

    def __missing__(self, cell: Cell) -> int:
        return 0

    def move(self, asset: Cell, giver: str, taker: str, amount: int) -> None:
        """Ether or a token from one account to another."""
        if self[*asset, giver] < amount:
            raise Reverted(error("ERC20: transfer amount exceeds balance"))
        self[*asset, giver] -= amount
        self[*asset, taker] += amount


def words(*numbers: int) -> str:
    """ABI words."""
    return "0x" + "".join(f"{number % 2**256:064x}" for number in numbers)


def topic(address: str) -> str:
    """An address as a word."""
    return "0x" + address[2:].rjust(64, "0")


def error(text: str) -> str:
    """`Error(string)` as contracts revert with it."""
    raw = text.encode()
    body = raw.hex().ljust((len(raw) + 31) // 32 * 64, "0")
    return "0x08c379a0" + words(32, len(raw))[2:] + body


def transfer(state: State, token: str, giver: str, taker: str, amount: int) -> Log:
    """An ERC-20 transfer."""
    state.move(("token", token), giver, taker, amount)
    return Log(token, (TRANSFER, topic(giver), topic(taker)), words(amount))


@dataclass(frozen=True, slots=True)
class Nothing:
    """A plain transfer of ether, or a call that changes nothing we know of."""

    gas: int = 0

    def run(self, state: State) -> list[Log]:
        """Nothing happens."""
        return []


@dataclass(frozen=True, slots=True)
class Fails:
    """A call that is always undone; `reason` is how the exporter is expected to class it."""

    reason: str
    data: str
    burns: bool = False
    gas: int = 30_000

    def run(self, state: State) -> list[Log]:
        """It never gets far."""
        raise Reverted(self.data, self.burns)


FAILURES = (
    Fails("slippage", error("UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT")),
    Fails("timeout", error("UniswapV2Router: EXPIRED")),
    Fails("panic", "0x4e487b71" + words(0x11)[2:]),
    Fails("custom_error", "0xdeadbeef"),
    Fails("reverted", "0x"),
    Fails("out_of_gas", "0x", burns=True),
)


@dataclass(frozen=True, slots=True)
class Trade:
    """Swaps one after the other, all of what each gives going into the next.

    The actor holds the tokens: a wallet, or a contract of ours. It is undone if less than `least` more comes out than
    went in; `unwrap` turns WETH that was won into ether, which no log of a transfer shows.
    """

    actor: str
    token: str
    amount: int
    pools: tuple[Pool, ...]
    least: int | None = None
    unwrap: bool = False
    gas: int = 110_000

    def run(self, state: State) -> list[Log]:
        """The logs of all swaps, in their order."""
        logs: list[Log] = []
        token, amount = self.token, self.amount
        for pool in self.pools:
            token, amount = swap(state, pool, self.actor, token, amount, logs)
        if self.least is not None and amount < self.amount + self.least:
            raise Reverted(error("UNPROFITABLE"))
        won = amount - self.amount
        if self.unwrap and token == self.token == WETH and won > 0:
            logs += Unwrap(self.actor, won).run(state)
        return logs


def swap(state: State, pool: Pool, actor: str, token: str, amount: int, logs: list[Log]) -> tuple[str, int]:
    """One swap; the token that came out, and how much."""
    other = pool.token1 if token == pool.token0 else pool.token0
    inside, outside = state["reserve", pool.address, token], state["reserve", pool.address, other]
    paid = amount * 997
    out = paid * outside // (inside * 1000 + paid)
    if not out:
        raise Reverted(error("UniswapV2Library: INSUFFICIENT_LIQUIDITY"))
    logs.append(transfer(state, token, actor, pool.address, amount))
    logs.append(transfer(state, other, pool.address, actor, out))
    state["reserve", pool.address, token] += amount
    state["reserve", pool.address, other] -= out
    sides = [state["reserve", pool.address, side] for side in (pool.token0, pool.token1)]
    logs.append(Log(pool.address, (SYNC,), words(*sides)))
    ins = (amount, 0) if token == pool.token0 else (0, amount)
    outs = (0, out) if token == pool.token0 else (out, 0)
    logs.append(Log(pool.address, (SWAP, topic(ROUTER), topic(actor)), words(*ins, *outs)))
    return other, out


@dataclass(frozen=True, slots=True)
class Wrap:
    """Ether that came along becomes WETH."""

    who: str
    amount: int
    gas: int = 24_000

    def run(self, state: State) -> list[Log]:
        """WETH9 reports it by an event of its own, without a transfer."""
        state["token", WETH, self.who] += self.amount
        return [Log(WETH, (DEPOSIT, topic(self.who)), words(self.amount))]


@dataclass(frozen=True, slots=True)
class Unwrap:
    """WETH becomes ether."""

    who: str
    amount: int
    gas: int = 14_000

    def run(self, state: State) -> list[Log]:
        """The ether comes from inside of the contract."""
        if state["token", WETH, self.who] < self.amount:
            raise Reverted()
        state["token", WETH, self.who] -= self.amount
        state.move(("ether",), WETH, self.who, self.amount)
        return [Log(WETH, (WITHDRAWAL, topic(self.who)), words(self.amount))]


@dataclass(frozen=True, slots=True)
class Hand:
    """An ERC-20 transfer."""

    token: str
    giver: str
    taker: str
    amount: int
    gas: int = 30_000

    def run(self, state: State) -> list[Log]:
        """One log."""
        return [transfer(state, self.token, self.giver, self.taker, self.amount)]


@dataclass(frozen=True, slots=True)
class Both:
    """Several deeds of one transaction, undone together."""

    parts: tuple[Deed, ...]

    @property
    def gas(self) -> int:
        """Of all parts."""
        return sum(part.gas for part in self.parts)

    def run(self, state: State) -> list[Log]:
        """One after the other."""
        return [log for part in self.parts for log in part.run(state)]


type Deed = Nothing | Fails | Trade | Wrap | Unwrap | Hand | Both


def route(pools: Sequence[Pool], first: str) -> list[tuple[Pool, str]]:
    """Each pool of a trade with the token that goes into it."""
    made, token = [], first
    for pool in pools:
        made.append((pool, token))
        token = pool.token1 if token == pool.token0 else pool.token0
    return made

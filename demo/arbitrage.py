"""Constant-product arithmetic: the best arbitrage between two pools of the same tokens."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations
from math import isqrt

from eth_typing import HexStr
from web3 import Web3
from web3.types import TxParams, Wei

from demo import artifacts
from demo.chain import Pool

GET_RESERVES = HexStr("0x0902f1ac")
GAS_LIMIT = 400_000  # fixed: estimating would fail for a transaction that comes too late
FEE_BASE, AFTER_FEE = 1000, 997  # Uniswap V2 keeps 3 of every 1000 units that come in

BOT_TIP_WEI = 1_000_000


@dataclass(frozen=True, slots=True)
class Reserves:
    weth: int  # wei
    other: int  # smallest unit of the other token


@dataclass(frozen=True, slots=True)
class Opportunity:
    """Sell WETH where it is dear, buy it back where it is cheap. Amounts in smallest units."""

    sell_at: Pool
    buy_at: Pool
    borrowed: int  # of the other token, from `sell_at`
    owed: int  # wei of WETH, to `sell_at`
    received: int  # wei of WETH, from `buy_at`

    @property
    def profit(self) -> int:
        """Wei of WETH that are left, before gas."""
        return self.received - self.owed

    @property
    def venues(self) -> tuple[str, str]:
        """Where the pair's base token is bought and where it is sold."""
        if self.sell_at.base == "WETH":
            return self.buy_at.dex, self.sell_at.dex
        return self.sell_at.dex, self.buy_at.dex


def amount_out(amount: int, reserve_in: int, reserve_out: int) -> int:
    """What a pair gives for `amount`."""
    paid = amount * AFTER_FEE
    return paid * reserve_out // (reserve_in * FEE_BASE + paid)


def amount_in(amount: int, reserve_in: int, reserve_out: int) -> int:
    """What a pair wants for `amount`; the reserve must be higher than it."""
    return reserve_in * amount * FEE_BASE // ((reserve_out - amount) * AFTER_FEE) + 1


def best_input(sell: Reserves, buy: Reserves) -> int:
    """Wei of WETH whose round trip leaves the most; zero or less if none leaves anything.

    Both pools in a row act like one pool with the reserves `a` and `b`; the best input of such a pool is
    where one more wei in gives one wei out: (sqrt(g·a·b) - a) / g, g being
    the share that is left after the fee.
    """
    scale = buy.other * FEE_BASE + sell.other * AFTER_FEE
    a = sell.weth * buy.other * FEE_BASE // scale
    b = sell.other * buy.weth * AFTER_FEE // scale
    return (isqrt(a * b * AFTER_FEE // FEE_BASE) - a) * FEE_BASE // AFTER_FEE


def between(sell_at: Pool, sell: Reserves, buy_at: Pool, buy: Reserves) -> Opportunity | None:
    """The best arbitrage in this direction, if it leaves anything."""
    amount = best_input(sell, buy)
    borrowed = amount_out(amount, sell.weth, sell.other) if amount > 0 else 0
    if borrowed == 0:
        return None
    owed = amount_in(borrowed, sell.weth, sell.other)
    received = amount_out(borrowed, buy.other, buy.weth)
    found = Opportunity(sell_at, buy_at, borrowed, owed, received)
    return found if found.profit > 0 else None


def opportunities(reserves: Mapping[Pool, Reserves]) -> list[Opportunity]:
    """All arbitrages the pools allow, the most profitable first."""
    found = [
        opportunity
        for one, two in permutations(reserves, 2)
        if one.pair == two.pair and (opportunity := between(one, reserves[one], two, reserves[two])) is not None
    ]
    return sorted(found, key=lambda opportunity: opportunity.profit, reverse=True)


def read_reserves(w3: Web3, pools: Iterable[Pool], block: int) -> dict[Pool, Reserves]:
    """The pools' reserves at the end of one block."""
    return {pool: _reserves(w3, pool, block) for pool in pools}


def _reserves(w3: Web3, pool: Pool, block: int) -> Reserves:
    request: TxParams = {"to": Web3.to_checksum_address(pool.address), "data": GET_RESERVES}
    words = w3.eth.call(request, block)
    first, second = int.from_bytes(words[:32]), int.from_bytes(words[32:64])
    return Reserves(first, second) if pool.weth_first else Reserves(second, first)


def call(w3: Web3, wallet: str, contract: str, opportunity: Opportunity, least_profit: int) -> TxParams:
    """The call of an Arbitrageur that takes the opportunity; `least_profit` is in wei."""
    address = Web3.to_checksum_address(contract)
    arbitrageur = w3.eth.contract(address, abi=artifacts.load("Arbitrageur").abi)
    arguments = [opportunity.sell_at.address, opportunity.buy_at.address, opportunity.borrowed, least_profit]
    return {
        "from": Web3.to_checksum_address(wallet),
        "to": address,
        "data": arbitrageur.encode_abi("arbitrage", args=arguments),
        "gas": GAS_LIMIT,
    }


def fees(w3: Web3, tip: int) -> TxParams:
    """Fee fields of a transaction that pays `tip` wei per unit of gas above the base fee."""
    base_fee = w3.eth.get_block("latest")["baseFeePerGas"]
    return {"maxPriorityFeePerGas": Wei(tip), "maxFeePerGas": Wei(2 * base_fee + tip)}

"""What the bot knows of the market in one block, and the volume it has seen."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from web3 import Web3
from web3.types import FilterParams

from demo.arbitrage import AFTER_FEE, FEE_BASE, Opportunity, Reserves
from demo.chain import ETHER, USDC, WETH, Pool

SWAP_TOPIC = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Market:
    block: int
    timestamp: int  # of the block, in epoch seconds
    base_fee: int  # wei
    reserves: Mapping[Pool, Reserves]
    opportunities: list[Opportunity]  # the most profitable first

    def usd_by_dex(self) -> dict[str, float]:
        """USD per WETH at each exchange."""
        return {pool.dex: price(pool, self.reserves[pool]) for pool in self.reserves if pool.quote == USDC.symbol}

    def usd(self) -> float:
        """USD per WETH, the mean of the exchanges."""
        prices = self.usd_by_dex().values()
        return sum(prices) / len(prices)

    def agreement(self) -> float:
        """The lowest of the exchanges' prices as a share of the highest."""
        prices = self.usd_by_dex().values()
        return min(prices) / max(prices)

    def liquidity(self, pool: Pool) -> float:
        """USD on both sides of a pool."""
        return 2 * self.reserves[pool].weth / ETHER * self.usd()

    def liquidity_by_dex(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for pool in self.reserves:
            total[pool.dex] = total.get(pool.dex, 0.0) + self.liquidity(pool)
        return total


class Volume:
    """Swapped WETH by pool during the last day, read from the Swap logs."""

    def __init__(self, w3: Web3, pools: list[Pool], block: int) -> None:
        self._w3 = w3
        self._pools = {Web3.to_checksum_address(pool.address): pool for pool in pools}
        self._next_block = block + 1
        self._swaps: deque[tuple[float, Pool, int]] = deque()

    def read(self, block: int) -> dict[Pool, int]:
        """Wei of WETH swapped at each pool, up to that block."""
        if block >= self._next_block:
            query: FilterParams = {
                "fromBlock": self._next_block,
                "toBlock": block,
                "address": list(self._pools),
                "topics": [SWAP_TOPIC],
            }
            for log in self._w3.eth.get_logs(query):
                pool = self._pools[log["address"]]
                self._swaps.append((time.time(), pool, _swapped_weth(pool, log["data"])))
            self._next_block = block + 1
        while self._swaps and self._swaps[0][0] < time.time() - DAY_SECONDS:
            self._swaps.popleft()
        totals = dict.fromkeys(self._pools.values(), 0)
        for _, pool, amount in self._swaps:
            totals[pool] += amount
        return totals


def price(pool: Pool, reserves: Reserves) -> float:
    """Quote per base."""
    other_per_weth = reserves.other / 10.0**pool.other.decimals / (reserves.weth / ETHER)
    return other_per_weth if pool.base == WETH.symbol else 1 / other_per_weth


def pool_document(pool: Pool, market: Market, volume: int, timestamp: str) -> dict[str, Any]:
    """A pool as the bot writes it: the price of each token in the other, amounts in USD."""
    reserves = market.reserves[pool]
    other_per_weth = reserves.other / 10.0**pool.other.decimals / (reserves.weth / ETHER)
    weth_per_other = 1 / other_per_weth
    usd = volume / ETHER * market.usd()
    return {
        "liquidity": market.liquidity(pool),
        "token0_price": other_per_weth if pool.weth_first else weth_per_other,
        "token1_price": weth_per_other if pool.weth_first else other_per_weth,
        "volume_24h": usd,
        "fees_24h": usd * (FEE_BASE - AFTER_FEE) / FEE_BASE,
        "timestamp": timestamp,
    }


def _swapped_weth(pool: Pool, data: bytes) -> int:
    """In plus out of WETH in a Swap log: amount0In, amount1In, amount0Out, amount1Out."""
    words = [int.from_bytes(data[start : start + 32]) for start in range(0, 128, 32)]
    return words[0] + words[2] if pool.weth_first else words[1] + words[3]

"""Traders who move the prices with real swaps, and a rival who sometimes is faster than the bot."""

import math
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3Exception

from demo import arbitrage, artifacts
from demo.arbitrage import Reserves
from demo.chain import ETHER, WETH, Description, Pool

FOREVER = 2**63  # deadline of swaps, epoch seconds
SWAP_GAS = 200_000
SWAPS_PER_BLOCK = 2.0
DISAGREEMENT = 0.005  # standard deviation of a trader's opinion around the fair price
DRIFT = 0.0004  # standard deviation of one step of the fair price
RETURN = 0.002  # share of the way back to its start that the fair price goes each step
LOWEST_TIP_WEI, HIGHEST_TIP_WEI = 500_000, 1_400_000  # some are mined before the bot's transactions
RIVAL_TIP_WEI = 2_000_000  # always before the bot's
RIVAL_ATTENTION = 0.2  # share of blocks in which the rival looks at the pools
RIVAL_LEAST_PROFIT = ETHER // 5000
LOOK_SECONDS = 0.05


class Exchange:
    """Swaps of one wallet at both exchanges."""

    def __init__(self, w3: Web3, world: Description, wallet: str) -> None:
        self._w3 = w3
        self._wallet = Web3.to_checksum_address(world.wallets[wallet])
        abi = artifacts.load("UniswapV2Router02").abi
        self._routers = {
            dex: w3.eth.contract(Web3.to_checksum_address(address), abi=abi) for dex, address in world.routers.items()
        }

    def move_price(self, pool: Pool, factor: float) -> None:
        """Make WETH dearer (or cheaper) by that factor at one pool; returns once the swap is mined."""
        reserves = arbitrage.read_reserves(self._w3, [pool], self._w3.eth.block_number)[pool]
        self._w3.eth.wait_for_transaction_receipt(self.swap(pool, reserves, factor), poll_latency=0.05)

    def swap(self, pool: Pool, reserves: Reserves, factor: float) -> HexBytes:
        """Send the swap that moves the pool's price of WETH by that factor; returns its hash."""
        other = Web3.to_checksum_address(pool.other.address)
        weth = Web3.to_checksum_address(WETH.address)
        root = math.sqrt(factor)  # a constant product's reserves move by the root of the price's factor
        if factor > 1:
            amount, path = round(reserves.other * (root - 1)), [other, weth]
        else:
            amount, path = round(reserves.weth * (1 / root - 1)), [weth, other]
        router = self._routers[pool.dex]
        arguments = [amount, 0, path, self._wallet, FOREVER]
        tip = random.randint(LOWEST_TIP_WEI, HIGHEST_TIP_WEI)
        return self._w3.eth.send_transaction(
            {
                "from": self._wallet,
                "to": router.address,
                "data": router.encode_abi("swapExactTokensForTokens", args=arguments),
                "gas": SWAP_GAS,
                **arbitrage.fees(self._w3, tip),
            }
        )


@dataclass(slots=True)
class FairPrice:
    """What all traders roughly agree on: a random walk that stays near its start."""

    start: float  # smallest units of the other token per wei of WETH
    value: float

    def step(self) -> float:
        pull = RETURN * math.log(self.start / self.value)
        self.value *= math.exp(random.gauss(pull, DRIFT))
        return self.value


class Crowd:
    """All traders together: every now and then one of them trades a pool to its own idea of the price."""

    def __init__(self, w3: Web3, world: Description) -> None:
        self._w3 = w3
        self._pools = world.pools
        self._traders = [Exchange(w3, world, name) for name in world.wallets if name.startswith("trader")]
        start = arbitrage.read_reserves(w3, world.pools, w3.eth.block_number)
        self._fair = {pool.pair: FairPrice(_price(start[pool]), _price(start[pool])) for pool in world.pools}

    def trade(self) -> None:
        """One swap by one trader at one pool."""
        pool = random.choice(self._pools)
        reserves = arbitrage.read_reserves(self._w3, [pool], self._w3.eth.block_number)[pool]
        opinion = self._fair[pool.pair].step() * math.exp(random.gauss(0, DISAGREEMENT))
        random.choice(self._traders).swap(pool, reserves, opinion / _price(reserves))


class Rival:
    """Another arbitrage bot: it looks less often than ours, but pays more to be mined first."""

    def __init__(self, w3: Web3, world: Description) -> None:
        self._w3 = w3
        self._pools = world.pools
        self._wallet = world.wallets["rival"]
        self._contract = world.contracts["rival"]

    def look(self, block: int) -> None:
        """Take the best arbitrage of that block, if it is worth it."""
        found = arbitrage.opportunities(arbitrage.read_reserves(self._w3, self._pools, block))
        if found and found[0].profit >= RIVAL_LEAST_PROFIT:
            call = arbitrage.call(self._w3, self._wallet, self._contract, found[0], least_profit=0)
            self._w3.eth.send_transaction({**call, **arbitrage.fees(self._w3, RIVAL_TIP_WEI)})


def run(world: Description, stopped: threading.Event) -> None:
    """Trade until stopped; a node that is away for a while is waited for."""
    w3 = Web3(HTTPProvider(world.rpc_url, cache_allowed_requests=True))
    crowd, rival = Crowd(w3, world), Rival(w3, world)
    pause = world.block_time / SWAPS_PER_BLOCK
    next_swap, seen = time.monotonic(), w3.eth.block_number
    while not stopped.wait(LOOK_SECONDS):
        try:
            if time.monotonic() >= next_swap:
                next_swap = time.monotonic() + random.expovariate(1 / pause)
                crowd.trade()
            if (head := w3.eth.block_number) != seen:
                seen = head
                if random.random() < RIVAL_ATTENTION:
                    rival.look(head)
        except (requests.RequestException, Web3Exception) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            stopped.wait(1)


def _price(reserves: Reserves) -> float:
    return reserves.other / reserves.weth


def main() -> None:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    run(Description.read(Path(sys.argv[1])), stopped)


if __name__ == "__main__":
    main()

"""The reserves of all pools at a block, of which only those are read that somebody has swapped at since."""

import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from web3 import Web3
from web3.types import FilterParams

from demo import arbitrage
from demo.arbitrage import Reserves
from demo.chain import Pool

SYNC_TOPIC = Web3.keccak(text="Sync(uint112,uint112)").to_0x_hex()
READERS = 3


class Known:
    """A cache that the pools' own Sync logs keep true, and the threads that fill it.

    `hits`, `misses` and `busiest` (threads at work at the same time, since it was last asked for) are what happened.
    """

    def __init__(self, w3: Web3, pools: Sequence[Pool]) -> None:
        self._w3 = w3
        self._pools = {Web3.to_checksum_address(pool.address): pool for pool in pools}
        self._reserves: dict[Pool, Reserves] = {}
        self._block = -1
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._turn = threading.Lock()
        self._busy = self._busiest = 0
        self.hits = self.misses = 0

    def at(self, block: int) -> dict[Pool, Reserves]:
        """The reserves at the end of that block."""
        stale = self._stale(block)
        self._block = -1  # what is half read is read again
        self._reserves |= dict(zip(stale, self._threads.map(lambda pool: self._read(pool, block), stale), strict=True))
        self._block = block
        self.misses += len(stale)
        self.hits += len(self._pools) - len(stale)
        return {pool: self._reserves[pool] for pool in self._pools.values()}

    def busiest(self) -> int:
        """How many threads were at work at the same time, at most, since this was last asked."""
        with self._turn:
            found, self._busiest = self._busiest, self._busy
        return found

    @property
    def entries(self) -> int:
        return len(self._reserves)

    @property
    def bytes(self) -> int:
        """Memory of the entries and their numbers."""
        numbers = (number for each in self._reserves.values() for number in (each.weth, each.other))
        entries = sum(map(sys.getsizeof, self._reserves.values())) + sum(map(sys.getsizeof, numbers))
        return sys.getsizeof(self._reserves) + entries

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(cancel_futures=True)

    def _stale(self, block: int) -> list[Pool]:
        if not 0 <= self._block <= block:  # nothing is known, or the chain went back
            return list(self._pools.values())
        if self._block == block:
            return []
        query: FilterParams = {
            "fromBlock": self._block + 1,
            "toBlock": block,
            "address": list(self._pools),
            "topics": [SYNC_TOPIC],
        }
        return [self._pools[address] for address in {log["address"] for log in self._w3.eth.get_logs(query)}]

    def _read(self, pool: Pool, block: int) -> Reserves:
        with self._at_work():
            return arbitrage.read_reserves(self._w3, [pool], block)[pool]

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._turn:
            self._busy += 1
            self._busiest = max(self._busiest, self._busy)
        try:
            yield
        finally:
            with self._turn:
                self._busy -= 1

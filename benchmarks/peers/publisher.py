"""An exporter's end of the bus with nothing behind it: PRICES prices that change together PER_SECOND times a second.

python -m benchmarks.peers.publisher BUS_URL PRICES PER_SECOND
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from exporter.board import Board
from exporter.bus.publisher import Publisher, Wanted
from exporter.collectors.bus import Figures
from exporter.ledger import Ledger
from exporter.live.hub import Hub

URL, PRICES, RATE = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])


async def answer(_: bytes) -> bytes:
    return b""


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Ledger(Path(folder)) as ledger, asyncio.TaskGroup() as group:
            hub = Hub()
            wanted = Wanted(URL, "bench")
            group.create_task(Publisher(Board(), ledger, hub, Figures(), lambda: wanted, answer).run())
            group.create_task(tick(hub))


async def tick(hub: Hub) -> None:
    number = 0
    print("ready", flush=True)
    while True:
        now, number = time.time(), number + 1
        told = [(("WETH/USDC", "aerodrome", f"p{n}"), price(n, number, now)) for n in range(PRICES)]
        hub.states("prices", told, now)
        await asyncio.sleep(1 / RATE)


def price(pool: int, number: int, now: float) -> dict[str, object]:
    key = {"pair": "WETH/USDC", "dex": "aerodrome", "pool": f"p{pool}"}
    return {**key, "price": f"{3000 + number % 1000}.42", "ts": now}


if __name__ == "__main__":
    asyncio.run(main())

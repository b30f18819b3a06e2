"""The exporter's own site, with a hub that is fed like the others. PORT MESSAGES_PER_SECOND MORE_BYTES LOOP SERIES

SERIES > 0 shows so many series that all change every second. Beyond 40 messages a second the hub would make one of
several; to compare like with like it is told not to.
"""

import asyncio
import sys
import time
from collections.abc import Iterator

from benchmarks.peers.words import MORE, PORT, RATE, ticking
from exporter import loop
from exporter.board import Board
from exporter.collector import Collector, Poll
from exporter.config import Live
from exporter.live import groups
from exporter.metrics import Family, gauge
from exporter.web.access import Access
from exporter.web.doors import Doors
from exporter.web.server import Runner, application, open_door
from exporter.web.site import Site

LOOP, SERIES = sys.argv[4], int(sys.argv[5])
PRICE = {"pair": "WETH/USDC", "dex": "aerodrome", "pool": "aerodrome-3000", "price": f"3003.42{MORE}"}
SOME = gauge("arb_bench", "Series.", "pair", "dex", "pool")


def render(value: float) -> Iterator[Family]:
    yield SOME.each((("WETH/USDC", "aerodrome", f"pool-{n}"), value + n) for n in range(SERIES))


SERIES_SHOWN = Collector(
    name="bench", metrics=(SOME,), open=lambda _: Poll(asyncio.Event().wait, 1.0), render=render, timeout=1, max_age=60
)


async def series(board: Board) -> None:
    board.declare("bench", 60.0)
    while SERIES:
        board.publish(SERIES_SHOWN, time.time(), 0.0)
        await asyncio.sleep(1)


async def main() -> None:
    groups.BURST = groups.PER_SECOND = max(40, int(2 * RATE))  # type: ignore[misc]
    site = Site(Board(100_000), Access({}, {}), loopback_only=True, doors=Doors(Live(max_clients=20_000)))
    runner = Runner(application(site), access_log=None, handle_signals=False)
    await runner.setup()
    await open_door(runner, "127.0.0.1", PORT)
    async with asyncio.TaskGroup() as group:
        group.create_task(series(site.board))
        key = PRICE["pair"], PRICE["dex"], PRICE["pool"]
        group.create_task(ticking(lambda _: site.hub.state("prices", key, PRICE)))


if LOOP == "uvloop":
    import uvloop

    uvloop.run(main())
elif LOOP == "aiofastnet":
    import aiofastnet

    asyncio.run(main(), loop_factory=aiofastnet.loop_factory())
else:
    asyncio.run(main(), loop_factory=loop.new)

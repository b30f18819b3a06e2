"""What every peer sends, and its command line: PORT MESSAGES_PER_SECOND MORE_BYTES."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

PORT, RATE, MORE = int(sys.argv[1]), float(sys.argv[2]), "x" * int(sys.argv[3])


def text(seq: int) -> str:
    """One message of about 150 bytes, with the time at which it was made."""
    return (
        f'{{"type":"update","topic":"prices","seq":{seq},"prev":{seq - 1},"ts":{time.time():.6f},"data":'
        f'[{{"pair":"WETH/USDC","dex":"aerodrome","pool":"aerodrome-3000","price":"3003.42{MORE}"}}]}}'
    )


async def ticking(tick: Callable[[int], object]) -> None:
    """Call `tick` with 1, 2, 3 … at the rate asked for; what it cannot keep up with is left out."""
    print("ready", flush=True)
    seq, due = 0, time.monotonic()
    while True:
        seq += 1
        made = tick(seq)
        if asyncio.iscoroutine(made):
            await made
        due += 1 / RATE
        if due < time.monotonic() - 1 / RATE:
            due = time.monotonic()
        await asyncio.sleep(due - time.monotonic())

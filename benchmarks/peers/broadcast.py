"""`websockets.broadcast`, as its documentation recommends."""

import asyncio

from websockets.asyncio.server import broadcast, serve

from benchmarks.peers.words import PORT, text, ticking


async def main() -> None:
    async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", PORT, compression=None, backlog=4096) as server:
        await ticking(lambda seq: broadcast(server.connections, text(seq)))


asyncio.run(main())

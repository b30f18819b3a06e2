"""The usual connection manager: a set of clients, and under a lock one awaited send after the other."""

import asyncio

from aiohttp import web

from benchmarks.peers.words import PORT, text, ticking


async def main() -> None:
    lock, clients = asyncio.Lock(), set[web.WebSocketResponse]()

    async def listen(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async with lock:
            clients.add(socket)
        try:
            async for _ in socket:
                pass
        finally:
            clients.discard(socket)
        return socket

    async def tick(seq: int) -> None:
        message = text(seq)
        async with lock:
            for client in list(clients):
                try:
                    await client.send_str(message)
                except ConnectionError:
                    clients.discard(client)

    app = web.Application()
    app.router.add_get("/ws", listen)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT, backlog=4096).start()
    await ticking(tick)


asyncio.run(main())

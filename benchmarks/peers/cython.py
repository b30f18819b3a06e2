"""picows: WebSockets in Cython on asyncio."""

import asyncio

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks.peers.words import PORT, text, ticking


async def main() -> None:
    clients = set[WSTransport]()

    class Listener(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            clients.add(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            clients.discard(transport)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()

    def accept(request: WSUpgradeRequest) -> WSListener:
        return Listener()

    def tick(seq: int) -> None:
        message = text(seq).encode()
        for client in clients:
            client.send(WSMsgType.TEXT, message)

    async with await ws_create_server(accept, "127.0.0.1", PORT, backlog=4096):
        await ticking(tick)


asyncio.run(main())

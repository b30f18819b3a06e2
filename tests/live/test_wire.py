"""A wire over real sockets: everything arrives in order, whoever does not keep up is told of, and it ends once."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from exporter.live.wire import AT_ONCE, Wire
from tests.running import eventually


class Heard(asyncio.Protocol):
    """Keeps what a wire tells."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.told: list[str] = []
        self.ends: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.told.append("eof")
        return False

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends.append(exc)


class Pair:
    """A wire and the socket of its client."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.client = socket.create_connection(listening.getsockname())
            ours, _ = listening.accept()
        for end in (ours, self.client):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.sock, self.wire, self.heard = ours, Wire(ours), Heard()
        self.wire.set_protocol(self.heard)
        self.wire.resume_reading()

    async def take(self) -> bytes:
        """All that the client gets until the end."""
        found, loop = bytearray(), asyncio.get_running_loop()
        while data := await asyncio.wait_for(loop.sock_recv(self.client, 1 << 16), 20):
            found += data
        return bytes(found)

    def reset(self) -> None:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()


@pytest.fixture
async def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.wire.abort()
    made.client.close()
    await eventually(lambda: made.sock.fileno() == -1)
    assert len(made.heard.ends) == 1


async def test_what_the_client_says_is_heard_unless_nobody_wants_to(pair: Pair) -> None:
    pair.client.send(b"x" * (AT_ONCE + 1))
    await eventually(lambda: len(pair.heard.data) == AT_ONCE + 1)
    assert pair.wire.is_reading()
    pair.wire.pause_reading()
    pair.client.send(b"y")
    for _ in range(5):
        await asyncio.sleep(0)
    assert b"y" not in pair.heard.data
    pair.wire.resume_reading()
    await eventually(lambda: b"y" in pair.heard.data)


async def test_a_client_that_does_not_read_pauses_the_writer_until_it_has_taken_all(pair: Pair) -> None:
    sent = [os.urandom(1_000_000), b"", b"second", memoryview(b"third")]
    for piece in sent:
        pair.wire.write(piece)
    assert pair.heard.told == ["pause"]
    waiting = pair.wire.get_write_buffer_size()
    assert 0 < waiting < 1_000_011
    reading = asyncio.create_task(pair.take())
    await eventually(lambda: pair.heard.told == ["pause", "resume"])
    assert pair.wire.get_write_buffer_size() == 0
    pair.wire.write(b"!")
    pair.wire.close()
    assert await reading == b"".join(map(bytes, sent)) + b"!"
    assert pair.heard.ends == [None]


async def test_closing_waits_for_what_is_on_its_way_and_aborting_does_not(pair: Pair) -> None:
    pair.wire.write(b"x" * 1_000_000)
    pair.wire.close()
    assert pair.wire.is_closing()
    assert not pair.heard.ends
    assert len(await pair.take()) == 1_000_000
    other = Pair()
    other.wire.write(b"x" * 1_000_000)
    other.wire.close()
    other.wire.abort()
    assert other.wire.get_write_buffer_size() == 0
    await eventually(lambda: other.heard.ends == [None])
    other.client.close()


async def test_the_end_of_a_client_is_the_end(pair: Pair) -> None:
    pair.client.close()
    await eventually(lambda: pair.heard.ends == [None])
    assert pair.heard.told == ["eof"]
    pair.wire.write(b"for nobody")
    pair.wire.resume_reading()
    assert not pair.wire.is_reading()


async def test_a_reset_is_told_as_such(pair: Pair) -> None:
    pair.reset()
    await eventually(lambda: len(pair.heard.ends) == 1)
    assert isinstance(pair.heard.ends[0], ConnectionError)


async def test_a_reset_is_found_out_by_writing_too(pair: Pair) -> None:
    pair.wire.pause_reading()
    pair.wire.write(b"x" * 1_000_000)
    pair.reset()
    await eventually(lambda: len(pair.heard.ends) == 1)
    assert isinstance(pair.heard.ends[0], ConnectionError)
    assert pair.heard.told == ["pause"]


ENDS: list[Callable[[Wire], None]] = [Wire.close, Wire.abort, lambda wire: wire.write(b"x" * 1_000_000)]


@pytest.mark.parametrize("last", ENDS)
@pytest.mark.parametrize("then", ENDS)
@pytest.mark.parametrize("first", ENDS)
async def test_it_ends_once_however_often_it_is_told_to(
    pair: Pair, first: Callable[[Wire], None], then: Callable[[Wire], None], last: Callable[[Wire], None]
) -> None:
    for act in (first, then, last, Wire.abort):
        act(pair.wire)
    await eventually(lambda: len(pair.heard.ends) == 1)


async def test_it_says_what_it_is(pair: Pair) -> None:
    assert pair.wire.get_extra_info("socket") is pair.sock
    assert pair.wire.get_extra_info("ssl_object", "none") == "none"
    assert pair.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

import asyncio
import errno
import socket
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest

from exporter.sources import endpoint
from exporter.sources.endpoint import Failed, Resolver
from exporter.sources.jsonrpc import Refused
from tests import fake_rpc
from tests.fake_rpc import KEY, Node, node

BODY = b'[{"jsonrpc":"2.0","id":0,"method":"eth_chainId","params":[]}]'


@pytest.fixture
async def own() -> AsyncIterator[Node]:
    async with node() as made:
        yield made


@pytest.fixture
async def connections() -> AsyncIterator[aiohttp.ClientSession]:
    async with endpoint.session() as made:
        yield made


async def test_a_kept_connection_that_the_node_has_closed_costs_nothing(
    own: Node, connections: aiohttp.ClientSession
) -> None:
    own.fault = fake_rpc.once(fake_rpc.hang_up, own)
    assert b"0x2105" in await endpoint.post(connections, own.url, BODY)
    assert own.requests == 2


async def test_a_node_that_always_hangs_up_fails(own: Node, connections: aiohttp.ClientSession) -> None:
    own.fault = fake_rpc.hang_up
    with pytest.raises(Failed, match="broke off") as caught:
        await endpoint.post(connections, own.url, BODY)
    assert (caught.value.outcome, caught.value.__cause__) == ("malformed", None)
    assert own.requests == 2


async def test_both_tries_share_one_time(
    own: Node, connections: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "TIMEOUT", 0.2)
    own.fault = fake_rpc.silent
    with pytest.raises(Failed) as caught:
        await endpoint.post(connections, own.url, BODY)
    assert caught.value.outcome == "timeout"


async def test_a_batch_that_is_too_large_is_no_failure_of_the_node(
    own: Node, connections: aiohttp.ClientSession
) -> None:
    own.fault = fake_rpc.status(413)
    with pytest.raises(Refused) as caught:
        await endpoint.post(connections, own.url, BODY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1/", "http://[::1", "http://127.0.0.1:99999/"])
async def test_a_url_that_is_none_fails_like_a_node(url: str, connections: aiohttp.ClientSession) -> None:
    with pytest.raises(Failed):
        await endpoint.post(connections, url, BODY)


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("0", 0, 0), ("7", 7, 7), ("1.5", 1.5, 1.5), ("4000", 60, 60), (40, 30, 40), (4000, 60, 60), (-40, 0, 0),
     ("-5", 0, 0), ("soon", 0, 0), ("", 0, 0), ("nan", 0, 0), ("inf", 0, 0), ("9" * 30, 0, 0), ("1e9", 0, 0),
     ("Wed, 21 Oct 2026 07:28:00 -0000", 0, 0), ("Wed, 99 Oct 2026 07:28:00 GMT", 0, 0)],
)  # fmt: skip
async def test_what_a_node_asks_for_is_honoured_up_to_a_minute(
    text: str | int, least: float, most: float, own: Node, connections: aiohttp.ClientSession
) -> None:
    own.fault = fake_rpc.status(429, Retry_After=in_seconds(text) if isinstance(text, int) else text)
    with pytest.raises(Failed) as caught:
        await endpoint.post(connections, own.url, BODY)
    assert caught.value.outcome == "rate_limited"
    assert least <= caught.value.wait <= most


async def test_a_host_is_looked_up_off_the_loop(own: Node, connections: aiohttp.ClientSession) -> None:
    assert b"0x2105" in await endpoint.post(connections, own.url.replace("127.0.0.1", "localhost"), BODY)


async def test_a_host_that_does_not_exist_is_refused(
    connections: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, f"no {KEY}")

    monkeypatch.setattr(socket, "getaddrinfo", none)
    with pytest.raises(Failed) as caught:
        await endpoint.post(connections, f"http://{KEY}.invalid/", BODY)
    assert (caught.value.outcome, str(caught.value)) == ("refused", "cannot be connected to")


async def test_a_look_up_that_hangs_holds_up_nobody_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        over.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    resolver = Resolver()
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.resolve("a.invalid"), 0.1)
        with pytest.raises(OSError, match="hangs") as caught:
            await resolver.resolve("a.invalid")
        assert caught.value.errno == errno.EAGAIN
        (thread,) = [t for t in threading.enumerate() if t.name == "dns a.invalid"]
        assert thread.daemon  # which the end of the process does not wait for
    finally:
        over.set()
        await resolver.close()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_an_answer_is_as_large_as_the_caller_allows(own: Node, connections: aiohttp.ClientSession) -> None:
    own.fault = fake_rpc.text(b"x" * 100_000)
    assert len(await endpoint.post(connections, own.url, BODY, 100_000)) == 100_000
    with pytest.raises(Failed) as caught:
        await endpoint.post(connections, own.url, BODY, 99_999)
    assert caught.value.outcome == "too_large"


@pytest.mark.parametrize("fault", [fake_rpc.bomb, fake_rpc.flood], ids=["bomb", "flood"])
async def test_an_error_that_somebody_keeps_keeps_no_megabytes(
    fault: object, own: Node, connections: aiohttp.ClientSession
) -> None:
    own.fault = fault  # type: ignore[assignment]
    with pytest.raises(Failed) as caught:
        await endpoint.post(connections, own.url, b"{}")
    place = caught.value.__traceback__
    kept: dict[int, bytes | bytearray] = {}
    while place is not None:
        held = [value for value in place.tb_frame.f_locals.values() if isinstance(value, bytes | bytearray)]
        kept |= {id(value): value for value in held}
        place = place.tb_next
    assert sum(map(len, kept.values())) < 1 << 17, "one piece at most"

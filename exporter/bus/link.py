"""One connection to NATS, from its beginning to its end, and the few things that are asked of JetStream over it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from exporter import lean
from exporter.log import Plain

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

PATIENCE: Final = 5.0
"""Seconds that the bus may take to answer."""
HEARTBEAT: Final = 5.0
"""Seconds between two signs of life of a replay."""
PING: Final = 3
NOT_FOUND: Final = (10014, 10037, 10059)  # consumer, message, stream
CONFLICT: Final = (10071, 10164)  # another last message than was expected


class Broken(Plain):
    """The bus cannot be used now."""


class Silent(Broken):
    """Nobody is there who would answer."""


class Conflict(Plain):
    """Somebody else has published meanwhile."""


class Missing(Broken):
    """There is no such stream, or it cannot tell of this message."""


class Stored(NamedTuple):
    """A message of the stream, and its number there."""

    number: int
    data: bytes


class Heard(NamedTuple):
    """A message as it comes; of a replay `number` is its number in the stream, else 0."""

    subject: str
    data: bytes
    number: int = 0


@contextmanager
def understood() -> Iterator[None]:
    """What is no message of ours ends the connection, and is nothing to fall over.

    Raises:
        Broken: it is none.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        raise Broken("what is said on the bus makes no sense") from None


class Link:
    """A connection; it does not come back by itself, because whoever uses it has to begin anew then."""

    def __init__(self, client: Client, lost: asyncio.Event) -> None:
        self._client, self._lost = client, lost

    async def lost(self) -> None:
        """Wait until the connection is over.

        Raises:
            Broken: it is.
        """
        await self._lost.wait()
        raise Broken("the connection to the bus was lost")

    async def publish(self, subject: str, data: bytes) -> None:
        """Say something to whoever listens now.

        Raises:
            Broken: it cannot be said.
        """
        await _ours(self._client.publish(subject, data))

    async def ask(self, subject: str, data: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """Somebody's answer.

        Raises:
            Broken: nobody answers.
        """
        return (await _ours(self._client.request(subject, data, timeout=PATIENCE, headers=headers))).data

    async def listen(self, subject: str, hear: Callable[[Heard], None]) -> None:
        """Call back with everything that is said there from the return of this on, whoever says it.

        Raises:
            Broken: the connection is over.
        """

        async def take(message: Msg) -> None:
            hear(Heard(message.subject, message.data))

        await _ours(self._client.subscribe(subject, cb=take))
        await _ours(self._client.flush(int(PATIENCE)))  # the bus has heard of it

    async def serve(self, subject: str, answer: Callable[[bytes], Awaitable[bytes]], at_once: int) -> None:
        """Answer whoever asks there, `at_once` of them at the same time.

        Raises:
            Broken: the connection is over.
        """
        turns, running = asyncio.Semaphore(at_once), set[asyncio.Task[None]]()

        async def respond(message: Msg) -> None:
            try:
                with suppress(Broken):
                    await _ours(message.respond(await answer(message.data)))
            finally:
                turns.release()

        async def take(message: Msg) -> None:
            await turns.acquire()
            task = asyncio.create_task(respond(message))
            running.add(task)
            task.add_done_callback(running.discard)

        await _ours(self._client.subscribe(subject, cb=take))

    # --- JetStream -------------------------------------------------------------------------------------------------

    async def _api(self, call: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        said = await self.ask(f"$JS.API.{call}", json.dumps(body).encode() if body else b"")
        with understood():
            answer = json.loads(said)
            if (error := answer.get("error")) is None:
                return dict(answer)
            if error.get("err_code") in NOT_FOUND:
                raise Missing("the bus has no such stream or message")
            raise Broken(f"the bus refuses with error {int(error.get('err_code', 0))}")

    async def stream(self, name: str) -> dict[str, Any]:
        """What the bus knows of a stream.

        Raises:
            Missing: there is none.
            Broken: the bus does not answer.
        """
        return await self._api(f"STREAM.INFO.{name}")

    async def make_stream(self, name: str, subject: str, most: int) -> None:
        """Have a stream that keeps the last `most` messages of each subject; one that is there stays as it is.

        Raises:
            Broken: the bus does not answer, or cannot keep messages.
        """
        try:
            await self.stream(name)
        except Missing:
            await self._api(f"STREAM.CREATE.{name}", {
                "name": name, "subjects": [subject], "retention": "limits", "discard": "old", "storage": "file",
                "max_msgs_per_subject": most, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "num_replicas": 1,
            })  # fmt: skip

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message of a subject.

        Raises:
            Broken: the bus does not answer.
        """
        try:
            found = (await self._api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})).get("message", {})
        except Missing:
            return None
        with understood():
            return Stored(int(found["seq"]), base64.b64decode(found.get("data", "")))

    async def store(self, stream: str, subject: str, data: bytes, after: int) -> int:
        """Have a message kept, if the subject's newest one has the number `after`; its own number.

        Raises:
            Conflict: it has another one.
            Broken: whether it is kept is not known.
        """
        headers = {"Nats-Expected-Stream": stream, "Nats-Expected-Last-Subject-Sequence": str(after)}
        said = await self.ask(subject, data, headers)
        with understood():
            answer = json.loads(said)
            if (error := answer.get("error")) is None:
                return int(answer["seq"])
            if error.get("err_code") in CONFLICT:
                raise Conflict("another exporter publishes for this bot")
            raise Broken(f"the bus refuses with error {int(error.get('err_code', 0))}")

    async def replay(self, stream: str, begin: int, hear: Callable[[Heard], None]) -> asyncio.Event:
        """Call back with every message from number `begin` on, for ever; the event is set with each sign of life.

        Raises:
            Broken: the bus does not answer.
        """
        alive, inbox = asyncio.Event(), self._client.new_inbox()

        async def take(message: Msg) -> None:
            alive.set()
            if message.data:
                hear(Heard(message.subject, message.data, _number(message.reply)))

        await _ours(self._client.subscribe(inbox, cb=take))
        config = {
            "deliver_subject": inbox, "deliver_policy": "by_start_sequence", "opt_start_seq": begin,
            "ack_policy": "none", "replay_policy": "instant", "max_deliver": 1, "mem_storage": True, "num_replicas": 1,
            "idle_heartbeat": int(HEARTBEAT * 1e9), "inactive_threshold": int(60e9),
        }  # fmt: skip
        await self._api(f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config})
        return alive


def _number(reply: str) -> int:
    """A message's number in its stream: `$JS.ACK.[domain.account.]stream.consumer.deliveries.NUMBER.…`."""
    tokens = reply.split(".")
    return int(tokens[5 if len(tokens) < 11 else 7])


async def _ours[T](call: Awaitable[T]) -> T:
    """What a call gives; whatever its library raises becomes an error whose words are ours."""
    try:
        return await call
    except Plain:
        raise
    except TimeoutError:
        raise Broken("the bus does not answer in time") from None
    except Exception as error:
        if type(error).__name__ == "NoRespondersError":
            raise Silent("nobody answers on the bus") from None
        raise Broken(f"the bus cannot be used: {type(error).__name__}") from None


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Link]:
    """A connection to the bus; `url` may hold user and password, or a token.

    Raises:
        Broken: there is none to be had.
    """
    from nats.aio.client import Client  # only where a bus is configured

    lost = asyncio.Event()

    async def over(_: Exception | None) -> None:
        lost.set()

    client = Client()
    try:
        await _ours(_begin(client, url, over))
        lost.clear()
        yield Link(client, lost)
    finally:
        with suppress(Exception):
            async with asyncio.timeout(0.5):
                await client.close()


async def _begin(client: Client, url: str, over: Callable[[Exception | None], Awaitable[None]]) -> None:
    async with asyncio.timeout(PATIENCE):
        await client.connect(
            url, name="arb-exporter", tls=lean.authorities() if url.startswith("tls:") else None,
            allow_reconnect=False, connect_timeout=int(PATIENCE), max_reconnect_attempts=1, reconnect_time_wait=0,
            ping_interval=PING, max_outstanding_pings=2,
            error_cb=over, disconnected_cb=partial(over, None), closed_cb=partial(over, None),
        )  # fmt: skip

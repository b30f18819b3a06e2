"""How often an address may ask and guess; a polite client is never refused."""

import json

import pytest

from exporter.web import limits
from exporter.web.access import Access
from exporter.web.limits import Limits, TooMany, network
from exporter.web.site import Site
from tests.web.test_access import HASH, basic
from tests.web.test_server import board, problem, serving


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def wait(call: object, address: str = "a") -> float:
    try:
        call(address)  # type: ignore[operator]
    except TooMany as many:
        return many.retry_after
    return 0.0


def test_so_many_at_once_and_so_many_a_second() -> None:
    clock = Clock()
    made = Limits(2, clock)
    assert [wait(made.ask) for _ in range(21)] == [0.0] * 20 + [0.5]
    assert wait(made.ask, "b") == 0.0
    for _ in range(1_000):
        clock.now += 0.5
        assert wait(made.ask) == 0.0, "a polite client is never refused"


def test_another_rate_holds_at_once_and_the_same_one_forgives_nothing() -> None:
    made = Limits(1, Clock())
    assert [wait(made.ask) > 0 for _ in range(11)] == [False] * 10 + [True]
    made.change(1)
    assert wait(made.ask) > 0
    made.change(5)
    assert wait(made.ask) == 0


def test_guesses_have_a_rate_of_their_own() -> None:
    made = Limits(100, Clock())
    assert [wait(made.guess) for _ in range(limits.GUESSES + 1)] == [0.0] * limits.GUESSES + [1.0]
    assert wait(made.ask) == 0.0


def test_addresses_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ADDRESSES", 10)
    made = Limits(100, Clock())
    for number in range(100):
        wait(made.ask, str(number))
    assert len(made._requests._known) == 10


def test_a_network_of_ipv6_is_one_address() -> None:
    assert network("2001:db8::1") == network("2001:db8::2:3") == "2001:db8::/64"
    assert network("::ffff:192.0.2.7") == "192.0.2.7"
    assert network("fe80::1%eth0") == "fe80::/64"
    assert network("192.0.2.7") == "192.0.2.7"


async def test_too_many_requests_are_429_and_scrapes_never() -> None:
    site = Site(board(), Access({}, {}), loopback_only=True, limits=Limits(1, Clock()))
    async with serving(site) as served:
        for _ in range(10):
            assert (await served.get("/api/v1/status"))[0] == 200
        for path in ("/api/v1/status", "/", "/absent"):
            status, headers, body = await served.get(path, X_Forwarded_For="192.0.2.9")
            assert (status, headers["Retry-After"], problem(body)[0]) == (429, "1", "too_many")
            assert headers["Content-Security-Policy"]
        for path in ("/metrics", "/healthz", "/readyz"):
            for _ in range(30):
                assert (await served.get(path))[0] == 200
        for _ in range(30):
            assert (await served.get("/ws"))[0] == 426, "the live feed has a rate of its own"


async def test_guessing_is_slowed_down_and_whoever_was_right_once_is_not() -> None:
    users = {"ops": HASH, "late": HASH}
    async with serving(Site(board(), Access(users, {}), loopback_only=False, limits=Limits(100, Clock()))) as served:
        assert (await served.get("/metrics", Authorization=basic("ops", "right")))[0] == 200
        for number in range(limits.GUESSES - 1):
            assert (await served.get("/metrics", Authorization=basic("ops", f"guess-{number}")))[0] == 401
        status, headers, body = await served.get("/metrics", Authorization=basic("ops", "another"))
        assert (status, headers["Retry-After"], problem(body)[0]) == (429, "1", "too_many")
        assert "another" not in json.dumps(dict(headers)) + body.decode()
        assert (await served.get("/metrics", Authorization=basic("ops", "right")))[0] == 200
        assert (await served.get("/metrics", Authorization=basic("ops", "guess-1")))[0] == 401, "known to be wrong"
        assert (await served.get("/metrics", Authorization="Basic !"))[0] == 401
        assert (await served.get("/healthz"))[0] == 200

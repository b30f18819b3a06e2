"""Who comes in: origins word for word, limits in all and by address, tickets that let in once."""

import pytest

from exporter.config import Live
from exporter.web import doors
from exporter.web.access import Identity
from exporter.web.doors import Doors, Full

ME = Identity("me", "hash")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def refused(made: Doors, address: str = "a") -> tuple[int, float] | None:
    try:
        made.enter(address)
    except Full as full:
        return full.status, full.retry_after
    return None


ORIGINS = {
    ("http://localhost:10453", "http://localhost:10453"): True,
    ("HTTP://LocalHost:10453", "http://localhost:10453"): True,
    ("http://localhost", "http://localhost:80"): True,
    ("https://bot.example:443", "https://bot.example"): True,
    ("https://grafana.example", "http://localhost:10453"): True,  # configured
    ("https://grafana.example:443", "http://localhost:10453"): False,
    ("https://grafana.example.evil", "http://localhost:10453"): False,
    ("https://evil-grafana.example", "http://localhost:10453"): False,
    ("http://grafana.example", "http://localhost:10453"): False,
    ("https://localhost:10453", "http://localhost:10453"): False,
    ("http://localhost:10454", "http://localhost:10453"): False,
    ("http://127.0.0.1:10453", "http://localhost:10453"): False,
    ("http://localhost:443", "http://localhost"): False,
    ("http://localhost:10453/", "http://localhost:10453"): False,
    ("null", "http://localhost:10453"): False,
    ("", "http://localhost:10453"): False,
    ("*", "http://localhost:10453"): False,
    ("localhost:10453", "http://localhost:10453"): False,
}


@pytest.mark.parametrize(("origin", "own"), ORIGINS)
def test_an_origin_is_our_own_or_one_that_is_configured(origin: str, own: str) -> None:
    made = Doors(Live(allowed_origins=("https://grafana.example",)))
    assert made.admits(origin, own) is ORIGINS[origin, own]


def test_as_many_as_may_be_and_one_more_when_one_leaves() -> None:
    made = Doors(Live(max_clients=3))
    assert [refused(made, address) for address in "aab"] == [None] * 3
    assert refused(made, "c") == (503, 5)
    made.leave("a")
    assert refused(made, "c") is None
    for address in "abc":
        made.leave(address)
    assert not made._inside


def test_an_address_has_its_own_limit_if_configured() -> None:
    made = Doors(Live(max_clients=10, max_clients_per_address=2))
    assert [refused(made, "a") for _ in range(3)] == [None, None, (429, 5)]
    assert refused(made, "b") is None


def test_a_network_of_ipv6_is_one_address() -> None:
    made = Doors(Live(max_clients=10, max_clients_per_address=2))
    addresses = ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", "fe80::1%eth0", "::ffff:192.0.2.7")
    networks = [made.enter(address) for address in addresses]
    assert networks == ["2001:db8::/64", "2001:db8::/64", "2001:db8:0:1::/64", "fe80::/64", "192.0.2.7"]
    assert refused(made, "2001:db8::2") == (429, 5)
    for network in networks:
        made.leave(network)
    assert not made._inside


def test_handshakes_have_a_rate_and_a_polite_client_is_never_refused() -> None:
    clock = Clock()
    made = Doors(Live(max_clients=1_000, handshakes_per_second=2), clock)
    for _ in range(4):
        assert refused(made) is None
        made.leave("a")
    assert refused(made) == (429, 0.5)
    assert refused(made, "b") is None
    clock.now += 0.5
    assert refused(made) is None
    for _ in range(1_000):
        clock.now += 0.5
        made.leave("a")
        assert refused(made) is None


def test_a_refused_handshake_counts_for_nothing_else() -> None:
    made = Doors(Live(max_clients=1))
    assert refused(made) is None
    for _ in range(500):
        assert refused(made, "b") == (503, 5)
    made.leave("a")
    assert refused(made, "b") is None


def test_new_limits_hold_at_once() -> None:
    made = Doors(Live(max_clients=1))
    assert refused(made) is None
    assert refused(made) == (503, 5)
    made.limits = Live(max_clients=2)
    assert refused(made) is None


def test_new_rates_hold_for_addresses_that_are_known() -> None:
    clock = Clock()
    made = Doors(Live(handshakes_per_second=1), clock)
    assert [refused(made) is None for _ in range(3)] == [True, True, False]
    made.limits = Live(handshakes_per_second=10)
    assert refused(made) is None


def test_addresses_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "ADDRESSES", 10)
    made = Doors(Live(max_clients=100_000))
    for number in range(1_000):
        refused(made, str(number))
        made.leave(str(number))
    assert len(made._knocks) <= 10
    assert not made._inside


def test_a_ticket_lets_in_once_and_for_15_seconds() -> None:
    clock = Clock()
    made = Doors(clock=clock)
    one, other = made.ticket(ME), made.ticket(ME)
    assert made.redeem(one) == ME
    assert made.redeem(one) is None
    clock.now += 15.1
    assert made.redeem(other) is None
    assert made.redeem("") is None
    assert len(one) == 32
    assert not made._tickets


def test_tickets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "TICKETS", 3)
    made = Doors()
    made_out = [made.ticket(ME) for _ in range(5)]
    assert [made.redeem(ticket) for ticket in made_out] == [None, None, ME, ME, ME]

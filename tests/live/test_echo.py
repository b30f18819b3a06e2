"""A gateway's hub: events keep the numbers they come with, and whoever knows more is told nothing twice."""

import asyncio
from typing import Any

from exporter.live.echo import Echo
from tests.live.test_hub import Client, price
from tests.running import eventually


def relay(hub: Echo, *numbers: int) -> None:
    for seq in numbers:
        hub.relay("trades", seq, 1.0, [{"pair": "A", "n": seq}])


def numbers(client: Client) -> list[int]:
    return [item["n"] for item in client.listener.events.get("trades", [])]


def come_back(client: Client, hub: Echo, since: int, **more: Any) -> None:
    client.say(op="subscribe", topics=["trades"], session=hub.session, since={"trades": since}, **more)


async def test_numbers_are_those_they_come_with_and_doubles_are_passed_over() -> None:
    hub = Echo()
    relay(hub, 7, 8)
    client = Client(hub)
    come_back(client, hub, 7)
    relay(hub, 8, 9, 9)
    assert numbers(client) == [8, 9]
    assert (client.listener.last["trades"], client.listener.gaps["trades"]) == (9, [])
    await hub.close(0.01)


async def test_what_is_missing_before_is_told() -> None:
    hub = Echo()
    relay(hub, 7)
    client = Client(hub)
    come_back(client, hub, 3)
    assert (client.listener.gaps["trades"], numbers(client)) == ([(4, 6)], [7])
    relay(hub, 10)
    assert client.listener.gaps["trades"] == [(4, 6), (8, 9)]
    await hub.close(0.01)


async def test_who_knows_more_waits_and_is_told_nothing_twice() -> None:
    hub = Echo(patience=60)
    relay(hub, 1, 2)
    ahead, filtered, present = Client(hub), Client(hub), Client(hub)
    come_back(ahead, hub, 4)
    come_back(filtered, hub, 4, pairs=["A"])
    present.say(op="subscribe", topics=["trades"])
    relay(hub, 3)
    assert not ahead.heard("snapshot")
    relay(hub, 4, 5)
    await eventually(lambda: numbers(ahead) == [5] and numbers(filtered) == [5])
    assert numbers(present) == [3, 4, 5]
    assert ahead.listener.gaps["trades"] == []
    await hub.close(0.01)


async def test_who_claims_too_much_does_not_wait_for_ever() -> None:
    hub = Echo(patience=0.05)
    relay(hub, 1, 2)
    liar, leaver = Client(hub), Client(hub)
    come_back(liar, hub, 1_000_000)
    come_back(leaver, hub, 1_000_000)
    leaver.say(op="unsubscribe", topics=["trades"])
    await eventually(lambda: liar.heard("gap"))
    relay(hub, 3)
    assert numbers(liar) == [3]
    assert not leaver.heard("snapshot")
    await hub.close(0.01)


async def test_another_session_sends_everybody_away_and_forgets() -> None:
    hub, told = Echo(), list[Any]()
    hub.tap("trades", told.append)
    hub.state("prices", *price("A", "p", 1))
    relay(hub, 5)
    client = Client(hub)
    come_back(client, hub, 5)
    hub.begin("another")
    await asyncio.sleep(0)
    assert client.listener.controls[-1][0] == 8  # closed
    assert hub.present("prices").items() == []
    relay(hub, 1)
    assert len(told) == 2
    new = Client(hub)
    assert new.heard("hello")[0]["session"] == "another"
    new.say(op="subscribe", topics=["trades"])
    assert [item["n"] for item in new.listener.shown["trades"]] == [1]
    await hub.close(0.01)

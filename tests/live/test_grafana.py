"""Pushing to Grafana Live: against a stand-in that behaves as documented and reads every line with another parser."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.collectors import live
from exporter.config import GrafanaPush
from exporter.live.grafana import Grafana, Latest, Pace
from exporter.live.hub import Hub
from exporter.settings import Secret
from tests.live.fake_grafana import NAME, PASSWORD, FakeGrafana, grafana
from tests.running import eventually

FAST = Pace(shortest=0.01, longest=0.05, first_wait=0.01, last_wait=0.05, upgrade_again=0.3, ping=0.5)


def price(pool: str = "aero-1", value: str = "3003.42", pair: str = "WETH/USDC", **more: Any) -> dict[str, Any]:
    item = {"pair": pair, "dex": "aero", "pool": pool, "address": "0x1", "price": value, "liquidity": "1200", "ts": 1.0}
    return item | more


def tell(hub: Hub, *items: dict[str, Any]) -> None:
    hub.states("prices", [((i["pair"], i["dex"], i["pool"]), None if i.get("gone") else i) for i in items])


def settings(fake: FakeGrafana, folder: Path, password: str = PASSWORD) -> GrafanaPush:
    file = folder / "password"
    file.write_text(password + "\n", encoding="utf-8")
    return GrafanaPush(url=fake.url, user=NAME, password_file=Secret(password, file))


@asynccontextmanager
async def pushing(wanted: Callable[[], GrafanaPush | None], pace: Pace = FAST) -> AsyncIterator[Hub]:
    hub = Hub()
    task = asyncio.create_task(Grafana(hub, wanted, pace).run())
    try:
        yield hub
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await hub.close()


def push(hub: Hub) -> live.Push:
    """What it counts; nothing until it has begun."""
    return hub.figures.push or live.Push(False, Counter())


async def test_prices_spreads_and_gas_come_as_lines_with_one_time_per_message(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted) as hub:
            tell(hub, price(), price("uni pool,2=x", "3000"))
            hub.state("gas", (), {"base_fee_wei": "6000000", "next_base_fee_wei": "6100000", "block_used_ratio": 0.5})
            await eventually(lambda: {line["measurement"] for line in fake.lines} >= {"price", "spread", "gas"})
            assert push(hub).up
        last = [line for line in fake.lines if line["time"] == fake.lines[-1]["time"]]
        assert {line["measurement"]: line["fields"] for line in last if line["tags"].get("pool") != "aero-1"} == {
            "price": {"price": 3000.0, "from_middle_ratio": 3000 / 3001.71 - 1, "liquidity": 1200.0},
            "spread": {"ratio": 3003.42 / 3000 - 1},
            "gas": {"base_fee_gwei": 0.006, "next_base_fee_gwei": 0.0061, "block_used_ratio": 0.5},
        }
        assert {"pair": "WETH/USDC", "dex": "aero", "pool": "uni pool,2=x"} in [line["tags"] for line in last]
        assert not fake.bad
        assert (fake.upgrades, fake.posts) == (1, 0)
        assert abs(last[0]["time"] / 1e9 - time.time()) < 60
        for body in fake.messages:
            assert len({text.rpartition(b" ")[2] for text in body.split(b"\n")}) == 1


async def test_however_often_prices_change_it_says_the_newest_and_only_so_often(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted, Pace()) as hub:
            tell(hub, price(value="0"))
            await asyncio.wait_for(fake.news.wait(), 20)
            begin, before = time.monotonic(), len(fake.messages)
            for number in range(1, 401):
                tell(hub, price(value=str(number)))
                await asyncio.sleep(0.005)
            await eventually(lambda: fake.lines[-1]["fields"]["price"] == 400)
            took, count = time.monotonic() - begin, len(fake.messages) - before
        assert count / took <= 10.5
        values = [line["fields"]["price"] for line in fake.lines]
        assert values == sorted(values)


async def test_what_does_not_change_is_said_again_and_what_is_gone_is_not(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted) as hub:
            tell(hub, price(), price("b"))
            await eventually(lambda: len(fake.messages) > 3)
            tell(hub, price("b", gone=True))
            hub.state("gas", (), {"base_fee_wei": "1", "next_base_fee_wei": "1", "block_used_ratio": 0.1})
            hub.state("gas", (), None)
            await eventually(lambda: fake.messages[-1].count(b"\n") == 0)
            count = len(fake.messages)
            await eventually(lambda: len(fake.messages) > count + 3)
        assert fake.messages[-1].startswith(b"price,dex=aero,pair=WETH/USDC,pool=aero-1 ")


async def test_times_only_ever_grow(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted) as hub:
            tell(hub, price())
            await eventually(lambda: len(fake.messages) > 10)
        times = [line["time"] for line in fake.lines]
        assert times == sorted(set(times))


async def test_pings_are_answered(tmp_path: Path) -> None:
    async with grafana(ping_every=0.05) as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted):
            await eventually(lambda: fake.pongs > 3)
        assert fake.upgrades == 1


async def test_a_restart_of_grafana_is_survived(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted) as hub:
            tell(hub, price())
            for upgrades in range(1, 4):
                count = len(fake.messages)
                await eventually(lambda c=count: len(fake.messages) > c)
                assert fake.upgrades == upgrades
                await fake.cut()
            await eventually(lambda: fake.upgrades == 4 and push(hub).up)


async def test_while_grafana_is_away_it_is_down_and_afterwards_up(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = settings(fake, tmp_path)
        there = wanted
    async with pushing(lambda: there) as hub:
        tell(hub, price())
        await asyncio.sleep(0.1)
        assert not push(hub).up
        async with grafana() as fake:
            there = settings(fake, tmp_path)
            await eventually(lambda: push(hub).up and len(fake.messages) > 0)


async def test_who_is_no_admin_posts_and_the_socket_is_tried_again_later(tmp_path: Path) -> None:
    async with grafana(admin=False) as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted) as hub:
            tell(hub, price())
            await eventually(lambda: fake.posts > 3 and push(hub).up)
            assert fake.upgrades >= 1
            assert push(hub).messages["post", "success"] > 0
            fake.admin = True
            await eventually(lambda: len(fake.sockets) == 1)
            posts = fake.posts
            count = len(fake.messages)
            await eventually(lambda: len(fake.messages) > count + 3)
            assert fake.posts == posts
        assert not fake.bad


async def test_a_new_password_is_read_from_the_file_at_the_next_try(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with grafana(password="another one") as fake:
        wanted = settings(fake, tmp_path, "wrong and secret")
        async with pushing(lambda: wanted) as hub:
            tell(hub, price())
            await eventually(lambda: push(hub).messages["post", "failed"] > 0)
            assert not push(hub).up
            (tmp_path / "password").write_text("another one\n")
            await eventually(lambda: push(hub).up)
    said = " ".join(f"{record.msg} {getattr(record, 'fields', {})}" for record in caplog.records)
    assert "Grafana answers with 401" in said
    assert "secret" not in said
    assert "another" not in said


async def test_a_token_will_do_too(tmp_path: Path) -> None:
    async with grafana(token="glsa_x") as fake:
        file = tmp_path / "token"
        file.write_text("glsa_x")
        wanted = GrafanaPush(url=fake.url, token_file=Secret("glsa_x", file))
        async with pushing(lambda: wanted) as hub:
            tell(hub, price())
            await eventually(lambda: len(fake.lines) > 0)


async def test_a_file_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = settings(fake, tmp_path)
        (tmp_path / "password").unlink()
        async with pushing(lambda: wanted) as hub:
            tell(hub, price())
            await asyncio.sleep(0.1)
            assert fake.upgrades == fake.posts == 0
            settings(fake, tmp_path)
            await eventually(lambda: push(hub).up)


async def test_without_credentials_it_asks_without(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = GrafanaPush(url=fake.url)
        async with pushing(lambda: wanted) as hub:
            tell(hub, price())
            await eventually(lambda: fake.posts > 0)
            assert not push(hub).up


async def test_nothing_is_pushed_unless_asked_for_and_settings_may_change(tmp_path: Path) -> None:
    async with grafana() as one, grafana() as other:
        wanted: GrafanaPush | None = None
        async with pushing(lambda: wanted) as hub:
            tell(hub, price())
            await asyncio.sleep(0.05)
            assert hub.figures.push is None
            wanted = settings(one, tmp_path)
            await eventually(lambda: len(one.lines) > 0)
            wanted = settings(other, tmp_path)
            await eventually(lambda: len(other.lines) > 0)
            assert not one.sockets
            wanted = None
            await eventually(lambda: hub.figures.push is None)
            assert not other.sockets


async def test_before_anything_is_known_nothing_is_said_yet_the_connection_stands(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted) as hub:
            await eventually(lambda: push(hub).up)
            await asyncio.sleep(0.1)
            assert fake.messages == []
            assert sum(push(hub).messages.values()) == 0


async def test_one_that_never_reads_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.live.grafana.RESTING", 0.2)
    async with grafana(silent=True) as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted) as hub:
            tell(hub, *(price(f"pool-{number:04}" * 5) for number in range(2_000)))
            await eventually(lambda: fake.upgrades > 1, 40)


async def test_it_ends_at_once_when_told_to(tmp_path: Path) -> None:
    async with grafana() as fake:
        wanted = settings(fake, tmp_path)
        async with pushing(lambda: wanted) as hub:
            tell(hub, price())
            await eventually(lambda: len(fake.lines) > 0)
            begin = time.monotonic()
        assert time.monotonic() - begin < 2
        await eventually(lambda: not fake.sockets)


def test_a_pair_at_one_pool_has_no_spread() -> None:
    latest = Latest()
    latest.prices([price(), price("b", pair="DAI/USDC"), price("c", "0", pair="X/Y"), price("d", "1", pair="X/Y")])
    assert [point.measurement for point in latest.points()] == ["price"] * 4


def test_a_price_without_liquidity_is_one_all_the_same() -> None:
    latest = Latest()
    latest.prices([price(liquidity=None)])
    (point,) = latest.points()
    assert point.fields == {"price": 3003.42, "from_middle_ratio": 0.0}

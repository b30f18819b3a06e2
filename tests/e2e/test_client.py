"""The client and the real exporter: every event arrives once, whichever way it takes."""

import asyncio
import signal
from functools import partial
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from exporter.client import Client, ether
from exporter.client.events import TYPES
from tests import running as running_module
from tests.client.test_events import FULL
from tests.running import Running, running, until

ROUTE = {"pair": "WETH/USDC", "dex_buy": "uniswap", "dex_sell": "sushiswap"}


def settings(folder: Path, **bot: Any) -> dict[str, Any]:
    return {"bot": {"name": "b", **bot}, "state": str(folder / "ledger")}


def told(exporter: Running, kind: str) -> float:
    return exporter.value("arb_events_total", bot="b", type=kind) or 0.0


def test_every_type_is_taken_and_trades_are_exact(tmp_path: Path) -> None:
    with running(settings(tmp_path), tmp_path) as exporter, Client(exporter.url, linger=0.01) as bot:
        for event in TYPES:
            getattr(bot, event)(**FULL[event])
        for number in range(300):
            bot.trade(
                **ROUTE, outcome="success", net_profit_eth=ether(10**18 + number), gas_fee_eth="0.1", id=f"t{number}"
            )
        assert bot.flush(30)
        stats = bot.stats
        assert (stats.sent, stats.invalid, stats.rejected, stats.failures) == (len(TYPES) + 300, 0, 0, 0)
        until(lambda: all(told(exporter, event) for event in TYPES), 20, exporter)
        profit = {"bot": "b", "source": "events", **ROUTE}
        until(lambda: exporter.value("arb_bot_net_profit_ether", **profit) == pytest.approx(299.9), 20, exporter)
        assert told(exporter, "trade") == 301
        assert exporter.value("arb_events_invalid_total", bot="b", reason="value") == 0


def test_only_bad_records_are_refused(tmp_path: Path) -> None:
    with running(settings(tmp_path), tmp_path) as exporter, Client(exporter.url, linger=0.2) as bot:
        share = {"share_ratio": "0.5", "amount_eth": 1}
        bot.allocation(dex="uniswap", **share)
        bot.allocation(dex="uniswap", pair="WETH/USDC", **share)  # one of the two is meant
        bot.allocation(**share)
        bot.allocation(pair="WETH/USDC", **share)
        assert bot.flush(20)
        assert (bot.stats.sent, bot.stats.rejected, bot.stats.failures) == (2, 2, 0)
        until(lambda: told(exporter, "allocation") == 2, 20, exporter)


async def test_a_loop_reports_and_repeats_harmlessly(tmp_path: Path) -> None:
    with running(settings(tmp_path), tmp_path) as exporter:
        for _ in range(2):
            async with Client(exporter.url, linger=0.01) as bot:
                for number in range(500):
                    bot.opportunity(**ROUTE, stage="detected", id=f"o{number}", time=1_790_000_000 + number)
                assert await bot.flushed(30)
        await asyncio.to_thread(until, lambda: told(exporter, "opportunity") == 500, 20, exporter)
        again = partial(exporter.value, "arb_events_duplicates_total", bot="b")
        await asyncio.to_thread(until, lambda: again() == 500, 20, exporter)


def test_nothing_is_lost_or_doubled_while_the_exporter_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, file = running_module.free_port(), tmp_path / "events.ndjson"
    monkeypatch.setattr(running_module, "free_port", lambda: port)
    known = settings(tmp_path, events=str(file))
    with Client(f"http://127.0.0.1:{port}", file=file, linger=0.01) as bot:
        for number in range(4):
            with running(known, tmp_path) as exporter:
                bot.flush(5)
                for _ in range(500):
                    bot.opportunity(**ROUTE, stage="detected")
                if number % 2:
                    bot.flush(5)
                exporter.stop(signal.SIGKILL)
            for _ in range(200):  # nobody is there
                bot.opportunity(**ROUTE, stage="detected")
        assert bot.flush(30)
        stats = bot.stats
        assert (stats.reported, stats.invalid, stats.rejected, stats.dropped) == (2_800, 0, 0, 0)
        assert stats.sent + stats.written == 2_800
        assert stats.written >= 200
    stage = {"bot": "b", "source": "events", "stage": "detected"}
    with running(known, tmp_path) as exporter:
        until(lambda: exporter.value("arb_bot_opportunities_by_stage_total", **stage) == 2_800, 30, exporter)
        assert told(exporter, "opportunity") == 2_800


def test_a_bot_needs_the_role_to_write(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("right\n")
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    web = tmp_path / "web.yml"
    web.write_text(yaml.safe_dump({"basic_auth_users": {"bot1": hashed, "ops": hashed}}))
    known = settings(tmp_path) | {"access": {"bot1": ["write"], "ops": ["scrape", "read", "live"]}}
    exporter = Running(known, tmp_path, f"--web.config.file={web}")
    try:
        exporter.until_up()
        for user, password, trouble in (("ops", "right", "403"), ("bot1", "wrong", "401")):
            with Client(exporter.url, user=user, password=password, linger=0.01) as bot:
                bot.component(name="node", status="ok")
                until(lambda bot=bot: bot.trouble, 20, exporter)  # type: ignore[misc]
                assert bot.trouble == f"the exporter answers {trouble}"
        with Client(exporter.url, user="bot1", password_file=secret, linger=0.01) as bot:
            bot.component(name="node", status="ok")
            assert bot.flush(20)
            assert bot.stats.sent == 1
    finally:
        exporter.stop()

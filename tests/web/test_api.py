"""The read API over a real socket, a real ledger and a board that holds everything: each answer, page and refusal."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter import __version__, history
from exporter.books import Writer
from exporter.config import Bot, Settings
from exporter.ledger import Ledger
from exporter.live import chain_shapes, shapes
from exporter.live.provenance import provenance
from exporter.sources.memory_bank import Batch
from exporter.web import api
from exporter.web.access import Access
from exporter.web.site import Site
from tests.golden.examples import EXAMPLES
from tests.live.test_shapes import CHAIN, READ, filled
from tests.test_history import opportunity, trade
from tests.web.test_access import HASH, basic
from tests.web.test_server import SECURITY, Server, problem, serving

PATHS = [operation.path for operation in api.OPERATIONS]
PAGED = {"prices": "prices", "pools": "pools", "wallets": "wallets", "storage": "stores"}


def settings(folder: Path) -> Settings:
    return Settings(bot=Bot(name="b"), chain=CHAIN, state=folder / "state")


@asynccontextmanager
async def whole(folder: Path, access: Access | None = None, trades: int = 25) -> AsyncIterator[Server]:
    """A site with everything on its board, and this many trades in its ledger."""
    async with Ledger(folder / "state") as ledger:
        made = [
            trade(
                n, pair=("WETH/USDC", "DAI/USDC")[n % 2], dex_buy=("alpha", "gamma")[n % 3 == 0],
                outcome=("success", "failed")[n % 5 == 0], reason=None if n % 5 else "slippage",
            )
            for n in range(trades)
        ]  # fmt: skip
        batch = Batch("memory_bank", trades=made, opportunities=[opportunity(str(n)) for n in range(5)], complete=True)
        await ledger.write(lambda db: Writer(db, "b", "memory_bank", 100, READ).put(batch, ()))
        site = Site(filled(), access or Access({}, {}), loopback_only=access is None, settings=settings(folder))
        site.keep(ledger)
        async with serving(site) as served:
            yield served
        await site.hub.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Server]:
    async with whole(tmp_path) as made:
        yield made


async def get(served: Server, path: str) -> Any:
    status, headers, body = await served.get(f"/api/v1/{path}")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8"), body
    return json.loads(body)


# --- what is answered ----------------------------------------------------------------------------------------------


async def test_the_status_of_everything(served: Server) -> None:
    served.site.unset["logs"] = "bot.logs: the bot's logs"
    served.site.board.fail("rpc", TimeoutError("a secret text"), 1.5)
    served.site.board.progress["trades"] = 3, 10
    found = await get(served, "status")
    collectors = found.pop("collectors")
    assert found == {
        "version": __version__,
        "bot": "b",
        "chain_id": 8453,
        "ready": False,
        "ledger_degraded": False,
        "live_clients": 0,
        "not_configured": {"logs": "bot.logs: the bot's logs"},
        "provenance": provenance(served.site.board),
    }
    assert set(collectors) == set(EXAMPLES)
    assert collectors["rpc"] == {
        "success": False, "last_success": READ, "duration_seconds": 1.5, "error": "timed out", "first_read": None,
    }  # fmt: skip
    assert collectors["trades"]["first_read"] == {"done": 3, "total": 10}
    assert collectors["host"]["success"] is True


async def test_what_is_on_the_board(served: Server) -> None:
    board = served.site.board
    assert await get(served, "prices") == {
        "prices": list(chain_shapes.prices(board).values()), "next": None,
        "spreads": chain_shapes.price_spreads(board),
    }  # fmt: skip
    assert await get(served, "gas") == {"gas": chain_shapes.gas(board)[()]}
    assert await get(served, "pools") == {"pools": chain_shapes.pools(board, CHAIN), "next": None}
    assert await get(served, "wallets") == {"wallets": chain_shapes.wallets(board, CHAIN), "next": None}
    assert await get(served, "storage") == {
        "stores": list(shapes.storage(board).values()), "next": None,
        "memory_bank": list(shapes.memory_bank(board).values()),
    }  # fmt: skip


async def test_a_site_that_knows_nothing_says_nothing_and_never_zero(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        site = Site(filled("exporter"), Access({}, {}), loopback_only=True)
        site.keep(ledger)
        async with serving(site) as served:
            assert await get(served, "prices") == {"prices": [], "next": None, "spreads": []}
            assert await get(served, "gas") == {"gas": None}
            assert await get(served, "trades") == {"trades": [], "next": None}
            assert await get(served, "opportunities") == {"opportunities": [], "next": None}
            assert await get(served, "storage") == {"stores": [], "next": None, "memory_bank": []}
            assert (await get(served, "status"))["chain_id"] is None
        await site.hub.close()


async def test_trades_the_newest_first(served: Server) -> None:
    found = (await get(served, "trades"))["trades"]
    assert [item["id"] for item in found] == list(range(25, 0, -1))
    assert found[0] == {
        "id": 25, "source": "memory_bank", "time": 1.7e9 + 24, "pair": "WETH/USDC", "dex_buy": "gamma",
        "dex_sell": "beta", "outcome": "success", "reason": None, "net_profit_eth": "1.000000000000000024",
        "gas_cost_eth": None, "expected_profit_eth": "0", "tx_hash": None, "claim": None,
    }  # fmt: skip


FILTERS = {
    "source=memory_bank": lambda item: True,
    "source=chain": lambda item: False,
    "pair=DAI/USDC": lambda item: item["pair"] == "DAI/USDC",
    "pair=DAI%2FUSDC&outcome=failed": lambda item: item["pair"] == "DAI/USDC" and item["outcome"] == "failed",
    "dex=gamma": lambda item: item["dex_buy"] == "gamma",
    "dex=beta": lambda item: True,
    "since=1700000010": lambda item: item["time"] >= 1.7e9 + 10,
    "since=2023-11-14T22:13:30Z&until=2023-11-14T23:13:35%2B01:00": lambda item: 10 <= item["time"] - 1.7e9 < 15,
    "until=1700000003.5": lambda item: item["time"] < 1.7e9 + 3.5,
}


@pytest.mark.parametrize("query", FILTERS)
async def test_trades_by_filter(served: Server, query: str) -> None:
    everything = (await get(served, "trades"))["trades"]
    expected = [item for item in everything if FILTERS[query](item)]
    assert await get(served, f"trades?{query}") == {"trades": expected, "next": None}


async def pages(served: Server, path: str, name: str, limit: int) -> list[Any]:
    found, before = [], ""
    while True:
        part = await get(served, f"{path}{'&' if '?' in path else '?'}limit={limit}{before}")
        assert len(part[name]) <= limit
        found += part[name]
        if part["next"] is None:
            return found
        before = f"&before={part['next']}"


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
async def test_every_list_is_the_same_in_pages(served: Server, limit: int) -> None:
    for path, name in {
        **PAGED,
        "trades": "trades",
        "trades?dex=gamma": "trades",
        "opportunities": "opportunities",
    }.items():
        whole_list = (await get(served, path))[name]
        assert await pages(served, path, name, limit) == whole_list, path
        assert whole_list


async def test_a_cursor_beyond_the_end_finds_nothing(served: Server) -> None:
    for path, name in {**PAGED, "trades": "trades"}.items():
        found = await get(served, f"{path}?before=9223372036854775806")
        assert (found[name], found["next"]) == ([], None)


async def test_a_filter_that_fits_little_still_fills_its_page(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SPAN", 2)
    found = await get(served, "trades?pair=DAI/USDC&limit=5")
    assert [item["id"] for item in found["trades"]] == [24, 22, 20, 18, 16]
    monkeypatch.setattr(api, "ENOUGH", -1.0)
    found = await get(served, "trades?pair=DAI/USDC&limit=5")
    assert [item["id"] for item in found["trades"]] == [24]
    assert len(await pages(served, "trades?pair=DAI/USDC", "trades", 5)) == 12


async def test_an_answer_that_is_known_is_not_sent_again(served: Server) -> None:
    for path in PATHS:
        _, headers, body = await served.get(path)
        assert headers["Cache-Control"] == "private, no-cache"
        tag = headers["ETag"]
        for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
            status, again, nothing = await served.get(path, If_None_Match=known)
            assert (status, nothing, again["ETag"]) == (304, b"", tag), path
        assert (await served.get(path, If_None_Match='"x"'))[2] == body


@pytest.mark.parametrize("path", PATHS)
async def test_head_is_get_without_a_body(served: Server, path: str) -> None:
    _, headers, _ = await served.get(path)
    status, head, body = await served.get(path, "HEAD")
    assert (status, body) == (200, b"")
    assert (head["Content-Length"], head["ETag"]) == (headers["Content-Length"], headers["ETag"])
    for name, value in SECURITY.items():
        assert head.getall(name) == [value]


# --- what is refused -----------------------------------------------------------------------------------------------

REFUSED = {
    "limit=0": "limit must be a whole number from 1 to 1000",
    "limit=1001": "limit must be a whole number from 1 to 1000",
    "limit=ten": "limit must be a whole number from 1 to 1000",
    "limit=%D9%A3": "limit must be a whole number from 1 to 1000",
    "limit=-1": "limit must be a whole number from 1 to 1000",
    "limit=": "limit must be a whole number from 1 to 1000",
    "before=0": "before must be a whole number from 1 to 9223372036854775807",
    "before=9223372036854775808": "before must be a whole number from 1 to 9223372036854775807",
    f"before={'9' * 4000}": "before must be a whole number from 1 to 9223372036854775807",
    "limit=1&limit=2": "limit is given twice",
    "source=files": "source must be one of memory_bank, recent, events, chain",
    "outcome=Success": "outcome must be one of success, failed",
    "pair=": "pair must be 1 to 64 printable characters",
    "pair=a%00b": "pair must be 1 to 64 printable characters",
    f"dex={'x' * 65}": "dex must be 1 to 64 printable characters",
    "since=yesterday": "since must be RFC 3339 with a zone, or epoch seconds",
    "since=2026-11-21T08:00:00": "since must be RFC 3339 with a zone, or epoch seconds",
    "until=2026-13-01T00:00:00Z": "until must be RFC 3339 with a zone, or epoch seconds",
    "until=nan": "until must be RFC 3339 with a zone, or epoch seconds",
    "format=xml": "format must be one of json, csv",
    "colour=red": ("unknown parameter; there are: limit, before, source, pair, dex, outcome, since, until, format"),
}


@pytest.mark.parametrize("query", REFUSED)
async def test_a_bad_query_is_400_in_plain_words(served: Server, query: str) -> None:
    status, _, body = await served.get(f"/api/v1/trades?{query}")
    assert (status, problem(body)) == (400, ("bad_request", REFUSED[query]))


@pytest.mark.parametrize("path", PATHS)
async def test_unknown_parameters_and_methods_are_refused_everywhere(served: Server, path: str) -> None:
    status, _, body = await served.get(f"{path}?secret-canary=1")
    assert (status, problem(body)[0]) == (400, "bad_request")
    assert b"canary" not in body
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert (await served.get(path, method))[0] == 405


async def test_readers_only(tmp_path: Path) -> None:
    access = Access({"ops": HASH, "bot1": HASH, "prometheus": HASH}, {"bot1": ("write",), "prometheus": ("scrape",)})
    async with whole(tmp_path, access) as served:
        for path in PATHS:
            assert (await served.get(path))[0] == 401
            assert (await served.get(path, Authorization=basic("ops", "wrong")))[0] == 401
            assert (await served.get(path, Authorization=basic("bot1", "right")))[0] == 403
            assert (await served.get(path, Authorization=basic("prometheus", "right")))[0] == 403
            assert (await served.get(path, Authorization=basic("ops", "right")))[0] == 200


async def test_a_ledger_that_does_not_answer_is_503_and_the_rest_goes_on(
    served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(query: Any) -> Any:
        raise sqlite3.OperationalError("a secret text")

    monkeypatch.setattr(served.site.ledger, "read", read)
    for path in ("trades", "trades?format=csv", "opportunities"):
        status, headers, body = await served.get(f"/api/v1/{path}")
        assert (status, problem(body)) == (503, ("unavailable", "the ledger does not answer now"))
        assert headers["Retry-After"] == "1"
    assert (await served.get("/api/v1/status"))[0] == 200


async def test_a_site_without_a_ledger_is_503(tmp_path: Path) -> None:
    site = Site(filled("exporter"), Access({}, {}), loopback_only=True)
    async with serving(site) as served:
        assert (await served.get("/api/v1/trades"))[0] == 503
        assert (await get(served, "status"))["ledger_degraded"] is None
    await site.hub.close()


async def test_many_readers_and_a_writer_take_turns(served: Server) -> None:
    ledger = served.site.ledger
    assert ledger is not None
    readers = [asyncio.create_task(served.get("/api/v1/trades?pair=absent")) for _ in range(60)]
    more = Batch("memory_bank", trades=[trade(1_000)])
    await ledger.write(lambda db: Writer(db, "b", "memory_bank", 100, READ).put(more, ()))
    assert {status for status, _, _ in await asyncio.gather(*readers)} == {200}
    assert (await get(served, "trades?limit=1"))["trades"][0]["id"] == 26

"""The live page in a real browser, with a stage behind it: what it shows, and what it does when things go wrong."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from exporter.web.live_page import VERSION
from tests.browser.conftest import ROOT, Open
from tests.browser.stage import Line, Stage, price
from tests.web.test_access import HASH

AXE = ROOT / "tools" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as made:
        yield made


def live(page: Page) -> None:
    expect(page.locator("#link-text")).to_have_text("live")


def sent(page: Page) -> list[dict[str, Any]]:
    """What the page says to its server, kept from now on."""
    said: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: said.append(json.loads(frame))))
    return said


def rows(page: Page, section: str) -> Any:
    return page.locator(f"#{section} .scroll tbody tr")


def alert(name: str = "ArbNoTrades", state: str = "firing") -> dict[str, Any]:
    labels = {"alertname": name, "severity": "critical"}
    return {
        "fingerprint": name.encode().hex()[:16], "state": state, "labels": labels,
        "annotations": {"summary": "Nothing was traded."}, "starts": time.time(), "ends": None,
    }  # fmt: skip


def trade(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "source": "memory_bank", "time": time.time(), "pair": "WETH/USDC",
        "dex_buy": "a", "dex_sell": "b",
        "outcome": "success", "reason": None, "net_profit_eth": "0.001234567890123456", "gas_cost_eth": "0.000001",
        "expected_profit_eth": None, "tx_hash": None,
    } | more  # fmt: skip


def test_prices_tick_and_keep_every_digit(stage: Stage, visit: Open) -> None:
    stage.prices(price(value="3003.420000000000012345"), price("uni", "3010.5"))
    page = visit(f"{stage.url}/live")
    live(page)
    figure = rows(page, "prices").nth(0).locator(".figure")
    expect(figure).to_have_text("3003.42")
    expect(figure).to_have_attribute("title", "3003.420000000000012345")
    stage.prices(price(value="3001.9"))
    expect(figure).to_have_text("3001.90")
    expect(rows(page, "prices").nth(0).locator(".arrow")).to_have_text("▼")
    stage.prices(price(gone=True))
    expect(rows(page, "prices")).to_have_count(1)


def test_the_chart_draws_the_chosen_pair(stage: Stage, visit: Open) -> None:
    stage.prices(price(), price("uni", "3010.5"), price("dai", "1.0001", pair="DAI/USDC"))
    page = visit(f"{stage.url}/live")
    expect(page.locator("#plot canvas")).to_be_visible()
    expect(page.locator("#legend li")).to_have_text(["dai"])
    page.locator("#chart-pair").select_option("WETH/USDC")
    expect(page.locator("#legend li")).to_have_text(["aero-1", "uni"])
    assert "WETH/USDC" in (page.locator("#plot").get_attribute("aria-label") or "")
    drawn = page.evaluate("""() => {
        const canvas = document.querySelector('#plot canvas');
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return data.some((value) => value > 0);
    }""")
    assert drawn


def test_a_spread_pays_only_after_the_pools_fees(stage: Stage, visit: Open) -> None:
    page = visit(f"{stage.url}/live")
    stage.prices(price(value="3000"), price("uni", "3030"))
    expect(rows(page, "spreads").first).to_contain_text("1.000 %")
    expect(rows(page, "spreads").first).to_contain_text("fees unknown")
    module = f"/live/{VERSION}/prices.js"
    left = page.evaluate(
        """async ([module, items]) => {
        const { routes } = await import(module);
        const fees = new Map([['0xaero-1', 0.003], ['0xuni', 0.003]]);
        return routes(items, fees).map(({ buy, sell, left }) => [buy.pool, sell.pool, left]);
    }""",
        [module, [price(value="3000"), price("uni", "3030")]],
    )
    assert left == [["aero-1", "uni", pytest.approx(1.01 * 0.997 * 0.997 - 1)]]


def test_words_of_others_stay_words(stage: Stage, visit: Open) -> None:
    page = visit(f"{stage.url}/live")
    live(page)
    stage.prices(price(pool=EVIL, pair=EVIL))
    stage.event("errors", time=time.time(), kind="collector", name=EVIL, state="failing", message=EVIL)
    stage.event("alerts", **alert(EVIL))
    stage.event("trades", **trade(1, pair=EVIL, reason=EVIL))
    for section in ("prices", "errors", "alerts", "trades"):
        expect(page.locator(f"#{section}")).to_contain_text(EVIL)
    assert page.locator("img").count() == 0


def test_a_trade_shows_what_it_brought_and_whose_word_that_is(stage: Stage, visit: Open) -> None:
    page = visit(f"{stage.url}/live")
    live(page)
    stage.event("trades", **trade(1))
    stage.event("trades", **trade(2, outcome="failed", net_profit_eth="-0.5", source="chain"))
    expect(rows(page, "trades")).to_have_count(2)
    profit = rows(page, "trades").filter(has_text="memory bank").locator(".figure")
    expect(profit).to_have_text("+0.001234568")
    expect(profit).to_have_attribute("title", "0.001234567890123456")
    expect(rows(page, "trades").filter(has_text="memory bank").locator(".unverified")).to_be_visible()
    expect(rows(page, "trades").filter(has_text="chain").locator(".real")).to_be_visible()
    page.locator("select[name=outcome]").select_option("failed")
    stage.event("trades", **trade(3, outcome="success"))
    stage.event("trades", **trade(4, outcome="failed", pair="DAI/USDC"))
    expect(rows(page, "trades").filter(has_text="DAI/USDC")).to_have_count(1)
    assert rows(page, "trades").filter(has_text="success").count() == 0


def test_a_cut_line_shows_its_age_and_resumes_where_it_was(
    stage: Stage, visit: Open, picture: Callable[..., None]
) -> None:
    with Line(stage.port) as line:
        stage.prices(price())
        page = visit(f"{line.url}/live")
        live(page)
        stage.event("errors", time=1.0, kind="log", name="before", level="error", count=1)
        expect(page.locator("#errors")).to_contain_text("before")
        said = sent(page)
        line.cut()
        expect(page.locator("#stale")).to_be_visible()
        expect(page.locator("#stale")).to_contain_text("s old")
        expect(page.locator("body")).to_have_class("stale")
        assert page.locator("#prices td").first.evaluate("(cell) => getComputedStyle(cell).opacity") < "0.9"
        picture(page)
        stage.event("errors", time=2.0, kind="log", name="meanwhile", level="error", count=1)
        stage.prices(price(value="2950"))
        line.mend()
        live(page)
        expect(page.locator("#errors")).to_contain_text("meanwhile")
        expect(rows(page, "prices").first).to_contain_text("2950")
        expect(page.locator("#stale")).to_be_hidden()
        assert "missed" not in page.locator("#errors").inner_text()
        assert page.locator("#errors li").count() == 2
        (wish,) = [message for message in said if message["op"] == "subscribe"]
        assert wish["since"]["errors"] == 1
        assert wish["session"] == stage.hub.session


def test_a_silent_line_is_not_taken_for_a_quiet_market(stage: Stage, visit: Open) -> None:
    with Line(stage.port) as line:
        stage.prices(price())
        page = visit(f"{line.url}/live")
        live(page)
        line.hush()
        expect(page.locator("body")).to_have_class("stale", timeout=20_000)
        line.mend()
        live(page)


def test_another_run_of_the_exporter_is_taken_up(visit: Open) -> None:
    with Stage() as first:
        first.prices(price())
        first.event("errors", time=1.0, kind="log", name="of the first", level="error", count=1)
        page = visit(f"{first.url}/live")
        live(page)
        expect(rows(page, "prices")).to_have_count(1)
    expect(page.locator("#stale")).to_contain_text("The exporter was stopped")
    with Stage(port=first.port) as second:
        second.prices(price("other", "1.5"))
        second.event("errors", time=2.0, kind="log", name="of the second", level="error", count=1)
        live(page)
        expect(rows(page, "prices")).to_have_count(1)
        expect(rows(page, "prices").first).to_contain_text("other")
        told = page.locator("#errors .main")
        expect(told).to_have_text([
            "1 in the log of the second",
            "Some were missed while the connection was away.",
            "1 in the log of the first",
        ])  # fmt: skip


def test_where_there_are_users_it_comes_in_by_ticket(visit: Open) -> None:
    with Stage({"ops": HASH}) as stage:
        stage.prices(price())
        page = visit(f"{stage.url}/live", http_credentials={"username": "ops", "password": "right"})
        with page.expect_websocket() as socket:
            page.reload()
        live(page)
        assert "/ws?ticket=" in socket.value.url
        expect(rows(page, "prices")).to_have_count(1)


def test_nothing_configured_says_what_could_be(stage: Stage, visit: Open, picture: Callable[..., None]) -> None:
    page = visit(f"{stage.url}/live")
    live(page)
    for section, key in (
        ("prices", "chain.pools"), ("gas", "chain.endpoints"), ("portfolio", "chain.wallets"),
        ("stores", "bot.memory_bank"), ("alerts", "/api/v1/alerts"), ("opportunities", "bot.memory_bank"),
    ):  # fmt: skip
        expect(page.locator(f"#{section} .empty")).to_contain_text(key)
    for badge in page.locator(".mark.real").all():
        expect(badge).to_be_hidden()  # nothing is shown that could be real
    expect(page.locator("#chart")).to_be_hidden()
    picture(page)


def test_a_collector_that_fails_says_so_where_its_figures_would_be(stage: Stage, visit: Open) -> None:
    page = visit(f"{stage.url}/live")
    live(page)
    stage.call(
        stage.hub.state, "system", (), {"collectors": {"prices": {"success": False, "error": "no node answers"}}}
    )
    expect(page.locator("#prices .empty")).to_contain_text("prices cannot be read now: no node answers")
    expect(page.locator("#prices")).to_have_class(re.compile(r"\bfailing\b"))


def test_however_fast_news_come_it_draws_sixty_times_a_second_at_most(stage: Stage, visit: Open) -> None:
    page = visit(f"{stage.url}/live")
    live(page)
    page.evaluate("""() => {
        const figure = () => document.querySelector('#prices .figure');
        window.drawn = 0;
        new MutationObserver((changes) => { window.drawn += changes.some((c) => c.target === figure()); })
            .observe(document.querySelector('#prices'), { childList: true, subtree: true });
    }""")
    stage.prices(price())
    begin = time.monotonic()
    while time.monotonic() - begin < 2:
        for number in range(20):
            stage.call(stage.hub.state, "prices", ("WETH/USDC", "aero", "aero-1"), price(value=f"{number}.5"))
    stage.prices(price(value="4321.5"))
    expect(rows(page, "prices").first).to_contain_text("4321.50")
    assert page.evaluate("window.drawn") / (time.monotonic() - begin) <= 61


def test_frames_are_kept_to_sixty_on_faster_screens_too(stage: Stage, visit: Open) -> None:
    page = visit(f"{stage.url}/live")
    live(page)
    drawn = page.evaluate(
        """async (module) => {
        const asked = [];
        const given = window.requestAnimationFrame;
        window.requestAnimationFrame = (callback) => asked.push(callback);
        const { part, changed } = await import(module);
        let drawn = 0;
        part('a', () => { drawn += 1; });
        for (let time = 0; time < 1000; time += 1000 / 240) {
          changed('a');
          for (const callback of asked.splice(0)) callback(time);
        }
        window.requestAnimationFrame = given;
        return drawn;
    }""",
        f"/live/{VERSION}/frames.js?another",
    )
    assert 30 <= drawn <= 61


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("gwei('6000000')", "0.0060"),
        ("gwei('1234567')", "0.001234567"),
        ("gwei('123456789012345678901234567890')", "123456789012345678901.23456789"),
        ("gwei(null)", "–"),
        ("decimal('0.999999999999999999', 18)", "0.999999999999999999"),
        ("decimal('0.9999999', 6, 2)", "1.00"),
        ("decimal('-0.0000004', 6)", "0"),
        ("decimal('-1.5', 0)", "−2"),
        ("decimal('NaN', 2)", "–"),
        ("decimal(12, 2)", "–"),
        ("price('0.000000123456789')", "0.0000001234568"),
        ("price('12345678.9')", "12345678.90"),
        ("price('1.080956123')", "1.080956"),
        ("ether('0.1', true)", "+0.100000"),
        ("ether('-0.000000001')", "−0.000000001"),
        ("ether('0', true)", "0.000000"),
        ("shifted('5', 18)", "0.000000000000000005"),
        ("magnitude('123456789')", "1.23·10⁸"),
        ("magnitude('12345')", "12\u202f345"),
        ("bytes(1536)", "1.5 KiB"),
        ("ago(0.2)", "now"),
        ("ago(90)", "90 s ago"),
        ("ago(NaN)", "–"),
        ("percent(-0.0012)", "−0.120 %"),
        ("moment(NaN)", "–"),
    ],
)
def test_figures_as_people_read_them(figures: Page, call: str, shown: str) -> None:
    name = call.partition("(")[0]
    found = figures.evaluate(f"import('/live/{VERSION}/format.js').then(({{ {name} }}) => {call})")
    assert found == shown


@pytest.fixture(scope="module")
def figures(browser: Any) -> Iterator[Page]:
    with Stage() as stage:
        page = browser.new_page()
        page.goto(f"{stage.url}/live")
        yield page
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_everybody_can_use_it(stage: Stage, visit: Open, picture: Callable[..., None], width: int, scheme: str) -> None:
    """The rules of axe-core, over a page on which every part has something."""
    fill(stage)
    page = visit(f"{stage.url}/live", width, color_scheme=scheme, bypass_csp=True)
    live(page)
    stage.event("trades", **trade(1, outcome="failed", reason="slippage", net_profit_eth="-0.001"))
    stage.event("trades", **trade(2, source="chain", tx_hash="0x" + "ab" * 32))
    expect(rows(page, "trades")).to_have_count(2)
    expect(page.locator("#alerts li")).to_have_count(2)
    expect(page.locator("#plot canvas")).to_be_visible()
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]))")
    picture(page)
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for section in ("prices", "spreads", "trades", "opportunities", "portfolio", "stores", "health"):
        assert page.locator(f"#{section} .scroll").first.evaluate("(box) => box.scrollWidth - box.clientWidth") <= 1


def fill(stage: Stage) -> None:
    now = time.time()
    stage.prices(price(ts=now), price("uniswap-500", "3011.25", ts=now), price("dai", "1.000012", pair="DAI/USDC"))
    stage.call(stage.hub.state, "gas", (), {
        "base_fee_wei": "4015713", "next_base_fee_wei": "3519898", "block_used_ratio": 0.4,
        "priority_fee_wei": {"10": "1000000", "50": "1354752"}, "l1_base_fee_wei": "812345678",
        "l1_blob_base_fee_wei": "1", "head_block": 38123456, "finalized_block": 38123000,
    })  # fmt: skip
    for token, balance in (("ETH", "1.999986123456789012"), ("USDC", "1234567.891234")):
        item = {"wallet": "trader", "token": token, "balance": balance, "nonce": 7, "pending_transactions": 1}
        stage.call(stage.hub.state, "portfolio", ("trader", token), item)
    good, bad = {"success": True, "error": None}, {"success": False, "error": "no endpoint answers"}
    stage.call(stage.hub.state, "system", (), {
        "host": {"cpu_usage_ratio": 0.4, "memory_used_bytes": 2 << 30, "memory_total_bytes": 8 << 30},
        "process": {"up": True, "resident_memory_bytes": 90 << 20},
        "exporter": {"resident_bytes": 45 << 20, "ledger_degraded": False, "start_timestamp_seconds": now - 3600},
        "endpoints": {"primary": {"up": True, "active": True}, "public": {"up": False, "active": False}},
        "collectors": {"trades": good, "prices": good, "wallet": bad, "logs": {"success": None, "error": None}},
    })  # fmt: skip
    survey = {"files": 10_240, "bytes": 123_456_789, "last_write": now - 30, "truncated": False}
    stage.call(stage.hub.state, "memory_bank", ("trades",), {"directory": "trades"} | survey)
    faults = [{"kind": "trades", "reason": "not_json", "count": 3}]
    stage.call(stage.hub.state, "memory_bank", (".",), {"directory": ".", "up": True, "invalid_files": faults})
    stage.call(stage.hub.state, "storage", ("analytics",), {"store": "analytics", "up": True} | survey)
    for number in range(3):
        stage.event(
            "opportunities", id=number, source="memory_bank", seen=now - number, pair="WETH/USDC", dex_buy="aerodrome",
            dex_sell="uniswap", stage="detected", expected_profit_eth="0.00123",
        )  # fmt: skip
    stage.event("errors", time=now, kind="endpoint", name="public", state="failing", message=None)
    stage.event("errors", time=now, kind="log", name="arbitrage", level="error", count=2)
    stage.event("alerts", **alert())
    stage.event("alerts", **alert("ArbWalletLow", "resolved"))


NAMED = """[document.activeElement].map((e) => e.id || e.name || e.getAttribute('aria-label') || e.textContent)[0]"""


def test_the_keyboard_reaches_everything(stage: Stage, visit: Open) -> None:
    fill(stage)
    page = visit(f"{stage.url}/live")
    live(page)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate(NAMED))
    assert {
        "theme",
        "chart-pair",
        "source",
        "pair",
        "dex",
        "outcome",
        "since",
        "until",
        "csv",
        "Clear",
        "Trades",
    } <= seen
    page.locator("#theme").focus()
    for theme in ("dark", "light", "system"):
        page.keyboard.press("Enter")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)


def test_the_chosen_theme_is_kept(stage: Stage, visit: Open) -> None:
    page = visit(f"{stage.url}/live", color_scheme="light")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    page.reload()
    expect(page.locator("#theme")).to_have_text("theme: dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_without_the_chart_library_it_works_in_numbers(stage: Stage, visit: Open) -> None:
    stage.prices(price())
    page = visit(f"{stage.url}/live", without="**/vendor/*")
    live(page)
    expect(rows(page, "prices").first).to_contain_text("3003.42")
    expect(page.locator("#chart")).to_be_hidden()

"""The live page over the demo: a real chain, traders and a bot, seen by a real browser."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ROOT, Open
from tests.browser.stage import Line
from tests.running import free_port, until

PATIENCE = 90_000
"""Milliseconds: the bot trades when a chance comes."""


@pytest.fixture(scope="module")
def demo(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the demo's exporter."""
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    about, said = folder / "demo.json", folder / "said.txt"
    command = [sys.executable, "-m", "demo", f"--exporter-port={port}", "--without-prometheus", f"--json={about}"]
    with said.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, env=os.environ)
    try:
        until(lambda: about.exists() or process.poll() is not None, 120)
        assert process.poll() is None, said.read_text()
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.fixture
def page(demo: int, visit: Open) -> Page:
    opened = visit(f"http://127.0.0.1:{demo}/live", 1440)
    expect(opened.locator("#link-text")).to_have_text("live")
    return opened


def rows(page: Page, section: str) -> Any:
    return page.locator(f"#{section} .scroll tbody tr")


def test_prices_tick(page: Page, picture: Callable[..., None]) -> None:
    expect(rows(page, "prices")).to_have_count(6)
    before = page.locator("#prices .figure").all_inner_texts()
    page.wait_for_function(
        "(before) => [...document.querySelectorAll('#prices .figure')].some((f, i) => f.textContent !== before[i])",
        arg=before, timeout=PATIENCE,
    )  # fmt: skip
    expect(rows(page, "spreads")).to_have_count(3)
    for row in rows(page, "spreads").all():
        expect(row.locator(".mark")).to_have_text(re.compile("pays|no"))
    expect(page.locator("#gas-facts")).to_contain_text("gwei")
    expect(rows(page, "portfolio")).not_to_have_count(0)
    expect(rows(page, "stores")).not_to_have_count(0)
    expect(page.locator("#round-trip")).to_contain_text("ms")
    picture(page)


def test_a_trade_appears_by_itself(page: Page) -> None:
    expect(rows(page, "trades")).not_to_have_count(0, timeout=PATIENCE)
    page.wait_for_selector("#trades tr.fresh", timeout=PATIENCE)
    expect(rows(page, "trades").first.locator(".mark.below")).to_have_text("unverified")


def test_a_filter_pages_and_the_file_of_trades(page: Page, tmp_path: Path) -> None:
    expect(rows(page, "trades").nth(9)).to_be_visible(timeout=PATIENCE)
    page.locator("select[name=source]").select_option("memory_bank")
    page.locator("select[name=outcome]").select_option("success")
    expect(rows(page, "trades").filter(has_text="recent list")).to_have_count(0)
    expect(rows(page, "trades").filter(has_text="failed")).to_have_count(0)
    with page.expect_download() as download:
        page.locator("#csv").click()
    download.value.save_as(tmp_path / "trades.csv")
    head, *lines = (tmp_path / "trades.csv").read_text().splitlines()
    assert head.startswith("id,source,time,pair")
    assert lines
    assert all(line.split(",")[1] == "memory_bank" and line.split(",")[6] == "success" for line in lines)
    page.get_by_role("button", name="Clear").click()
    expect(rows(page, "trades").filter(has_text="recent list")).not_to_have_count(0)


def test_a_second_page_shows_other_trades(demo: int, page: Page) -> None:
    def count() -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{demo}/api/v1/trades?limit=100") as answer:
            return len(json.load(answer)["trades"])

    until(lambda: count() > 27, PATIENCE / 1000)
    page.reload()
    expect(rows(page, "trades")).to_have_count(25)
    page.locator("#older").click()
    expect(page.locator("#page")).to_contain_text("page 2")
    expect(page.locator("#newer")).to_be_enabled()
    page.locator("#newer").click()
    expect(page.locator("#page")).to_have_text("page 1")


def test_the_connection_is_cut_and_comes_back(demo: int, visit: Open) -> None:
    with Line(demo) as line:
        page = visit(f"{line.url}/live")
        expect(rows(page, "prices")).to_have_count(6)
        line.cut()
        expect(page.locator("#stale")).to_be_visible()
        line.mend()
        expect(page.locator("#link-text")).to_have_text("live")
        expect(page.locator("#stale")).to_be_hidden()
        expect(rows(page, "prices")).to_have_count(6)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(demo: int, visit: Open, picture: Callable[..., None], scheme: str) -> None:
    page = visit(f"http://127.0.0.1:{demo}/live", 360, 740, color_scheme=scheme, has_touch=True)
    expect(rows(page, "prices")).to_have_count(6)
    expect(rows(page, "trades")).not_to_have_count(0, timeout=PATIENCE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for section in ("prices", "spreads", "trades", "portfolio", "stores", "health"):
        assert page.locator(f"#{section} .scroll").first.evaluate("(box) => box.scrollWidth - box.clientWidth") <= 1
    picture(page)

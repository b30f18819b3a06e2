"""A real Chromium, pages in it that may not fail silently, and where their pictures go."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / ".screenshots"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

expect.set_options(timeout=60_000)  # in milliseconds; machines here are shared

type Open = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = [path for path in map(shutil.which, PROGRAMS) if path]
    if not found:
        assert "CI" not in os.environ, "no Chromium here: tools/setup.sh installs it as root on Debian and Ubuntu"
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found[0], args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Opens an address in a browser of its own; in the end nothing may have gone wrong in any of them."""
    contexts, wrong = [], []

    def opened(url: str, width: int = 1280, height: int = 900, without: str = "", **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if _matters(message) else None)
        origin = "/".join(url.split("/")[:3])
        page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith(origin) else None)
        if without:
            page.route(without, lambda route: route.abort())
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def _matters(message: Any) -> bool:
    """Errors; but that the network was away is what some tests are about, and the browser says so as well."""
    away = re.search(r"Failed to load resource|WebSocket connection to|net::ERR_", message.text)
    return message.type in ("error", "warning") and not away


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keeps a picture of a page among the run's artefacts."""

    def take(page: Page, name: str = "") -> None:
        PICTURES.mkdir(exist_ok=True)
        title = re.sub(r"[^\w-]+", "-", f"{request.node.name}-{name}").strip("-")
        page.screenshot(path=PICTURES / f"{title}.png", full_page=True)

    return take

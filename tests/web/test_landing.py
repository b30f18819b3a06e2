"""The landing page: complete, escaped, and allowed its style and nothing else."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from exporter import __version__
from exporter.board import Board
from exporter.web import landing
from exporter.web.server import ROUTES

EVIL = "<script>alert('x')</script>&\""


class Reader(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["style"] and not self.styles:
            self.styles.append(data)
        self.text += data


def board() -> Board:
    made = Board()
    for name in ("waiting", "good", "failing", EVIL):
        made.declare(name, 10.0)
    made.states["good"].success = True
    made.states["good"].duration = 0.0123
    made.states["failing"].success = False
    made.states["failing"].error = EVIL
    return made


def test_it_says_how_each_collector_fares_and_what_is_not_configured() -> None:
    shown = Reader(landing.page(board(), {"a": "set bot.memory_bank", "b": "set bot.memory_bank", "c": ""})).text
    assert f"arb-exporter {__version__}" in shown
    for words in ("not read yet", "works; the last read took 12.3 ms", f"fails: {EVIL}", "Not configured"):
        assert words in shown
    assert shown.count("set bot.memory_bank") == 1


def test_whatever_is_shown_is_escaped() -> None:
    page = landing.page(board(), {"a": EVIL})
    assert "<script" not in page
    assert "script" not in Reader(page).tags
    assert Reader(page).text.count(EVIL) == 3


def test_with_everything_configured_nothing_is_said_to_be_missing() -> None:
    assert "Not configured" not in landing.page(Board(), {})
    assert "Not configured" not in landing.page(Board(), {"a": ""})


def test_every_link_leads_to_a_route() -> None:
    assert set(Reader(landing.page(board(), {})).links) <= {*ROUTES, "/live"}


def test_the_policy_covers_exactly_the_style_of_the_page() -> None:
    page = landing.page(board(), {})
    (style,) = Reader(page).styles
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert re.findall(r"'sha256-([^']+)'", landing.POLICY) == [digest]
    assert page.count("<style") == 1
    assert "style=" not in page
    assert landing.POLICY.startswith("default-src 'none'; ")

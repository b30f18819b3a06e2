"""The live page as it is served: whole, from here only, under a strict policy, and kept as long as it may be."""

import gzip
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from exporter.board import Board
from exporter.web import live_page
from exporter.web.access import Access
from exporter.web.live_page import FILES, FOLDER, POLICY, VERSION
from exporter.web.site import Site
from tests.web.test_access import HASH, basic
from tests.web.test_server import Server, serving

OWN = sorted(path for path in FOLDER.iterdir() if path.suffix in live_page.TYPES)
SCRIPTS = [path for path in OWN if path.suffix == ".js"]
PAGE = FILES["index.html"].body.decode()


class Reader(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.fixture
async def served() -> AsyncIterator[Server]:
    async with serving(Site(Board(), Access({}, {}), loopback_only=True)) as made:
        yield made


async def test_the_page_comes_with_its_policy_and_is_asked_for_each_time(served: Server) -> None:
    status, headers, body = await served.get("/live")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body.decode() == PAGE
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    status, _, body = await served.get("/live", If_None_Match=headers["ETag"])
    assert (status, body) == (304, b"")


async def test_other_pages_keep_their_own_policy(served: Server) -> None:
    _, headers, _ = await served.get("/")
    assert headers["Content-Security-Policy"] != POLICY


@pytest.mark.parametrize("directive", POLICY.split("; "))
def test_the_policy_lets_nothing_in_from_elsewhere(directive: str) -> None:
    assert directive.split(" ", 1)[1] in ("'none'", "'self'", "'script'")
    assert "unsafe" not in directive


async def test_every_file_that_the_page_and_its_modules_name_is_there(served: Server) -> None:
    named = re.findall(r'(?:src|href)="(live/[^"]+)"', PAGE)
    assert len(named) == 4
    base = f"live/{VERSION}/"
    for path in SCRIPTS:
        named += [base + name for name in re.findall(r'from "\./([\w./]+)"', path.read_text())]
    for name in named:
        status, headers, _ = await served.get(f"/{name}")
        assert status == 200, name
        assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert headers["Content-Security-Policy"] == POLICY


@pytest.mark.parametrize("name", ["main.js", "live.css", "icon.svg"])
async def test_files_come_compressed_to_whoever_takes_that(served: Server, name: str) -> None:
    path = f"/live/{VERSION}/{name}"
    _, plain, body = await served.get(path)
    _, packed, small = await served.get(path, Accept_Encoding="br, gzip")
    assert gzip.decompress(small) == body == (FOLDER / name).read_bytes()
    assert packed["Content-Encoding"] == "gzip"
    assert plain["Content-Type"] == packed["Content-Type"] == live_page.TYPES[Path(name).suffix]
    assert "Content-Encoding" not in plain
    assert plain["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path", [f"/live/{VERSION}/no.js", f"/live/{VERSION}/../live_page.py", f"/live/{VERSION}/%2e%2e/live_page.py",
             "/live/0000000000000000/main.js", "/live/", f"/live/{VERSION}/"],
)  # fmt: skip
async def test_there_is_nothing_else(served: Server, path: str) -> None:
    status, _, body = await served.get(path)
    assert status == 404
    assert b'"error"' in body


async def test_where_there_are_users_only_those_who_may_listen_get_in() -> None:
    access = Access({"a": HASH, "b": HASH}, {"a": ("live",), "b": ("read",)})
    async with serving(Site(Board(), access, loopback_only=False)) as served:
        for path in ("/live", f"/live/{VERSION}/main.js"):
            assert (await served.get(path))[0] == 401
            assert (await served.get(path, Authorization=basic("a", "wrong")))[0] == 401
            assert (await served.get(path, Authorization=basic("b", "right")))[0] == 403
            assert (await served.get(path, Authorization=basic("a", "right")))[0] == 200


def test_the_page_holds_no_script_style_or_handler_of_its_own() -> None:
    page = Reader(PAGE)
    assert page.inline == []
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        for name in ("src", "href"):
            assert not re.match(r"[a-z]+:|//", attributes.get(name) or ""), "an external address"


def test_the_page_can_be_found_ones_way_in() -> None:
    tags = Reader(PAGE).tags
    assert tags[0] == ("html", {"lang": "en", "data-chart": "yes" if live_page.CHART in FILES else "no"})
    identities = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(set(identities)) == len(identities)
    for _, attributes in tags:
        for name in ("aria-labelledby", "for", "list"):
            assert attributes.get(name) in (None, *identities)
        if (target := attributes.get("href") or "").startswith("#"):
            assert target[1:] in identities


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_words_only_ever_become_text(path: Path) -> None:
    code = path.read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "cssText"):
        assert way not in code
    assert not re.search(r"https?://", code)
    assert len(code.splitlines()) <= 300


def test_without_the_chart_library_the_page_says_so(tmp_path: Path) -> None:
    for path in OWN:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    version, files = live_page.load(tmp_path)
    assert 'data-chart="no"' in files["index.html"].body.decode()
    assert f"live/{version}/main.js" in files["index.html"].body.decode()
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "uPlot.esm.js").write_text("export default 1;")
    other, files = live_page.load(tmp_path)
    assert other != version
    assert 'data-chart="yes"' in files["index.html"].body.decode()

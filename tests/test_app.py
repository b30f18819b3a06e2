"""The composition root: started, reloaded and ended in the test's own loop."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter import app, collectors
from exporter.app import Crew, Options, Unstartable
from exporter.board import Board
from exporter.collector import Collector, Follow, Poll
from exporter.config import Bot, Chain, Endpoint, Limits, Live, Loaded, Settings
from exporter.ledger import Ledger, fetch
from exporter.metrics import gauge
from exporter.settings import Secret
from exporter.web.access import HttpServer, WebConfig
from exporter.worker import Workers
from tests.fake_chain import configured, place
from tests.running import eventually, free_port

ONE = gauge("arb_one_up", "One.", "bot")
TWO = gauge("arb_two_up", "Two.")


def one_open(sources: Any) -> Poll:
    async def read() -> str:
        return str(sources.settings.bot.name)

    return Poll(read, every=0.01)


def two_open(sources: Any) -> Follow | None:
    async def stream() -> Any:
        yield 1
        await asyncio.Event().wait()

    return None if sources.settings.bot.memory_bank is None else Follow(stream)


FAKE = (
    Collector(name="one", metrics=(ONE,), open=one_open, render=lambda bot: iter([ONE.each([((bot,), 1)])]),
              timeout=10, max_age=10),
    Collector(name="two", metrics=(TWO,), open=two_open, render=lambda _: iter([TWO(1)]), timeout=10, max_age=10,
              unset="set bot.memory_bank"),
    Collector(name="never", metrics=(), open=lambda _: None, render=lambda _: iter([]), timeout=10, max_age=10),
)  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three collectors of the test's own in place of the product's."""
    monkeypatch.setattr(collectors, "ALL", FAKE)
    yield
    gc.unfreeze()


class Started:
    """An exporter in this loop."""

    def __init__(self, settings: Settings, **changes: Any) -> None:
        self.settings, self.loaded = settings, Loaded(settings)
        self.port = free_port()
        made = Options("127.0.0.1", self.port, WebConfig(), lambda: self.loaded, lambda: (self.options.web_config, []))
        self.options = replace(made, **changes)

    async def page(self, path: str = "/metrics") -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()

    async def shows_not(self, words: str) -> None:
        async with asyncio.timeout(20):
            while words in await self.page():  # noqa: ASYNC110  over the wire there is no event
                await asyncio.sleep(0.01)

    async def shows(self, words: str) -> None:
        async with asyncio.timeout(20):
            while words not in await self.page():  # noqa: ASYNC110  over the wire there is no event
                await asyncio.sleep(0.01)


@asynccontextmanager
async def started(settings: Settings, **changes: Any) -> AsyncIterator[Started]:
    made = Started(settings, **changes)
    task = asyncio.create_task(app.run(settings, made.options))
    try:
        async with asyncio.timeout(20):
            while not task.done():
                try:
                    await made.page()
                    break
                except OSError:
                    await asyncio.sleep(0.01)
        assert not task.done(), task
        yield made
        assert not task.done(), task
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 20)
    finally:
        task.cancel()
        await asyncio.wait([task])


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(state=folder / "state", **more)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    return [(r.getMessage(), getattr(r, "fields", {}).get("key")) for r in caplog.records]


async def test_collectors_are_opened_and_what_is_not_configured_is_said(tmp_path: Path) -> None:
    async with started(settings(tmp_path)) as found:
        await found.shows('arb_one_up{bot="default"} 1.0')
        assert "set bot.memory_bank" in await found.page("/")
        assert 'collector="two"' not in await found.page()


async def test_a_reload_replaces_only_what_depends_on_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "exporter")
    async with started(settings(tmp_path)) as found:
        await found.shows('bot="default"')
        found.loaded = Loaded(replace(found.settings, bot=Bot(name="new", memory_bank=tmp_path)))
        os.kill(os.getpid(), signal.SIGHUP)
        await found.shows("arb_two_up 1.0")
        await found.shows('arb_one_up{bot="new"} 1.0')
        assert "set bot.memory_bank" not in await found.page("/")
        found.loaded = Loaded(replace(found.settings, live=Live(max_clients=7)))
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: logged(caplog).count(("settings read anew", None)) == 2)
        assert 'collector="two"' not in await found.page()


async def test_what_needs_a_restart_is_said_and_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "exporter")
    async with started(settings(tmp_path)) as found:
        found.loaded = Loaded(replace(found.settings, state=tmp_path / "other", limits=Limits(series=300)))
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: ("settings read anew", None) in logged(caplog))
    later = "a changed setting takes effect after a restart"
    assert {key for words, key in logged(caplog) if words == later} == {"state", "limits.series"}
    assert not (tmp_path / "other").exists()


def chain(chain_id: int = 1, name: str = "node") -> Chain:
    url = Secret(f"http://127.0.0.1:{free_port()}/key")
    return Chain(chain_id=chain_id, endpoints=(Endpoint(name=name, http=url),))


async def test_a_chain_can_come_change_and_go_but_not_its_id(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "exporter.app")
    async with started(settings(tmp_path)) as found:
        changes: list[Chain | None] = [chain(1), chain(1, "other"), chain(2), None]
        for changed in changes:
            before = len(caplog.records)
            found.loaded = Loaded(replace(found.settings, chain=changed))
            os.kill(os.getpid(), signal.SIGHUP)
            await eventually(lambda before=before: len(caplog.records) > before)  # type: ignore[misc]
    assert [key for words, key in logged(caplog) if words.startswith("settings refused")] == ["chain.chain_id"]


async def test_the_head_is_followed_by_one_for_all_and_the_genesis_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(sources: Any) -> Poll | None:
        async def read() -> float:
            version = await sources.heads.changed(0)
            return float(sources.heads.newest.number + 1000 * sources.heads.reorgs if version else 0)

        return None if sources.heads is None else Poll(read, every=0.01)

    head = Collector(
        name="head", metrics=(TWO,), open=opened, render=lambda n: iter([TWO(n)]), timeout=10, max_age=10,
        uses=("chain",), unset="no chain",
    )  # fmt: skip
    monkeypatch.setattr(collectors, "ALL", (head,))
    async with place() as own:
        made = configured(own)
        async with started(settings(tmp_path, chain=made)) as found:
            await found.shows("arb_two_up 100.0")
            await own.mine()
            await found.shows("arb_two_up 101.0")
            own.chain.reorg(2, 1)
            await found.shows("arb_two_up 1102.0")
            found.loaded = Loaded(replace(found.settings, chain=replace(made, backfill_from=7)))
            os.kill(os.getpid(), signal.SIGHUP)
            await eventually(lambda: own.socket.connections == 2)
            await own.mine()
            await found.shows("arb_two_up 1103.0")  # a reload takes nothing back
            found.loaded = Loaded(replace(found.settings, chain=None))
            os.kill(os.getpid(), signal.SIGHUP)
            await found.shows_not("arb_two_up")
            await eventually(lambda: not own.socket.open)
        genesis = own.chain.blocks[0]["hash"]
    async with Ledger(tmp_path / "state") as ledger:
        rows = await ledger.read(lambda db: fetch(db, "SELECT chain_id, genesis FROM chain"))
    assert rows == [(made.chain_id, genesis)]


async def test_it_starts_and_ends_with_a_node_that_is_not_there(tmp_path: Path) -> None:
    async with started(settings(tmp_path, chain=chain())) as found:
        await found.shows('bot="default"')


async def test_a_state_in_use_or_unusable_is_said(tmp_path: Path) -> None:
    made = Started(settings(tmp_path))
    async with Ledger(tmp_path / "state"):
        with pytest.raises(Unstartable, match=r"^state: is used by another"):
            await app.run(made.settings, made.options)
    (tmp_path / "file").write_text("")
    with pytest.raises(Unstartable, match=r"^state: cannot be written"):
        await app.run(Settings(state=tmp_path / "file"), made.options)


async def test_an_address_that_cannot_be_had_is_said_and_the_state_left(tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    made = Started(settings(tmp_path), port=port)
    async with taken:
        with pytest.raises(Unstartable, match=f"^--web.listen-address: 127.0.0.1:{port} is taken by another program"):
            await app.run(made.settings, made.options)
    with pytest.raises(Unstartable, match="cannot be listened on"):
        await app.run(made.settings, replace(made.options, host="192.0.2.1"))
    async with Ledger(tmp_path / "state"):
        pass


async def test_headers_of_the_web_configuration_are_served(tmp_path: Path) -> None:
    web = WebConfig(http_server_config=HttpServer(headers={"X-Frame-Options": "SAMEORIGIN"}))
    async with started(settings(tmp_path), web_config=web) as found:
        assert "X-Frame-Options: SAMEORIGIN" in await found.page("/healthz")


async def test_first_reads_are_told_now_and_then_and_at_their_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "exporter")
    board = Board()
    crew = Crew(None, board, None, Workers(), None, None)  # type: ignore[arg-type]
    tell: Callable[[int, int], None] = crew._progress("one")
    for done in range(1, 100):
        tell(done, 100)
    assert board.progress == {"one": (99, 100)}
    tell(100, 100)
    assert board.progress == {}
    assert 1 <= len(caplog.records) <= 3
    tell(5, 100)
    await crew._end({"one"})
    assert board.progress == {}


def test_the_catalogue_names_every_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [name for name, _ in app.catalogue()] == ["scrape", "one", "two", "never"]


async def test_a_collector_that_cannot_be_opened_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ValueError("a third party's words")

    odd = replace(FAKE[2], name="odd", open=broken)
    monkeypatch.setattr(collectors, "ALL", (*FAKE, odd))
    async with started(settings(tmp_path)) as found:
        await found.shows('arb_one_up{bot="default"} 1.0')
        await found.shows('arb_scrape_collector_success{collector="odd"} 0.0')
        assert "third party" not in await found.page("/")

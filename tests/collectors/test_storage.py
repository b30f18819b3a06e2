"""Stores as samples; one that is missing or hangs costs only itself."""

import os
import threading
from pathlib import Path

import pytest

from exporter.collector import Poll, Sources
from exporter.collectors import storage
from exporter.collectors.storage import COLLECTOR, Watch
from exporter.config import Bot, Limits, Store
from exporter.sources import storage as source
from tests.running import eventually
from tests.sources_for_tests import settings, shown, sources


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "file").write_bytes(b"12345")
    os.utime(folder / "file", (1000, 1000))
    return folder


def opened(s: Sources) -> Poll:
    found = COLLECTOR.open(s)
    assert isinstance(found, Poll)
    return found


FACTS = {
    'arb_storage_up{store="one"}': 1,
    'arb_storage_bytes{store="one"}': 5,
    'arb_storage_files{store="one"}': 1,
    'arb_storage_last_write_timestamp_seconds{store="one"}': 1000,
    'arb_storage_truncated{store="one"}': 0,
}


async def test_every_figure(tmp_path: Path, store: Path) -> None:
    (tmp_path / "kept/20250324_105530").mkdir(parents=True)
    (tmp_path / "kept/19700101_000000").mkdir()
    (tmp_path / "none").mkdir()
    (tmp_path / "link").symlink_to(store)
    stores = (
        Store("one", store), Store("kept", tmp_path / "kept", True), Store("none", tmp_path / "none", True),
        Store("missing", tmp_path / "missing"), Store("linked", tmp_path / "link"), Store("file", store / "file", True),
        Store("itself", tmp_path / "itself"),
    )  # fmt: skip
    (tmp_path / "itself").symlink_to("itself")
    async with sources(settings(tmp_path, storage=stores, bot=Bot())) as s:
        found = shown(COLLECTOR, await opened(s).read())
    same = {key.replace("one", name): value for name in ("linked", "file") for key, value in FACTS.items()}
    empty = {
        f'arb_storage_{fact}{{store="{name}"}}': value
        for name in ("kept", "none")
        for fact, value in (("up", 1), ("bytes", 0), ("files", 0), ("truncated", 0))
    }
    assert found == FACTS | same | empty | {
        'arb_storage_backups{store="kept"}': 2,
        'arb_storage_backups{store="none"}': 0,
        'arb_storage_backup_last_timestamp_seconds{store="kept"}': 1742813730,
        'arb_storage_up{store="missing"}': 0,
        'arb_storage_up{store="itself"}': 0,
    }


async def test_growth_appears_with_the_second_look_and_a_truncated_store_has_none(tmp_path: Path, store: Path) -> None:
    now = [100.0]
    limits = Limits(store_files=3)
    async with sources(settings(tmp_path, storage=(Store("one", store),), limits=limits)) as s:
        watch = Watch(s.settings.storage[0], s, s.worker("x"), lambda: now[0])
        assert shown(COLLECTOR, await storage.read([watch])) == FACTS
        (store / "more").write_bytes(b"x" * 100)
        now[0] += storage.LEAST - 1
        assert shown(COLLECTOR, await storage.read([watch])) == FACTS, "not looked at again so soon"
        now[0] += 1
        found = shown(COLLECTOR, await storage.read([watch]))
        assert found['arb_storage_growth_bytes_per_second{store="one"}'] == 10
        for name in "abc":
            (store / name).touch()
        now[0] += storage.LEAST
        found = shown(COLLECTOR, await storage.read([watch]))
        assert found['arb_storage_truncated{store="one"}'] == 1
        assert 'arb_storage_growth_bytes_per_second{store="one"}' not in found


async def test_a_store_that_vanishes_and_comes_back(tmp_path: Path, store: Path) -> None:
    now = [100.0]
    async with sources(settings(tmp_path, storage=(Store("one", store),))) as s:
        watch = Watch(s.settings.storage[0], s, s.worker("x"), lambda: now[0])
        await storage.read([watch])
        store.rename(tmp_path / "away")
        now[0] += storage.LEAST
        assert shown(COLLECTOR, await storage.read([watch])) == {'arb_storage_up{store="one"}': 0}
        (tmp_path / "away").rename(store)
        assert shown(COLLECTOR, await storage.read([watch])) == FACTS


async def test_a_long_walk_is_shown_when_it_ends_and_repeated_by_its_length(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.01)
    begun, go, now, surveyed = threading.Event(), threading.Event(), [100.0], source.survey

    def slow(path: Path, limit: int) -> source.Survey:
        begun.set()
        assert go.wait(60)
        now[0] += 30
        return surveyed(path, limit)

    monkeypatch.setattr(source, "survey", slow)
    async with sources(settings(tmp_path, storage=(Store("one", store), Store("two", tmp_path / "missing")))) as s:
        watches = [Watch(store, s, s.worker(store.name), lambda: now[0]) for store in s.settings.storage]
        assert shown(COLLECTOR, await storage.read(watches[:1])) == {}
        assert shown(COLLECTOR, await storage.read(watches[:1])) == {}, "and it is not walked twice at a time"
        await eventually(begun.is_set)
        now[0] += storage.STUCK
        assert shown(COLLECTOR, await storage.read(watches[:1])) == {'arb_storage_up{store="one"}': 0}
        go.set()
        await eventually(lambda: watches[0].newest is not None and not watches[0].worker._running)
        monkeypatch.setattr(storage, "PATIENCE", 60.0)
        assert shown(COLLECTOR, await storage.read(watches)) == FACTS | {'arb_storage_up{store="two"}': 0}
        assert watches[0]._due >= 100 + storage.STUCK + 30 * (1 + storage.SHARE)


async def test_an_error_of_the_disk_is_a_store_that_is_down(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> source.Survey:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(source, "survey", fail)
    async with sources(settings(tmp_path, storage=(Store("one", store),))) as s:
        assert shown(COLLECTOR, await opened(s).read()) == {'arb_storage_up{store="one"}': 0}


async def test_a_mistake_of_ours_is_passed_on(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> source.Survey:
        raise KeyError

    monkeypatch.setattr(source, "survey", fail)
    async with sources(settings(tmp_path, storage=(Store("one", store),))) as s:
        with pytest.raises(KeyError):
            await opened(s).read()


async def test_without_stores_it_is_not_opened(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert COLLECTOR.open(s) is None

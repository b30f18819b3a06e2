import json
import os
import random
import shutil
from pathlib import Path

import pytest

from exporter.collector import Poll, Sources
from exporter.collectors import memory_bank
from exporter.config import Bot
from tests import bank
from tests.sources_for_tests import settings, shown, sources


@pytest.fixture
def made(tmp_path: Path) -> bank.Bank:
    made = bank.Bank(tmp_path / "bank")
    for directory in ("state", "metrics", ".backups/20250324_105530/state", ".backups/20250325_105530", "logs"):
        (made.path / directory).mkdir(parents=True)
    return made


def opened(s: Sources) -> Poll:
    found = memory_bank.COLLECTOR.open(s)
    assert isinstance(found, Poll)
    return found


async def test_every_figure_of_a_bank(made: bank.Bank, tmp_path: Path) -> None:
    trade = made.put(1743976596, bank.trade(random.Random(1)))
    (made.path / "state" / "state.json").write_text("{}")
    (made.path / "state" / "odd.json").write_text("{}")
    (made.path / ".backups/20250324_105530/state/state.json").write_text("{}")
    (made.path / "logs" / "x.log").write_text("12345")
    (made.path / "readme").write_text("123")
    (made.path / "link").symlink_to(tmp_path)
    for i, file in enumerate(sorted(p for p in made.path.rglob("*") if p.is_file() and not p.is_symlink())):
        os.utime(file, (1000 + i, 1000 + i))
    async with sources(settings(tmp_path, bot=Bot(name="b", memory_bank=made.path))) as s:
        found = shown(memory_bank.COLLECTOR, await opened(s).read())
    assert found['arb_memory_bank_up{bot="b"}'] == 1
    assert {k.split('"')[3]: v for k, v in found.items() if k.startswith("arb_memory_bank_files")} == {
        "trades": 1, "state": 2, "metrics": 0, ".backups": 1, "other": 2,
    }  # fmt: skip
    assert found['arb_memory_bank_bytes{bot="b",directory="trades"}'] == trade.stat().st_size
    assert found['arb_memory_bank_bytes{bot="b",directory="other"}'] == 8
    assert found['arb_memory_bank_last_write_timestamp_seconds{bot="b",directory="other"}'] == 1002
    assert found['arb_memory_bank_backups{bot="b"}'] == 2
    assert found['arb_memory_bank_document_valid{bot="b",directory="state",document="state"}'] == 1
    assert found['arb_memory_bank_document_valid{bot="b",directory="state",document="other"}'] == 1
    assert 'arb_memory_bank_last_write_timestamp_seconds{bot="b",directory="metrics"}' not in found


async def test_a_missing_bank_is_down_and_comes_back(made: bank.Bank, tmp_path: Path) -> None:
    async with sources(settings(tmp_path, bot=Bot(name="b", memory_bank=made.path))) as s:
        poll = opened(s)
        made.path.rename(tmp_path / "away")
        assert shown(memory_bank.COLLECTOR, await poll.read()) == {'arb_memory_bank_up{bot="b"}': 0}
        (tmp_path / "away").rename(made.path)
        assert shown(memory_bank.COLLECTOR, await poll.read())['arb_memory_bank_up{bot="b"}'] == 1


async def test_invalid_documents_are_counted_once_and_stay_counted(made: bank.Bank, tmp_path: Path) -> None:
    (made.path / "metrics" / "performance.json").write_text("{")
    async with sources(settings(tmp_path, bot=Bot(name="b", memory_bank=made.path))) as s:
        poll = opened(s)
        writing = shown(memory_bank.COLLECTOR, await poll.read())
        assert 'arb_memory_bank_document_valid{bot="b",directory="metrics",document="performance"}' not in writing
        poll.read.__self__.documents._broken._seconds = 0  # type: ignore[union-attr]
        for _ in range(3):
            found = shown(memory_bank.COLLECTOR, await poll.read())
            assert found['arb_memory_bank_document_valid{bot="b",directory="metrics",document="performance"}'] == 0
            assert found['arb_memory_bank_invalid_files_total{bot="b",kind="metrics",reason="json"}'] == 1
        shutil.rmtree(made.path)
        gone = shown(memory_bank.COLLECTOR, await poll.read())
        assert gone['arb_memory_bank_invalid_files_total{bot="b",kind="metrics",reason="json"}'] == 1


async def test_a_survey_is_not_repeated_before_it_is_due(made: bank.Bank, tmp_path: Path) -> None:
    async with sources(settings(tmp_path, bot=Bot(name="b", memory_bank=made.path))) as s:
        poll = opened(s)
        await poll.read()
        poll.read.__self__._due = 1e12  # type: ignore[union-attr]
        made.put(1743976596, json.loads("{}"))
        assert shown(memory_bank.COLLECTOR, await poll.read())['arb_memory_bank_files{bot="b",directory="trades"}'] == 0


async def test_a_bank_that_is_not_configured_is_not_read(tmp_path: Path) -> None:
    async with sources(settings(tmp_path)) as s:
        assert memory_bank.COLLECTOR.open(s) is None


def test_what_vanishes_during_a_look_costs_only_itself(made: bank.Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    real = memory_bank.survey

    def gone(path: Path, limit: int) -> object:
        if path.name == "state":
            raise FileNotFoundError
        return real(path, limit)

    monkeypatch.setattr(memory_bank, "survey", gone)
    found, backups = memory_bank.look(made.path, 1000)
    assert (set(found), backups) == ({"trades", "metrics", ".backups", "other"}, 2)

import json
import os
import random
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.sources import memory_bank
from exporter.sources.memory_bank import Bank, Batch, Missing
from tests import bank


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(tmp_path: Path) -> bank.Bank:
    return bank.Bank(tmp_path / "bank")


@pytest.fixture
def reader(made: bank.Bank, clock: Clock) -> Bank:
    return Bank(made.path, ZoneInfo("UTC"), 4 << 20, clock)


def take(reader: Bank) -> Batch:
    """One look, kept."""
    batch = reader.read(reader.changed())
    reader.keep(batch)
    return batch


def take_recent(reader: Bank) -> Batch | None:
    """All that is new in the list, in one batch, kept."""
    recent = reader.recent(1_000)
    if recent is None:
        return None
    (batch,) = recent.batches
    reader.keep(batch)
    return batch


def test_a_file_is_reported_once_and_again_when_written_anew(made: bank.Bank, reader: Bank, clock: Clock) -> None:
    rng = random.Random(1)
    file = made.put(bank.FIRST_EPOCH, bank.trade(rng))
    assert len(take(reader).trades) == 1
    assert take(reader).empty
    file.write_text(json.dumps(bank.trade(rng)))
    os.utime(file, ns=(1, 1))
    clock.now += 60
    assert len(take(reader).trades) == 1
    made.put(bank.FIRST_EPOCH + 1, bank.trade(rng))
    assert len(take(reader).trades) == 1


def test_what_was_not_kept_is_reported_again(made: bank.Bank, reader: Bank) -> None:
    made.put(bank.FIRST_EPOCH, bank.trade(random.Random(1)))
    assert len(reader.read(reader.changed()).trades) == 1
    assert len(reader.read(reader.changed()).trades) == 1


def test_all_shapes_are_told_apart(made: bank.Bank, reader: Bank) -> None:
    rng = random.Random(2)
    made.put(bank.FIRST_EPOCH, bank.trade(rng))
    made.put(bank.FIRST_EPOCH + 1, bank.opportunity(rng, "op"))
    made.put(bank.FIRST_EPOCH + 2, bank.execution(rng, "ex", "op"))
    (made.trades / "sample_trade_1.json").write_text('{"profit": 1}')
    (made.trades / "notes.json").write_text('{"hello": 1}')
    (made.trades / ".hidden.json").write_text("{")
    (made.trades / "trade_1.json.tmp").write_text("{")
    made.put_recent([bank.row(rng)])
    batch = take(reader)
    assert [len(x) for x in (batch.trades, batch.opportunities, batch.executions, batch.faults)] == [1, 1, 1, 0]


def test_a_broken_file_is_a_fault_only_after_it_settled_and_only_once(
    made: bank.Bank, reader: Bank, clock: Clock
) -> None:
    file = made.trades / "trade_1743394526.json"
    file.write_bytes(b'{"opportunity": {')
    assert take(reader).empty
    clock.now += memory_bank.SETTLE - 0.5
    assert take(reader).empty
    clock.now += 1
    assert [(f.kind, f.reason) for f in take(reader).faults] == [("trade", "json")]
    assert take(reader).empty
    file.write_text(json.dumps(bank.trade(random.Random(1))))
    clock.now += 60
    assert len(take(reader).trades) == 1


def test_a_file_that_grows_whole_in_time_is_no_fault(made: bank.Bank, reader: Bank, clock: Clock) -> None:
    file = made.trades / "trade_1743394526.json"
    file.write_bytes(b"")
    assert take(reader).empty
    file.write_text(json.dumps(bank.trade(random.Random(1))))
    clock.now += 60
    batch = take(reader)
    assert (len(batch.trades), batch.faults) == (1, [])


def test_a_broken_file_that_is_removed_is_forgotten(made: bank.Bank, reader: Bank, clock: Clock) -> None:
    file = made.trades / "trade_1743394526.json"
    file.write_bytes(b"")
    assert take(reader).empty
    file.unlink()
    clock.now += 60
    assert take(reader).empty
    assert reader.changed() == []


def test_a_link_out_of_the_bank_is_a_fault(made: bank.Bank, reader: Bank, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text(json.dumps(bank.trade(random.Random(1))))
    (made.trades / "trade_1743394526.json").symlink_to(tmp_path / "outside.json")
    take(reader)
    clock.now += 60
    batch = take(reader)
    assert (batch.trades, [f.reason for f in batch.faults]) == ([], ["symlink"])


def test_a_file_that_vanishes_between_look_and_read_is_nothing(made: bank.Bank, reader: Bank) -> None:
    file = made.put(bank.FIRST_EPOCH, bank.trade(random.Random(1)))
    names = reader.changed()
    file.unlink()
    assert reader.read(names).empty


def test_no_bank_is_an_error_and_a_bank_without_trades_is_empty(tmp_path: Path, reader: Bank, made: bank.Bank) -> None:
    made.trades.rmdir()
    assert take(reader).empty
    assert reader.recent(1) is None
    shutil.rmtree(made.path)
    for call in (reader.changed, lambda: reader.recent(1), lambda: reader.read([])):
        with pytest.raises(Missing):
            call()
    made.path.write_text("a file")
    with pytest.raises(Missing):
        reader.changed()


def test_between_sweeps_only_names_are_looked_at(made: bank.Bank, reader: Bank, clock: Clock) -> None:
    rng = random.Random(1)
    take(reader)
    reader._next_sweep = clock.now + 1e9
    made.put(bank.FIRST_EPOCH, bank.trade(rng))
    assert len(take(reader).trades) == 1
    os.utime(made.trades, ns=(1, 1))
    take(reader)
    assert reader.changed() == []
    (made.trades / "trade_1743394527.json").write_text("{")
    take(reader)
    os.utime(made.trades, ns=(2, 2))
    take(reader)
    assert reader.changed() == ["trade_1743394527.json"]


@pytest.mark.parametrize("style", bank.STYLES)
def test_the_recent_list_is_read_in_every_style(made: bank.Bank, reader: Bank, style: str) -> None:
    rng = random.Random(3)
    rows = [bank.row(rng) for _ in range(5)]
    made.put_recent(rows, style)
    batch = take_recent(reader)
    assert batch is not None
    assert (len(batch.trades), batch.complete, batch.source) == (5, True, "recent")
    assert take_recent(reader) is None
    made.put_recent([bank.row(rng), *rows[:2]], style)
    shorter = take_recent(reader)
    assert shorter is not None
    assert (len(shorter.trades), shorter.complete) == (1, True)


@pytest.mark.parametrize("style", bank.STYLES)
def test_a_list_whose_time_goes_back_is_read_and_each_row_counts_once(made: bank.Bank, style: str) -> None:
    """As when a copy is put back, or a clock is set: the rows count, not when the file says that it was written."""
    rows = [bank.row(random.Random(n)) for n in range(9)]
    reader, keys = Bank(made.path, ZoneInfo("UTC"), 4 << 20), set()
    for past, (kept, new) in enumerate([(rows[:3], 3), (rows[:8], 5), (rows[2:4], 0), (rows[8:], 1), (rows, 8)]):
        made.put_recent(kept, style)
        written_at(made.recent, EPOCH_NS - past * HOUR_NS)
        batch = take_recent(reader)
        assert batch is not None
        assert len(batch.trades) == new
        keys |= {trade.key for trade in batch.trades}  # by which those that were there before are known again
        assert take_recent(reader) is None
    assert len(keys) == 9


def test_files_whose_time_goes_back_are_read_and_each_counts_once(
    made: bank.Bank, reader: Bank, clock: Clock, tmp_path: Path
) -> None:
    trades, keys = [bank.trade(random.Random(n)) for n in range(9)], []
    for past, (number, found) in enumerate([(0, 1), (0, 3), (1, 4), (0, 6), (0, 8), (2, 9)]):
        copy = tmp_path / "copy"
        copy.write_text(json.dumps(trades[found - 1]))
        written_at(copy, EPOCH_NS - past * HOUR_NS)
        copy.replace(made.trades / f"trade_{bank.FIRST_EPOCH + number}.json")
        written_at(made.trades, EPOCH_NS - past * HOUR_NS)
        clock.now += 60
        keys += [trade.key for trade in take(reader).trades]
        assert take(reader).empty
    assert len(keys) == len(set(keys)) == 6


def test_a_new_file_is_found_at_once_though_the_times_go_back(made: bank.Bank, reader: Bank, clock: Clock) -> None:
    clock.now += 60
    take(reader)
    reader._next_sweep = clock.now + 1_000  # until then names alone are looked at
    for past in range(4):
        file = made.put(bank.FIRST_EPOCH - past, bank.trade(random.Random(past)))
        for path in (file, made.trades):
            written_at(path, EPOCH_NS - past * HOUR_NS)
        names = reader.changed()
        assert names == [file.name]
        reader.keep(reader.read(names))


EPOCH_NS, HOUR_NS = 1_700_000_000 * 10**9, 3_600 * 10**9


def written_at(path: Path, ns: int) -> None:
    os.utime(path, ns=(ns, ns))


def test_identical_rows_count_by_multiplicity_and_in_any_order(made: bank.Bank, reader: Bank) -> None:
    rng = random.Random(4)
    twin, other = bank.row(rng), bank.row(rng)
    made.put_recent([twin, other, twin])
    first = take_recent(reader)
    made.put_recent([other, twin, twin])
    second = take_recent(reader)
    third = take_recent(Bank(made.path, ZoneInfo("UTC"), 4 << 20))
    assert first is not None
    assert second is not None
    assert third is not None
    assert len({trade.key for trade in first.trades}) == 3
    assert second.trades == []
    assert {trade.key for trade in first.trades} == {trade.key for trade in third.trades}


def test_a_long_list_comes_in_batches_of_which_the_last_makes_it_known(made: bank.Bank, reader: Bank) -> None:
    made.put_recent([bank.row(random.Random(n)) for n in range(7)])
    for _ in range(2):  # as long as the last has not been kept, all come again
        recent = reader.recent(3)
        assert recent is not None
        batches = list(recent.batches)
        assert [(len(b.trades), b.complete) for b in batches] == [(3, False), (3, False), (1, True)]
        for batch in batches[:-1]:
            reader.keep(batch)
    reader.keep(batches[-1])
    assert reader.recent(3) is None


def test_rows_with_a_name_count_once_however_often_they_stand_there(made: bank.Bank, reader: Bank) -> None:
    named = bank.row(random.Random(5), tx_hash="0x" + "1" * 64)
    made.put_recent([named, named])
    batch = take_recent(reader)
    assert batch is not None
    assert len({trade.key for trade in batch.trades}) == 1


def test_a_bad_row_costs_only_itself(made: bank.Bank, reader: Bank) -> None:
    good = bank.row(random.Random(6))
    made.put_recent([good, {"profit": "much"}, "row", good | {"profit": "0.1"}])
    batch = take_recent(reader)
    assert batch is not None
    assert (len(batch.trades), [f.reason for f in batch.faults]) == (1, ["shape", "shape", "number"])


def test_a_broken_recent_list_keeps_what_was_and_settles_as_a_fault(
    made: bank.Bank, reader: Bank, clock: Clock
) -> None:
    made.put_recent([bank.row(random.Random(7))])
    take_recent(reader)
    bank.write_mapped(made.recent, b'{"trades": [')
    assert take_recent(reader) is None
    take(reader)  # a sweep must not make it young again
    clock.now += 60
    broken = take_recent(reader)
    assert broken is not None
    assert ([f.reason for f in broken.faults], broken.complete) == (["json"], False)
    assert take_recent(reader) is None
    made.recent.unlink()
    assert take_recent(reader) is None
    made.recent.mkdir()
    assert take_recent(reader) is None
    clock.now += 60
    odd = take_recent(reader)
    assert odd is not None
    assert [f.reason for f in odd.faults] == ["not_regular"]

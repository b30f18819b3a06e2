import json
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter import books, event_books, event_totals, fault_books, ledger
from exporter.config import Bot, Limits, Settings
from exporter.event_totals import Word
from exporter.slots import KINDS
from exporter.sources import event_records
from exporter.sources.event_records import Event
from exporter.sources.reasons import REJECTIONS
from tests.bot_events import NOW, document, event
from tests.event_model import WEI, Model
from tests.tiers import lives

PLAIN = Settings(state=Path("unused"), bot=Bot(name="b"), limits=Limits(series=10_000))


def database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript("".join(ledger.VERSIONS))
    return db


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = database()
    yield connection
    connection.close()


def count(db: sqlite3.Connection, *events: Event, made: Settings = PLAIN, now: float = NOW) -> int:
    return event_books.count(db, made, events, now)


def total(db: sqlite3.Connection, what: str) -> dict[tuple[str, str], int]:
    return event_totals.totals(db, "b", (what,)).get(what, {})


def test_a_trade_is_in_the_books_as_its_event_told_it(db: sqlite3.Connection) -> None:
    tx_hash = "0x" + "aB" * 32
    count(db, event("trade", "1", tx_hash=tx_hash, outcome="failed", reason="Slippage exceeded", net_profit_eth="-0.5"))
    (row,) = db.execute("SELECT source, pair, outcome, reason, net_wei, gas_wei, expected_wei, tx_hash FROM trade")
    assert row == ("events", "WETH/USDC", "failed", "slippage", str(-WEI // 2), str(WEI // 16), None, tx_hash.lower())
    source = books.read(db, "b").sources["events"]
    assert (source.first_read, source.last_trade, source.failures) == (True, NOW, {"slippage": 1})
    assert (source.peak_wei, source.below_wei) == (0, WEI // 2)


def test_the_same_transaction_under_another_id_counts_once_and_told_differently_is_a_conflict(
    db: sqlite3.Connection,
) -> None:
    first = event("trade", "1", tx_hash="0x" + "11" * 32, strategy="s")
    assert count(db, first, replace(first, id="2")) == 0
    assert count(db, event("trade", "3", tx_hash="0x" + "11" * 32, net_profit_eth="9")) == 1
    assert total(db, "strategy_trades") == {("s", "success"): 1}
    assert fault_books.totals(db, "b") == {}, "the faults of the bank are not those of events"


def test_before_a_first_read_is_complete_nothing_is_said_to_be(db: sqlite3.Connection) -> None:
    event_books.count(db, PLAIN, [event("trade", "1")], NOW, complete=False)
    assert books.complete(db, "b") == frozenset()
    event_books.count(db, PLAIN, [], NOW)
    assert books.complete(db, "b") == {"events"}


@pytest.mark.parametrize("trade_first", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_a_trade_expects_what_its_opportunity_promised(
    db: sqlite3.Connection, trade_first: bool, together: bool
) -> None:
    chance = event("opportunity", "o", expected_profit_eth="0.125")
    trade = event("trade", "t", opportunity_id="o")
    told = [trade, chance] if trade_first else [chance, trade]
    for batch in [told] if together else [[each] for each in told]:
        count(db, *batch)
    (route,) = books.read(db, "b").sources["events"].routes.values()
    assert (route.expected_wei, route.success) == (WEI // 8, 1)
    assert db.execute("SELECT expected_wei FROM trade").fetchall() == [(str(WEI // 8),)]
    assert db.execute("SELECT count(*) FROM awaited").fetchone() == (0,)


def test_an_opportunity_that_promises_nothing_ends_no_waiting_of_its_later_stages(db: sqlite3.Connection) -> None:
    count(db, event("opportunity", "o"), event("trade", "t", opportunity_id="o"))
    assert db.execute("SELECT count(*) FROM awaited").fetchone() == (0,)
    (route,) = books.read(db, "b").sources["events"].routes.values()
    assert route.expected_wei == 0


def test_stages_reasons_hours_of_the_bots_own_day_and_what_was_missed(db: sqlite3.Connection) -> None:
    new_york = replace(PLAIN, bot=Bot(name="b", timezone=ZoneInfo("America/New_York")))
    noon_utc = 1_750_075_200.0
    count(
        db,
        event("opportunity", "1", time=noon_utc, expected_profit_eth="0.5"),
        event(
            "opportunity", "2", time=noon_utc, stage="rejected", reason="Gas price too high", expected_profit_eth="1"
        ),
        event("opportunity", "3", time=noon_utc, stage="missed", reason="timeout", expected_profit_eth="-1"),
        event("opportunity", "4", time=noon_utc, stage="executed"),
        made=new_york,
    )
    assert total(db, "hours") == {("08", ""): 1}
    assert total(db, "rejections") == {("gas_too_high", ""): 1}
    assert total(db, "stage_expected_wei") == {
        ("detected", ""): WEI // 2, ("rejected", ""): WEI, ("missed", ""): 0, ("executed", ""): 0,
    }  # fmt: skip
    rows = db.execute("SELECT id, stage, reason FROM opportunity ORDER BY seq").fetchall()
    assert rows[1:3] == [("2", "rejected", "gas_too_high"), ("3", "missed", "timeout")]


def test_running_totals_of_a_cache_go_on_when_the_bot_begins_anew(db: sqlite3.Connection) -> None:
    for number, (hits, misses) in enumerate([(100, 10), (150, 10), (5, 12), (6, 13)]):
        count(db, event("cache", str(number), time=NOW - 9 + number, hits=hits, misses=misses))
    assert total(db, "cache_hits") == {("quotes", ""): 156}
    assert total(db, "cache_misses") == {("quotes", ""): 23}
    count(db, event("cache", "late", time=NOW - 8.5, hits=120, misses=10))
    assert total(db, "cache_hits") == {("quotes", ""): 156}, "what was said before the last word is in it"


def test_the_last_word_is_the_newest_and_none_is_from_the_future(db: sqlite3.Connection) -> None:
    count(db, event("component", "1", time=NOW + 9_999, status="ok"), event("component", "2", time=NOW, status="down"))
    assert event_totals.words(db, "b") == (Word("component", "scanner", (), NOW, ("down",)),)
    count(db, event("component", "3", time=NOW - 1, status="ok"))
    assert event_totals.words(db, "b")[0].values == ("down",)


def test_what_is_only_needed_to_join_is_forgotten(db: sqlite3.Connection) -> None:
    count(db, event("opportunity", "old"), event("trade", "1", opportunity_id="never"), now=NOW - 100)
    count(db, event("opportunity", "new"), event("trade", "2", opportunity_id="later"))
    db.execute("INSERT INTO opportunity (bot, source, id, digest, pair, dex_buy, dex_sell, seen)"
               " VALUES ('b', 'memory_bank', 'bank', x'00', '', '', '', 0)")  # fmt: skip
    event_books.forget(db, PLAIN, NOW - 50, 10)
    assert {id_ for (id_,) in db.execute("SELECT id FROM opportunity")} == {"new", "bank"}
    assert db.execute("SELECT opportunity FROM awaited").fetchall() == [("later",)]
    assert sum(books.opportunities(db, "b").values()) == 2


def test_no_more_is_forgotten_at_once_than_asked(db: sqlite3.Connection) -> None:
    for n in range(5):
        count(db, event("opportunity", f"o{n}"), event("trade", f"t{n}", opportunity_id=f"never{n}"), now=NOW - 100 + n)
    event_books.forget(db, PLAIN, NOW, 2)
    assert [key for (key,) in db.execute("SELECT id FROM opportunity ORDER BY id")] == ["o2", "o3", "o4"]
    assert db.execute("SELECT count(*) FROM awaited").fetchone() == (3,)
    event_books.forget(db, PLAIN, NOW, 9)
    assert db.execute("SELECT (SELECT count(*) FROM opportunity), (SELECT count(*) FROM awaited)").fetchone() == (0, 0)


# --- any events, in any order and any batches, again and again, with crashes in between ----------------------------

MOST = {kind: slot.most for kind, slot in KINDS.items()} | {"route of trade": 3, "route of opportunity": 3}
amounts = st.decimals(-2, 2, places=18).map(str)
costs = st.decimals(0, 2, places=18).map(str)
names = st.integers(0, 23).map(lambda number: f"n{number}")
moments = st.integers(0, 400).map(lambda quarters: NOW - 200 + quarters / 4)


def of(kind: str, optional: dict[str, st.SearchStrategy[Any]], **required: st.SearchStrategy[Any]) -> Any:
    fields = st.fixed_dictionaries({"time": moments, **required}, optional=optional)
    numbers = st.integers(0, 60)
    return st.tuples(numbers, fields).map(lambda made: document(kind, f"{kind}{made[0]}", **made[1]))


routes = {"pair": st.sampled_from(["WETH/USDC", "cbETH/WETH"]), "dex_buy": names, "dex_sell": names}
outcomes = st.sampled_from(["success", "failed"])
EVENTS = st.one_of(
    of(
        "opportunity", {"expected_profit_eth": amounts, "reason": st.sampled_from(REJECTIONS)},
        stage=st.sampled_from(event_records.STAGES), **routes,
    ),
    of(
        "trade",
        {
            "tx_hash": st.integers(0, 9).map(lambda number: "0x" + f"{number:064x}"), "strategy": names,
            "opportunity_id": st.integers(0, 60).map(lambda number: f"opportunity{number}"), "l1_fee_eth": costs,
            "flash_loan_fee_eth": costs, "dex_fee_eth": costs, "amount_eth": costs,
            "slippage_ratio": st.sampled_from(["-0.5", "0", "0.0001", "0.00011", "0.002", "0.1", "1"]),
            "gas_used": st.integers(0, 10**6), "path_length": st.integers(1, 9), "discovered_at": moments,
            "submitted_at": moments, "included_at": moments,
        },
        outcome=outcomes, net_profit_eth=amounts, gas_fee_eth=costs, **routes,
    ),
    of("flash_loan", {"fee_eth": costs}, provider=names, outcome=outcomes, amount=costs,
       token=st.sampled_from(["WETH", "USDC", "DAI"])),
    of("bundle", {}, relay=names, outcome=st.sampled_from(event_records.BUNDLE_OUTCOMES)),
    of("component", {}, name=names, status=st.sampled_from(event_records.STATUSES)),
    of("cache", {}, name=names, hits=st.integers(0, 50), misses=st.integers(0, 50)),
)  # fmt: skip


class Counted(RuleBasedStateMachine):
    """The ledger's books against the plain model, over transactions of which some are lost."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.db = self.opened()
        self.db.executescript("".join(ledger.VERSIONS))
        self.model = Model(MOST)
        self.conflicts = 0
        self.settings = replace(PLAIN, limits=Limits(series=10_000, routes_per_source=MOST["route of trade"]))
        self.before: dict[tuple[str, ...], int] = {}

    @rule(events=st.lists(EVENTS, max_size=25))
    def tell(self, events: list[dict[str, Any]]) -> None:
        new = self.model.take(events)
        self.db.execute("BEGIN")
        self.conflicts += event_books.count(self.db, self.settings, self.parsed(new), NOW)
        self.db.execute("COMMIT")

    def opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(Path(self.folder.name) / "ledger", isolation_level=None)
        db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF")
        return db

    @rule(half=st.lists(EVENTS, max_size=5))
    def restart(self, half: list[dict[str, Any]]) -> None:
        """The exporter ends in the middle of a transaction, and begins anew."""
        self.db.execute("BEGIN")
        new = {e["id"]: e for e in half if e["id"] not in self.model.ids}
        event_books.count(self.db, self.settings, self.parsed(list(new.values())), NOW)
        self.db.close()
        self.db = self.opened()

    @staticmethod
    def parsed(events: list[dict[str, Any]]) -> list[Event]:
        return [event_records.parse(json.loads(json.dumps(each), parse_float=Decimal)) for each in events]

    def counts(self, what: str, *before: str) -> dict[tuple[str, ...], int]:
        return {(*before, *filter(None, key)): amount for key, amount in total(self.db, what).items() if amount}

    def wanted(self, kind: str) -> dict[tuple[str, ...], int]:
        return {key: count for key, count in self.model.counts.items() if key[0] == kind and count}

    def summed(self, what: str) -> dict[str, Fraction]:
        return {name: Fraction(amount, WEI) for (name, _), amount in total(self.db, what).items() if amount}

    def sums(self, kind: str) -> dict[str, Fraction]:
        return {key[1]: amount for key, amount in self.model.sums.items() if key[0] == kind and amount}

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        for what, kind in (
            ("strategy_trades", "strategy"), ("path_trades", "path"), ("loans", "loan"), ("bundles", "bundle"),
            ("rejections", "rejection"), ("hours", "hour"), ("cache_hits", "hits"), ("cache_misses", "misses"),
        ):  # fmt: skip
            assert self.counts(what, kind) == self.wanted(kind), what
        chances = books.opportunities(self.db, "b")
        assert {("opportunity", *key[1:]): n for key, n in chances.items()} == self.wanted("opportunity")
        assert self.conflicts == self.model.conflicts

    @invariant()
    def sums_are_those_of_the_model(self) -> None:
        for what, kind in (
            ("strategy_net_wei", "net"), ("strategy_gain_wei", "gain"), ("strategy_loss_wei", "loss"),
            ("strategy_gas_wei", "gas_fee_eth"), ("strategy_amount_wei", "amount_eth"), ("path_net_wei", "path"),
            ("stage_expected_wei", "expected"), ("loan_fee_wei", "loan"), ("slippage_wei", "slippage"),
        ):  # fmt: skip
            assert self.summed(what) == self.sums(kind), what
        fees = {f"{name}_fee_eth": amount for name, amount in self.summed("fee_wei").items()}
        assert fees == self.sums("fee")
        gas = {name: int(amount) for name, amount in self.sums("gas_used").items()}
        assert {name: n for (name, _), n in total(self.db, "strategy_gas_used").items() if n} == gas
        assert total(self.db, "gas_used").get(("", ""), 0) == sum(gas.values())

    @invariant()
    def distributions_are_those_of_the_model(self) -> None:
        for what, sums, kind, bounds, unit in (
            ("duration", "duration_us", "duration", event_totals.SECONDS, 10**6),
            ("slippage", "slippage_wei", "slippage", event_totals.SLIPPAGES, WEI),
        ):
            found = event_totals.totals(self.db, "b", (what, sums))
            for name, made in event_totals.distributions(found, what, sums, bounds, unit):
                plain = name.replace("discovery", "discovered").replace("submission", "submitted")
                plain = plain.replace("inclusion", "included").replace("_to_", "_")
                assert made.total == float(self.model.sums[kind, plain])
                assert made.counts == [self.model.counts[kind, plain, str(place)] for place in range(12)]

    @invariant()
    def trades_are_those_of_the_model(self) -> None:
        source = books.read(self.db, "b").sources.get("events", books.SourceTotal())
        expected = {route: Fraction(t.expected_wei, WEI) for route, t in source.routes.items()}
        assert {k: v for k, v in expected.items() if v} == {k: v for k, v in self.model.expected().items() if v}
        assert source.success + source.failed == len(self.model.trades)
        assert Fraction(sum(t.net_wei for t in source.routes.values()), WEI) == self.model.net
        assert Fraction(source.peak_wei or 0, WEI) == self.model.peak
        assert Fraction(source.below_wei or 0, WEI) == self.model.peak - self.model.net
        largest = {key: Fraction(amount, WEI) for key, amount in total(self.db, "loan_largest_wei").items()}
        assert largest == self.model.largest

    @invariant()
    def last_words_are_those_of_the_model(self) -> None:
        found = {(word.what, word.name): word for word in event_totals.words(self.db, "b")}
        assert {key: word.time for key, word in found.items()} == {k: e["time"] for k, e in self.model.said.items()}
        for key, told in self.model.said.items():
            said = (told["status"],) if key[0] == "component" else (str(told["hits"]), str(told["misses"]), "0", "0")
            assert found[key].values == said

    @invariant()
    def counters_never_fall(self) -> None:
        rows = self.db.execute("SELECT what, one, two, amount FROM event_total WHERE what NOT LIKE '%net_wei'")
        now = {tuple(key): int(amount) for *key, amount in rows}
        assert all(now[key] >= amount for key, amount in self.before.items())
        self.before = now

    def teardown(self) -> None:
        self.db.close()
        self.folder.cleanup()


TestCounted = Counted.TestCase
TestCounted.settings = settings(max_examples=lives(40), stateful_step_count=8, deadline=None)

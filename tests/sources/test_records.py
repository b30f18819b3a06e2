import json
import random
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import records
from exporter.sources.files import Unreadable, document
from exporter.sources.records import Execution, Opportunity, Trade
from tests import bank

NEW_YORK = ZoneInfo("America/New_York")
HASH = "0x" + "ab" * 32


def loaded(record: object) -> object:
    return document(json.dumps(record).encode())


def of(record: object, name: str = "trade_1743976596.json") -> records.Record:
    return records.from_file(name, loaded(record), NEW_YORK)


def base_trade(**changes: object) -> dict[str, object]:
    return {
        "timestamp": "2025-04-06T17:56:36.565225",
        "opportunity": {
            "token_pair": "WETH-wstETH",
            "dex_1": "aerodrome",
            "dex_2": "baseswap",
            "potential_profit": 0.15,
        },
        "success": True,
        "net_profit": 0.14,
        "gas_cost": 0.008679857094291667,
        "tx_hash": HASH,
        "error": None,
    } | changes


def test_a_trade_file() -> None:
    trade = of(base_trade())
    assert isinstance(trade, Trade)
    assert (trade.pair, trade.dex_buy, trade.dex_sell) == ("wstETH/WETH", "aerodrome", "baseswap")
    assert (trade.outcome, trade.reason, trade.time) == ("success", None, 1743976596.0)
    assert (trade.net_wei, trade.gas_wei, trade.expected_wei) == (
        140_000_000_000_000_000,
        8_679_857_094_291_667,
        150_000_000_000_000_000,
    )
    assert trade.tx_hash == HASH
    assert trade.key == b"t" + bytes.fromhex("ab" * 32)


def test_an_amount_that_is_null_or_absent_is_no_data() -> None:
    trade = of(base_trade(net_profit=None, gas_cost=None, tx_hash=None, error=None, success=False))
    assert isinstance(trade, Trade)
    assert (trade.net_wei, trade.gas_wei, trade.reason, trade.tx_hash) == (None, None, "unknown", None)
    bare = of({"opportunity": {}, "success": True})
    assert isinstance(bare, Trade)
    assert (bare.pair, bare.dex_buy, bare.net_wei, bare.expected_wei) == ("unknown", "unknown", None, None)


def test_an_execution_and_its_opportunity() -> None:
    found = of(
        {
            "id": "ex1",
            "timestamp": "2025-04-06T17:57:00",
            "opportunity_id": "op1",
            "status": "FAILED",
            "actual_profit_wei": "-1500000000000000000",
            "gas_cost_wei": "21000",
            "tx_hash": None,
            "error": "execution reverted: K",
        }
    )
    assert isinstance(found, Execution)
    assert (found.opportunity_id, found.trade.outcome, found.trade.reason) == ("op1", "failed", "reverted")
    assert (found.trade.net_wei, found.trade.gas_wei, found.trade.key) == (-1_500_000_000_000_000_000, 21000, b"iex1")
    chance = of({"id": "op1", "token_pair": "USDC-WETH", "expected_profit_wei": "7", "status": "PENDING"})
    assert chance == Opportunity("op1", chance.digest, "WETH/USDC", "unknown", "unknown", 7)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (3, "shape"),
        ([], "shape"),
        ({}, "shape"),
        ({"opportunity": "x", "success": True}, "shape"),
        (base_trade(success="true"), "shape"),
        (base_trade(success=None), "shape"),
        (base_trade(net_profit="0.1"), "number"),
        (base_trade(net_profit=True), "number"),
        (base_trade(net_profit=[1]), "number"),
        (base_trade(gas_cost=1e200), "number"),
        ({"opportunity_id": "a", "status": "PENDING"}, "shape"),
        ({"opportunity_id": "a", "status": "FAILED", "actual_profit_wei": "1.5"}, "number"),
        ({"id": "a", "expected_profit_wei": "0x10"}, "number"),
        ({"id": "a", "expected_profit_wei": "\u0663"}, "number"),
        ({"id": "a", "expected_profit_wei": 1.5}, "number"),
        ({"id": "a", "expected_profit_wei": "9" * 42}, "number"),
    ],
)
def test_what_is_not_a_record_is_refused(record: object, expected: str) -> None:
    with pytest.raises(Unreadable) as caught:
        of(record)
    assert caught.value.reason == expected


def test_a_recent_row_has_local_time_whatever_it_says() -> None:
    row = {"timestamp": "2025-04-08T00:50:34Z", "token_pair": "WETH-DAI", "dex_1": "a", "dex_2": "b",
           "profit": 0, "gas_cost": 0.0059, "success": False}  # fmt: skip
    trade = records.from_row(loaded(row), NEW_YORK)
    assert trade.time == 1744087834.0  # 04:50:34 UTC
    assert (trade.net_wei, trade.reason, trade.outcome) == (0, "unknown", "failed")
    with pytest.raises(Unreadable):
        records.from_row("row", NEW_YORK)


@pytest.mark.parametrize(
    ("value", "false_zone", "expected"),
    [
        ("2025-04-06T17:56:36.565225", False, 1743976596.565225),
        ("2025-04-06T17:56:36Z", True, 1743976596.0),
        ("2025-04-06T17:56:36Z", False, 1743962196.0),
        ("2025-04-06T21:56:36+00:00", False, 1743976596.0),
        ("2025-04-06T21:56:36+00:00", True, 1743976596.0),
        ("2025-04-06", False, 1743912000.0),
        (Decimal("1743976596.5"), False, 1743976596.5),
        (1743976596, False, 1743976596.0),
        (1743976596000, False, 1743976596.0),
        (0, False, None),
        (-5, False, None),
        (4102444799, False, 4102444799.0),
        (4102444800, False, None),
        (99999999999, False, None),
        (4102444799000, False, 4102444799.0),
        (4102444800000, False, None),
        (Decimal("1e300"), False, None),
        (Decimal("9e308"), False, None),
        (10**79, False, None),
        (Decimal("1e-300"), False, None),
        ("2100-01-01T00:00:00Z", False, None),
        (True, False, None),
        ("1970-01-01T00:00:00Z", False, None),
        ("0001-01-01T00:00:00", False, None),
        ("9999-12-31T23:59:59.999999", False, None),
        ("tomorrow at 5", False, None),
        ("", False, None),
        (None, False, None),
        ({}, False, None),
    ],
)
def test_times_in_every_form(value: object, false_zone: bool, expected: float | None) -> None:
    assert records.moment(value, NEW_YORK, false_zone=false_zone) == expected


def test_the_files_name_is_the_true_time_and_the_content_only_second() -> None:
    assert of(base_trade(), "trade_1743976596.json").time == 1743976596.0  # type: ignore[union-attr]
    assert of(base_trade(), "trade_x.json").time == 1743976596.565225  # type: ignore[union-attr]
    assert of(base_trade(timestamp="never ever"), "trade_\u0661\u0661.json").time is None  # type: ignore[union-attr]


@pytest.mark.parametrize("epoch", ["000000000", "1438269972", "4102444800", "99999999999"])
def test_a_name_that_can_be_no_time_leaves_it_to_the_record(epoch: str) -> None:
    assert of(base_trade(), f"trade_{epoch}.json").time == 1743976596.565225  # type: ignore[union-attr]
    assert of(base_trade(timestamp=0), f"trade_{epoch}.json").time is None  # type: ignore[union-attr]
    assert of(base_trade(timestamp=None), f"trade_{epoch}.json").time is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Slippage exceeded", "slippage"),
        ("Insufficient liquidity in pool", "insufficient_liquidity"),
        ("insufficient funds for gas * price + value", "insufficient_funds"),
        ("nonce too low", "nonce"),
        ("transaction underpriced", "gas"),
        ("Transaction timed out after 30s", "timeout"),
        ("execution reverted", "reverted"),
        ("front-run by 0xdead", "front_run"),
        ("no profit after fees", "unprofitable"),
        ("flash loan failed", "flash_loan"),
        ("HTTP 502", "connection"),
        ("the moon was wrong", "other"),
        ("", "unknown"),
        (None, "unknown"),
        (7, "unknown"),
    ],
)
def test_error_texts_mean_one_of_a_closed_set(text: object, reason: str) -> None:
    assert records.failure_reason(text) == reason
    assert reason in records.REASONS


@given(st.text())
def test_no_text_gets_through_as_a_reason(text: str) -> None:
    assert records.failure_reason(text) in records.REASONS


@given(st.integers(-(10**35), 10**35))
def test_wei_survives_ether_exactly(amount: int) -> None:
    assert records.ether(Decimal(f"{amount}e-18")) == amount
    assert records.wei(str(amount)) == amount


@given(st.floats(-1e15, 1e15))
def test_a_float_of_ether_is_its_decimal_text(amount: float) -> None:
    wei = records.ether(Decimal(repr(amount)))
    assert wei is not None
    assert abs(Decimal(wei).scaleb(-18) - Decimal(repr(amount))) <= Decimal("0.5e-18")


def test_the_key_is_the_transaction_else_the_id_else_the_content() -> None:
    keys = {
        of(base_trade()).key,  # type: ignore[union-attr]
        of(base_trade(tx_hash=HASH.upper().replace("0X", "0x"), net_profit=9)).key,  # type: ignore[union-attr]
    }
    assert len(keys) == 1
    assert of(base_trade(tx_hash="0x12", id=5)).key == b"i5"  # type: ignore[union-attr]
    assert of(base_trade(tx_hash=None, id="e" * 200)).key.startswith(b"i")  # type: ignore[union-attr]
    anonymous = of(base_trade(tx_hash=None))
    assert isinstance(anonymous, Trade)
    assert not records.has_own_key(anonymous)
    assert of(base_trade(tx_hash=None, net_profit=0.2)).key != anonymous.key  # type: ignore[union-attr]


def test_the_canonical_form_knows_values_not_spellings() -> None:
    same = {records.content_digest(document(raw)) for raw in (
        b'{"a":1,"b":0.10}', b'{ "b" : 1e-1, "a" : 1.0 }')}  # fmt: skip
    assert len(same) == 1
    assert records.content_digest(document(b'{"a":"1"}')) != records.content_digest(document(b'{"a":1}'))
    assert records.content_digest(document(b'{"a":"n1"}')) != records.content_digest(document(b'{"a":1}'))
    assert records.content_digest(document(b'{"a":true}')) != records.content_digest(document(b'{"a":1}'))


def test_lone_surrogates_do_no_harm() -> None:
    raw = b'{"id":"\\ud800","opportunity":{"token_pair":"\\ud800-\\udfff","dex_1":"\\ud800"},'
    raw += b'"success":false,"error":"\\ud800"}'
    trade = records.from_file("trade_1.json", document(raw), NEW_YORK)
    assert isinstance(trade, Trade)
    assert trade.dex_buy == "other"
    assert trade.key.decode()


@given(st.integers(0, 10**9))
def test_made_up_banks_read_as_their_oracle_counts(seed: int) -> None:
    rng = random.Random(seed)
    record = bank.trade(rng)
    trade = of(record)
    assert isinstance(trade, Trade)
    assert trade.pair == bank.PAIRS[record["opportunity"]["token_pair"]]
    assert trade.net_wei == pytest.approx(record["net_profit"] * 1e18)
    execution = of(bank.execution(rng, "e", "o"))
    assert isinstance(execution, Execution)
    assert execution.opportunity_id == "o"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["opportunity", "opportunity_id", "success", "net_profit", "status", "id", "tx_hash",
                             "expected_profit_wei", "token_pair", "dex_1", "timestamp", "error"]), inner, max_size=6),
        max_leaves=15,
    )
)  # fmt: skip
def test_any_document_is_a_record_or_is_refused(value: object) -> None:
    for read in (lambda: records.from_file("trade_1.json", value, NEW_YORK), lambda: records.from_row(value, NEW_YORK)):
        try:
            read()
        except Unreadable as unusable:
            assert unusable.reason in ("shape", "number")

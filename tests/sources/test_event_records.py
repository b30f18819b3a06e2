"""Events are parsed strictly, by one declaration per type; what cannot be used is named, never quoted."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import event_records
from exporter.sources.event_fields import FAULTS, BadEvent
from exporter.sources.event_records import (
    Allocation,
    Bundle,
    Cache,
    Component,
    FlashLoan,
    Opportunity,
    PoolUse,
    Price,
    Trade,
    parse,
)
from tests.sources.event_documents import EPOCH, HASH, TYPES, event

COMMON: dict[str, Any] = {"id": "e-1", "time": EPOCH, "strategy": "two-hop", "simulated": False}


def said(found: event_records.Event) -> dict[str, Any]:
    """Everything an event says, without its digest."""
    return {
        name: getattr(found, name)
        for kind in type(found).__mro__[-2::-1]
        for name in kind.__slots__
        if name != "digest"
    }


def test_an_opportunity() -> None:
    found = parse(event("opportunity"))
    assert isinstance(found, Opportunity)
    assert said(found) == COMMON | {
        "pair": "WETH/USDC", "dex_buy": "aerodrome", "dex_sell": "uniswap", "stage": "rejected",
        "reason": "gas_too_high", "expected_profit_wei": 2 * 10**15, "spread_ratio": 0.004, "confidence": 0.9,
        "path_length": 2,
    }  # fmt: skip


def test_a_trade() -> None:
    found = parse(event("trade"))
    assert isinstance(found, Trade)
    assert said(found) == COMMON | {
        "pair": "WETH/USDC", "dex_buy": "aerodrome", "dex_sell": "uniswap", "outcome": "success", "reason": None,
        "tx_hash": HASH.lower(), "opportunity_id": "o-1", "net_profit_wei": 15 * 10**14, "gas_fee_wei": 10**14,
        "l1_fee_wei": 10**13, "flash_loan_fee_wei": 0, "dex_fee_wei": 3 * 10**14, "slippage_ratio": 0.001,
        "amount_wei": 15 * 10**17, "gas_used": 210_000, "path_length": 2, "discovered_at": EPOCH - 2,
        "submitted_at": EPOCH - 1, "included_at": EPOCH,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "made", "own"),
    [
        ("flash_loan", FlashLoan,
         {"provider": "balancer", "token": "WETH", "amount": Decimal("10.5"), "fee_wei": 0, "outcome": "success"}),
        ("bundle", Bundle, {"relay": "flashbots", "outcome": "included"}),
        ("allocation", Allocation,
         {"dex": "aerodrome", "pair": None, "share_ratio": 0.25, "amount_wei": 2 * 10**18}),
        ("component", Component, {"name": "scanner", "status": "ok"}),
        ("cache", Cache, {"name": "prices", "hits": 90, "misses": 10, "entries": 7, "bytes": 4096}),
        ("pool", PoolUse, {"name": "rpc", "in_use": 3, "size": 10}),
        ("price", Price, {"pair": "WETH/USDC", "dex": "aerodrome", "price": Decimal("3000.5")}),
    ],
)  # fmt: skip
def test_the_other_types(kind: str, made: type, own: dict[str, Any]) -> None:
    found = parse(event(kind))
    assert type(found) is made
    assert said(found) == COMMON | own


def test_every_type_is_declared_and_tried() -> None:
    assert tuple(event_records.TYPES) == TYPES


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_required_must_be_there_and_the_rest_need_not(kind: str) -> None:
    whole = event(kind)
    for name, wire, _, optional in event_records.RULES[kind]:
        part = {field: value for field, value in whole.items() if field != wire}
        if optional and name != "dex":
            assert getattr(parse(part), name) in (None, False, "other")
            continue
        with pytest.raises(BadEvent) as caught:
            parse(part)
        assert (caught.value.field, caught.value.reason) == (wire, "missing")


@pytest.mark.parametrize(
    ("kind", "fields", "at"),
    [
        ("trade", {"id": 7}, "id"),
        ("trade", {"id": ""}, "id"),
        ("trade", {"id": "x" * 257}, "id"),
        ("trade", {"id": "a\nb"}, "id"),
        ("trade", {"type": "swap"}, "type"),
        ("trade", {"type": ["trade"]}, "type"),
        ("trade", {"time": "2026-01-01T00:00:00"}, "time"),
        ("trade", {"time": "yesterday"}, "time"),
        ("trade", {"time": "2026-02-30T00:00:00Z"}, "time"),
        ("trade", {"time": "1767225600"}, "time"),
        ("trade", {"time": 0}, "time"),
        ("trade", {"time": -1}, "time"),
        ("trade", {"time": 1_767_225_600_000}, "time"),
        ("trade", {"time": True}, "time"),
        ("trade", {"simulated": "yes"}, "simulated"),
        ("trade", {"simulated": 1}, "simulated"),
        ("trade", {"strategy": 5}, "strategy"),
        ("trade", {"pair": ["WETH", "USDC"]}, "pair"),
        ("trade", {"dex_buy": {}}, "dex_buy"),
        ("trade", {"outcome": "SUCCESS"}, "outcome"),
        ("trade", {"net_profit_eth": "much"}, "net_profit_eth"),
        ("trade", {"net_profit_eth": "٣"}, "net_profit_eth"),
        ("trade", {"net_profit_eth": "1e30"}, "net_profit_eth"),
        ("trade", {"net_profit_eth": True}, "net_profit_eth"),
        ("trade", {"net_profit_eth": "NaN"}, "net_profit_eth"),
        ("trade", {"gas_fee_eth": "-0.1"}, "gas_fee_eth"),
        ("trade", {"slippage_ratio": 30}, "slippage_ratio"),
        ("trade", {"gas_used": 1.5}, "gas_used"),
        ("trade", {"gas_used": Decimal("1.5")}, "gas_used"),
        ("trade", {"path_length": 0}, "path_length"),
        ("opportunity", {"stage": "seen"}, "stage"),
        ("opportunity", {"confidence": Decimal("1.1")}, "confidence"),
        ("bundle", {"outcome": "success"}, "outcome"),
        ("component", {"status": "fine"}, "status"),
        ("component", {"name": ""}, "name"),
        ("cache", {"hits": -1}, "hits"),
        ("cache", {"bytes": 2**53}, "bytes"),
        ("price", {"price": 0}, "price"),
        ("price", {"price": "-3"}, "price"),
        ("allocation", {"pair": "WETH/USDC"}, "dex"),
        ("allocation", {"share_ratio": "25"}, "share_ratio"),
    ],
)
def test_what_is_wrong_is_named_and_never_quoted(kind: str, fields: dict[str, Any], at: str) -> None:
    with pytest.raises(BadEvent) as caught:
        parse(event(kind) | fields)
    words, value = str(caught.value), str(next(iter(fields.values())))
    assert caught.value.field == at
    assert caught.value.reason in FAULTS
    assert words.startswith(f"{at} ")
    assert len(value) < 4 or value not in words.removeprefix(f"{at} ")


@pytest.mark.parametrize("document", [None, 7, "trade", [], [event("trade")], Decimal(1)])
def test_what_is_no_object_is_no_event(document: Any) -> None:
    with pytest.raises(BadEvent, match="the record must be a JSON object"):
        parse(document)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("2026-01-01T01:00:00+01:00", EPOCH),
        ("2025-12-31 19:00:00.5-05:00", EPOCH + 0.5),
        ("2026-01-01t00:00:00.123456789z", EPOCH + 0.123456),
        (1_767_225_600, EPOCH),
        (Decimal("1767225600.25"), EPOCH + 0.25),
    ],
)
def test_times(given: Any, seconds: float) -> None:
    assert parse(event("component", time=given)).time == pytest.approx(seconds, abs=1e-6)


def test_amounts_are_decimal_strings_or_numbers_and_exact() -> None:
    for told in ("0.123456789012345678", Decimal("0.123456789012345678"), "1.23456789012345678E-1"):
        found = parse(event("trade", net_profit_eth=told))
        assert isinstance(found, Trade)
        assert found.net_profit_wei == 123_456_789_012_345_678
    found = parse(event("trade", net_profit_eth=-2, outcome="failed", reason="execution reverted"))
    assert isinstance(found, Trade)
    assert (found.net_profit_wei, found.reason) == (-2 * 10**18, "reverted")


def test_a_failed_trade_has_a_reason_of_the_closed_set() -> None:
    reasons = {"slippage": "slippage", "Too little received": "slippage", "bad luck": "other", None: "unknown"}
    reasons["execution reverted: 0x" + "ab" * 5_000] = "reverted"
    for told, reason in reasons.items():
        found = parse(event("trade", outcome="failed", reason=told))
        assert isinstance(found, Trade)
        assert found.reason == reason


def test_a_hash_that_is_none_is_none() -> None:
    for told in ("0xdry", "", "pending", "0x" + "g" * 64):
        found = parse(event("trade", tx_hash=told))
        assert isinstance(found, Trade)
        assert found.tx_hash is None


def test_names_that_are_not_safe_to_show_are_other() -> None:
    found = parse(event("trade", dex_buy="x" * 65, dex_sell="a\nb", strategy="\ud800", pair="x"))
    assert isinstance(found, Trade)
    assert (found.dex_buy, found.dex_sell, found.strategy, found.pair) == ("other", "other", "other", "unknown")


def test_a_price_of_a_pair_that_is_turned_is_turned_with_it() -> None:
    found = parse(event("price", pair="USDC/WETH", price="0.0004"))
    assert isinstance(found, Price)
    assert (found.pair, found.price) == ("WETH/USDC", Decimal(2500))
    found = parse(event("price", pair="nonsense", price="2"))
    assert isinstance(found, Price)
    assert (found.pair, found.price) == ("unknown", 2)


def test_a_token_may_be_an_address() -> None:
    found = parse(event("flash_loan", token="0x4200000000000000000000000000000000000006"))
    assert isinstance(found, FlashLoan)
    assert found.token == "WETH"


@pytest.mark.parametrize("kind", TYPES)
def test_the_same_content_has_the_same_digest_however_it_is_written(kind: str) -> None:
    one = parse(event(kind))
    again = parse(dict(reversed(event(kind, "another", note="passed over", time=int(EPOCH)).items())))
    assert one.digest == again.digest
    assert one.digest != parse(event(kind, time=int(EPOCH) + 1)).digest


def test_other_amounts_make_another_digest() -> None:
    assert parse(event("price", price="1.50")).digest == parse(event("price", price=Decimal("1.5"))).digest
    assert parse(event("price", price="1.50")).digest != parse(event("price", price="1.51")).digest


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(sorted({name for kind in TYPES for name in event(kind)}))


@given(st.sampled_from(TYPES), st.dictionaries(FIELDS, VALUES, max_size=6))
def test_nothing_but_its_own_error_is_ever_raised(kind: str, fields: dict[str, Any]) -> None:
    try:
        found = parse(event(kind) | fields)
    except BadEvent as error:
        assert error.reason in FAULTS
    else:
        assert len(found.digest) == 32
        hash(found)


@given(VALUES)
def test_nothing_but_its_own_error_is_raised_for_any_document(document: Any) -> None:
    with pytest.raises(BadEvent):
        parse(document)

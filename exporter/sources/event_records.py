"""What a bot says in events: one declaration per type, by which they are parsed and their schema is published."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Context, Decimal
from typing import Any, ClassVar, Final

from exporter.sources import event_fields as f
from exporter.sources.event_fields import BadEvent, wire
from exporter.sources.pairs import turned
from exporter.sources.reasons import rejection
from exporter.sources.records import FAILED, REASONS, SUCCESS, failure_reason

DETECTED, EXECUTED, REJECTED, MISSED = "detected", "executed", "rejected", "missed"
STAGES: Final = (DETECTED, EXECUTED, REJECTED, MISSED)
OUTCOMES: Final = (SUCCESS, FAILED)
BUNDLE_OUTCOMES: Final = ("submitted", "included", "dropped", "front_run", "sandwiched")
STATUSES: Final = ("ok", "degraded", "down")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events have in common. Times are epoch seconds; `digest` is the same for the same content but the id."""

    kind: ClassVar[str] = ""
    text: ClassVar[str] = ""

    id: str = wire(f.ID, "Tells the event from every other; the same id again is ignored.")
    time: float = wire(f.TIME, "When it happened.")
    strategy: str | None = wire(f.NAME, "The bot's strategy, by name.", optional=True)
    simulated: bool = wire(f.FLAG, "True for what was not done with money.", optional=True, unsaid=False)
    digest: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity(Event):
    """One step of an opportunity."""

    kind: ClassVar[str] = "opportunity"
    text: ClassVar[str] = "One step of an opportunity: send one event for each stage that it reaches."

    pair: str = wire(f.PAIR, "The two tokens.")
    dex_buy: str = wire(f.VENUE, "Where it is bought.")
    dex_sell: str = wire(f.VENUE, "Where it is sold.")
    stage: str = wire(f.choice(*STAGES), "What became of it.")
    reason: str | None = wire(f.WORDS, "Why it was rejected or missed.", optional=True)
    expected_profit_wei: int | None = wire(
        f.ETHER, "Profit after all costs, as foreseen.", "expected_profit_eth", optional=True
    )
    spread_ratio: float | None = wire(f.ratio(-1, 1_000), "The spread between the venues.", optional=True)
    confidence: float | None = wire(f.ratio(0, 1), "How sure the bot is.", optional=True)
    path_length: int | None = wire(f.whole(1, 1_000), "Swaps on the way.", optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade(Event):
    """A finished trade; its key is the hash of its transaction, without one the event's id."""

    kind: ClassVar[str] = "trade"
    text: ClassVar[str] = "A finished trade."

    pair: str = wire(f.PAIR, "The two tokens.")
    dex_buy: str = wire(f.VENUE, "Where it was bought.")
    dex_sell: str = wire(f.VENUE, "Where it was sold.")
    outcome: str = wire(f.choice(*OUTCOMES), "Whether it succeeded.")
    reason: str | None = wire(f.WORDS, "Why it failed.", optional=True)
    tx_hash: str | None = wire(f.HASH, "Its transaction.", optional=True)
    opportunity_id: str | None = wire(f.TEXT, "The id of the opportunity's event.", optional=True)
    net_profit_wei: int = wire(f.ETHER, "Profit after all fees; below 0 for a loss.", "net_profit_eth")
    gas_fee_wei: int = wire(f.COST, "What its gas cost.", "gas_fee_eth")
    l1_fee_wei: int | None = wire(f.COST, "Of that, the fee for data on L1.", "l1_fee_eth", optional=True)
    flash_loan_fee_wei: int | None = wire(f.COST, "Fees of flash loans.", "flash_loan_fee_eth", optional=True)
    dex_fee_wei: int | None = wire(f.COST, "Fees of the venues.", "dex_fee_eth", optional=True)
    slippage_ratio: float | None = wire(
        f.ratio(-1, 1), "By how much less came out than was quoted; below 0: more.", optional=True
    )
    amount_wei: int | None = wire(f.COST, "What was traded, in ether's worth.", "amount_eth", optional=True)
    gas_used: int | None = wire(f.whole(), "Units of gas.", optional=True)
    path_length: int | None = wire(f.whole(1, 1_000), "Swaps on the way.", optional=True)
    discovered_at: float | None = wire(f.TIME, "When the opportunity was seen.", optional=True)
    submitted_at: float | None = wire(f.TIME, "When the transaction was sent.", optional=True)
    included_at: float | None = wire(f.TIME, "When it was in a block.", optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashLoan(Event):
    """A flash loan; `amount` is in tokens."""

    kind: ClassVar[str] = "flash_loan"
    text: ClassVar[str] = "A flash loan that was taken, or could not be."

    provider: str = wire(f.NAME, "Who lends.")
    token: str = wire(f.TOKEN, "The token's symbol or address.")
    amount: Decimal = wire(f.TOKENS, "How many tokens.")
    fee_wei: int | None = wire(f.COST, "The lender's fee, in ether's worth.", "fee_eth", optional=True)
    outcome: str = wire(f.choice(*OUTCOMES), "Whether it succeeded.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle(Event):
    """One step of a bundle sent to a relay."""

    kind: ClassVar[str] = "bundle"
    text: ClassVar[str] = "One step of a bundle: send one event for each thing that happens to it."

    relay: str = wire(f.NAME, "To whom it was sent.")
    outcome: str = wire(f.choice(*BUNDLE_OUTCOMES), "What happened to it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation(Event):
    """How much of the capital one venue or one pair has; exactly one of the two is named."""

    kind: ClassVar[str] = "allocation"
    text: ClassVar[str] = "How much of its capital the bot gives to a venue, or to a pair: name one of the two."

    dex: str | None = wire(f.VENUE, "The venue.", optional=True)
    pair: str | None = wire(f.PAIR, "The pair.", optional=True)
    share_ratio: float = wire(f.ratio(0, 1), "Its share of all.")
    amount_wei: int = wire(f.COST, "Its amount.", "amount_eth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component(Event):
    """How a part of the bot fares."""

    kind: ClassVar[str] = "component"
    text: ClassVar[str] = "How a part of the bot fares."

    name: str = wire(f.NAME, "The part.")
    status: str = wire(f.choice(*STATUSES), "How it fares.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache(Event):
    """A cache of the bot; `hits` and `misses` are its running totals."""

    kind: ClassVar[str] = "cache"
    text: ClassVar[str] = "A cache of the bot: its running totals since it began, and its size now."

    name: str = wire(f.NAME, "The cache.")
    hits: int = wire(f.whole(), "Hits since it began.")
    misses: int = wire(f.whole(), "Misses since it began.")
    entries: int = wire(f.whole(), "Entries now.")
    bytes: int = wire(f.whole(), "Bytes now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse(Event):
    """How much of a pool of connections or tasks is in use."""

    kind: ClassVar[str] = "pool"
    text: ClassVar[str] = "How much of a pool of connections or tasks is in use."

    name: str = wire(f.NAME, "The pool.")
    in_use: int = wire(f.whole(), "How many are in use.")
    size: int = wire(f.whole(), "How many there are.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Event):
    """A price the bot saw, quote per base."""

    kind: ClassVar[str] = "price"
    text: ClassVar[str] = "A price that the bot saw: quote per base."

    pair: str = wire(f.PAIR, "The pair, `BASE/QUOTE`.")
    dex: str = wire(f.VENUE, "The venue.")
    price: Decimal = wire(f.PRICE, "Quote per base.")


_CONTEXT: Final = Context(prec=28)
type Rule = tuple[str, str, f.Kind, bool]
"""(name here, name in the event, kind, whether it may be missing)"""


def _rules(kind: type[Event]) -> tuple[Rule, ...]:
    known = ((field.name, field.metadata) for field in fields(kind) if field.metadata)
    return tuple((name, said["name"] or name, said["kind"], said["optional"]) for name, said in known)


TYPES: Final[Mapping[str, type[Event]]] = {
    kind.kind: kind
    for kind in (Opportunity, Trade, FlashLoan, Bundle, Allocation, Component, Cache, PoolUse, Price)
}  # fmt: skip
RULES: Final = {name: _rules(kind) for name, kind in TYPES.items()}
_FIELDS: Final = {kind: {said: (name, how) for name, said, how, _ in rules} for kind, rules in RULES.items()}
_REQUIRED: Final = {
    kind: tuple((name, said, how) for name, said, how, optional in rules if not optional)
    for kind, rules in RULES.items()
}
_TYPE: Final = f.choice(*TYPES)


def parse(document: Any) -> Event:
    """The event in a JSON document whose numbers are int or Decimal; fields that nobody declared are passed over.

    Raises:
        BadEvent: names the field and what it should be, never what it is.
    """
    if not isinstance(document, dict):
        raise BadEvent(None, "must be a JSON object", "shape")
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in RULES:
        raise BadEvent("type", _TYPE.wanted, "type")
    values = _read(document, _FIELDS[kind])
    for name, said, how in _REQUIRED[kind]:
        if name not in values:
            raise BadEvent(said, f"is missing; it {how.wanted}", "missing")
    if (adjust := _ADJUST.get(kind)) is not None:
        adjust(values, document)
    return TYPES[kind](**values, digest=_digest(kind, values))


def _read(document: Mapping[str, Any], known: Mapping[str, tuple[str, f.Kind]]) -> dict[str, Any]:
    """What is said in the fields that are declared, by their names here; null says nothing."""
    values: dict[str, Any] = {}
    for said, given in document.items():
        if given is None or said not in known:
            continue
        name, kind = known[said]
        read = kind.read(given)
        if read is None:
            raise BadEvent(said, kind.wanted, "value")
        values[name] = read
    return values


def _digest(kind: str, values: Mapping[str, Any]) -> bytes:
    """Of what the event means, in a canonical form: the amounts 1 and "1.0" are one, so are two writings of a time."""
    said = sorted(item for item in values.items() if item[1] is not None and item[1] is not False and item[0] != "id")
    return hashlib.blake2b(repr((kind, said)).encode(), digest_size=32).digest()


def _opportunity(values: dict[str, Any], _: Mapping[str, Any]) -> None:
    lost = values["stage"] in (REJECTED, MISSED)
    values["reason"] = rejection(values.get("reason")) if lost else None


def _trade(values: dict[str, Any], _: Mapping[str, Any]) -> None:
    reason = values.get("reason")
    known = reason if reason in REASONS else failure_reason(reason)
    values["reason"] = known if values["outcome"] == FAILED else None
    values["tx_hash"] = values.get("tx_hash") or None
    values["opportunity_id"] = values.get("opportunity_id") or None


def _allocation(values: dict[str, Any], _: Mapping[str, Any]) -> None:
    if ("dex" in values) == ("pair" in values):
        raise BadEvent("dex", "or pair must be named, and only one of the two", "missing")


def _price(values: dict[str, Any], document: Mapping[str, Any]) -> None:
    """A pair that is named the other way round here has the other price, too."""
    if turned(document["pair"]):
        values["price"] = _CONTEXT.divide(Decimal(1), values["price"]).normalize()


_ADJUST: Final[Mapping[str, Callable[[dict[str, Any], Mapping[str, Any]], None]]] = {
    "opportunity": _opportunity,
    "trade": _trade,
    "allocation": _allocation,
    "price": _price,
}

"""What a bot can say: one typed record per kind of event, checked by the very types that are written here."""

from typing import Any, Final, Literal, NotRequired, TypedDict, get_args, get_origin, get_type_hints

from exporter.client import values
from exporter.client.values import Amount, Count, Flag, Hash, Moment, Name, Unfit, Words


class Common(TypedDict, total=False):
    """What every event may have: what is not given is made (`id`), is now (`time`), or is left out."""

    id: Name
    time: Moment
    strategy: Name | None
    simulated: Flag | None


class Opportunity(Common):
    """One step of one opportunity. The profit is what is expected after all fees, in ether."""

    pair: Name
    dex_buy: Name
    dex_sell: Name
    stage: Literal["detected", "executed", "rejected", "missed"]
    reason: NotRequired[Words | None]
    expected_profit_eth: NotRequired[Amount | None]
    spread_ratio: NotRequired[Amount | None]
    confidence: NotRequired[Amount | None]
    path_length: NotRequired[Count | None]


class Trade(Common):
    """One trade, as it ended. `net_profit_eth` is what is left after all fees that are named beside it."""

    pair: Name
    dex_buy: Name
    dex_sell: Name
    outcome: Literal["success", "failed"]
    net_profit_eth: Amount
    gas_fee_eth: Amount
    reason: NotRequired[Words | None]
    tx_hash: NotRequired[Hash | None]
    opportunity_id: NotRequired[Name | None]
    l1_fee_eth: NotRequired[Amount | None]
    flash_loan_fee_eth: NotRequired[Amount | None]
    dex_fee_eth: NotRequired[Amount | None]
    slippage_ratio: NotRequired[Amount | None]
    amount_eth: NotRequired[Amount | None]
    gas_used: NotRequired[Count | None]
    path_length: NotRequired[Count | None]
    discovered_at: NotRequired[Moment | None]
    submitted_at: NotRequired[Moment | None]
    included_at: NotRequired[Moment | None]


class FlashLoan(Common):
    """One flash loan; the amount is in whole tokens."""

    provider: Name
    token: Name
    amount: Amount
    outcome: Literal["success", "failed"]
    fee_eth: NotRequired[Amount | None]


class Bundle(Common):
    """What became of a bundle that was given to a relay."""

    relay: Name
    outcome: Literal["submitted", "included", "dropped", "front_run", "sandwiched"]


class Allocation(Common):
    """How much of its capital the bot means for a venue or for a pair: name one of the two."""

    share_ratio: Amount
    amount_eth: Amount
    dex: NotRequired[Name | None]
    pair: NotRequired[Name | None]


class Component(Common):
    """How a part of the bot is."""

    name: Name
    status: Literal["ok", "degraded", "down"]


class Cache(Common):
    """A cache; hits and misses are totals since the bot's start."""

    name: Name
    hits: Count
    misses: Count
    entries: Count
    bytes: Count


class Pool(Common):
    """A pool of connections, workers or tasks."""

    name: Name
    in_use: Count
    size: Count


class Price(Common):
    """A price that the bot sees, in quote per base."""

    pair: Name
    dex: Name
    price: Amount


TYPES: Final[dict[str, type]] = {
    "opportunity": Opportunity,
    "trade": Trade,
    "flash_loan": FlashLoan,
    "bundle": Bundle,
    "allocation": Allocation,
    "component": Component,
    "cache": Cache,
    "pool": Pool,
    "price": Price,
}
_WRITERS: Final[dict[Any, Any]] = {
    Amount: values.amount,
    Moment: values.moment,
    Name: values.name,
    Words: values.words,
    Hash: values.transaction,
    Count: values.count,
    Flag: values.flag,
}


class Invalid(Exception):
    """An event cannot be sent; `kind` says which field of which type is wrong, never its value."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def line(event: str, fields: dict[str, Any]) -> bytes:
    """The event as a line of NDJSON; `fields` has its `id` and `time`.

    Raises:
        Invalid: a field is missing, unknown or unfit.
    """
    writers, required = _SHAPES[event]
    parts = [f'{{"type":"{event}"']
    for key, value in fields.items():
        if key not in writers:
            raise Invalid(f"{event} has a field that there is not, or one without its name")
        if value is None and key not in required:
            continue
        try:
            parts.append(f',"{key}":{writers[key](value)}')
        except Unfit:
            raise Invalid(f"{event}.{key}") from None
    for key in required:
        if key not in fields:
            raise Invalid(f"{event}.{key} is missing")
    return f"{''.join(parts)}}}\n".encode("ascii")


def _writer(hint: Any) -> Any:
    """What writes values of an annotation; `None` is dealt with before."""
    options = [option for option in get_args(hint) if option is not type(None)]
    if get_origin(hint) is Literal:
        return values.one_of(*options)
    return _WRITERS[hint] if hint in _WRITERS else _WRITERS[options[0]]


def _shape(record: Any) -> tuple[dict[str, Any], frozenset[str]]:
    hints = get_type_hints(record)
    return {key: _writer(hint) for key, hint in hints.items()}, record.__required_keys__


_SHAPES: Final = {event: _shape(record) for event, record in TYPES.items()}

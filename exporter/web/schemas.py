"""What the API's bodies look like, as JSON Schema in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any, Final

from exporter.sources import event_schema

type Schema = dict[str, Any]


def reference(name: str) -> Schema:
    """A named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _null(schema: Schema) -> Schema:
    """The schema, or null: not known."""
    return schema | {"type": [schema["type"], "null"]} if "type" in schema else {"oneOf": [schema, {"type": "null"}]}


def _object(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object that has the first and may have the second, and nothing else."""
    properties = required | optional
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _named(values: Schema) -> Schema:
    """An object of any names with values of one kind."""
    return {"type": "object", "additionalProperties": values}


def _page(name: str, item: Schema, **more: Schema) -> Schema:
    return _object({name: _list(item), "next": _null(NEXT), **more})


TEXT: Final[Schema] = {"type": "string"}
FLAG: Final[Schema] = {"type": "boolean"}
NUMBER: Final[Schema] = {"type": "number"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
RATIO: Final[Schema] = {"type": "number", "minimum": 0}
TIME: Final[Schema] = {"type": "number", "description": "Epoch seconds."}
AMOUNT: Final[Schema] = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "description": "A decimal string."}
ADDRESS: Final[Schema] = {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}
NEXT: Final[Schema] = {
    "type": "integer",
    "minimum": 1,
    "description": "Ask again with this as `before`; null: there is nothing more.",
}

_PRICE: Final = _object({
    "pair": TEXT,
    "dex": TEXT,
    "pool": TEXT,
    "address": ADDRESS,
    "price": AMOUNT | {"description": "Quote per base, as a decimal string."},
    "liquidity": _null(AMOUNT | {"description": "As concentrated liquidity counts it, in raw units."}),
    "block": _null(COUNT),
    "ts": _null(TIME | {"description": "When the exporter learned it, in epoch seconds."}),
})  # fmt: skip
_SPREAD: Final = _object({
    "pair": TEXT,
    "spread_ratio": RATIO,
    "net_spread_ratio": NUMBER | {"description": "Net of both pools' fees."},
    "profit_eth": _null(AMOUNT | {"description": "What the best trade leaves before gas."}),
    "profitable": _null(FLAG | {"description": "Whether that is more than the gas of an arbitrage."}),
    "since": _null(TIME | {"description": "Since when the net spread has been above zero."}),
})  # fmt: skip
_TRADE: Final = _object({
    "id": COUNT | {"description": "Grows in the order in which trades became known."},
    "source": {"type": "string", "enum": ["memory_bank", "recent", "events", "chain"]},
    "time": _null(TIME),
    "pair": TEXT,
    "dex_buy": TEXT,
    "dex_sell": TEXT,
    "outcome": {"type": "string", "enum": ["success", "failed"]},
    "reason": _null(TEXT),
    "net_profit_eth": _null(AMOUNT),
    "gas_cost_eth": _null(AMOUNT),
    "expected_profit_eth": _null(AMOUNT),
    "tx_hash": _null({"type": "string", "pattern": "^0x[0-9a-f]{64}$"}),
    "claim": _null(TEXT | {"description": "What the chain says of it; null: not looked up, or not yet."}),
})  # fmt: skip
_OPPORTUNITY: Final = _object({
    "id": COUNT,
    "source": {"type": "string", "enum": ["memory_bank", "recent", "events", "chain"]},
    "seen": _null(TIME | {"description": "When the exporter learned of it, in epoch seconds."}),
    "pair": TEXT,
    "dex_buy": TEXT,
    "dex_sell": TEXT,
    "stage": {"type": "string", "enum": ["detected", "executed", "rejected", "missed"]},
    "reason": _null(TEXT | {"description": "Why it was rejected or missed."}),
    "expected_profit_eth": _null(AMOUNT),
})  # fmt: skip
_GAS: Final = _object({
    "base_fee_wei": AMOUNT,
    "next_base_fee_wei": AMOUNT,
    "base_fee_window_wei": _named(AMOUNT),
    "base_fee_trend_ratio": _null(NUMBER),
    "block_used_ratio": RATIO,
    "priority_fee_wei": _named(AMOUNT),
    "l1_base_fee_wei": _null(AMOUNT),
    "l1_blob_base_fee_wei": _null(AMOUNT),
    "trade_l1_fee_wei": _null(AMOUNT),
    "trade_cost_wei": _null(AMOUNT),
    "head_block": _null(COUNT),
    "head_timestamp_seconds": _null(COUNT),
    "finalized_block": _null(COUNT),
    "block_interval_seconds": _null(RATIO),
    "reorgs": _null(COUNT),
})  # fmt: skip
_TOKEN: Final = _object({"symbol": TEXT, "address": ADDRESS, "decimals": COUNT})
_POOL: Final = _object(
    {"dex": TEXT, "kind": TEXT, "address": ADDRESS, "up": FLAG},
    pair=TEXT,
    pool=TEXT,
    fee_ratio=RATIO,
    tokens=_list(_TOKEN),
    reserves=_null(_list(AMOUNT)),
    liquidity=_null(AMOUNT),
    price=_null(AMOUNT),
    block=_null(COUNT),
    learned=TIME,
    changed=TIME,
    changes=COUNT,
    preconfirmed=FLAG,
)
_WALLET: Final = _object(
    {"wallet": TEXT, "address": ADDRESS},
    balance_eth=_null(AMOUNT),
    nonce=_null(COUNT),
    nonce_gap=_null(COUNT),
    pending_transactions=_null(COUNT),
    stuck_transactions=_null(COUNT),
    oldest_pending=_null(TIME),
    runway_seconds=_null(RATIO),
    tokens=_named(AMOUNT),
)
_SURVEY: Final = {"files": COUNT, "bytes": COUNT, "last_write": _null(TIME), "truncated": FLAG}
_STORE: Final = _object(
    {"store": TEXT, "up": FLAG},
    **_SURVEY,
    growth_bytes_per_second=_null(NUMBER),
    backups=_object({"count": COUNT, "newest": _null(TIME)}),
)
_DIRECTORY: Final = _object(
    {"directory": TEXT},
    **_SURVEY,
    up=FLAG,
    backups=COUNT,
    invalid_files=_list(_object({"kind": TEXT, "reason": TEXT, "count": COUNT})),
    documents=_list(_object({"directory": TEXT, "document": TEXT, "valid": _null(FLAG), "last_write": TIME})),
)
_COLLECTOR: Final = _object({
    "success": _null(FLAG),
    "last_success": _null(TIME),
    "duration_seconds": _null(RATIO),
    "error": _null(TEXT),
    "first_read": _null(_object({"done": COUNT, "total": COUNT})),
})  # fmt: skip
_ALERT_STATE: Final[Schema] = {"type": "string", "enum": ["firing", "resolved"]}
_ALERT: Final = _object({
    "fingerprint": TEXT,
    "state": _ALERT_STATE,
    "labels": _named(TEXT),
    "annotations": _named(TEXT),
    "starts": TIME,
    "ends": _null(TIME),
})  # fmt: skip
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_LABELS: Final = _named(TEXT) | {"maxProperties": 64, "propertyNames": {"minLength": 1, "maxLength": 128}}
_TOLD_ALERT: Final[Schema] = {
    "type": "object",
    "required": ["status", "labels", "annotations", "startsAt", "endsAt", "fingerprint"],
    "properties": {
        "status": _ALERT_STATE,
        "labels": _LABELS,
        "annotations": _LABELS,
        "startsAt": _MOMENT,
        "endsAt": _MOMENT,
        "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{1,64}$"},
    },
}
_RECEIPT: Final = {
    "accepted": COUNT | {"description": "Taken in, and durable."},
    "duplicates": COUNT | {"description": "Known already."},
    "conflicts": COUNT | {"description": "Known with other content; ignored."},
}

ALL: Final[dict[str, Schema]] = {
    "Error": _object({"error": _object({"code": TEXT, "message": TEXT})}),
    "Status": _object({
        "version": TEXT,
        "bot": TEXT,
        "chain_id": _null(COUNT),
        "ready": FLAG,
        "ledger_degraded": _null(FLAG),
        "live_clients": COUNT,
        "collectors": _named(_COLLECTOR),
        "not_configured": _named(TEXT),
        "provenance": _named({"type": "string", "enum": ["real", "simulated", "unverified"]}),
    }),
    "Readiness": _object({
        "ready": FLAG,
        "reasons": _list(TEXT),
        "first_reads": _named(_object({"done": COUNT, "total": COUNT})),
        "failing": _named(TEXT),
    }),
    "Price": _PRICE,
    "Prices": _page("prices", reference("Price"), spreads=_list(_SPREAD)),
    "Trade": _TRADE,
    "Trades": _page("trades", reference("Trade")),
    "Opportunity": _OPPORTUNITY,
    "Opportunities": _page("opportunities", reference("Opportunity")),
    "Gas": _object({"gas": _null(_GAS)}),
    "Pools": _page("pools", _POOL),
    "Wallets": _page("wallets", _WALLET),
    "Storage": _page("stores", _STORE, memory_bank=_list(_DIRECTORY)),
    "Config": _object({"config": {"type": "object"}}),
    "Alert": _ALERT,
    "Alerts": _page("alerts", reference("Alert")),
    "AlertmanagerMessage": {
        "type": "object",
        "description": "Alertmanager's webhook message; what it holds beside this is passed over.",
        "required": ["version", "status", "alerts"],
        "properties": {
            "version": {"const": "4"},
            "status": _ALERT_STATE,
            "alerts": _list(_TOLD_ALERT) | {"maxItems": 1000},
        },
    },
    "Event": event_schema.event(),
    "Events": {"oneOf": [reference("Event"), _list(reference("Event"))]},
    "EventLines": TEXT | {"description": "NDJSON: one `Event` in each line."},
    "EventsTaken": _object(_RECEIPT),
    "EventsInvalid": _object({
        "error": _object({
            "code": TEXT,
            "message": TEXT,
            "index": COUNT | {"description": "Of the first bad record in the body, from 0 on."},
            "field": _null(TEXT | {"description": "What is wrong in it; null: all of it."}),
        }),
        **_RECEIPT,
        "invalid": COUNT,
    }),
    "Accepted": _object({"alerts": COUNT, "news": COUNT}),
    "Ticket": _object({"ticket": TEXT, "expires_in_s": COUNT}),
}  # fmt: skip

"""What the bot's files hold, as records: trades, opportunities and executions, in every shape that was seen."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from exporter.metrics import UNKNOWN, label
from exporter.sources.files import Unreadable
from exporter.sources.pairs import pair_of_symbols

WEI: Final = 10**18
SUCCESS, FAILED = "success", "failed"
EARLIEST: Final = 1_438_269_973.0
"""The first block of the first EVM chain: no trade is older."""
LATEST: Final = 4_102_444_800.0
"""The first second of the year 2100: what is later was not meant in seconds."""
_CONTEXT: Final = Context(prec=120, rounding=ROUND_HALF_EVEN)
_LARGEST_WEI: Final = 10**40
_TX_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_WEI_TEXT: Final = re.compile(r"-?[0-9]{1,41}")
_EPOCH_NAME: Final = re.compile(r"trade_([0-9]{9,11})\.json", re.ASCII)

# The closed set of failure reasons, and the words in the bot's texts that mean them; the first match counts.
_REASONS: Final = (
    ("slippage", re.compile(r"slippage|insufficient_output|too little received|price moved|price impact")),
    ("insufficient_liquidity", re.compile(r"liquidity")),
    ("insufficient_funds", re.compile(r"insufficient (?:funds|balance)|exceeds balance|not enough")),
    ("front_run", re.compile(r"front[- _]?r[ua]n|sandwich|mev")),
    ("unprofitable", re.compile(r"profit|negative spread|spread closed")),
    ("nonce", re.compile(r"nonce|replacement|already known")),
    ("gas", re.compile(r"\bgas\b|intrinsic|base fee|underpriced")),
    ("flash_loan", re.compile(r"flash")),
    ("timeout", re.compile(r"time[d ]*out|deadline|expired")),
    ("connection", re.compile(r"connect|network|rpc|http|unavailable|rate limit")),
    ("reverted", re.compile(r"revert|execution failed|status 0|call_exception")),
)
REASONS: Final = (*(name for name, _ in _REASONS), "other", UNKNOWN)


@dataclass(frozen=True, slots=True)
class Trade:
    """One finished trade. Amounts are wei of ether, None where the source says nothing; `time` is epoch seconds."""

    key: bytes
    digest: bytes
    time: float | None
    pair: str
    dex_buy: str
    dex_sell: str
    outcome: str
    reason: str | None
    net_wei: int | None
    gas_wei: int | None
    expected_wei: int | None
    tx_hash: str | None


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A chance the bot saw."""

    id: str
    digest: bytes
    pair: str
    dex_buy: str
    dex_sell: str
    expected_wei: int | None


@dataclass(frozen=True, slots=True)
class Execution:
    """A trade whose pair and venues are those of an opportunity, told elsewhere."""

    trade: Trade
    opportunity_id: str | None


type Record = Trade | Opportunity | Execution


def from_file(name: str, document: Any, zone: ZoneInfo) -> Record:
    """The record in one file of `trades/`; `zone` is the one of naive times.

    Raises:
        Unreadable: `shape`, or `number` for an amount that cannot be one.
    """
    if not isinstance(document, dict):
        raise Unreadable("shape")
    if isinstance(document.get("opportunity"), dict):
        return _trade_file(name, document, zone)
    if "opportunity_id" in document:
        return _execution(name, document, zone)
    if "expected_profit_wei" in document:
        return _opportunity(document)
    raise Unreadable("shape")


def from_row(row: Any, zone: ZoneInfo) -> Trade:
    """A row of `recent_trades.json`, whose times are local whatever zone they claim.

    Raises:
        Unreadable: as `from_file`.
    """
    if not isinstance(row, dict):
        raise Unreadable("shape")
    digest = content_digest(row)
    return Trade(
        key=_key(row, digest),
        digest=digest,
        time=moment(row.get("timestamp"), zone, false_zone=True),
        pair=pair_of_symbols(row.get("token_pair")),
        dex_buy=venue(row.get("dex_1")),
        dex_sell=venue(row.get("dex_2")),
        **_result(row, _flag(row), "profit"),
        gas_wei=ether(row.get("gas_cost")),
        expected_wei=None,
        tx_hash=_tx_hash(row),
    )


def _trade_file(name: str, document: dict[str, Any], zone: ZoneInfo) -> Trade:
    opportunity = document["opportunity"]
    digest = content_digest(document)
    return Trade(
        key=_key(document, digest),
        digest=digest,
        time=_file_time(name, document, zone),
        pair=pair_of_symbols(opportunity.get("token_pair")),
        dex_buy=venue(opportunity.get("dex_1")),
        dex_sell=venue(opportunity.get("dex_2")),
        **_result(document, _flag(document), "net_profit"),
        gas_wei=ether(document.get("gas_cost")),
        expected_wei=ether(opportunity.get("potential_profit")),
        tx_hash=_tx_hash(document),
    )


def _execution(name: str, document: dict[str, Any], zone: ZoneInfo) -> Execution:
    status = document.get("status")
    if status not in ("SUCCESSFUL", "FAILED"):
        raise Unreadable("shape")
    digest = content_digest(document)
    outcome = SUCCESS if status == "SUCCESSFUL" else FAILED
    reason = failure_reason(document.get("error")) if outcome == FAILED else None
    trade = Trade(
        key=_key(document, digest),
        digest=digest,
        time=_file_time(name, document, zone),
        pair=UNKNOWN,
        dex_buy=UNKNOWN,
        dex_sell=UNKNOWN,
        outcome=outcome,
        reason=reason,
        net_wei=wei(document.get("actual_profit_wei")),
        gas_wei=wei(document.get("gas_cost_wei")),
        expected_wei=None,
        tx_hash=_tx_hash(document),
    )
    return Execution(trade, _identity(document.get("opportunity_id")))


def _opportunity(document: dict[str, Any]) -> Opportunity:
    digest = content_digest(document)
    return Opportunity(
        id=_identity(document.get("id")) or digest.hex(),
        digest=digest,
        pair=pair_of_symbols(document.get("token_pair")),
        dex_buy=venue(document.get("dex_1")),
        dex_sell=venue(document.get("dex_2")),
        expected_wei=wei(document.get("expected_profit_wei")),
    )


def _result(row: dict[str, Any], success: bool, amount: str) -> dict[str, Any]:
    return {
        "outcome": SUCCESS if success else FAILED,
        "reason": None if success else failure_reason(row.get("error")),
        "net_wei": ether(row.get(amount)),
    }


def _flag(row: dict[str, Any]) -> bool:
    success = row.get("success")
    if not isinstance(success, bool):
        raise Unreadable("shape")
    return success


def _tx_hash(row: dict[str, Any]) -> str | None:
    value = row.get("tx_hash")
    return value.lower() if isinstance(value, str) and _TX_HASH.fullmatch(value) else None


def _identity(value: Any) -> str | None:
    """An id as text, bounded; JSON numbers are ids as well."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    raw = value.encode("utf-8", "surrogatepass")
    return value if len(raw) <= 128 and value.isprintable() else hashlib.sha256(raw).hexdigest()


def _key(row: dict[str, Any], digest: bytes) -> bytes:
    """What tells a trade from every other: its transaction, else its id, else all of its content."""
    if tx_hash := _tx_hash(row):
        return b"t" + bytes.fromhex(tx_hash[2:])
    if identity := _identity(row.get("id")):
        return b"i" + identity.encode("utf-8", "surrogatepass")
    return b"c" + digest


def has_own_key(trade: Trade) -> bool:
    """Whether the source names the trade; rows without a name count by multiplicity."""
    return not trade.key.startswith(b"c")


def content_digest(record: Any) -> bytes:
    """SHA-256 of a record's canonical form: keys sorted, numbers by value, no spaces."""
    text = json.dumps(_canonical(record), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).digest()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _canonical(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_canonical(part) for part in value]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        # A marked string cannot be mistaken for a string of the file, for those are marked too.
        return f"n{Decimal(value).normalize(_CONTEXT)}"
    return f"s{value}" if isinstance(value, str) else value


def venue(value: Any) -> str:
    """A venue's name as reported, if it is one."""
    return UNKNOWN if value is None or value == "" else label(value)


def failure_reason(text: Any) -> str:
    """The closed-set reason that an error text means; the text itself goes nowhere."""
    if not isinstance(text, str) or not text.strip():
        return UNKNOWN
    lowered = text[:500].lower()
    return next((name for name, pattern in _REASONS if pattern.search(lowered)), "other")


def ether(value: Any) -> int | None:
    """An amount of ether in wei, rounded to the nearest; None stays None.

    Raises:
        Unreadable: `number`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unreadable("number")
    return _bounded(int(_CONTEXT.to_integral_value(Decimal(value).scaleb(18, _CONTEXT))))


def wei(value: Any) -> int | None:
    """An amount of wei, written as a decimal string or a whole number; None stays None.

    Raises:
        Unreadable: `number`.
    """
    if value is None:
        return None
    if isinstance(value, str) and _WEI_TEXT.fullmatch(value):
        return _bounded(int(value))
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and value == int(value):
        return _bounded(int(value))
    raise Unreadable("number")


def _bounded(amount: int) -> int:
    if abs(amount) >= _LARGEST_WEI:
        raise Unreadable("number")
    return amount


def _file_time(name: str, document: dict[str, Any], zone: ZoneInfo) -> float | None:
    """The instant in the file's name, which is true UTC; else, also if that cannot be one, what the record says."""
    match = _EPOCH_NAME.fullmatch(name)
    named = _plausible(float(match[1])) if match else None
    return moment(document.get("timestamp"), zone, false_zone=False) if named is None else named


def _plausible(seconds: float) -> float | None:
    return seconds if EARLIEST <= seconds < LATEST else None


def moment(value: Any, zone: ZoneInfo, *, false_zone: bool) -> float | None:
    """A time in any of the forms bots write, as epoch seconds; None if it cannot be one.

    Naive times are of `zone`, and so are those with a `Z` where that is known to be false.
    """
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _plausible(float(value) / (1000 if value > 10**11 else 1)) if 0 < value < 10**13 else None
    if not isinstance(value, str) or not 10 <= len(value) <= 40:
        return None
    try:
        time = datetime.fromisoformat(value[:-1] if false_zone and value[-1] in "zZ" else value)
        seconds = (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        return None
    return _plausible(seconds)

"""Transactions as their senders sign them, and what the chain takes for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

import rlp

from tests.model.deeds import Deed, Nothing

ETHER = 10**18
GWEI = 10**9
ZERO = "0x" + "00" * 32
DEPOSITOR = "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001"
L1_BLOCK = "0x4200000000000000000000000000000000000015"
ORACLE = "0x420000000000000000000000000000000000000f"
BRIDGED = 0x7E
NOTHING = Nothing()


def name(*parts: object) -> str:
    """32 bytes that follow from the parts, as a hash does."""
    return "0x" + sha256("\n".join(map(str, parts)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Order:
    """A signed transaction: the same wherever, and as often as, it is mined. Amounts in wei."""

    sender: str
    nonce: int
    to: str
    deed: Deed = NOTHING
    value: int = 0
    kind: int = 2
    gas_limit: int = 400_000
    tip: int = 10**6
    most: int = GWEI
    """The gas price of old kinds, the highest price of the newer ones."""
    salt: int = 0
    hash: str = field(init=False, default="")
    data: str = field(init=False, default="")

    def __post_init__(self) -> None:
        plain = self.deed == NOTHING
        data = "0x" if plain else "0x12aa3caf" + name(self.deed, self.salt)[2:]
        object.__setattr__(self, "data", data)
        parts = (self.sender, self.nonce, self.to, data, self.value, self.kind, self.gas_limit, self.tip, self.most)
        object.__setattr__(self, "hash", name(*parts, self.salt))

    def price(self, base_fee: int) -> int:
        """Wei per gas in a block with this base fee."""
        return min(self.most, base_fee + self.tip) if self.kind >= 2 else self.most


@dataclass(frozen=True, slots=True)
class Rules:
    """What the chain takes beside the gas, and who tells of it."""

    l1: str = "receipt"
    """Who tells the L1 data fee: the `receipt`, the `oracle` only, or there is `none`."""
    operator: tuple[int, int] | None = None
    """Scalar and constant of the operator fee."""
    operator_by_oracle: bool = False
    """Reckoned as the oracle of a later fork says, a hundred times the scalar without the division by a million."""

    def l1_fee(self, order: Order, number: int, chain_id: int) -> int:
        """Of a transaction in a block."""
        return 0 if self.l1 == "none" else self.l1_fee_of(len(unsigned(order, chain_id)), number)

    def l1_fee_of(self, length: int, number: int) -> int:
        """Of so many bytes."""
        return length * 16 * l1_base_fee(number) * 2269 // 10**6

    def operator_fee(self, gas_used: int) -> int:
        """Of a transaction that used so much gas."""
        if self.operator is None:
            return 0
        scalar, constant = self.operator
        return gas_used * scalar * 100 + constant if self.operator_by_oracle else gas_used * scalar // 10**6 + constant


def l1_base_fee(number: int) -> int:
    """L1's base fee as a block of ours knows it."""
    return 20 * GWEI + number % 7 * 10**6


def unsigned(order: Order, chain_id: int) -> bytes:
    """A transaction as it is signed."""
    to, data = bytes.fromhex(order.to[2:]), bytes.fromhex(order.data[2:])
    end = [order.gas_limit, to, order.value, data]
    if order.kind == 0:
        return bytes(rlp.encode([order.nonce, order.most, *end, chain_id, b"", b""]))
    prices = [order.most] if order.kind == 1 else [order.tip, order.most]
    return bytes([order.kind]) + bytes(rlp.encode([chain_id, order.nonce, *prices, *end, []]))

"""Encoding of transactions, against the libraries that wallets sign with."""

from typing import Any

import pytest
import rlp as oracle
from eth_account._utils.legacy_transactions import serializable_unsigned_transaction_from_dict
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils import keccak, to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import rlp
from exporter.sources.jsonrpc import Malformed

items = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=5), max_leaves=20)
numbers = st.integers(0, 2**80)
addresses = st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
slots = st.integers(0, 2**256 - 1).map(lambda slot: f"0x{slot:064x}")
entries = st.lists(
    st.fixed_dictionaries({"address": addresses, "storageKeys": st.lists(slots, max_size=3)}), max_size=3
)


@given(items)
def test_items_are_encoded_as_everywhere(item: rlp.Item) -> None:
    assert rlp.encode(item) == oracle.encode(item)


@given(st.binary(min_size=50, max_size=70_000))
def test_long_items_are_encoded_as_everywhere(item: bytes) -> None:
    assert rlp.encode([item, [item]]) == oracle.encode([item, [item]])


def as_node(fields: dict[str, Any]) -> dict[str, Any]:
    """A transaction as a node gives it: hexadecimal, `input` for `data`, and more than is asked for."""
    shown = {name: hex(value) if isinstance(value, int) else value for name, value in fields.items()}
    return {**shown, "input": shown.pop("data"), "hash": "0x12", "yParity": "0x1"}


def common(nonce: int, to: str | None, data: bytes) -> dict[str, Any]:
    fields = {"nonce": nonce, "gas": 21_000, "value": 7, "data": "0x" + data.hex(), "chainId": 8453}
    return {**fields, "to": to_checksum_address(to)} if to else fields


@given(numbers, numbers, st.none() | addresses, st.binary(max_size=300))
def test_legacy_transactions_hash_as_the_wallet_hashes_them(nonce: int, fee: int, to: str, data: bytes) -> None:
    fields = {**common(nonce, to, data), "gasPrice": fee}
    expected = serializable_unsigned_transaction_from_dict(fields).hash()
    assert keccak(rlp.unsigned(as_node(fields), 0, 8453)) == expected


@given(numbers, numbers, st.none() | addresses, st.binary(max_size=300), entries)
def test_typed_transactions_hash_as_the_wallet_hashes_them(
    nonce: int, fee: int, to: str, data: bytes, access: list[dict[str, Any]]
) -> None:
    for kind, fees in ((1, {"gasPrice": fee}), (2, {"maxFeePerGas": fee, "maxPriorityFeePerGas": 1})):
        fields = {**common(nonce, to, data), **fees, "type": kind}
        listed = [{**entry, "address": to_checksum_address(entry["address"])} for entry in access]
        expected = TypedTransaction.from_dict({**fields, "accessList": listed}).hash()
        assert keccak(rlp.unsigned(as_node({**fields, "accessList": access}), kind, 8453)) == expected


@given(numbers, addresses, numbers)
def test_delegating_transactions_hash_as_the_wallet_hashes_them(nonce: int, to: str, secret: int) -> None:
    authorization = {
        "chainId": 8453,
        "address": bytes.fromhex(to[2:]),
        "nonce": nonce,
        "yParity": 1,
        "r": secret,
        "s": 5,
    }
    fields = {**common(nonce, to, b""), "maxFeePerGas": 9, "maxPriorityFeePerGas": 1, "type": 4, "accessList": []}
    expected = TypedTransaction.from_dict({**fields, "authorizationList": [authorization]}).hash()
    given_so = {name: hex(v) if isinstance(v, int) else to for name, v in authorization.items()}
    node = {**as_node(fields), "authorizationList": [given_so]}
    assert keccak(rlp.unsigned(node, 4, 8453)) == expected


@pytest.mark.parametrize("kind", [3, 5, 0x7E])
def test_an_unknown_type_is_refused(kind: int) -> None:
    with pytest.raises(Malformed, match="type is not known"):
        rlp.unsigned({}, kind, 1)


@pytest.mark.parametrize(
    "field",
    [{"nonce": "1"}, {"to": "0xzz"}, {"to": 5}, {"input": "0x1"}, {"accessList": "0x"}, {"accessList": [1]},
     {"accessList": [{}]}, {"accessList": [{"address": "0x00", "storageKeys": 7}]},
     {"accessList": [{"address": "0x00", "storageKeys": [None]}]}, {"authorizationList": [{"address": "0x00"}]}],
)  # fmt: skip
def test_nonsense_is_refused(field: dict[str, Any]) -> None:
    good = as_node({**common(1, None, b""), "maxFeePerGas": 9, "maxPriorityFeePerGas": 1})
    with pytest.raises(Malformed):
        rlp.unsigned({**good, **field}, 4, 1)

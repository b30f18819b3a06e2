import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.sources import jsonrpc
from exporter.sources.jsonrpc import Malformed, RateLimited, Refused, RpcError, TooMany


def answer(*parts: object) -> bytes:
    return json.dumps(list(parts)).encode()


def ok(place: object, result: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": place, "result": result}


def test_a_request_numbers_its_calls() -> None:
    sent = json.loads(jsonrpc.request([("eth_chainId", []), jsonrpc.eth_call("0x1", "0x2")]))
    assert sent == [
        {"jsonrpc": "2.0", "id": 0, "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": "0x1", "data": "0x2"}, "latest"]},
    ]


def test_answers_come_back_in_order_and_errors_in_their_place() -> None:
    body = answer(ok(2, "c"), {"id": 1, "error": {"code": 3, "message": "secret"}}, ok(0, None))
    first, second, third, fourth = jsonrpc.answers(body, 4)
    assert (first, third) == (None, "c")
    assert isinstance(second, RpcError)
    assert (second.code, str(second)) == (3, "the node answered with error 3")
    assert isinstance(fourth, Malformed)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[" * 100_000, b"3", b"null", b'"x"', b'[{"id":0,"result":NaN}]', b"\xff", answer(3),
     answer(ok("0", 1)),
     answer(ok(True, 1)), answer(ok(9, 1)), answer(ok(-1, 1)), answer(ok(0, 1), ok(0, 2)), answer({"result": 1}),
     b'{"id":null,"error":{"code":-32600}}', b'{"error":"no"}', b"[]", b'[{"id":0,"result":1e999}]',
     b'[{"id":0,"result":' + b"9" * 5000 + b"}]", b"[" + b"0," * jsonrpc.MOST_VALUES + b"0]"],
)  # fmt: skip
def test_what_is_no_answer_to_the_batch_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        jsonrpc.answers(body, 2)


def test_an_answer_without_result_or_error_is_malformed_alone() -> None:
    first, second = jsonrpc.answers(answer({"id": 0}, ok(1, 5)), 2)
    assert isinstance(first, Malformed)
    assert second == 5


@pytest.mark.parametrize(
    ("parts", "count"),
    [([{"id": None, "error": {"code": -32000, "message": "limit 100 exceeded"}}], 2),
     ([{"id": 0, "error": {"code": -32600, "message": "too large"}}], 2),
     ([{"id": 0, "error": {"code": -32005, "message": "Batch size"}}], 2),
     ([{"id": i, "error": {"code": -32014, "message": "maximum 10 calls in 1 batch"}} for i in (0, 1)], 2),
     ([{"id": None, "error": {"code": -32600}}], 1)],
)  # fmt: skip
def test_a_batch_that_is_refused_as_a_whole_is_told_from_calls_that_fail(parts: list[object], count: int) -> None:
    with pytest.raises(Refused):
        jsonrpc.answers(answer(*parts), count)


def test_errors_of_calls_are_no_refusal_of_their_batch() -> None:
    reverted = [{"id": i, "error": {"code": 3, "message": "reverted: no Batch"}} for i in (0, 1)]
    assert [e.code for e in jsonrpc.answers(answer(reverted[0]), 1)] == [3]
    assert [e.code for e in jsonrpc.answers(answer(*reverted[:1], ok(1, "x")), 2)[:1]] == [3]
    failed = [{"id": i, "error": {"code": -32000, "message": "header not found"}} for i in (0, 1)]
    assert [e.code for e in jsonrpc.answers(answer(*failed), 2)] == [-32000, -32000]


@pytest.mark.parametrize(
    ("result", "outcome"),
    [(None, "ok"), ("0x1", "ok"), (RpcError(3), "rpc_error"), (RpcError(-32005), "rate_limited"),
     (Malformed("x"), "malformed")],
)  # fmt: skip
def test_the_outcome_of_a_call(result: object, outcome: str) -> None:
    assert jsonrpc.outcome(result) == outcome


def test_a_batch_of_one_may_be_answered_by_one_object() -> None:
    assert jsonrpc.answers(json.dumps(ok(0, 7)).encode(), 1) == [7]


@pytest.mark.parametrize("code", [-32005, -32029, 429])
def test_a_limit_of_the_rate_is_told_from_an_error(code: int) -> None:
    whole = json.dumps({"id": None, "error": {"code": code}}).encode()
    each = answer({"id": 0, "error": {"code": code}}, {"id": 1, "error": {"code": code}})
    for body in (whole, each):
        with pytest.raises(RateLimited):
            jsonrpc.answers(body, 2)


@pytest.mark.parametrize("error", ["text", {"code": "x"}, {"code": True}, {"code": 10**12}, {}, []])
def test_odd_errors_have_no_code(error: object) -> None:
    (found,) = jsonrpc.answers(answer({"id": 0, "error": error}), 1)
    assert isinstance(found, RpcError)
    assert found.code == 0


@given(st.integers(0, 2**256 - 1))
def test_a_quantity_is_what_python_writes(number: int) -> None:
    assert jsonrpc.quantity(hex(number)) == number


@pytest.mark.parametrize(
    "value", [None, 5, "", "0x", "12", "0xg", "-0x1", "0x" + "f" * 65, [], "0x\u0663", " 0x1", "0x1\n"]
)
def test_what_is_no_quantity(value: object) -> None:
    with pytest.raises(Malformed):
        jsonrpc.quantity(value)


@given(st.lists(st.integers(0, 2**256 - 1), min_size=1, max_size=7), st.binary(max_size=31))
def test_words_are_read_and_the_rest_ignored(numbers: list[int], rest: bytes) -> None:
    data = "0x" + "".join(f"{n:064x}" for n in numbers) + rest.hex()
    assert jsonrpc.words(data, len(numbers)) == numbers
    assert jsonrpc.words(data, 1) == numbers[:1]


@pytest.mark.parametrize("value", [None, "", "0x", "0x1", "0x" + "0" * 63, "0x" + "g" * 64, 7])
def test_what_are_no_words(value: object) -> None:
    with pytest.raises(Malformed):
        jsonrpc.words(value, 1)


def test_an_error_in_a_place_is_raised_as_it_is() -> None:
    error = RpcError(3)
    for read in (jsonrpc.quantity, lambda v: jsonrpc.words(v, 1), lambda v: jsonrpc.field(v, "x")):
        with pytest.raises(RpcError) as caught:
            read(error)
        assert caught.value is error


def test_a_member_of_an_object() -> None:
    assert jsonrpc.field({"a": None}, "a") is None
    for value in (None, [], {"b": 1}):
        with pytest.raises(Malformed):
            jsonrpc.field(value, "a")


@given(st.binary(max_size=120), st.integers(0, 3))
def test_any_bytes_are_read_or_refused(body: bytes, count: int) -> None:
    try:
        assert len(jsonrpc.answers(body, count)) == count
    except (Malformed, RateLimited):
        pass


def test_call_data_is_a_selector_and_words() -> None:
    assert jsonrpc.call_data("0x70a08231", 1) == "0x70a08231" + "0" * 63 + "1"


def test_honest_answers_may_have_many_values_if_they_are_long() -> None:
    honest = answer(ok(0, [{"hash": "0x" + "ab" * 32}] * 150_000))
    assert len(jsonrpc.answers(honest, 1)[0]) == 150_000
    with pytest.raises(TooMany):
        jsonrpc.answers(b"[" + b"{}," * 150_000 + b"0]", 1)

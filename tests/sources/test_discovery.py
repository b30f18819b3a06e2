import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from demo.world import World
from exporter.sources import discovery
from tests import chain_model as model
from tests.fake_rpc import CHAIN_ID, KEY, Node, node, status, text, word
from tests.running import free_port


async def in_thread(call, *args):
    import asyncio

    return await asyncio.to_thread(call, *args)


@pytest.fixture
async def own():
    async with node() as made:
        model.serve(made)
        yield made


def ask(own: Node, pools: list[str], tokens: list[str]) -> dict[str, object]:
    return {"urls": [own.url], "chain_id": CHAIN_ID, "pools": pools, "tokens": tokens}


async def test_every_kind_is_told_by_its_answers(own: Node) -> None:
    pools = [model.V2_A, model.V3, model.SLIPSTREAM, model.STABLE, model.VOLATILE, model.WETH, model.NOBODY]
    found = await in_thread(discovery.inspect, ask(own, pools, [model.NOBODY]))
    kinds = {address: pool and (pool["kind"], pool["fee"]) for address, pool in found["pools"].items()}
    assert kinds == {
        model.V2_A: ("uniswap_v2", 3000),
        model.V3: ("uniswap_v3", 500),
        model.SLIPSTREAM: ("slipstream", 400),
        model.STABLE: ("solidly", 3000),
        model.VOLATILE: ("solidly", 3000),
        model.WETH: None,
        model.NOBODY: None,
    }
    assert found["tokens"] == {
        model.WETH: {"symbol": "WETH", "decimals": 18, "checksum": "0x4200000000000000000000000000000000000006"},
        model.USDC: {"symbol": "USDC", "decimals": 6, "checksum": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"},
        model.NOBODY: None,
    }


@pytest.mark.parametrize("symbol", ["", "\x00", "a\nb", "x" * 70, "\u202eCDSU", "US\u200bDC"])
async def test_a_symbol_that_is_none_makes_no_token(own: Node, symbol: str) -> None:
    contracts = model.serve(own)
    contracts.code[model.WETH]["0x95d89b41"] = model.text(symbol)
    assert (await in_thread(discovery.inspect, ask(own, [], [model.WETH])))["tokens"] == {model.WETH: None}


@pytest.mark.parametrize(
    ("error", "answered"),
    [({"code": -32000, "message": "execution reverted"}, True), ({"code": -32015, "message": "VM error"}, True),
     ({"code": 3, "message": "no"}, True), ({"code": -32000, "message": "invalid opcode: INVALID"}, True),
     ({"code": -32000, "message": "header not found"}, False), ({"code": -32000}, False),
     ({"code": -32603, "message": "busy"}, False), ({"code": -32005, "message": "slow down"}, False)],
)  # fmt: skip
async def test_a_revert_is_an_answer_and_trouble_is_none(own: Node, error: dict[str, object], answered: bool) -> None:
    own.answers["eth_call"] = {"error": error}
    if answered:
        assert (await in_thread(discovery.inspect, ask(own, [model.V2_A], [])))["pools"] == {model.V2_A: None}
    else:
        with pytest.raises(discovery.Unanswered):
            await in_thread(discovery.inspect, ask(own, [model.V2_A], []))


async def test_a_passing_trouble_never_makes_a_stable_pool_an_ordinary_one(own: Node) -> None:
    contracts = model.serve(own)
    contracts.code[model.STABLE]["0x22be3de1"] = {"error": {"code": -32000, "message": "header not found"}}  # type: ignore[assignment]
    found = await in_thread(discovery.inspect, ask(own, [model.STABLE, model.V2_A], []))
    assert list(found["pools"]) == [model.V2_A]


@pytest.mark.parametrize(
    ("selector", "answer"),
    [("0x0dfe1681", word(2**200)), ("0xd21220a7", word(0)), ("0xddca3f43", word(2**255)), ("0x3850c7bd", word(5)),
     ("0x0dfe1681", model.REVERT)],
)  # fmt: skip
async def test_an_odd_contract_is_no_pool_and_costs_only_itself(own: Node, selector: str, answer: str) -> None:
    contracts = model.serve(own)
    contracts.code[model.V3][selector] = answer
    found = await in_thread(discovery.inspect, ask(own, [model.V3, model.V2_A], []))
    assert found["pools"][model.V3] is None
    assert found["pools"][model.V2_A]["kind"] == "uniswap_v2"
    assert found["tokens"].keys() == {model.WETH, model.USDC}


async def test_reserves_that_are_too_short_are_none(own: Node) -> None:
    contracts = model.serve(own)
    contracts.code[model.V2_A]["0x0902f1ac"] = word(1, 2)
    contracts.code[model.STABLE]["0xc45a0155"] = word(0)
    found = await in_thread(discovery.inspect, ask(own, [model.V2_A, model.STABLE], []))
    assert found["pools"][model.V2_A] is None
    assert (found["pools"][model.STABLE]["fee"], found["pools"][model.STABLE]["factory"]) == (0, None)


async def test_much_trouble_or_too_little_time_ends_a_look_up_with_what_is_known(
    own: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = model.serve(own)
    odd = [f"0x{i:040x}" for i in range(1000, 1005)]
    contracts.code |= {address: {"0x0902f1ac": {"error": {"code": -32603, "message": "x"}}} for address in odd}  # type: ignore[misc]
    found = await in_thread(discovery.inspect, ask(own, [model.V2_A, *odd, model.V2_B], [model.WETH]))
    assert list(found["pools"]) == [model.V2_A]
    assert found["tokens"].keys() == {model.WETH, model.USDC}
    assert len([1 for method, call in own.calls if method == "eth_call" and call[0]["to"].lower() in odd]) == 3
    monkeypatch.setattr(discovery, "ENOUGH", -1.0)
    with pytest.raises(discovery.Unanswered):
        await in_thread(discovery.inspect, ask(own, [model.V2_A], [model.WETH]))


async def test_proxies_of_the_environment_are_not_used(own: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    assert (await in_thread(discovery.inspect, ask(own, [], [model.WETH])))["tokens"][model.WETH]


async def test_a_bomb_costs_the_child_only(own: Node) -> None:
    packed = gzip.compress(bytes(1 << 20), 9) * 1024  # a gigabyte, in members as gzip allows

    async def bomb(request, body):
        response = await text(packed)(request, body)
        response.headers["Content-Encoding"] = "gzip"
        return response

    own.fault = bomb
    command = [sys.executable, "-m", "exporter.sources.discovery"]
    request = json.dumps(ask(own, [model.V2_A], []))
    done = await in_thread(lambda: subprocess.run(command, input=request, capture_output=True, text=True, check=False))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


async def test_the_next_node_is_asked_if_one_is_down_or_serves_another_chain(own: Node) -> None:
    async with node() as broken, node() as other:
        broken.fault = status(500)
        other.answers["eth_chainId"] = "0x1"
        request = ask(own, [], [model.WETH]) | {"urls": [broken.url, other.url, own.url]}
        assert (await in_thread(discovery.inspect, request))["tokens"][model.WETH]
        with pytest.raises(discovery.Unanswered):
            await in_thread(discovery.inspect, request | {"urls": [broken.url, other.url]})


async def test_the_child_answers_on_its_output_and_says_nothing_else(own: Node) -> None:
    request = json.dumps(ask(own, [model.V2_A], []))
    command = [sys.executable, "-m", "exporter.sources.discovery"]
    done = await in_thread(lambda: subprocess.run(command, input=request, capture_output=True, text=True, check=False))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["pools"][model.V2_A]["kind"] == "uniswap_v2"


def test_a_child_that_learns_nothing_ends_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    request = {"urls": [f"http://127.0.0.1:{free_port()}/{KEY}"], "chain_id": 1, "pools": [], "tokens": []}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
    assert discovery.main() == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO("{"))
    assert discovery.main() == 1


async def test_a_child_in_this_process(
    own: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(ask(own, [], [model.WETH]))))
    assert await in_thread(discovery.main) == 0
    assert json.loads(capsys.readouterr().out)["pools"] == {}


async def test_discover_prints_settings_ready_to_use(
    own: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RPC", own.url)
    code = await in_thread(discovery.run, "env:RPC", [model.V2_A, model.VOLATILE, model.USDC])
    out = capsys.readouterr().out
    chain = yaml.safe_load(out)["chain"]
    assert code == 0
    assert chain["chain_id"] == CHAIN_ID
    assert chain["tokens"] == ["0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"]
    assert [(p["dex"], p["kind"], p["address"].lower()) for p in chain["pools"]] == [
        ("unknown", "uniswap_v2", model.V2_A),
        ("aerodrome", "solidly", model.VOLATILE),
    ]
    assert "# WETH/USDC, fee 0.3 %" in out
    assert "# USDC, 6 decimals" in out


async def test_discover_names_what_it_does_not_know(own: Node, capsys: pytest.CaptureFixture[str]) -> None:
    contracts = model.serve(own)
    contracts.code[model.V3]["0x3850c7bd"] = {"error": {"code": -32603, "message": KEY}}  # type: ignore[assignment]
    asked = [model.NOBODY, "0x12", model.USDC, model.USDC.upper().replace("X", "x"), "\x1b[31m", model.V3]
    code = await in_thread(discovery.run, own.url, asked)
    said = capsys.readouterr()
    assert code == 1
    assert said.err.splitlines() == [
        "0x12: is not an address (0x and 40 hexadecimal digits)",
        "\\x1b[31m: is not an address (0x and 40 hexadecimal digits)",
        f"{model.NOBODY}: is neither a pool nor a token on this chain",
        f"{model.V3}: was not answered for",
    ]
    assert said.out.count("USDC") == 1


@pytest.mark.parametrize("rpc", ["env:RPC", "${RPC}", "${SCHEME}${REST}"])
async def test_the_url_may_come_from_the_environment(
    rpc: str, own: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"RPC": own.url, "SCHEME": own.url[:7], "REST": own.url[7:]}.items():
        monkeypatch.setenv(name, value)
    assert await in_thread(discovery.run, rpc, [model.USDC]) == 0
    assert "USDC" in capsys.readouterr().out


@pytest.mark.parametrize("rpc", ["env:NOT_SET_ANYWHERE", "${NOT_SET_ANYWHERE}", "http://x/${NOT_SET_ANYWHERE}"])
def test_a_variable_that_is_not_set_is_told(rpc: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert discovery.run(rpc, [model.USDC]) == 1
    assert capsys.readouterr() == ("", "--rpc: the environment variable is not set\n")


async def test_discover_without_a_node_says_so_and_hides_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    code = await in_thread(discovery.run, f"http://127.0.0.1:{free_port()}/{KEY}", [model.WETH])
    said = capsys.readouterr()
    assert (code, said.out) == (1, "")
    assert "does not answer" in said.err
    assert KEY not in said.err


def test_a_pool_of_a_token_without_symbol_says_so() -> None:
    pool = {"kind": "uniswap_v2", "token0": "0x1", "token1": "0x2", "fee": 3000, "factory": "0x0", "checksum": "0xA"}
    assert "# a token without symbol" in discovery.yaml_of(1, {"0xa": pool}, {"0xb": None}, {"0x1": None})


async def test_real_exchanges_on_a_real_node(tmp_path: Path) -> None:
    async with World(tmp_path / "world", block_time=1) as world:
        about = world.description
        request = {"urls": [world.rpc_url], "chain_id": about.chain_id,
                   "pools": [p.address.lower() for p in about.pools],
                   "tokens": [about.wallets["bot"].lower()]}  # fmt: skip
        found = await in_thread(discovery.inspect, request)
    assert {p["kind"] for p in found["pools"].values()} == {"uniswap_v2"}
    known = {t["symbol"]: t["decimals"] for t in found["tokens"].values() if t}
    assert known == {token.symbol: token.decimals for token in about.tokens}
    assert found["tokens"][about.wallets["bot"].lower()] is None

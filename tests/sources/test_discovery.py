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
from tests.fake_rpc import CHAIN_ID, KEY, Node, node, status
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


@pytest.mark.parametrize("symbol", ["", "\x00", "a\nb", "x" * 70])
async def test_a_symbol_that_is_none_makes_no_token(own: Node, symbol: str) -> None:
    contracts = model.serve(own)
    contracts.code[model.WETH]["0x95d89b41"] = model.text(symbol)
    assert (await in_thread(discovery.inspect, ask(own, [], [model.WETH])))["tokens"] == {model.WETH: None}


@pytest.mark.parametrize(
    ("error", "answered"),
    [({"code": -32000, "message": "execution reverted"}, True), ({"code": -32015, "message": "VM error"}, True),
     ({"code": -32603, "message": "busy"}, False), ({"code": -32005, "message": "slow down"}, False)],
)  # fmt: skip
async def test_a_revert_is_an_answer_and_trouble_is_none(own: Node, error: dict[str, object], answered: bool) -> None:
    own.answers["eth_call"] = {"error": error}
    if answered:
        assert (await in_thread(discovery.inspect, ask(own, [model.V2_A], [])))["pools"] == {model.V2_A: None}
    else:
        with pytest.raises(Exception, match=r"."):
            await in_thread(discovery.inspect, ask(own, [model.V2_A], []))


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
    code = await in_thread(discovery.run, own.url, [model.NOBODY, "0x12", model.USDC])
    said = capsys.readouterr()
    assert code == 1
    assert said.err.splitlines() == [
        "0x12: is not an address (0x and 40 hexadecimal digits)",
        f"{model.NOBODY}: is neither a pool nor a token on this chain",
    ]
    assert "USDC" in said.out


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

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Chain, Endpoint, Pool
from exporter.ledger import Ledger
from exporter.settings import Secret
from exporter.sources import contracts
from exporter.sources.contracts import Contracts, NoAnswer, PoolFacts, Token, ask_child
from tests import chain_model as model
from tests.fake_rpc import KEY, chain, node
from tests.running import eventually

POOL = {"kind": "uniswap_v2", "token0": model.WETH, "token1": model.USDC, "fee": 3000}
TOKENS = {model.WETH: {"symbol": "WETH", "decimals": 18}, model.USDC: {"symbol": "USDC", "decimals": 6}}
FACTS = PoolFacts(model.V2_A, "uniswap_v2", Token(model.WETH, "WETH", 18), Token(model.USDC, "USDC", 6), 3000)


def configured(**more: Any) -> Chain:
    endpoint = Endpoint("first", Secret("http://127.0.0.1:1/"))
    return Chain(8453, (endpoint,), pools=(Pool("a", "uniswap_v2", model.V2_A),), tokens=(model.WETH,), **more)


class Child:
    """Stands in for the child process; counts how often it was asked."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []

    async def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, dict)
        return answer


async def looked_up(found: Contracts) -> None:
    await found.known()
    assert found._task is not None
    await asyncio.wait([found._task])


async def test_what_is_found_is_kept_and_a_restart_asks_nobody(tmp_path: Path) -> None:
    child = Child({"pools": {model.V2_A: POOL}, "tokens": TOKENS})
    async with Ledger(tmp_path) as ledger:
        found = Contracts(configured(), ledger, child)
        first = await found.known()
        assert (first.pools, first.pending) == ({}, True)
        await looked_up(found)
        known = await found.known()
        assert known.pools == {model.V2_A: FACTS}
        assert known.tokens[model.USDC].decimals == 6
        assert not known.pending
        await found.known()
        assert len(child.requests) == 1
        assert child.requests[0]["pools"] == [model.V2_A]
        await found.close()
    async with Ledger(tmp_path) as ledger:
        again = Contracts(configured(), ledger, Child())
        assert (await again.known()).pools == {model.V2_A: FACTS}
        assert again._task is None
        await again.close()


async def test_another_chain_knows_nothing_of_this_one(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        found = Contracts(configured(), ledger, Child({"pools": {model.V2_A: POOL}, "tokens": TOKENS}))
        await looked_up(found)
        other = Contracts(Chain(1, configured().endpoints, pools=configured().pools), ledger, Child(NoAnswer("no")))
        assert (await other.known()).pools == {}
        await other.close()


async def test_what_fails_is_tried_again_later_and_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(contracts.time, "monotonic", lambda: now[0])
    child = Child(
        NoAnswer("no node"),
        {"pools": {model.V2_A: None}, "tokens": TOKENS},
        {"pools": {model.V2_A: POOL}, "tokens": {}},
    )
    async with Ledger(tmp_path) as ledger:
        found = Contracts(configured(), ledger, child)
        await looked_up(found)
        await looked_up(found)
        assert len(child.requests) == 1
        now[0] += 2.1
        await looked_up(found)
        assert (await found.known()).tokens[model.WETH].symbol == "WETH"
        assert child.requests[1]["tokens"] == [model.WETH]
        now[0] += 4.1
        await looked_up(found)
        assert child.requests[2]["tokens"] == []
        assert not (await found.known()).pending
        await found.close()


async def test_while_nodes_are_down_it_is_tried_at_least_every_half_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(contracts.time, "monotonic", lambda: now[0])
    child = Child(*[NoAnswer("no node")] * 10, *[{"pools": {model.V2_A: None}, "tokens": {model.WETH: None}}] * 10)
    waits = []
    async with Ledger(tmp_path) as ledger:
        found = Contracts(configured(), ledger, child)
        for _ in range(12):
            await looked_up(found)
            waits.append(found._due - now[0])
            now[0] = found._due
        await found.close()
    assert waits == [2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 300, 300]


async def test_what_is_no_pool_or_token_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    answer = {"pools": {model.V2_A: None}, "tokens": {model.WETH: None}}
    async with Ledger(tmp_path) as ledger:
        found = Contracts(configured(), ledger, Child({"pools": {}, "tokens": {}}, answer, answer))
        for told in (0, 2, 2):
            with caplog.at_level(logging.WARNING, "exporter.contracts"):
                await looked_up(found)
            assert len(caplog.records) == told
            found._due = 0.0
        await found.close()
    assert [record.msg for record in caplog.records] == ["this is no pool of a known kind", "this is no token"]


async def test_a_pool_whose_token_is_unknown_is_unknown(tmp_path: Path) -> None:
    async with Ledger(tmp_path) as ledger:
        found = Contracts(configured(), ledger, Child({"pools": {model.V2_A: POOL}, "tokens": {model.WETH: None}}))
        await looked_up(found)
        assert (await found.known()).pools == {}
        await found.close()


async def test_the_child_finds_out_by_itself_and_gets_no_secret_in_its_arguments(tmp_path: Path) -> None:
    async with node() as own, Ledger(tmp_path) as ledger:
        model.serve(own)
        made = chain(own, pools=(Pool("a", "uniswap_v2", model.V2_A),))
        found = Contracts(made, ledger)
        await found.known()
        seen: set[bytes] = set()

        def done() -> bool:
            seen.update(_command_lines())
            return found._task is not None and found._task.done()

        await eventually(done, 60)
        assert (await found.known()).pools == {model.V2_A: FACTS}
        await found.close()
    assert any(b"exporter.sources.discovery" in line for line in seen)
    assert not any(KEY.encode() in line for line in seen)


def _command_lines() -> list[bytes]:
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines.append((entry / "cmdline").read_bytes() + (entry / "environ").read_bytes())
            except OSError:
                continue
    return lines


async def test_closing_ends_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pidfile = tmp_path / "pid"
    script = f"import os,time; open({str(pidfile)!r},'w').write(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(contracts, "CHILD", (contracts.sys.executable, "-c", script))
    async with Ledger(tmp_path / "state") as ledger:
        found = Contracts(configured(), ledger)
        await found.known()
        await eventually(lambda: pidfile.exists() and pidfile.read_text())
        await found.close()
        with pytest.raises(ProcessLookupError):
            os.kill(int(pidfile.read_text()), 0)
        await Contracts(configured(), ledger).close()


@pytest.mark.parametrize(
    "script", ["raise SystemExit(1)", "print('no json')", "print('[]')", "print('{}'); raise SystemExit(3)"]
)
async def test_a_child_without_an_answer(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "CHILD", (contracts.sys.executable, "-c", script))
    with pytest.raises(NoAnswer):
        await ask_child({})


async def test_a_child_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "CHILD", (contracts.sys.executable, "-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(contracts, "TIMEOUT", 0.2)
    with pytest.raises(NoAnswer, match="too long"):
        await ask_child({})

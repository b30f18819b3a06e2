"""What the long run of the Autobahn suite stands on: the echo, the search for Python 2.7, and the verdict."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect

from exporter.live.frames import MAX_MESSAGE
from tests.long import autobahn
from tests.long.autobahn import python2, table, verdict
from tests.long.echoing import Echo, Unbounded, echoing


@pytest.mark.parametrize("kind", [Echo, Unbounded])
async def test_an_echo_says_what_it_hears_and_nothing_else(kind: type[Echo]) -> None:
    async with echoing(kind) as url, connect(url, compression=None) as client:
        for said in ("", "grüße", b"\x00\xff", "x" * MAX_MESSAGE):
            await client.send(said)
            assert await client.recv() == said
        await client.send(["in ", "three ", "parts"])
        assert await client.recv() == "in three parts"
        await (await client.ping(b"?"))
    assert client.protocol.close_code == 1000


async def test_its_bounds_are_those_of_the_feed_unless_it_has_none() -> None:
    async with echoing(Echo) as url:
        for said, code in (("x" * (MAX_MESSAGE + 1), 1009), ("x" * 70_000, 1009)):
            async with connect(url, compression=None) as client:
                await client.send(said)
                with pytest.raises(websockets.ConnectionClosed):
                    await client.recv()
                assert client.protocol.close_code == code
    async with echoing(Unbounded) as url, connect(url, compression=None, max_size=None) as client:
        for size in (70_000, 3_000_000):
            await client.send(b"x" * size)
            assert len(await client.recv()) == size
        for number in range(2_000):
            await client.send(str(number))
        assert [await client.recv() for _ in range(2_000)] == [str(number) for number in range(2_000)]


def result(behavior: str = "OK", close: str = "OK", code: int = 1000) -> dict[str, Any]:
    return {"behavior": behavior, "behaviorClose": close, "remoteCloseCode": code}


BEYOND = {"behavior": "FAILED", "behaviorClose": "FAILED", "remoteCloseCode": 1009}


def test_the_verdict_lets_nothing_pass_but_what_bounds_must_end() -> None:
    good = {"1.1.1": result(), "6.4.1": result("NON-STRICT"), "7.1.6": result("INFORMATIONAL", "INFORMATIONAL")}
    assert verdict("bounded", good) == verdict("unbounded", good) == []
    assert verdict("unbounded", {}) == ["unbounded: no case was run"]
    for bad in (result("FAILED"), result("OK", "UNCLEAN"), result("UNIMPLEMENTED"), result("FAILED", code=1009)):
        assert len(verdict("bounded", good | {"1.1.1": bad})) == 1
    beyond = {"9.1.1": result("FAILED", "FAILED", 1009), "10.1.1": result("FAILED", "FAILED", 1009)}
    assert verdict("bounded", beyond) == []
    assert len(verdict("unbounded", beyond)) == 2
    assert len(verdict("bounded", {"9.1.1": result("FAILED", "FAILED", 1000)})) == 1
    assert "1 cases in 2 s: refused by bounds 1" in table("bounded", {"9.1.1": beyond["9.1.1"]}, 2.0)


def test_without_python_2_it_says_why_it_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert python2() is None
    assert autobahn.main([]) == 0
    assert capsys.readouterr().out.startswith("skipped: the Autobahn suite needs Python 2.7")


def test_one_that_does_not_work_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "versions" / "2.7.18" / "bin"
    folder.mkdir(parents=True)
    shim, real = tmp_path / "python2.7", folder / "python2.7"
    for file, code in ((shim, 1), (real, 0)):
        file.write_text(f"#!/bin/sh\nexit {code}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert python2() == str(real)


async def test_a_case_that_fails_has_one_more_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    async def fuzz(_python: str, _suite: Path, _kind: str, cases: list[str], _reports: Path) -> dict[str, Any]:
        asked.append(cases)
        first = {"1.1.1": result(), "1.1.2": result("FAILED"), "1.1.3": result(close="UNCLEAN"), "9.1.1": BEYOND}
        return first if cases == ["*"] else {"1.1.2": result(), "1.1.3": result("FAILED")}

    monkeypatch.setattr(autobahn, "fuzz", fuzz)
    found = await asyncio.to_thread(autobahn.run, "", "bounded", ["*"], tmp_path)
    assert asked == [["*"], ["1.1.2", "1.1.3"]]
    assert verdict("bounded", found) == ["bounded 1.1.3: FAILED, close OK"]

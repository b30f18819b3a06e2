"""Every collector hangs at once, on files, mounts, the ledger and the node: scrapes do not notice, nor does the end."""

from __future__ import annotations

import http.client
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.test_recovery import frozen, heal
from tests.faults.disturbed import Host
from tests.faults.stage import Stage, playing
from tests.running import until
from tests.tiers import FULL

SECONDS = 130.0 if FULL else 22.0
"""How long it hangs: the longest timeout of a collector is 120 s, that of those that must fail in `make test` 15 s."""
AT_ONCE = 8
ENDS = 5.0
"""Seconds that the end may take with parts that hang."""
SLACK = 0.0 if FULL else 5.0
"""Seconds more on a machine that others keep busy."""


def success(stage: Stage) -> dict[str, float]:
    return {dict(labels)["collector"]: value for (name, labels), value in stage.exporter.samples().items()
            if name == "arb_scrape_collector_success"}  # fmt: skip


class Scrapes:
    """Rounds of eight scrapes that begin at the same moment, each on a connection of its own that stays."""

    def __init__(self, port: int) -> None:
        self._connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(AT_ONCE)]
        self._together = threading.Barrier(AT_ONCE)
        self.seconds: list[float] = []

    def __enter__(self) -> Scrapes:
        for connection in self._connections:
            connection.connect()
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()

    def round(self) -> None:
        """One."""
        threads = [threading.Thread(target=self._scrape, args=(connection,)) for connection in self._connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _scrape(self, connection: http.client.HTTPConnection) -> None:
        self._together.wait(10)
        began = time.monotonic()
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert b"arb_scrape_collector_success{" in answer.read()
        assert answer.status == 200
        self.seconds.append(time.monotonic() - began)


SOON = {"bot_state", "chain", "gas", "host", "process", "wallet"}
"""Collectors of what hangs whose timeouts are 15 s at most."""
HUNG = SOON | {"events", "logs", "memory_bank", "prices", "reconcile", "trades", "wallet_transactions"}
"""All; a store is not among them, for its walk may take minutes: after ten its `arb_storage_up` is 0."""


@pytest.mark.parametrize("ledger", [False, True], ids=["inputs", "inputs and ledger"])
def test_hung_collectors_delay_no_scrape_and_no_end(ledger: bool, tmp_path: Path) -> None:
    names = ["bank", "bot.log", "events.ndjson", "store", "bot.pid", *(["state"] if ledger else [])]
    host = Host(tmp_path, Path("/"), *(tmp_path / name for name in names))
    with playing(tmp_path, **host.environment) as stage:
        stage.act()
        until(lambda: set(stage.counted().values()) == {1} and set(success(stage).values()) == {1}, 60, stage.exporter)
        host.hang()
        frozen(stage.endpoint)
        failed: set[str] = set()
        with Scrapes(stage.exporter.port) as scrapes:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                scrapes.round()
                failed |= {name for name, value in success(stage).items() if value != 1}
                time.sleep(0.2)
        assert SOON <= failed <= HUNG, failed ^ HUNG
        assert failed == HUNG or not FULL, HUNG - failed
        took = sorted(scrapes.seconds)
        middle, late, latest = took[len(took) // 2], took[int(len(took) * 0.99)], took[-1]
        print(f"{len(took)} scrapes: p50 {middle:.3f} s, p99 {late:.3f} s, slowest {latest:.3f} s")
        assert (late if FULL else middle) <= 0.25
        assert latest <= 1 + SLACK
        if not ledger:
            heal(stage.endpoint)
            host.hang(False)
            stage.act()
            until(lambda: set(stage.counted().values()) == {2} and set(success(stage).values()) == {1}, 60)
            host.hang()
            time.sleep(3)
        began = time.monotonic()
        assert stage.exporter.stop() == 0
        print(f"ended in {time.monotonic() - began:.1f} s")
        assert time.monotonic() - began < ENDS + SLACK
        assert "Traceback" not in stage.exporter.stderr.read_text()

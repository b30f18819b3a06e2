"""The settings on show: everything but secrets and addresses of nodes."""

import json
from pathlib import Path
from typing import Any

from exporter import config, log
from exporter.web.redacted import _shown, redacted

TEXT = """
bot: {name: listonian, memory_bank: bank, timezone: America/New_York, logs: [{name: a, path: a.log}]}
chain:
  chain_id: 8453
  endpoints:
    - {name: primary, http: "https://user:canary-one@node.example/v2/canary-two?key=canary-three", ws: "${WS}"}
    - {name: second, http_file: url}
  wallets: [{name: trader, address: "0x1111111111111111111111111111111111111111"}]
live: {grafana: {url: "http://grafana:3000", user: admin, password_file: password}}
access: {ops: [scrape, read]}
"""


def read(folder: Path) -> dict[str, Any]:
    (folder / "url").write_text("https://node.example/canary-four")
    (folder / "password").write_text("canary-five")
    loaded = config.read(TEXT, folder, {"WS": "wss://node.example/canary-six", "HOME": str(folder)})
    assert loaded.settings is not None, loaded.problems
    return redacted(loaded.settings)


def test_all_that_is_no_secret_is_shown(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found["bot"] == {
        "name": "listonian", "memory_bank": str(tmp_path / "bank"), "timezone": "America/New_York",
        "logs": [{"name": "a", "path": str(tmp_path / "a.log")}], "events": None, "process": None, "api": None,
    }  # fmt: skip
    assert found["chain"]["endpoints"] == [{"name": "primary"}, {"name": "second"}]
    assert found["chain"]["wallets"] == [{"name": "trader", "address": "0x" + "1" * 40}]
    assert found["live"]["grafana"] == {
        "url": "<url>", "stream": "arb", "user": "admin", "password_file": "<secret>", "token_file": None,
    }  # fmt: skip
    assert found["access"] == {"ops": ["scrape", "read"]}
    assert found["limits"]["series"] == 2_000


def test_no_secret_is_shown_not_even_in_part(tmp_path: Path) -> None:
    text = json.dumps(read(tmp_path))
    assert "canary" not in text
    assert "node.example" not in text


def test_a_secret_that_stands_elsewhere_is_taken_out(tmp_path: Path) -> None:
    before = log.scrub._pattern, log.scrub._secrets.copy()
    try:
        log.scrub.learn(["hunter2-hunter2"])
        loaded = config.read("storage: [{name: s, path: /data/hunter2-hunter2/x}]", tmp_path, {"HOME": "/h"})
        assert loaded.settings is not None
        assert redacted(loaded.settings)["storage"] == [
            {"name": "s", "path": "/data/<secret>/x", "backup": False},
        ]  # fmt: skip
    finally:
        log.scrub._pattern, log.scrub._secrets = before


def test_what_nobody_thought_of_is_shown_by_its_class() -> None:
    assert _shown(object()) == "object"

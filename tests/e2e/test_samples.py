"""The samples of docs/events.md as they stand there: what they report is counted once, also across a restart."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.test_client import settings, told
from tests.running import running, until

TEXT = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
ADDRESS = "http://127.0.0.1:10453"
COUNT = 20

JAVASCRIPT = """
{sample}
for (let n = 0; n < {count}; n++) report("component", {{ name: `part-${{n}}`, status: "ok" }});
setInterval(() => waiting.length === 0 && process.exit(0), 100);
"""
GO = """package main
import ("bytes"; "encoding/json"; "fmt"; "net/http"; "time")
{sample}
func main() {{
	events := make(chan Event, {count})
	for n := 0; n < {count}; n++ {{
		events <- Event{{"id": fmt.Sprint("go-", n), "type": "component",
			"time": float64(time.Now().UnixMilli()) / 1000, "name": fmt.Sprint("part-", n), "status": "ok"}}
	}}
	close(events)
	Send(events)
}}
"""
RUST = """
{sample}
fn main() {{
    let (sender, events) = std::sync::mpsc::sync_channel({count});
    for n in 0..{count} {{
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        sender.try_send(serde_json::json!({{"id": uuid::Uuid::new_v4().to_string(), "type": "component", "time": now,
            "name": format!("part-{{n}}"), "status": "ok"}})).unwrap();
    }}
    drop(sender);
    send(events);
}}
"""
CARGO = """
[package]
name = "sample"
version = "0.0.0"
edition = "2021"
[dependencies]
serde_json = "1"
ureq = {{ version = "3", features = ["json"] }}
uuid = {{ version = "1", features = ["v4"] }}
"""


def sample(language: str, url: str) -> str:
    """The one sample in a language, for this exporter."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert ADDRESS in found
    return found.replace(ADDRESS, url)


def javascript(folder: Path, url: str) -> list[str]:
    (folder / "sample.mjs").write_text(JAVASCRIPT.format(sample=sample("js", url), count=COUNT))
    return ["node", "sample.mjs"]


def go(folder: Path, url: str) -> list[str]:
    (folder / "sample.go").write_text(GO.format(sample=sample("go", url), count=COUNT))
    return ["go", "run", "sample.go"]


def rust(folder: Path, url: str) -> list[str]:
    (folder / "src").mkdir()
    (folder / "src" / "main.rs").write_text(RUST.format(sample=sample("rust", url), count=COUNT))
    (folder / "Cargo.toml").write_text(CARGO.format())
    return ["cargo", "run", "-q"]


@pytest.mark.parametrize("language", [javascript, go, rust])
def test_what_a_sample_reports_is_counted_once(language: Callable[[Path, str], list[str]], tmp_path: Path) -> None:
    """It begins while the exporter stands still, and goes on when it answers."""
    with running(settings(tmp_path), tmp_path) as exporter:
        program, *arguments = language(tmp_path, exporter.url)
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")
        if program == "cargo" and subprocess.run(["cargo", "fetch", "-q"], cwd=tmp_path, check=False).returncode:
            pytest.skip("its libraries cannot be had here")
        exporter.process.send_signal(signal.SIGSTOP)
        environment = os.environ | {"GOCACHE": str(tmp_path / "go"), "GOFLAGS": "-mod=mod"}
        with subprocess.Popen([program, *arguments], cwd=tmp_path, env=environment) as bot:
            try:
                with pytest.raises(subprocess.TimeoutExpired):
                    bot.wait(3)
                exporter.process.send_signal(signal.SIGCONT)
                assert bot.wait(300) == 0
            finally:
                exporter.process.send_signal(signal.SIGCONT)
                bot.kill()
        until(lambda: told(exporter, "component") == COUNT, 20, exporter)
        assert not exporter.value("arb_events_conflicts_total", bot="b")

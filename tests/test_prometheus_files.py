import shutil
import subprocess
from pathlib import Path

import yaml

FILE = Path(__file__).parents[1] / "prometheus.yml"


def test_promtool_accepts_the_shipped_configuration() -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is part of Debian's package prometheus; `make test` installs it when root"
    checked = subprocess.run([promtool, "check", "config", str(FILE)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_scrapes_the_default_address() -> None:
    (job,) = yaml.safe_load(FILE.read_text())["scrape_configs"]
    assert job["job_name"] == "arb-exporter"
    assert job["static_configs"] == [{"targets": ["127.0.0.1:10453"]}]

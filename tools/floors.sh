#!/bin/sh
# Installs exactly the oldest versions that pyproject.toml allows, and runs the tests of the core with them.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
cd "$ROOT"

.venv/bin/python -m venv "$SCRATCH/venv"
.venv/bin/python - >"$SCRATCH/floors.txt" <<'PYTHON'
import tomllib
for line in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]:
    print(line.replace(">=", "=="))
PYTHON
"$SCRATCH/venv/bin/python" -m pip install -q --disable-pip-version-check --no-input -r "$SCRATCH/floors.txt" \
    pytest pytest-asyncio hypothesis packaging jsonschema types-pyyaml websockets openapi-spec-validator
"$SCRATCH/venv/bin/python" -m pip list --format=freeze --disable-pip-version-check | grep -i -F -f - "$SCRATCH/floors.txt" |
    sed 's/^/floor: /'
PYTHONPATH=$ROOT "$SCRATCH/venv/bin/python" -m pytest -q -p no:cacheprovider tests/test_config.py tests/test_yaml12.py \
    tests/test_ledger.py tests/test_books.py tests/test_board.py tests/test_exposition.py tests/test_metrics.py \
    tests/web/test_access.py tests/web/test_server.py tests/web/test_gate.py tests/web/test_crowd.py \
    tests/web/test_limits.py tests/web/test_origins.py tests/web/test_api.py tests/web/test_tls.py tests/web/test_ws.py tests/sources/test_rpc.py \
    tests/collectors/test_host.py tests/collectors/test_process.py

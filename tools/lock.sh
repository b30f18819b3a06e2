#!/bin/sh
# The lock file of the image, and its bill of materials; each by a tool in a throw-away environment.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
cd "$ROOT"

tool() {
    .venv/bin/python -m venv "$SCRATCH/venv"
    "$SCRATCH/venv/bin/python" -m pip install -q --disable-pip-version-check --no-input "$1"
}

case ${1:-} in
lock)  # for every Python and machine that the metadata allow; hashes only, no addresses
    tool 'uv>=0.5'
    "$SCRATCH/venv/bin/uv" pip compile pyproject.toml --extra fast --extra scale --universal --python-version 3.12 \
        --generate-hashes --upgrade --no-header --no-annotate --no-emit-index-url -q -o requirements.lock
    grep -c '==' requirements.lock | sed 's/$/ packages locked/'
    ;;
sbom)
    tool 'cyclonedx-bom>=5'
    mkdir -p dist
    "$SCRATCH/venv/bin/cyclonedx-py" requirements requirements.lock --pyproject pyproject.toml --mc-type application \
        --output-format JSON --output-reproducible -o dist/arb-exporter.cdx.json
    grep -c '"purl"' dist/arb-exporter.cdx.json | sed 's/$/ components described in dist\/arb-exporter.cdx.json/'
    ;;
*)
    echo "usage: tools/lock.sh lock|sbom" >&2
    exit 2
    ;;
esac

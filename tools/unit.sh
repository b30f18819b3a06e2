#!/bin/sh
# The tests with coverage, three at a time; `make unit` calls it, and `make branches` with BRANCHES=1.
#
# More run at once than there are processors, and some wait for what a busy machine does late. So if up to MOST failed,
# their files are asked once more, one after the other and alone: who fails again has failed, and who does not is named.
# More than that are a fault of the code, and so is whatever ends the run or one of its programs, or is skipped when asked
# again.
set -eu
cd "$(dirname "$0")/.."
PY=.venv/bin/python
MOST=5
COVERAGE="coverage run${BRANCHES:+ --branch}"
FAILED=.pytest_cache/v/cache/lastfailed

SAID=$(mktemp)
trap 'rm -f "$SAID" "$SAID.code" "$SAID.again"' EXIT

said() { "$@" && echo 0 >"$SAID.code" || echo $? >"$SAID.code"; }

$PY -m coverage erase
rm -f "$FAILED"
said $PY -m $COVERAGE -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder "$@" | tee "$SAID"
code=$(cat "$SAID.code")
if [ "$code" = 1 ] && [ -s "$FAILED" ] && ! grep -q "crashed while running\|\] node down: " "$SAID"; then
    count=$($PY -c 'import json, sys; print(len(json.load(open(sys.argv[1]))))' "$FAILED")
    if [ "$count" -le "$MOST" ]; then
        echo "failed beside others: $count; their files once more, alone:"
        $PY -c 'import json, sys; print(*json.load(open(sys.argv[1])), sep="\n")' "$FAILED" >"$SAID"
        said $PY -m $COVERAGE -m pytest -v $(sed 's/::.*//' "$SAID" | sort -u) | tee "$SAID.again"
        code=$(cat "$SAID.code")
        while read -r name; do
            grep -qF "$name PASSED" "$SAID.again" || { echo "not passed alone: $name"; code=1; }
        done <"$SAID"
    fi
fi
[ "$code" = 0 ] || exit "$code"

# The table of what is not covered is shown when it is too much; otherwise pytest's last line stays in sight.
$PY -m coverage combine -q
total=$($PY -m coverage report --precision=2 --format=total) || { $PY -m coverage report --precision=2; exit 1; }
echo "coverage of exporter/${BRANCHES:+ with branches}: $total %"

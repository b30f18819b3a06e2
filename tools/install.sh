#!/bin/sh
# Installs the exporter for systemd into a virtual environment of its own; `make install` calls it.
#
#   PREFIX=/opt/arb-exporter   where it lives      DESTDIR=   a root other than /, for packages
#   SYSCONFDIR=/etc            settings            UNITDIR=/etc/systemd/system
#
# A second run upgrades; settings that are there stay, and so does the ledger in /var/lib/arb-exporter.
set -eu

ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
PREFIX=${PREFIX:-/opt/arb-exporter}
DESTDIR=${DESTDIR:-}
SYSCONFDIR=${SYSCONFDIR:-/etc}
UNITDIR=${UNITDIR:-/etc/systemd/system}
EXTRA=${EXTRA:-}
home=$DESTDIR$PREFIX
settings=$DESTDIR$SYSCONFDIR/arb-exporter
say() { printf 'install: %s\n' "$*"; }

python=$("$ROOT/tools/setup.sh" python)
[ -e "$ROOT/exporter/web/pages/vendor/uPlot.esm.js" ] || say "the live page's chart library is missing (make assets): it goes on in numbers"
mkdir -p "$home" "$settings" "$DESTDIR$UNITDIR"
"$python" -m venv --clear "$home"
if [ -e "$ROOT/requirements.lock" ]; then
    "$home/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$ROOT/requirements.lock"
    "$home/bin/python" -m pip install -q --disable-pip-version-check --no-deps "$ROOT"
else
    "$home/bin/python" -m pip install -q --disable-pip-version-check "$ROOT$EXTRA"
fi
# Scripts name their interpreter: with DESTDIR it will be elsewhere later.
for script in "$home/bin/"*; do
    [ ! -f "$script" ] || [ -L "$script" ] || sed -i "1s|^#!$home/|#!$PREFIX/|" "$script"
done
mkdir -p "$home/share/doc/arb-exporter"
cp -R "$ROOT/README.md" "$ROOT/LICENSE" "$ROOT/docs" "$home/share/doc/arb-exporter/"
[ -e "$settings/arb-exporter.yml" ] || install -m 0644 "$ROOT/packaging/arb-exporter.yml" "$settings/arb-exporter.yml"
[ -e "$settings/environment" ] || install -m 0600 /dev/null "$settings/environment"
for unit in "$ROOT"/packaging/systemd/*.service; do
    sed "s|/opt/arb-exporter|$PREFIX|g; s|/etc/arb-exporter|$SYSCONFDIR/arb-exporter|g" "$unit" >"$DESTDIR$UNITDIR/$(basename "$unit")"
    chmod 0644 "$DESTDIR$UNITDIR/$(basename "$unit")"
done
say "installed $("$home/bin/python" -m exporter --version) into $home"
[ -n "$DESTDIR" ] || say "next:  systemctl daemon-reload && systemctl enable --now arb-exporter"

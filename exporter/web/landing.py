"""The landing page: links, how each collector fares, and what is not configured."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

from exporter import __version__
from exporter.board import Board, State

STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
p.lead { margin-top: .25rem; opacity: .8; }
nav a { display: inline-block; padding: .4rem .9rem; margin: 0 .4rem .4rem 0; border: 1px solid; border-radius: .4rem;
  text-decoration: none; color: inherit; }
nav a:hover, nav a:focus { background: color-mix(in srgb, currentColor 12%, transparent); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .6rem .35rem 0; vertical-align: top;
  border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.ok { color: light-dark(#1a7f37, #3fb950); } .bad { color: light-dark(#cf222e, #ff7b72); } .wait { opacity: .7; }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'"
LINKS: Final = (("/live", "Live"), ("/metrics", "Metrics"), ("/readyz", "Ready?"), ("/healthz", "Alive?"))


def page(board: Board, unset: dict[str, str]) -> str:
    """The page as HTML; everything shown is escaped."""
    links = "".join(f'<a href="{path}">{name}</a>' for path, name in LINKS)
    rows = "".join(_row(name, state) for name, state in board.states.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>arb-exporter</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main><h1>arb-exporter {escape(__version__)}</h1>"
        '<p class="lead">Is the arbitrage bot alive, is it earning, and is it true?</p>'
        f"<nav>{links}</nav><h2>What is read</h2>"
        f"<table><thead><tr><th>Collector</th><th>State</th></tr></thead><tbody>{rows}</tbody></table>"
        f"{_missing(unset)}</main></body></html>"
    )


def _row(name: str, state: State) -> str:
    if state.success is None:
        kind, words = "wait", "not read yet"
    elif state.success:
        kind, words = "ok", f"works; the last read took {state.duration * 1e3:.1f} ms"
    else:
        kind, words = "bad", f"fails: {state.error}"
    return f'<tr><td>{escape(name)}</td><td class="{kind}">{escape(words)}</td></tr>'


def _missing(unset: dict[str, str]) -> str:
    items = "".join(f"<li>{escape(words)}</li>" for words in dict.fromkeys(unset.values()) if words)
    if not items:
        return ""
    return f"<h2>Not configured</h2><p>Settings that would show more:</p><ul>{items}</ul>"

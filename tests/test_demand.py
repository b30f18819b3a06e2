"""What a configuration asks for is counted by its parts; what can never fit is refused with the figures."""

from pathlib import Path

import pytest

from exporter import demand
from exporter.config import Settings, read

BASE = "chain: {chain_id: 1, endpoints: [{name: a, http: 'http://h'}], "


def address(number: int) -> str:
    return f"0x{number:040x}"


def named(count: int, start: int = 1) -> str:
    return "[" + ", ".join(f"{{name: n{n}, address: '{address(n + start)}'}}" for n in range(count)) + "]"


def pools(count: int) -> str:
    entries = (f"{{dex: d, kind: solidly, address: '{address(n + 1)}'}}" for n in range(count))
    return f"pools: [{', '.join(entries)}]"


def settings(text: str) -> Settings:
    loaded = read(text, Path("/x"), {"XDG_STATE_HOME": "/y"})
    assert loaded.settings is not None, loaded.problems
    return loaded.settings


ASKED = {
    "": (0, 0),
    "bot: {memory_bank: /b}": (22, 220),
    "bot: {logs: [{name: a, path: /a}, {name: b, path: /b}]}": (18, 82),
    "storage: [{name: a, path: /a}]": (6, 9),
    BASE + "}": (49, 160),
    BASE + f"wallets: {named(2)}, tokens: ['{address(1)}', '{address(2)}', '{address(3)}']}}": (49 + 36, 160 + 86),
    BASE + f"contracts: {named(1)}}}": (59, 192),
    BASE + pools(3) + "}": (49 + 21, 160 + 36),
}


@pytest.mark.parametrize("text", ASKED, ids=lambda text: text[:40])
def test_each_thing_asks_for_its_own(text: str) -> None:
    bare, found = Settings(), settings(text)
    assert (demand.least(found) - demand.least(bare), demand.most(found) - demand.most(bare)) == ASKED[text]


def test_a_bank_two_nodes_and_a_hundred_pools_are_not_too_much() -> None:
    text = "bot: {memory_bank: /b}\n" + BASE + f"wallets: {named(2)}, contracts: {named(2, 9)}, {pools(100)}}}"
    assert demand.least(settings(text)) < 2_000


def test_what_can_never_fit_is_refused_with_its_figures() -> None:
    text = BASE + pools(100) + "}\nlimits: {series: 850}"
    (problem,) = read(text, Path("/x"), {"XDG_STATE_HOME": "/y"}).problems
    assert problem.path == "limits.series"
    assert problem.message == "is too little for what is configured: 879 at least, 1840 to be sure"
    assert demand.least(settings(text.replace("850", "879"))) == 879

"""Every test that has a full form is asked in full by some part of `make test-long`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FULL_FORM = re.compile(r"^from tests\.tiers import|ARB_PROOFS", re.MULTILINE)
PARTS = ("proofs", "machines", "fuzz")


def asked() -> list[Path]:
    """The files and folders that those parts ask, as the Makefile has them."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    recipes = [re.search(rf"^{part}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE) for part in PARTS]
    lines = [line for found in recipes if found for line in found[1].splitlines() if "ARB_PROOFS=full" in line]
    assert len(lines) == len(PARTS)
    return [ROOT / word for line in lines for word in line.split() if word.startswith("tests")]


def test_each_is_in_some_part() -> None:
    places = asked()
    assert all(place.exists() for place in places)
    files = [file for file in (ROOT / "tests").rglob("test_*.py") if FULL_FORM.search(file.read_text())]
    own = Path(__file__)
    left = [file for file in files if file != own and not any(file.is_relative_to(place) for place in places)]
    assert not left
    assert len(files) > 20


def test_the_long_tier_has_every_part() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (long,) = re.findall(r"^test-long: (.*?) *##", makefile, re.MULTILINE)
    assert set(long.split()) == {"branches", *PARTS, "floors", "autobahn", "soak"}

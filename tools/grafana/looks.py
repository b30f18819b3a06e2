"""Units, colours, limits and words, each written down once."""

from __future__ import annotations

from typing import Final

type Steps = tuple[tuple[float | None, str], ...]
type Texts = dict[str, tuple[str, str]]
"""A value, what it is called, and its colour."""

GREEN, AMBER, RED, BLUE, PURPLE, GREY = "green", "orange", "red", "blue", "purple", "#7b8087"

ETH: Final = "suffix: ETH"
ETH_HOUR: Final = "suffix: ETH/h"
GWEI: Final = "suffix: gwei"
"""On Base gas is thousandths of one: it needs six decimals."""
NUMBER: Final = "none"
MINUTE: Final = "suffix:/min"
RATIO: Final = "percentunit"
SECONDS: Final = "s"
AGE: Final = "dtdurations"
CLOCK: Final = "dthms"
"""An age on an axis, whose ticks are no round minutes."""
BYTES: Final = "bytes"

PLAIN: Final[Steps] = ((None, BLUE),)
SIGNED: Final[Steps] = ((None, RED), (0, GREEN))
SHARE: Final[Steps] = ((None, RED), (0.3, AMBER), (0.5, GREEN))


def rising(amber: float, red: float) -> Steps:
    """Fine below the first limit, bad from the second on."""
    return ((None, GREEN), (amber, AMBER), (red, RED))


def falling(red: float, amber: float) -> Steps:
    """Bad below the first limit, fine from the second on."""
    return ((None, RED), (red, AMBER), (amber, GREEN))


NONE_IS_FINE: Final[Steps] = ((None, GREEN), (1, RED))
NONE_IS_BETTER: Final[Steps] = ((None, GREEN), (1, AMBER))
UP: Final[Texts] = {"1": ("up", GREEN), "0": ("down", RED)}
RUNS: Final[Texts] = {"2": ("up", GREEN), "1": ("stands still", AMBER), "0": ("down", RED)}
WORKS: Final[Texts] = {"1": ("works", GREEN), "0": ("fails", RED)}
VALID: Final[Texts] = {"1": ("valid", GREEN), "0": ("broken", RED)}
YES_IS_FINE: Final[Texts] = {"1": ("yes", GREEN), "0": ("no", AMBER)}
YES_IS_BAD: Final[Texts] = {"0": ("no", GREEN), "1": ("yes", RED)}
PAYS: Final[Texts] = {"1": ("pays", GREEN), "0": ("does not pay", GREY)}
REACHES: Final[Texts] = {"1": ("yes", GREEN), "0": ("no", RED)}
SELF: Final[Texts] = {"1": ("running", GREEN), "2": ("other", AMBER), "3": ("stopped", RED), "4": ("error", RED)}
STATUS: Final[Texts] = {"1": ("ok", GREEN), "2": ("degraded", AMBER), "3": ("down", RED)}
HEARD: Final[Texts] = STATUS | {"4": ("silent", GREY)}
PROVENANCE: Final[Texts] = {"1": ("real", GREEN), "2": ("unverified", AMBER), "3": ("simulated", RED)}
"""From the best to the worst."""
NONE_DOWN: Final[Texts] = {"0": ("all up", GREEN)}
NONE_FAILS: Final[Texts] = {"0": ("none", GREEN)}

OUTCOMES: Final = {"failed": RED, "success": GREEN}
LEVELS: Final = {"critical": PURPLE, "error": RED, "warning": AMBER, "info": BLUE}

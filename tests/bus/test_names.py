"""A bot's names on the bus: words that NATS takes, and never two bots with the same ones."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.bus.names import EVENTS, STATES, Names
from exporter.live import topics

BOTS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fullmatch=True)


def test_they_say_what_they_are() -> None:
    names = Names("listonian")
    assert (names.stream, names.state, names.ask, names.http) == (
        "arb-listonian", "arb.listonian.state", "arb.listonian.ask", "arb.listonian.http",
    )  # fmt: skip
    assert names.event("trades") == "arb.listonian.event.trades"
    assert (names.all_events, names.cursor) == ("arb.listonian.event.*", "arb.listonian.event.cursor")


@given(bot=BOTS)
def test_a_bot_is_one_token_of_a_subject(bot: str) -> None:
    names = Names(bot)
    assert names.event("trades").count(".") == 3
    assert not set(names.stream) & set(" .*>/\\")


@given(one=BOTS, other=BOTS)
def test_two_bots_share_nothing(one: str, other: str) -> None:
    assert (Names(one).stream == Names(other).stream) is (one == other)


def test_every_topic_is_one_or_the_other() -> None:
    assert sorted((*EVENTS, *STATES)) == sorted(topics.NAMES)
    assert "cursor" not in topics.NAMES

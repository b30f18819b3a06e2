"""What answers have in common is tested over a socket in test_api; here only where pages of a list end."""

import json

import pytest
from aiohttp.test_utils import make_mocked_request

from exporter.web.answers import page

CASES = [
    ({}, 3, [0, 1, 2], None),
    ({}, 100, list(range(100)), None),
    ({}, 101, list(range(100)), 100),
    ({"limit": 2}, 3, [0, 1], 2),
    ({"limit": 2, "before": 2}, 3, [2], None),
    ({"limit": 2, "before": 2}, 4, [2, 3], None),
    ({"before": 9}, 3, [], None),
    ({}, 0, [], None),
]


@pytest.mark.parametrize(("asked", "length", "shown", "following"), CASES)
def test_a_page_says_where_to_go_on(
    asked: dict[str, int], length: int, shown: list[int], following: int | None
) -> None:
    made = page(make_mocked_request("GET", "/"), "things", range(length), asked, more=1)
    assert json.loads(made.text or "") == {"things": shown, "next": following, "more": 1}

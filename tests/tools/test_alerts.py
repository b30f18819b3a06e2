"""The tables of docs/alerts.md are those of the rules."""

from tests.alerting.rules import ALERTS, THRESHOLDS
from tools import alerts


def test_the_document_is_current() -> None:
    text = alerts.DOCUMENT.read_text()
    assert alerts.document(text) == text, "run `python -m tools.alerts`"


def test_every_alert_and_threshold_has_its_row() -> None:
    text = alerts.document(alerts.DOCUMENT.read_text())
    assert all(
        f"| [{name}](runbooks/{name}.md) | {rule.body['labels']['severity']} |" in text for name, rule in ALERTS.items()
    )
    assert all(f"| `{name}` |" in text for name in THRESHOLDS)


def test_a_table_that_is_not_current_is_made_anew() -> None:
    assert alerts.document("a\n<!-- thresholds -->\nold\n<!-- end -->\nb").startswith(
        "a\n<!-- thresholds -->\n| threshold"
    )

import shutil
from pathlib import Path

import pytest

from exporter.sources import bank_documents
from exporter.sources.bank_documents import Documents
from tests import bank


@pytest.fixture
def made(tmp_path: Path) -> bank.Bank:
    return bank.Bank(tmp_path / "bank")


def test_documents_are_judged_and_told_by_known_names(made: bank.Bank) -> None:
    for kind in ("state", "metrics"):
        (made.path / kind).mkdir()
    bank.write_mapped(made.path / "state" / "state.json", b'{"bot_status": "running"}')
    (made.path / "state" / "1metrics.json").write_text("{}")
    (made.path / "metrics" / "performance.json").write_text("{")
    (made.path / "metrics" / "readme.txt").write_text("no document")
    documents = Documents(made.path, 4 << 20)
    found, faults = documents.read()
    assert {(d.kind, d.name, d.valid) for d in found} == {
        ("state", "state", True),
        ("state", "other", True),
        ("metrics", "performance", None),
    }
    assert faults == []
    documents._broken._seconds = 0.0
    found, faults = documents.read()
    assert [d.valid for d in found if d.kind == "metrics"] == [False]
    assert [(f.kind, f.reason) for f in faults] == [("metrics", "json")]
    (made.path / "metrics" / "performance.json").write_text("{}")
    assert all(d.valid for d in documents.read()[0])


def test_documents_of_a_bank_without_them(made: bank.Bank) -> None:
    assert Documents(made.path, 1000).read() == ([], [])
    shutil.rmtree(made.path)
    with pytest.raises(FileNotFoundError):
        Documents(made.path, 1000).read()


def test_a_document_that_vanishes_is_left_out(made: bank.Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    (made.path / "state").mkdir()
    (made.path / "state" / "state.json").write_text("{}")
    monkeypatch.setattr(bank_documents, "read_together", lambda *_: {"gone.json": b"{}"})
    assert Documents(made.path, 1000).read() == ([], [])

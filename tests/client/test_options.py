"""Where events go and who says so."""

from pathlib import Path
from typing import Any

import pytest

from exporter.client import options
from exporter.client.options import Wrong, completed

NOTHING: dict[str, Any] = dict.fromkeys(("url", "user", "password", "password_file", "ca_file", "file"))


def route(**given: Any) -> options.Route:
    return options.route(NOTHING | given)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (None, ("127.0.0.1", 10453, "/api/v1/events", False)),
        ("http://127.0.0.1:10453", ("127.0.0.1", 10453, "/api/v1/events", False)),
        ("https://arb.example/", ("arb.example", 443, "/api/v1/events", True)),
        ("http://[::1]/exporter/", ("::1", 80, "/exporter/api/v1/events", False)),
    ],
)
def test_urls(url: str | None, found: tuple[str, int, str, bool]) -> None:
    known = route(url=url)
    assert (known.host, known.port, known.path, known.tls) == found
    assert known.user is None


@pytest.mark.parametrize(
    "url",
    [
        "x",
        "localhost:1",
        "ftp://x",
        "http://",
        "http://u:secret@h",
        "http://h:x",
        "http://h:99999",
        "http://h/?a",
        7,
        b"x",
    ],
)
def test_what_is_no_url_is_said_without_it(url: object) -> None:
    with pytest.raises(Wrong) as wrong:
        route(url=url)
    assert "secret" not in str(wrong.value)


def test_a_password_is_read_anew_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("one\n")
    found = route(user="bot", password_file=file)
    assert found.password() == "one"
    file.write_text("two")
    assert found.password() == "two"
    assert "two" not in repr(found)


def test_a_password_is_not_shown() -> None:
    found = route(user="bot", password="hunter2")
    assert (found.user, found.password()) == ("bot", "hunter2")
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    "given",
    [
        {"user": "bot"},
        {"password": "x"},
        {"password_file": "f"},
        {"user": "bot", "password": "x", "password_file": "f"},
        {"user": 1, "password": "x"},
        {"user": "bot", "password_file": 1},
    ],
    ids=str,
)
def test_half_credentials_are_none(given: dict[str, Any]) -> None:
    with pytest.raises(Wrong):
        route(**given)


def test_what_is_not_given_comes_from_the_environment() -> None:
    environment = {"ARB_EXPORTER_URL": "http://e", "ARB_EXPORTER_USER": "u", "ARB_EXPORTER_PASSWORD_FILE": "/p"}
    assert completed(environment, **NOTHING) == NOTHING | {"url": "http://e", "user": "u", "password_file": "/p"}
    assert completed({"ARB_EXPORTER_URL": ""}, **NOTHING) == NOTHING


def test_credentials_of_two_places_are_not_mixed() -> None:
    environment = {"ARB_EXPORTER_USER": "u", "ARB_EXPORTER_PASSWORD": "p", "ARB_EXPORTER_FILE": "/f"}
    given = {**NOTHING, "user": "bot", "password_file": "/q"}
    assert completed(environment, **given) == given | {"file": "/f"}

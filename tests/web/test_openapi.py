"""The description: valid, complete, and true of every answer that the server gives to anybody."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from exporter.web import openapi
from exporter.web.access import Access
from exporter.web.operations import Operation
from exporter.web.server import application
from tests.live.test_alerts import message
from tests.web.test_access import HASH, basic
from tests.web.test_alerts import post
from tests.web.test_api import whole
from tests.web.test_server import Server, problem

OPERATIONS = {(operation.method, operation.path): operation for operation in openapi.operations()}
READABLE = [operation for (method, _), operation in OPERATIONS.items() if method == "GET" and 200 in operation.answers]
JSON = "application/json"


def names(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Server]:
    async with whole(tmp_path) as made:
        yield made


def validator(name: str) -> Draft202012Validator:
    document = openapi.document()
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


async def test_it_is_valid_openapi_and_served(served: Server) -> None:
    status, headers, body = await served.get("/api/v1/openapi.json")
    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    found = json.loads(body)
    assert found == openapi.document()
    OpenAPIV31SpecValidator(found).validate()
    assert found["openapi"].startswith("3.1")
    identities = [operation["operationId"] for path in found["paths"].values() for operation in path.values()]
    assert len(set(identities)) == len(identities)


async def test_every_route_is_described_and_nothing_else(served: Server) -> None:
    app = application(served.site)
    routed = {(r.method, r.resource.canonical) for r in app.router.routes() if r.resource and r.method != "HEAD"}
    assert routed - {("GET", "/live/{version}/{name}")} == set(OPERATIONS)  # files of a page are no interface


async def test_whoever_has_the_role_may_and_nobody_else(tmp_path: Path) -> None:
    roles = ("scrape", "read", "live", "write")
    access = Access(dict.fromkeys(roles, HASH), {role: (role,) for role in roles})
    async with whole(tmp_path, access) as served:
        for (method, path), operation in OPERATIONS.items():
            assert ((await served.get(path, method))[0] == 401) is (operation.role is not None), path
            for role in roles:
                status, _, _ = await served.get(path, method, Authorization=basic(role, "right"))
                assert (status == 403) is (operation.role not in (None, role)), (method, path, role)
                assert status != 401


@pytest.mark.parametrize("operation", READABLE, ids=names)
async def test_every_answer_is_as_described(served: Server, operation: Operation) -> None:
    await post(served, message())
    status, headers, body = await served.get(operation.path)
    assert status == 200
    media = headers["Content-Type"].partition(";")[0]
    schema = operation.answers[200][media]
    if media == JSON and "$ref" in schema:
        check = validator(schema["$ref"].rpartition("/")[2])
        check.validate(json.loads(body))
        assert not check.is_valid({"more": 1})


async def test_the_other_answers_are_as_described(served: Server) -> None:
    validator("Accepted").validate(json.loads((await post(served, message()))[1]))
    assert validator("AlertmanagerMessage").is_valid(message())
    validator("Ticket").validate(json.loads((await served.get("/api/v1/ws-ticket", "POST"))[2]))
    served.site.board.declare("slow", 1.0)
    status, _, body = await served.get("/readyz")
    assert status == 503
    validator("Readiness").validate(json.loads(body))


# --- whatever is asked ---------------------------------------------------------------------------------------------

words = st.text("aZ09/.-+:TZ= %&#\u00e9\u0663\x00", max_size=20)


def good(schema: Any) -> st.SearchStrategy[str]:
    """Values that a parameter's description lets through."""
    if "oneOf" in schema:
        return st.sampled_from(["1700000000", "1.5", "2026-11-21T08:00:00Z", "2026-11-21T08:00:00.5+01:00"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"]).map(str)
    return st.text("aZ/-. ", min_size=1, max_size=64)


@st.composite
def queries(draw: st.DrawFn) -> tuple[Operation, list[tuple[str, str]], bool]:
    """An operation, a query, and whether all of it is as described."""
    operation = draw(st.sampled_from([o for o in READABLE if o.path.startswith("/api/v1")]))
    given_, valid = [], True
    for parameter in operation.parameters:
        kind = draw(st.sampled_from(("absent", "absent", "good", "good", "odd")))
        if kind == "good":
            given_.append((parameter.name, draw(good(parameter.schema))))
        elif kind == "odd":
            given_.append((parameter.name, draw(words)))
            valid = False
    if draw(st.integers(0, 9)) == 0:
        given_.append((draw(words), draw(words)))
        valid = False
    return operation, given_, valid


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queries())
async def test_no_query_is_a_fault_and_what_is_described_is_answered(
    served: Server, asked: tuple[Operation, list[tuple[str, str]], bool]
) -> None:
    operation, query, valid = asked
    status, headers, body = await served.get(f"{operation.path}?{urlencode(query, quote_via=quote)}")
    assert status == 200 if valid else status in (200, 400)
    media = headers["Content-Type"].partition(";")[0]
    if status == 400:
        validator("Error").validate(json.loads(body))
        assert problem(body)[0] == "bad_request"
    elif media == JSON and "$ref" in operation.answers[200][JSON]:
        validator(operation.answers[200][JSON]["$ref"].rpartition("/")[2]).validate(json.loads(body))
    else:
        assert media in operation.answers[200]


def test_a_summary_is_one_sentence() -> None:
    for operation in openapi.operations():
        assert re.fullmatch(r"[A-Z].*\.", operation.summary), operation.path

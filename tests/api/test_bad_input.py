"""Whatever is wrong with a request: a problem document with a documented code, and nothing is changed.

The office is the same for all of them, on SQLite and on PostgreSQL: every row of every table and every
file is compared before and after.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.bad_input_support import Watched, problem_of, watched_office
from tests.api.bad_requests import ALL, DOCUMENTS, DRAFT, FIRE, JSON, MISSING, NAMES, PLACES, Bad
from tests.office_support import ADMINISTRATOR, AUDITOR, CLERK, HEAD, SPECIALIST


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, prepared: Path
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with watched_office(request, folder, prepared, request.param) as watched:
        yield watched


@pytest.mark.parametrize(
    "bad",
    ALL,
    ids=lambda bad: bad.name.replace("/v1/", "").replace("::", ":")[:70],
)
def test_a_bad_request_is_refused_and_changes_nothing(watched: Watched, bad: Bad) -> None:
    options = dict(bad.options)
    if bad.version_of:
        options["headers"] = options.get("headers", {}) | watched.at_version(bad.version_of)
    with watched.unchanged():
        answer = watched.ask(bad.caller, bad.method, bad.url, **options)
        problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (bad.status, bad.code), problem


@pytest.mark.parametrize("place", PLACES)
def test_no_name_in_an_address_leads_anywhere(watched: Watched, place: str) -> None:
    with watched.unchanged():
        for name in NAMES:
            problem = problem_of(watched.ask(AUDITOR, "GET", place.replace("%s", name)))
            assert problem["status"] in (404, 422)
            assert problem["code"] in MISSING, problem


def test_a_method_that_is_not_allowed_names_those_that_are(watched: Watched) -> None:
    answer = watched.ask(CLERK, "DELETE", "/v1/documents")
    assert answer.headers["allow"] == "GET, POST"
    assert answer.json()["satisfied_by"] == "Use GET, POST."


def test_a_json_body_without_a_length_is_cut_off_at_the_limit(watched: Watched) -> None:
    for url in (DOCUMENTS, FIRE, "/v1/sessions"):
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            while sent < 2**25:
                sent += 2**16
                yield b"[" * 2**16

        with watched.unchanged():
            answer = watched.ask(SPECIALIST, "POST", url, content=endless(), headers=JSON)
            assert problem_of(answer)["code"] == "too-large"
            assert answer.status_code == 413


@pytest.mark.parametrize(
    ("caller", "document", "trigger", "code"),
    [
        (SPECIALIST, "review", "approve", "role-required"),
        (HEAD, "approved", "sign", "role-required"),
    ],
)
def test_a_refused_attempt_to_number_or_sign_is_told_by_history_and_changes_nothing_else(
    watched: Watched, caller: str, document: str, trigger: str, code: str
) -> None:
    entries = len(watched.office.instance.rows("history_entries"))
    stamp = watched.at_version(document)
    url = f"{DOCUMENTS}/{{{document}}}/transitions"
    with watched.unchanged(may_tell=True):
        answer = watched.ask(caller, "POST", url, json={"trigger": trigger}, headers=stamp)
        assert problem_of(answer)["code"] == code
    assert watched.at_version(document) == stamp
    assert len(watched.office.instance.rows("history_entries")) == entries + 1


def _json_operations(watched: Watched) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Every operation that takes JSON: method, address, its schema, and all schemas."""
    document = watched.ask("nobody", "GET", "/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    for url, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
                yield method.upper(), url, schemas[name], schemas


def _texts(schema: dict[str, Any], schemas: dict[str, Any], bad: str) -> Iterator[tuple[str, Any]]:
    """Yield a JSON pointer and a value with `bad` at it, for every text within a schema."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    for choice in schema.get("anyOf", ()):
        yield from _texts(choice, schemas, bad)
    if schema.get("type") == "string" and "enum" not in schema and "const" not in schema:
        yield "", bad
    if schema.get("type") == "array":
        yield from (
            (f"/0{pointer}", [value]) for pointer, value in _texts(schema["items"], schemas, bad)
        )
    for name, inner in schema.get("properties", {}).items():
        if "password" not in name:  # they are hashed, never stored nor shown
            yield from (
                (f"/{name}{at}", {name: value}) for at, value in _texts(inner, schemas, bad)
            )


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800b"], ids=["NUL", "half a character"])
def test_no_text_anywhere_takes_what_cannot_be_stored(watched: Watched, bad: str) -> None:
    tried = 0
    for method, url, schema, schemas in _json_operations(watched):
        for pointer, body in _texts(schema, schemas, bad):
            with watched.unchanged():
                path = url.replace("{number}", "1").replace("{", "").replace("}", "")
                answer = watched.ask(ADMINISTRATOR, method, path, json=body)
                problem = problem_of(answer)
            tried += 1
            if problem["code"] == "malformed-json":
                assert "\ud800" in bad, "NUL is well-formed JSON"
                continue
            assert problem["code"] == "invalid-input", (method, url, pointer, problem)
            told = [item["pointer"] for item in problem["errors"]]
            assert any(pointer.startswith(item) for item in told), (method, url, pointer, told)
    assert tried > 30


def test_no_body_takes_a_name_that_it_does_not_know(watched: Watched) -> None:
    for method, url, _schema, _schemas in _json_operations(watched):
        with watched.unchanged():
            path = url.replace("{number}", "1").replace("{", "").replace("}", "")
            problem = problem_of(watched.ask(ADMINISTRATOR, method, path, json={"nonsense": 1}))
        assert problem["code"] == "invalid-input", (method, url, problem)
        assert "/nonsense" in [item["pointer"] for item in problem["errors"]], (method, url)


def test_the_same_key_for_other_content_is_refused(watched: Watched) -> None:
    headers = {"Idempotency-Key": "k-1"}
    made = watched.ask(SPECIALIST, "POST", DOCUMENTS, json=DRAFT, headers=headers)
    assert made.status_code == 201
    with watched.unchanged():
        other = json.loads(json.dumps(DRAFT)) | {"subject": "Khác"}
        problem = problem_of(
            watched.ask(SPECIALIST, "POST", DOCUMENTS, json=other, headers=headers)
        )
    assert problem["code"] == "idempotency-key-reused"

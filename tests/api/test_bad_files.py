"""Files that are no documents, or attack whoever opens them: refused, and nothing is left of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from docflow.cli.hostile import make_hostile
from tests.api.bad_input_support import MAX_FILE_BYTES, Watched, problem_of, watched_office
from tests.office_support import CLERK, SPECIALIST

BOUNDARY = b"x-boundary"
PARTS = {"Content-Type": "multipart/form-data; boundary=x-boundary"}
NOTE = {"direction": "incoming", "type": "CV", "subject": "Về việc", "issuer": "Sở Y tế"}
MAIN = "/v1/documents/{draft}/files/main"

HOSTILE = {
    "empty": "file-empty",
    "encrypted": "pdf-encrypted",
    "owner-encrypted": "pdf-encrypted",
    "zero-pages": "pdf-empty",
    # these follow the grammar and harm nobody; what is written on is checked again
    "attachment": "",
    "bomb": "",
    "huge-size": "",
} | {
    name: code
    for code, names in {
        "not-a-pdf": "text zip leading-junk",
        "pdf-scripted": "javascript-open javascript-names javascript-page launch launch-link "
        "submit-form xfa",
        "pdf-broken": "header-only garbage truncated no-trailer trailing-junk page-tree-loop "
        "deep-page-tree many-pages many-objects bomb-xref nested xref-loop stream-length-lies",
    }.items()
    for name in names.split()
}  # fmt: skip


@pytest.fixture(scope="module")
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, prepared: Path
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched-files")
    with watched_office(request, folder, prepared, "sqlite") as watched:
        yield watched


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_hostile(tmp_path_factory.mktemp("hostile"))


def post(watched: Watched, main: bytes, **metadata: Any) -> httpx2.Response:
    parts = {
        "metadata": (None, json.dumps(NOTE | metadata).encode(), "application/json"),
        "main": ("văn bản.pdf", main, "application/pdf"),
    }
    return watched.ask(CLERK, "POST", "/v1/documents", files=parts)


def test_every_hostile_file_is_tried(hostile: dict[str, Path]) -> None:
    assert sorted(hostile) == sorted(HOSTILE)


@pytest.mark.parametrize(("name", "code"), HOSTILE.items(), ids=HOSTILE)
def test_a_hostile_file_is_refused_or_harmless(
    watched: Watched, hostile: dict[str, Path], name: str, code: str
) -> None:
    data = hostile[name].read_bytes()
    if not code:
        assert post(watched, data).status_code == 201
        return
    headers = watched.at_version("draft") | {"Content-Type": "application/pdf"}
    with watched.unchanged():
        posted = problem_of(post(watched, data))
        put = problem_of(watched.ask(SPECIALIST, "PUT", MAIN, content=data, headers=headers))
    assert (posted["code"], put["code"]) == (code, code)


@pytest.mark.parametrize("name", HOSTILE)
def test_verifying_a_hostile_file_answers_and_keeps_nothing(
    watched: Watched, hostile: dict[str, Path], name: str
) -> None:
    data = hostile[name].read_bytes()
    with watched.unchanged():
        answer = watched.ask(CLERK, "POST", "/v1/verifications", content=data)
        if answer.status_code == 200:
            verified = answer.json()
            assert verified["indication"] != "TOTAL-PASSED"
            assert not verified["ours"]
            assert not verified["released_here"]
        else:
            problem_of(answer)


@pytest.mark.parametrize("sized", [True, False], ids=["by its length", "while it comes"])
@pytest.mark.parametrize("to", ["PUT", "POST", "verify"])
def test_a_file_over_the_limit_is_refused(watched: Watched, to: str, sized: bool) -> None:
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        while sent <= MAX_FILE_BYTES * 2:
            sent += 2**20
            yield b"%PDF-1.7".ljust(2**20)

    body: Any = b"%PDF-1.7".ljust(MAX_FILE_BYTES + 1) if sized else pieces()
    method, url = {
        "PUT": ("PUT", MAIN),
        "POST": ("POST", "/v1/documents/{draft}/files"),
        "verify": ("POST", "/v1/verifications"),
    }[to]
    with watched.unchanged():
        answer = watched.ask(
            SPECIALIST, method, url, content=body, headers=watched.at_version("draft")
        )
        problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (413, "file-too-large")
    assert problem["limit_bytes"] == MAX_FILE_BYTES


def part(name: str, content: bytes, more: bytes = b"") -> bytes:
    head = b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n' % (
        BOUNDARY, name.encode(), more,
    )  # fmt: skip
    return head + content + b"\r\n"


META = part("metadata", json.dumps(NOTE).encode())
PDF = part("main", b"%PDF-1.7 x", b'; filename="a.pdf"')
ANNEX = part("annex", b"x", b'; filename="b.txt"')
END = b"--" + BOUNDARY + b"--\r\n"
BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "multipart-malformed"),
    "no end": (META + PDF, 400, "multipart-malformed"),
    "cut off in the file": (META + PDF[:-10], 400, "multipart-malformed"),
    "another boundary": ((META + PDF + END).replace(BOUNDARY, b"y"), 400, "multipart-malformed"),
    "no metadata": (PDF + END, 422, "multipart-part-missing"),
    "no file": (META + END, 422, "multipart-part-missing"),
    "metadata twice": (META + META + PDF + END, 422, "multipart-part-duplicate"),
    "two main files": (META + PDF + PDF + END, 422, "multipart-part-duplicate"),
    "an unknown part": (META + part("extra", b"x") + END, 422, "multipart-part-unknown"),
    "a part without a name": (
        META + PDF.replace(b'; name="main"', b"") + END, 400, "multipart-malformed",
    ),
    "a header without end": (
        META + part("main", b"x", b'; filename="' + b"a" * 10_000) + END, 400, "multipart-malformed",
    ),
    "twenty-one annexes": (META + PDF + ANNEX * 21 + END, 413, "multipart-too-many-parts"),
    "metadata that is no JSON": (part("metadata", b"{") + PDF + END, 400, "malformed-json"),
    "metadata of a million bytes": (
        part("metadata", b'"' + b"x" * 2**20 + b'"') + PDF + END, 413, "too-large",
    ),
    "an unknown field": (
        part("metadata", json.dumps(NOTE | {"sender": "x"}).encode()) + PDF + END,
        422, "invalid-input",
    ),
    "a file that is no PDF": (META + PDF + END, 422, "pdf-broken"),
    "an empty file": (META + part("main", b"") + END, 422, "file-empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_multipart_body_that_is_not_right_leaves_nothing(watched: Watched, name: str) -> None:
    body, status, code = BODIES[name]
    with watched.unchanged():
        answer = watched.ask(CLERK, "POST", "/v1/documents", content=body, headers=PARTS)
        problem = problem_of(answer)
    assert (answer.status_code, problem["code"]) == (status, code), problem


def test_a_multipart_file_over_the_limit_leaves_nothing(watched: Watched) -> None:
    body = META + part("main", b"%PDF-1.7".ljust(MAX_FILE_BYTES + 1)) + END
    with watched.unchanged():
        answer = watched.ask(CLERK, "POST", "/v1/documents", content=body, headers=PARTS)
        assert problem_of(answer)["code"] == "too-large"


def test_nobody_unknown_fills_the_disk(watched: Watched) -> None:
    for method, url, headers in [
        ("POST", "/v1/documents", PARTS),
        ("PUT", MAIN, watched.at_version("draft")),
        ("POST", "/v1/documents/{draft}/files", watched.at_version("draft")),
        ("POST", "/v1/verifications", {}),
    ]:
        with watched.unchanged():
            answer = watched.ask("unknown", method, url, content=b"x", headers=headers)
            assert problem_of(answer)["code"] == "invalid-token"

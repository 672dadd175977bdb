"""Downloads: ranges, digests, tags, and names that every client can save."""

import base64
import hashlib
from typing import Any
from urllib.parse import unquote

import pytest

from tests.api_support import Office, answered, if_match, refused
from tests.office_support import SPECIALIST

NAME = "Quyết định số 15 – “mới” (bản 2).pdf"


@pytest.fixture(scope="module")
def office(shared_office: Office) -> Office:
    return shared_office


@pytest.fixture(scope="module")
def content(office: Office) -> tuple[str, bytes]:
    """The address of a file's bytes, and the bytes."""
    author, data = office.login(SPECIALIST), office.decision.read_bytes()
    draft = author.post_document(direction="outgoing", type="QĐ", subject="Có tên dài")
    url = f"/v1/documents/{draft['id']}"
    headers = if_match(1) | {"Content-Disposition": f'attachment; filename="{NAME}"'.encode()}
    put = author.request("PUT", f"{url}/files/main", content=data, headers=headers)
    (file,) = answered(put, 200)["files"]
    return f"{url}/files/{file['id']}/content", data


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, None),
        ("bytes=-100", -100, None),
        ("bytes=5-999999999", 5, None),
        ("bytes=-999999999", 0, None),
    ],
)
def test_a_range_is_answered(
    office: Office, content: tuple[str, bytes], asked: str, start: int, end: int | None
) -> None:
    url, data = content
    answer = office.login(SPECIALIST).request("GET", url, headers={"Range": asked})
    if asked == "bytes=-999999999":  # all of it
        assert (answer.status_code, answer.content) == (200, data)
        return
    wanted = data[start:end]
    first = data.index(wanted) if asked == "bytes=-100" else start
    assert answer.status_code == 206
    assert answer.content == wanted
    last = first + len(wanted) - 1
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"
    assert answer.headers["content-length"] == str(len(wanted))


@pytest.mark.parametrize("asked", ["lines=1-2", "bytes=1-2,5-6", "bytes=x-", "bytes=-", "0-5", ""])
def test_a_range_that_is_not_understood_is_ignored(
    office: Office, content: tuple[str, bytes], asked: str
) -> None:
    url, data = content
    answer = office.login(SPECIALIST).request("GET", url, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_range_outside_is_refused_with_the_size(
    office: Office, content: tuple[str, bytes]
) -> None:
    url, data = content
    answer = office.login(SPECIALIST).request("GET", url, headers={"Range": f"bytes={len(data)}-"})
    refused(answer, 416, "bad-range")
    assert answer.headers["content-range"] == f"bytes */{len(data)}"


def test_bytes_carry_their_digest_and_are_not_sent_twice(
    office: Office, content: tuple[str, bytes]
) -> None:
    url, data = content
    author = office.login(SPECIALIST)
    whole = author.get(url)
    digest = hashlib.sha256(data)
    assert whole.headers["etag"] == f'"{digest.hexdigest()}"'
    encoded = base64.b64encode(digest.digest()).decode()
    assert whole.headers["repr-digest"] == f"sha-256=:{encoded}:"
    assert whole.headers["content-type"] == "application/pdf"
    tag = whole.headers["etag"]
    for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        again = author.request("GET", url, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert author.request("GET", url, headers={"If-None-Match": '"x"'}).status_code == 200
    part = {"Range": "bytes=0-9"}
    assert author.request("GET", url, headers=part | {"If-Range": tag}).status_code == 206
    changed = author.request("GET", url, headers=part | {"If-Range": '"older"'})
    assert (changed.status_code, changed.content) == (200, data)


def test_a_vietnamese_name_arrives_and_is_safe_for_every_client(
    office: Office, content: tuple[str, bytes]
) -> None:
    header = office.login(SPECIALIST).get(content[0]).headers["content-disposition"]
    assert header.isascii()
    plain, _, extended = header.partition("; filename*=UTF-8''")
    assert unquote(extended) == NAME
    assert plain.startswith('attachment; filename="Quyet dinh so 15')
    assert plain.endswith('.pdf"')


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b'attachment; filename="../../etc/passwd"', "passwd"),
        (b'attachment; filename="C:\\\\van ban\\\\a.pdf"', "a.pdf"),
        (b"attachment; filename*=UTF-8''%E2%80%AEfdp.exe", "fdp.exe"),
        (b'attachment; filename="a%0D%0ASet-Cookie: x.pdf"', "a Set-Cookie: x.pdf"),
        (b"inline", "annex"),
    ],
)
def test_a_name_that_is_sent_is_only_a_label(office: Office, sent: bytes, kept: str) -> None:
    author = office.login(SPECIALIST)
    draft = office.draft()
    url = f"/v1/documents/{draft['id']}/files"
    headers: dict[str, Any] = if_match(1) | {"Content-Disposition": sent}
    posted = author.request("POST", url, content=office.letter.read_bytes(), headers=headers)
    made = answered(posted, 201)
    assert made["name"] == kept
    shown = author.get(f"{url}/{made['id']}/content").headers["content-disposition"]
    assert "\r" not in shown
    assert "\n" not in shown
    assert "/" not in unquote(shown.partition("''")[2])

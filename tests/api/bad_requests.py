"""The bad requests, as tables: who sends what where, and the refusal that it must get."""

import dataclasses
from typing import Any

from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    RECIPIENT,
    SPECIALIST,
)

JSON = {"Content-Type": "application/json"}
DOCUMENTS = "/v1/documents"
FIRE = DOCUMENTS + "/{draft}/transitions"
NOTE = {"direction": "incoming", "type": "CV", "subject": "Về việc", "issuer": "Sở Y tế"}
DRAFT = {"direction": "outgoing", "type": "QĐ", "subject": "Ban hành", "recipients": ["STC"]}


@dataclasses.dataclass(frozen=True)
class Bad:
    """A bad request, and the refusal that it must get."""

    name: str
    caller: str
    method: str
    url: str
    status: int
    code: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    version_of: str = ""
    """The document whose right If-Match is sent along."""


def post(name: str, code: str, metadata: Any, status: int = 422, caller: str = CLERK) -> Bad:
    return Bad(name, caller, "POST", DOCUMENTS, status, code, {"json": metadata})


def raw(
    name: str, content: bytes, url: str, status: int = 400, code: str = "malformed-json"
) -> Bad:
    version = "draft" if "{draft}" in url else ""
    options = {"content": content, "headers": JSON}
    return Bad(f"{name} to {url}", SPECIALIST, "POST", url, status, code, options, version)


def fire(
    name: str, document: str, caller: str, trigger: str, code: str, status: int = 422, **more: Any
) -> Bad:
    url = f"{DOCUMENTS}/{{{document}}}/transitions"
    options = {"json": {"trigger": trigger, **more}}
    return Bad(name, caller, "POST", url, status, code, options, document)


def _route(name: str, code: str = "invalid-input", **asked: Any) -> Bad:
    return fire(name, "registered", LEADER, "route", code, asked=asked)


def _sign(name: str, place: Any, code: str = "stamp-anchor") -> Bad:
    return fire(name, "approved", LEADER, "sign", code, place=place)


def get(name: str, url: str, status: int = 422, code: str = "invalid-input") -> Bad:
    return Bad(f"{name} {url}"[:60], AUDITOR, "GET", url, status, code)


def _bearer(token: bytes) -> dict[str, bytes]:
    return {"Authorization": b"Bearer " + token}


def ask(name: str, caller: str, status: int, code: str, **options: Any) -> Bad:
    return Bad(name, caller, "GET", "/v1/me", status, code, options)


NOT_JSON = {
    "cut off": b'{"subject": "x"',
    "not quoted": b"{subject: 1}",
    "single quotes": b"{'subject': 1}",
    "trailing": b'{"subject": "x"} {}',
    "not UTF-8": b'{"subject": "\xff\xfe"}',
    "a nesting bomb": b'{"subject": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "an endless number": b'{"subject": ' + b"9" * 5000 + b"}",
    "a PDF": b"%PDF-1.7\n",
}
MALFORMED = [raw(name, body, url) for name, body in NOT_JSON.items() for url in (DOCUMENTS, FIRE)]
MALFORMED += [
    raw(name, body, url, 422, "invalid-input")
    for name, body in {"null": b"null", "a list": b"[]", "a text": b'"x"', "a number": b"1"}.items()
    for url in (DOCUMENTS, FIRE, "/v1/sessions")
]
MALFORMED += [
    raw("a million bytes more", b'"' + b"x" * 2**20 + b'"', url, 413, "too-large")
    for url in (DOCUMENTS, FIRE, "/v1/sessions")
]
MALFORMED += [
    Bad(f"{kind or 'nothing'} to {url}", SPECIALIST, "POST", url, 415, "unsupported-content",
        {"content": b'{"trigger": "submit"}', "headers": {"Content-Type": kind}})
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "", "a")
    for url in (DOCUMENTS, FIRE, "/v1/sessions")
]  # fmt: skip
MALFORMED += [
    Bad("parts where none are taken", SPECIALIST, "POST", FIRE, 415, "unsupported-content",
        {"files": {"trigger": (None, b"submit")}}),
    Bad("parts without a boundary", CLERK, "POST", DOCUMENTS, 400, "multipart-malformed",
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
]  # fmt: skip

MEANING = [
    post("no workflow for it", "unknown-workflow", NOTE | {"workflow": "outgoin"}),
    post("no direction", "unknown-workflow", {"type": "CV", "subject": "x", "issuer": "y"}),
    post("unknown direction", "invalid-input", NOTE | {"direction": "sideways"}),
    post("unknown type", "unknown-document-type", NOTE | {"type": "QĐĐ"}),
    post("unknown unit", "unknown-unit", NOTE | {"unit": "VP-XX"}),
    post("unknown recipient", "unknown-recipient", DRAFT | {"recipients": ["STX"]}, caller=SPECIALIST),
    post("a recipient twice", "invalid-input", DRAFT | {"recipients": ["STC"] * 2}, caller=SPECIALIST),
    post("unknown urgency", "unknown-urgency", NOTE | {"urgency": "yesterday"}),
    post("unknown classification", "unknown-classification", NOTE | {"classification": "x"}),
    post("a state secret", "classification-refused", NOTE | {"classification": "top-secret"}),
    post("incoming to recipients", "invalid-input", NOTE | {"recipients": ["STC"]}),
    post("incoming from nobody", "invalid-input", {k: v for k, v in NOTE.items() if k != "issuer"}),
    post("outgoing with an issuer", "invalid-input", DRAFT | {"issuer": "x"}, caller=SPECIALIST),
    post("unknown field", "invalid-input", NOTE | {"fields": {"chanel": "post"}}),
    post("wrong choice", "invalid-input", NOTE | {"fields": {"channel": "pigeon"}}),
    post("a text for a number", "invalid-input", NOTE | {"fields": {"pages": "2"}}),
    post("a truth for a number", "invalid-input", NOTE | {"fields": {"pages": True}}),
    post("a number too large", "invalid-input", NOTE | {"fields": {"pages": 10**30}}),
    post("a list for a number", "invalid-input", NOTE | {"fields": {"pages": [[[[2]]]]}}),
    post("no date", "invalid-input", NOTE | {"issuer_date": "2026-02-30"}),
    post("a blank subject", "invalid-input", NOTE | {"subject": " \t "}),
    post("two lines", "invalid-input", NOTE | {"subject": "a\nb"}),
    post("another unit's clerk", "forbidden", NOTE | {"unit": "VP-TC"}, 403, SPECIALIST),
    post("an auditor posts", "forbidden", NOTE | {"unit": "VP"}, 403, AUDITOR),
    post("an administrator posts", "forbidden", NOTE | {"unit": "VP"}, 403, ADMINISTRATOR),
    fire("nobody's trigger", "draft", SPECIALIST, "fly", "unknown-trigger"),
    fire("not from here", "draft", HEAD, "approve", "not-from-this-state", 409),
    fire("from the end", "closed", CLERK, "register", "closed", 409),
    fire("without a file", "empty", SPECIALIST, "submit", "guard-failed", 409),
    fire("no reason", "review", HEAD, "return", "missing-input"),
    fire("a blank reason", "review", HEAD, "return", "missing-input", asked={"reason": "  "}),
    fire("a reason too long", "review", HEAD, "return", "invalid-input", asked={"reason": "x" * 900_000}),
    fire("a list of reasons", "review", HEAD, "return", "invalid-input", asked={"reason": ["x"]}),
    fire("more than asked", "review", HEAD, "return", "invalid-input", asked={"reason": "x", "y": 1}),
    fire("asked is no object", "review", HEAD, "return", "invalid-input", asked=["reason"]),
    _route("a unit of numbers", unit=5),
    _route("a unit that is none", "unknown-unit", unit="VP-TX"),
    _route("a unit without end", "unknown-unit", unit="x" * 900_000),
    _route("a unit with NUL", unit="VP\0"),
    _route("half a character", unit="VP\ud800"),
    _route("half a name", **{"\ud800": "x"}),
    _route("a wrong day", unit="VP", deadline="tomorrow"),
    _sign("a place that is none", {"number": "nowhere"}),
    _sign("a place of numbers", {"number": 5}),
    _sign("a place of lists", {"qr": [[1]]}),
    _sign("a page far away", {"qr": {"page": 10**30, "x": 1, "y": 1}}),
    _sign("a page behind the last", {"qr": {"page": 9, "x": 1, "y": 1}}),
    _sign("a page before the first", {"signature": {"page": -9, "x": 90, "y": 90}}),
    _sign("no number at all", {"qr": {"x": float("nan"), "y": 1}}, "invalid-input"),
    _sign("nothing to place", {"\0": 1}, "invalid-input"),
    fire("a stranger", "draft", "thuy.pt", "submit", "not-found", 404),
    fire("an administrator", "draft", ADMINISTRATOR, "submit", "not-found", 404),
    fire("an auditor", "draft", AUDITOR, "submit", "forbidden", 403),
    fire("a reviewer submits", "draft", HEAD, "submit", "role-required", 403),
]  # fmt: skip

VERSIONS = [
    Bad(f"If-Match {tag!r}", SPECIALIST, "POST", FIRE, status, code,
        {"json": {"trigger": "submit"}, "headers": {"If-Match": tag.encode("latin-1")}})
    for tag, status, code in [
        ('"99"', 412, "stale-version"),
        ('"x"', 412, "stale-version"),
        ('"99999999999999999999"', 412, "stale-version"),
        ('"1", "2"', 412, "stale-version"),
        ("", 400, "malformed-if-match"),
        ("1", 400, "malformed-if-match"),
        ('W/"1"', 400, "malformed-if-match"),
        ("*", 400, "malformed-if-match"),
        ("é²", 400, "malformed-if-match"),
        ("x" * 5000, 400, "malformed-if-match"),
    ]
]  # fmt: skip
_NO_VERSION: list[tuple[str, str, str, dict[str, Any]]] = [
    (SPECIALIST, "POST", FIRE, {"json": {"trigger": "submit"}}),
    (SPECIALIST, "PATCH", "/v1/documents/{draft}", {"json": {"subject": "x"}}),
    (SPECIALIST, "PUT", "/v1/documents/{draft}/files/main", {"content": b"%PDF-"}),
    (SPECIALIST, "POST", "/v1/documents/{draft}/files", {"content": b"%PDF-"}),
    (SPECIALIST, "DELETE", "/v1/documents/{draft}/files/{main}", {}),
    (ADMINISTRATOR, "PATCH", "/v1/people/{specialist}", {"json": {"name": "x"}}),
    (ADMINISTRATOR, "POST", "/v1/people/{specialist}/deactivate", {}),
]
VERSIONS += [
    Bad(f"no If-Match: {method} {url}", caller, method, url, 428, "version-required", options)
    for caller, method, url, options in _NO_VERSION
]
VERSIONS += [
    Bad("two If-Match", SPECIALIST, "POST", FIRE, 412, "stale-version",
        {"json": {"trigger": "submit"}, "headers": {"If-Match": '"98"', "if-match": '"99"'}}),
    Bad("what is signed cannot change", SPECIALIST, "PATCH", "/v1/documents/{approved}", 409,
        "not-editable", {"json": {"subject": "x"}}, "approved"),
    Bad("the main file is no annex", SPECIALIST, "DELETE", "/v1/documents/{draft}/files/{main}",
        404, "file-not-found", {}, "draft"),
]  # fmt: skip

WHO = [
    ask("no key", "nobody", 401, "unauthenticated"),
    ask("a wrong scheme", "nobody", 401, "unauthenticated", headers={"Authorization": "Basic eDp5"}),
    ask("an empty key", "nobody", 401, "unauthenticated", headers={"Authorization": "Bearer "}),
    ask("a wrong key", "unknown key", 401, "invalid-token"),
    ask("a wrong token", "unknown", 401, "invalid-token"),
    ask("no token of ours", "no token", 401, "invalid-token"),
    ask("bytes for a token", "nobody", 401, "invalid-token", headers=_bearer(b"dfk_\xff\xfe")),
    ask("an endless token", "nobody", 401, "invalid-token", headers=_bearer(b"dfs_" + b"x" * 20_000)),
    ask("a revoked key", "revoked key", 401, "invalid-token"),
    ask("an expired key", "expired key", 401, "key-expired"),
    ask("an expired session", "expired", 401, "session-expired"),
    Bad("a key without the scope", "key", "GET", "/v1/history", 403, "forbidden"),
    Bad("a key that may not fire", "key", "GET", "/v1/jobs", 403, "forbidden"),
    Bad("a key signs out", "key", "DELETE", "/v1/sessions/current", 403, "not-a-session"),
    Bad("a recipient lists people", RECIPIENT, "GET", "/v1/people", 403, "forbidden"),
    Bad("a wrong password", "nobody", "POST", "/v1/sessions", 401, "invalid-credentials",
        {"json": {"login": CLERK, "password": "not it\0"}}),
    Bad("nobody's login", "nobody", "POST", "/v1/sessions", 401, "invalid-credentials",
        {"json": {"login": "'; DROP TABLE people;--", "password": "x"}}),
    Bad("a weak password", CLERK, "PUT", "/v1/me/password", 422, "weak-password",
        {"json": {"old_password": "mật khẩu của hanh.nt", "new_password": "123456789012"}}),
    Bad("a password of NUL", CLERK, "PUT", "/v1/me/password", 422, "weak-password",
        {"json": {"old_password": "mật khẩu của hanh.nt", "new_password": "abc\0" * 5}}),
    *(
        Bad(f"Idempotency-Key {key[:9]!r}", CLERK, "POST", DOCUMENTS, 422, "invalid-input",
            {"json": NOTE, "headers": {"Idempotency-Key": key}})
        for key in ("", "x" * 256, "a\tb", b"\x80")
    ),
]  # fmt: skip

_QUERIES = (
    "limit=0", "limit=-1", "limit=201", "limit=x", "limit=1.5", "limit=" + "9" * 30,
    "limit=" + "9" * 5000, "limit=", "cursor=" + "A" * 401,
)  # fmt: skip
QUERIES = [
    get("", f"{url}?{query}")
    for url in ("/v1/documents", "/v1/history", "/v1/people", "/v1/books/incoming/entries")
    for query in _QUERIES
]
QUERIES += [
    get("", f"{url}?cursor={cursor}", 422, "bad-cursor")
    for url in ("/v1/documents", "/v1/history", "/v1/documents/{draft}/history",
                "/v1/books/incoming/entries")
    for cursor in ("%00", "!!", "AA", "AAECAw", "4pi6!", "%ed%a0%80")
]  # fmt: skip
QUERIES += [
    get("", f"/v1/documents?{query}")
    for query in (
        "state=%00", "direction=both", "text=%00", "text=" + "x" * 101, "created_from=x",
        "created_from=2026-01-01T00:00:00", "created_from=0001-01-01T00:00:00%2B14:00",
        "created_before=9999-12-31T23:59:59-14:00", "issuer_date=2026-02-30", "symbol=a%0Ab",
    )
]  # fmt: skip
QUERIES += [
    get("", "/v1/documents?unit=VP-XX", 422, "unknown-unit"),
    get("", "/v1/documents?assignee=nobody", 422, "unknown-person"),
    get("", "/v1/books/incoming/entries?period=26", 422, "unknown-period"),
    get("", "/v1/books/incoming/entries?from=2026-02-01&to=2026-01-01"),
    get("", "/v1/books/incoming/print?format=docx"),
    get("", "/v1/workflows/incoming?version=0"),
    get("", "/v1/workflows/incoming?version=99", 404, "workflow-not-found"),
    get("", "/v1/workflows/incoming/diagram.svg?language=../x"),
]

PLACES = (
    "/v1/documents/%s", "/v1/documents/%s/history", "/v1/documents/{draft}/files/%s/content",
    "/v1/released/%s", "/v1/workflows/%s", "/v1/history/%s/proof", "/v1/log/tile/%s",
    "/v1/books/%s/entries", "/v1/people/%s", "/v1/units/%s",
)  # fmt: skip
NAMES = (
    "x", "%00", "%0A", "%ed%a0%80", "Ti%E1%BA%BFng", "..%2f..%2fetc%2fpasswd", "%2e%2e", "a%2fb",
    "'%20OR%201=1--", "x" * 101, "9" * 5000, "%20",
)  # fmt: skip
MISSING = {
    "not-found", "file-not-found", "unknown-code", "workflow-not-found", "no-such-entry",
    "no-such-tile", "book-not-found", "no-such-address", "invalid-input",
}  # fmt: skip

ADDRESSES = [
    Bad(f"{method} {url}", CLERK, method, url, status, code)
    for method, url, status, code in [
        ("GET", "/", 404, "no-such-address"),
        ("GET", "/v1", 404, "no-such-address"),
        ("GET", "/v1/documents/", 404, "no-such-address"),
        ("GET", "/v2/documents", 404, "no-such-address"),
        ("GET", "/docs", 404, "no-such-address"),
        ("GET", "//v1/me", 404, "no-such-address"),
        ("GET", "/v1/%64ocument", 404, "no-such-address"),
        ("DELETE", "/v1/documents", 405, "method-not-allowed"),
        ("PUT", "/v1/me", 405, "method-not-allowed"),
        ("DELETE", "/v1/documents/{draft}", 405, "method-not-allowed"),
        ("BREW", "/v1/documents", 405, "method-not-allowed"),
        ("TRACE", "/v1/me", 405, "method-not-allowed"),
    ]
]

ALL = [*MALFORMED, *MEANING, *VERSIONS, *WHO, *QUERIES, *ADDRESSES]
